"""``blockpack init`` writes a manifest that says what is there, and overwrites none."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import scan
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from blockpack.deploy.manifest.parser import Manifest
from blockpack.deploy.manifest.specs import Part, volume_of
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
    assert command("init", tmp_path).messages[:5] == [
        f"{tmp_path}/blockpack.toml: linked: tar",
        f"{tmp_path}/blockpack.toml: media: tar",
        f"{tmp_path}/blockpack.toml: odd: tar",
        f"{tmp_path}/blockpack.toml: secrets: tar, secret",
        f"{tmp_path}/blockpack.toml: site: tar",
    ]
    volumes = parsed(tmp_path).volumes
    assert {name: (spec.format, spec.options) for name, spec in volumes.items()} == {
        "linked": ("tar", {}),
        "media": ("tar", {"profile": "mirage", "align": 4096}),
        "odd": ("tar", {"profile": "mirage"}),
        "secrets": ("tar", {}),
        "site": ("tar", {"profile": "mirage"}),
    }
    assert volumes["secrets"].secret and volumes["secrets"].cipher == "aes-ccm"
    assert all(spec.parts == (Part(name),) for name, spec in volumes.items())
    text = (tmp_path / "blockpack.toml").read_text("utf-8")
    assert "# In no volume:\n#   README.md\n" in text
    assert "is a symbolic link, which the profile's reader shows as an empty file" in text


@pytest.mark.parametrize("index", ["index.html", "talk.txt"])
def test_a_site_is_one_volume(command: Command, tmp_path: Path, index: str) -> None:
    put(tmp_path / index)
    if index == "index.html":
        put(tmp_path / "css" / "style.css")
    put(tmp_path / ".git" / "config")
    command("init", tmp_path)
    (spec,) = parsed(tmp_path).volumes.values()
    assert (spec.name, spec.format, spec.parts) == ("site", "tar", (Part(""),))
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
    manifest.symlink_to("planted")
    (tmp_path / "planted").write_text("theirs")
    for force in ((), ("--force",)):
        assert "is a symbolic link" in command("init", tmp_path, *force, code=2).err
    assert (tmp_path / "planted").read_text() == "theirs"
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

    monkeypatch.setattr(os, "fsync", full)
    command("init", tmp_path, code=5)
    assert os.listdir(tmp_path) == ["site"]


def test_files_beside_directories_without_any_become_one_volume(
    command: Command, tmp_path: Path
) -> None:
    put(tmp_path / "ssh_config")
    (tmp_path / "ssh_config.d").mkdir()
    assert command("init", tmp_path).messages == [f"{tmp_path}/blockpack.toml: site: tar"]
    assert parsed(tmp_path).volumes["site"].parts == (Part(""),)


def test_what_is_in_no_volume_is_told(command: Command, tmp_path: Path) -> None:
    for name in ("docs/a.md", "index.md", "notes.md"):
        put(tmp_path / name)
    told = command("init", tmp_path).messages
    assert f"{tmp_path}/blockpack.toml: in no volume: index.md, notes.md" in told


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
            volume_of(spec.format, **spec.options).plan(
                scan(Path(place) / part.path, exclude=spec.exclude)
            )


def test_every_key_is_explained_once(tmp_path: Path) -> None:
    put(tmp_path / "a" / "a")
    put(tmp_path / "b" / "b")
    text = starter(tmp_path).text
    assert text.count("who reads it") == text.count("# a path in this directory") == 1
    assert all(len(line) <= 100 for line in text.splitlines())


# What is private ---------------------------------------------------------------------------------

PEM = b"-----BEGIN %sPRIVATE KEY-----\nMIIE\n"

PRIVATE: dict[str, tuple[bytes, int]] = {
    "tls.key": (b"", 0o644),
    "TLS.KEY": (b"", 0o644),
    "server.pem": (PEM % b"", 0o644),
    "cert.crt": (b"-----BEGIN CERTIFICATE-----\n" + PEM % b"EC ", 0o644),
    "plainly-named": (PEM % b"OPENSSH ", 0o644),
    "keys.txt": (b"# created\nAGE-SECRET-KEY-1QQ", 0o644),
    "id_ed25519": (b"", 0o644),
    ".env": (b"PASSWORD=x", 0o644),
    ".env.production": (b"PASSWORD=x", 0o644),
    "notes.html": (b"mine", 0o600),
    "token.age": (b"age-encryption.org/v1\n", 0o644),
    "store.p12": (b"", 0o644),
    "vault.kdbx": (b"", 0o644),
    ".netrc": (b"", 0o644),
    ".pgpass": (b"", 0o644),
    "project-12ab.json": (b'{"type": "service_account", "private_key": "-----"}', 0o644),
    "private/odd [x] *\n": (b"", 0o644),
    "deep/er/secrets/x": (b"", 0o644),
    "a[b]*c? \\ (0600) ": (b"", 0o600),
    "not\udcffutf8": (b"", 0o600),
}
PUBLIC = ("index.html", "id_ed25519.pub", "cert.pem", ".env.example", "monkey.html", "a.json")


def put_private(place: Path, names: Iterable[str]) -> None:
    for name in names:
        data, mode = PRIVATE[name]
        put(place / name)
        (place / name).write_bytes(data)
        (place / name).chmod(mode)


@pytest.mark.parametrize("source", [".", "data"])
@given(names=st.sets(st.sampled_from(sorted(PRIVATE)), min_size=1))
def test_nothing_that_is_private_is_in_a_readable_image(source: str, names: set[str]) -> None:
    with TemporaryDirectory() as top:
        place = Path(top) / source
        for name in PUBLIC:
            put(place / name)
            (place / name).chmod(0o644)
        put_private(place, names)
        found = starter(top)
        Path(top, "blockpack.toml").write_text(found.text, "utf-8")
        for checked in check(top):
            assert "private" not in [warning.code for warning in checked.warnings]
        (spec,) = found.manifest.volumes.values()
        packed = {entry.path for entry in scan(place, exclude=spec.exclude)}
        assert spec.secret or not packed & names
        assert spec.secret or packed >= {*PUBLIC} - {"a.json"}
        assert spec.secret == (len(names) > len(PUBLIC))
        assert found.notes


@pytest.mark.parametrize("name", sorted(PRIVATE))
def test_check_and_build_warn_of_what_is_private(tmp_path: Path, name: str) -> None:
    put(tmp_path / "data/index.html")
    put_private(tmp_path / "data", [name])
    text = '[deployment]\nname = "www"\n[volumes.data]\nsource = "data"\nformat = "tar"\n'
    (tmp_path / "blockpack.toml").write_text(text)
    (checked,) = check(tmp_path)
    report = build(tmp_path, tmp_path / "dist")
    if name == "plainly-named":  # nothing but its bytes tells
        return
    assert [warning.code for warning in checked.warnings] == ["private"]
    assert [warning for _, warning in report.warnings] == list(checked.warnings)
    (tmp_path / "blockpack.toml").write_text(text + "secret = true\n")
    (checked,) = check(tmp_path)
    assert [warning.code for warning in checked.warnings] == ["secret"]


@pytest.mark.parametrize("name", ["keys", "secrets", "vault", "odd"])
def test_a_directory_of_keys_is_a_secret_volume(
    command: Command, tmp_path: Path, name: str
) -> None:
    put(tmp_path / "site/index.html")
    put_private(tmp_path / name, ["tls.key", "server.pem"])
    told = command("init", tmp_path).messages
    spec = parsed(tmp_path).volumes[name]
    assert spec.secret and spec.cipher == "aes-ccm" and spec.exclude == ()
    assert any("secrets encrypt --remove" in line for line in told)
    command("build", tmp_path, "--out", tmp_path / "dist")
    assert not parsed(tmp_path).volumes["site"].secret
    data = (tmp_path / "dist" / f"{name}.img").read_bytes()
    assert b"tls.key" not in data and PEM[:10] not in data


def test_files_are_not_private_just_because_all_are_made_so(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        put(tmp_path / "site/a")
        assert starter(tmp_path).manifest.volumes["site"].exclude == ()
    finally:
        os.umask(before)


# What is not data --------------------------------------------------------------------------------


def test_source_code_is_in_no_volume(command: Command, tmp_path: Path) -> None:
    files = (
        *("dune-project", "config.ml", "unikernel.ml", "Makefile", "README.md"),
        *("src/dune", "src/main.ml", "src/main.mli", "src/logo.png"),
        *("lib/a.c", "lib/a.h", "tests/test_a.py", "tests/data.txt", "tests/test_b.py"),
        *("web/package.json", "web/src/app.jsx", "web/node_modules/x/index.html"),
        *("htdocs/index.html", "htdocs/js/app.js", "htdocs/node_modules/x/y"),
        *("media/a.ts", "media/b.ts"),
    )
    for name in files:
        put(tmp_path / name)
    told = command("init", tmp_path).messages
    volumes = parsed(tmp_path).volumes
    assert list(volumes) == ["htdocs", "media"]
    assert volumes["htdocs"].exclude == ("node_modules",)
    for name in ("src", "lib", "tests", "web"):
        assert f"{tmp_path}/blockpack.toml: {name}/ is left out: source code" in told


def test_where_there_is_only_source_code_it_says_so(command: Command, tmp_path: Path) -> None:
    put(tmp_path / "main.ml")
    put(tmp_path / "dune-project")
    put(tmp_path / "src/a.ml")
    assert "nothing to pack but source code" in command("init", tmp_path, code=2).err
