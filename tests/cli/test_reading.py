"""``ls``, ``cat``, ``extract`` and ``info``: what they show is what was packed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.conftest import TIME
from cli.running import FORMATS, Command

LISTING = [
    "empty",
    "hollow/",
    "index.html",
    "pages/",
    "pages/about us.html",
    "pages/deep/",
    "pages/deep/er/",
    "pages/deep/er/Größe.txt",
    "video.bin",
]


@pytest.fixture(name="image", params=FORMATS)
def fixture_image(
    request: pytest.FixtureRequest, command: Command, source: Path, tmp_path: Path
) -> Path:
    """The source as an image, with its own times."""
    image = tmp_path / f"image.{request.param}"
    command("pack", source, image, "--format", request.param, "--mtime", "keep")
    return image


@pytest.fixture(name="linked")
def fixture_linked(command: Command, source: Path, tmp_path: Path) -> Path:
    """A tar archive with a symbolic and a hard link, and an executable."""
    (source / "way").symlink_to("pages/about us.html")
    os.link(source / "index.html", source / "same.html")
    (source / "empty").chmod(0o755)
    os.utime(source / "way", (TIME, TIME), follow_symlinks=False)
    command("pack", source, tmp_path / "linked.tar", "--mtime", "keep")
    return tmp_path / "linked.tar"


def test_ls_lists_every_path_on_standard_output(command: Command, image: Path) -> None:
    result = command("ls", image)
    assert sorted(result.lines) == LISTING
    assert result.err == ""


def test_ls_of_a_path_lists_what_is_there(command: Command, image: Path) -> None:
    assert command("ls", image, "pages/deep").lines == LISTING[5:8]
    for same in ("/pages/deep/", "pages//deep/.", "./pages/../pages/deep"):
        assert command("ls", image, same).lines == LISTING[5:8]
    assert sorted(command("ls", image, ".").lines) == LISTING
    command("ls", image, "..", code=6)
    assert command("ls", image, "video.bin").lines == ["video.bin"]


def test_ls_of_a_path_follows_links_on_the_way_as_cat_does(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "link").symlink_to("pages/deep")
    command("pack", source, tmp_path / "x.tar", "-q")
    assert command("ls", tmp_path / "x.tar", "link").lines == ["link"]
    assert command("ls", tmp_path / "x.tar", "link/").lines == LISTING[5:8]
    for line in LISTING[6:8]:
        through = line.replace("pages/deep", "link").rstrip("/")
        assert line in command("ls", tmp_path / "x.tar", through).lines


def test_ls_long_shows_mode_size_and_time(command: Command, image: Path) -> None:
    lines = command("ls", image, "-l").lines
    assert "-rw-r--r--        102400 2023-11-14 22:13:20 video.bin" in lines
    assert "drwxr-xr-x             0 2023-11-14 22:13:20 hollow/" in lines


def test_ls_long_shows_where_links_lead(command: Command, linked: Path) -> None:
    lines = command("ls", linked, "--long").lines
    when = "            0 2023-11-14 22:13:20"
    assert f"lrwxrwxrwx {when} way -> pages/about us.html" in lines
    assert f"hrw-r--r-- {when} same.html -> index.html" in lines
    assert f"-rwxr-xr-x {when} empty" in lines


def test_ls_json_has_every_entry_with_its_fields(
    command: Command, image: Path, source: Path
) -> None:
    entries = json.loads(command("ls", image, "--json").out)["entries"]
    data = image.read_bytes()
    for entry in entries:
        assert set(entry) == {"path", "kind", "size", "mode", "mtime", "offset"}
        assert entry["mtime"] == TIME
        path = source / entry["path"]
        if path.is_dir():
            assert (entry["kind"], entry["size"], entry["offset"]) == ("directory", 0, None)
            assert entry["mode"] == "0755"
        else:
            assert (entry["kind"], entry["mode"]) == ("file", "0644")
            start = entry["offset"] or 0
            length = entry["size"]
            if image.suffix == ".erofs" and length > 4096:
                length -= length % 4096  # what is left lies elsewhere
            assert data[start : start + length] == path.read_bytes()[:length]
    assert len(entries) == len(LISTING)


def test_ls_json_has_the_targets_of_links(command: Command, linked: Path) -> None:
    entries = json.loads(command("ls", linked, "--json").out)["entries"]
    targets = {entry["path"]: (entry["kind"], entry.get("target")) for entry in entries}
    assert targets["way"] == ("symlink", "pages/about us.html")
    assert targets["same.html"] == ("hardlink", "index.html")
    assert targets["index.html"] == ("file", None)


def test_ls_of_a_hard_link_lists_the_link(command: Command, linked: Path) -> None:
    for same in ("same.html", "/same.html", "pages/../same.html"):
        assert command("ls", linked, same).lines == ["same.html"]
    (entry,) = json.loads(command("ls", linked, "same.html", "--json").out)["entries"]
    assert (entry["kind"], entry["target"]) == ("hardlink", "index.html")
    assert command("ls", linked, "way").lines == ["way"]


@pytest.mark.parametrize("name", ["video.bin", "empty", "pages/deep/er/Größe.txt", "/index.html"])
def test_cat_prints_the_files_bytes_and_nothing_else(
    command: Command, image: Path, source: Path, name: str
) -> None:
    result = command("cat", image, name)
    assert result.out == (source / name.strip("/")).read_bytes()
    assert result.err == ""


def test_cat_of_a_hard_link_prints_the_file(command: Command, linked: Path) -> None:
    assert command("cat", linked, "same.html").out == b"<h1>hello</h1>\n"


def test_cat_of_a_symbolic_link_prints_what_it_leads_to(
    command: Command, linked: Path, source: Path
) -> None:
    assert command("cat", linked, "way").out == (source / "way").read_bytes()


def test_cat_of_what_is_no_file_says_what_it_is(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "nowhere").symlink_to("gone")
    command("pack", source, tmp_path / "x.tar")
    what = {
        "pages": "a directory, not a file; name a file",
        "nowhere": "a symlink that leads to nothing in the image; name something else",
    }
    for name, kind in what.items():
        said = command("cat", tmp_path / "x.tar", name, code=6).err
        assert f"{name}: is {kind}" in said


@pytest.mark.parametrize("arguments", [("ls",), ("cat",)])
def test_a_path_that_is_not_in_the_image_is_named(
    command: Command, image: Path, arguments: tuple[str]
) -> None:
    result = command(*arguments, image, "pages/missing", code=6)
    assert result.messages == ["pages/missing: not in the image"]
    assert result.out == b""
    result = command(*arguments, image, "index.html/x", code=6)
    rule = "not in the image: index.html is a file, not a directory"
    assert result.messages == [f"index.html/x: {rule}"]


def test_extract_counts_its_entries_and_names_a_directory_that_is_missing(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "file").write_bytes(b"x")
    image = tmp_path / "one.tar"
    command("pack", tmp_path / "one", image)
    assert command("extract", image, tmp_path / "out").messages == [f"{tmp_path}/out: 1 entry"]
    for above in ("missing", "one.tar"):
        out = tmp_path / above / "out"
        rule = f"there is no directory {tmp_path / above}; make it first"
        assert command("extract", image, out, code=5).messages == [f"{out}: {rule}"]


def test_extract_gives_the_source_back_with_its_times(
    command: Command, image: Path, source: Path, tmp_path: Path
) -> None:
    result = command("extract", image, tmp_path / "out")
    assert result.messages == [f"{tmp_path}/out: 9 entries"]
    assert result.out == b""
    found = sorted((tmp_path / "out").rglob("*"))
    assert len(found) == 9
    for path in found:
        original = source / path.relative_to(tmp_path / "out")
        assert path.is_dir() == original.is_dir()
        assert path.is_dir() or path.read_bytes() == original.read_bytes()
        assert path.stat().st_mtime == TIME


def test_extract_makes_links_and_modes(command: Command, linked: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("extract", linked, out)
    assert os.readlink(out / "way") == "pages/about us.html"
    assert (out / "same.html").samefile(out / "index.html")
    assert (out / "empty").stat().st_mode & 0o777 == 0o755
    assert (out / "way").lstat().st_mtime == TIME


def test_extract_quiet_says_nothing(command: Command, image: Path, tmp_path: Path) -> None:
    result = command("extract", image, tmp_path / "out", "-q")
    assert (result.out, result.err) == (b"", "")


def test_extract_fills_an_empty_directory_in_place(
    command: Command, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    before = out.stat().st_ino
    monkeypatch.chdir(out)  # whoever is in it stays in it
    command("extract", image, ".")
    assert out.stat().st_ino == before
    assert len([*out.rglob("*")]) == 9


def test_extract_leaves_what_is_there_alone(command: Command, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_bytes(b"mine")
    for target in (out, out / "mine"):
        result = command("extract", image, target, code=5)
        assert f"{target}: is there already" in result.err
    assert [path.name for path in out.rglob("*")] == ["mine"]
    assert (out / "mine").read_bytes() == b"mine"


def test_extract_follows_no_link_that_is_there(
    command: Command, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    command("extract", image, tmp_path / "out", code=5)
    assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_extract_needs_the_directory_above(command: Command, image: Path, tmp_path: Path) -> None:
    result = command("extract", image, tmp_path / "missing/out", code=5)
    assert f"{tmp_path}/missing/out" in result.err


def test_info_shows_format_size_and_geometry(command: Command, image: Path) -> None:
    result = command("info", image)
    shown = dict(line.split(maxsplit=1) for line in result.lines if len(line.split()) > 1)
    assert shown["format"] == image.suffix[1:]
    assert shown["size"].split()[0] == str(image.stat().st_size)
    assert result.err == ""


def test_info_json_has_the_geometry(command: Command, image: Path) -> None:
    facts = json.loads(command("info", image, "--json").out)
    assert set(facts) == {"format", "size", "geometry"}
    assert facts["size"] == image.stat().st_size
    if facts["format"] == "tar":
        assert set(facts["geometry"]) == {"dialect", "entries", "end"}
        assert facts["geometry"]["entries"] == len(LISTING)
        assert facts["geometry"]["end"] <= facts["size"]
    elif facts["format"] == "erofs":
        assert set(facts["geometry"]) == {
            "block_size",
            "blocks",
            "inodes",
            "label",
            "uuid",
            "features",
            "build_time",
            "checksum",
        }
    else:
        assert set(facts["geometry"]) == {
            "fat_type",
            "sector_size",
            "cluster_size",
            "clusters",
            "free_clusters",
            "reserved_sectors",
            "fats",
            "sectors_per_fat",
            "root_entries",
            "data_offset",
            "serial",
            "label",
        }


@pytest.mark.parametrize("name", ["ls", "info", "verify", "cat", "extract"])
@pytest.mark.parametrize("content", [b"", b"\0", b"not an image" * 1000, b"\xeb" + bytes(600)])
def test_what_is_no_image_is_said_to_be_none(
    command: Command, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "image").write_bytes(content)
    more = ["x"] if name == "cat" else [tmp_path / "out"] if name == "extract" else []
    result = command(name, tmp_path / "image", *more, code=6)
    known = "a tar archive, a FAT file system, a pack of git objects, an EROFS file system"
    expected = f"{tmp_path}/image: not {known} or a partitioned disk"
    assert result.messages == [expected]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["ls", "info", "verify", "cat", "extract"])
def test_an_image_that_cannot_be_read_is_named(command: Command, tmp_path: Path, name: str) -> None:
    more = ["x"] if name == "cat" else [tmp_path / "out"] if name == "extract" else []
    missing = command(name, tmp_path / "missing", *more, code=4)
    assert missing.messages == [f"{tmp_path}/missing: cannot be read: no such file or directory"]
    directory = command(name, tmp_path, *more, code=4)
    assert directory.messages == [
        f"{tmp_path}: is a directory, not an image or archive; give a file or a block device"
    ]
