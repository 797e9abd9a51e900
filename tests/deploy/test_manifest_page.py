"""The page about the manifest tells what the code knows."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from blockpack.deploy import file_names
from blockpack.deploy.manifest import disk_tables, document, line_numbers, parser, tree_tables
from blockpack.deploy.manifest.disk_tables import DISK_KEYS, PARTITION_KEYS, RAW_KEYS
from blockpack.deploy.manifest.parser import DEPLOYMENT_KEYS, OWN_KEYS, VOLUME_KEYS, Manifest
from blockpack.deploy.manifest.tree_tables import PART_KEYS
from blockpack.planning.options import COMMON, OWN, SOME, TREE, keys
from pages import DOCS, blocks, code, sections, tables

PAGE = DOCS / "deploy" / "manifest.md"


def told(heading: str) -> dict[str, list[str]]:
    """The rows of the tables of keys under the heading, by key."""
    found = [table for table in tables(sections(PAGE)[heading]) if table[0][0] == "key"]
    return {key.strip("`"): rest for table in found for key, *rest in table[1:]}


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("Deployment", DEPLOYMENT_KEYS),
        ("Volumes", VOLUME_KEYS),
        ("Parts", PART_KEYS),
        ("Disks", DISK_KEYS),
        ("Partitions", PARTITION_KEYS),
        ("Raw pieces", RAW_KEYS),
    ],
)
def test_every_key_is_told(heading: str, known: tuple[str, ...]) -> None:
    assert sorted(told(heading)) == sorted(known)


def test_keys_are_told_with_their_format() -> None:
    own, shared, *formats = (table[1:] for table in tables(sections(PAGE)["Volumes"]))
    assert [key.strip("`") for key, *_ in own] == list(OWN_KEYS)
    assert [key.strip("`") for key, *_ in shared] == [*keys((*COMMON, *SOME, *TREE))]
    assert [[key.strip("`") for key, *_ in table] for table in formats] == [
        list(keys(options)) for options in OWN.values()
    ]


def test_choices_are_those_of_the_options() -> None:
    rows = told("Volumes")
    for option in (*COMMON, *SOME, *TREE, *(option for own in OWN.values() for option in own)):
        if option.choices:
            assert code(rows[option.key][0]) == set(option.choices), option.key


def test_defaults_are_those_of_the_schema() -> None:
    schema = json.loads(files("blockpack").joinpath("deploy/schema.json").read_text("utf-8"))
    definitions = schema["$defs"]
    for heading, table in (
        ("Deployment", schema["properties"]["deployment"]),
        ("Volumes", definitions["volume"]),
        ("Parts", definitions["part"]),
        ("Disks", definitions["disk"]),
        ("Partitions", definitions["partition"]),
        ("Raw pieces", definitions["raw"]),
    ):
        for key, cells in told(heading).items():
            if len(cells) == 3:
                default = table["properties"][key].get("default", "")
                shown = default if isinstance(default, str) else json.dumps(default)
                assert cells[1].strip("`") == shown, key


def test_limits_are_those_of_the_code() -> None:
    (table,) = tables(sections(PAGE)["Limits"])
    assert [int(limit.replace(",", "")) for _, limit in table[1:]] == [
        file_names.MOST_BYTES,
        line_numbers.MOST_LEVELS,
        line_numbers.MOST_ITEMS,
        parser.MOST_VOLUMES,
        parser.MOST_DISKS,
        disk_tables.MOST_PARTITIONS,
        disk_tables.MOST_RAWS,
        tree_tables.MOST_PARTS,
        tree_tables.MOST_PATTERNS,
        parser.MOST_RECIPIENTS,
        tree_tables.LONGEST_PATH,
        tree_tables.DEEPEST_PATH,
    ]
    assert f"more than {document.MOST_PROBLEMS} problems" in sections(PAGE)["Limits"]


def test_the_examples_are_manifests() -> None:
    example, card, schema_comment = blocks(PAGE.read_text("utf-8"), "toml")
    assert list(Manifest.parse(example).images) == ["site", "media", "keys"]
    assert list(Manifest.parse(card).images) == ["card"]
    assert schema_comment.startswith("#:schema ")
