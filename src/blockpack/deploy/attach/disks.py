"""The disks to attach: the images of a build or of what is live, where they are, and if they are.

Rule 1: a build's images are attached where they are. Those of a deployment are attached through
its link ``current``, so that the same lines are right after the next deployment as well.
Rule 2: what is attached is what was built: an image that is missing, or of another size, is refused
here and not by a machine that does not start.
Rule 3: of a secret volume nothing is told but where it and its key are.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from attrs import frozen

from ...errors import BlockpackError, ImageError, SourceError, UsageError, printable, raise_problems
from ..host.generations import CURRENT
from ..record import BuildRecord, ImageRecord


@frozen(kw_only=True)
class Disk:
    """An image to attach.

    `path` and `key` (the file that holds the image's key; None if there is no such file there) are
    absolute. `size` is that of the file in bytes. `number` counts from 0 in the manifest's order.
    """

    record: ImageRecord
    number: int
    path: str
    size: int
    key: str | None = None
    writable: bool = False

    @property
    def name(self) -> str:
        """The volume's name, which is the device's."""
        return self.record.name

    @property
    def sector_size(self) -> int:
        """The sectors that the image was made for, in bytes."""
        return self.record.sector_size

    @property
    def encrypted(self) -> bool:
        """Whether its sectors are encrypted, so that their size is fixed."""
        return self.record.cipher is not None

    @property
    def in_clear(self) -> bool:
        """Whether it holds secrets that nothing but its place protects."""
        return self.record.secret and not self.encrypted


@frozen(kw_only=True)
class Deployed:
    """The disks of a deployment by its `name`; `live` if they are those of its link ``current``."""

    name: str
    live: bool
    disks: tuple[Disk, ...]


def deployed(place: str | os.PathLike[str], writable: Collection[str] = ()) -> Deployed:
    """The disks at `place`, a build or a deployment; those named in `writable` to be written to.

    Raises `Problems` with all that is wrong, or the errors of `BuildRecord.read`.
    """
    directory = Path(os.path.abspath(place))
    live = os.path.lexists(directory / CURRENT)
    if live:
        directory /= CURRENT
    elif not directory.is_dir():
        raise SourceError(str(place), "is no directory", "give what was built or deployed to")
    record = BuildRecord.read(directory)
    problems = [*_unwritable(record, writable, live), *_misplaced(directory)]
    disks = []
    for number, image in enumerate(record.volumes):
        path = directory / image.file
        try:
            size = _size(path, image)
        except BlockpackError as error:
            problems.append(error)
            continue
        key = None if image.key is None else str(directory / image.key)
        disks.append(
            Disk(
                record=image,
                number=number,
                path=str(path),
                size=size,
                key=key,
                writable=image.name in writable,
            )
        )
    raise_problems("these images cannot be attached", problems)
    return Deployed(name=record.name, live=live, disks=tuple(disks))


def _unwritable(
    record: BuildRecord, writable: Collection[str], live: bool
) -> Iterator[BlockpackError]:
    names = [image.name for image in record.volumes]
    for name in writable:
        if name not in names:
            known = ", ".join(names)
            yield UsageError("", f"there is no volume {printable(name)!r}", f"there are {known}")
        elif live:
            rule = "generations are never written to, for they share their images"
            yield UsageError(name, rule, "copy the image, and attach the copy")


def _misplaced(directory: Path) -> Iterator[BlockpackError]:
    """The problem with a path that no line of text holds as it is."""
    path = str(directory)
    if not path.isprintable():  # surrogates, of bytes that are not UTF-8, are not either
        rule = "has characters that no configuration holds"
        yield UsageError(path, rule, "give the directory a plain name")


def _size(path: Path, image: ImageRecord) -> int:
    """The size of an image in bytes, if it is as it was built. Raises `BlockpackError`."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        remedy = "build or deploy again"
        if image.secret and image.cipher is None and path.is_symlink():
            remedy = "secrets in RAM are gone when the host restarts: deploy again"
        raise SourceError.of(str(path), "cannot be read", error, remedy) from None
    if image.size is not None and size != image.size:
        rule = f"has {size:,} bytes, and was built with {image.size:,}"
        raise ImageError(str(path), rule, "build or deploy again")
    return size
