"""``blockpack init`` writes a manifest that says what is there, and overwrites none."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import scan
from blockpack.deploy.manifest.parser import Manifest, Part
from blockpack.deploy.manifest.starter import LARGE, starter
from cli.running import Command


def put(path: Path, size: int = 5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


def parsed(directory: Path) -> Manifest:
    return Manifest.parse((directory / "blockpack.toml").read_bytes())


def test_each_directory_becomes_the_volume_that_holds_it(command: Command, tmp_path: Path) -> None:
    put(tmp_path / "site" / "index.html")
    put(tmp_path / "media" / "talk.mp4", LARGE)
    put(tmp_path / "secrets" / "tls.pem.age")
    put(tmp_path / "odd" / "a?b")
    put(tmp_path / "linked" / "a")
    (tmp_path / "linked" / "b").symlink_to("a")
    put(tmp_path / "README.md")
    put(tmp_path / ".git" / "config")
    assert command("init", tmp_path).messages == [
        f"{tmp_path}/blockpack.toml: linked: tar",
        f"{tmp_path}/blockpack.toml: media: tar",
        f"{tmp_path}/blockpack.toml: odd: tar",
        f"{tmp_path}/blockpack.toml: secrets: tar, secret",
        f"{tmp_path}/blockpack.toml: site: fat",
    ]
    volumes = parsed(tmp_path).volumes
    assert {name: (spec.format, spec.options) for name, spec in volumes.items()} == {
        "linked": ("tar", {}),
        "media": ("tar", {"profile": "mirage", "align": 4096}),
        "odd": ("tar", {"profile": "mirage"}),
        "secrets": ("tar", {}),
        "site": ("fat", {"profile": "mirage"}),
    }
    assert volumes["secrets"].secret and volumes["secrets"].cipher == "aes-ccm"
    assert all(spec.parts == (Part(name),) for name, spec in volumes.items())
    text = (tmp_path / "blockpack.toml").read_text("utf-8")
    assert "# In no volume:\n#   README.md\n" in text
    assert "FAT has no '?' in names" in text


@pytest.mark.parametrize("index", ["index.html", "talk.txt"])
def test_a_site_is_one_volume(command: Command, tmp_path: Path, index: str) -> None:
    put(tmp_path / index)
    if index == "index.html":
        put(tmp_path / "css" / "style.css")
    put(tmp_path / ".git" / "config")
    command("init", tmp_path)
    (spec,) = parsed(tmp_path).volumes.values()
    assert (spec.name, spec.format, spec.parts) == ("site", "fat", (Part(""),))
    packed = scan(tmp_path, exclude=spec.exclude)
    assert index in packed and "blockpack.toml" not in packed and ".git" not in packed


def test_encrypted_files_among_others_are_left_out(command: Command, tmp_path: Path) -> None:
    put(tmp_path / "site" / "a")
    put(tmp_path / "site" / "sub" / "key.age")
    command("init", tmp_path)
    (spec,) = parsed(tmp_path).volumes.values()
    assert not spec.secret
    assert [entry.path for entry in scan(tmp_path / "site", exclude=spec.exclude)] == [
        "a",
        "sub",
    ]


def test_a_manifest_that_is_there_stays(command: Command, tmp_path: Path) -> None:
    put(tmp_path / "site" / "a")
    manifest = tmp_path / "blockpack.toml"
    manifest.write_text("mine")
    assert "--force" in command("init", tmp_path, code=2).err
    assert manifest.read_text() == "mine"
    manifest.unlink()
    manifest.symlink_to("nowhere")
    command("init", tmp_path, code=2)
    assert not (tmp_path / "nowhere").exists()
    manifest.unlink()
    manifest.write_text("mine")
    command("init", tmp_path, "--force")
    assert list(parsed(tmp_path).volumes) == ["site"]


def test_what_fails_leaves_no_manifest(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "site" / "a")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("blockpack.cli.init.write_bytes", full)
    command("init", tmp_path, code=5)
    assert os.listdir(tmp_path) == ["site"]


@pytest.mark.parametrize("hidden", [True, False])
def test_where_there_is_nothing_to_pack_it_says_so(
    command: Command, tmp_path: Path, hidden: bool
) -> None:
    (tmp_path / "empty").mkdir()
    if hidden:
        put(tmp_path / ".git" / "config")
    assert "there is nothing to pack" in command("init", tmp_path, code=2).err
    assert not (tmp_path / "blockpack.toml").exists()


def test_a_directory_that_is_not_there_is_an_error(command: Command, tmp_path: Path) -> None:
    assert "is not a directory" in command("init", tmp_path / "nowhere", code=4).err


def test_the_directory_at_hand_is_taken(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "my site!" / "docs" / "a")
    monkeypatch.chdir(tmp_path / "my site!")
    command("init")
    assert parsed(Path()).name == "my-site-"


def test_the_schema_is_printed(command: Command, tmp_path: Path) -> None:
    assert json.loads(command("init", "--schema", tmp_path).out)["title"] == "blockpack.toml"
    assert os.listdir(tmp_path) == []


def test_names_that_no_manifest_holds_are_left_out_and_told(tmp_path: Path) -> None:
    for name in (b"back\\slash", b"not\xffutf8", b"new\nline", b"good", b'q"uote', b"node_modules"):
        put(tmp_path / os.fsdecode(name) / "a")
    found = starter(tmp_path)
    assert [spec.parts[0].path for spec in found.manifest.volumes.values()] == [
        "good",
        "new\nline",
        'q"uote',
    ]
    assert re.findall(r"^#   (.*)$", found.text, re.M) == [
        "back\\slash/",
        "node_modules/",
        "not\\xffutf8/",
    ]


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


@given(st.sets(NAMES, min_size=1, max_size=6))
def test_whatever_directories_are_called_the_manifest_is_sound(names: set[str]) -> None:
    with TemporaryDirectory() as place:
        for name in names:
            put(Path(place) / name / "a")
        put(Path(place) / "data" / "a")
        found = starter(place)
        assert Manifest.parse(found.text) == found.manifest
        for spec in found.manifest.volumes.values():
            (part,) = spec.parts
            spec.volume().plan(scan(Path(place) / part.path, exclude=spec.exclude))


def test_every_key_is_explained_once(tmp_path: Path) -> None:
    put(tmp_path / "a" / "a")
    put(tmp_path / "b" / "b")
    text = starter(tmp_path).text
    assert text.count("who reads it") == text.count("# a path in this directory") == 1
    assert all(len(line) <= 100 for line in text.splitlines())
