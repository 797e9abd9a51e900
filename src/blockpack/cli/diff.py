"""``blockpack diff``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from typing import Any, NamedTuple

from ..deploy.file_names import RECORD
from ..deploy.host.differences import changed
from ..deploy.host.generations import CURRENT
from ..deploy.record import BuildRecord
from ..errors import BlockpackError, UsageError, printable
from ..formats.reader import differing
from ..formats.registry import format_named
from ..formats.tar.volume import TarVolume
from ..images.address import split_address
from ..images.compare import ANYWHERE, differences
from ..images.image import Image
from ..images.open_image import format_of, open_at, open_image
from ..images.remote import is_url
from ..images.sectors import differing_sectors
from ..layers.disk.record import DISK
from ..planning.volume import Volume
from ..sources.scan import scan
from . import flags
from .output import SIGNS, emit, emit_json, say
from .verify import DIFFERENT

EXAMPLE = "blockpack diff git:www.git@v1 git:www.git@v2"

_SECTOR = 512
_SHOWN = 8
"""Ranges of sectors that are printed, at most; JSON has all."""


class Change(NamedTuple):
    """What became of the path: ``added``, ``removed`` or ``changed``, and then how."""

    path: str
    change: str
    how: str = ""


def arguments(parser: ArgumentParser) -> None:
    what = "an image, a source, or a directory of built images"
    flags.value(parser, "old", "A", what)
    flags.value(parser, "new", "B", "the same")
    flags.add(parser, "--json", "--quiet")


def run(arguments: Namespace) -> int:
    """Tell what differs; the exit code is 1 if anything does."""
    builds = [_build(path) for path in (arguments.old, arguments.new)]
    if all(builds):
        changes, sectors = list(_of_builds(*builds)), None  # type: ignore[arg-type]
    elif any(builds):
        rule = "only one of the two is a directory of images"
        raise UsageError("", rule, "give two of them, or an image in it")
    else:
        changes, sectors = _of_images(arguments.old, arguments.new)
    if arguments.json:
        emit_json(_json(changes, sectors))
    else:
        _print(changes, sectors)
        if not changes and not sectors and not arguments.quiet:
            say("no differences")
    return DIFFERENT if changes or sectors else 0


def _print(changes: list[Change], sectors: list[tuple[int, int]] | None) -> None:
    for path, change, how in changes:
        emit(f"{SIGNS[change]} {printable(path)}" + (f": {how}" if how else ""))
    if sectors:
        count = sum(last + 1 - first for first, last in sectors)
        ranges = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in sectors[:_SHOWN])
        more = ", …" if len(sectors) > _SHOWN else ""
        noun, verb = ("sector", "differs") if count == 1 else ("sectors", "differ")
        emit(f"{count:,} {noun} of {_SECTOR} bytes {verb}: {ranges}{more}")


def _json(changes: list[Change], sectors: list[tuple[int, int]] | None) -> dict[str, Any]:
    told = ({name: each for name, each in change._asdict().items() if each} for change in changes)
    found: dict[str, Any] = {"changes": list(told)}
    return found if sectors is None else {**found, "sector_size": _SECTOR, "sectors": sectors}


# Images and sources -------------------------------------------------------------------------------


def _of_images(old: str, new: str) -> tuple[list[Change], list[tuple[int, int]] | None]:
    """What changed from one to the other; and sectors, if both are images of one format."""
    with ExitStack() as stack:
        images = [stack.enter_context(open_image(n)) if _is_image(n) else None for n in (old, new)]
        # An image is a collection: one that holds nothing is false.
        like = next((image for image in images if image is not None), None)
        before, after = (
            stack.enter_context(_as_image(name, like)) if image is None else image
            for image, name in zip(images, (old, new), strict=True)
        )
        changes = list(_changes(before, after))
        if None in images or before.format != after.format:
            return changes, None
        sectors = differing_sectors(before.reader.data, after.reader.data, _SECTOR)
        return changes, list(sectors)


def _changes(before: Image, after: Image) -> Iterator[Change]:
    alike = before.format == after.format
    paths = {difference.path for difference in differences(after, before, "auto")}
    for path in sorted(paths):
        was, is_now = before.entries.get(path), after.entries.get(path)
        if was is None or is_now is None:
            yield Change(path, "removed" if was else "added" if is_now else "changed")
        else:
            # Modes, times and owners count only where the formats are alike.
            names = differing(was, is_now, _TOLD if alike else ANYWHERE)
            how = (printable(_TOLD[name].format(was, is_now)) for name in names)
            yield Change(path, "changed", ", ".join(how))


_TOLD = {
    "kind": "a {0.kind}, now a {1.kind}",
    "size": "{0.size:,} bytes, now {1.size:,}",
    "target": "leads to {0.target}, now to {1.target}",
    "mode": "mode {0.mode:04o}, now {1.mode:04o}",
    "owner": "owner {0.uid}:{0.gid}, now {1.uid}:{1.gid}",
    "mtime_ns": "time",
}
"""How it is told that an entry is not the same."""


def _as_image(name: str, like: Image | None) -> Image:
    """A source, planned as it would be for the image beside it; or else as a tar, for which times
    do not count: those of a commit's files are the commit's, and those of a copy the copy's.
    """
    volume: Volume = TarVolume()
    if like is not None and like.format != DISK.name:
        volume = format_named(like.format).volume_class()(**dict[str, Any](like.options()))
    return open_image(volume.plan(scan(name, jobs="auto")))


def _is_image(name: str) -> bool:
    """Whether there is an image of that name, or at that URL; all else is a source."""
    place, _ = split_address(name)
    is_remote = is_url(place)
    if not is_remote and (not os.path.exists(place) or os.path.isdir(place)):
        return False
    with suppress(BlockpackError) if is_remote else nullcontext(), open_at(name)[0] as data:
        return format_of(data, name) is not None
    return False


# Builds and generations ---------------------------------------------------------------------------


def _build(path: str) -> str | None:
    """The directory of images at `path`; of a host's root, what is live."""
    for directory in (path, os.path.join(path, CURRENT)):
        if os.path.lexists(os.path.join(directory, RECORD)):
            return directory
    return None


def _of_builds(old: str, new: str) -> Iterator[Change]:
    """What changed, volume by volume. What is in secret ones is not told."""
    before, after = ({i.name: i for i in BuildRecord.read(d).volumes} for d in (old, new))
    for name, change in sorted(changed(before, after)):
        if change != "changed" or before[name].secret or after[name].secret:
            yield Change(f"{name}/", change)
        elif before[name].sha256 != after[name].sha256:
            images = (os.path.join(old, before[name].file), os.path.join(new, after[name].file))
            changes, _ = _of_images(*images)
            yield from (each._replace(path=f"{name}/{each.path}") for each in changes)
            if not changes:
                yield Change(f"{name}/", "changed")
