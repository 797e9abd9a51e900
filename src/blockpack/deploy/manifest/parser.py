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

from attrs import field, frozen

from ...arguments import checked
from ...planning.options import TREE, VOLUME, as_key, keys, require_choice
from ..file_names import MANIFEST
from ..record import VOLUME_NAME
from .consumers import CONSUMERS, hints
from .disk_tables import DISK_KEYS, MOST_PARTITIONS, disk, in_disks, partitions_of
from .document import Document, Node, kind, nearest, shown
from .line_numbers import Path
from .specs import DiskSpec, ImageSpec, VolumeSpec, volume_of
from .tree_tables import exclude, parts
from .volume_options import consumers_of, format_of, option_of, require_usable, with_defaults

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
    @checked
    def parse(
        cls, text: str | bytes, file: str = MANIFEST, consumers: Sequence[str] = ()
    ) -> Manifest:
        """The manifest that `text` is, of the name `file`; for `consumers`, if there are any,
        whatever it says. Raises `Problems` with a `ManifestError` for everything that is wrong with
        it.
        """
        for consumer in consumers:
            require_choice("consumer", consumer, tuple(CONSUMERS))
        document = Document(text, file)
        manifest = _manifest(document.top, tuple(consumers))
        document.finish()
        return manifest

    def hints(self) -> Iterator[tuple[str, str]]:
        """What a user should hear of images that the consumers can use: a name, and a text."""
        return hints(self.consumers, [spec.device() for spec in self.images.values()])


def _manifest(top: Node, consumers: tuple[str, ...]) -> Manifest:
    """The manifest, as far as it is sound; what is wrong with it is noted."""
    top.require_known(("deployment", "volumes", "disks"))
    deployment = top["deployment"].table("add [deployment] with a name")
    name = ""
    recipients: tuple[str, ...] = ()
    if deployment is not None:
        deployment.require_known(DEPLOYMENT_KEYS)
        name = _deployment_name(deployment["name"])
        recipients = _recipients(deployment["recipients"])
        consumers = consumers or consumers_of(deployment["consumer"])
    volumes, disks = _images(top, consumers)
    return Manifest(name, recipients, volumes, consumers, disks)


def _deployment_name(node: Node) -> str:
    name = node.text('give the deployment a name, such as "www"')
    if name is not None and not DEPLOYMENT_NAME.fullmatch(name):
        rule = "is 1 to 63 letters, digits, '-', '.' and '_', and begins with one of the first two"
        node.complain(f"{rule}; not {shown(name)}")
    return name or ""


def _recipients(recipients: Node) -> tuple[str, ...]:
    found = recipients.texts(MOST_RECIPIENTS)
    for node, recipient in found:
        if _SECRET_KEY.search(recipient):  # which is not to be shown
            remedy = "give the public key, and replace this one: others may have seen it"
            node.complain("is a secret key", remedy)
        elif not RECIPIENT.fullmatch(recipient):
            remedy = "recipients begin with age1, ssh-ed25519 or ssh-rsa"
            node.complain(f"{shown(recipient)} is not a recipient of age", remedy)
    return tuple(recipient for _, recipient in found)


def _images(
    top: Node, consumers: Sequence[str]
) -> tuple[dict[str, VolumeSpec], dict[str, DiskSpec]]:
    """The volumes and the disks. What consumers cannot use of their images is noted."""
    used = in_disks(top["disks"].value)
    taken: dict[str, Path] = {}
    known = top["volumes"].value
    volumes: dict[str, VolumeSpec | None] = dict.fromkeys(known if isinstance(known, dict) else ())
    is_optional = "disks" in top and "volumes" not in top
    tables = [] if is_optional else _named(top["volumes"], MOST_VOLUMES, VOLUME_KEYS, taken)
    volumes |= {table.name: _volume(table, used, consumers) for table in tables}
    tables = _named(top["disks"], MOST_DISKS, DISK_KEYS, taken) if "disks" in top else []
    count = sum(len(partitions_of(table.value)) for table in tables)
    if count > MOST_PARTITIONS:
        rule = f"{count:,} partitions are more than the {MOST_PARTITIONS:,} that are allowed"
        top["disks"].complain(rule, "leave some out")
        tables = []
    disks = {table.name: disk(table, volumes, consumers) for table in tables}
    sound = {name: spec for name, spec in volumes.items() if spec is not None}
    for name, spec in sound.items():
        if spec.image:
            require_usable(top["volumes"][name], spec, consumers)
    for name, found in disks.items():
        require_usable(top["disks"][name], found, consumers)
    return sound, disks


