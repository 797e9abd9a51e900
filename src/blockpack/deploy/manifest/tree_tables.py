"""Paths in a manifest: the parts of the tree that a volume or a piece of a disk is made of."""

from __future__ import annotations

from ...errors import UsageError
from ...model.entry import check_path, encode
from ...sources.exclude import excluding
from .document import Node, kind, shown
from .specs import Part

MOST_PARTS = 1000
MOST_PATTERNS = 10_000
"""How many of each a volume has at most."""

LONGEST_PATH = 4096
DEEPEST_PATH = 255
"""How many bytes a path has at most, and how many parts between slashes: each is a directory."""

PART_KEYS = ("path", "at")
"""The keys of a part."""


def parts(source: Node) -> tuple[Part, ...]:
    """The parts that the key ``source`` names."""
    found = source.value
    if found is None:
        source.complain("is missing", "give a path in the tree, or '.' for all of it")
    elif isinstance(found, str):
        return (Part(tree_path(source) or ""),)
    elif not isinstance(found, list):
        source.complain(f"is a path or a list of {{path, at}}, not {kind(found)}")
    elif not found:
        source.complain("is an empty list", "give a path in the tree")
    elif len(found) > MOST_PARTS:
        rule = f"{len(found):,} parts are more than the {MOST_PARTS:,} that are allowed"
        source.complain(rule, "join some")
    else:
        return _joined(source)
    return ()


def _joined(source: Node) -> tuple[Part, ...]:
    """The parts in a list, each at a place of its own."""
    found = []
    places: dict[str, int] = {}
    for number, node in enumerate(source.items):
        part = _part(node)
        if part is None:
            continue
        if part.at in places:
            where = f"at {shown(part.at)}" if part.at else "at the volume's root"
            rule = f"is {where}, as is source[{places[part.at]}]"
            node.complain(rule, "give one of them another 'at'")
        places.setdefault(part.at, number)
        found.append(part)
    return tuple(found)


def _part(item: Node) -> Part | None:
    if not isinstance(item.value, dict):
        remedy = f"write {{ path = {shown(item.value)} }}" if isinstance(item.value, str) else ""
        item.complain(f"is a table with path and at, not {kind(item.value)}", remedy)
        return None
    item.require_known(PART_KEYS)
    found = tree_path(item["path"])
    at = tree_path(item["at"]) if "at" in item else ""
    return None if found is None or at is None else Part(found, at)


def tree_path(node: Node) -> str | None:
    """A path, ``.`` being the empty one; None for what is not a valid path."""
    text = node.text("give a path in the tree")
    if text is None:
        return None
    if text == ".":
        return ""
    error = check_path(text)
    if error is not None:
        node.complain(error.rule, error.remedy if text else "write '.' for all of it")
    elif "\\" in text:
        node.complain("has a backslash", "the parts of a path are separated by '/'")
    elif node.name != "at" and ".git" in text.lower().split("/"):
        node.complain("is git's own", "give a path of the files themselves")
    elif len(encode(text)) > LONGEST_PATH:
        node.complain(f"is a path of more than {LONGEST_PATH:,} bytes", "shorten it")
    elif text.count("/") >= DEEPEST_PATH:
        node.complain(f"is a path of more than {DEEPEST_PATH} parts", "shorten it")
    else:
        return text
    return None


def exclude(patterns: Node) -> tuple[str, ...]:
    """The patterns that are valid."""
    found = patterns.texts(MOST_PATTERNS)
    for node, pattern in found:
        if "\0" in pattern or "\n" in pattern:
            node.complain("a pattern is one line, without NUL")
        try:
            excluding([pattern])
        except UsageError as error:
            node.complain(str(error))
    return tuple(pattern for _, pattern in found)
