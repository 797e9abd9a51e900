"""Images of secret volumes that are there: whether they will do, are sound, and how they go."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ...errors import BlockpackError, SecretError
from ...images.open_image import open_image
from ...layers.ccm_reader import sector_size_of
from ...layers.keys import read_key
from ...layers.memory import guarded
from ...reading.lifetime import held
from ...writing.place import Place
from ..manifest.specs import ImageSpec
from ..record import BuildRecord, ImageRecord
from ..secrets.options import Secrets
from ..secrets.ramfs import is_ram
from ..secrets.runtime import linked_directory, remove_link


def serves(
    image: ImageRecord, directory: str | os.PathLike[str], spec: ImageSpec, secrets: Secrets
) -> bool:
    """Whether the image of a secret volume is there, and is what `spec` wants, unread; and opens
    with the key file, if there is one.
    """
    path = os.path.join(directory, image.file)
    if (image.secret, image.cipher) != (spec.secret, spec.cipher) or not os.path.isfile(path):
        return False
    if spec.cipher is None:
        return _is_ours(directory, image.file) and (spec.allow_persistent or is_ram(path))
    if secrets.key_file is None:
        return True  # its own key may have been taken to where it is needed
    key = read_key(secrets.key_file)
    with held(os.open(path, os.O_RDONLY)) as file:
        size, sectors = os.fstat(file).st_size, (image.sector_size,)
        return sector_size_of(key, lambda at, n: os.pread(file, n, at), size, sectors) is not None


def _is_ours(directory: str | os.PathLike[str], file: str) -> bool:
    """Whether an image is there, or where a deploy put it into RAM if it is a link: after a restart
    of the host somebody else may have made what it leads to.
    """
    with suppress(OSError), Place.open(os.fspath(directory)) as place:
        if not stat.S_ISLNK(place.lstat(file).st_mode):
            return True
        if home := linked_directory(place, file):
            home.close()
            return True
    return False


def verify(image: ImageRecord, directory: str | os.PathLike[str], secrets: Secrets) -> None:
    """Raise `SecretError` unless the image of a secret volume is sound; all of it is read."""
    key_file = os.path.join(directory, image.key) if image.key else secrets.key_file
    key = None if image.cipher is None or key_file is None else read_key(key_file)
    sound = False
    path = os.path.join(directory, image.file)
    with suppress(BlockpackError), guarded(), open_image(path, key=key) as opened:
        sound = _is_ours(directory, image.file) and not opened.verify()
    if not sound:
        raise SecretError(image.title, "is not what was written", "check the disk")


def retire(place: Place) -> None:
    """Wipe what is secret in a directory of images that is to be removed.

    That is what the record there tells to be, what was not yet given its name, and without a record
    what nobody else may read; but nothing that has another name, and is still in use there. Links
    are followed only to what a deploy put there. Raises `OSError`.
    """
    secret = None
    with suppress(BlockpackError):
        volumes = BuildRecord.read(os.fsdecode(place.path)).volumes
        secret = {name for image in volumes if image.secret for name in image.files}
    retire_staged(place)
    for name in place.names():
        status = place.lstat(name)
        if stat.S_ISLNK(status.st_mode):
            remove_link(place, name)
            continue
        private = not status.st_mode & 0o077 if secret is None else name in secret
        if private and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            place.wipe(name)


def retire_staged(place: Place) -> None:
    """Remove what a run that was killed left in a directory of images, and wipe what is secret."""
    for name in place.leftovers():
        with suppress(OSError), place.inside(name) as staged:
            for each in staged.names():
                if stat.S_ISLNK(staged.lstat(each).st_mode):
                    remove_link(staged, each)
    place.tidy()
