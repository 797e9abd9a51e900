"""Encrypted images on the command line: any format in them, and not a word about what it is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli.conftest import settle
from cli.running import Argument, Command, environment, python
from judges import ccm

KEY = bytes(range(200, 232))
FORMATS = ("tar", "fat", "git", "erofs")


@pytest.fixture(name="key_file")
def fixture_key_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret.key"
    path.write_bytes(KEY.hex().encode() + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture(name="image", params=FORMATS)
def fixture_image(
    request: pytest.FixtureRequest, command: Command, source: Path, tmp_path: Path, key_file: Path
) -> Path:
    """The source as an encrypted image."""
    options = ["--format", request.param]
    if request.param == "git":
        (source / "hollow").rmdir()  # git has no empty directories
        settle(source)
        options += ["--container", "pack"]  # nothing reads encrypted ones of docteur's
    image = tmp_path / "image"
    command("pack", source, image, *options, "--key-file", key_file)
    return image


def test_what_is_packed_is_shown_with_the_key(
    command: Command, image: Path, source: Path, key_file: Path, tmp_path: Path
) -> None:
    key = ("--key-file", key_file)
    assert {"index.html", "video.bin", "pages/deep/er/Größe.txt"} <= set(
        command("ls", image, *key).lines
    )
    assert command("cat", image, "video.bin", *key).out == (source / "video.bin").read_bytes()
    command("extract", image, tmp_path / "out", *key)
    for path in source.rglob("*"):
        copied = tmp_path / "out" / path.relative_to(source)
        assert copied.is_dir() if path.is_dir() else copied.read_bytes() == path.read_bytes()
    result = command("verify", image, source, *key)
    assert result.messages == [f"{image}: sound, and the same as {source}"]


def test_info_tells_of_the_encryption(command: Command, image: Path, key_file: Path) -> None:
    found = json.loads(command("info", image, "--json", "--key-file", key_file).out)
    assert found["size"] * 2 == image.stat().st_size
    assert found["geometry"]["cipher"] == "aes-ccm"
    assert found["geometry"]["cipher_sector"] == 512
    assert "cipher            aes-ccm" in command("info", image, "--key-file", key_file).lines


def test_others_decrypt_it(command: Command, source: Path, tmp_path: Path, key_file: Path) -> None:
    plain, image = tmp_path / "plain", tmp_path / "image"
    for sector in (512, 4096):
        options = ("--format", "tar", "--sector-size", str(sector))
        command("pack", source, plain, *options)
        command("pack", source, image, *options, "--key-file", key_file)
        assert ccm.decoded(image.read_bytes(), KEY, sector) == plain.read_bytes()


def test_a_change_of_the_source_is_found(
    command: Command, image: Path, source: Path, key_file: Path
) -> None:
    (source / "index.html").write_bytes(b"<h1>HELLO</h1>\n")
    result = command("verify", image, source, "--key-file", key_file, code=1)
    assert result.lines == ["index.html: differs from byte 4 on"]


@pytest.mark.parametrize("name", ["ls", "info", "verify", "cat", "extract"])
def test_the_wrong_key_and_none_exit_with_6(
    command: Command, image: Path, tmp_path: Path, name: str, key_file: Path
) -> None:
    more = {"cat": ["index.html"], "extract": [str(tmp_path / "out")]}.get(name, [])
    key_file.write_bytes(bytes(32))
    result = command(name, image, *more, "--key-file", key_file, code=6)
    assert "does not decrypt with this key" in result.messages[0]
    result = command(name, image, *more, code=6)
    assert "if it is encrypted, give its key" in result.messages[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["ls", "info", "verify", "cat", "extract", "pack"])
def test_a_key_that_others_read_is_refused(
    command: Command, source: Path, tmp_path: Path, name: str, key_file: Path
) -> None:
    key_file.chmod(0o640)
    arguments: dict[str, list[Argument]] = {
        "cat": [tmp_path / "image", "index.html"],
        "extract": [tmp_path / "image", tmp_path / "out"],
        "pack": [source, tmp_path / "packed", "--format", "tar"],
    }
    (tmp_path / "image").write_bytes(bytes(4096))
    result = command(
        name, *arguments.get(name, [tmp_path / "image"]), "--key-file", key_file, code=2
    )
    assert f"chmod 600 {key_file}" in result.messages[0]
    assert KEY.hex() not in result.err
    assert not (tmp_path / "packed").exists()


def test_a_damaged_sector_is_told_and_exits_with_6(
    command: Command, image: Path, key_file: Path
) -> None:
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 4
    image.write_bytes(data)
    result = command("verify", image, "--key-file", key_file, code=6)
    assert "does not decrypt (bytes" in [*result.lines, *result.messages][0]


def test_pack_prints_and_leaves_nothing_of_what_it_holds(
    source: Path, tmp_path: Path, key_file: Path
) -> None:
    """Neither names, nor contents, nor the key."""
    (source / "needle-name.txt").write_bytes(b"needle-content " * 40)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    printed = b""
    options = ("--format", "tar", "--key-file", key_file, "--jobs", "2")
    for json_option in ((), ("--json",)):
        done = subprocess.run(
            python("pack", source, tmp_path / "image", *options, *json_option),
            env=environment({"TMPDIR": str(temporary)}),
            capture_output=True,
            check=True,
        )
        printed += done.stdout + done.stderr
    left = printed + (tmp_path / "image").read_bytes()
    for needle in (b"needle", KEY, KEY.hex().encode(), repr(KEY).encode()):
        assert needle not in left
    assert os.listdir(temporary) == []
    assert sorted(os.listdir(tmp_path)) == ["image", "secret.key", "source", "temporary"]


def test_a_manifest_of_what_is_encrypted_is_refused(
    command: Command, source: Path, tmp_path: Path, key_file: Path
) -> None:
    arguments = ("pack", source, tmp_path / "image", "--format", "tar", "--key-file", key_file)
    result = command(*arguments, "--manifest", tmp_path / "manifest", code=2)
    assert result.messages == ["a manifest would tell what an encrypted image holds; leave it out"]
    assert not (tmp_path / "image").exists()


def test_the_key_is_neither_packed_nor_overwritten(
    command: Command, source: Path, tmp_path: Path, key_file: Path
) -> None:
    inside = source / "key"
    key_file.rename(inside)
    key = ("--format", "tar", "--key-file", inside)
    result = command("pack", source, inside, *key, code=2)
    told = f"{inside}: is read, and would be overwritten; choose another target"
    assert result.messages == [told]
    assert inside.read_bytes() == KEY.hex().encode() + b"\n"
    for _ in range(2):  # an earlier image of the same kind may be overwritten
        command("pack", source, source / "image", *key)
    assert {"key", "image"}.isdisjoint(command("ls", source / "image", *key[2:]).lines)
    command("verify", source / "image", source, *key)
    result = command("pack", source, source / "image", "--format", "tar", code=2)
    assert "is a file of the source, and would be overwritten" in result.messages[0]


def test_without_the_library_it_is_said_what_to_install(
    source: Path, tmp_path: Path, key_file: Path
) -> None:
    (tmp_path / "without" / "cryptography").mkdir(parents=True)
    (tmp_path / "without" / "cryptography" / "__init__.py").write_text("raise ImportError('none')")
    path = f"{tmp_path / 'without'}{os.pathsep}{environment()['PYTHONPATH']}"
    (tmp_path / "image").write_bytes(bytes(4096))
    for arguments in (
        ("pack", source, tmp_path / "x", "--format", "tar"),
        ("ls", tmp_path / "image"),
    ):
        done = subprocess.run(
            python(*arguments, "--key-file", key_file),
            env=environment({"PYTHONPATH": path}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr == "blockpack: encryption needs blockpack[secrets] installed (none)\n"
    assert not (tmp_path / "x").exists()
