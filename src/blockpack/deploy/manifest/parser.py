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
from typing import Any

from attrs import field, frozen

from ...planning.options import TREE, VOLUME, keys
from ...planning.volume import require_choice
from ..file_names import MANIFEST
from ..record import VOLUME_NAME
from .consumers import CONSUMERS, hints
from .disk_tables import DISK_KEYS, MOST_PARTITIONS, DiskTables
from .document import kind, nearest, shown
from .line_numbers import Path
from .specs import DiskSpec, ImageSpec, VolumeSpec
from .volume_options import cipher_refused

CIPHERS = ("aes-ccm",)
"""How volumes can be encrypted."""

MOST_VOLUMES = 1000
MOST_DISKS = 100
MOST_RECIPIENTS = 1000
"""How many of each a manifest has at most."""

DEPLOYMENT_KEYS = ("name", "recipients", "consumer")
OWN_KEYS = ("source", "format", "secret", "cipher", "allow_persistent", "verity", "image")
"""The keys of ``[deployment]``, and of a volume beside its options."""

VOLUME_KEYS = (*OWN_KEYS, *keys(TREE), *keys(VOLUME))
"""All keys of a ``[volumes.NAME]`` table."""

RESERVED = ("manifest",)
"""Names that no image has: ``manifest.json`` is the build's own file, beside ``<image>.json``."""

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
class Manifest:
    """A deployment: its name, who can open its secrets, its volumes and its disks in the file's
    order, and the consumers that they are for.
    """

    name: str
    recipients: tuple[str, ...]
    volumes: Mapping[str, VolumeSpec]
    consumers: tuple[str, ...] = ()
    disks: Mapping[str, DiskSpec] = field(factory=dict)

    @property
    def images(self) -> Mapping[str, ImageSpec]:
        """What has an image: volumes, unless they are only in disks, and then the disks."""
        own = {name: spec for name, spec in self.volumes.items() if spec.image}
        return {**own, **self.disks}

    @classmethod
    def parse(
        cls, text: str | bytes, file: str = MANIFEST, consumers: Sequence[str] = ()
    ) -> Manifest:
        """The manifest that `text` is; `file` is its name in messages. It is for `consumers`, if
        there are any, whatever it says itself.

        Raises `Problems` with a `ManifestError` for everything that is wrong with it.
        """
        for consumer in consumers:
            require_choice("consumer", consumer, tuple(CONSUMERS))
        document = _Document(text, file, consumers)
        manifest = document.manifest()
        document.finish()
        return manifest

    def hints(self) -> Iterator[tuple[str, str]]:
        """What a user should hear of images that the consumers can use: a name, and a text."""
        return hints(self.consumers, [spec.device() for spec in self.images.values()])


