"""``blockpack status``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from attrs import asdict

from ..deploy.host.differences import VolumeChange, differences
from ..deploy.host.generations import Generations
from ..deploy.host.status import GenerationStatus, Status, status, verify_live
from ..errors import printable
from . import flags
from .output import SIGNS, amount, emit, emit_json, picked
from .progress_bar import progress_bar

EXAMPLE = "blockpack status /var/lib/www --diff 3 4"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "root")
    flags.value(parser, "--diff", ("OLD", "NEW"), "how two generations differ", nargs=2, type=int)
    flags.switch(parser, "--verify", "read all that is live; if it is damaged, end with 6")
    flags.add(parser, "--json")


def run(arguments: Namespace) -> int:
    if arguments.diff is not None:
        place = Generations.existing(arguments.root)
        old, new = map(place.numbered, arguments.diff)
        changes = tuple(differences(old, new))
        if arguments.json:
            emit_json({"old": old.number, "new": new.number, "changes": list(map(asdict, changes))})
        else:
            for line in _changes(changes):
                emit(line)
        return 0
    if arguments.verify:
        with progress_bar(quiet=False) as progress:
            verify_live(arguments.root, progress)
    found = status(arguments.root)
    if arguments.json:
        emit_json(_json(found))
    else:
        emit("\n".join(_lines(found)))
    return 0


def _json(found: Status) -> dict[str, Any]:
    live = found.live
    return {
        **picked(found, "root", "name"),
        "live": None if live is None else live.number,
        "unfinished": found.unfinished,
        "generations": [_generation(each) for each in found.generations],
        "compared": found.compared,
        "changes": list(map(asdict, found.changes)),
        **picked(found, "way_back", "disk_use"),
        "gc": {"keep": found.keep, "generations": list(found.outdated), "freed": found.freed},
    }


def _generation(each: GenerationStatus) -> dict[str, Any]:
    return {
        **picked(each, "number", "name", "commit", "live"),
        "live_since": None if each.live_since is None else _time(each.live_since),
        **picked(each, "size", "passed", "failed", "damaged"),
        "volumes": [picked(image, "name", "format", "size", "sha256") for image in each.volumes],
    }


def _lines(found: Status) -> Iterator[str]:
    live = found.live
    if live is None:
        yield f"{printable(found.root)}: nothing is live"
    else:
        since = _time(live.live_since or 0)
        name = found.name or printable(found.root)
        yield f"{name}: generation {live.number} is live since {since}"
        if live.commit:
            yield f"commit {live.commit}"
        for image in live.volumes:
            size = "secret" if image.size is None else amount(image.size)
            yield f"  {image.name:<16} {image.format:<4} {size:>12}"
    if found.unfinished:
        yield "the last run ended before its command did; deploy again"
    for each in found.generations:
        mark = "*" if each.live else " "
        if each.damaged is not None:
            yield f"{mark} {each.number:>5}  damaged: {each.damaged}"
            continue
        size = amount(each.size) if each.size else "secret"
        shown = f"{each.commit[:12]}  {size:>12}  {_outcome(each)}"
        yield f"{mark} {each.number:>5}  {shown}"
    yield f"all take {amount(found.disk_use)} on the disk"
    if found.outdated:
        numbers = ", ".join(map(str, found.outdated))
        yield f"gc --keep {found.keep} would remove {numbers}, and free {amount(found.freed)}"
    if found.compared is not None and found.changes:
        yield f"changed since generation {found.compared}:"
        yield from _changes(found.changes)


def _outcome(each: GenerationStatus) -> str:
    if each.failed is not None:
        return f"failed: {printable(each.failed)}"
    return "passed" if each.passed else "has not passed yet"


def _changes(changes: Iterable[VolumeChange]) -> Iterator[str]:
    for volume in changes:
        yield f"{SIGNS[volume.change]} {volume.name}"
        for file in volume.files:
            yield f"{SIGNS[file.change]} {volume.name}/{printable(file.path)}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
