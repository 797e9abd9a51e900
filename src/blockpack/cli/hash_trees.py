"""``--verity``: a hash tree behind an image or in a file beside it, and what vouches for it."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any, NamedTuple

from attrs import evolve

from ..errors import UsageError, reading_errors
from ..planning.layout import Layout
from ..writing.files import own_descriptor
from . import flags

_SIGNATURE = ".roothash.p7s"
"""What systemd looks for beside an image, whose name may end in ``.raw`` before it."""

_MOST = 1 << 20
"""Bytes of a key or certificate: far more than any has."""


class Sealed(NamedTuple):
    """An image with its hash tree: behind it, or as a `tree` for a file beside it."""

    layout: Layout
    tree: Layout | None = None
    signature: bytes = b""

    @property
    def root_hash(self) -> str:
        """In hex; empty without a tree."""
        return str(self.layout.geometry.get("root_hash", ""))


def add_verity(parser: ArgumentParser, *, beside: bool = False) -> None:
    """Options for a hash tree; `beside` if it and its signature can go to files of their own."""
    group = parser.add_argument_group("verity")
    how: dict[str, Any] = (
        {"metavar": "FILE", "nargs": "?", "type": flags.written}
        if beside
        else {"action": "store_const"}
    )
    told = "add a hash tree of dm-verity" + ("; with FILE, beside IMAGE" if beside else "")
    group.add_argument("--verity", const="", help=told, **how)
    flags.value(group, "--verity-salt", "HEX", "its salt, or '-' (from the plan)")
    if beside:
        flags.value(group, "--sign-key", "FILE", "sign its root hash by this key")
        flags.value(group, "--sign-cert", "FILE", "certificate of the key")


def files(arguments: Namespace) -> list[str]:
    """The files that are written beside the image. Raises `UsageError` for what is of no use."""
    signs = [getattr(arguments, name, None) for name in ("sign_key", "sign_cert")]
    if arguments.verity is None:
        if any(value is not None for value in (*signs, arguments.verity_salt)):
            raise UsageError("", "there is no hash tree to salt or to sign", option="verity")
        return []
    if (signs[0] is None) != (signs[1] is None):
        raise UsageError("", "a signature takes a key and its certificate", "give both")
    found = [arguments.verity] if arguments.verity else []
    if signs[0] is not None:
        image = arguments.image
        is_file = os.path.isfile(image) or not os.path.exists(image)
        if not is_file or own_descriptor(image) is not None:
            rule = "a signature lies beside the image, which goes to no file"
            raise UsageError("", rule, "write the image to a file")
        found.append(_signature_file(arguments))
    return found


def _signature_file(arguments: Namespace) -> str:
    image: str = arguments.image
    return image.removesuffix(".raw") + _SIGNATURE


def sealed(layout: Layout, arguments: Namespace) -> Sealed:
    """The layout with the tree that is asked for, if one is; all of it is read for that."""
    if arguments.verity is None:
        return Sealed(layout)
    from ..layers.verity.verity import covered, hash_tree, verity  # slow to import
    from ..writing.progress import Meter
    from .progress_bar import progress_bar

    key = getattr(arguments, "sign_key", None)
    signer = None
    if key is not None:
        from ..layers.verity.signature import Signer

        certificate = arguments.sign_cert
        try:
            signer = Signer(_read(key), _read(certificate))
        except UsageError as error:
            named = {"sign_key=FILE": key, "sign_cert=FILE": certificate}
            error.path = named.get(error.option, "")
            raise
    quiet = getattr(arguments, "quiet", True)
    with progress_bar(quiet=quiet) as progress:
        meter = Meter("hashing", layout.size, progress)
        options: dict[str, Any] = {
            "salt": arguments.verity_salt,
            "jobs": getattr(arguments, "jobs", "auto"),
            "advance": meter.advance,
        }
        if arguments.verity:
            tree = hash_tree(layout, **options)
            layout = evolve(covered(layout), geometry={**layout.geometry, **tree.geometry})
            found = Sealed(layout, tree)
        else:
            found = Sealed(verity(layout, **options))
        meter.finish()
    return found if signer is None else found._replace(signature=signer.sign(found.root_hash))


def size(layout: Layout, arguments: Namespace) -> int:
    """The size of a layout with the tree behind it that is asked for, if one is."""
    if arguments.verity is None:
        return layout.size
    from ..layers.verity.verity import sealed_size  # as above

    return sealed_size(layout)


def write_beside(found: Sealed, arguments: Namespace) -> None:
    """Write the tree and the signature that have files of their own."""
    from ..writing.write import write, write_bytes

    if found.tree is not None:
        device = arguments.allow_device
        write(found.tree, arguments.verity, fsync=arguments.fsync, allow_device=device)
    if found.signature:
        write_bytes(found.signature, _signature_file(arguments))


def _read(path: str) -> bytes:
    with reading_errors(path), open(path, "rb") as file:
        return file.read(_MOST)
