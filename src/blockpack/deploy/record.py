"""The record of a build, ``manifest.json``: what was built, of what, and into which files.

It lies beside the images (docs/deploy/manifest-json.md) and is all that later steps know of them.
Of a secret volume it says how to attach it, and nothing of what is in it: no size, no digest.

A record is read as strictly as it is written: a name in it becomes a path, and a line in a
machine's configuration.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from errno import ENOENT
from pathlib import Path
from typing import Any, NamedTuple, Self

from attrs import asdict, field, frozen

from .. import __version__
from ..errors import (
    BlockpackError,
    ImageError,
    SourceError,
    raise_problems,
    reading_errors,
    reason,
)
from ..layers.verity.hash_tree import ALGORITHMS, BLOCK_SIZES
from ..model.limits import MOST
from ..reading.ownership import open_trusted
from .file_names import RECORD
from .image_errors import Titled

SCHEMA = 1
"""The version of the record's schema; a reader refuses those that it does not know."""

VOLUME_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
"""What every consumer takes as the name of a device."""

DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
"""The name of a deployment; it becomes that of a directory, and never an option."""

_CONTENTS = ("size", "sha256", "tree_sha256", "fingerprint", "placements", "verity")
"""What a record says of an image's contents, and never of a secret's."""

_MOST = 64 << 20
"""Bytes of a record: far more than any has, and no more than any memory."""


@frozen
class FromCommit:
    """A build of what is in git: the ids of the commit and of the tree that was built, in hex."""

    commit: str
    tree: str


@frozen
class FromDirectory:
    """A build of a directory, by its absolute path."""

    directory: str


Origin = FromCommit | FromDirectory
"""What a build was made of."""


@frozen(kw_only=True)
class HashTreeRecord:
    """The hash tree behind an image, as a kernel is told of it: sizes in bytes, the salt in hex. Of
    trees in partitions of a disk it is the root hash alone, or that of its /usr.
    """

    root_hash: str
    hash_offset: int | None = None
    hash_algorithm: str | None = None
    hash_salt: str | None = None
    data_blocks: int | None = None
    data_block_size: int | None = None
    hash_block_size: int | None = None

    @classmethod
    def of(cls, geometry: Mapping[str, Any]) -> Self | None:
        """That of an image with such a geometry, if it has one."""
        if "hash_offset" not in geometry:
            found = geometry.get("root_hash") or geometry.get("usr_hash")
            return None if found is None else cls(root_hash=str(found))
        return cls(**{name: geometry[name] for name in _HASH_TREE})


