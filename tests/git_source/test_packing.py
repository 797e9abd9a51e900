"""What is packed of a revision, and how its bytes are read."""

from __future__ import annotations

import gc
import io
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import Directory, File, Symlink, Tree, scan
from blockpack.cli.run import run
from blockpack.formats.git.origin import Origin
from blockpack.sources.git import blobs, packs
from blockpack.sources.git.blobs import Blobs
from blockpack.sources.git.cat_file import CatFile
from blockpack.sources.git.repository import Repository
from git_source.trees import SITE, checked_out, content, image
from repositories import TIME, GitRepository, git_tree


def test_a_commit_is_packed_as_its_checkout_is(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit(SITE)
    tree = git_tree(repository.path)
    directory = checked_out(repository, tmp_path / "checkout")
    scanned = scan(directory)
    assert [(type(e), e.path) for e in tree] == [(type(e), e.path) for e in scanned]
    keeping = blockpack.TarVolume(mode="keep", align=512)
    assert image(tree, keeping) == image(scanned, keeping)
    fat = blockpack.FatVolume()
    without = ["media/link", "\udcff\udcfe"]
    assert image(git_tree(repository.path, exclude=without), fat) == image(
        scan(directory, exclude=without), fat
    )


def test_entries_have_the_modes_of_git_and_the_time_of_the_commit(
    repository: GitRepository,
) -> None:
    repository.commit(SITE, time=1_234_567_890)
    tree = git_tree(repository.path)
    assert {entry.mtime_ns for entry in tree} == {1_234_567_890 * 10**9}
    assert tree["run.sh"].mode == 0o755 and tree["index.html"].mode == 0o644
    link = tree["media/link"]
    assert isinstance(link, Symlink) and link.target == "../index.html"
    assert isinstance(tree["media"], Directory)


def test_early_modes_of_groups_are_plain(bare: GitRepository) -> None:
    tree = bare.raw_tree(("100664", b"a", bare.blob(b"x")), ("040000", b"b", bare.raw_tree()))
    assert [(entry.path, entry.mode) for entry in git_tree(bare.path, tree)] == [("a", 0o644)]


def test_contents_know_their_object(repository: GitRepository) -> None:
    repository.commit(SITE)
    entry = git_tree(repository.path)["media/a.bin"]
    assert isinstance(entry, File)
    store = entry.store
    assert isinstance(store, Blobs) and isinstance(store.repository, Repository)
    assert store.raw_oid(entry.key).hex() == repository.oid("HEAD:media/a.bin")
    git_dir = repository.git("rev-parse", "--absolute-git-dir").decode().strip()
    assert store.repository.git_dir == git_dir


def test_the_origin_is_kept_until_the_tree_is_changed(repository: GitRepository) -> None:
    commit = repository.commit(SITE)
    tree = git_tree(repository.path)
    assert isinstance(tree.origin, Origin)
    assert tree.origin.commit == commit
    assert tree.origin.tree == repository.oid("HEAD^{tree}")
    assert tree.origin.repository.object_format == ("sha256" if len(commit) == 64 else "sha1")
    assert Path(tree.origin.repository.path).is_dir()
    part = git_tree(repository.path, "main", "media")
    assert isinstance(part.origin, Origin) and part.origin.tree == repository.oid("HEAD:media")
    assert Tree().origin is None
    changes: list[Callable[[Tree], None]] = [
        lambda tree: tree.add("new", b""),
        lambda tree: tree.mkdir("new"),
        lambda tree: tree.symlink("new", "x"),
        lambda tree: tree.remove("run.sh"),
        lambda tree: tree.join("media", scan(Path(__file__).parent)),
    ]
    for change in changes:
        changed = git_tree(repository.path)
        change(changed)
        assert changed.origin is None


@pytest.mark.parametrize("packing", ["loose", "packed", "deltified", "alternate"])
def test_however_objects_are_stored(bare: GitRepository, tmp_path: Path, packing: str) -> None:
    rng = random.Random(3)
    base = bytearray(rng.randbytes(300_000))
    files = {}
    for number in range(12):  # above and below what is read whole, and alike
        base[number * 1000 : number * 1000 + 9] = b"different"
        files[f"large/{number:02}"] = bytes(base)
        files[f"small/{number:02}"] = bytes(base[:5000])
    bare.git("config", "fastimport.unpackLimit", "100" if packing == "loose" else "1")
    bare.commit(files)
    source = bare
    if packing == "deltified":
        bare.git("repack", "-a", "-d", "-f", "-q", "--window=20", "--depth=40")
        listed = bare.git("verify-pack", "-v", *bare.path.glob("objects/pack/*.idx"))
        assert b"chain length = 5" in listed
    elif packing == "alternate":
        bare.git("clone", "-q", "--shared", "--bare", ".", tmp_path / "clone.git")
        source = GitRepository(tmp_path / "clone.git")
    else:
        assert bool(list(bare.path.glob("objects/pack/*.pack"))) == (packing == "packed")
    tree = git_tree(source.path)
    for order in (sorted(files), sorted(files, reverse=True), sorted(files, key=lambda p: p[-2:])):
        for path in order:
            assert content(tree, path) == files[path]
    same = Tree()
    for path, data in files.items():
        same.add(path, data)
    written = io.BytesIO()
    blockpack.write(blockpack.TarVolume().plan(tree), written)
    assert written.getvalue() == image(tree) == image(same)


@pytest.mark.parametrize("limit", ["100", "1", "zlib"], ids=["loose", "packed", "without ISA-L"])
def test_sizes_at_which_reading_changes(
    bare: GitRepository, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit == "zlib":
        limit = "1"
        monkeypatch.setattr(packs, "decompress", zlib.decompress)
        monkeypatch.setattr(packs, "InflateError", zlib.error)

    def refuse(*_: object) -> None:
        raise AssertionError("git is asked")

    rng = random.Random(9)
    edges = (65_536, 131_072, 262_144, 1 << 20)
    sizes = (0, 1, *(edge + by for edge in edges for by in (-1, 0, 1)), 3_000_000)
    files = {f"{size:09}": rng.randbytes(size) for size in sizes}
    bare.git("config", "fastimport.unpackLimit", limit)
    bare.commit(files)
    tree = git_tree(bare.path)
    for path in files:
        with monkeypatch.context() as without_git:
            without_git.setattr(CatFile, "of", refuse)
            if len(files[path]) <= blobs.SMALL:
                assert content(tree, path) == files[path]  # by this process alone
            else:
                with pytest.raises(AssertionError, match="git is asked"):
                    content(tree, path)
    for path, data in files.items():
        assert content(tree, path) == data
    assert image(tree) == image(git_tree(bare.path))


def test_streams_may_be_closed_early_opened_again_and_read_in_turns(bare: GitRepository) -> None:
    rng = random.Random(4)
    files = {f"{number}": rng.randbytes(size) for number, size in enumerate((400_000,) * 3)}
    files |= {"huge": rng.randbytes(5_000_000), "small": b"small", "z": b"z"}
    bare.commit(files)
    tree = git_tree(bare.path)

    def opened(path: str) -> Any:
        entry = tree[path]
        assert isinstance(entry, File)
        extent = entry.extent()
        assert isinstance(extent, blockpack.Stream)
        return extent.store.open(extent.key, extent.name)

    for path in ("huge", "0", "small"):  # left at its start, and soon after
        for count in (0, 10):
            with opened(path) as stream:
                assert stream.read(count) == files[path][:count]
    streams = {path: opened(path) for path in ("0", "1", "huge", "2")}
    found = dict.fromkeys(streams, b"")
    while any(len(found[path]) < len(files[path]) for path in streams):
        for path, stream in streams.items():
            found[path] += stream.read(70_001)
            assert content(tree, "small") == b"small"
    for path, stream in streams.items():
        assert stream.read(1) == b""
        stream.close()
        assert found[path] == files[path]


def test_any_number_of_jobs_gives_the_same_bytes(bare: GitRepository, tmp_path: Path) -> None:
    rng = random.Random(5)
    files = {f"{n % 23}/{n}": rng.randbytes(n * 7) for n in range(900)}
    files |= {f"large{n}": rng.randbytes(2_000_000 + n) for n in range(3)}
    bare.commit(files)
    tree = git_tree(bare.path)
    for volume in (blockpack.TarVolume(), blockpack.FatVolume()):
        layout = volume.plan(tree)
        expected = image(tree, volume)
        for jobs in (1, 2, 5):
            target = tmp_path / f"{jobs}.img"
            blockpack.write(layout, target, jobs=jobs)
            assert target.read_bytes() == expected
    with tarfile.open(tmp_path / "git.tar", "w") as archive:
        pass
    (tmp_path / "git.tar").write_bytes(bare.archive())
    blockpack.write(blockpack.TarVolume().plan(tree), tmp_path / "ours.tar", jobs=2)
    with tarfile.open(tmp_path / "git.tar") as archive, tarfile.open(tmp_path / "ours.tar") as ours:
        for path, data in files.items():
            for read in (archive.extractfile(path), ours.extractfile(path)):
                assert read is not None and read.read() == data


def test_one_blob_under_many_names(bare: GitRepository) -> None:
    bare.commit({f"{n}": b"the same" for n in range(300)})
    tree = git_tree(bare.path)
    assert {content(tree, f"{n}") for n in range(300)} == {b"the same"}


def test_an_empty_commit_is_an_empty_tree(repository: GitRepository) -> None:
    repository.commit({})
    assert not list(git_tree(repository.path))


def test_nothing_is_written_to_the_repository(bare: GitRepository, tmp_path: Path) -> None:
    bare.commit({**SITE, ".gitattributes": b"*.txt export-ignore\n", "a.txt": b""})

    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in [bare.path, *bare.path.rglob("*")]
        }

    hook = tmp_path / "ran"
    for name in ("post-index-change", "post-checkout"):
        (bare.path / "hooks").mkdir(exist_ok=True)
        (bare.path / "hooks" / name).write_text(f"#!/bin/sh\ntouch {hook}\n")
        (bare.path / "hooks" / name).chmod(0o755)
    bare.git("config", "core.fsmonitor", f"touch {hook}")
    bare.git("config", "core.splitIndex", "true")
    before = state()
    image(git_tree(bare.path))
    assert state() == before
    assert not hook.exists()


def test_memory_does_not_grow_with_a_blob(bare: GitRepository) -> None:
    program = """
import io, pathlib, sys
import blockpack
class Nowhere(io.RawIOBase):
    def write(self, data): return len(data)
blockpack.write(blockpack.TarVolume().plan(blockpack.scan(sys.argv[1])), Nowhere())
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    peaks = []
    for size in (1 << 20, 100 << 20):
        bare.commit({"large": bytes(size)})
        done = subprocess.run(
            [sys.executable, "-c", program, f"git:{bare.path}@HEAD"],
            env=os.environ | {"PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
            stdout=subprocess.PIPE,
            check=True,
        )
        peaks.append(int(done.stdout))  # in KiB
    assert peaks[1] - peaks[0] < 16 << 10


def test_the_command_packs_plans_and_verifies(bare: GitRepository, tmp_path: Path) -> None:
    bare.commit({path: data for path, data in SITE.items() if path != "media/link"})
    source = f"git:{bare.path}@HEAD"
    for format in ("tar", "fat"):
        target = str(tmp_path / f"x.{format}")
        options = ["--format", format, "--exclude", "\udcff*"]
        assert run(["pack", "-q", source, target, *options]) == 0
        assert run(["plan", source, *options]) == 0
        assert run(["verify", "-q", target, source, *options[2:]]) == 0
        bare.commit({"index.html": b"<h1>Other</h1>\n"}, branch="other")
        assert run(["verify", "-q", target, f"git:{bare.path}@other"]) == 1
    assert run(["pack", "-q", f"git:{bare.path}@nothing", str(tmp_path / "y.tar")]) == 4
    assert not (tmp_path / "y.tar").exists()


def test_the_image_is_the_one_of_the_unpacked_archive(bare: GitRepository, tmp_path: Path) -> None:
    bare.commit(SITE)
    target = tmp_path / "x.tar"
    assert run(["pack", "-q", f"git:{bare.path}@HEAD", str(target), "--mtime", "keep"]) == 0
    place = tmp_path / "out"
    place.mkdir()
    subprocess.run(["tar", "-xf", target, "-C", place], check=True)
    assert (place / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (place / "index.html").stat().st_mtime == TIME
    assert os.readlink(place / "media" / "link") == "../index.html"
    work = tmp_path / "work"
    bare.git("worktree", "add", "-q", work, "main")
    compared = shutil.which("diff")
    assert compared is not None
    subprocess.run([compared, "-r", "--exclude=.git", place, work], check=True)


def packs_of(repository: GitRepository, count: int) -> dict[str, bytes]:
    """Files, each committed and packed by itself."""
    files: dict[str, bytes] = {}
    for number in range(count):
        files[f"{number}"] = random.Random(number).randbytes(100 * (number + 1))
        repository.commit(files)
    assert len(list(repository.path.glob("objects/pack/*.pack"))) == count
    return files


@pytest.mark.parametrize("history", [False, True])
def test_of_more_packs_than_may_be_open_the_rest_is_left_to_git(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch, history: bool
) -> None:
    bare.git("config", "fastimport.unpackLimit", "1")
    files = packs_of(bare, 6)
    monkeypatch.setattr(packs, "MOST_PACKS", 2)
    opened = Repository.at(str(bare.path)).pack_paths()
    sizes = [path.stat().st_size for path in bare.path.glob("objects/pack/*.pack")]
    assert sorted(map(os.path.getsize, opened)) == sorted(sizes)[-2:]
    tree = git_tree(bare.path)
    assert {path: content(tree, path) for path in files} == files
    volume = blockpack.GitVolume(history=history)
    with blockpack.open_image(volume.plan(tree).open()) as read:
        assert {path: read.open(path).read() for path in files} == files


def test_repositories_that_borrow_from_each_other_are_met_once(
    bare: GitRepository, tmp_path: Path
) -> None:
    bare.git("config", "fastimport.unpackLimit", "1")
    bare.commit({"a": b"x"})
    other = GitRepository.init(tmp_path / "other.git", "--bare")
    for one, borrows in ((bare, other), (other, bare)):
        alternates = f"{borrows.path}/objects\n../../{borrows.path.name}/objects\n"
        (one.path / "objects" / "info" / "alternates").write_text(alternates)
    (found,) = Repository.at(str(other.path)).pack_paths()
    assert os.path.samefile(found, *bare.path.glob("objects/pack/*.pack"))


@pytest.mark.parametrize("levels", [6, 7])
def test_packs_are_borrowed_from_as_far_as_git_goes(tmp_path: Path, levels: int) -> None:
    chain = [GitRepository.init(tmp_path / f"{n}.git", "--bare") for n in range(levels + 1)]
    for one, borrows in pairwise(chain):
        alternates = one.path / "objects" / "info" / "alternates"
        alternates.write_text(f"{borrows.path}/objects\n")
    last = chain[-1]
    last.git("config", "fastimport.unpackLimit", "1")
    oid = last.commit({"a": b"x"})
    told = chain[0].git("cat-file", "--batch-check", data=f"{oid}\n".encode())
    assert len(Repository.at(str(chain[0].path)).pack_paths()) == (b"missing" not in told)
    assert (b"missing" in told) == (levels > 6)


def test_trees_of_a_repository_have_its_packs_open_once(bare: GitRepository) -> None:
    bare.git("config", "fastimport.unpackLimit", "1")
    files = packs_of(bare, 5)
    gc.collect()  # what earlier tests left behind in cycles is not what this one is about
    before = len(os.listdir("/proc/self/fd"))
    first = git_tree(bare.path)
    opened = len(os.listdir("/proc/self/fd"))
    assert opened == before + 5  # the packs, and no index any more
    trees = [first, *(git_tree(bare.path) for _ in range(5))]
    assert len(os.listdir("/proc/self/fd")) == opened
    bare.commit(files | {"new": b"x"})
    trees.append(git_tree(bare.path))  # of one pack more
    assert content(trees[-1], "new") == b"x"
    assert all(content(tree, "4") == files["4"] for tree in trees)
    del first, trees
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("limit", "opened"), [(resource.RLIM_INFINITY, 5), (24, 3), (0, 0)])
def test_as_many_packs_are_open_as_there_are_descriptors_for(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch, limit: int, opened: int
) -> None:
    bare.git("config", "fastimport.unpackLimit", "1")
    packs_of(bare, 5)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert len(Repository.at(str(bare.path)).pack_paths()) == opened


def test_a_pack_that_is_a_pipe_holds_nobody_up(bare: GitRepository) -> None:
    bare.git("config", "fastimport.unpackLimit", "100")
    bare.commit({"a": b"loose"})
    pipe = bare.path / "objects" / "pack" / f"pack-{'0' * 40}.pack"
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    pipe.with_suffix(".idx").write_bytes(b"no index")
    assert content(git_tree(bare.path), "a") == b"loose"


@pytest.mark.parametrize("kept", [64, 48])
def test_a_process_with_few_descriptors_leaves_packs_to_git(bare: GitRepository, kept: int) -> None:
    bare.git("config", "fastimport.unpackLimit", "1")
    packs_of(bare, 40)
    done = subprocess.run(
        ["bash", "-c", f'ulimit -n {kept}; exec "$0" -m blockpack pack "$1" - --format tar -q',
         sys.executable, f"git:{bare.path}@HEAD"],
        env={**os.environ, "PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == image(git_tree(bare.path))
