"""Where the parts of a deployment's directory are; every rule for their paths is enforced here.

Nothing slow is imported: a build that has nothing to do goes no further than this.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from ...errors import SourceError, UsageError, reading_errors
from ...reading.ownership import open_trusted
from ..file_names import MANIFEST, MOST_BYTES

NO_MANIFEST = "write one (start with 'blockpack init'), or give the directory that has it"


def manifest_text(directory: str) -> bytes:
    """The bytes of the manifest in `directory`. Raises `SourceError`."""
    name = os.path.join(directory, MANIFEST)
    if not os.path.isdir(directory):
        raise SourceError(directory, "is not a directory", "give the directory of a deployment")
    with (
        reading_errors(name, remedy="give the directory of a deployment"),
        suppress(FileNotFoundError),
        open(open_trusted(name, SourceError), "rb") as file,
    ):
        return file.read(MOST_BYTES + 1)  # of one that is too long, enough to tell
    raise SourceError(directory, f"has no {MANIFEST}", NO_MANIFEST)


def inside(root: str, path: str | os.PathLike[str]) -> str | None:
    """The path that `path` has in the directory `root`; None if it is not in there.

    Raises `UsageError` if it is the directory itself, or holds it; and if it is in there by its
    name alone: a link in a repository does not say where things are written.
    """
    top = os.path.realpath(root)
    place = os.path.realpath(path)
    if place == top or top.startswith(os.path.join(place, "")):
        rule = "is the deployment's directory, or holds it"
        raise UsageError(os.fspath(path), rule, "build into a directory of its own")
    if not place.startswith(os.path.join(top, "")):
        if os.path.abspath(path).startswith(os.path.join(os.path.abspath(root), "")):
            rule = "is in the deployment's directory by its name, but a link leads out of it"
            raise UsageError(os.fspath(path), rule, "build into another directory")
        return None
    return os.fsencode(os.path.relpath(place, top)).decode("utf-8", "surrogateescape")


class PartError(SourceError):
    """A part that the manifest names is none: nothing is told of what is in it."""


def place_of(root: str, path: str) -> str:
    """Where the part `path` of the directory `root` is; a directory's place ends in a slash.

    Raises `PartError` if there is none, or it is or goes through a symbolic link.
    """
    place = os.path.join(os.fsencode(root), b"")
    for part in path.encode("utf-8", "surrogateescape").split(b"/") if path else ():
        place += part
        try:
            kind = os.lstat(place).st_mode
        except OSError as error:
            raise PartError.of(path, "cannot be read", error) from None
        if stat.S_ISDIR(kind):
            place += b"/"
        elif not stat.S_ISREG(kind):
            if not stat.S_ISLNK(kind):
                raise PartError(path, "is neither a file nor a directory", "name one")
            rule = "is a symbolic link, or goes through one"
            raise PartError(path, rule, "give the path that it leads to")
    return os.fsdecode(place)


def left_out_of(path: str, left_out: Iterable[str]) -> list[str]:
    """What is to be left out of the part `path`, as paths in there: of `left_out`, and git's own.

    Raises `UsageError` if all of it is.
    """
    prefix = f"{path}/" if path else ""
    found = [] if path else [".git"]
    for place in left_out:
        if path == place or path.startswith(f"{place}/"):
            raise UsageError(path, "is where the build goes", "build into another directory")
        if place.startswith(prefix):
            found.append(place[len(prefix) :])
    return found
