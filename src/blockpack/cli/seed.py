"""``blockpack seed``."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from hashlib import sha256

from ..errors import UsageError
from ..model.tree import Tree
from ..planning.options import TREE, VOLUME
from ..planning.profile import PROFILES
from ..planning.wanted_files import matching
from ..reading.extents import file_bytes
from . import flags, target
from .pack import run as run

EXAMPLE = "blockpack seed seed seed.img --hostname web"

_PROFILE = PROFILES["nocloud"]
_META_DATA = "meta-data"
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
"""A name of a machine or an instance."""


def arguments(parser: ArgumentParser) -> None:
    """All else is as ``pack --profile nocloud`` has it."""
    flags.value(parser, "source", "SOURCE", "what has user-data in it: a directory, …")
    target.add_target(parser)
    flags.value(parser, "--hostname", "NAME", "name of the machine")
    flags.value(parser, "--instance-id", "ID", "name of the instance (by what SOURCE has)")
    target.add_options(parser)
    parser.set_defaults(
        **dict.fromkeys((option.name for option in VOLUME), None)
        | {option.name: option.default for option in TREE}
        | {"exclude": [], "symlinks": "follow", "format": "fat", "profile": _PROFILE.name}
        | {"key_file": None, "verity": None, "verity_salt": None},
        complete=_add_meta_data,
    )


def _add_meta_data(tree: Tree, arguments: Namespace) -> None:
    """Add meta-data if the source has none. Its instance-id follows from all else that cloud-init
    reads: by another one it sees that there is something new to do.
    """
    names = {"instance-id": arguments.instance_id, "local-hostname": arguments.hostname}
    found = {wanted.path: matching(wanted, tree) for wanted in _PROFILE.files}
    if found[_META_DATA]:
        if any(names.values()):
            rule = f"has {_META_DATA}, which says that itself"
            raise UsageError(arguments.source, rule, "leave --hostname and --instance-id out")
        return
    for name in filter(None, names.values()):
        if not re.fullmatch(_WORD, name):
            raise UsageError("", f"{name!r} is no name", "give letters, digits, dots and dashes")
    digest = sha256(repr(names).encode())
    for path, files in found.items():
        for file in files:
            digest.update(f"\0{path}\0{file.size}\0".encode() + file_bytes(file))
    names["instance-id"] = arguments.instance_id or f"iid-{digest.hexdigest()[:16]}"
    lines = [f'{key}: "{name}"\n' for key, name in names.items() if name]
    tree.add(_META_DATA, "".join(lines).encode())
