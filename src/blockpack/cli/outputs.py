"""What a run writes. It overwrites nothing that it reads, nor any other file of the source; what
of it lies in the source is no part of it, as keys are none.
"""

from __future__ import annotations

import os
import re
import stat
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from ..errors import UsageError, printable
from ..formats.registry import format_named
from ..layers.ccm_reader import sector_size_of
from ..layers.disk.record import begins_a_disk
from ..layers.keys import read_key
from ..model.entry import decode
from ..model.tree import Tree
from ..sources.registry import place_of
from ..writing.files import own_descriptor
from ..writing.write import require_target
from .output import say

_HEAD = 8192
"""Bytes that tell what a file is: two sectors, which an encrypted one takes, of 4096."""

_MANIFEST = rb'{\s*"format": "\w+",\s*"size": \d+,\s*"sector_size"'


class Output(NamedTuple):
    """A file that a run writes: where, what it is, and whether an earlier one begins so."""

    path: str
    what: str
    is_earlier: Callable[[bytes], bool]


def outputs_of(
    arguments: Namespace, format: str = "", key_file: str | None = None, beside: Iterable[str] = ()
) -> list[Output]:
    """All that the arguments ask to write: the image, if it is of a `format`; what lies `beside`
    it, which is a hash tree and its signature; and what is told of it.
    """
    flags = vars(arguments)
    is_image = partial(_begins_an_image, format=format, key_file=key_file)
    found: list[tuple[str | None, str, Callable[[bytes], bool]]] = [
        (flags.get("image") if format else None, "an image", is_image),
        (flags.get("manifest"), "a manifest", lambda head: bool(re.match(_MANIFEST, head))),
        *((path, "a hash tree", _begins_a_hash_tree) for path in beside),
        (flags.get("bmap"), "a block map", lambda head: b"<bmap version=" in head),
        (flags.get("html"), "a page", lambda head: head.startswith(b"<!DOCTYPE html>")),
    ]
    return [Output(path, what, begins) for path, what, begins in found if path is not None]


def check_outputs(
    sources: Iterable[str],
    outputs: Sequence[Output],
    read: Iterable[str | None] = (),
    *,
    allow_device: bool = False,
) -> list[str]:
    """The paths of the files that a run is to write, before it writes any.

    Raises `UsageError` if any two are the same file, or if one would overwrite what is `read`, or a
    file of the `sources` that is no earlier one of its kind; `TargetError` if one cannot be there.
    """
    for number, output in enumerate(outputs):
        path, what, _ = output
        on_device = what in ("an image", "a copy", "a hash tree")
        to_output = what == "a hash tree" and own_descriptor(path) == 1  # where its root hash goes
        if to_output or (not on_device and _is(path, stat.S_ISBLK)):
            raise UsageError(path, f"{what} goes to a file", "choose another target")
        if any(_is_same(output.path, other.path) for other in outputs[:number]):
            raise UsageError(path, "is written twice", "give each file a name of its own")
        if any(_is_same(output.path, other) for other in read if other is not None):
            raise UsageError(path, "is read, and would be overwritten", "choose another target")
        for source in sources:
            _check_overwrites(source, output)
    for output in outputs:
        require_target(output.path, allow_device=allow_device)
    return [output.path for output in outputs]


def say_left_out(sources: Iterable[str], outputs: Iterable[str], keys: Iterable[str] = ()) -> None:
    """Say which of the files to be written, and of the `keys`, are in the sources already."""
    for source in sources:
        for output in outputs:
            if path_inside(source, output) is not None and os.path.isfile(output):
                say(f"warning: {printable(output)}: is in the source; it is left out, and replaced")
        for key in keys:
            if path_inside(source, key) is not None:
                say(f"warning: {printable(key)}: is in the source; it is left out, for it is a key")


def leave_out(tree: Tree, source: str, outputs: Iterable[str]) -> None:
    """Take out of the `tree` of `source` what this very run writes, or reads as the image."""
    for output in outputs:
        path = path_inside(source, output)
        if path is not None and path in tree:
            tree.remove(path)


def path_inside(source: str, output: str) -> str | None:
    """The path that `output` has in the tree of `source`; None if it is not in there."""
    whole, inside = place_of(source)
    root = os.path.join(os.path.realpath(os.path.join(whole, inside.strip("/"))), "")
    place = os.path.realpath(output)
    return decode(os.fsencode(place[len(root) :])) if place.startswith(root) else None


def _check_overwrites(source: str, output: Output) -> None:
    whole, _ = place_of(source)
    is_archive = _is(whole, stat.S_ISREG) or _is(whole, stat.S_ISBLK)
    if is_archive and _is_same(whole, output.path):
        raise UsageError(output.path, "is the source", "choose another target")
    if path_inside(source, output.path) is None:
        return
    with suppress(OSError):  # what cannot be read here is for the writer to refuse
        if _is(output.path, stat.S_ISREG):
            with open(output.path, "rb") as file:
                head = file.read(_HEAD)
            if head and not output.is_earlier(head):
                rule = "is a file of the source, and would be overwritten"
                raise UsageError(output.path, rule, "choose another target, or remove it first")


def _begins_a_hash_tree(head: bytes) -> bool:
    """Or a signature, which begins as all of ASN.1's sequences do."""
    from ..layers.verity.hash_tree import MAGIC  # late: it imports hashlib

    return head.startswith((MAGIC, b"0\x82"))


def _begins_an_image(head: bytes, format: str, key_file: str | None) -> bool:
    if key_file is None and format == "disk":
        return begins_a_disk(head)
    if key_file is None:
        return format_named(format).reader_class().recognises(head[:4096])

    def read(offset: int, length: int) -> bytes:
        return head[offset : offset + length]

    return sector_size_of(read_key(key_file), read, len(head)) is not None


def _is(place: str, kind: Callable[[int], bool]) -> bool:
    """Whether what is at a place, if there is something, is of this kind."""
    with suppress(OSError):
        return kind(os.stat(place).st_mode)
    return False


def _is_same(one: str, other: str) -> bool:
    """Whether two paths lead to the same file, which need not exist."""
    with suppress(OSError):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)
