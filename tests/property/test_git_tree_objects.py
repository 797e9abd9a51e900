"""What git, and each profile's reader, keeps of a tree, and what they refuse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.formats.git.refused_names import are_plain
from blockpack.formats.git.refused_names import refused as refused_name
from blockpack.model.entry import encode
from hostile import git_images
from hostile.git_images import FILE, LINK
from judges import docteur, git_pack, git_tools
from property.strategies import (
    Contents,
    DirectoryNode,
    FileNode,
    Spec,
    SymlinkNode,
    git_names,
    specs,
    tree_of,
)

GIT_NAMES = (
    *(".git", ".GIT", ".Git", "git~1", "GIT~1", "Git~1", ".git ", ".git.", ".git. . ", "git~1 ."),
    *(".git:x", ".git::$INDEX_ALLOCATION", "git~1:x", ".git\\x", "git~1\\", ".GIT\\config"),
    *("a\\.git", "a\\b\\.GIT ", "a\\git~1", "\\.git", "a\\.git:x", "a\\.git\\b"),
    *(".git\udcff", ".g\u200cit\udc80x", ".git\uffff", ".git\ufffex"),
    *(".g\u200cit", "\u200d.git", ".git\ufeff", ".\u202ag\u202ei\u206at\u206f", ".G\u200fiT"),
)
"""Names that lead to ``.git`` somewhere."""

HARMLESS = (
    *(
        ".gitignore",
        ".gitattributes",
        ".gitx",
        "git",
        "git~2",
        "git~10",
        ".git~1",
        "x.git",
        "..git",
    ),
    *(
        " .git",
        ".git\u00ff",
        ".gi",
        "...",
        ". .",
        "a:b",
        "git.",
        "a\\b",
        "\\",
        ".git\u00a0",
        "GIT~",
    ),
    *(".g\u00eft", "\u200c", "g\u200cit~1", "~", ".gitmodules", "a\\.gitx", "x\\git"),
)


def bytes_of(volume: blockpack.GitVolume, tree: blockpack.Tree) -> bytes:
    with volume.plan(tree).open() as opened:
        return opened.read()


def rejected(names: tuple[str, ...], tmp_path: Path, mode: bytes = FILE) -> set[str]:
    """Those of `names` that git does not take, each alone in a tree."""
    pack = git_images.Pack()
    blob = pack.blob(b"x")
    names_of = {pack.tree((mode, os.fsencode(name), blob)).hex(): name for name in names}
    roots = [(b"40000", b"%d" % n, bytes.fromhex(oid)) for n, oid in enumerate(names_of)]
    commit = pack.commit(pack.tree(*sorted(roots, key=lambda entry: entry[1] + b"/")))
    repository = git_tools.init(tmp_path / "repository")
    path = repository / "objects/pack/pack-x.pack"
    path.write_bytes(pack.data())
    git_tools.git(repository, "index-pack", path)
    git_tools.git(repository, "update-ref", "refs/heads/judged", commit.hex())
    done = subprocess.run(
        ["git", "-C", repository, "fsck", "--strict", "--no-progress"],
        capture_output=True,
        check=False,
    )
    found = re.findall(r"error in (?:tree|blob) ([0-9a-f]+): ", done.stderr.decode())
    return {names_of[oid] for oid in found}


def refused(names: tuple[str, ...], *, link: bool = False) -> set[str]:
    """Those of `names` that are refused, in one go."""
    tree = blockpack.Tree()
    for number, name in enumerate(names):
        if link:
            tree.symlink(f"{number}/{name}", "x")
        else:
            tree.add(f"{number}/{name}", b"x")
    try:
        blockpack.GitVolume().plan(tree)
    except blockpack.Problems as problems:
        paths = []
        for problem in problems.exceptions:
            assert isinstance(problem, blockpack.EntryError)
            paths.append(problem.path.partition("/")[2])
        assert len(paths) == len(set(paths)), "each is named once"
        return set(paths)
    return set()


def test_names_that_git_refuses_are_refused_all_at_once(tmp_path: Path) -> None:
    names = GIT_NAMES + HARMLESS
    assert refused(names) == rejected(names, tmp_path) == set(GIT_NAMES)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("directory", ["", "many/"])
def test_a_directory_is_refused_from_just_where_its_tree_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, directory: str, object_format: Literal["sha1", "sha256"]
) -> None:
    """Of one byte more, and so one entry."""
    entry = len(b"100644 012\0") + (20 if object_format == "sha1" else 32)
    for module in ("tree_objects", "store"):
        monkeypatch.setattr(f"blockpack.formats.git.{module}.MOST_META", 900 * entry)
    monkeypatch.setattr("blockpack.formats.git.tree_objects.MOST_PATH", 12)
    tree = blockpack.Tree()
    for number in range(900):
        tree.add(f"{directory}{number:03}", b"x")
    volume = blockpack.GitVolume(container="pack", object_format=object_format)
    with blockpack.open_image(volume.plan(tree).open()) as image:
        assert not image.verify()
    tree.add(f"{directory}900", b"x")
    with pytest.raises(blockpack.Problems) as raised:
        volume.plan(tree)
    (problem,) = raised.value.exceptions
    assert isinstance(problem, blockpack.EntryError)
    assert problem.path == directory.rstrip("/")
    assert "its 901 entries make a tree of more than" in problem.rule


def test_a_link_that_git_would_not_check_out_is_refused(tmp_path: Path) -> None:
    """Nothing may redirect what git reads before anything is checked out."""
    modules = (
        ".gitmodules",
        ".GITMODULES",
        ".gitmodules ",
        "gitmod~1",
        ".gitmodules:x",
        "GI7EBA~1",
    )
    names = (*modules, ".g\u200citmodules", *HARMLESS[:-4], ".gitmodule", "gitmod~5")
    wrong = rejected(names, tmp_path, LINK)
    assert set(modules) <= wrong
    assert refused(names, link=True) == wrong


@given(
    st.lists(st.text(st.sampled_from(".gGiItT~1 :\\\u200cx"), min_size=1, max_size=8), max_size=20)
)
def test_names_near_git_are_refused_as_git_does(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    distinct = tuple(sorted({*names} - {".", ".."}))
    assert refused(distinct) == rejected(distinct, tmp_path_factory.mktemp("git"))


@given(
    st.lists(st.one_of(st.binary(max_size=4), st.text(st.sampled_from("./gGiItT~1x")).map(encode)))
)
def test_names_that_are_plain_all_together_are_so_each(names: list[bytes]) -> None:
    if are_plain(names):
        assert not any(map(refused_name, names))


@given(st.lists(st.text(st.sampled_from("abc-_0."), min_size=3), min_size=1))
def test_usual_names_are_plain(names: list[str]) -> None:
    assert are_plain(list(map(encode, names)))


def test_directories_of_git_are_refused_with_all_else(tmp_path: Path) -> None:
    for path in ("a/.git/config", "b/.GIT/x/y", "c/git~1"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    with pytest.raises(blockpack.Problems) as caught:
        blockpack.GitVolume().plan(blockpack.scan(tmp_path))
    said = [str(error) for error in caught.value.exceptions]
    assert [line.partition(":")[0] for line in said] == ["a/.git", "b/.GIT", "c/git~1"]
    assert all("git directory; rename or exclude it" in line for line in said)


def test_empty_directories_are_left_out_with_a_warning() -> None:
    tree = blockpack.Tree()
    tree.add("full/file", b"x")
    for path in ("full/hollow", "outer/inner", "\x1b"):
        tree.mkdir(path)
    layout = blockpack.GitVolume().plan(tree)
    said = ": git keeps no empty directories; it is left out [empty-directory]"
    assert sorted(map(str, layout.warnings)) == [
        f"\\x1b{said}",
        f"full/hollow{said}",
        f"outer/inner{said}",
    ]
    with layout.open() as file, blockpack.open_image(file) as image:
        assert [entry.path for entry in image.walk()] == ["full", "full/file"]


def test_the_mirage_profile_writes_every_file_as_docteur_lists_it() -> None:
    spec: Spec = {
        "bin": DirectoryNode(),
        "bin/run": FileNode(Contents(10, 1), executable=True),
        "page": FileNode(Contents(10, 2)),
    }
    checked = docteur.check(bytes_of(blockpack.GitVolume(profile="mirage"), tree_of(spec)))
    assert {mode for mode, _ in checked.files.values()} == {b"100644"}
    normal = docteur.check(bytes_of(blockpack.GitVolume(), tree_of(spec)))
    assert normal.files[b"bin/run"][0] == b"100755"


def test_the_mirage_profile_refuses_all_symlinks_at_once() -> None:
    tree = tree_of({"a": SymlinkNode("b"), "b": FileNode(Contents(1, 1)), "c": SymlinkNode("d")})
    with pytest.raises(blockpack.Problems) as caught:
        blockpack.GitVolume(profile="mirage").plan(tree)
    rule = "is a symbolic link, which the profile's reader does not list"
    found = [(error.path, error.rule, error.option) for error in caught.value.exceptions]  # type: ignore[union-attr]
    assert found == [("a", rule, "symlinks=follow"), ("c", rule, "symlinks=follow")]


def test_the_mirage_profile_warns_of_large_blobs(tmp_path: Path) -> None:
    for name, size in (("large", 64 << 20), ("not quite", (64 << 20) - 1)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)
    tree = blockpack.scan(tmp_path)
    warnings = blockpack.GitVolume(profile="mirage", compression=1).plan(tree).warnings
    assert list(map(str, warnings)) == [
        "large: 67,108,864 bytes; the profile's reader holds it in memory, twice [large-file]"
    ]
    tree.remove("not quite")
    assert blockpack.GitVolume(compression=1).plan(tree).warnings == ()


@given(
    spec=specs(git_names, most_units=1000),
    compression=st.sampled_from(("auto", 0, 9)),
    sector_size=st.sampled_from((512, 4096)),
)
def test_docteur_finds_every_file(
    spec: dict[str, FileNode | DirectoryNode], compression: str | int, sector_size: int
) -> None:
    volume = blockpack.GitVolume(profile="mirage", compression=compression, sector_size=sector_size)
    data = bytes_of(volume, tree_of(spec))
    files = {path: node for path, node in spec.items() if isinstance(node, FileNode)}
    above = {path[:at] for path in files for at in range(len(path)) if path[at] == "/"}
    for store in (docteur.Light(data, sector_size), docteur.Fast(data, sector_size)):
        assert {*store.walk()} == {os.fsencode(path) for path in (*files, *above)}
        for path, node in files.items():
            assert store.get(os.fsencode(path)) == node.contents.data()


def commits(**options: str | int) -> Iterator[bytes]:
    """The commit as it stands in each container."""
    for container in ("docteur", "bundle", "pack"):
        volume = blockpack.GitVolume(container=container, **options)  # type: ignore[arg-type]
        tree = tree_of({"old": FileNode(Contents(1, 1), 5), "new": SymlinkNode("old", 77)})
        layout = volume.plan(tree)
        with layout.open() as file:
            file.seek(int(layout.geometry["pack_offset"]))
            pack = git_pack.read_pack(file.read())
        yield pack.objects[bytes.fromhex(str(layout.geometry["commit"]))].data


def test_the_commit_says_what_was_asked_for() -> None:
    for data in commits(message="Ünïcode\n\nlines", author="A. B <a@b.c>", epoch=1234):
        fields = git_pack.commit_fields(data)
        assert fields["author"] == fields["committer"] == b"A. B <a@b.c>"
        assert fields["authored"] == b"1234"
        assert fields["message"].decode() == "Ünïcode\n\nlines\n"


@pytest.mark.parametrize(
    ("mtime", "epoch", "expected"),
    [("fixed", 50, b"50"), ("keep", 50, b"77"), ("clamp", 50, b"50"), ("clamp", 99, b"77")],
)
def test_the_commits_time_is_the_epoch_or_the_newest_files(
    mtime: str, epoch: int, expected: bytes
) -> None:
    for data in commits(mtime=mtime, epoch=epoch):
        assert git_pack.commit_fields(data)["committed"] == expected


@pytest.mark.parametrize("seconds", [-1, -(1 << 40), 1 << 41, 1 << 62])
def test_times_that_git_has_not_become_those_nearest(tmp_path: Path, seconds: int) -> None:
    tree = tree_of({"file": FileNode(Contents(1, 1), seconds)})
    layout = blockpack.GitVolume(mtime="keep", container="pack").plan(tree)
    with layout.open() as file:
        data = file.read()[: int(layout.geometry["pack_size"])]
    repository = git_tools.init(tmp_path / "repository")
    git_tools.index_pack(data, repository)
    assert git_tools.fsck(repository, str(layout.geometry["commit"])) == []


AUTHORS = ("A <b>", "A B <a@b.c>", "\u00c4 <\u00e4@\u00f6>", ". <.>", "A  B <b>", "a,b;c <x>")


@pytest.mark.parametrize("author", AUTHORS)
@pytest.mark.parametrize("message", ["", "\n", "m", "m\n", "m\n\n", "\u00e4\r\nx"])
def test_authors_and_messages_are_sound_commits(tmp_path: Path, author: str, message: str) -> None:
    tree = tree_of({"file": FileNode(Contents(1, 1))})
    layout = blockpack.GitVolume(author=author, message=message, container="pack").plan(tree)
    with layout.open() as file:
        data = file.read()[: int(layout.geometry["pack_size"])]
    repository = git_tools.init(tmp_path / "repository")
    git_tools.index_pack(data, repository)
    git_tools.fsck(repository, str(layout.geometry["commit"]))


@pytest.mark.parametrize(
    "author",
    [
        *("", "A", "<b>", " <b>", "A <>", "A b", "A <b", "A b>", "A <b> ", "A <b>c", "A<b>"),
        *("A <b c>", "A\n <b>", "A\0 <b>", "A < <b>", "A > <b>", "A <b\n>", "A <b@<c>>"),
        "\ud800 <b>",
    ],
)
def test_an_author_that_is_none_is_wrong_usage(author: str) -> None:
    with pytest.raises(blockpack.UsageError, match="NAME <EMAIL>"):
        blockpack.GitVolume(author=author)


@pytest.mark.parametrize("message", ["a\0b", "\ud800"])
def test_a_message_that_no_commit_has_is_wrong_usage(message: str) -> None:
    with pytest.raises(blockpack.UsageError, match="message"):
        blockpack.GitVolume(message=message)


BRANCHES = ("main", "a/b", "feature/x-1", "\u00e4", "a.b", "a@b", "x" * 200, "refs/heads/a", "{a}")
NO_BRANCHES = (
    *("", "/", "a/", "/a", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "a..b", "a b", "a~b"),
    *("a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{b", "@", "HEAD", "-a", "a\nb", "a\x7f", "\ud800"),
    *("x" * 251, "\u00e4" * 126, "/".join("x" * 200 for _ in range(20))),
)


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_is_cloned(tmp_path: Path, branch: str) -> None:
    volume = blockpack.GitVolume(container="bundle", branch=branch)
    (tmp_path / "bundle").write_bytes(bytes_of(volume, tree_of({"f": FileNode(Contents(9, 1))})))
    assert git_tools.clone(tmp_path / "bundle", tmp_path / "out").keys() == {b"f"}
    head = git_tools.git(tmp_path / "out", "symbolic-ref", "HEAD").decode()
    assert head == f"refs/heads/{branch}\n"


@pytest.mark.parametrize("branch", NO_BRANCHES)
def test_a_branch_that_git_cannot_have_is_wrong_usage(branch: str) -> None:
    with pytest.raises(blockpack.UsageError, match="branch"):
        blockpack.GitVolume(container="bundle", branch=branch)


_PACK_WITH = """
import hashlib, sys
import blockpack
for container in ("docteur", "bundle", "pack"):
    for forkable in (True, False):
        for processes in (1, 2, 3, 5):
            tree = blockpack.scan(sys.argv[1])
            tree.forkable = forkable
            layout = blockpack.GitVolume(container=container).plan(tree, jobs=processes)
            with layout.open() as file:
                print(container, hashlib.file_digest(file, "sha256").hexdigest())
"""


def test_the_number_of_processes_changes_no_byte(tmp_path: Path) -> None:
    for number in range(40):
        size = (10, 2000, 70_000)[number % 3] + number % 7
        data = Contents(size, number % 5).data()
        (tmp_path / f"file {number}").write_bytes(data)
    for name, seed in (("large", 1), ("twin", 1), ("other", 2), ("lonely", 3)):
        size = (1 << 20) + (1 << 18) + (name == "lonely")
        (tmp_path / name).write_bytes(Contents(size, seed).data())
    done = subprocess.run(
        [sys.executable, "-c", _PACK_WITH, tmp_path],
        env={**os.environ, "PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 3 * 2 * 4
    assert len(set(lines)) == 3
