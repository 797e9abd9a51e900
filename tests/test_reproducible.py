"""The same tree gives the same bytes, whoever packs it, where and when."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

FILES = {
    "index.html": b"<h1>Hello</h1>\n",
    "Ünïcode €/😀.txt": b"beyond the BMP\n",
    "media/large.bin": random.Random(1).randbytes(200_000),
    "media/zeros.bin": bytes(300_000),
    "a directory/" + "deep/" * 20 + "leaf": b"x",
    **{f"many/long file name {number}.txt": b"%d" % number for number in range(300)},
}


def make(root: Path, order: list[str], mtime: int, umask: int) -> Path:
    """The tree under `root`, made in `order`."""
    before = os.umask(umask)
    try:
        for path in order:
            at = root / path
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(FILES[path])
            os.utime(at, (mtime, mtime))
        (root / "empty").mkdir()
    finally:
        os.umask(before)
    return root


def packed(
    source: Path, format: str, *options: str, variables: Mapping[str, str] | None = None
) -> str:
    """The digest of the image that the command makes of `source`."""
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    environment |= variables or {}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "blockpack",
        "pack",
        source,
        "-",
        "--format",
        format,
    ]
    image = subprocess.run([*command, *options], env=environment, capture_output=True, check=True)
    return hashlib.sha256(image.stdout).hexdigest()


@pytest.fixture(name="reference", params=["tar", "fat"], scope="module")
def fixture_reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, Path]:
    """A format, the digest of the tree's image in it, and the tree."""
    source = make(tmp_path_factory.mktemp("reference"), list(FILES), 1_000_000_000, 0o022)
    return request.param, packed(source, request.param), source


@pytest.mark.parametrize(
    "variables",
    [
        {
            "TZ": "Pacific/Chatham",
            "LANG": "C",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONHASHSEED": "1",
            "COLUMNS": "20",
            "NO_COLOR": "1",
        },
        {
            "LC_ALL": "C.UTF-8",
            "PYTHONUTF8": "0",
            "PYTHONHASHSEED": "2",
            "HOME": "/nonexistent",
            "USER": "nobody",
        },
    ],
    ids=lambda variables: "+".join(f"{name}={value}" for name, value in variables.items()),
)
def test_the_environment_has_no_say(
    reference: tuple[str, str, Path], variables: dict[str, str]
) -> None:
    format, digest, source = reference
    assert packed(source, format, variables=variables) == digest


def test_same_tree_gives_same_bytes(reference: tuple[str, str, Path], tmp_path: Path) -> None:
    """Another directory, order of creation (and so of reading), time and umask."""
    format, digest, _ = reference
    source = make(tmp_path / "else" / "where", sorted(FILES, reverse=True), 1_700_000_001, 0o077)
    assert packed(source, format) == digest


def test_the_order_of_a_directory_has_no_say(
    reference: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import blockpack

    format, digest, source = reference
    listing = os.scandir

    class Shuffled:
        def __init__(self, path: bytes) -> None:
            with listing(path) as entries:
                self._entries = list(entries)
            random.shuffle(self._entries)

        def __enter__(self) -> list[os.DirEntry[bytes]]:
            return self._entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    volume = {"tar": blockpack.TarVolume, "fat": blockpack.FatVolume}[format]()
    blockpack.write(volume.plan(blockpack.scan(source)), tmp_path / "image")
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("jobs", ["1", "2", "7"])
def test_the_number_of_jobs_has_no_say(
    reference: tuple[str, str, Path], tmp_path: Path, jobs: str
) -> None:
    format, digest, source = reference
    image = tmp_path / "image"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "blockpack",
        "pack",
        source,
        image,
        "--format",
        format,
    ]
    subprocess.run([*command, "--jobs", jobs, "-q"], check=True)
    assert hashlib.sha256(image.read_bytes()).hexdigest() == digest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_the_same_bytes(reference: tuple[str, str, Path]) -> None:
    format, digest, _ = reference
    # Not below pytest's own directory, which any run of it closes to others.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        source = make(Path(place) / "source", list(FILES), 1_000_000_000, 0o022)
        assert _packed_by_nobody(source, format) == digest


def _packed_by_nobody(source: Path, format: str) -> str:
    """The digest of the image as another user packs it."""
    read, report = os.pipe()
    child = os.fork()
    if not child:  # another interpreter might not be readable for others: this one is loaded
        try:
            import blockpack

            volume = {"tar": blockpack.TarVolume, "fat": blockpack.FatVolume}[format]()
            os.setgid(65534)
            os.setuid(65534)
            hashed = hashlib.sha256()
            with volume.plan(blockpack.scan(source)).open() as image:
                while data := image.read(1 << 20):
                    hashed.update(data)
            os.write(report, hashed.hexdigest().encode())
        finally:
            os._exit(0)
    os.close(report)
    with os.fdopen(read) as answer:
        digest = answer.read()
    os.waitpid(child, 0)
    return digest


@pytest.mark.parametrize("format", ["tar", "fat"])
def test_source_date_epoch_is_the_time_of_everything(tmp_path: Path, format: str) -> None:
    import blockpack

    source = make(tmp_path / "source", list(FILES), 1_000_000_000, 0o022)
    image = tmp_path / "image"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "blockpack",
        "pack",
        source,
        image,
        "--format",
        format,
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1234567890"}
    subprocess.run([*command, "-q"], env=environment, check=True)
    with blockpack.open_image(image) as opened:
        assert {entry.mtime_ns for entry in opened.walk()} == {1_234_567_890 * 10**9}


def test_the_serial_follows_from_the_content(tmp_path: Path) -> None:
    import blockpack

    serials = set()
    for name, data in (("a", b"1"), ("a", b"22"), ("b", b"1")):
        tree = blockpack.Tree()
        tree.add(name, data)
        for label in ("", "X"):
            serials.add(blockpack.FatVolume(label=label).plan(tree).geometry["serial"])
    assert len(serials) == 6
