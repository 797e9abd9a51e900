"""A build's record comes back as it was written; whatever else is read is refused, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from blockpack.deploy.file_names import RECORD
from blockpack.deploy.record import (
    BuildRecord,
    FromCommit,
    FromDirectory,
    ImageRecord,
)
from blockpack.errors import BlockpackError, ImageError, Problems

SITE = ImageRecord(
    name="site",
    file="site.img",
    format="fat",
    profile="mirage",
    sector_size=4096,
    size=16 << 20,
    sha256="ab" * 32,
    tree_sha256="ef" * 32,
    fingerprint="a fingerprint",
    placements="site.json",
)
CODE = ImageRecord(
    name="code",
    file="code.img",
    format="git",
    profile="any",
    sector_size=512,
    container="bundle",
    size=4096,
    sha256="cd" * 32,
)
KEYS = ImageRecord(
    name="keys",
    file="keys.img",
    format="tar",
    profile="any",
    sector_size=512,
    secret=True,
    cipher="aes-ccm",
    key="keys.key",
)
RECORD_OF_ALL = BuildRecord(
    name="www", source=FromCommit("0123" * 10, "4567" * 10), volumes=(SITE, CODE, KEYS)
)


def values() -> Any:
    """The record of all, as JSON values."""
    return json.loads(RECORD_OF_ALL.encoded())


def write(directory: Path, value: object) -> None:
    """Write any JSON value as the record."""
    (directory / RECORD).write_text(json.dumps(value))


def refusal(directory: Path) -> str:
    """All that is said of the record in `directory`."""
    with pytest.raises(Problems) as caught:
        BuildRecord.read(directory)
    return str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        RECORD_OF_ALL,
        BuildRecord(name="a", source=FromDirectory("/srv/\udcffü"), volumes=(), version="7"),
    ],
)
def test_a_record_comes_back_as_it_was_written(record: BuildRecord, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(record.encoded())
    assert BuildRecord.read(tmp_path) == record


def test_nothing_is_told_of_a_secrets_contents() -> None:
    told = values()["volumes"][2]
    assert not {"size", "sha256", "tree_sha256", "fingerprint", "placements"} & told.keys()
    for name, value in (("size", 1), ("sha256", ""), ("fingerprint", ""), ("placements", "")):
        with pytest.raises(ValueError, match="secret"):
            evolve(KEYS, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", RECORD_OF_ALL.encoded()[:-3], b"\xff", b"[" * 100_000, b"[]", b"7", b"{}"],
    ids=["empty", "begun", "cut", "no text", "deep", "array", "number", "nothing"],
)
def test_what_is_no_record_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(text)
    with pytest.raises(ImageError, match="build again"):
        BuildRecord.read(tmp_path)


@pytest.mark.parametrize("schema", [0, 2, True, "1", None, 1.0])
def test_another_schema_is_refused(schema: object, tmp_path: Path) -> None:
    write(tmp_path, values() | {"schema": schema})
    with pytest.raises(ImageError, match="schema"):
        BuildRecord.read(tmp_path)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_value_of_a_wrong_type_is_refused(number: int, tmp_path: Path) -> None:
    may_be_null = {"cipher", "key", "tree_sha256", "fingerprint", "placements"}
    volume = values()["volumes"][number]
    for key in volume:
        for wrong in [[], {}, -1.5, True, 7, "", None]:
            if (wrong is None and key in may_be_null) or type(wrong) is type(volume[key]):
                continue
            if wrong == "" and key == "fingerprint":
                continue  # any text will do
            changed = values()
            changed["volumes"][number][key] = wrong
            write(tmp_path, changed)
            assert f"volumes[{number}].{key}: " in refusal(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "with space"),
        ("name", "1st"),
        ("name", "a" * 64),
        ("name", "ü"),
        ("name", "site\n"),
        ("file", "../site.img"),
        ("file", "/dev/sda"),
        ("file", ".."),
        ("file", "-rf"),
        ("key", "a/b"),
        ("sha256", "AB" * 32),
        ("sha256", "ab"),
        ("size", -1),
        ("sector_size", 0),
        ("sector_size", 1000),
        ("profile", "\x1b[2J"),
        ("cipher", "AES"),
        ("container", "bundle"),
    ],
)
def test_a_value_that_leads_elsewhere_is_refused(key: str, value: object, tmp_path: Path) -> None:
    changed = values()
    changed["volumes"][0][key] = value
    write(tmp_path, changed)
    assert f"volumes[0].{key}: " in refusal(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "ü"])
def test_a_deployment_has_a_name_that_may_be_a_directorys(name: str, tmp_path: Path) -> None:
    write(tmp_path, values() | {"name": name})
    assert "name: " in refusal(tmp_path)
    assert "is not a deployment's name" in refusal(tmp_path)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    changed = values()
    changed["volumes"][0] = None
    changed["volumes"][1] |= {"name": "keys", "container": None}
    changed["volumes"][2] |= {"size": 7, "file": "site.img/"}
    changed["source"] = {"commit": "HEAD"}
    write(tmp_path, changed)
    with pytest.raises(Problems) as caught:
        BuildRecord.read(tmp_path)
    told = [str(error).partition(":")[0] for error in caught.value.exceptions]
    assert {
        "source.commit",
        "source.tree",
        "volumes[0]",
        "volumes[1].container",
        "volumes[2].size",
        "volumes[2].file",
        "volumes[2].name",
    } <= set(told)
    assert all(isinstance(error, BlockpackError) for error in caught.value.exceptions)
    assert caught.value.exit_code == ImageError.exit_code
