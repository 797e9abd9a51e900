"""Seeds and config drives: cloud-init takes each that is written, and what it would not take is
refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

import blockpack
from blockpack.planning.wanted_files import MOST_PARSED
from judges import fat_invariants
from judges.cloud_init import configdrive_read, nocloud_read
from judges.fat_tools import fsck
from judges.programs import run_silent
from property.fat_images import written
from property.strategies import ascii_fat_names, fold, specs, tree_of

META_DATA = b"instance-id: i-1\nlocal-hostname: web\n"
USER_DATA = b"#cloud-config\npackages: [nginx]\n"
DRIVE = "openstack/latest/meta_data.json"


def tree_with(files: dict[str, bytes]) -> blockpack.Tree:
    tree = blockpack.Tree()
    for path, data in files.items():
        tree.add(path, data)
    return tree


def seed(directory: Path, files: dict[str, bytes], **options: Any) -> Path:
    volume = blockpack.FatVolume(profile="nocloud", **options)
    layout = volume.plan(tree_with({"user-data": USER_DATA, "meta-data": META_DATA, **files}))
    return written(layout, directory)


def drive(directory: Path, files: dict[str, bytes], **options: Any) -> Path:
    volume = blockpack.FatVolume(profile="configdrive", **options)
    return written(volume.plan(tree_with({DRIVE: b'{"uuid": "i-1"}', **files})), directory)


@pytest.mark.parametrize("label", ["CIDATA", "cidata"])
def test_cloud_init_takes_a_seed(tmp_path: Path, label: str) -> None:
    files = {
        "network-config": b"version: 2\nethernets: {eth0: {dhcp4: true}}\n",
        "vendor-data": b"#!/bin/sh\ntrue\n",
        "scripts/more.sh": b"true\n",
    }
    image = seed(tmp_path, files, label=label, label_case="keep")
    assert nocloud_read(image) == {
        "metadata": {"instance-id": "i-1", "local-hostname": "web", "dsmode": "net"},
        "userdata": USER_DATA.decode(),
        "vendordata": "#!/bin/sh\ntrue\n",
        "network": {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}},
    }
    fsck(image)


def test_blkid_sees_the_label_where_cloud_init_looks_for_it(tmp_path: Path) -> None:
    told = run_silent("blkid", ["-p", "-o", "export", seed(tmp_path, {})]).decode().splitlines()
    assert {"LABEL=CIDATA", "LABEL_FATBOOT=CIDATA", "TYPE=vfat"} <= {*told}
    told = run_silent("blkid", ["-p", "-o", "export", drive(tmp_path, {})]).decode().splitlines()
    assert {"LABEL=config-2", "LABEL_FATBOOT=config-2", "TYPE=vfat"} <= {*told}


def test_cloud_init_takes_a_config_drive(tmp_path: Path) -> None:
    files = {
        "openstack/latest/user_data": USER_DATA,
        "openstack/latest/network_data.json": b'{"links": []}',
        "openstack/latest/vendor_data.json": b'["a list is fine"]',
    }
    image = drive(tmp_path, files)
    found = configdrive_read(image)
    assert found is not None
    assert found["metadata"]["instance-id"] == "i-1"
    assert found["userdata"] == USER_DATA.decode()
    assert found["networkdata"] == {"links": []}
    fsck(image)


@given(spec=specs(ascii_fat_names, key=fold))
def test_anything_else_may_be_in_a_seed(
    tmp_path_factory: pytest.TempPathFactory, spec: Any
) -> None:
    tree = tree_of(spec)
    taken = {path.partition("/")[0].lower() for path in spec}
    for path, data in (("user-data", USER_DATA), ("meta-data", META_DATA)):
        if path not in taken:
            tree.add(path, data)
    if {"user-data", "meta-data", "vendor-data", "network-config"} & taken:
        return
    image = written(
        blockpack.FatVolume(profile="nocloud").plan(tree), tmp_path_factory.mktemp("seed")
    )
    fsck(image)
    assert fat_invariants.check(image).keys() == {entry.path for entry in tree}
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []


WRONG: dict[str, tuple[dict[str, bytes | None], list[str]]] = {
    "no user-data": ({"user-data": None}, ["user-data: is missing, and cloud-init"]),
    "nothing": (
        {"user-data": None, "meta-data": None},
        ["user-data: is missing", "meta-data: is missing"],
    ),
    "settings that are no YAML": (
        {"user-data": b"#cloud-config\npackages: [nginx\n"},
        ["user-data: is not valid YAML: expected ',' or ']', but got '<stream end>' in line 3"],
    ),
    "settings that are a list": (
        {"user-data": b"#cloud-config\n- nginx\n"},
        ["user-data: is not a mapping"],
    ),
    "settings with a tab": (
        {"user-data": b"#cloud-config\na:\n\t- b\n"},
        ["user-data: is not valid YAML: found character '\\t' that cannot start any token"],
    ),
    "meta-data that is a text": ({"meta-data": b"web"}, ["meta-data: is not a mapping"]),
    "meta-data that is not UTF-8": ({"meta-data": b"\xff"}, ["meta-data: is not valid YAML"]),
    "meta-data with control characters": (
        {"meta-data": b"a: \x01"},
        ["meta-data: is not valid YAML: unacceptable character #x0001"],
    ),
    "meta-data that is nested": ({"meta-data": b"[" * 9999}, ["meta-data: is nested too deeply"]),
    "a network that is no YAML": (
        {"network-config": b"version: 2: 3"},
        ["network-config: is not valid YAML: mapping values are not allowed here"],
    ),
    "all of them": (
        {"user-data": b"#cloud-config\n[", "meta-data": b"[", "network-config": b"["},
        ["user-data: is not", "meta-data: is not", "network-config: is not"],
    ),
}


@pytest.mark.parametrize(("files", "expected"), WRONG.values(), ids=WRONG)
def test_what_cloud_init_would_not_take_is_refused(
    tmp_path: Path, files: dict[str, bytes | None], expected: list[str]
) -> None:
    changed = {"user-data": USER_DATA, "meta-data": META_DATA, **files}
    tree = tree_with({path: data for path, data in changed.items() if data is not None})
    with pytest.raises(blockpack.Problems, match="for profile nocloud") as raised:
        blockpack.FatVolume(profile="nocloud").plan(tree)
    errors = list(map(str, raised.value.errors))
    assert len(errors) == len(expected)
    for error, beginning in zip(errors, expected, strict=True):
        assert error.startswith(beginning), error


DRIVES: dict[str, tuple[bytes | None, str]] = {
    "nothing": (None, "is missing, and cloud-init takes no config drive without it"),
    "no JSON": (b"{", "is not valid JSON: Expecting property name"),
    "a list": (b"[]", "is not a mapping"),
    "no uuid": (b"{}", "has no uuid, and cloud-init"),
    "nested": (b"[" * 99_999, "is nested too deeply"),
}


@pytest.mark.parametrize(("data", "rule"), DRIVES.values(), ids=DRIVES)
def test_a_config_drive_that_cloud_init_would_not_take_is_refused(
    tmp_path: Path, data: bytes | None, rule: str
) -> None:
    """And cloud-init takes none of them."""
    tree = tree_with({} if data is None else {DRIVE: data})
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.FatVolume(profile="configdrive").plan(tree)
    [error] = raised.value.errors
    assert error.path == DRIVE and error.rule.startswith(rule)
    volume = blockpack.FatVolume(label="config-2", label_case="keep")
    assert configdrive_read(written(volume.plan(tree), tmp_path)) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"user-data": b""}, []),
        ({"user-data": b"#!/bin/sh\n"}, []),
        ({"user-data": b"\x1f\x8b\x08 gzip"}, []),
        ({"user-data": b"Content-Type: multipart/mixed\nMIME-Version: 1.0\n"}, []),
        ({"user-data": b"## template: jinja\n#cloud-config\n{% if %}"}, []),
        ({"user-data": b"#cloud-config-archive\n- {}\n"}, []),
        ({"user-data": b"#cloud-config\n# nothing yet\n"}, []),
        ({"user-data": b"# cloud-config\npackages: []\n"}, ["user-data"]),
        ({"user-data": b"packages: []\n"}, ["user-data"]),
        ({"vendor-data": b"\xef\xbb\xbf#cloud-config\n"}, ["user-data"]),
        ({"meta-data": b""}, ["missing-key"]),
        ({"meta-data": b"local-hostname: web"}, ["missing-key"]),
        ({"meta-data": b'{"instance-id": "i"}'}, []),
        ({"user-data": b"#cloud-config\n" + b"#" * MOST_PARSED}, ["unchecked"]),
    ],
    ids=str,
)
def test_what_cloud_init_takes_and_does_nothing_with_is_warned_of(
    tmp_path: Path, files: dict[str, bytes], expected: list[str]
) -> None:
    tree = tree_with({"user-data": USER_DATA, "meta-data": META_DATA, **files})
    layout = blockpack.FatVolume(profile="nocloud").plan(tree)
    assert [warning.code for warning in layout.warnings] == expected
    assert nocloud_read(written(layout, tmp_path)) is not None


@given(text=st.text("ab:-[]{},#'\"| \n\t&*?%", max_size=40) | st.text(max_size=9))
@example("a: &b [*b]")
@example("a: *b")
@example("%YAML 1.1\n---\na: b")
@example("a: b\n---\nc: d")
def test_yaml_is_refused_just_where_cloud_init_cannot_load_it(text: str) -> None:
    tree = tree_with({"user-data": USER_DATA, "meta-data": text.encode("utf-8", "replace")})
    try:
        loaded = yaml.safe_load(text.encode("utf-8", "replace").decode())
        sound = loaded is None or isinstance(loaded, dict)
    except yaml.constructor.ConstructorError:
        return  # values that only the loader's own types cannot hold
    except yaml.YAMLError:
        sound = False
    try:
        blockpack.FatVolume(profile="nocloud").plan(tree)
    except blockpack.Problems:
        assert not sound
    else:
        assert sound


@pytest.mark.parametrize(
    ("profile", "options", "remedy"),
    [
        ("nocloud", {"label": "WEB"}, "leave the label out"),
        ("nocloud", {"label": ""}, "leave the label out"),
        ("nocloud", {"label": "CiData", "label_case": "keep"}, "leave the label out"),
        ("configdrive", {"label": "CONFIG-2"}, "leave the label out"),
        ("configdrive", {"label_case": "upper"}, "label_case='keep'"),
    ],
    ids=str,
)
def test_a_label_that_is_not_looked_for_is_wrong_usage(
    profile: str, options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(blockpack.UsageError, match=remedy):
        blockpack.FatVolume(profile=profile, **options)


def test_files_are_found_whatever_their_case(tmp_path: Path) -> None:
    image = drive(tmp_path, {})
    tree = tree_with({"OpenStack/LATEST/Meta_Data.JSON": b'{"uuid": "i-1"}'})
    layout = blockpack.FatVolume(profile="configdrive").plan(tree)
    assert layout.warnings == () and image.exists()


def test_without_a_parser_of_yaml_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    tree = tree_with({"user-data": b"#cloud-config\n[", "meta-data": META_DATA})
    warnings = blockpack.FatVolume(profile="nocloud").plan(tree).warnings
    assert [(each.code, each.path) for each in warnings] == [
        ("unchecked", "user-data"),
        ("unchecked", "meta-data"),
    ]
    assert 'pip install "blockpack[seed]"' in str(warnings[0])


def test_a_file_that_cannot_be_read_is_told_with_all_else(tmp_path: Path) -> None:
    tree = tree_with({"user-data": b"#cloud-config\n["})
    source = tmp_path / "meta-data"
    source.write_bytes(META_DATA)
    tree.add("meta-data", source)
    source.unlink()
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.FatVolume(profile="nocloud").plan(tree)
    kinds = [type(error) for error in raised.value.errors]
    assert kinds == [blockpack.EntryError, blockpack.SourceError]


def test_keys_are_those_of_the_mapping(tmp_path: Path) -> None:
    meta_data = {"instance-id": "i-2", "nested": {"uuid": "no"}}
    tree = tree_with({"user-data": b"", "meta-data": json.dumps(meta_data).encode()})
    assert blockpack.FatVolume(profile="nocloud").plan(tree).warnings == ()
    tree = tree_with({DRIVE: b'{"nested": {"uuid": "no"}}'})
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.FatVolume(profile="configdrive").plan(tree)
    assert "has no uuid" in str(raised.value)
