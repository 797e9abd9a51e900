"""Git images by the command: each option does what it says, and says what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import blockpack
from cli.conftest import TIME, settle
from cli.running import Command, process
from judges import docteur, git_kv, git_pack, git_tools

KEEP = ("--mtime", "keep")
CONTAINERS: dict[str, tuple[str, ...]] = {
    "docteur": (),
    "bundle": ("--container", "bundle"),
    "pack": ("--container", "pack"),
    "oneffs": ("--container", "pack", "--oneffs"),
    "sha256": ("--container", "pack", "--object-format", "sha256"),
    "bundle of sha256": ("--container", "bundle", "--object-format", "sha256"),
}


@pytest.fixture(name="source")
def fixture_source(source: Path) -> Path:
    """The usual tree, without its empty directory, with a link and something to execute."""
    (source / "hollow").rmdir()
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("pages/about us.html")
    settle(source)
    return source


@pytest.fixture(name="image", params=CONTAINERS)
def fixture_image(
    command: Command, source: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Path]:
    image = tmp_path / "image"
    command("pack", source, image, "--format", "git", *KEEP, *CONTAINERS[request.param])
    yield image


def files_under(source: Path) -> set[str]:
    return {str(p.relative_to(source)) for p in source.rglob("*") if p.is_symlink() or p.is_file()}


def facts(command: Command, image: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("info", image, "--json").out)["geometry"]
    return found


def commit_of(image: Path) -> dict[str, bytes]:
    checked = docteur.check(image)
    return git_pack.commit_fields(checked.pack.objects[checked.commit].data)


def test_what_is_packed_is_listed_shown_and_extracted(
    command: Command, image: Path, source: Path, tmp_path: Path
) -> None:
    listed = command("ls", image).lines
    assert {line for line in listed if not line.endswith("/")} == files_under(source)
    lines = command("ls", "-l", image).lines
    assert any(line.startswith("-rwxr-xr-x") and line.endswith(" run") for line in lines)
    assert any("2023-11-14 22:13:20 link -> pages/about us.html" in line for line in lines)
    assert command("cat", image, "video.bin").out == (source / "video.bin").read_bytes()
    command("extract", image, tmp_path / "out")
    assert git_tools.read_files(tmp_path / "out") == git_tools.read_files(source)
    assert (tmp_path / "out/index.html").stat().st_mtime == TIME


def test_an_image_is_sound_and_the_same_as_its_source(
    command: Command, image: Path, source: Path
) -> None:
    assert command("verify", image).messages == [f"{image}: sound"]
    (source / "video.bin").write_bytes(b"!" + (source / "video.bin").read_bytes()[1:])
    os.utime(source / "video.bin", (TIME, TIME))
    result = command("verify", image, source, "--mtime", "keep", code=1)
    assert result.lines == ["video.bin: differs from byte 0 on"]


def test_info_and_plan_agree_on_what_is_in_an_image(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name, options in CONTAINERS.items():
        image = tmp_path / name
        planned = json.loads(command("plan", source, "--format", "git", *options, "--json").out)
        report = json.loads(
            command("pack", source, image, "--format", "git", *options, "--json").out
        )
        assert planned["geometry"] == report["geometry"]
        assert planned["size"] == report["size"] == image.stat().st_size
        known = facts(command, image)
        assert known.items() <= report["geometry"].items()
        assert known["container"] == (name if name in ("docteur", "oneffs") else options[1])
        assert {entry["path"] for entry in planned["entries"]} >= files_under(source)


def test_each_container_is_what_its_reader_takes(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    expected = git_tools.read_files(source)
    command("pack", source, image, "--format", "git")
    assert docteur.check(image).files == expected
    command("pack", source, image, "--format", "git", *CONTAINERS["bundle"])
    assert git_tools.clone(image, tmp_path / "clone") == expected
    command("pack", source, image, "--format", "git", *CONTAINERS["oneffs"])
    head, pack = git_kv.restore(git_kv.oneffs_read(image, 512))
    assert git_pack.files(pack, head) == expected
    command("pack", source, image, "--format", "git", *CONTAINERS["pack"], "--free", "1M")
    assert image.stat().st_size > 1 << 20
    assert git_kv.restore(image.read_bytes())[0] == head


def test_message_author_and_branch_are_the_commits(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    options = ("--message", "Release Ü", "--author", "A B <a@b>")
    command("pack", source, image, "--format", "git", *options)
    assert commit_of(image)["message"] == "Release Ü\n".encode()
    assert commit_of(image)["author"] == b"A B <a@b>"
    command("pack", source, image, "--format", "git", *CONTAINERS["bundle"], "--branch", "x/y")
    assert b" refs/heads/x/y\n" in image.read_bytes()[:300]


def test_compression_is_a_level_and_0_stores(
    command: Command, source: Path, tmp_path: Path
) -> None:
    sizes = {}
    for level in ("auto", *map(str, range(10))):
        image = tmp_path / level
        command("pack", source, image, "--format", "git", "--compression", level)
        sizes[level] = image.stat().st_size
        assert command("verify", image, source, "--compression", level).code == 0
    assert sizes["0"] > sizes["1"] and sizes["auto"] == sizes["6"]
    assert b"about\n" * 1000 in (tmp_path / "0").read_bytes()


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--author", "nobody"), "NAME <EMAIL>"),
        (("--author", ""), "NAME <EMAIL>"),
        (("--branch", "a..b"), "branch"),
        (("--branch", ""), "branch"),
        (("--branch", "-x"), "--branch"),
        (("--free", "1M"), "a docteur ends with its content"),
        (("--size", "1M"), "a docteur ends with its content"),
        (("--container", "bundle", "--free", "1M"), "a bundle ends with its content"),
        (("--container", "bundle", "--size", "1M"), "a bundle ends with its content"),
        (("--oneffs",), "a OneFFS holds a pack"),
        (("--container", "bundle", "--oneffs"), "a OneFFS holds a pack"),
        (("--object-format", "sha256"), "docteur knows SHA-1 alone"),
        (("--object-format", "md5"), "sha256"),
        (("--container", "iso"), "bundle"),
        (("--compression", "10"), "compression"),
        (("--compression", "-1"), "compression"),
        (("--pad", "100"), "padding"),
        (("--label", "X"), "--label is not for the format git"),
        (("--tar-dialect", "gnu"), "--tar-dialect is not for the format git"),
        (("--fat-type", "16"), "--fat-type is not for the format git"),
    ],
)
def test_options_that_are_wrong_are_wrong_usage(
    command: Command, source: Path, tmp_path: Path, options: tuple[str, ...], cause: str
) -> None:
    for name, target in (("pack", (tmp_path / "image",)), ("plan", ())):
        result = command(name, source, *target, "--format", "git", *options, code=2)
        assert cause in result.err
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize("form", ["tar", "fat"])
@pytest.mark.parametrize(
    "options", [("--container", "pack"), ("--author", "A <b>"), ("--branch", "x"), ("--oneffs",)]
)
def test_gits_options_are_not_for_other_formats(
    command: Command, source: Path, tmp_path: Path, form: str, options: tuple[str, ...]
) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form, *options, code=2)
    assert f"{options[0]} is not for the format {form}" in result.err


def test_names_that_git_refuses_are_an_error_each(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name in (".git", ".GIT", "git~1"):
        (source / "sub" / name).mkdir(parents=True)
    result = command("pack", source, tmp_path / "image", "--format", "git", code=3)
    assert len(result.messages) == 4
    assert "sub/git~1: has the name of a git directory; rename or exclude it" in result.err
    command("pack", source, tmp_path / "image", "--format", "git", "--exclude", "sub")


def test_the_mirage_profile_refuses_links_and_takes_them_followed(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    options = ("--format", "git", "--profile", "mirage")
    assert "link: is a symbolic link" in command("pack", source, image, *options, code=3).err
    command("pack", source, image, *options, "--symlinks", "follow")
    assert {mode for mode, _ in docteur.check(image).files.values()} == {b"100644"}


def test_an_empty_directory_is_left_out_with_a_warning(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "hollow").mkdir()
    image = tmp_path / "image"
    said = "warning: hollow: git keeps no empty directories; it is left out [empty-directory]"
    assert said in command("pack", source, image, "--format", "git").messages
    assert said in command("plan", source, "--format", "git").messages
    assert command("pack", source, image, "--format", "git", "-q").messages == []
    assert command("verify", image, source).code == 0


def test_a_damaged_image_is_6_for_every_command(
    command: Command, image: Path, tmp_path: Path
) -> None:
    data = image.read_bytes()
    image.write_bytes(data[: len(data) // 4])
    for arguments in (("ls",), ("verify",), ("cat", "video.bin"), ("extract", tmp_path / "out")):
        command(arguments[0], image, *arguments[1:], code=6)
    assert not (tmp_path / "out").exists()


def test_source_date_epoch_is_the_commits_time(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    command("pack", source, image, "--format", "git")
    assert commit_of(image)["committed"] == b"315532800"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    command("pack", source, image, "--format", "git")
    assert commit_of(image)["committed"] == commit_of(image)["authored"] == b"1234567890"
    with blockpack.open_image(image) as opened:
        assert {entry.mtime_ns for entry in opened.walk()} == {1_234_567_890 * 10**9}
    command("pack", source, image, "--format", "git", "--mtime", "keep")
    assert commit_of(image)["committed"] == str(TIME).encode()
    command("pack", source, image, "--format", "git", "--mtime", "clamp")
    assert commit_of(image)["committed"] == b"1234567890"
    for wrong in ("-1", str(1 << 40), "noon"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        assert wrong in command("pack", source, image, "--format", "git", code=2).err


def test_the_same_tree_is_the_same_image_wherever_and_whenever(
    source: Path, tmp_path: Path, command: Command
) -> None:
    """Another directory, umask, time zone, locale, times, order of files, number of processes."""
    for name, options in CONTAINERS.items():
        first = tmp_path / "first"
        command("pack", source, first, "--format", "git", *options)
        other = tmp_path / f"else where/{name}"
        before = os.umask(0o077)
        try:
            for path in sorted(files_under(source), reverse=True):
                target = other / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if (source / path).is_symlink():
                    target.symlink_to((source / path).readlink())
                else:
                    target.write_bytes((source / path).read_bytes())
                    target.chmod(0o700 if path == "run" else 0o600)
            changes = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": "/nonexistent"}
            second = tmp_path / "second"
            more = (*options, "--jobs", "3")
            process("pack", other, second, "--format", "git", *more, changes=changes)
        finally:
            os.umask(before)
        assert first.read_bytes() == second.read_bytes(), name
