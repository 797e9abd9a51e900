"""The judges of git images accept what git itself packs, and see whatever is wrong."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hostile import git_images
from hostile.git_images import (
    BLOB,
    DIRECTORY,
    EXECUTABLE,
    FILE,
    LINK,
    SECTOR,
    Pack,
    bundle,
    delta,
    docteur,
    in_docteur,
    index,
    insert,
    oneffs,
    packed,
    padded,
)
from judges import git_kv, git_pack, git_tools
from judges.docteur import Fast, Light, check
from judges.mirage_kv import Crash, DictionaryExpected, KvError, NotFound, ValueExpected

from .real_images import FILES, make_tree


def plain() -> tuple[Pack, bytes]:
    """A pack without deltas, and its commit."""
    pack = Pack()
    text = pack.blob(b"text\n")
    inner = pack.tree((FILE, b"text", text))
    root = pack.tree(
        (DIRECTORY, b"dir", inner),
        (b"100664", b"old", text),
        (EXECUTABLE, b"run", text),
        (LINK, b"way", text),
    )
    return pack, pack.commit(root)


PACK, HEAD = plain()
IMAGE = in_docteur(PACK, HEAD)
OFFSET = int.from_bytes(IMAGE[20:28], "little")
OIDS = sorted(PACK.places)
COUNT = len(OIDS)


def changed(at: int, content: bytes, data: bytes = IMAGE) -> bytes:
    """The image with other bytes at `at`."""
    return data[:at] + content + data[at + len(content) :]


def mended(at: int, content: bytes) -> bytes:
    """The image with other bytes at `at` of its index, whose checksum is right again."""
    end = OFFSET + len(PACK.index()) - 20
    data = changed(OFFSET + at, content)
    return changed(end, hashlib.sha1(data[OFFSET:end]).digest(), data)


def of_tree(*entries: git_images.Entry) -> bytes:
    """An image whose root tree has these entries."""
    pack = Pack()
    pack.blob(b"text\n")
    return in_docteur(pack, pack.commit(pack.tree(*entries)))


def of_commit(data: bytes) -> bytes:
    """An image with this commit of the empty tree."""
    pack = Pack()
    pack.tree()
    return in_docteur(pack, pack.add(git_images.COMMIT, data))


def with_extra() -> bytes:
    pack, commit = plain()
    pack.blob(b"nothing leads here")
    return in_docteur(pack, commit)


def with_delta() -> bytes:
    return in_docteur(*git_images.sound())


def twice() -> bytes:
    pack = Pack()
    pack.blob(b"twice")
    pack.blob(b"twice")
    return in_docteur(pack, pack.commit(pack.tree((FILE, b"a", pack.blob(b"x")))))


TEXT = git_images.object_id(BLOB, b"text\n")
EMPTY = git_images.object_id(git_images.TREE, b"")
WHO = b"A <a@b> 1 +0000"

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "another commit": (lambda: changed(0, bytes(20)), "is not in the pack"),
    "the commit is a tree": (lambda: changed(0, _root()), "is a b'tree'"),
    "the index is elsewhere": (lambda: changed(20, struct.pack("<Q", OFFSET + 8)), "at a sector"),
    "the index is too far": (lambda: changed(20, struct.pack("<Q", 1 << 40)), "the index is at"),
    "the index is a sector early": (
        lambda: docteur(HEAD, PACK.data(), PACK.index(), 0),
        "the index is at 0",
    ),
    "a big-endian offset": (lambda: changed(20, struct.pack(">Q", OFFSET)), "the index is at"),
    "the image is cut": (lambda: IMAGE[:-512], "bytes long"),
    "two more sectors": (lambda: IMAGE + bytes(2 * SECTOR), "more after the index"),
    "two more sectors before the index": (
        lambda: docteur(HEAD, PACK.data() + bytes(2 * SECTOR), PACK.index()),
        "needless sectors",
    ),
    "something after the pack": (lambda: changed(OFFSET - 1, b"!"), "padding of the pack"),
    "something after the index": (lambda: changed(len(IMAGE) - 1, b"!"), "padding of the index"),
    "the pack's signature": (lambda: changed(28, b"K"), "no pack of version 2"),
    "the pack's version": (lambda: changed(35, b"\3"), "no pack of version 2"),
    "the number of objects": (lambda: changed(39, bytes([COUNT - 1])), "the pack's checksum"),
    "the pack's checksum": (
        lambda: changed(28 + PACK.size, bytes(20)),
        "the pack's checksum",
    ),
    "an object's size": (lambda: changed(40, bytes([IMAGE[40] + 1])), "has 5 bytes, not 6"),
    "an object's type": (lambda: changed(40, b"\x55"), "is of type 5"),
    "the index's signature": (lambda: changed(OFFSET, b"\0"), "no index of version 2"),
    "the index's version": (lambda: mended(7, b"\1"), "no index of version 2"),
    "the fan-out": (lambda: mended(8 + 4 * 255 + 3, bytes([COUNT + 1])), "the fan-out of 0xff"),
    "the order of ids": (
        lambda: mended(1032, OIDS[1] + OIDS[0]),
        "the ids are not in order",
    ),
    "an id": (lambda: mended(1032 + 20 * COUNT - 20, b"\xff" * 20), "not those of the pack"),
    "a CRC-32": (lambda: mended(1032 + 20 * COUNT, bytes(4)), "the CRC-32 of"),
    "an offset": (lambda: mended(1032 + 24 * COUNT, bytes(4)), "the offset of"),
    "an index of another pack": (
        lambda: docteur(HEAD, PACK.data(), index(PACK.places, bytes(20))),
        "for another pack",
    ),
    "the index's checksum": (
        lambda: changed(OFFSET + len(PACK.index()) - 1, b"\0"),
        "the index's checksum",
    ),
    "an object that nothing leads to": (with_extra, "does not lead to"),
    "a delta": (with_delta, "there are deltas"),
    "an object twice": (twice, "twice"),
    "an unsorted tree": (
        lambda: of_tree((FILE, b"b", TEXT), (FILE, b"a", TEXT)),
        "not sorted",
    ),
    "a directory sorted as a file": (
        lambda: of_tree((DIRECTORY, b"a", EMPTY), (FILE, b"a.b", TEXT)),
        "not sorted",
    ),
    "a name twice": (
        lambda: of_tree((FILE, b"a", TEXT), (EXECUTABLE, b"a", TEXT)),
        "a name twice",
    ),
    "a mode": (lambda: of_tree((b"100600", b"a", TEXT)), "has the mode"),
    "a padded mode": (lambda: of_tree((b"040000", b"a", EMPTY)), "has the mode"),
    "a name with a slash": (lambda: of_tree((FILE, b"a/b", TEXT)), "slash"),
    "a parent": (lambda: of_tree((FILE, b"..", TEXT)), "an entry is b'..'"),
    "no entry": (lambda: of_tree((FILE, b"", TEXT)), "no entry at byte 0"),
    "a file that is missing": (lambda: of_tree((FILE, b"a", bytes(20))), "is not in the pack"),
    "a directory that is a blob": (
        lambda: of_tree((DIRECTORY, b"a", TEXT)),
        "is a b'blob', not a b'tree'",
    ),
    "a commit without a committer": (
        lambda: of_commit(b"tree %b\nauthor %b\n\nm\n" % (EMPTY.hex().encode(), WHO)),
        "no commit as git writes it",
    ),
    "a commit with two times": (
        lambda: of_commit(
            b"tree %b\nauthor %b\ncommitter %b\n\nm\n"
            % (EMPTY.hex().encode(), WHO, WHO.replace(b" 1 ", b" 2 "))
        ),
        "two times",
    ),
}


def _root() -> bytes:
    return next(oid for oid in reversed(PACK.places) if oid != HEAD)


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_rule_is_seen(name: str) -> None:
    make, message = BROKEN[name]
    with pytest.raises(AssertionError) as caught:
        check(make())
    assert message in str(caught.value)


def test_a_sound_image_is_sound_and_deltas_are_resolved() -> None:
    checked = check(IMAGE)
    assert checked.files[b"dir/text"] == (b"100644", b"text\n")
    assert checked.files.keys() == {b"dir/text", b"old", b"run", b"way"}
    with_deltas = check(with_delta(), deltas=True)
    assert with_deltas.files[b"far"][1].endswith(b"changedagain")


@pytest.mark.parametrize("options", [("--depth=50",), ("--depth=50", "--window=0")])
def test_what_git_packs_is_sound(tmp_path: Path, options: tuple[str, ...]) -> None:
    repository, commit = _repository(tmp_path)
    oids = git_tools.git(repository, "rev-list", "--objects", "--all", "--no-object-names")
    data = git_tools.git(repository, "pack-objects", "-q", "--stdout", *options, stdin=oids)
    git_tools.init(tmp_path / "other")
    index = git_tools.index_pack(data, tmp_path / "other").read_bytes()
    checked = check(docteur(bytes.fromhex(commit), data, index), deltas=True)
    assert {path: content for path, (_, content) in checked.files.items()} == {
        path.encode(): content for path, content in FILES.items()
    }
    assert git_tools.dulwich_read(data, commit, tmp_path) == checked.files
    assert git_tools.fsck(tmp_path / "other", commit) == []
    assert git_tools.checkout(tmp_path / "other", commit, tmp_path / "out") == checked.files
    (tmp_path / "bundle").write_bytes(bundle(bytes.fromhex(commit), data))
    assert git_tools.clone(tmp_path / "bundle", tmp_path / "clone") == checked.files


def _repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with one commit of the usual tree, and that."""
    tree = make_tree(tmp_path / "tree")
    repository = git_tools.init(tmp_path / "repository")
    oid = git_tools.write_tree(repository, tree)
    who = ("-c", "user.name=A", "-c", "user.email=a@b")
    commit = git_tools.git(repository, *who, "commit-tree", oid, "-m", "m").decode().strip()
    git_tools.git(repository, "update-ref", "HEAD", commit)
    return repository, commit


