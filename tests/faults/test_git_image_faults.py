"""Git images of repositories that are damaged, and of git that fails, while they are planned."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from blockpack import GitVolume, SourceError, TarVolume, Volume
from faults.faulty_git import Faulty, descriptors, no_children
from faults.launching import COMMAND, run
from repositories import GitRepository, git_tree, left_to_git

VOLUMES: dict[str, Volume] = {
    "tar": TarVolume(),
    "kept": GitVolume(),
    "bundle": GitVolume(container="bundle"),
    "anew": GitVolume(message="A new commit"),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "tar": ("--format", "tar"),
    "kept": ("--format", "git"),
    "history": ("--format", "git", "--container", "bundle", "--history"),
    "anew": ("--format", "git", "--message", "A new commit"),
}
"""The same commit goes into each of these images."""

each_volume = pytest.mark.parametrize("volume", VOLUMES.values(), ids=VOLUMES)
each_options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


# Git that fails ----------------------------------------------------------------------------------


@each_volume
def test_without_git_the_error_says_so(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volume: Volume
) -> None:
    bare.commit({"a": b"x"})
    left_to_git(bare)
    tree = git_tree(bare.path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SourceError, match=r"git is needed.*; install git"):
        blockpack.write(volume.plan(tree), tmp_path / "image")
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize(
    ("volume", "reads"),
    [
        *((VOLUMES["tar"], reads) for reads in (0, 40, 300)),
        *((VOLUMES[name], 40) for name in ("kept", "bundle", "anew")),
    ],
)
def test_git_killed_midway_is_an_error_and_leaves_nothing(
    many: GitRepository, faulty: Faulty, tmp_path: Path, volume: Volume, reads: int
) -> None:
    """It is read for by several processes: each of them has a git that is killed."""
    tree = git_tree(many.path)
    faulty.set(f'GIT "$@" | (dd bs=4096 count={reads} status=none; kill -9 $$)\n')
    before = descriptors()
    target = tmp_path / "images" / "image"
    target.parent.mkdir()
    with pytest.raises(SourceError, match="cannot be read: git was killed by signal 9"):
        blockpack.write(volume.plan(tree), target)
    del tree  # which would go on reading
    assert not os.listdir(target.parent)
    assert descriptors() == before
    assert no_children()


@each_options
def test_the_command_tells_that_git_is_missing(
    bare: GitRepository, tmp_path: Path, options: tuple[str, ...]
) -> None:
    bare.commit({"a": b"x"})
    address = f"git:{bare.path}@HEAD"
    path = {"PATH": str(tmp_path)}
    code, _, errors = run(COMMAND, "pack", address, tmp_path / "image", *options, env=path)
    assert (code, errors) == (
        4,
        f"blockpack: {bare.path}: git is needed, and PATH leads to none; install git\n",
    )


# Damaged repositories ----------------------------------------------------------------------------


NOISE = random.Random(7).randbytes(3000)


def body_of_a_loose_object(repository: GitRepository, oid: str) -> None:
    """Its stream has another checksum than its bytes."""
    data = bytearray(repository.object_file(oid).read_bytes())
    data[-1] ^= 1
    replace(repository.object_file(oid), bytes(data))


def head_of_a_loose_object(repository: GitRepository, oid: str) -> None:
    """It is not a stream at all."""
    replace(repository.object_file(oid), b"garbage")


def bytes_in_a_pack(repository: GitRepository, oid: str) -> None:
    """What is noise is stored, and found again in the pack."""
    repository.git("repack", "-a", "-d", "-q")
    (path,) = repository.path.glob("objects/pack/*.pack")
    data = bytearray(path.read_bytes())
    data[data.index(NOISE[1000:1050])] ^= 1
    replace(path, bytes(data))


def head_in_a_pack(repository: GitRepository, oid: str) -> None:
    """The object is of no type."""
    repository.git("repack", "-a", "-d", "-q")
    (path,) = repository.path.glob("objects/pack/*.pack")
    (line,) = (
        line.split()
        for line in repository.git("verify-pack", "-v", path).decode().splitlines()
        if line.startswith(oid)
    )
    data = bytearray(path.read_bytes())
    data[int(line[4])] &= 0x8F
    replace(path, bytes(data))


def replace(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def gone(repository: GitRepository, oid: str) -> None:
    """A loose object is not there."""
    repository.object_file(oid).unlink()


DAMAGES: tuple[Callable[[GitRepository, str], None], ...] = (
    body_of_a_loose_object,
    head_of_a_loose_object,
    bytes_in_a_pack,
    head_in_a_pack,
)


@each_options
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_object_is_named_with_its_repository(
    bare: GitRepository,
    tmp_path: Path,
    options: tuple[str, ...],
    damage: Callable[[GitRepository, str], None],
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"victim": NOISE})
    bare.commit({"dir/victim": NOISE, "other": b"other"})
    oid = bare.oid("HEAD:dir/victim")
    damage(bare, oid)
    image = tmp_path / "image"
    code, _, errors = run(COMMAND, "pack", f"git:{bare.path}@HEAD", image, *options)
    assert code == 4
    assert f"object {oid} " in errors
    assert f"look into it: git -C {bare.path}" in errors
    assert not image.exists()


@pytest.mark.parametrize("kind", ["kept", "history"])
def test_a_loose_object_under_the_name_of_another_is_named(
    bare: GitRepository, tmp_path: Path, kind: str
) -> None:
    """Git does not look: it gives other bytes, and the image would lack what it is to hold."""
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"victim": NOISE})
    oid = bare.oid("HEAD:victim")
    other = NOISE[::-1]
    replace(bare.object_file(oid), zlib.compress(b"blob %d\0" % len(other) + other))
    address = f"git:{bare.path}@HEAD"
    code, _, errors = run(COMMAND, "pack", address, tmp_path / "image", *OPTIONS[kind])
    assert code == 4
    assert f"victim: object {oid} is damaged: its bytes make {bare.blob(other)}" in errors


@pytest.mark.parametrize("kind", ["tree", "commit"])
def test_a_damaged_tree_or_commit_of_the_past_is_named(
    bare: GitRepository, tmp_path: Path, kind: str
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"sub/old": b"old"})
    bare.commit({"new": b"new"})
    oid = bare.oid("HEAD~1:sub" if kind == "tree" else "HEAD~1")
    head_of_a_loose_object(bare, oid)
    address = f"git:{bare.path}@HEAD"
    code, _, errors = run(COMMAND, "pack", address, tmp_path / "image", *OPTIONS["history"])
    assert code == 4
    assert f"{bare.path}: its history cannot be read: git says: " in errors and oid in errors


@pytest.mark.parametrize("damage", [gone, *DAMAGES], ids=lambda damage: damage.__name__)
def test_a_damaged_blob_of_the_past_is_named(
    bare: GitRepository, tmp_path: Path, damage: Callable[[GitRepository, str], None]
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"old": NOISE})
    bare.commit({"new": b"new"})
    oid = bare.oid("HEAD~1:old")
    damage(bare, oid)
    address = f"git:{bare.path}@HEAD"
    code, _, errors = run(COMMAND, "pack", address, tmp_path / "image", *OPTIONS["history"])
    assert code == 4 and oid in errors and str(bare.path) in errors
    assert run(COMMAND, "pack", address, tmp_path / "image", *OPTIONS["kept"])[0] == 0


def three_packs(repository: GitRepository) -> list[Path]:
    """Commit three times, and pack each; the packs in the order in which they are opened."""
    for number in range(3):
        repository.commit({f"{n}": b"%d %d" % (n, number) for n in range(20)})
        repository.git("repack", "-d", "-q")
    paths = sorted(repository.path.glob("objects/pack/*.pack"))
    assert len(paths) == 3
    return paths


def cut_short(data: bytes) -> bytes:
    return data[:-30]


def flipped(data: bytes) -> bytes:
    return bytes([*data[:-70], data[-70] ^ 1, *data[-69:]])


def emptied(data: bytes) -> bytes:
    return data[:0]


@pytest.mark.parametrize("damage", [cut_short, flipped, emptied])
@pytest.mark.parametrize("number", range(3))
def test_a_pack_with_a_damaged_index_is_named_and_no_descriptor_is_left(
    bare: GitRepository, number: int, damage: Callable[[bytes], bytes]
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    victim = three_packs(bare)[number]
    tree = git_tree(bare.path)
    index = victim.with_suffix(".idx")
    replace(index, damage(index.read_bytes()))
    before = descriptors()
    with pytest.raises(SourceError) as raised:
        GitVolume(history=True).plan(tree)
    if damage is flipped:  # git does not look; it finds all others first
        assert raised.value.path == str(victim) and "is damaged" in raised.value.rule
    assert raised.value.remedy == f"look into it: git -C {bare.path} fsck"
    assert descriptors() == before and no_children()


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"PACK"])
def test_a_pack_that_is_cut_short_is_named(
    bare: GitRepository, damage: Callable[[bytes], bytes]
) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({f"{n}": b"%d" % n for n in range(100)})
    bare.git("repack", "-a", "-d", "-q")
    (victim,) = bare.path.glob("objects/pack/*.pack")
    tree = git_tree(bare.path)
    before = descriptors()
    replace(victim, damage(victim.read_bytes()))
    with pytest.raises(SourceError) as raised:
        GitVolume().plan(tree)
    assert victim.stem in str(raised.value)
    assert raised.value.remedy == f"look into it: git -C {bare.path} fsck"
    assert descriptors() == before and no_children()
