"""``blockpack pack``: what it writes, where to, and what it says of that."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

import blockpack
from cli.contracts import require_valid
from cli.packing import contents, tree_of
from cli.running import FORMATS, Command

BAD_FAT_NAMES = [f"bad{number}{'*?<>|:'[number % 6]}name" for number in range(20)]


@pytest.mark.parametrize("form", FORMATS)
def test_the_image_holds_the_source(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form)
    assert contents(tmp_path / "image") == tree_of(source)
    assert result.out == b""
    assert len(result.messages) == 1
    assert str(tmp_path / "image") in result.messages[0]


def test_the_suffix_tar_means_tar(command: Command, source: Path, tmp_path: Path) -> None:
    command("pack", source, tmp_path / "x.tar")
    with blockpack.open_image(tmp_path / "x.tar") as image:
        assert image.format == "tar"
    command("pack", source, tmp_path / "y.tar", "--format", "fat")
    with blockpack.open_image(tmp_path / "y.tar") as image:
        assert image.format == "fat"


@pytest.mark.parametrize("name", ["image.img", "image.fat", "tar", "-"])
def test_without_a_format_it_is_asked_for(
    command: Command, source: Path, tmp_path: Path, name: str
) -> None:
    target = name if name == "-" else tmp_path / name
    result = command("pack", source, target, code=2)
    assert "--format" in result.err
    assert result.out == b""
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("form", FORMATS)
def test_a_dash_sends_the_same_image_to_standard_output(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "image", "--format", form)
    result = command("pack", source, "-", "--format", form)
    assert result.out == (tmp_path / "image").read_bytes()
    assert not Path("-").exists()


def test_an_image_and_json_do_not_share_standard_output(command: Command, source: Path) -> None:
    assert "JSON" in command("pack", source, "-", "--format", "tar", "--json", code=2).err


@pytest.mark.parametrize("form", FORMATS)
def test_json_tells_what_was_written(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form, "--json")
    report = json.loads(result.out)
    assert set(report) == {
        "format",
        "target",
        "size",
        "copied",
        "cloned",
        "holes",
        "seconds",
        "geometry",
        "warnings",
    }
    assert report["format"] == form
    assert report["target"] == str(tmp_path / "image")
    assert report["size"] == (tmp_path / "image").stat().st_size
    assert report["copied"] + report["cloned"] + report["holes"] == report["size"]
    assert result.err == ""


@pytest.mark.parametrize("form", FORMATS)
def test_quiet_says_nothing(command: Command, source: Path, tmp_path: Path, form: str) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form, "-q")
    assert (result.out, result.err) == (b"", "")


def test_quiet_does_not_silence_errors(command: Command, source: Path, tmp_path: Path) -> None:
    assert "nowhere" in command("pack", tmp_path / "nowhere", tmp_path / "x.tar", "-q", code=4).err


@pytest.mark.parametrize("form", FORMATS)
def test_the_number_of_jobs_changes_no_byte(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    images = []
    for jobs in ("1", "2", "3"):
        command("pack", source, tmp_path / "image", "--format", form, "--jobs", jobs)
        images.append((tmp_path / "image").read_bytes())
    assert images[0] == images[1] == images[2]


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_a_number_of_jobs_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, jobs: str
) -> None:
    for words in (("pack", source, tmp_path / "x.tar"), ("serve", "none", "--socket", "none")):
        assert "; give --jobs auto" in command(*words, f"--jobs={jobs}", code=2).err


@pytest.mark.parametrize("form", FORMATS)
def test_the_manifest_has_the_offsets_and_digests_of_the_image(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    os.link(source / "video.bin", source / "again.bin")
    options = ("--format", form, "--manifest", tmp_path / "manifest.json")
    command("pack", source, tmp_path / "image", *options)
    image = (tmp_path / "image").read_bytes()
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    require_valid("manifest", manifest)
    keys = {"format", "size", "sector_size", "sha256", "tree_sha256", "geometry", "warnings"}
    assert set(manifest) == {*keys, "entries"}
    assert (manifest["format"], manifest["size"]) == (form, len(image))
    assert manifest["sha256"] == hashlib.sha256(image).hexdigest()
    found: dict[str, bytes | None] = {}
    for entry in manifest["entries"]:
        if entry["kind"] == "directory":
            assert set(entry) == {"path", "kind"}
            found[entry["path"]] = None
            continue
        assert set(entry) == {"path", "kind", "size", "offset", "sha256"}
        size = entry["size"]
        is_split = form == "erofs" and size > 4096 and size % 4096 > 0  # its tail is elsewhere
        assert (entry["offset"] is None) == (size == 0 or is_split)
        start = entry["offset"] or 0
        data = image[start : start + size]
        if is_split:
            data = (source / entry["path"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest(), entry
        found[entry["path"]] = data
    assert found == tree_of(source)


def test_a_manifest_that_cannot_be_written_is_the_targets_fault(
    command: Command, source: Path, tmp_path: Path
) -> None:
    options = ("--manifest", tmp_path / "missing/manifest.json")
    assert "missing" in command("pack", source, tmp_path / "x.tar", *options, code=5).err


def test_fsync_flushes_the_image_and_nothing_does_without(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    command("pack", source, tmp_path / "x.tar")
    assert flushed == []
    command("pack", source, tmp_path / "x.tar", "--fsync")
    assert len(flushed) == 2, "the file, and its directory"


def test_a_block_device_is_refused_unless_allowed(
    command: Command, source: Path, tmp_path: Path
) -> None:
    device = tmp_path / "device"
    try:
        os.mknod(device, 0o060600, os.makedev(0, 0))  # no such device: nothing can be hurt
    except OSError as error:
        pytest.skip(f"no block device can be made here: {error}")
    refused = command("pack", source, device, "--format", "tar", code=5)
    assert f"{device}: is a block device" in refused.err
    allowed = command("pack", source, device, "--format", "tar", "--allow-device", code=5)
    assert "is a block device" not in allowed.err  # this one cannot be opened, that is all


def test_twenty_bad_names_are_twenty_lines_with_path_rule_and_remedy(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name in BAD_FAT_NAMES:
        (source / "pages" / name).write_bytes(b"x")
    result = command("pack", source, tmp_path / "image", "--format", "fat", code=3)
    summary, *problems = result.messages
    assert "20 problems" in summary
    assert len(problems) == 20
    for name, problem in zip(sorted(BAD_FAT_NAMES), sorted(problems), strict=True):
        bad = "*?<>|:"[int(name[3:].rstrip("*?<>|:name")) % 6]
        assert problem.strip() == f"pages/{name}: FAT has no {bad!r} in names; rename it"
    assert not (tmp_path / "image").exists()


def test_an_error_leaves_the_old_image_as_it_is(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(b"the old image")
    (source / "bad:name").write_bytes(b"x")
    command("pack", source, tmp_path / "image", "--format", "fat", code=3)
    command("pack", source, tmp_path / "image", "--format", "tar", "--size", "4K", code=3)
    assert (tmp_path / "image").read_bytes() == b"the old image"
    assert {path.name for path in tmp_path.iterdir()} == {"image", "source"}


def test_a_name_that_is_not_utf8_survives_byte_for_byte(
    command: Command, source: Path, tmp_path: Path
) -> None:
    raw = os.fsencode(source) + b"/caf\xe9"
    with open(raw, "wb") as file:
        file.write(b"latin")
    command("pack", source, tmp_path / "x.tar")
    command("extract", tmp_path / "x.tar", tmp_path / "out")
    assert b"caf\xe9" in os.listdir(os.fsencode(tmp_path / "out"))
    assert "caf\\xe9" in command("ls", tmp_path / "x.tar").lines
    listed = json.loads(command("ls", tmp_path / "x.tar", "--json").out)["entries"]
    assert "caf\udce9" in {entry["path"] for entry in listed}
    assert command("pack", source, tmp_path / "image", "--format", "fat", code=3).messages[1:] == [
        "  caf\\xe9: its name is not UTF-8, and FAT holds Unicode only; rename it"
    ]
