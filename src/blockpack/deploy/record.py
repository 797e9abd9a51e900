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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from attrs import asdict, field, frozen

from .. import __version__
from ..errors import ImageError, SourceError, raise_problems
from ..reading.ownership import open_trusted
from ..writing.write import write_bytes
from .file_names import RECORD

SCHEMA = 1
"""The version of the record's schema; a reader refuses those that it does not know."""

VOLUME_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
"""What every consumer takes as the name of a device."""

DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
"""The name of a deployment; it becomes that of a directory, and never an option."""

_CONTENTS = ("size", "sha256", "fingerprint", "placements")
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
class ImageRecord:
    """One image.

    `file` and `key` (the file with the key that the image is encrypted with, if the build made
    one) are names beside the record, and so is `placements` (docs/manifest.md). `sector_size` and
    `size` are in bytes, of the image as it is attached. `container` is what is around a pack of
    git's objects, and None for other formats. A `secret` one has no size, digest, fingerprint or
    placements.
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
    fingerprint: str | None = None
    placements: str | None = None

    def __attrs_post_init__(self) -> None:
        # No command may ever have these at hand, to print by mistake.
        if self.secret and any(getattr(self, name) is not None for name in _CONTENTS):
            raise ValueError("a record tells nothing of a secret volume's contents")

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files, in the order in which they are made known: its key is first."""
        names = (self.key, self.file, self.placements)
        return tuple(name for name in names if name is not None)

    def _values(self) -> dict[str, Any]:
        """The record as JSON values."""
        values = asdict(self)
        left_out = set(_CONTENTS) if self.secret else set()
        if self.container is None:
            left_out.add("container")
        return {name: value for name, value in values.items() if name not in left_out}


@frozen(kw_only=True)
class BuildRecord:
    """A build: the deployment's name, what it was made of, and its images in the manifest's order.

    `version` is that of the blockpack that built it.
    """

    name: str
    source: Origin
    volumes: tuple[ImageRecord, ...]
    version: str = field(default=__version__)

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Self:
        """The record in `directory`.

        Raises `SourceError` if there is none, or it is another user's, and `ImageError` or
        `Problems` if it is damaged or of another version.
        """
        path = Path(directory) / RECORD
        values = _parsed(path)
        found = _Checked(values, "")
        version = found.text("blockpack")
        name = found.matching("name", DEPLOYMENT_NAME, "a deployment's name")
        source = _origin(found.part("source"))
        volumes = tuple(_image(each) for each in found.parts("volumes"))
        problems = [*found.problems, *_repeated(volumes)]
        raise_problems(f"{path} is damaged; build again", problems)
        return cls(name=name, source=source, volumes=volumes, version=version)

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Write the record to `directory`: whole, or not at all. Raises `TargetError`."""
        write_bytes(self.encoded(), Path(directory) / RECORD)

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
    name = str(path)
    try:
        with open(open_trusted(path, SourceError), "rb") as file:
            text = file.read(_MOST)
    except OSError as error:
        remedy = "give a directory that blockpack has built or deployed to"
        raise SourceError.of(str(path), "cannot be read", error, remedy) from None
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


_REMEDY = "build again"


class _Checked:
    """Values of a JSON object that may be missing, or be anything; hears of all problems.

    What is wrong is replaced by something of the right type, so that the rest can be looked at.
    """

    def __init__(self, values: object, where: str, problems: list[ImageError] | None = None):
        self.problems: list[ImageError] = [] if problems is None else problems
        self._where = where
        self._values: Mapping[str, Any] = {}
        if isinstance(values, dict):
            self._values = values
        else:
            self.problems.append(ImageError(where or "it", "is not an object", _REMEDY))

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def wrong(self, key: str, rule: str) -> None:
        """Take down what is wrong with the value of `key`."""
        place = f"{self._where}.{key}" if self._where else key
        self.problems.append(ImageError(place, rule, _REMEDY))

    def _get(self, key: str, kind: type, article: str) -> Any:
        value = self._values.get(key)
        if type(value) is kind:
            return value
        self.wrong(key, f"is not {article}" if key in self._values else "is missing")
        return kind()

    def text(self, key: str) -> str:
        value: str = self._get(key, str, "a string")
        return value

    def number(self, key: str) -> int:
        value: int = self._get(key, int, "a whole number")
        if value < 0:
            self.wrong(key, "is negative")
        return value

    def sector_size(self, key: str) -> int:
        """A size that devices' sectors have, in bytes."""
        value = self.number(key)
        if not 512 <= value <= 32768 or value & (value - 1):
            self.wrong(key, "is not a power of two from 512 to 32768")
        return value

    def word(self, key: str) -> str:
        """A word that blockpack has for something."""
        return self.matching(key, _WORD, "a word of blockpack's")

    def flag(self, key: str) -> bool:
        value: bool = self._get(key, bool, "true or false")
        return value

    def optional(self, key: str, get: Callable[[str], str]) -> str | None:
        """What `get` makes of the value; None where it is null or missing."""
        return get(key) if key in self else None

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """A string that is as a whole what `pattern` says."""
        count = len(self.problems)
        value = self.text(key)
        if len(self.problems) == count and not pattern.fullmatch(value):
            self.wrong(key, f"{value!r} is not {what}")
        return value

    def digest(self, key: str) -> str:
        return self.matching(key, _DIGEST, "a digest in hex")

    def file(self, key: str) -> str:
        """The name of a file that lies beside the record, and nowhere else."""
        return self.matching(key, _FILE, "the name of a file beside this one")

    def part(self, key: str) -> _Checked:
        """The object that is the value of `key`."""
        place = f"{self._where}.{key}" if self._where else key
        return _Checked(self._values.get(key), place, self.problems)

    def parts(self, key: str) -> Iterator[_Checked]:
        """The objects in the array that is the value of `key`."""
        for number, value in enumerate(self._get(key, list, "an array")):
            yield _Checked(value, f"{key}[{number}]", self.problems)


_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{40,128}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)


def _origin(values: _Checked) -> Origin:
    if "directory" in values:
        return FromDirectory(values.text("directory"))
    return FromCommit(values.digest("commit"), values.digest("tree"))


def _image(values: _Checked) -> ImageRecord:
    secret = values.flag("secret")
    if secret:
        for name in _CONTENTS:
            if name in values:
                values.wrong(name, "is given for a secret volume")
    contents: dict[str, Any] = {} if secret else _contents(values)
    format = values.word("format")
    if (format == "git") != ("container" in values):
        values.wrong("container", "is only for the format git")
    return ImageRecord(
        name=values.matching("name", VOLUME_NAME, "a volume's name"),
        file=values.file("file"),
        format=format,
        profile=values.word("profile"),
        sector_size=values.sector_size("sector_size"),
        container=values.optional("container", values.word),
        secret=secret,
        cipher=values.optional("cipher", values.word),
        key=values.optional("key", values.file),
        **contents,
    )


def _contents(values: _Checked) -> dict[str, Any]:
    return {
        "size": values.number("size"),
        "sha256": values.digest("sha256"),
        "fingerprint": values.optional("fingerprint", values.text),
        "placements": values.optional("placements", values.file),
    }


def _repeated(volumes: tuple[ImageRecord, ...]) -> Iterator[ImageError]:
    """A problem for each volume that has a name or a file which an earlier one has."""
    for what in ("name", "file"):
        values = [getattr(volume, what) for volume in volumes]
        for number, value in enumerate(values):
            if value in values[:number]:
                rule = f"{value!r} is also that of an earlier volume"
                yield ImageError(f"volumes[{number}].{what}", rule, _REMEDY)
