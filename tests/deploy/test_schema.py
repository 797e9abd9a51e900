"""The JSON schema that editors use and the parser agree."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from blockpack import Problems
from blockpack.deploy.manifest.disk_tables import DISK_KEYS, PARTITION_KEYS, RAW_KEYS
from blockpack.deploy.manifest.parser import (
    CIPHERS,
    DEPLOYMENT_KEYS,
    OWN_KEYS,
    VOLUME_KEYS,
    Manifest,
)
from blockpack.deploy.manifest.tree_tables import PART_KEYS
from blockpack.formats.registry import FORMATS
from blockpack.planning.options import COMMON, OWN, SOME, TREE, VOLUME, keys, taken_by
from blockpack.planning.profile import PROFILES
from deploy.manifests import BEYOND_THE_SCHEMA, DISK, FAT, GIT, SOUND, TAR, WRONG


@cache
def schema() -> dict[str, Any]:
    """The schema as it is installed."""
    text = files("blockpack").joinpath("deploy/schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def valid(text: str) -> bool:
    """Whether the schema accepts the manifest."""
    return bool(validator().is_valid(tomllib.loads(text)))


def sound(text: str) -> bool:
    """Whether the parser does."""
    try:
        Manifest.parse(text)
    except Problems:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_schema_and_the_parser_know_the_same_keys() -> None:
    properties = schema()["properties"]
    definitions = schema()["$defs"]
    assert set(properties) == {"deployment", "volumes", "disks"}
    assert set(properties["deployment"]["properties"]) == set(DEPLOYMENT_KEYS)
    assert set(definitions["part"]["properties"]) == set(PART_KEYS)
    assert set(definitions["volume"]["properties"]) == set(VOLUME_KEYS)
    assert set(definitions["disk"]["properties"]) == set(DISK_KEYS)
    assert set(definitions["partition"]["properties"]) == set(PARTITION_KEYS)
    assert set(definitions["raw"]["properties"]) == set(RAW_KEYS)


def test_every_key_is_described() -> None:
    definitions = schema()["$defs"]
    for table in (schema(), schema()["properties"]["deployment"], definitions["part"]):
        assert all("description" in value for value in table["properties"].values())
    for table in ("volume", "disk", "partition", "raw"):
        for key, value in definitions[table]["properties"].items():
            assert value["description"].endswith("."), key


def test_the_schema_and_the_parser_know_the_same_choices() -> None:
    properties = schema()["$defs"]["volume"]["properties"]
    for option in (*TREE, *VOLUME):
        if option.kind == "choice":
            assert set(map(str, properties[option.key]["enum"])) == set(option.choices), option.key
    assert properties["format"]["enum"] == list(FORMATS)
    assert properties["profile"]["enum"] == list(PROFILES)
    assert properties["cipher"]["enum"] == list(CIPHERS)


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_both_take_what_is_sound(text: str) -> None:
    assert sound(text) and valid(text)


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_both_refuse_what_is_wrong(text: str) -> None:
    assert not sound(text) and not valid(text)


@pytest.mark.parametrize("text", BEYOND_THE_SCHEMA.values(), ids=BEYOND_THE_SCHEMA)
def test_the_parser_refuses_more(text: str) -> None:
    assert not sound(text) and valid(text)


VALUES = (
    *("true", "false", "0", "9", "10", "16", "512", "4096", "-4096", "0.5", "1979-05-27", "{}"),
    *("[]", "['a']", "[1]", "[{path = 'a'}]", "[{path = 'a', at = 'b'}]", "[{}]", "'.'", "'a/b'"),
    *("''", "'auto'", "'16'", "'4K'", "'64M'", "'0:0'", "'keep'", "'pack'", "'bundle'", "'X'"),
    *("'fixed'", "'mirage'", "'skip'", "'gnu'", "'sha1'", "'a <b@c>'", "'aes-ccm'", "'main'"),
)


@pytest.mark.parametrize("key", VOLUME_KEYS)
@pytest.mark.parametrize("base", [TAR, FAT, GIT], ids=["tar", "fat", "git"])
def test_the_schema_refuses_nothing_that_the_parser_takes(base: str, key: str) -> None:
    table = "\n".join(line for line in base.splitlines() if not line.startswith(f"{key} ="))
    for value in VALUES:
        text = f"{table}\n{key} = {value}\n"
        if sound(text):
            assert valid(text), text
        secret = f"{text}secret = true\n"
        if key != "secret" and sound(secret):
            assert valid(secret), secret


@pytest.mark.parametrize("key", [*DISK_KEYS, *PARTITION_KEYS])
def test_the_schema_refuses_nothing_of_disks_that_the_parser_takes(key: str) -> None:
    for table in ("", "table = 'mbr'\n"):
        for value in (*VALUES, "'esp'", "'rest'", "'0x0c'", "['read-only']", "'site'"):
            of_disk = DISK.replace("[disks.card]\n", f"[disks.card]\n{table}{key} = {value}\n")
            for text in (of_disk, f"{DISK}{key} = {value}\n"):
                assert not sound(text) or valid(text), text


def test_options_are_those_of_the_volumes() -> None:
    for format in FORMATS.values():
        own = {name.lower(): options for name, options in OWN.items()}[format.name]
        taken = taken_by(format.volume_class())
        assert [option for option in taken if option not in SOME] == [*COMMON, *own]
    assert all(
        sum(option in taken_by(format.volume_class()) for format in FORMATS.values()) > 1
        for option in SOME
    )
    assert len(set(VOLUME_KEYS)) == len(OWN_KEYS) + len(keys(TREE)) + len(keys(VOLUME))
