"""``blockpack pack``: each option does what it says, and says what is wrong with its value."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import blockpack
from cli.conftest import TIME, settle
from cli.running import FORMATS, Command
from judges.programs import require_module

BAD_FAT_NAMES = [f"bad{number}{'*?<>|:'[number % 6]}name" for number in range(20)]


def paths(image: Path) -> list[str]:
    with blockpack.open_image(image) as opened:
        return sorted(entry.path for entry in opened.walk())


def info(command: Command, image: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(command("info", image, "--json").out)["geometry"]
    return facts


def tree_of(source: Path) -> dict[str, bytes | None]:
    """What a directory holds, links and all left out: contents of files, None for directories."""
    return {
        str(path.relative_to(source)): path.read_bytes() if path.is_file() else None
        for path in source.rglob("*")
    }


def contents(image: Path) -> dict[str, bytes | None]:
    with blockpack.open_image(image) as opened:
        return {
            entry.path: None if entry.kind == "directory" else opened.open(entry.path).read()
            for entry in opened.walk()
        }


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


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("1024K", 1 << 20),
        ("1024k", 1 << 20),
        ("3M", 3 << 20),
        ("3MiB", 3 << 20),
        ("1G", 1 << 30),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_size_is_the_size_of_the_image_and_takes_k_m_g(
    command: Command, source: Path, tmp_path: Path, form: str, text: str, size: int
) -> None:
    command("pack", source, tmp_path / "image", "--format", form, "--size", text)
    assert (tmp_path / "image").stat().st_size == size
    assert contents(tmp_path / "image") == tree_of(source)


@pytest.mark.parametrize("option", ["--size", "--free", "--pad", "--sector-size"])
@pytest.mark.parametrize("text", ["1.5M", "-1", "M", "1Q", "", "0x10"])
def test_a_size_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, option: str, text: str
) -> None:
    result = command("pack", source, tmp_path / "x.tar", f"{option}={text}", code=2)
    assert option in result.err
    assert repr(text) in result.err


@pytest.mark.parametrize("form", FORMATS)
def test_free_leaves_that_much_room(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "exact", "--format", form)
    command("pack", source, tmp_path / "roomy", "--format", form, "--free", "1M")
    exact, roomy = ((tmp_path / name).stat().st_size for name in ("exact", "roomy"))
    assert exact + (1 << 20) <= roomy < exact + (2 << 20)
    if form == "fat":
        facts = info(command, tmp_path / "roomy")
        assert facts["free_clusters"] * facts["cluster_size"] >= 1 << 20


def test_size_and_free_exclude_each_other(command: Command, source: Path, tmp_path: Path) -> None:
    options = ("--size", "1M", "--free", "1M")
    assert "not both" in command("pack", source, tmp_path / "x.tar", *options, code=2).err


@pytest.mark.parametrize("form", FORMATS)
def test_images_are_padded_to_4096_unless_told_otherwise(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "image", "--format", form)
    assert (tmp_path / "image").stat().st_size % 4096 == 0
    command("pack", source, tmp_path / "wide", "--format", form, "--pad", "1M")
    assert (tmp_path / "wide").stat().st_size % (1 << 20) == 0


def test_pad_512_makes_a_tar_as_small_as_can_be(
    command: Command, source: Path, tmp_path: Path
) -> None:
    command("pack", source, tmp_path / "x.tar", "--pad", "512")
    assert (tmp_path / "x.tar").stat().st_size == info(command, tmp_path / "x.tar")["end"]


def test_the_sector_size_is_fats(command: Command, source: Path, tmp_path: Path) -> None:
    for size in (512, 4096):
        options = ("--format", "fat", "--sector-size", str(size))
        command("pack", source, tmp_path / "image", *options)
        assert info(command, tmp_path / "image")["sector_size"] == size


def test_other_sector_sizes_are_wrong_usage(command: Command, source: Path, tmp_path: Path) -> None:
    result = command("pack", source, tmp_path / "x.tar", "--sector-size", "1K", code=2)
    assert "512 or 4096, not 1024" in result.err


def test_the_profile_rules_the_geometry(command: Command, source: Path, tmp_path: Path) -> None:
    (source / "pages/deep/er/Größe.txt").unlink()  # its reader finds ASCII names only
    options = ("--format", "fat", "--profile", "mirage")
    command("pack", source, tmp_path / "image", *options)
    facts = info(command, tmp_path / "image")
    assert (facts["fat_type"], facts["sector_size"]) == (16, 4096)


def test_an_unknown_profile_is_wrong_usage_and_the_known_ones_are_named(
    command: Command, source: Path, tmp_path: Path
) -> None:
    result = command("pack", source, tmp_path / "x.tar", "--profile", "amiga", code=2)
    for name in ("amiga", "any", "mirage", "linux", "uefi"):
        assert name in result.err


@pytest.mark.parametrize("form", FORMATS)
def test_times_are_fixed_kept_or_clamped(
    command: Command,
    source: Path,
    tmp_path: Path,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = TIME + 1000
    os.utime(source / "index.html", (later, later))

    def seconds(*options: str) -> dict[str, int]:
        command("pack", source, tmp_path / "image", "--format", form, *options)
        with blockpack.open_image(tmp_path / "image") as image:
            return {entry.path: entry.mtime_ns // 10**9 for entry in image.walk()}

    assert set(seconds().values()) == {315_532_800}
    kept = seconds("--mtime", "keep")
    assert (kept["index.html"], kept["video.bin"], kept["hollow"]) == (later, TIME, TIME)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(TIME + 10))
    assert set(seconds("--mtime", "fixed").values()) == {TIME + 10}
    clamped = seconds("--mtime", "clamp")
    assert (clamped["index.html"], clamped["video.bin"]) == (TIME + 10, TIME)


def test_a_source_date_epoch_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    result = command("pack", source, tmp_path / "x.tar", code=2)
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in result.err


def test_excluded_patterns_are_those_of_a_gitignore(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name in ("a.psd", "pages/b.psd", "pages/keep.psd", "build/x", "pages/build"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"x")
    before = set(tree_of(source))

    def left_out(*patterns: str) -> set[str]:
        options = [f"--exclude={pattern}" for pattern in patterns]
        command("pack", source, tmp_path / "x.tar", *options)
        return before - set(paths(tmp_path / "x.tar"))

    psd = {"a.psd", "pages/b.psd", "pages/keep.psd"}
    assert left_out() == set()
    assert left_out("*.psd") == psd
    assert left_out("*.psd", "!keep.psd") == psd - {"pages/keep.psd"}
    assert left_out("!keep.psd", "*.psd") == psd, "the last one that matches decides"
    assert left_out("/*.psd") == {"a.psd"}
    assert left_out("build/") == {"build", "build/x"}, "a slash at the end means directories"
    assert left_out("build") == {"build", "build/x", "pages/build"}
    assert left_out("pages/**/*.txt", "empty") == {"pages/deep/er/Größe.txt", "empty"}


@pytest.fixture(name="linked")
def fixture_linked(source: Path, tmp_path: Path) -> Path:
    """The source with links: to a file, to a directory, and to a file outside."""
    (tmp_path / "outside").write_bytes(b"from outside")
    (source / "link").symlink_to("index.html")
    (source / "pages/up").symlink_to("../hollow")
    (source / "out").symlink_to("../outside")
    settle(source)
    return source


LINKS = {"link", "pages/up", "out"}


def test_kept_symlinks_are_links_in_tar(command: Command, linked: Path, tmp_path: Path) -> None:
    command("pack", linked, tmp_path / "x.tar")  # keep is the default
    with blockpack.open_image(tmp_path / "x.tar") as image:
        found = {entry.path: entry.target for entry in image.walk() if entry.kind == "symlink"}
    assert found == {"link": "index.html", "pages/up": "../hollow", "out": "../outside"}


@pytest.mark.parametrize("form", FORMATS)
def test_followed_symlinks_are_what_they_lead_to(
    command: Command, linked: Path, tmp_path: Path, form: str
) -> None:
    options = ("--format", form, "--symlinks", "follow")
    command("pack", linked, tmp_path / "image", *options)
    found = contents(tmp_path / "image")
    assert found["link"] == b"<h1>hello</h1>\n"
    assert found["out"] == b"from outside"
    assert found["pages/up"] is None


@pytest.mark.parametrize("form", FORMATS)
def test_skipped_symlinks_are_left_out(
    command: Command, linked: Path, tmp_path: Path, form: str
) -> None:
    options = ("--format", form, "--symlinks", "skip")
    command("pack", linked, tmp_path / "image", *options)
    assert set(paths(tmp_path / "image")) == set(tree_of(linked)) - LINKS


@pytest.mark.parametrize(("form", "option"), [("tar", "error"), ("fat", "error"), ("fat", "keep")])
def test_symlinks_that_cannot_be_are_all_named(
    command: Command, linked: Path, tmp_path: Path, form: str, option: str
) -> None:
    options = ("--format", form, "--symlinks", option)
    result = command("pack", linked, tmp_path / "image", *options, code=3)
    named = {message.strip().partition(":")[0] for message in result.messages[1:]}
    assert named == LINKS
    assert all("symbolic link" in message for message in result.messages[1:])
    assert not (tmp_path / "image").exists()


def test_a_link_that_leads_nowhere_or_in_a_circle_is_named_when_followed(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "nowhere").symlink_to("missing")
    (source / "pages/circle").symlink_to("..")
    result = command("pack", source, tmp_path / "x.tar", "--symlinks", "follow", code=4)
    assert any("nowhere: is a link that leads nowhere" in line for line in result.messages)
    assert any("pages/circle: is a link to a directory" in line for line in result.messages)


def test_the_label_is_in_the_image(command: Command, source: Path, tmp_path: Path) -> None:
    command("pack", source, tmp_path / "image", "--format", "fat", "--label", "WWW")
    assert info(command, tmp_path / "image")["label"].strip() == "WWW"


@pytest.mark.parametrize("label", ["TWELVE_CHARS", 'A"B'])
def test_a_label_that_fat_cannot_hold_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, label: str
) -> None:
    options = ("--format", "fat", "--label", label)
    assert "label" in command("pack", source, tmp_path / "image", *options, code=2).err


@pytest.mark.parametrize(
    ("bits", "room"), [("12", "100K"), ("16", "4M"), ("32", "40M"), ("auto", "100K")]
)
def test_the_fat_type_can_be_forced(
    command: Command, source: Path, tmp_path: Path, bits: str, room: str
) -> None:
    options = ("--format", "fat", "--fat-type", bits, "--free", room)
    command("pack", source, tmp_path / "image", *options)
    assert info(command, tmp_path / "image")["fat_type"] == (12 if bits == "auto" else int(bits))
    assert contents(tmp_path / "image") == tree_of(source)


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("8K", 8192), ("64K", 65536)])
def test_the_cluster_size_can_be_given(
    command: Command, source: Path, tmp_path: Path, text: str, size: int
) -> None:
    command("pack", source, tmp_path / "image", "--format", "fat", "--cluster-size", text)
    assert info(command, tmp_path / "image")["cluster_size"] == size


def test_a_cluster_size_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path
) -> None:
    options = ("--format", "fat", "--cluster-size", "3000")
    assert "3000" in command("pack", source, tmp_path / "image", *options, code=2).err


@pytest.mark.parametrize("dialect", ["pax", "ustar", "gnu"])
def test_the_tar_dialect_says_how_long_names_are_written(
    command: Command, source: Path, tmp_path: Path, dialect: str
) -> None:
    name = "/".join(["long" * (15 if dialect == "ustar" else 30)] * 3)
    (source / name).parent.mkdir(parents=True)
    (source / name).write_bytes(b"far")
    command("pack", source, tmp_path / "x.tar", "--tar-dialect", dialect)
    image = (tmp_path / "x.tar").read_bytes()
    assert (b"ustar  \0" in image) == (dialect == "gnu")
    assert (b"@PaxHeader" in image) == (dialect == "pax")
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert name in archive.getnames()


@pytest.mark.parametrize(
    ("align", "boundary", "threshold"),
    [("auto", 4096, 64 << 10), ("4096", 4096, 4096), ("16K", 16384, 16384), ("512", 512, 0)],
)
def test_align_puts_payloads_on_boundaries(
    command: Command, source: Path, tmp_path: Path, align: str, boundary: int, threshold: int
) -> None:
    command("pack", source, tmp_path / "x.tar", "--align", align)
    with blockpack.open_image(tmp_path / "x.tar") as image:
        offsets = [entry.offset or 0 for entry in image.walk() if entry.size >= max(threshold, 1)]
        assert offsets
        assert all(offset % boundary == 0 for offset in offsets)
    assert contents(tmp_path / "x.tar") == tree_of(source)


@pytest.mark.parametrize("align", ["1000", "0", "often", "2M"])
def test_an_alignment_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, align: str
) -> None:
    assert "align" in command("pack", source, tmp_path / "x.tar", "--align", align, code=2).err


def test_the_owner_is_root_or_kept_or_given(command: Command, source: Path, tmp_path: Path) -> None:
    def owners(*options: str) -> set[tuple[int, int]]:
        command("pack", source, tmp_path / "x.tar", *options)
        with tarfile.open(tmp_path / "x.tar") as archive:
            # The root, "./", is there for alignment alone.
            return {(member.uid, member.gid) for member in archive if member.name != "."}

    status = source.stat()
    assert owners() == owners("--owner", "0:0") == {(0, 0)}
    assert owners("--owner", "12:34") == {(12, 34)}
    assert owners("--owner", "keep") == {(status.st_uid, status.st_gid)}


@pytest.mark.parametrize("owner", ["root", "0", "0:", "a:b", "-1:0"])
def test_an_owner_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, owner: str
) -> None:
    assert "owner" in command("pack", source, tmp_path / "x.tar", f"--owner={owner}", code=2).err


def test_modes_are_normal_or_kept(command: Command, source: Path, tmp_path: Path) -> None:
    (source / "index.html").chmod(0o600)
    (source / "empty").chmod(0o700)
    (source / "hollow").chmod(0o700)

    def modes(*options: str) -> list[int]:
        command("pack", source, tmp_path / "x.tar", *options)
        with tarfile.open(tmp_path / "x.tar") as archive:
            return [archive.getmember(name).mode for name in ("index.html", "empty", "hollow")]

    assert modes() == [0o644, 0o755, 0o755]
    assert modes("--mode", "keep") == [0o600, 0o700, 0o700]


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
    assert "--jobs" in command("pack", source, tmp_path / "x.tar", f"--jobs={jobs}", code=2).err


@pytest.mark.parametrize("form", FORMATS)
def test_the_manifest_has_the_offsets_and_digests_of_the_image(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    os.link(source / "video.bin", source / "again.bin")
    options = ("--format", form, "--manifest", tmp_path / "manifest.json")
    command("pack", source, tmp_path / "image", *options)
    image = (tmp_path / "image").read_bytes()
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    keys = {"format", "size", "sector_size", "sha256", "geometry", "warnings", "entries"}
    assert set(manifest) == keys
    assert (manifest["format"], manifest["size"]) == (form, len(image))
    assert manifest["sha256"] == hashlib.sha256(image).hexdigest()
    found: dict[str, bytes | None] = {}
    for entry in manifest["entries"]:
        if entry["kind"] == "directory":
            assert set(entry) == {"path", "kind"}
            found[entry["path"]] = None
            continue
        assert set(entry) == {"path", "kind", "size", "offset", "sha256"}
        assert (entry["offset"] is None) == (entry["size"] == 0)
        start = entry["offset"] or 0
        data = image[start : start + entry["size"]]
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


@pytest.mark.parametrize(
    ("form", "option"),
    [
        ("tar", "--label=X"),
        ("tar", "--fat-type=16"),
        ("tar", "--cluster-size=4K"),
        ("fat", "--tar-dialect=pax"),
        ("fat", "--align=512"),
        ("fat", "--owner=0:0"),
        ("fat", "--mode=keep"),
    ],
)
def test_an_option_of_the_other_format_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, form: str, option: str
) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form, option, code=2)
    assert f"{option.partition('=')[0]} is not for the format {form}" in result.err


@pytest.mark.parametrize(
    "option",
    ["--format=zip", "--mtime=now", "--symlinks=maybe", "--fat-type=8", "--tar-dialect=v7"],
)
def test_an_unknown_choice_is_wrong_usage_and_the_known_ones_are_named(
    command: Command, source: Path, tmp_path: Path, option: str
) -> None:
    result = command("pack", source, tmp_path / "x.tar", option, code=2)
    assert option.partition("=")[0] in result.err
    assert "choose from" in result.err


@pytest.fixture(name="fs")
def fixture_fs() -> None:
    require_module("pyfatfs.PyFatFS")  # it brings fs, and is in the tests' requirements


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_a_zip_is_a_source(command: Command, source: Path, tmp_path: Path, form: str) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, path.relative_to(source))
    url = f"zip://{tmp_path}/site.zip"
    command("pack", url, tmp_path / "image", "--format", form)
    assert contents(tmp_path / "image") == tree_of(source)
    assert command("verify", tmp_path / "image", url).code == 0


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_an_osfs_url_packs_like_its_directory(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "one", "--format", form)
    command("pack", f"osfs://{source}", tmp_path / "two", "--format", form)
    assert contents(tmp_path / "two") == contents(tmp_path / "one") == tree_of(source)


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_source_makes_an_empty_image(command: Command, tmp_path: Path, form: str) -> None:
    command("pack", "mem://", tmp_path / "image", "--format", form)
    assert contents(tmp_path / "image") == {}
    assert command("verify", tmp_path / "image", "mem://").code == 0
    assert command("ls", tmp_path / "image").out == b""


@pytest.mark.usefixtures("fs")
def test_an_unknown_kind_of_url_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    assert "gopher" in command("pack", "gopher://hole", tmp_path / "x.tar", code=2).err


@pytest.mark.usefixtures("fs")
def test_a_url_that_leads_nowhere_is_a_missing_source(command: Command, tmp_path: Path) -> None:
    url = f"zip://{tmp_path}/missing.zip"
    assert "missing.zip" in command("pack", url, tmp_path / "x.tar", code=4).err


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_in_its_own_source_leaves_itself_out(
    command: Command, source: Path, form: str
) -> None:
    before = tree_of(source)
    options = ("--format", form, "--manifest", source / "pages/manifest.json")
    for _ in range(2):  # the second time both are there when the source is scanned
        command("pack", source, source / "image", *options)
        assert contents(source / "image") == before


def test_an_image_in_its_own_source_is_told_by_any_way_to_it(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_of(source)
    (tmp_path / "way").symlink_to(source)
    monkeypatch.chdir(source)
    for target in ("x.tar", "./x.tar", "pages/../x.tar", tmp_path / "way/x.tar"):
        command("pack", ".", target)
        assert contents(source / "x.tar") == before


@pytest.mark.usefixtures("fs")
def test_an_image_in_its_own_source_is_told_by_its_url_too(command: Command, source: Path) -> None:
    before = tree_of(source)
    for _ in range(2):
        command("pack", f"osfs://{source}", source / "x.tar")
        assert contents(source / "x.tar") == before


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
