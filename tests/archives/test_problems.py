"""Of an archive, too, links are what the options say, and all that is wrong is told by name."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from archives.making import FILE, HARD, LINK, content, tar_of
from blockpack import Directory, File, Problems, SourceError, Symlink, scan
from judges.programs import run


def test_links_are_kept_followed_skipped_or_errors(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("docs/deep/a.txt", FILE, ""),  # there are no entries for its directories
        ("docs/link", LINK, "deep/a.txt"),
        ("chain", LINK, "docs/link"),
        ("dir", LINK, "./docs/../docs/deep"),
    )
    assert {entry.path for entry in scan(archive, symlinks="skip")} == {
        *("docs", "docs/deep", "docs/deep/a.txt"),
    }
    kept = scan(archive)["dir"]
    assert isinstance(kept, Symlink) and kept.target == "./docs/../docs/deep"
    followed = scan(archive, symlinks="follow")
    assert isinstance(followed["dir"], Directory)
    for path in ("docs/link", "chain", "dir/a.txt"):
        entry = followed[path]
        assert isinstance(entry, File) and content(entry) == b"data"
    with pytest.raises(Problems) as raised:
        scan(archive, symlinks="error")
    assert {error.path for error in raised.value.exceptions} == {  # type: ignore[union-attr]
        *("docs/link", "chain", "dir"),
    }


def test_links_that_lead_nowhere_up_or_out_are_refused_by_name(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("a/b/file", FILE, ""),
        ("a/b/up", LINK, "../../a"),
        ("self", LINK, "self"),
        ("one", LINK, "two"),
        ("two", LINK, "one"),
        ("gone", LINK, "nothing"),
        ("out", LINK, "../etc/passwd"),
        ("absolute", LINK, "/etc/passwd"),
    )
    wrong = {"a/b/up", "self", "one", "two", "gone", "out", "absolute"}
    with pytest.raises(Problems) as raised:
        scan(archive, symlinks="follow")
    assert {error.path for error in raised.value.exceptions} == wrong  # type: ignore[union-attr]
    assert len(scan(archive, symlinks="follow", exclude=sorted(wrong))) == 3


def test_everything_that_cannot_be_packed_is_told_at_once(tmp_path: Path) -> None:
    members = [
        ("file", FILE, ""),
        ("file/inside", FILE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("deep/null", tarfile.CHRTYPE, ""),
        ("../evil", FILE, ""),
        ("a/../../evil", FILE, ""),
    ]
    archive = tar_of(tmp_path / "a.tar", *members)
    wrong = {"file", "pipe", "deep/null", "../evil", "a/../../evil"}
    with pytest.raises(Problems) as raised:
        scan(archive)
    assert {error.path for error in raised.value.exceptions} == wrong  # type: ignore[union-attr]
    patterns = ["/file", "pipe", "/deep/null", "evil"]
    assert {entry.path for entry in scan(archive, exclude=patterns)} == {"deep", "a"}
    tar_of(archive, *members, ("hard", HARD, "gone"))
    with pytest.raises(Problems) as raised:
        scan(archive)
    assert "hard: links to" in str(raised.value)


def test_a_hard_link_to_what_lies_below_no_directory_is_not_wrong_too(tmp_path: Path) -> None:
    members = [
        ("s", tarfile.SYMTYPE, "d"),
        ("s/x", FILE, ""),
        ("hl", HARD, "s/x"),
        ("hl2", HARD, "hl"),
    ]
    archive = tar_of(tmp_path / "a.tar", *members)
    with pytest.raises(Problems) as raised:
        scan(archive)
    assert [error.path for error in raised.value.errors] == ["s"]
    assert {entry.path for entry in scan(archive, exclude=["s"])} == {"hl", "hl2"}


def test_a_part_of_an_archive_has_nothing_to_do_with_the_rest(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("docs/a.txt", FILE, ""),
        ("docs/link", LINK, "../other/b.txt"),
        ("docs/bad", HARD, "gone"),
        ("other/b.txt", FILE, ""),
        ("other/bad", HARD, "gone"),
    )
    url = f"tar://{archive}!/docs"
    with pytest.raises(Problems, match="1 problem") as raised:
        scan(url)
    assert "docs/bad" in str(raised.value)
    tree = scan(url, exclude=["/bad"], symlinks="follow")
    assert [entry.path for entry in tree] == ["a.txt", "link"]
    assert [entry.path for entry in scan(f"tar://{archive}!/docs/link", symlinks="follow")] == [
        "b.txt"
    ]


def test_an_encrypted_zip_is_refused_by_name(site: Path, tmp_path: Path) -> None:
    run("zip", ["-qry", "-P", "password", tmp_path / "secret.zip", "."], cwd=site)
    with pytest.raises(Problems) as raised:
        scan(tmp_path / "secret.zip")
    told = str(raised.value)
    assert "index.html: cannot be read: it is encrypted" in told
    assert "bin/up: cannot be read: it is encrypted" in told


def by_bsdtar(site: Path, image: Path) -> None:
    run("bsdtar", ["-C", site, "--format=iso9660", "-cf", image, "."])


def by_mkfs_btrfs(site: Path, image: Path) -> None:
    os.truncate(image, 128 << 20)
    run("mkfs.btrfs", ["-q", "-r", site, image])


@pytest.mark.parametrize("make", [by_bsdtar, by_mkfs_btrfs])
def test_what_only_begins_with_zeros_is_no_archive_of_nothing(
    make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a").write_bytes(b"a")
    image = tmp_path / "image"
    image.touch()
    make(tmp_path / "site", image)
    with pytest.raises(SourceError, match="is not a directory, an archive or an image"):
        scan(image)
    with pytest.raises(blockpack.ImageError, match="not a tar archive"):
        blockpack.open_image(image)
    image.write_bytes(bytes(1 << 20))
    assert len(scan(image)) == 0