@frozen(kw_only=True)
class ImageRecord(Titled):
    """One image, of a volume or a disk.

    `file` and `key` (the file with the key that the image is encrypted with, if the build made
    one) are names beside the record, and so is `placements` (docs/manifest.md). `sector_size` and
    `size` are in bytes, of the image as it is attached. `container` is what is around a pack of
    git's objects, and None for other formats. `tree_sha256` is the digest of what is in it
    (docs/manifest.md), `verity` its hash tree. A `secret` one has no size, digests, fingerprint,
    placements or hash tree.
    """

    name: str
    file: str
    format: str
    profile: str
    sector_size: int
    container: str | None = None
    secret: bool = False
    cipher: str | None = None
    key: str | None = None
    size: int | None = None
    sha256: str | None = None
    tree_sha256: str | None = None
    fingerprint: str | None = None
    placements: str | None = None
    verity: HashTreeRecord | None = None

    def __attrs_post_init__(self) -> None:
        # No command may ever have these at hand, to print by mistake.
        if self.secret and any(getattr(self, name) is not None for name in _CONTENTS):
            raise ValueError("a record tells nothing of a secret volume's contents")

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files, in the order in which they are made known: its key is first."""
        names = (self.key, self.file, self.placements)
        return tuple(name for name in names if name is not None)

    def size_in(
        self,
        directory: str | os.PathLike[str],
        remedy: str,
        missing: type[BlockpackError] = ImageError,
    ) -> int:
        """Bytes of the image in a directory. Raises `missing` unless it is there, and `ImageError`
        unless it is as long as it was built.
        """
        path = os.path.join(directory, self.file)
        try:
            size = os.stat(path).st_size
        except OSError as error:
            rule = f"cannot be read: {reason(error)}"
            raise missing(path, "is gone" if error.errno == ENOENT else rule, remedy) from None
        if self.size is not None and size != self.size:
            rule = f"has {size:,} bytes, and should have {self.size:,}"
            raise ImageError(path, rule, remedy)
        return size

    def _values(self) -> dict[str, Any]:
        values = asdict(self)
        left_out = set(_CONTENTS) if self.secret else set()
        left_out.update(name for name in ("container", "verity") if values[name] is None)
        if self.verity is not None:
            told = values["verity"].items()
            values["verity"] = {name: value for name, value in told if value is not None}
        return {name: value for name, value in values.items() if name not in left_out}


@frozen(kw_only=True)
class BuildRecord:
    """A build: the deployment's name, what it was made of, its images in the manifest's order, and
    the `version` of blockpack.
    """

    name: str
    source: Origin
    volumes: tuple[ImageRecord, ...]
    version: str = field(default=__version__)

    @property
    def commit(self) -> str:
        """The id of the commit that it was built from, in hex; empty for a directory."""
        return self.source.commit if isinstance(self.source, FromCommit) else ""

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Self:
        """The record in `directory`. Raises `SourceError` if there is none, or it is another
        user's, and `ImageError` or `Problems` if it is damaged or of another version.
        """
        path = Path(directory) / RECORD
        values = _parsed(path)
        problems: list[ImageError] = []
        found = _checked(values, "", _BUILD, problems)
        source = _origin(values.get("source"), problems)
        volumes = [
            _image(each, f"volumes[{number}]", problems)
            for number, each in enumerate(found["volumes"] or ())
        ]
        problems += _repeated(volumes)
        raise_problems(f"{path} is damaged; build again", problems)
        return cls(
            name=found["name"], source=source, volumes=(*volumes,), version=found["blockpack"]
        )

    def encoded(self) -> bytes:
        """The record as it is in its file; the same for the same build."""
        values = {
            "schema": SCHEMA,
            "blockpack": self.version,
            "name": self.name,
            "source": asdict(self.source),
            "volumes": [image._values() for image in self.volumes],
        }
        return json.dumps(values, indent=2).encode("ascii") + b"\n"


def _parsed(path: Path) -> Mapping[str, Any]:
    """The values in the file `path`, of a schema that is known here."""
    name, remedy = str(path), "give a directory that blockpack has built or deployed to"
    with reading_errors(name, remedy=remedy), open(open_trusted(path, SourceError), "rb") as file:
        text = file.read(_MOST)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ImageError(name, "is not JSON, or is cut short", "build again") from None
    schema = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise ImageError(name, "is not a record of a build: it has no 'schema'", "build again")
    if schema != SCHEMA:
        rule = f"has the schema {schema}, and this blockpack knows {SCHEMA}"
        raise ImageError(name, rule, "build again, or use the blockpack that wrote it")
    checked: Mapping[str, Any] = values
    return checked


# What values are ---------------------------------------------------------------------------------


class _Rule(NamedTuple):
    """That a value is of a type, and such that it `holds`; `what` it is in words."""

    type: type
    what: str
    holds: Callable[[Any], object] = lambda value: True
    optional: bool = False


def _matching(pattern: str | re.Pattern[str], what: str) -> _Rule:
    return _Rule(str, what, re.compile(pattern).fullmatch)


_TEXT = _Rule(str, "a string")
_WORD = _matching("[a-z][a-z0-9.-]{0,31}", "a word of blockpack's")
_DIGEST = _matching("[0-9a-f]{40,128}", "a digest in hex")
_FILE = _matching("[A-Za-z0-9][A-Za-z0-9._-]{0,254}", "the name of a file beside this one")

_BUILD = {
    "blockpack": _TEXT,
    "name": _matching(DEPLOYMENT_NAME, "a deployment's name"),
    "volumes": _Rule(list, "an array"),
}
_DIRECTORY = {"directory": _TEXT}
_COMMIT = {"commit": _DIGEST, "tree": _DIGEST}
_IMAGE = {
    "name": _matching(VOLUME_NAME, "a volume's name"),
    "file": _FILE,
    "format": _WORD,
    "profile": _WORD,
    "sector_size": _Rule(
        int, "a power of two from 512 to 32768", [512 << shift for shift in range(7)].__contains__
    ),
    "container": _WORD._replace(optional=True),
    "secret": _Rule(bool, "true or false"),
    "cipher": _WORD._replace(optional=True),
    "key": _FILE._replace(optional=True),
    "size": _Rule(int, "a number of bytes", lambda size: size >= 0),
    "sha256": _DIGEST,
    "tree_sha256": _DIGEST._replace(optional=True),
    "fingerprint": _TEXT._replace(optional=True),
    "placements": _FILE._replace(optional=True),
    "verity": _Rule(dict, "an object", optional=True),
}
_SIZE_OF_BLOCK = _Rule(int, "the size of a block", BLOCK_SIZES.__contains__, optional=True)
_HASH_TREE = {
    "root_hash": _DIGEST,
    "hash_offset": _Rule(
        int, "a number of bytes", lambda at: 0 < at <= MOST and not at % 512, optional=True
    ),
    "hash_algorithm": _Rule(str, "a hash", ALGORITHMS.__contains__, optional=True),
    "hash_salt": _matching("(?:[0-9a-f]{2}){0,256}", "a salt in hex")._replace(optional=True),
    "data_blocks": _Rule(
        int, "a number of blocks", lambda blocks: 0 < blocks <= MOST, optional=True
    ),
    "data_block_size": _SIZE_OF_BLOCK,
    "hash_block_size": _SIZE_OF_BLOCK,
}
_SECRET_IMAGE = {name: rule for name, rule in _IMAGE.items() if name not in _CONTENTS}


def _checked(
    values: object, where: str, rules: Mapping[str, _Rule], problems: list[ImageError]
) -> dict[str, Any]:
    """The values of a JSON object that there are rules for; None for what is missing or wrong,
    which is added to the problems.
    """
    if not isinstance(values, dict):
        problems.append(_damage(where, "is not an object"))
        return dict.fromkeys(rules)
    found: dict[str, Any] = {}
    for name, rule in rules.items():
        value = values.get(name)
        sound = type(value) is rule.type and rule.holds(value)
        found[name] = value if sound else None
        if not sound and not (value is None and rule.optional):
            told = f"is not {rule.what}" if name in values else "is missing"
            problems.append(_damage(f"{where}.{name}" if where else name, told))
    return found


def _damage(where: str, rule: str) -> ImageError:
    return ImageError(where, rule, "build again")


def _origin(values: object, problems: list[ImageError]) -> Origin:
    if isinstance(values, dict) and values.get("directory") is not None:
        return FromDirectory(**_checked(values, "source", _DIRECTORY, problems))
    return FromCommit(**_checked(values, "source", _COMMIT, problems))


def _image(values: object, where: str, problems: list[ImageError]) -> ImageRecord:
    is_secret = isinstance(values, dict) and values.get("secret") is True
    found = _checked(values, where, _SECRET_IMAGE if is_secret else _IMAGE, problems)
    if isinstance(values, dict):
        told = (name for name in _CONTENTS if is_secret and values.get(name) is not None)
        problems += (_damage(f"{where}.{name}", "is given for a secret volume") for name in told)
        if (found["format"] == "git") != (found["container"] is not None):
            problems.append(_damage(f"{where}.container", "is only for the format git"))
    if found.get("verity") is not None:
        tree = _checked(found["verity"], f"{where}.verity", _HASH_TREE, problems)
        if (tree["hash_offset"] is None) != any(value is None for value in tree.values()):
            problems.append(_damage(f"{where}.verity", "lacks some of what a kernel is told"))
        found["verity"] = HashTreeRecord(**tree)
    return ImageRecord(**found)


def _repeated(volumes: Sequence[ImageRecord]) -> Iterator[ImageError]:
    """A problem for each volume that has a name or a file which an earlier one has."""
    for what in ("name", "file"):
        values = [getattr(volume, what) for volume in volumes]
        for number, value in enumerate(values):
            if value is not None and value in values[:number]:
                yield _damage(f"volumes[{number}].{what}", "is also that of an earlier volume")
