"""Trees that git itself would not make: all of them are refused, none is followed."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

import blockpack
from blockpack.formats.git import tree_reader
from blockpack.sources.git import cat_file
from git_source.trees import content, paths, problems, refused
from hostile import git_images
from hostile.ordeal import in_memory, in_time
from repositories import FILE, LINK, TREE, GitRepository, git_tree

HOSTILE = [
    b"..",
    b".",
    b"",
    b"a/b",
    b"../x",
    b".git",
    b".GIT",
    b".Git",
    b"git~1",
    b"GIT~1",
    b".git ",
    b".git...",
    b".git::$INDEX_ALLOCATION",
    b".git\\config",
    ".g\u200cit".encode(),
    "\ufeff.git".encode(),
]


@pytest.mark.parametrize("kind", [FILE, TREE])
def test_names_that_git_would_not_check_out_are_refused_all_at_once(
    repository: GitRepository, kind: str
) -> None:
    file = repository.blob(b"x")
    oid = file if kind == FILE else repository.raw_tree((FILE, b"x", file))
    inner = repository.raw_tree(*((kind, name, oid) for name in HOSTILE), (FILE, b"good", file))
    top = repository.raw_tree((TREE, b"inner", inner), (FILE, b".GIT", file))
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(repository.path, repository.commit_tree(top))
    assert raised.value.exit_code == 3
    told = problems(raised)
    assert len(raised.value.exceptions) == len(HOSTILE) + 1
    assert {*told} == {
        ".GIT",
        *(f"inner/{name.decode('utf-8', 'surrogateescape')}" for name in HOSTILE),
    }


@pytest.mark.parametrize("name", [b".gitignore", b".github", b"git", b"..git", b"x.git", b"...a"])
def test_names_that_are_only_like_these_are_packed(bare: GitRepository, name: bytes) -> None:
    tree = bare.raw_tree((FILE, name, bare.blob(b"x")))
    assert paths(git_tree(bare.path, tree)) == {name.decode()}


def test_duplicates_and_unknown_modes_are_refused(bare: GitRepository) -> None:
    file, empty = bare.blob(b"x"), bare.raw_tree()
    tree = bare.raw_tree(
        *((FILE, b"twice", file), (TREE, b"twice", empty), (FILE, b"a", file), (FILE, b"a", file)),
        *(("100600", b"odd", file), ("10644", b"short", file), ("020000", b"device", file)),
    )
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(bare.path, tree)
    told = problems(raised)
    assert {*told} == {"twice", "a", "odd", "short", "device"}
    assert told["a"] == told["twice"] == "is there twice"
    assert "mode 100600" in told["odd"]


@pytest.mark.parametrize(
    "data", [b"100644 a", b"100644 a\0short", b"garbage", b"\0", b"100644 a\0" + b"x" * 25]
)
def test_a_tree_that_is_none_is_refused(bare: GitRepository, data: bytes) -> None:
    top = bare.raw_tree((TREE, b"d", bare.raw_object("tree", data)))
    with pytest.raises(blockpack.SourceError, match=r"d: object [0-9a-f]{40} is not a valid tree"):
        git_tree(bare.path, top)


def test_objects_of_another_kind_are_refused(bare: GitRepository) -> None:
    file, empty = bare.blob(b"x"), bare.raw_tree()
    with refused("is a tree, and should be a blob"):
        git_tree(bare.path, bare.raw_tree((FILE, b"a", empty)))
    with pytest.raises(blockpack.SourceError, match="is not a valid tree"):
        git_tree(bare.path, bare.raw_tree((TREE, b"a", file)))
    with pytest.raises(blockpack.SourceError, match="not a valid commit"):
        git_tree(bare.path, bare.raw_object("commit", b"tree x\n\n"))


@pytest.mark.parametrize(("levels", "width"), [(20, 2), (10, 10), (3, 1000), (60, 2)])
def test_a_bomb_of_trees_is_refused(
    bare: GitRepository, levels: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs no more than its trees, each read once, whatever they come to.

    The limit is lower here; the real one is met by an image of such trees.
    """
    monkeypatch.setattr(tree_reader, "MOST_FREE", 2048)
    level = bare.raw_tree((FILE, b"a", bare.blob(b"x")))
    for _ in range(levels):
        level = bare.raw_tree(*((TREE, b"%04d" % n, level) for n in range(width)))
    with (
        in_time(),
        in_memory(),
        pytest.raises(blockpack.EntryError, match="trees without end"),
    ):
        git_tree(bare.path, level)


