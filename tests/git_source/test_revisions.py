"""Revisions and addresses, and the repositories that they are looked up in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import blockpack
from blockpack import scan
from blockpack.formats.git.origin import Origin
from blockpack.sources.git.address import Address
from git_source.trees import SITE, content, image, paths
from repositories import GitRepository, git_tree


def test_whatever_git_resolves_is_a_revision(repository: GitRepository) -> None:
    first = repository.commit({"a": b"1"}, time=1_000_000_000)
    repository.commit({"a": b"2"})
    repository.git("tag", "light", first)
    repository.git("tag", "-a", "-m", "x", "heavy", first)
    repository.git("tag", "-a", "-m", "x", "heavier", "heavy")
    for revision in (first, first[:12], "light", "heavy", "heavier", "main~1", "HEAD^", "heavy^{}"):
        tree = git_tree(repository.path, revision)
        assert content(tree, "a") == b"1"
        assert tree["a"].mtime_ns == 1_000_000_000 * 10**9
        assert isinstance(tree.origin, Origin) and tree.origin.commit == first
    bare_tree = git_tree(repository.path, f"{first}^{{tree}}")
    assert isinstance(bare_tree.origin, Origin) and bare_tree.origin.commit is None
    assert bare_tree["a"].mtime_ns == 315_532_800 * 10**9
    for revision in ("", "nothing", "-x", "--all", "f" * len(first), "\udce9"):
        with pytest.raises(blockpack.SourceError, match=r"no revision|is not in"):
            git_tree(repository.path, revision)
    for revision in ("a\0b", "\ud800"):
        with pytest.raises(blockpack.UsageError, match="is not a path"):
            git_tree(repository.path, revision)
    with pytest.raises(blockpack.SourceError, match="neither a commit nor a tree"):
        git_tree(repository.path, repository.oid("HEAD:a"))


def test_a_revision_may_have_an_at_sign(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "a@b")
    first = repository.commit({"a": b"1", "sub/x": b"x"})
    repository.git("checkout", "-q", "main")
    repository.git("commit", "-q", "--allow-empty", "-m", "again")
    place = f"git:{repository.path}"
    assert scan(f"{place}@HEAD@{{1}}").origin == git_tree(repository.path, first).origin
    assert paths(scan(f"{place}@main@{{1}}:sub")) == {"x"}
    assert paths(scan(f"{place}@@")) == {"a", "sub", "sub/x"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("r@HEAD", ("r", "HEAD", "")),
        ("r@v1:sub/dir", ("r", "v1", "sub/dir")),
        ("r@HEAD@{1}", ("r", "HEAD@{1}", "")),
        ("r@main@{2024-01-02 10:11:12}:sub", ("r", "main@{2024-01-02 10:11:12}", "sub")),
        ("r@v@1", ("r@v", "1", "")),  # the longest directory
        ("r@v:with:colons", ("r", "v", "with:colons")),
        (".@HEAD", (".", "HEAD", "")),
        ("r", ("r", "HEAD", "")),
        (".", (".", "HEAD", "")),
        ("r@v", ("r@v", "HEAD", "")),
    ],
)
def test_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, parts: tuple[str, str, str]
) -> None:
    for name in ("r", "r@v"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert Address.parse(f"git:{text}") == parts


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("git:", blockpack.UsageError, "git:.@HEAD"),
        ("git:@HEAD", blockpack.UsageError, "git:REPO@REV"),
        ("git:/srv/r", blockpack.SourceError, "/srv/r: is not a directory"),
        ("git://host/r@HEAD", blockpack.UsageError, "clone it"),
        ("git:/nonexistent@HEAD", blockpack.SourceError, "/nonexistent: is not a directory"),
    ],
)
def test_what_is_no_address_is_told(
    text: str, error: type[blockpack.BlockpackError], told: str
) -> None:
    with pytest.raises(error) as raised:
        scan(text)
    assert told in str(raised.value)


def test_a_directory_of_a_revision(repository: GitRepository) -> None:
    repository.commit(SITE)
    tree = git_tree(repository.path, subdir="/media/deep/")
    assert paths(tree) == {"er", "er/b"}
    assert paths(scan(f"git:{repository.path}@HEAD:media")) == {
        *("a.bin", "deep", "deep/er", "deep/er/b", "link")
    }
    for subdir, told in (
        ("nothing", "no such"),
        ("index.html", "not a directory"),
        ("a/../b", r"a/\.\./b: .*'\.\.'"),
    ):
        with pytest.raises(blockpack.BlockpackError, match=told):
            git_tree(repository.path, "HEAD", subdir)


def test_patterns_are_those_of_gitignore(bare: GitRepository) -> None:
    bare.commit(SITE)
    tree = git_tree(bare.path, exclude=["/media/", "*.sh", "\udcff*"])
    assert paths(tree) == {"index.html", "media.txt"}


def test_worktrees_and_git_directories_are_repositories(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "r")
    repository.commit(SITE)
    repository.git("worktree", "add", "-q", "-b", "other", tmp_path / "tree", "main")
    expected = git_tree(repository.path)
    for place in (tmp_path / "tree", repository.path / ".git"):
        assert list(map(str, git_tree(place))) != []
        assert image(git_tree(place)) == image(expected)


def test_a_hook_s_environment_does_not_lead_elsewhere(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.commit({"a": b"right", ".gitattributes": b"b export-ignore\n", "b": b""})
    other = GitRepository.init(tmp_path / "other", "--bare")
    other.commit({"a": b"wrong"})
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        suffix = "objects" if name == "GIT_OBJECT_DIRECTORY" else ""
        monkeypatch.setenv(name, str(other.path / suffix))
    for name in ("GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_NAMESPACE", "GIT_PREFIX"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    tree = git_tree(bare.path)
    assert content(tree, "a") == b"right" and "b" not in tree


def test_replaced_objects_are_the_true_ones(bare: GitRepository) -> None:
    bare.commit({"a": b"true"})
    bare.git("replace", bare.oid("HEAD:a"), bare.blob(b"replaced"))
    assert content(git_tree(bare.path), "a") == b"true"


@pytest.mark.parametrize("text", [".", "./", "", "/", "./sub/..x/../.."])
def test_the_root_is_a_directory_of_a_revision(bare: GitRepository, text: str) -> None:
    bare.commit(SITE)
    if ".." in text:
        with pytest.raises(blockpack.EntryError, match=r"has no part '\.\.'"):
            scan(f"git:{bare.path}@main:{text}")
    else:
        assert paths(scan(f"git:{bare.path}@main:{text}")) == paths(scan(f"git:{bare.path}"))


@pytest.mark.parametrize("text", ["./media/deep", "media/./deep/", "media//deep", "/media/deep/."])
def test_a_directory_may_be_written_in_many_ways(bare: GitRepository, text: str) -> None:
    bare.commit(SITE)
    assert paths(scan(f"git:{bare.path}@main:{text}")) == {"er", "er/b"}


def test_of_a_head_without_a_commit_the_branches_are_told(bare: GitRepository) -> None:
    """As where what was pushed is not the branch that HEAD names."""
    for address in (f"git:{bare.path}", f"git:{bare.path}@HEAD"):
        with pytest.raises(blockpack.SourceError, match="has no commit; commit something"):
            scan(address)
    bare.commit({"a": b"1"}, branch="trunk")
    bare.commit({"a": b"1"}, branch="next")
    bare.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(blockpack.SourceError, match=r"'gone'.*: next, trunk$"):
        scan(f"git:{bare.path}@HEAD")
    assert paths(scan(f"git:{bare.path}@trunk")) == {"a"}


COMMITTERS = [
    b"committer A <a@b> 1500000000 -700",
    b"committer A <a@b> 1500000000",
    b"committer A <a@b>   1500000000    +0000",
    b"committer A <a@b>1500000000+0000",
    b"committer A <a@b> 1500000000 Europe/Berlin",
    b"committer  <> 1500000000 +9999999",
    b"committer A <a@b> x1500000000 +0000",
    b"committer A <a@b>",
    b"committer A",
    b"committer",
    b"nobody A <a@b> 1500000000 +0000",
    b"committer A <a@b>\t\r1500000000\r",
    b"committer A <a@b> " + b"0" * 5000 + b"9",
    b"committer A <a@b> 12,345",
    b"committer A <a@b> -0",
]
AUTHOR, COMMITTER = b"author A <a@b> 7 +0000", b"committer A <a@b> 1500000000 +0000"
HEADERS = [
    b"\n".join(lines)
    for lines in (
        *((AUTHOR, committer) for committer in COMMITTERS),
        (COMMITTER,),
        (COMMITTER, AUTHOR),
        (AUTHOR, AUTHOR, COMMITTER),
        (b"encoding x", AUTHOR, COMMITTER),
        (AUTHOR, b"encoding x", COMMITTER),
        (b"", AUTHOR, COMMITTER),
        (b"author", COMMITTER),
        (b"author\0s", COMMITTER),
        (AUTHOR + b"\r", COMMITTER + b"\r"),
    )
]

READ_ANEW = {
    b"committer A <a@b> +1500000000 +0000": (1_500_000_000, 0),
    b"committer A <a@b>\v1500000000 +0000": (1_500_000_000, 0),
    b"committer A <a@b>> 1500000000 +0000": (0, 1_500_000_000),
    b"committer A <a@b> 7> 1500000000 +0000": (7, 1_500_000_000),
}
"""Those whose times git reads otherwise since 2.41: as it did, and as it and blockpack do."""


@pytest.mark.parametrize("headers", [*HEADERS, *(AUTHOR + b"\n" + line for line in READ_ANEW)])
def test_a_commit_has_the_time_that_git_archive_gives_it(
    bare: GitRepository, headers: bytes
) -> None:
    tree = bare.raw_tree(("100644", b"a", bare.blob(b"a")))
    lines = (f"tree {tree}".encode(), headers, b"", b"text\n")
    commit = bare.raw_object("commit", b"\n".join(lines))
    with tarfile.open(fileobj=io.BytesIO(bare.archive(commit))) as archive:
        told = archive.getmember("a").mtime
    before, time = READ_ANEW.get(headers.removeprefix(AUTHOR + b"\n"), (told, told))
    assert told in (before, time)
    assert git_tree(bare.path, commit)["a"].mtime_ns == time * 10**9
    kept = blockpack.GitVolume(container="bundle", mtime="keep").plan(git_tree(bare.path, commit))
    with blockpack.open_image(kept) as image:
        assert image.info()["commit"] == commit
        assert image["a"].mtime_ns == time * 10**9