def test_git_and_dulwich_reject_a_damaged_pack(tmp_path: Path) -> None:
    data = bytearray(PACK.data())
    data[20] ^= 1
    git_tools.init(tmp_path / "repository")
    with pytest.raises(AssertionError, match="exited with"):
        git_tools.index_pack(bytes(data), tmp_path / "repository")
    with pytest.raises(Exception, match=r"hecksum|zlib|nflat"):
        git_tools.dulwich_read(bytes(data), HEAD.hex(), tmp_path)
    (tmp_path / "bundle").write_bytes(bundle(HEAD, bytes(data)))
    with pytest.raises(AssertionError, match="exited with"):
        git_tools.clone(tmp_path / "bundle", tmp_path / "clone")


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_docteur_lists_plain_files_and_directories_alone(sector_size: int) -> None:
    light, fast = Light(IMAGE, sector_size), Fast(IMAGE, sector_size)
    assert light.list() == {b"dir": "dictionary", b"old": "value"}
    for store in (light, fast):
        assert store.list("/dir") == {b"text": "value"}
        assert (store.exists("dir"), store.exists("dir/text")) == ("dictionary", "value")
        assert store.exists("run") is None
        assert store.get("dir/text") == b"text\n"
        assert store.loaded == len(IMAGE) - OFFSET
        for key, error in (("run", NotFound), ("dir", ValueExpected), ("old/x", KvError)):
            with pytest.raises(error):
                store.get(key)
        with pytest.raises(DictionaryExpected):
            store.list("old")
    with pytest.raises(NotFound):
        fast.list("/")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(IMAGE[:-1], id="no whole sectors"),
        pytest.param(IMAGE[: OFFSET + 512], id="half an index"),
        pytest.param(IMAGE[:OFFSET], id="no index"),
        pytest.param(changed(0, bytes(20)), id="no commit"),
        pytest.param(changed(0, TEXT), id="a blob for a commit"),
        pytest.param(changed(20, struct.pack("<Q", OFFSET + 4)), id="index within a sector"),
        pytest.param(changed(OFFSET, b"\0"), id="no index's signature"),
    ],
)
def test_what_ends_a_docteur_unikernel(image: bytes) -> None:
    with pytest.raises(Crash):
        Light(image)