def test_a_bomb_of_links_is_refused(bare: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory has links to the next one, which are followed."""
    directories = [(TREE, b"20", bare.raw_tree((FILE, b"a", bare.blob(b"x"))))]
    for level in range(20):
        target = bare.blob(b"../%02d" % (level + 1))
        links = ((LINK, b"l%d" % n, target) for n in range(2))
        directories.append((TREE, b"%02d" % level, bare.raw_tree(*links)))
    top = bare.raw_tree(*directories)
    monkeypatch.setattr(tree_reader, "MOST_FREE", 2048)
    with in_time(), pytest.raises(blockpack.EntryError, match="trees without end"):
        git_tree(bare.path, top, symlinks="follow")
    assert len(git_tree(bare.path, top)) == 20 + 2 * 20 + 2


@pytest.mark.parametrize("widths", [[300, 30], [21, 21, 21]])
def test_equal_directories_are_packed_each_time(
    bare: GitRepository, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As honest repositories have them: many more files in a few trees than any may come to."""
    monkeypatch.setattr(tree_reader, "MOST_FREE", 2048)
    oid, mode, count = bare.blob(b"x"), FILE, 1
    for width in widths:
        oid, mode = bare.raw_tree(*((mode, b"%04d" % n, oid) for n in range(width))), TREE
        count = count * width
    files = [entry for entry in git_tree(bare.path, oid) if entry.kind == "file"]
    assert len(files) == count


def test_directories_are_not_nested_without_end(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blockpack.sources.git.trees.MOST_DEPTH", 8)
    deep = bare.raw_tree((FILE, b"a", bare.blob(b"x")))
    for _ in range(12):
        deep = bare.raw_tree((TREE, b"d", deep))
    with refused("more than 8 directories deep"):
        git_tree(bare.path, deep)


def hostile_pack(repository: GitRepository, data: bytes, stated: int) -> tuple[Path, bytes]:
    """Where a pack of one blob is to be put that says to be of `stated` bytes; and the pack."""
    pack = git_images.Pack()
    pack.add(git_images.BLOB, data, size=stated)
    place = repository.path / "objects" / "pack" / f"pack-{'1' * 40}.pack"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(pack.data())
    place.with_suffix(".idx").write_bytes(pack.index())
    return place, pack.data()


def with_large_offset(oid: bytes, offset: int, pack: bytes) -> bytes:
    """The index of a pack whose only object is said to be at that offset."""
    large = offset.to_bytes(8)
    return git_images.index({oid: (1 << 31, 0)}, pack[-20:], large=large)


@pytest.mark.parametrize("offset", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_an_offset_where_no_file_goes_is_left_to_git(bare: GitRepository, offset: int) -> None:
    data = b"there as well, loose"
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"a": data})
    place, pack = hostile_pack(bare, data, len(data))
    oid = bytes.fromhex(bare.oid("HEAD:a"))
    place.with_suffix(".idx").write_bytes(with_large_offset(oid, offset, pack))
    tree = git_tree(bare.path)
    assert content(tree, "a") == data
    with pytest.raises(blockpack.SourceError):  # which would take it over from there
        blockpack.GitVolume().plan(tree)


@pytest.mark.parametrize("stated", [1 << 63, 1 << 64, (1 << 66) - 1])
def test_a_size_that_no_blob_has_is_left_to_git(bare: GitRepository, stated: int) -> None:
    bare.commit({})
    data = b"short"
    oid = git_images.object_id(git_images.BLOB, data)
    hostile_pack(bare, data, stated)
    top = bare.raw_tree((FILE, b"a", oid.hex()))
    with pytest.raises((blockpack.Problems, blockpack.SourceError)) as raised:
        content(git_tree(bare.path, top), "a")
    assert "a: object" in str(raised.value)


@pytest.mark.parametrize("stated", [7, 1000, 600_000])
@pytest.mark.parametrize("mode", [FILE, LINK])
def test_a_loose_blob_that_claims_to_be_longer_is_told(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch, mode: str, stated: int
) -> None:
    monkeypatch.setattr(cat_file, "_PATIENCE", 0.2)
    bare.commit({})
    oid = bare.blob(b"short\n")
    top = bare.raw_tree((mode, b"a", oid))
    loose = bare.path / "objects" / oid[:2] / oid[2:]
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(b"blob %d\0short\n" % stated))
    with pytest.raises((blockpack.Problems, blockpack.SourceError)) as raised:
        content(git_tree(bare.path, top), "a")
    assert f"a: object {oid} cannot be read" in str(raised.value)


def test_a_git_that_is_slow_is_waited_for(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")  # loose: git reads them
    files = {f"{number}/{name}": b"%d" % number * 10 for number in range(5) for name in "ab"}
    files["large"] = bytes(range(256)) * 4096
    bare.commit(files)
    monkeypatch.setattr(cat_file, "_PATIENCE", 0.0)  # as if it were
    tree = git_tree(bare.path)
    assert {path: content(tree, path) for path in files} == files
    monkeypatch.undo()
    assert {path: content(tree, path) for path in files} == files
