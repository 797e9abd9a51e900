"""Where images that are not encrypted may lie: in RAM, or on a disk that the manifest allows.

Deploys have a directory in RAM for each generation. Beside its other images is a link to each that
is there; so whatever happens, what is in the directory of the images tells what there is to be
wiped.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from ...errors import SecretError, TargetError, reason
from ..file_names import GENERATION
from .ramfs import TYPES, file_system


def require_ram(volume: str, place: str | int, runtime: bool) -> None:
    """Raise `SecretError` unless a directory, or an open file, is on a RAM file system.

    `runtime` tells that it is where deploys put images that are not encrypted.
    """
    try:
        found = file_system(place)
    except OSError as error:
        raise SecretError.of(f"volume {volume}", f"{place} cannot be looked at", error) from None
    if found in TYPES:
        return
    where = "the directory for images in RAM" if runtime else "the directory of the images"
    rule = f"its image is not encrypted, and {where} is on {found}, which is no RAM file system"
    remedy = 'add cipher = "aes-ccm" or allow_persistent = true to the volume'
    if runtime:
        raise SecretError(f"volume {volume}", rule, remedy, "runtime=DIR")
    raise SecretError(f"volume {volume}", rule, f"{remedy}, or build into /run")


def link(target: str, path: str) -> None:
    """Make the link at `path` that leads to an image in RAM. Raises `TargetError`."""
    try:
        os.symlink(target, path)
    except OSError as error:
        raise TargetError.of(path, "no link can be made", error) from None


def linked_image(path: str) -> str | None:
    """The image that the link at `path` leads to, if it can only be one that a deploy put into RAM;
    None if anybody else may have meant anything else by it.

    Such an image has the link's name, and nobody but its owner, who is our user, can enter the
    directory of its generation.
    """
    target = os.readlink(path)
    home, name = os.path.split(target)
    if name != os.path.basename(path) or not GENERATION.fullmatch(os.path.basename(home)):
        return None
    if not os.path.isabs(home) or os.path.realpath(home) != home:
        return None
    with suppress(OSError):
        image, directory = os.lstat(target), os.lstat(home)
        ours = all(
            each.st_uid == os.geteuid() and not each.st_mode & 0o077 for each in (image, directory)
        )
        if ours and stat.S_ISREG(image.st_mode) and file_system(home) in TYPES:
            return target
    return None


def nearest(path: str) -> str:
    """The nearest directory above `path` that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def make_runtime(path: str) -> None:
    """Make a directory for images in RAM, its owner's alone; one that is empty will do.

    Raises `SecretError`.
    """
    failed = None
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError, NotADirectoryError):
            os.rmdir(path)
        os.mkdir(path, 0o700)
    except OSError as error:
        failed = SecretError(path, f"cannot be made: {reason(error)}", option="runtime=DIR")
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            rule = "is there already, and nothing in this ROOT leads to it"
            failed = SecretError(path, rule, "remove it if nothing uses it", "runtime=DIR")
    if failed is not None:
        raise failed


def remove_empty(directory: str) -> None:
    """Remove a directory of images in RAM, and the deployment's, once nothing is in them."""
    for each in (directory, os.path.dirname(directory)):
        try:
            os.rmdir(each)
        except OSError:
            return
