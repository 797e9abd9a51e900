"""Extracting an image into a directory, without trusting it.

Everything is made in a new directory beside the target, which takes the target's name when it is
whole. An empty directory that is there already may be a mount point, or where somebody is, and so
is filled in place. Directories come first, then files, by several processes if that pays; links
come after them, so that nothing could be written through one.

Rule 1: an entry is whole or absent. What is unsound or damaged costs itself alone: the rest is
extracted, and then all of that is raised.
Rule 2: what the target cannot take costs everything: nothing is left behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

from ..errors import BlockpackError, ImageError, TargetError, raise_problems, require_path
from ..formats.reader import ImageEntry
from ..model.entry import encode, parent_of
from ..workers.pool import lost_process, shared_out
from ..workers.processors import Jobs
from ..workers.sharing import SharedCount, jobs_for, stretches
from ..writing.files import require_directory
from ..writing.place import Place, settle
from ..writing.progress import Meter, Tell
from ..writing.targets import target_errors
from ..writing.temporary_names import temporary_name
from .creation import Creation, Outcome
from .image import Image
from .naming import unholdable
from .soundness import unsound


def extract(
    image: Image, directory: str | os.PathLike[str], *, jobs: Jobs = 1, progress: Tell | None = None
) -> int:
    """Copy everything in `image` to `directory`, which is new or empty; the number of entries.

    Times and permission bits are the image's (without set-id bits), owners are not. Until they are
    whole, files are 0600 and directories 0700. `jobs` is the number of processes, or ``auto``: as
    many as pay. `progress` is called a few times a second, and at the end.

    Raises `TargetError` if the directory has something in it or cannot be written, as `Problems`
    for names that its file system cannot hold, and `ImageError` if nothing of the image can be
    read; then nothing is left behind. Raises `Problems` at the end for entries that lead elsewhere,
    are devices, or are damaged: all others were extracted.
    """
    path = require_path(directory)
    refused: dict[str, BlockpackError] = {error.path: error for error in _unsafe(image.entries)}
    entries = [
        entry for entry in image.entries.values() if entry.path not in refused and not entry.damage
    ]
    meter = Meter("extracting", sum(entry.size for entry in entries), progress)
    names = {entry.path.partition("/")[0] for entry in entries}
    with _target(path, names) as place:
        with target_errors(path):
            unheld = list(unholdable(place, entries))
        raise_problems("nothing was extracted", unheld)
        lost = _fill(image, entries, place, jobs, meter)
    meter.finish()
    told = {error.path for error in image.untold}
    refused_too = [error for error in refused.values() if error.path not in told]
    wrong = [*image.untold, *refused_too, *lost]
    raise_problems("not all of the image was extracted", wrong)
    return len(entries)


def _unsafe(entries: Mapping[str, ImageEntry]) -> Iterator[ImageError]:
    """What keeps entries from being extracted, all of it."""
    refused = set()
    for error in unsound(entries):
        refused.add(error.path)
        yield error
    for entry in entries.values():
        if entry.kind == "other":
            yield ImageError(entry.path, "is a device or a pipe, which is never extracted")
        if entry.kind == "hardlink":
            target = entries.get(entry.target)
            if target is None or target.kind != "file" or entry.target in refused:
                rule = f"links to {entry.target}, which is not a file that is extracted"
                yield ImageError(entry.path, rule)


@contextmanager
def _target(path: str, names: Iterable[str]) -> Iterator[Place]:
    """The directory `path` to be filled: an empty one, or a new one that gets its name at the end.

    Whatever fails, `names` are removed there, and nothing that others made. Raises `TargetError`.
    """
    name = path
    path = path.rstrip("/") or path
    there = os.path.lexists(path)
    with target_errors(name):
        if os.path.islink(path) or (there and not os.path.isdir(path)):
            raise TargetError(name, *_TAKEN)
        at = path if there else os.path.dirname(path) or os.curdir
        require_directory(at, name)
        above = Place.open(at)
    with above:
        temporary = temporary_name()
        with target_errors(name):
            if there and above.names():
                raise TargetError(name, *_TAKEN)
            work = above if there else above.make(temporary)
        try:
            yield work
            if not there:
                with target_errors(name):
                    # What it has of its directory (set-group-id), and what the umask leaves.
                    inherited = work.status.st_mode & 0o7000
                    settle(work.descriptor, inherited | work.mode(0o777))
                    above.rename(temporary, os.path.basename(path))
        except BaseException:
            work.remove(map(encode, names))
            if not there:
                above.rmdir(temporary)
            raise
        finally:
            work.close()


_LOST = lost_process("an extracting process", "nothing was extracted")
_TAKEN = "is there already", "give a new or an empty directory"


def _fill(
    image: Image, entries: list[ImageEntry], root: Place, jobs: Jobs, meter: Meter
) -> list[BlockpackError]:
    """Make all `entries` in `root`; what of them cannot be read."""
    progress = SharedCount(meter.advance)
    with closing(Creation(image, root, progress.count)) as creation:
        done = creation.make(_directories(entries))
        for outcome in _files(image, entries, creation, jobs, progress):
            done.add(outcome)
        absent = {error.path for error in done.lost}
        links = [entry for entry in entries if entry.kind in ("hardlink", "symlink")]
        for entry in links:
            if entry.kind == "hardlink" and entry.target in absent:
                rule = f"links to {entry.target}, which cannot be read"
                done.lost.append(ImageError(entry.path, rule))
                absent.add(entry.path)
        done.add(creation.make(entry for entry in links if entry.path not in absent))
        raise_problems("nothing was extracted", done.unheld)
        # A directory's time comes last, for what is made in it changes it; so does its mode, which
        # may keep us out: what is in it comes before.
        for entry in sorted(entries, key=lambda entry: -entry.path.count("/")):
            if entry.kind == "directory":
                creation.settle(entry)
    return done.lost


def _directories(entries: list[ImageEntry]) -> list[ImageEntry]:
    """All directories, those included that have no entry; each after the one that it is in."""
    found: dict[str, ImageEntry] = {}
    for entry in entries:
        path = entry.path if entry.kind == "directory" else parent_of(entry.path)
        above = []
        while path and path not in found:
            above.append(path)
            path = parent_of(path)
        for path in reversed(above):
            found[path] = ImageEntry(path=path, kind="directory")
    return list(found.values())


def _files(
    image: Image, entries: list[ImageEntry], creation: Creation, jobs: Jobs, progress: SharedCount
) -> Iterator[Outcome]:
    """Make all files, a stretch of them after the other, by several processes."""
    # In the order in which they lie, so that many are read at once.
    files = [entry for entry in entries if entry.kind == "file"]
    files.sort(key=lambda entry: entry.offset or 0)
    workers = jobs_for(len(files), jobs) if image.reader.data.forkable else 1
    plan = stretches(files, workers)

    def work(number: int) -> Outcome:
        return creation.make(plan[number])

    for _, outcome in shared_out(len(plan), workers, work, _LOST, progress):
        yield outcome
