"""Git LFS: pointers as git-lfs reads them, and objects where it keeps them."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.sources.git.lfs import Pointer
from git_source.trees import content, refused
from repositories import ENVIRONMENT, GitRepository, git_tree

CONTENT = b"a video" * 1000
OID = hashlib.sha256(CONTENT).hexdigest()
VERSIONS = [
    b"https://git-lfs.github.com/spec/v1",
    b"https://hawser.github.com/spec/v1",
    b"http://git-media.io/v/2",
]


def pointer(
    version: bytes = VERSIONS[0], oid: str = OID, size: int = len(CONTENT), end: bytes = b"\n"
) -> bytes:
    lines = (b"version " + version, b"oid sha256:" + oid.encode(), b"size %d" % size)
    return b"".join(line + end for line in lines)


def commit(repository: GitRepository, blob: bytes) -> None:
    repository.commit({".gitattributes": b"*.avi filter=lfs\n", "a.avi": blob})


def put(objects: Path, data: bytes = CONTENT, oid: str = OID) -> Path:
    """Put an object where git-lfs would."""
    place = objects / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    return place


SPELLINGS = {
    **{f"of {version.decode()}": pointer(version) for version in VERSIONS},
    "with CRLF": pointer(end=b"\r\n"),
    "without a last line end": pointer().rstrip(),
    "with blank lines around": b"\n\n" + pointer() + b"\n \n",
    "with blank lines between": pointer(end=b"\n\n"),
    "with spaces at the ends": pointer(end=b"  \n"),
    "with spaces before": b"  " + pointer(),
    "in capitals": pointer(oid=OID.upper()),
    "with a sign": pointer().replace(b"size ", b"size +"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_pointers_are_read_however_they_are_spelled(bare: GitRepository, spelling: str) -> None:
    put(bare.path / "lfs/objects")
    commit(bare, SPELLINGS[spelling])
    assert content(git_tree(bare.path), "a.avi") == CONTENT


BROKEN = {
    "of a later version": pointer(b"https://git-lfs.github.com/spec/v9"),
    "without an id": b"version https://git-lfs.github.com/spec/v1\nsize 3\n",
    "of half an id": pointer(oid=OID[:32]),
    "of another hash": pointer().replace(b"sha256", b"sha512"),
    "of no size": pointer().replace(b"size 7000", b"size many"),
    "with a line too many": pointer() + b"more 1\n",
    "in a conflict": b"<<<<<<< HEAD\n" + pointer() + b"=======\n",
    "in UTF-16": pointer().decode().encode("utf-16"),
    "with something before": b"\xef\xbb\xbf" + pointer(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_meant_for_a_pointer_is_never_packed_as_it_is(
    bare: GitRepository, kind: str
) -> None:
    put(bare.path / "lfs/objects")
    commit(bare, BROKEN[kind])
    with refused("a.avi: has the attribute filter=lfs, and a pointer that cannot be read"):
        git_tree(bare.path)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"see git-lfs.github.com\n", CONTENT])
def test_what_was_committed_without_git_lfs_is_packed_as_it_is(
    bare: GitRepository, data: bytes
) -> None:
    commit(bare, data)
    assert content(git_tree(bare.path), "a.avi") == data


@given(
    st.sampled_from(VERSIONS),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(0, 1 << 50),
    st.sampled_from([b"\n", b"\r\n", b" \n", b"\n\n"]),
    st.sampled_from([b"", b"\n", b" ", b"\r\n\r\n"]),
)
def test_a_pointer_says_the_same_in_every_spelling(
    version: bytes, oid: str, size: int, end: bytes, around: bytes
) -> None:
    data = around + pointer(version, oid, size, end) + around
    assert Pointer.parse(data, "a") == Pointer(oid, size)


@pytest.mark.parametrize("storage", ["elsewhere", "{tmp}/far/away"])
def test_objects_are_found_where_the_configuration_says(
    repository: GitRepository, tmp_path: Path, storage: str
) -> None:
    """A relative ``lfs.storage`` is in the git directory."""
    place = storage.format(tmp=tmp_path)
    repository.git("config", "lfs.storage", place)
    git_dir = Path(repository.git("rev-parse", "--absolute-git-dir").decode().strip())
    put(git_dir / place / "objects")
    commit(repository, pointer())
    assert content(git_tree(repository.path), "a.avi") == CONTENT


def test_objects_are_found_where_a_clone_borrows_from(bare: GitRepository, tmp_path: Path) -> None:
    put(bare.path / "lfs/objects")
    commit(bare, pointer())
    clone = tmp_path / "clone"
    command = ["git", "clone", "--quiet", "--shared"]
    subprocess.run([*command, bare.path, clone], env=ENVIRONMENT, check=True)
    assert content(git_tree(clone), "a.avi") == CONTENT


@pytest.mark.parametrize("data", [CONTENT[:-1] + b"x", bytes(len(CONTENT))])
def test_an_object_that_is_not_what_its_name_says_is_refused(
    bare: GitRepository, data: bytes
) -> None:
    place = put(bare.path / "lfs/objects", data)
    commit(bare, pointer())
    with refused(f"a.avi: its LFS object {OID} is damaged"):
        git_tree(bare.path)
    place.write_bytes(CONTENT)
    assert content(git_tree(bare.path), "a.avi") == CONTENT


def test_an_object_is_hashed_once_as_long_as_it_stays(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = put(bare.path / "lfs/objects")
    commit(bare, pointer())
    git_tree(bare.path)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert content(git_tree(bare.path), "a.avi") == CONTENT
    monkeypatch.undo()
    place.write_bytes(bytes(len(CONTENT)))
    with refused("is damaged"):
        git_tree(bare.path)


def test_an_object_is_a_file_that_can_be_cloned(bare: GitRepository) -> None:
    place = put(bare.path / "lfs/objects")
    commit(bare, pointer())
    entry = git_tree(bare.path)["a.avi"]
    assert isinstance(entry, blockpack.File)
    extent = entry.extent()
    assert isinstance(extent, blockpack.FileRange)
    assert Path(extent.path.decode()) == place
