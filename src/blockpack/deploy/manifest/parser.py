"""The manifest of a deployment, `blockpack.toml`: the volumes that a tree of files is built into.

A manifest may come from anybody who can write to a repository, so nothing in it is believed:
paths stay in the tree, sizes and numbers are limited, and no more than its own text is read.
What is wrong is reported all at once, each problem with its line and key.

The keys of a volume are the options of ``pack``, as they are written there (`options`), and those
that say what it is made of and what becomes of secrets. See docs/deploy/manifest.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from ...errors import UsageError
from ...formats.registry import format_named
from ...model.entry import check_path, encode
from ...planning.options import TREE, VOLUME, keys
from ...planning.volume import require_choice
from ...sources.exclude import excluding
from ..file_names import MANIFEST
from ..record import VOLUME_NAME
from .consumers import CONSUMERS, Device, hints
from .document import kind, nearest, shown
from .line_numbers import Path
from .volume_options import Value, VolumeTables, cipher_refused, volume_of

if TYPE_CHECKING:
    from ...planning.volume import Volume
    from ...sources.options import Submodules, Symlinks

CIPHERS = ("aes-ccm",)
"""How volumes can be encrypted."""

MOST_VOLUMES = 1000
MOST_PARTS = 1000
MOST_PATTERNS = 10_000
MOST_RECIPIENTS = 1000
"""How many of each a manifest has at most."""

LONGEST_PATH = 4096
DEEPEST_PATH = 255
"""How many bytes a path has at most, and how many parts between slashes: each is a directory."""

DEPLOYMENT_KEYS = ("name", "recipients", "consumer")
PART_KEYS = ("path", "at")
OWN_KEYS = ("source", "format", "secret", "cipher", "allow_persistent")
"""The keys of ``[deployment]``, of a part, and of a volume beside its options."""

VOLUME_KEYS = (*OWN_KEYS, *keys(TREE), *keys(VOLUME))
"""All keys of a ``[volumes.NAME]`` table."""

RESERVED = ("manifest",)
"""Names that no volume has: ``manifest.json`` is the build's own file, beside ``<volume>.json``."""

DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What is sound as the name of a directory."""

RECIPIENT = re.compile(
    r"age1(?:[a-z0-9]{1,40}1)?[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{58,4000}"
    r"|ssh-(?:ed25519|rsa) AAAA[A-Za-z0-9+/]{40,2000}={0,2}(?: [^\n]{0,200})?"
)
"""The shape of a recipient of age. Whether it is one is for age to say."""

_SECRET_KEY = re.compile(r"AGE-(?:SECRET-KEY|PLUGIN-)|-----BEGIN", re.IGNORECASE)
_SPELLINGS = {
    **{option.name: option.key for option in (*TREE, *VOLUME)},
    "allow-persistent": "allow_persistent",
    "tar_dialect": "tar-dialect",
    "encryption": "cipher",
    "path": "source",
    "ignore": "exclude",
}
"""Other names that keys of a volume go by, for what was meant."""


@frozen
class Part:
    """One source of a volume.

    `path` is in the deployment's tree; empty for all of it. `at` is where in the volume it goes:
    what a directory holds, or a file itself; empty for the volume's root.
    """

    path: str
    at: str = ""


@frozen
class VolumeSpec:
    """One ``[volumes.NAME]`` table.

    `options` are the keyword arguments of the format's volume class that the manifest gives, or
    that its consumers ask for; sizes in bytes. `exclude`, `symlinks` and `submodules` are as in
    `Tree.scan`. `secret` volumes are decrypted while they are built; `cipher` encrypts the image,
    and `allow_persistent` lets one without be written to a disk.
    """

    name: str
    parts: tuple[Part, ...]
    format: str
    options: Mapping[str, Value] = field(factory=dict)
    exclude: tuple[str, ...] = ()
    symlinks: Symlinks = "keep"
    secret: bool = False
    cipher: str | None = None
    allow_persistent: bool = False
    submodules: Submodules = "error"

    def volume(self) -> Volume:
        """The volume that plans the image. Raises `UsageError` (for SOURCE_DATE_EPOCH)."""
        return format_named(self.format).volume_class()(**dict[str, Any](self.options))

    def device(self) -> Device:
        """The image as its consumers see it."""
        volume = volume_of(self.format, self.options)
        size = volume.size or volume.pad
        return Device(
            name=self.name,
            format=self.format,
            profile=volume.profile.name,
            sector_size=volume.sector_size,
            size=size if self.cipher is None else 2 * size,  # format/ccm: two sectors for one
            container=getattr(volume, "container", None),
            secret=self.secret,
            cipher=self.cipher,
        )


@frozen
class Manifest:
    """A deployment: its name, who can open its secrets, its volumes in the file's order, and the
    consumers that they are for.
    """

    name: str
    recipients: tuple[str, ...]
    volumes: Mapping[str, VolumeSpec]
    consumers: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | bytes, file: str = MANIFEST, consumers: Sequence[str] = ()) -> Self:
        """The manifest that `text` is; `file` is its name in messages. It is for `consumers`, if
        there are any, whatever it says itself.

        Raises `Problems` with a `ManifestError` for everything that is wrong with it.
        """
        for consumer in consumers:
            require_choice("consumer", consumer, tuple(CONSUMERS))
        document = _Document(text, file, consumers)
        manifest = document.manifest()
        document.finish()
        return cls(*manifest)

    def hints(self) -> Iterator[tuple[str, str]]:
        """What a user should hear of volumes that the consumers can use: a name, and a text."""
        return hints(self.consumers, [spec.device() for spec in self.volumes.values()])


class _Document(VolumeTables):
    """Makes values of a manifest's tables, and notes what is wrong with them.

    Each method gives what it can use, with None or nothing in the place of what it cannot.
    """

    def __init__(self, text: str | bytes, file: str, consumers: Sequence[str]) -> None:
        super().__init__(text, file)
        self.consumers = tuple(consumers)

    def manifest(self) -> tuple[str, tuple[str, ...], dict[str, VolumeSpec], tuple[str, ...]]:
        """The name, the recipients, the volumes and the consumers."""
        top = self.values
        self.unknown((), top, ("deployment", "volumes"))
        deployment = self.table((), top, "deployment", "add [deployment] with a name")
        volumes = self.table((), top, "volumes", "add a table such as [volumes.site]")
        name = ""
        recipients: tuple[str, ...] = ()
        if deployment is not None:
            self.unknown(("deployment",), deployment, DEPLOYMENT_KEYS)
            name = self._deployment_name(deployment)
            recipients = self._recipients(deployment)
            self.consumers = self.consumers or self.consumers_of(deployment)
        return name, recipients, self._volumes(volumes or {}), self.consumers

    def _deployment_name(self, deployment: Mapping[str, Any]) -> str:
        path: Path = ("deployment", "name")
        remedy = 'give the deployment a name, such as "www"'
        name = self.text(path, deployment.get("name"), remedy)
        if name is not None and not DEPLOYMENT_NAME.fullmatch(name):
            rule = (
                "is 1 to 63 letters, digits, '-', '.' and '_', and begins with one of the first two"
            )
            self.complain(path, f"{rule}; not {shown(name)}")
        return name or ""

    def _recipients(self, deployment: Mapping[str, Any]) -> tuple[str, ...]:
        path: Path = ("deployment", "recipients")
        found = self.texts(path, deployment.get("recipients", []), MOST_RECIPIENTS)
        for number, recipient in found:
            here = (*path, number)
            if _SECRET_KEY.search(recipient):  # which is not to be shown
                remedy = "give the public key, and replace this one: others may have seen it"
                self.complain(here, "is a secret key", remedy)
            elif not RECIPIENT.fullmatch(recipient):
                rule = f"{shown(recipient)} is not a recipient of age"
                self.complain(here, rule, "recipients begin with age1, ssh-ed25519 or ssh-rsa")
        return tuple(recipient for _, recipient in found)

    def _volumes(self, tables: Mapping[str, Any]) -> dict[str, VolumeSpec]:
        if len(tables) > MOST_VOLUMES:
            rule = f"{len(tables):,} volumes are more than the {MOST_VOLUMES:,} that are allowed"
            self.complain(("volumes",), rule, "join some")
            return {}
        found: dict[str, VolumeSpec] = {}
        lowered: dict[str, str] = {}
        for name, table in tables.items():
            path: Path = ("volumes", name)
            self._volume_name(path, name, lowered)
            if not isinstance(table, dict):
                known = nearest(name, {key: key for key in VOLUME_KEYS})
                remedy = "put it below [volumes.NAME]" if known else f"write [volumes.{name}]"
                self.complain(path, f"is the table of a volume, not {kind(table)}", remedy)
                continue
            spec = self._volume(path, name, table)
            if spec is not None:
                found[name] = spec
        return found

    def _volume_name(self, path: Path, name: str, lowered: dict[str, str]) -> None:
        if not VOLUME_NAME.fullmatch(name):
            rule = "a volume's name is 1 to 63 ASCII letters and digits, and begins with a letter"
            self.complain(path, rule, "consumers use it as the name of a device")
        elif name.lower() in RESERVED:
            rule = f"the build has a file '{name.lower()}.json' of its own"
            self.complain(path, rule, "choose another name")
        elif name.lower() in lowered:
            rule = f"differs from '{lowered[name.lower()]}' only in case"
            self.complain(path, rule, "their files clash where case is ignored; rename one")
        lowered.setdefault(name.lower(), name)

    def _volume(self, path: Path, name: str, table: Mapping[str, Any]) -> VolumeSpec | None:
        """What the table says; None if that is not a volume."""
        self.unknown(path, table, VOLUME_KEYS, _SPELLINGS)
        parts = self._parts(path, table)
        tree = {option.name: self.option(path, table, option) for option in TREE}
        exclude = self._exclude((*path, "exclude"), table)
        secret = self.flag(path, table, "secret")
        persistent = self.flag(path, table, "allow_persistent")
        cipher = self._cipher(path, table, secret)
        if persistent and not secret:
            self.complain((*path, "allow_persistent"), "is for secret volumes", "add secret = true")
        format = self.format(path, table)
        options = self.given(path, table, format, self.consumers)
        if format is None:
            return None
        if cipher is not None and (rule := cipher_refused(format, options)) is not None:
            self.complain((*path, "cipher"), rule)
        spec = VolumeSpec(
            name=name,
            parts=parts,
            format=format,
            options=options,
            exclude=exclude,
            symlinks=tree["symlinks"] or "keep",  # type: ignore[arg-type]
            submodules=tree["submodules"] or "error",  # type: ignore[arg-type]
            secret=secret,
            cipher=cipher,
            allow_persistent=persistent,
        )
        self.require_usable(path, spec.device(), spec.options, self.consumers)
        return spec

    # What a volume is made of ----------------------------------------------------------------

    def _parts(self, path: Path, table: Mapping[str, Any]) -> tuple[Part, ...]:
        here = (*path, "source")
        if "source" not in table:
            self.complain(here, "is missing", "give a path in the tree, or '.' for all of it")
            return ()
        source = table["source"]
        if isinstance(source, str):
            return (Part(self._tree_path(here, source) or ""),)
        if not isinstance(source, list):
            rule = f"is a path or a list of {{path, at}}, not {kind(source)}"
            self.complain(here, rule)
            return ()
        if not source:
            self.complain(here, "is an empty list", "give a path in the tree")
        if len(source) > MOST_PARTS:
            rule = f"{len(source):,} parts are more than the {MOST_PARTS:,} that are allowed"
            self.complain(here, rule, "join some")
            return ()
        return self._joined(here, source)

    def _joined(self, path: Path, source: list[Any]) -> tuple[Part, ...]:
        """The parts in a list, each at a place of its own."""
        parts = []
        places: dict[str, int] = {}
        for number, item in enumerate(source):
            here = (*path, number)
            part = self._part(here, item)
            if part is None:
                continue
            if part.at in places:
                where = f"at {shown(part.at)}" if part.at else "at the volume's root"
                rule = f"is {where}, as is source[{places[part.at]}]"
                self.complain(here, rule, "give one of them another 'at'")
            places.setdefault(part.at, number)
            parts.append(part)
        return tuple(parts)

    def _part(self, path: Path, item: Any) -> Part | None:
        if not isinstance(item, dict):
            remedy = f"write {{ path = {shown(item)} }}" if isinstance(item, str) else ""
            self.complain(path, f"is a table with path and at, not {kind(item)}", remedy)
            return None
        self.unknown(path, item, PART_KEYS)
        found = self._tree_path((*path, "path"), item.get("path"))
        at = self._tree_path((*path, "at"), item.get("at", "."))
        return None if found is None or at is None else Part(found, at)

    def _tree_path(self, path: Path, value: Any) -> str | None:
        """The path `value`, ``.`` being the empty one; None for what is not a valid path."""
        text = self.text(path, value, "give a path in the tree")
        if text is None:
            return None
        if text == ".":
            return ""
        error = check_path(text)
        if error is not None:
            self.complain(path, error.rule, error.remedy if text else "write '.' for all of it")
        elif "\\" in text:
            self.complain(path, "has a backslash", "the parts of a path are separated by '/'")
        elif path[-1] != "at" and ".git" in text.lower().split("/"):
            self.complain(path, "is git's own", "give a path of the files themselves")
        elif len(encode(text)) > LONGEST_PATH:
            self.complain(path, f"is a path of more than {LONGEST_PATH:,} bytes", "shorten it")
        elif text.count("/") >= DEEPEST_PATH:
            self.complain(path, f"is a path of more than {DEEPEST_PATH} parts", "shorten it")
        else:
            return text
        return None

    def _exclude(self, path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
        found = self.texts(path, table.get("exclude", []), MOST_PATTERNS)
        for number, pattern in found:
            if "\0" in pattern or "\n" in pattern:
                self.complain((*path, number), "a pattern is one line, without NUL")
            try:
                excluding([pattern])
            except UsageError as error:
                self.complain((*path, number), str(error))
        return tuple(pattern for _, pattern in found)

    def _cipher(self, path: Path, table: Mapping[str, Any], secret: bool) -> str | None:
        here = (*path, "cipher")
        if "cipher" not in table:
            return None
        cipher = self.text(here, table["cipher"])
        if cipher is not None and cipher not in CIPHERS:
            self.not_one_of(here, cipher, CIPHERS)
        if not secret:
            self.complain(here, "is for secret volumes", "add secret = true")
        return cipher