def _named(node: Node, most: int, keys: tuple[str, ...], taken: dict[str, Path]) -> list[Node]:
    """The tables of volumes or of disks, which have such `keys`; `taken` has the names so far."""
    key = node.name
    tables = node.table(f"add a table such as [{key}.site]")
    if tables is None:
        return []
    count = len(tables.value)
    if count > most:
        node.complain(f"{count:,} {key} are more than the {most:,} that are allowed", "join some")
        return []
    noun = key.removesuffix("s")
    found = []
    for name in tables.value:
        table = tables[name]
        _check_name(table, noun, taken.setdefault(name.lower(), table.path))
        if isinstance(table.value, dict):
            found.append(table)
            continue
        meant = nearest(name, keys)
        remedy = f"put it below [{key}.NAME]" if meant else f"write [{key}.{name}]"
        table.complain(f"is the table of a {noun}, not {kind(table.value)}", remedy)
    return found


def _check_name(table: Node, noun: str, before: Path) -> None:
    """Note what is wrong with an image's name; `before` is the first table of that name."""
    name = table.name
    if not VOLUME_NAME.fullmatch(name):
        rule = f"a {noun}'s name is 1 to 63 ASCII letters and digits, and begins with a letter"
        table.complain(rule, "consumers use it as the name of a device")
    elif name.lower() in RESERVED:
        rule = f"the build has a file '{name.lower()}.json' of its own"
        table.complain(rule, "choose another name")
    elif before[-1] != name:
        rule = f"differs from '{before[-1]}' only in case"
        table.complain(rule, "their files clash where case is ignored; rename one")
    elif before != table.path:
        table.complain("is the name of a volume, too", "rename one of the two")


def _volume(
    table: Node, used: Mapping[str, int | None], consumers: Sequence[str]
) -> VolumeSpec | None:
    """What the table says; None if that is not a volume. `used` are those that disks have."""
    name = table.name
    table.require_known(VOLUME_KEYS, _SPELLINGS)
    tree_parts = parts(table["source"])
    tree = {option.name: option_of(table, option) for option in TREE}
    excluded = exclude(table["exclude"])
    secret = table["secret"].flag()
    persistent = table["allow_persistent"].flag()
    cipher = table["cipher"].text() if "cipher" in table else None
    if cipher is not None and cipher not in CIPHERS:
        table["cipher"].not_one_of(CIPHERS)
    for key, is_given in (("allow_persistent", persistent), ("cipher", "cipher" in table)):
        if is_given and not secret:
            table[key].complain("is for secret volumes", "add secret = true")
    image = table["image"].flag() if "image" in table else name not in used
    if not image and name not in used:
        table["image"].complain("no disk has this volume", "name it in a disk, or remove this")
    has_tree = table["verity"].flag()
    if has_tree and secret:
        rule = "is for volumes that are not secret: a root hash would tell what is in them"
        table["verity"].complain(rule, "remove it")
    format = format_of(table)
    of_disk = {"sector_size": size} if (size := used.get(name)) is not None else {}
    options = with_defaults(table, format, consumers, of_disk)
    if format is None:
        return None
    refused = None if cipher is None else volume_of(format, **options).layer_refused
    if refused is not None:
        table["cipher"].complain(refused.told(as_key))
    return VolumeSpec(
        name=name,
        parts=tree_parts,
        format=format,
        options=options,
        exclude=excluded,
        symlinks=tree["symlinks"] or "keep",
        submodules=tree["submodules"] or "error",
        secret=secret,
        cipher=cipher,
        allow_persistent=persistent,
        verity=has_tree,
        image=image,
    )