class _Document(DiskTables):
    """Makes values of a manifest's tables, and notes what is wrong with them.

    Each method gives what it can use, with None or nothing in the place of what it cannot.
    """

    def __init__(self, text: str | bytes, file: str, consumers: Sequence[str]) -> None:
        super().__init__(text, file)
        self._names: dict[str, Path] = {}
        self.consumers = tuple(consumers)

    def manifest(self) -> Manifest:
        """The manifest, as far as it is sound."""
        top = self.values
        self.unknown((), top, ("deployment", "volumes", "disks"))
        deployment = self.table((), top, "deployment", "add [deployment] with a name")
        name = ""
        recipients: tuple[str, ...] = ()
        if deployment is not None:
            self.unknown(("deployment",), deployment, DEPLOYMENT_KEYS)
            name = self._deployment_name(deployment)
            recipients = self._recipients(deployment)
            self.consumers = self.consumers or self.consumers_of(deployment)
        disks = self._disks(top)
        return Manifest(name, recipients, self.volumes, self.consumers, disks)

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

    def _disks(self, top: Mapping[str, Any]) -> dict[str, DiskSpec]:
        """The disks, after the `volumes`. What consumers cannot use of their images is noted."""
        in_disks = self.in_disks()
        self.volumes = {
            name: spec
            for name, table in self._named(top, "volumes", MOST_VOLUMES, VOLUME_KEYS)
            if (spec := self._volume(("volumes", name), name, table, in_disks)) is not None
        }
        tables = dict(self._named(top, "disks", MOST_DISKS, DISK_KEYS))
        count = sum(len(found) for found in self.partitions(tables.values()))
        if count > MOST_PARTITIONS:
            rule = f"{count:,} partitions are more than the {MOST_PARTITIONS:,} that are allowed"
            self.complain(("disks",), rule, "leave some out")
            return {}
        disks = {name: self.disk(("disks", name), name, table) for name, table in tables.items()}
        for volume in self.volumes.values():
            if volume.image:
                self.require_usable(("volumes", volume.name), volume)
        for disk in disks.values():
            self.require_usable(("disks", disk.name), disk)
        return disks

    def _named(
        self, top: Mapping[str, Any], key: str, most: int, keys: tuple[str, ...]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The tables of volumes or of disks, which have such keys, by their names."""
        if key not in top and (key == "disks" or "disks" in top):
            return
        tables = self.table((), top, key, f"add a table such as [{key}.site]") or {}
        if len(tables) > most:
            rule = f"{len(tables):,} {key} are more than the {most:,} that are allowed"
            self.complain((key,), rule, "join some")
            return
        noun = key.removesuffix("s")
        for name, table in tables.items():
            self._image_name((key, name), noun, name)
            if isinstance(table, dict):
                yield name, table
                continue
            known = nearest(name, {key: key for key in keys})
            remedy = f"put it below [{key}.NAME]" if known else f"write [{key}.{name}]"
            self.complain((key, name), f"is the table of a {noun}, not {kind(table)}", remedy)

    def _image_name(self, path: Path, noun: str, name: str) -> None:
        before = self._names.setdefault(name.lower(), path)
        if not VOLUME_NAME.fullmatch(name):
            rule = f"a {noun}'s name is 1 to 63 ASCII letters and digits, and begins with a letter"
            self.complain(path, rule, "consumers use it as the name of a device")
        elif name.lower() in RESERVED:
            rule = f"the build has a file '{name.lower()}.json' of its own"
            self.complain(path, rule, "choose another name")
        elif before[-1] != name:
            rule = f"differs from '{before[-1]}' only in case"
            self.complain(path, rule, "their files clash where case is ignored; rename one")
        elif before != path:
            self.complain(path, "is the name of a volume, too", "rename one of the two")

    def _volume(
        self, path: Path, name: str, table: Mapping[str, Any], in_disks: Mapping[str, int | None]
    ) -> VolumeSpec | None:
        """What the table says; None if that is not a volume."""
        self.unknown(path, table, VOLUME_KEYS, _SPELLINGS)
        parts = self.parts(path, table)
        tree = {option.name: self.option(path, table, option) for option in TREE}
        exclude = self.exclude((*path, "exclude"), table)
        secret = self.flag(path, table, "secret")
        persistent = self.flag(path, table, "allow_persistent")
        cipher = self._cipher(path, table, secret)
        if persistent and not secret:
            self.complain((*path, "allow_persistent"), "is for secret volumes", "add secret = true")
        image = self.flag(path, table, "image") if "image" in table else name not in in_disks
        if not image and name not in in_disks:
            remedy = "name it in a disk, or remove this"
            self.complain((*path, "image"), "no disk has this volume", remedy)
        has_tree = self._verity(path, table, secret)
        format = self.format(path, table)
        if in_disks.get(name) is not None:  # those of the disk, unless it says otherwise
            table = {"sector-size": in_disks[name], **table}
        options = self.given(path, table, format)
        if format is None:
            return None
        if cipher is not None and (rule := cipher_refused(format, options)) is not None:
            self.complain((*path, "cipher"), rule)
        return VolumeSpec(
            name=name,
            parts=parts,
            format=format,
            options=options,
            exclude=exclude,
            symlinks=tree["symlinks"] or "keep",
            submodules=tree["submodules"] or "error",
            secret=secret,
            cipher=cipher,
            allow_persistent=persistent,
            verity=has_tree,
            image=image,
        )

    def _verity(self, path: Path, table: Mapping[str, Any], secret: bool) -> bool:
        found = self.flag(path, table, "verity")
        if found and secret:
            rule = "is for volumes that are not secret: a root hash would tell what is in them"
            self.complain((*path, "verity"), rule, "remove it")
        return found

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
