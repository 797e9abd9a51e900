"""Where images that are not encrypted may lie: in RAM, or on a disk that the manifest allows.

Deploys have a directory in RAM for each generation, which nobody else can enter. Beside its other
images is a link to each that is there; so whatever happens, what is in the directory of the images
tells what there is to be wiped.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from ...errors import SecretError, TargetError, reason
from ...writing.place import Place
from ..file_names import DISK, GENERATION
from ..manifest.specs import ImageSpec
from .ramfs import TYPES, file_system, is_ram

_TRIES = 8


def require_ram(spec: ImageSpec, place: str | int, *, runtime: bool) -> None:
    """Raise `SecretError` unless a directory, or an open file, is on a RAM file system, as that of
    an image in the clear has to be. `runtime` tells that it is where deploys put those.
    """
    try:
        found = file_system(place)
    except OSError as error:
        raise SecretError.of(spec.title, f"{place} cannot be read", error) from None
    if found in TYPES:
        return
    where = "the directory for images in RAM" if runtime else "the directory of the images"
    rule = f"its image is not encrypted, and {where} is on {found}, which is not a RAM file system"
    remedy = "add allow_persistent = true to its secret volumes"
    if spec.format != DISK:
        remedy = 'add cipher = "aes-ccm" or allow_persistent = true to the volume'
    if runtime:
        raise SecretError(spec.title, rule, remedy, "runtime=DIR")
    raise SecretError(spec.title, rule, f"{remedy}, or build into /run")


def nearest(path: str) -> str:
    """The nearest existing directory above `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def make_runtime(path: str) -> Place:
    """A new or empty directory for images in RAM, its owner's alone. Raises `SecretError` if it
    cannot be had, also if somebody else has made what is above it.
    """
    above, name = os.path.split(path)
    base, deployment = os.path.split(above)
    for attempt in range(_TRIES):
        try:
            with Place.own(base, make=0o755) as runtime:
                own = runtime.inside(deployment, make=0o700).require_own(private=True)
            with own:
                with suppress(FileNotFoundError):
                    own.rmdir(name)
                return own.make(name)
        except TargetError as error:
            raise SecretError(error.path, error.rule, option="runtime=DIR") from None
        except OSError as error:
            if error.errno == errno.ENOENT and attempt < _TRIES - 1:
                continue  # another deployment had nothing in it any more, and has removed it
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                rule = "is there already, and nothing in this ROOT leads to it"
                remedy = "remove it if nothing uses it"
                raise SecretError(path, rule, remedy, "runtime=DIR") from None
            rule = f"cannot be made: {reason(error)}"
            raise SecretError(path, rule, option="runtime=DIR") from None
    raise AssertionError("the last attempt returns or raises")


def linked_directory(place: Place, name: str) -> Place | None:
    """The directory, ours alone, that the link `name` leads into, if a deploy made it for images in
    RAM, which have their links' names; None if anybody else may have meant anything else by the
    link.
    """
    home, image = os.path.split(place.readlink(name))
    if image != name or not GENERATION.fullmatch(os.path.basename(home)):
        return None
    if not os.path.isabs(home) or os.path.realpath(home) != home:
        return None
    with suppress(OSError, TargetError):
        found = Place.own(home, private=True)
        if is_ram(found.descriptor):
            return found
        found.close()
    return None


def remove_link(place: Place, name: str) -> None:
    """Remove the link `name`, and wipe the image in RAM that it leads to, if a deploy put it there;
    and remove what is empty then. Raises `OSError`.
    """
    home = linked_directory(place, name)
    if home is not None:
        with home, suppress(FileNotFoundError):
            home.wipe(name)
        remove_empty(os.fsdecode(home.path))
    place.unlink(name)


def remove_empty(directory: str) -> None:
    """Remove a directory of images in RAM, the deployment's and that of all, as far as empty."""
    with suppress(OSError):
        for _ in range(3):
            os.rmdir(directory)
            directory = os.path.dirname(directory)
