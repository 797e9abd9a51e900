"""Checks that a run does not overwrite what it reads, nor any other file of the source."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress

from ..errors import TargetError, UsageError
from ..formats.registry import format_named
from ..layers.ccm_reader import sector_size_of
from ..layers.disk.record import begins_a_disk
from ..layers.keys import read_key
from ..model.entry import decode
from ..model.tree import Tree
from ..sources.registry import place_of

_HEAD = 8192
"""Bytes that tell what a file is: two sectors, which an encrypted one takes, of 4096."""


def check_outputs(
    source: str,
    image: str | None,
    manifest: str | None,
    *,
    format: str,
    key_file: str | None = None,
    beside: Iterable[str] = (),
) -> list[str]:
    """The files that a run is to write, image first; an `image` of None is standard output. Those
    `beside` it are a hash tree and its signature.

    Raises `UsageError` if any two are the same file, or if one would overwrite a file of `source`
    that is not an earlier image of this `format`, or an earlier manifest; `TargetError` if a
    manifest cannot be there.
    """
    if image is not None and key_file is not None and _is_same(image, key_file):
        raise UsageError(image, "is the key", "give the image a name of its own")
    output = "/dev/stdout" if image is None else image
    if manifest is not None:
        if manifest == "-":
            raise UsageError("", "a manifest goes to a file", "to standard output: /dev/stdout")
        _check_place(manifest)
        if _is_same(manifest, output):
            raise UsageError(manifest, "is the image", "give the manifest a name of its own")
    _check_overwrites(source, output, lambda head: _begins_an_image(head, format, key_file))
    if manifest is not None:
        _check_overwrites(source, manifest, _begins_a_manifest)
    outputs = [output for output in (image, manifest) if output is not None]
    for each in beside:
        if any(_is_same(each, other) for other in outputs):
            raise UsageError(each, "is written twice", "give each file a name of its own")
        _check_overwrites(source, each, _begins_a_hash_tree)
        outputs.append(each)
    return outputs


def replaced(source: str, outputs: Iterable[str]) -> list[str]:
    """Those of the files to be written that are in `source` already."""
    return [
        output
        for output in outputs
        if _path_inside(source, output) is not None and os.path.isfile(output)
    ]


def leave_out(tree: Tree, source: str, outputs: Iterable[str]) -> None:
    """Take out of the `tree` of `source` what this very run writes, or reads as the image."""
    for output in outputs:
        path = _path_inside(source, output)
        if path is not None and path in tree:
            tree.remove(path)


def _check_place(manifest: str) -> None:
    if os.path.isdir(manifest):
        raise TargetError(manifest, "is a directory", "give the path of a file in it")
    if not os.access(os.path.dirname(os.path.abspath(manifest)), os.W_OK):
        raise TargetError(manifest, "cannot be written there", "choose another place")


def _check_overwrites(source: str, output: str, is_expected: Callable[[bytes], bool]) -> None:
    whole, _ = place_of(source)
    if _is_file(whole) and _is_same(whole, output):
        raise UsageError(output, "is the source", "choose another target")
    if _path_inside(source, output) is None:
        return
    with suppress(OSError):  # what cannot be read here is for the writer to refuse
        if stat.S_ISREG(os.stat(output).st_mode):
            with open(output, "rb") as file:
                head = file.read(_HEAD)
            if head and not is_expected(head):
                rule = "is a file of the source, and would be overwritten"
                raise UsageError(output, rule, "choose another target, or remove it first")


def _begins_a_manifest(head: bytes) -> bool:
    return re.match(rb'{\s*"format": "\w+",\s*"size": \d+,\s*"sector_size"', head) is not None


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


def _path_inside(source: str, output: str) -> str | None:
    """The path that `output` has in the tree of `source`; None if it is not in there."""
    whole, inside = place_of(source)
    root = os.path.join(os.path.realpath(os.path.join(whole, inside.strip("/"))), "")
    place = os.path.realpath(output)
    return decode(os.fsencode(place[len(root) :])) if place.startswith(root) else None


def _is_file(place: str) -> bool:
    """Whether a place is a file or a device: a source that is read as an archive or an image."""
    with suppress(OSError):
        mode = os.stat(place).st_mode
        return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
    return False


def _is_same(one: str, other: str) -> bool:
    """Whether two paths lead to the same file, which need not exist."""
    with suppress(OSError):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)
