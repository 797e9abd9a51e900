"""Maps of images as a page for a browser: one file that refers to nothing outside of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ..errors import printable
from .space_map import KINDS, PAYLOAD, SpaceMap, share

_LONGEST = 200
"""Characters of a name, at most: of a longer one the end."""

_LARGEST = 10


def page(maps: Sequence[SpaceMap]) -> str:
    """The page of one map or several beside each other, in ASCII."""
    values = {
        "TITLE": _text(" | ".join(space.name for space in maps if space.format)),
        "MAPS": "".join(map(_section, maps)),
        "DATA": json.dumps(
            {"kinds": list(KINDS), "maps": [_data(space) for space in maps]}, separators=(",", ":")
        ).replace("<", "\\u003c"),
    }
    template = files(__package__).joinpath("space_page.html").read_text("utf-8")
    whole = re.sub("@([A-Z]+)@", lambda found: values[found[1]], template)
    return whole.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _data(space: SpaceMap) -> dict[str, Any]:
    """A map as JSON values; stretches lie end to end, so their offsets are left out."""
    kinds = list(KINDS)
    told: list[list[Any]] = []
    for each in space.stretches:
        shares = [[kinds.index(kind), share] for kind, share in each.by_kind.items()]
        values = [each.length, _name(each.name), each.number, shares]
        told.append(values if each.shares else [each.length, _name(each.name), shares[0][0]])
    return {"size": space.size, "stretches": told}


def _section(space: SpaceMap) -> str:
    """What is shown of a map: a heading, what is drawn, the legend, and the largest files."""
    rows = "".join(
        f'<tr><td><i class="{kind}"></i>{kind}</td><td>{count:,}</td>'
        f"<td>{escape(share(count, space.size))}</td><td>{KINDS[kind]}</td></tr>\n"
        for kind, count in space.totals.items()
    )
    return (
        f'<section data-name="{_text(_name(space.name))}"><h2>{_text(space.name)}'
        f"<small>{space.format} {space.size:,} bytes</small></h2>\n"
        '<canvas class="strip"></canvas><canvas class="grid" tabindex="0"></canvas>\n'
        f'<div class="tables"><table><tr><th>kind</th><th>bytes</th><th></th><th>what it is</th>'
        f"</tr>\n{rows}</table>\n{''.join(_largest(space))}</div></section>\n"
    )


def _largest(space: SpaceMap) -> Iterator[str]:
    """The largest files; in a map of many, of those that are long enough to have a name."""
    lengths: Counter[str] = Counter()
    spans: dict[str, tuple[int, int]] = {}
    for each in space.stretches:
        if each.name and each.kind in PAYLOAD:
            lengths[each.name] += each.length
            begin, _ = spans.get(each.name, (each.offset, 0))
            spans[each.name] = begin, each.offset + each.length
    if lengths:
        yield "<table><tr><th>largest files</th><th>bytes</th><th>offset</th></tr>\n"
        for name, count in lengths.most_common(_LARGEST):
            begin, end = spans[name]
            yield (
                f'<tr><td><button data-begin="{begin}" data-end="{end}">{_text(_name(name))}'
                f"</button></td><td>{count:,}</td><td>{begin:,}</td></tr>\n"
            )
        yield "</table>\n"


def _name(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _LONGEST else f"…{shown[1 - _LONGEST :]}"


def _text(name: str) -> str:
    return escape(printable(name))
