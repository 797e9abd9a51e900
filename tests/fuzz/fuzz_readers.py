"""A fuzz target for the readers: any bytes at all, and only blockpack's own errors.

The tests beside this call `survive` with images that hypothesis damages. To look further, let
atheris, which is guided by coverage, run for as long as you like::

    pip install atheris
    PYTHONPATH=tests python tests/fuzz/fuzz_readers.py corpus/ -max_len=65536

It begins with sound images that it puts into ``corpus/`` (made if need be), and keeps there what
it learns. What crashes is left in a file ``crash-…``; give the name of that file to run it again.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import blockpack
from blockpack.images.extract import extract
from hostile.ordeal import in_time, read, read_through, verify


def survive(data: bytes) -> list[str]:
    """Do everything with the image `data`; what `verify` says about it.

    Raises nothing but what is a defect: an image may be no image, but whatever it is, that is told
    by blockpack's own errors. And what is found to be sound can be read.
    """
    read_through(data)
    try:
        image = blockpack.open_image(io.BytesIO(data))
    except blockpack.ImageError as error:
        return [str(error)]
    with image, tempfile.TemporaryDirectory() as directory:
        with in_time():
            problems = verify(image)
        if not problems:
            read(image)
        try:
            with in_time():
                extract(image, Path(directory, "out"))
        except blockpack.Problems:  # of some entries; the rest is there
            assert {path.name for path in Path(directory).iterdir()} <= {"out"}
        except blockpack.BlockpackError:
            assert [*Path(directory).iterdir()] == [], "something was left behind"
        else:
            assert [path.name for path in Path(directory).iterdir()] == ["out"]
    return problems


def write_corpus(directory: Path) -> None:
    """Sound images to begin with, unless there is something in `directory` already."""
    from fuzz.mutations import DISKS, EROFS, GIT, TAR
    from hostile.fat_images import sound

    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        (directory / "tar").write_bytes(TAR)
        (directory / "fat12").write_bytes(sound(12))
        for container, image in GIT.items():
            (directory / f"git-{container}").write_bytes(image)
        for bits, image in EROFS.items():
            (directory / f"erofs-{1 << bits}").write_bytes(image)
        for table, image in DISKS.items():
            (directory / f"disk-{table}").write_bytes(image)


def main() -> None:
    """Hand over to atheris."""
    import atheris

    for argument in sys.argv[1:]:
        if not argument.startswith("-") and not Path(argument).is_file():
            write_corpus(Path(argument))
    atheris.instrument_all()
    atheris.Setup(sys.argv, survive)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
