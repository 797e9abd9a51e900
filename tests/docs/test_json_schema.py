"""The schema of JSON output, the pages that tell of it, and the parser name the same things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from blockpack.cli import run
from cli.contracts import require_valid, require_valid_output, schema
from docs.test_facts import options_of
from pages import DOCS, code, sections, tables

BESIDE = {
    "manifest": (DOCS / "manifest.md", "Manifest of an image"),
    "record": (DOCS / "deploy/manifest-json.md", "Record of a build"),
}
"""Pages of what is no output of a command."""

AS_ANOTHER = {"disk", "seed"}
"""Commands whose output the page tells by that of another one."""


SECTIONS = {"geometry": {"geometry"}, "partitions": {"info"}, "build": {"build"}}
"""Definitions that several outputs have, and where the page tells of them."""


def names(part: Any, definition: str) -> Iterator[str]:
    """The keys that a part of the schema has, and those of what it refers to, as far as the page
    tells of them with the `definition`.
    """
    if isinstance(part, list):
        for each in part:
            yield from names(each, definition)
    elif isinstance(part, dict):
        name = part.get("$ref", "").removeprefix("#/$defs/")
        if name and definition in SECTIONS.get(name, {definition}):
            yield from names(schema()["$defs"][name], definition)
        yield from part.get("properties", ())
        for each in (part.get("items"), part.get("anyOf"), [*part.get("properties", {}).values()]):
            yield from names(each, definition)


def with_json() -> set[str]:
    return {command for command in run.COMMANDS if "--json" in options_of(command)}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_every_command_with_json_has_a_definition_and_a_section() -> None:
    definitions = schema()["$defs"].keys()
    assert with_json() | BESIDE.keys() <= definitions
    assert not (set(run.COMMANDS) - with_json()) & definitions
    assert with_json() - AS_ANOTHER <= sections(DOCS / "json.md").keys()


@pytest.mark.parametrize("definition", sorted({*with_json(), *BESIDE, "geometry"} - AS_ANOTHER))
def test_the_page_tells_every_key_and_no_other(definition: str) -> None:
    page, heading = BESIDE.get(definition, (DOCS / "json.md", definition.capitalize()))
    found = sections(page)
    text = found[definition] if definition in found else found[heading]
    rows = [row for table in tables(text) if table[0][0].startswith("key") for row in table[1:]]
    told = {key for first, *_ in rows for key in code(first)}
    known = set(names(schema()["$defs"][definition], definition))
    assert told <= known
    assert {key for key in known if f"`{key}`" not in text} <= {"partitions"}


def test_what_is_not_in_the_schema_is_refused() -> None:
    entry = {"path": "a", "kind": "directory"}
    with pytest.raises(AssertionError, match="'size' is a required property"):
        require_valid("ls", {"entries": [entry]})
    with pytest.raises(AssertionError, match="'odd' was unexpected"):
        require_valid_output(["ls", "--json"], b'{"entries": [], "odd": 1}')
