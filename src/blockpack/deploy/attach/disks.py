"""The disks to attach: the images of a build or of what is live, where they are, and if they are.

Rule 1: a build's images are attached where they are. Those of a deployment are attached through
its link ``current``, so that the same lines are right after the next deployment as well.
Rule 2: what is attached is what was built: an image that is missing, or of another size, is refused
here and not by a machine that does not start. It keeps no other from being attached.
Rule 3: of a secret volume nothing is told but where it and its key are.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from attrs import frozen

from ...errors import BlockpackError, SourceError, UsageError, printable, raise_problems
from ..host.generations import CURRENT
from ..image_errors import noted
from ..manifest.consumers import SERIAL, Device
from ..record import BuildRecord, HashTreeRecord, ImageRecord


@frozen(kw_only=True)
class Disk(Device):
    """An image to attach, of a volume or a disk whose name is the device's.

    `path` and `key` (the file that holds the image's key; None if there is no such file there) are
    absolute. `number` counts from 0 in the manifest's order. `verity` is the hash tree behind it.
    """

    number: int
    path: str
    key: str | None = None
    verity: HashTreeRecord | None = None

    @property
    def serial(self) -> str:
        """The serial number by which a guest finds a virtio disk."""
        return self.name[:SERIAL]


@frozen(kw_only=True)
class Deployed:
    """The disks of a deployment by its `name`; `live` if they are those of its link ``current``.
    `problems` is what is wrong with those that are not among them.
    """

    name: str
    live: bool
    disks: tuple[Disk, ...]
    problems: tuple[BlockpackError, ...] = ()


_SAME = "name", "format", "profile", "sector_size", "container", "secret", "cipher", "verity"
"""What is told of a disk as its record has it."""


def deployed(
    place: str | os.PathLike[str], writable: Collection[str] = (), only: Collection[str] = ()
) -> Deployed:
    """The disks at `place`, a build or a deployment; those in `writable` to be written to, and
    `only` those, if any are named. Raises `Problems`, and as `BuildRecord.read`.
    """
    directory = Path(os.path.abspath(place))
    live = os.path.lexists(directory / CURRENT)
    if live:
        directory /= CURRENT
    elif not directory.is_dir():
        rule = "is not a directory"
        raise SourceError(str(place), rule, "give the directory of a build or a deploy")
    record = BuildRecord.read(directory)
    known = [image.name for image in record.volumes]
    wrong = [
        UsageError("", f"there is no volume {printable(name)!r}", f"there are {', '.join(known)}")
        for name in (*writable, *only)
        if name not in known
    ]
    if not str(directory).isprintable():  # surrogates, of bytes that are not UTF-8, are not either
        rule = "has characters that a configuration cannot hold"
        wrong.append(UsageError(str(directory), rule, "give the directory a plain name"))
    if live and not wrong:
        rule = "generations are never written to, because they share images"
        wrong = [UsageError(name, rule, "copy the image, and attach the copy") for name in writable]
    disks: list[Disk] = []
    problems: list[BlockpackError] = []
    for number, image in enumerate(record.volumes):
        if not only or image.name in only:
            with noted(problems):
                disks.append(_disk(directory, number, image, image.name in writable))
    if wrong:
        raise_problems("these images cannot be attached", [*wrong, *problems])
    return Deployed(name=record.name, live=live, disks=tuple(disks), problems=tuple(problems))


def _disk(directory: Path, number: int, image: ImageRecord, writable: bool) -> Disk:
    path, remedy = directory / image.file, "build or deploy again"
    if image.secret and image.cipher is None and path.is_symlink():
        remedy = "secrets in RAM are gone when the host restarts: deploy again"
    return Disk(
        **{name: getattr(image, name) for name in _SAME},
        size=image.size_in(directory, remedy, SourceError),
        writable=writable,
        number=number,
        path=str(path),
        key=None if image.key is None else str(directory / image.key),
    )