def test_git_kv_restores_the_only_commit_and_no_ref_delta() -> None:
    head, pack = git_kv.restore(padded(PACK.data()) + b"whatever")
    assert head == HEAD
    assert git_pack.files(pack, head).keys() == check(IMAGE).files.keys()
    with pytest.raises(Crash, match="named by its id"):
        git_kv.restore(git_images.sound()[0].data())
    with pytest.raises(Crash, match="the pack's checksum"):
        git_kv.restore(changed(PACK.size, bytes(20), PACK.data()))
    none = Pack()
    none.blob(b"alone")
    with pytest.raises(Crash, match="no commit"):
        git_kv.restore(none.data())
    two, _ = plain()
    two.commit(two.tree())
    with pytest.raises(AssertionError, match="several commits"):
        git_kv.restore(two.data())


def test_git_kv_takes_offset_deltas() -> None:
    pack = Pack()
    base = pack.blob(b"base")
    near = pack.add_delta(delta(4, 1, insert(b"n")), b"n", pack.places[base][0])
    commit = pack.commit(pack.tree((FILE, b"a", near)))
    head, found = git_kv.restore(pack.data())
    assert git_pack.files(found, head) == {b"a": (b"100644", b"n")}
    assert head == commit


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_every_broken_rule_of_oneffs_is_seen(sector_size: int) -> None:
    data = PACK.data()
    image = oneffs(data, sector_size)
    assert git_kv.oneffs_read(image, sector_size) == data
    for at in (0, 1, 2, 9, 10, 13, 14, 17, sector_size, sector_size + len(data) - 1):
        with pytest.raises(Crash):
            git_kv.oneffs_read(changed(at, bytes([image[at] ^ 1]), image), sector_size)
    for at in (18, sector_size - 1, sector_size + len(data), len(image) - 1):
        with pytest.raises(AssertionError):
            git_kv.oneffs_read(changed(at, b"!", image), sector_size)
    with pytest.raises(Crash, match="cannot be read"):
        git_kv.oneffs_read(padded(oneffs(bytes(8192), sector_size)[:8192]), sector_size)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (packed(BLOB, b"x", size=2), "has 1 bytes, not 2"),
        (packed(BLOB, b"x")[:-1], "is cut short"),
        (b"\xb1\0" + packed(BLOB, b"x")[1:], "is padded"),
        (packed(git_images.REF_DELTA, delta(1, 1, insert(b"x")), base=bytes(20)), "without a base"),
        (packed(git_images.OFS_DELTA, delta(1, 1, insert(b"x")), base=b"\1"), "without a base"),
    ],
)
def test_a_pack_with_an_unsound_object_is_rejected(stream: bytes, message: str) -> None:
    pack = Pack()
    pack.add_packed(stream, bytes(20))
    data = pack.data() if "cut" not in message else pack.data()[:-20]
    with pytest.raises(AssertionError, match=message):
        git_pack.read_pack(data)


@pytest.mark.parametrize(
    "wrong",
    [
        delta(5, 1, insert(b"x")),
        delta(4, 2, insert(b"x")),
        delta(4, 4, b"\0", insert(b"base")),
        delta(4, 5, git_images.copy(0, 5)),
        delta(4, 2, b"\2x"),
    ],
)
def test_an_unsound_delta_is_rejected(wrong: bytes) -> None:
    with pytest.raises(AssertionError):
        git_pack.apply_delta(b"base", wrong)
