"""Scanning a directory or a PyFilesystem: what it takes, leaves and refuses."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import File, Problems, Symlink, Tree, UsageError, scan
from large_sources import fill


@pytest.fixture(name="source")
def fixture_source(tmp_path: Path) -> Path:
    """A directory with a bit of everything."""
    root = tmp_path / "source"
    for path in ("index.html", "raw/a.psd", "raw/b.png", "build/x.o", "keep/build/y", "c.psd"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "empty").mkdir()
    return root


def paths(tree: Tree) -> set[str]:
    return {entry.path for entry in tree}


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        ([], set()),
        (["*.psd"], {"raw/a.psd", "c.psd"}),
        (["/*.psd"], {"c.psd"}),
        (["build/"], {"build", "build/x.o", "keep/build", "keep/build/y"}),
        (["/build"], {"build", "build/x.o"}),
        (["*.psd", "!c.psd"], {"raw/a.psd"}),
        (["raw/*", "!raw/b.png"], {"raw/a.psd"}),
        (["**/y"], {"keep/build/y"}),
        (["# a comment", ""], set()),
    ],
)
def test_patterns_are_those_of_gitignore(
    source: Path, patterns: list[str], left_out: set[str]
) -> None:
    everything = paths(scan(source))
    assert paths(scan(source, exclude=patterns)) == everything - left_out


def test_links_are_kept_followed_skipped_or_errors(source: Path) -> None:
    (source / "link").symlink_to("index.html")
    (source / "dir").symlink_to("raw")
    kept = scan(source)
    assert isinstance(kept["link"], Symlink)
    followed = scan(source, symlinks="follow")
    assert isinstance(followed["link"], File)
    assert "dir/a.psd" in followed
    skipped = scan(source, symlinks="skip")
    assert not {"link", "dir"} & paths(skipped)
    with pytest.raises(blockpack.Problems) as raised:
        scan(source, symlinks="error")
    assert {error.path for error in raised.value.exceptions} == {"link", "dir"}  # type: ignore[union-attr]


def test_following_ends_where_links_go_in_circles_or_nowhere(source: Path) -> None:
    (source / "raw" / "up").symlink_to("..")
    (source / "self").symlink_to("self")
    (source / "gone").symlink_to("nothing")
    with pytest.raises(blockpack.Problems) as raised:
        scan(source, symlinks="follow")
    assert {str(error).split(":")[0] for error in raised.value.exceptions} == {
        "raw/up",
        "self",
        "gone",
    }


def test_what_no_image_holds_is_refused_all_at_once(source: Path) -> None:
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
        with pytest.raises(blockpack.Problems) as raised:
            scan(source)
    told = str(raised.value)
    assert "2 problems" in told
    assert "pipe: is a named pipe" in told
    assert "socket: is a socket" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root")
def test_the_unreadable_is_named(source: Path) -> None:
    (source / "index.html").chmod(0)
    (source / "raw").chmod(0o600)
    read, report = os.pipe()
    child = os.fork()
    if not child:
        try:
            for path in source.parents:
                if path.stat().st_uid == 0 and path != Path("/"):
                    path.chmod(path.stat().st_mode | 0o055)
            os.setuid(65534)
            scan(source)
        except blockpack.Problems as problems:
            os.write(report, str(problems).encode())
        finally:
            os._exit(0)
    os.close(report)
    with os.fdopen(read) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    assert "index.html: cannot be read: permission denied" in told
    assert "raw" in told


def test_a_missing_source_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(blockpack.SourceError, match="no such file"):
        scan(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(blockpack.SourceError, match="not a directory"):
        scan(tmp_path / "file")


def test_names_are_bytes(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    names = [b"\xff\xfe", "é".encode(), "e\u0301".encode(), b"a\nb", b" ", b"\x01"]
    for name in names:
        open(os.path.join(root, name), "w").close()
    assert {os.fsencode(entry.path) for entry in scan(tmp_path)} == set(names)


def test_hard_links_share_an_inode(source: Path) -> None:
    os.link(source / "index.html", source / "again.html")
    tree = scan(source)
    first, second = tree["index.html"], tree["again.html"]
    assert isinstance(first, File) and isinstance(second, File)
    assert first.inode == second.inode is not None


class Sources:
    """PyFilesystems that hold the same files."""

    def __init__(self) -> None:
        self.fs: Any = pytest.importorskip("fs", reason="blockpack[fs] is not installed")
        self.fs_open = self.fs.open_fs

    def fill(self, url: str, **options: Any) -> Any:
        filesystem = self.fs_open(url, **options)
        filesystem.makedirs("a/b")
        filesystem.writebytes("a/b/c.txt", b"nested")
        filesystem.writebytes("top.bin", bytes(range(256)) * 300)
        return filesystem


@pytest.mark.parametrize("kind", ["mem", "zip", "tar", "osfs"])
@pytest.mark.parametrize("format", ["tar", "fat"])
def test_any_filesystem_url_is_a_source(tmp_path: Path, kind: str, format: str) -> None:
    sources = Sources()
    volume = {"tar": blockpack.TarVolume, "fat": blockpack.FatVolume}[format]()
    if kind == "mem":
        tree = scan(sources.fill("mem://"))
    else:
        place = tmp_path / {"zip": "s.zip", "tar": "s.tar", "osfs": "s"}[kind]
        url = f"{kind}://{place}"
        with sources.fill(url, create=True, writeable=True):
            pass
        tree = scan(url)
    image = tmp_path / "image"
    blockpack.write(volume.plan(tree), image)
    with blockpack.open_image(image) as opened:
        assert opened.open("a/b/c.txt").read() == b"nested"
        assert opened.open("top.bin").read() == bytes(range(256)) * 300
        assert opened.verify() == []


def test_two_filesystems_make_one_tree() -> None:
    sources = Sources()
    tree = Tree()
    tree.join("", scan(sources.fill("mem://"), exclude=["top.bin"]))
    tree.join("", scan(sources.fill("mem://"), exclude=["c.txt"]))
    assert paths(tree) == {"a", "a/b", "a/b/c.txt", "top.bin"}


@pytest.mark.parametrize("symlinks", ["keep", "skip", "error", "follow"])
def test_links_on_a_filesystem_are_treated_as_asked(source: Path, symlinks: Any) -> None:
    pytest.importorskip("fs", reason="blockpack[fs] is not installed")
    (source / "link").symlink_to("index.html")
    url = f"osfs://{source}"
    if symlinks == "error":
        with pytest.raises(blockpack.Problems, match="1 problem") as raised:
            scan(url, symlinks=symlinks)
        assert "link: is a symbolic link" in str(raised.value)
        return
    tree = scan(url, symlinks=symlinks)
    expected = {"keep": Symlink, "follow": File, "skip": type(None)}[symlinks]
    assert isinstance(tree.get("link"), expected)


def test_a_broken_link_on_a_filesystem_is_named(source: Path) -> None:
    pytest.importorskip("fs", reason="blockpack[fs] is not installed")
    (source / "gone").symlink_to("nothing")
    with pytest.raises(blockpack.Problems) as raised:
        scan(f"osfs://{source}", symlinks="follow")
    assert "gone: " in str(raised.value)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("zip:///nonexistent/x.zip", blockpack.SourceError),
        ("osfs:///nonexistent", blockpack.SourceError),
        ("nosuch://x", blockpack.UsageError),
    ],
)
def test_a_bad_url_is_an_error_that_names_it(
    url: str, error: type[blockpack.BlockpackError]
) -> None:
    pytest.importorskip("fs", reason="blockpack[fs] is not installed")
    with pytest.raises(error) as raised:
        scan(url)
    assert url in str(raised.value)


def large(root: Path) -> Path:
    """A source that is worth several processes."""
    return fill(root, 60)


@pytest.mark.parametrize("jobs", [2, 3, 9])
def test_several_processes_find_what_one_finds(tmp_path: Path, jobs: int) -> None:
    root = large(tmp_path / "large")
    for symlinks in ("keep", "follow", "skip"):
        alone = scan(root, symlinks=symlinks, exclude=["file 1*", "d07/"], jobs=1)
        together = scan(root, symlinks=symlinks, exclude=["file 1*", "d07/"], jobs=jobs)
        assert list(together) == list(alone)
        assert len(alone) > 2_000


def test_several_processes_tell_of_every_problem(tmp_path: Path) -> None:
    root = large(tmp_path / "large")
    for number in range(60):
        os.mkfifo(root / f"d{number:02}" / "deeper" / "pipe")
    told = []
    for jobs in (1, 3):
        with pytest.raises(blockpack.Problems, match="60 problems") as raised:
            scan(root, jobs=jobs)
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_a_process_that_is_killed_while_scanning_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = large(tmp_path / "large")
    parent = os.getpid()
    listing, fork = os.scandir, os.fork
    workers: list[int] = []

    def told_fork() -> int:
        process = fork()
        workers.append(process)
        return process

    def kill_workers(path: bytes) -> Any:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        for worker in workers[:1]:  # once there are workers, wait until one has come so far
            os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        return listing(path)

    monkeypatch.setattr(os, "fork", told_fork)
    monkeypatch.setattr(os, "scandir", kill_workers)
    with pytest.raises(blockpack.SourceError, match="was killed by signal 9"):
        scan(root, jobs=3)


def test_a_pattern_goes_for_names_below_a_name_with_a_newline(tmp_path: Path) -> None:
    below = tmp_path / "new\nline"
    below.mkdir()
    for name in ("secret.key", "new\nline/secret.key", "new\nline/kept"):
        (tmp_path / name).write_bytes(b"x")
    tree = scan(tmp_path, exclude=["*.key"])
    assert [entry.path for entry in tree] == ["new\nline", "new\nline/kept"]


def test_one_string_is_no_list_of_patterns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"exclude: is '\*\.psd'; give list of str"):
        blockpack.scan(tmp_path, exclude="*.psd")


def test_what_a_filesystem_tells_nothing_of_can_be_excluded(tmp_path: Path) -> None:
    pytest.importorskip("fs", reason="blockpack[fs] is not installed")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(Problems) as raised:
        scan(f"osfs://{tmp_path}")
    assert str(raised.value.exceptions[0]).endswith("; mend or exclude it")
    tree = scan(f"osfs://{tmp_path}", exclude=["link"])
    assert [entry.path for entry in tree] == ["file"]


@pytest.mark.parametrize(
    "source", ["a\0b", b"a\0b", "git:a\0b", "zip://a\0b", "\ud800", "mem://\ud800"]
)
def test_what_is_no_path_is_wrong_usage(source: str | bytes) -> None:
    with pytest.raises(blockpack.UsageError, match="is not a path"):
        scan(source)
