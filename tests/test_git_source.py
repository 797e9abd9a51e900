"""Git as a source: what is packed of a revision, what is left out, what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import Directory, File, Symlink, Tree
from blockpack.cli.run import run
from blockpack.sources.git.address import Address
from repositories import EXECUTABLE, FILE, LINK, SUBMODULE, TIME, TREE, GitRepository, pointer

SITE: dict[str, bytes | tuple[str, bytes]] = {
    "index.html": b"<h1>Hello</h1>\n",
    "media/a.bin": bytes(range(256)) * 40,
    "media/deep/er/b": b"",
    "run.sh": (EXECUTABLE, b"#!/bin/sh\n"),
    "media/link": (LINK, b"../index.html"),
    "media.txt": b"sorts between media and media/\n",
    "\udcff\udcfe/\xe9": b"names are bytes",
}


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(name="repository", params=["bare", "normal", "sha256"])
def fixture_repository(request: pytest.FixtureRequest, tmp_path: Path) -> GitRepository:
    options = {"bare": ["--bare"], "normal": [], "sha256": ["--object-format=sha256"]}
    return GitRepository.init(tmp_path / "repository", *options[request.param])


@pytest.fixture(name="bare")
def fixture_bare(tmp_path: Path) -> GitRepository:
    return GitRepository.init(tmp_path / "bare.git", "--bare")


def paths(tree: Tree) -> set[str]:
    return {entry.path for entry in tree}


def content(tree: Tree, path: str) -> bytes:
    entry = tree[path]
    assert isinstance(entry, File)
    extent = entry.content.extent(entry, 0)
    if isinstance(extent, blockpack.FileRange):
        return Path(os.fsdecode(extent.path)).read_bytes()
    assert isinstance(extent, blockpack.Stream) and extent.length == entry.size
    with closing(extent.open()) as stream:
        return stream.read(entry.size + 1)


def image(tree: Tree, volume: blockpack.Volume | None = None) -> bytes:
    with (volume or blockpack.TarVolume()).plan(tree).open() as file:
        return file.read()


def checked_out(repository: GitRepository, directory: Path, revision: str = "HEAD") -> Path:
    """What ``git archive`` gives of a revision, as files."""
    directory.mkdir()
    with tarfile.open(fileobj=io.BytesIO(repository.archive(revision))) as archive:
        archive.extractall(directory, filter="tar")
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():  # git archive has a umask of its own
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return directory


def problems(raised: pytest.ExceptionInfo[blockpack.Problems]) -> dict[str, str]:
    return {error.path: error.rule for error in raised.value.exceptions}  # type: ignore[union-attr]


@contextmanager
def refused(text: str) -> Iterator[None]:
    """`Problems` come about, and one of them says so."""
    with pytest.raises(blockpack.Problems) as raised:
        yield
    assert text in str(raised.value)


# What is packed ----------------------------------------------------------------------------------


def test_a_commit_is_packed_as_its_checkout_is(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit(SITE)
    tree = Tree.from_git(repository.path)
    directory = checked_out(repository, tmp_path / "checkout")
    scanned = Tree.scan(directory)
    assert [(type(e), e.path) for e in tree] == [(type(e), e.path) for e in scanned]
    keeping = blockpack.TarVolume(mode="keep", align=512)
    assert image(tree, keeping) == image(scanned, keeping)
    fat = blockpack.FatVolume()
    without = ["media/link", "\udcff\udcfe"]
    assert image(Tree.from_git(repository.path, exclude=without), fat) == image(
        Tree.scan(directory, exclude=without), fat
    )


def test_entries_have_the_modes_of_git_and_the_time_of_the_commit(
    repository: GitRepository,
) -> None:
    repository.commit(SITE, time=1_234_567_890)
    tree = Tree.from_git(repository.path)
    assert {entry.mtime_ns for entry in tree} == {1_234_567_890 * 10**9}
    assert tree["run.sh"].mode == 0o755 and tree["index.html"].mode == 0o644
    link = tree["media/link"]
    assert isinstance(link, Symlink) and link.target == "../index.html"
    assert isinstance(tree["media"], Directory)


def test_early_modes_of_groups_are_plain(bare: GitRepository) -> None:
    tree = bare.raw_tree(("100664", b"a", bare.blob(b"x")), ("040000", b"b", bare.raw_tree()))
    assert [(entry.path, entry.mode) for entry in Tree.from_git(bare.path, tree)] == [("a", 0o644)]


def test_contents_know_their_object(repository: GitRepository) -> None:
    repository.commit(SITE)
    entry = Tree.from_git(repository.path)["media/a.bin"]
    assert isinstance(entry, File)
    found: Any = entry.content
    assert found.oid == repository.oid("HEAD:media/a.bin")
    git_dir = repository.git("rev-parse", "--absolute-git-dir").decode().strip()
    assert found.repository == git_dir


def test_the_origin_is_kept_until_the_tree_is_changed(repository: GitRepository) -> None:
    commit = repository.commit(SITE)
    tree = Tree.from_git(repository.path)
    assert tree.origin is not None
    assert tree.origin.commit == commit
    assert tree.origin.tree == repository.oid("HEAD^{tree}")
    assert tree.origin.object_format == ("sha256" if len(commit) == 64 else "sha1")
    assert Path(tree.origin.repository).is_dir()
    part = Tree.from_git(repository.path, "main", "media")
    assert part.origin is not None and part.origin.tree == repository.oid("HEAD:media")
    assert Tree().origin is None
    changes: list[Callable[[Tree], None]] = [
        lambda tree: tree.add("new", b""),
        lambda tree: tree.mkdir("new"),
        lambda tree: tree.symlink("new", "x"),
        lambda tree: tree.remove("run.sh"),
        lambda tree: tree.add("media", Path(__file__).parent / "vm"),
    ]
    for change in changes:
        changed = Tree.from_git(repository.path)
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
    tree = Tree.from_git(source.path)
    for order in (sorted(files), sorted(files, reverse=True), sorted(files, key=lambda p: p[-2:])):
        for path in order:
            assert content(tree, path) == files[path]


def test_sizes_at_which_reading_changes(bare: GitRepository) -> None:
    rng = random.Random(9)
    sizes = (0, 1, 65_535, 65_536, 262_143, 262_144, 262_145, 1 << 20, (1 << 20) + 1, 3_000_000)
    files = {f"{size:09}": rng.randbytes(size) for size in sizes}
    bare.commit(files)
    tree = Tree.from_git(bare.path)
    for path, data in files.items():
        assert content(tree, path) == data
    assert image(tree) == image(Tree.from_git(bare.path))


def test_streams_may_be_closed_early_opened_again_and_read_in_turns(bare: GitRepository) -> None:
    rng = random.Random(4)
    files = {f"{number}": rng.randbytes(size) for number, size in enumerate((400_000,) * 3)}
    files |= {"huge": rng.randbytes(5_000_000), "small": b"small", "z": b"z"}
    bare.commit(files)
    tree = Tree.from_git(bare.path)

    def opened(path: str) -> Any:
        entry = tree[path]
        assert isinstance(entry, File)
        extent = entry.content.extent(entry, 0)
        assert isinstance(extent, blockpack.Stream)
        return extent.open()

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
    buffer = bytearray(7)
    with opened("1") as stream:
        assert stream.readinto(buffer) == 7 and buffer == files["1"][:7]


def test_any_number_of_jobs_gives_the_same_bytes(bare: GitRepository, tmp_path: Path) -> None:
    rng = random.Random(5)
    files = {f"{n % 23}/{n}": rng.randbytes(n * 7) for n in range(900)}
    files |= {f"large{n}": rng.randbytes(2_000_000 + n) for n in range(3)}
    bare.commit(files)
    tree = Tree.from_git(bare.path)
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
    tree = Tree.from_git(bare.path)
    assert {content(tree, f"{n}") for n in range(300)} == {b"the same"}


def test_an_empty_commit_is_an_empty_tree(repository: GitRepository) -> None:
    repository.commit({})
    assert not list(Tree.from_git(repository.path))


def test_nothing_is_written_to_the_repository(bare: GitRepository, tmp_path: Path) -> None:
    bare.commit({**SITE, ".gitattributes": b"*.txt export-ignore\n", "a.txt": b""})

    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in [bare.path, *bare.path.rglob("*")]
        }

    before = state()
    hook = tmp_path / "ran"
    for name in ("post-index-change", "post-checkout"):
        (bare.path / "hooks").mkdir(exist_ok=True)
        (bare.path / "hooks" / name).write_text(f"#!/bin/sh\ntouch {hook}\n")
        (bare.path / "hooks" / name).chmod(0o755)
    bare.git("config", "core.fsmonitor", f"touch {hook}")
    bare.git("config", "core.splitIndex", "true")
    before = state()
    image(Tree.from_git(bare.path))
    assert state() == before
    assert not hook.exists()


def test_memory_does_not_grow_with_a_blob(bare: GitRepository) -> None:
    program = """
import io, pathlib, sys
import blockpack
class Nowhere(io.RawIOBase):
    def write(self, data): return len(data)
blockpack.write(blockpack.TarVolume().plan(blockpack.Tree.scan(sys.argv[1])), Nowhere())
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


# Revisions and addresses -------------------------------------------------------------------------


def test_whatever_git_resolves_is_a_revision(repository: GitRepository) -> None:
    first = repository.commit({"a": b"1"}, time=1_000_000_000)
    repository.commit({"a": b"2"})
    repository.git("tag", "light", first)
    repository.git("tag", "-a", "-m", "x", "heavy", first)
    repository.git("tag", "-a", "-m", "x", "heavier", "heavy")
    for revision in (first, first[:12], "light", "heavy", "heavier", "main~1", "HEAD^", "heavy^{}"):
        tree = Tree.from_git(repository.path, revision)
        assert content(tree, "a") == b"1"
        assert tree["a"].mtime_ns == 1_000_000_000 * 10**9
        assert tree.origin is not None and tree.origin.commit == first
    bare_tree = Tree.from_git(repository.path, f"{first}^{{tree}}")
    assert bare_tree.origin is not None and bare_tree.origin.commit is None
    assert bare_tree["a"].mtime_ns == 315_532_800 * 10**9
    for revision in ("", "nothing", "-x", "--all", "a\0b", "f" * len(first), "\udce9", "\ud800"):
        with pytest.raises(blockpack.SourceError, match=r"no revision|is not in"):
            Tree.from_git(repository.path, revision)
    with pytest.raises(blockpack.SourceError, match="neither a commit nor a tree"):
        Tree.from_git(repository.path, "HEAD:a")


def test_a_revision_may_have_an_at_sign(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "a@b")
    first = repository.commit({"a": b"1", "sub/x": b"x"})
    repository.git("checkout", "-q", "main")
    repository.git("commit", "-q", "--allow-empty", "-m", "again")
    place = f"git:{repository.path}"
    assert Tree.scan(f"{place}@HEAD@{{1}}").origin == Tree.from_git(repository.path, first).origin
    assert paths(Tree.scan(f"{place}@main@{{1}}:sub")) == {"x"}
    assert paths(Tree.scan(f"{place}@@")) == {"a", "sub", "sub/x"}


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
        ("git:/srv/r", blockpack.UsageError, "git:/srv/r@HEAD"),
        ("git://host/r@HEAD", blockpack.UsageError, "clone it"),
        ("git:/nonexistent@HEAD", blockpack.SourceError, "/nonexistent: is no directory"),
    ],
)
def test_what_is_no_address_is_told(
    text: str, error: type[blockpack.BlockpackError], told: str
) -> None:
    with pytest.raises(error) as raised:
        Tree.scan(text)
    assert told in str(raised.value)


def test_a_directory_of_a_revision(repository: GitRepository) -> None:
    repository.commit(SITE)
    tree = Tree.from_git(repository.path, subdir="/media/deep/")
    assert paths(tree) == {"er", "er/b"}
    assert paths(Tree.scan(f"git:{repository.path}@HEAD:media")) == {
        *("a.bin", "deep", "deep/er", "deep/er/b", "link")
    }
    for subdir, told in (("nothing", "no such"), ("index.html", "no directory"), ("a/../b", "a")):
        with pytest.raises(blockpack.BlockpackError, match=told):
            Tree.from_git(repository.path, "HEAD", subdir)


def test_patterns_are_those_of_gitignore(bare: GitRepository) -> None:
    bare.commit(SITE)
    tree = Tree.from_git(bare.path, exclude=["/media/", "*.sh", "\udcff*"])
    assert paths(tree) == {"index.html", "media.txt"}


def test_worktrees_and_git_directories_are_repositories(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "r")
    repository.commit(SITE)
    repository.git("worktree", "add", "-q", "-b", "other", tmp_path / "tree", "main")
    expected = Tree.from_git(repository.path)
    for place in (tmp_path / "tree", repository.path / ".git"):
        assert list(map(str, Tree.from_git(place))) != []
        assert image(Tree.from_git(place)) == image(expected)


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
    tree = Tree.from_git(bare.path)
    assert content(tree, "a") == b"right" and "b" not in tree


def test_replaced_objects_are_the_true_ones(bare: GitRepository) -> None:
    bare.commit({"a": b"true"})
    bare.git("replace", bare.oid("HEAD:a"), bare.blob(b"replaced"))
    assert content(Tree.from_git(bare.path), "a") == b"true"


# Links -------------------------------------------------------------------------------------------


def test_links_are_kept_skipped_or_errors(bare: GitRepository) -> None:
    bare.commit(SITE)
    assert isinstance(Tree.from_git(bare.path)["media/link"], Symlink)
    assert "media/link" not in Tree.from_git(bare.path, symlinks="skip")
    with pytest.raises(blockpack.Problems) as raised:
        Tree.from_git(bare.path, symlinks="error")
    assert set(problems(raised)) == {"media/link"}


def test_links_are_followed_inside(repository: GitRepository, tmp_path: Path) -> None:
    links = {
        "to-file": b"index.html",
        "to-directory": b"media/",
        "media/up/dot": b"./../../run.sh",
        "through": b"to-directory/deep/../a.bin",
        "link-to-link": b"through",
        "media/deep/er/chain": b"../../../link-to-link",
    }
    files: dict[str, Any] = {path: (LINK, target) for path, target in links.items()}
    repository.commit({**SITE, **files})
    tree = Tree.from_git(repository.path, symlinks="follow")
    directory = checked_out(repository, tmp_path / "checkout")
    scanned = Tree.scan(directory, symlinks="follow")
    assert [(type(e), e.path, e.mode) for e in tree] == [(type(e), e.path, e.mode) for e in scanned]
    assert image(tree) == image(scanned)
    assert content(tree, "to-directory/deep/er/chain") == SITE["media/a.bin"]


def test_links_that_cannot_be_followed_are_told_all_at_once(bare: GitRepository) -> None:
    links = {
        "absolute": b"/etc/passwd",
        "outside": b"../x",
        "sub/outside": b"../../x",
        "nowhere": b"missing",
        "in-file": b"file/x",
        "file-as-directory": b"file/",
        "circle": b"circle",
        "one": b"two",
        "two": b"one",
        "sub/above": b"..",
        "sub/itself": b".",
        "into": b"module/x",
        "long": b"x" * 5000,
        "nul": b"a\0b",
    }
    files: dict[str, Any] = {path: (LINK, target) for path, target in links.items()}
    files["module"] = SUBMODULE, b"1" * 40
    bare.commit({"file": b"", **files})
    with pytest.raises(blockpack.Problems) as raised:
        Tree.from_git(bare.path, symlinks="follow", submodules="skip")
    told = problems(raised)
    assert set(told) == set(links)
    for path in ("absolute", "outside", "sub/outside"):
        assert "outside of what is packed" in told[path]
    for path in ("circle", "one", "two"):
        assert "in a circle" in told[path]
    for path in ("sub/above", "sub/itself"):
        assert "a directory that it is in" in told[path]
    bare.commit({"dir/link": (LINK, b"../file"), "file": b"f"})
    assert content(Tree.from_git(bare.path, symlinks="follow"), "dir/link") == b"f"
    with refused("outside of what is packed"):
        Tree.from_git(bare.path, "HEAD", "dir", symlinks="follow")


# Submodules, attributes, LFS ---------------------------------------------------------------------


def test_submodules_are_errors_or_skipped(bare: GitRepository, tmp_path: Path) -> None:
    module: Any = SUBMODULE, b"1" * 40
    bare.commit({"a": b"", "lib/one": module, "lib/two": module})
    with pytest.raises(blockpack.Problems) as raised:
        Tree.from_git(bare.path)
    assert set(problems(raised)) == {"lib/one", "lib/two"}
    assert "skip submodules" in str(raised.value)
    assert paths(Tree.from_git(bare.path, submodules="skip")) == {"a"}
    assert paths(Tree.from_git(bare.path, exclude=["/lib/"])) == {"a"}
    source = f"git:{bare.path}@HEAD"
    assert run(["pack", "-q", source, str(tmp_path / "x.tar")]) == 3
    assert run(["pack", "-q", source, str(tmp_path / "x.tar"), "--submodules", "skip"]) == 0


ATTRIBUTES = b"""\
*.psd export-ignore
/build/ export-ignore
/raw export-ignore
raw/keep -export-ignore
docs/*.tmp export-ignore
"""


def test_export_ignore_is_that_of_git_archive(repository: GitRepository, tmp_path: Path) -> None:
    names = (
        *("a.psd", "b.html", "build/x", "deep/build/x", "raw/keep", "raw/lose", "only/c.psd"),
        *("docs/a.tmp", "docs/b/a.tmp", "docs/own/x", "docs/own/y", "sub/z.psd", "file/build"),
    )
    files: dict[str, Any] = {name: name.encode() for name in names}
    files |= {".gitattributes": ATTRIBUTES, "docs/own/.gitattributes": b"x export-ignore\n"}
    files |= {"sub/.gitattributes": b"z.psd -export-ignore\n", "raw/module": (SUBMODULE, b"1" * 64)}
    if repository.git("rev-parse", "--show-object-format").strip() == b"sha1":
        files["raw/module"] = SUBMODULE, b"1" * 40
    repository.commit(files)
    tree = Tree.from_git(repository.path)  # the submodule is not for export
    directory = checked_out(repository, tmp_path / "checkout")
    (directory / "only").rmdir()  # git checks out no empty directories, but may archive them
    assert image(tree) == image(Tree.scan(directory))
    assert "only" not in tree and "sub/z.psd" in tree
    assert paths(Tree.from_git(repository.path, subdir="docs")) == {
        *("b", "b/a.tmp", "own", "own/y", "own/.gitattributes")
    }


def test_attributes_of_the_repository_count_and_those_of_the_user_do_not(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.commit({"a": b"", "b": b""})
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "attributes").write_text("* export-ignore\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    bare.git("config", "core.attributesFile", str(tmp_path / "git" / "attributes"))
    (bare.path / "info" / "attributes").write_text("b export-ignore\n")
    assert paths(Tree.from_git(bare.path)) == {"a"}


def lfs_repository(repository: GitRepository, contents: dict[str, bytes]) -> None:
    """Commit `contents` under Git LFS, with their objects in place."""
    common = Path(repository.git("rev-parse", "--absolute-git-dir").decode().strip())
    files: dict[str, Any] = {".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n"}
    for path, data in contents.items():
        oid = hashlib.sha256(data).hexdigest()
        place = common / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        files[path] = pointer(oid, len(data))
    files["plain.txt"] = pointer("0" * 64, 3)  # without the attribute, only a text
    files["committed.bin"] = b"committed without Git LFS"
    repository.commit(files)


def test_files_of_lfs_have_their_content(repository: GitRepository, tmp_path: Path) -> None:
    contents = {"a.bin": bytes(200_000), "sub/b.bin": b"b" * 70_000}
    lfs_repository(repository, contents)
    for subdir in ("", "sub"):
        tree = Tree.from_git(repository.path, subdir=subdir)
        prefix = f"{subdir}/" if subdir else ""
        for path, data in contents.items():
            if path.startswith(prefix):
                entry = tree[path.removeprefix(prefix)]
                assert isinstance(entry, File) and entry.size == len(data)
                assert isinstance(entry.content.extent(entry, 0), blockpack.FileRange)
                assert content(tree, entry.path) == data
                assert entry.mtime_ns == TIME * 10**9
    tree = Tree.from_git(repository.path)
    assert content(tree, "plain.txt").startswith(b"version https://git-lfs")
    assert content(tree, "committed.bin") == b"committed without Git LFS"
    target = tmp_path / "x.tar"
    blockpack.write(blockpack.TarVolume().plan(tree), target)
    with tarfile.open(target) as archive:
        for path, data in contents.items():
            file = archive.extractfile(path)
            assert file is not None and file.read() == data


def test_an_lfs_object_that_is_missing_or_wrong_is_told_with_the_command(
    bare: GitRepository,
) -> None:
    contents = {"gone.bin": b"gone", "short.bin": b"shorter", "there.bin": b"there"}
    lfs_repository(bare, contents)

    def place(path: str) -> Path:
        oid = hashlib.sha256(contents[path]).hexdigest()
        return bare.path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid

    place("gone.bin").unlink()
    place("short.bin").write_bytes(b"x")
    with pytest.raises(blockpack.Problems) as raised:
        Tree.from_git(bare.path, "main")
    told = problems(raised)
    assert set(told) == {"gone.bin", "short.bin"}
    assert place("gone.bin").name in told["gone.bin"]
    assert "has 1 bytes, and should have 7" in told["short.bin"]
    assert f"git -C {bare.path} lfs fetch origin main" in str(raised.value)
    assert raised.value.exit_code == 4
    tree = Tree.from_git(bare.path, exclude=["gone.bin", "short.bin"])
    place("there.bin").write_bytes(b"later")
    os.utime(place("there.bin"), ns=(0, 0))
    with pytest.raises(blockpack.SourceError, match="was modified"):
        image(tree)


def test_a_pointer_with_extensions_is_refused(bare: GitRepository) -> None:
    text = pointer("1" * 64, 5).replace(b"oid", b"ext-0-x sha256:" + b"2" * 64 + b"\noid", 1)
    bare.commit({".gitattributes": b"* filter=lfs\n", "a": text})
    with refused("extension"):
        Tree.from_git(bare.path)


# Hostile trees -----------------------------------------------------------------------------------

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
        Tree.from_git(repository.path, repository.commit_tree(top))
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
    assert paths(Tree.from_git(bare.path, tree)) == {name.decode()}


def test_duplicates_and_unknown_modes_are_refused(bare: GitRepository) -> None:
    file, empty = bare.blob(b"x"), bare.raw_tree()
    tree = bare.raw_tree(
        *((FILE, b"twice", file), (TREE, b"twice", empty), (FILE, b"a", file), (FILE, b"a", file)),
        *(("100600", b"odd", file), ("10644", b"short", file), ("020000", b"device", file)),
    )
    with pytest.raises(blockpack.Problems) as raised:
        Tree.from_git(bare.path, tree)
    told = problems(raised)
    assert {*told} == {"twice", "a", "odd", "short", "device"}
    assert told["a"] == told["twice"] == "is there twice"
    assert "mode 100600" in told["odd"]


@pytest.mark.parametrize(
    "data", [b"100644 a", b"100644 a\0short", b"garbage", b"\0", b"100644 a\0" + b"x" * 25]
)
def test_a_tree_that_is_none_is_refused(bare: GitRepository, data: bytes) -> None:
    top = bare.raw_tree((TREE, b"d", bare.raw_object("tree", data)))
    with pytest.raises(blockpack.SourceError, match=r"d: object [0-9a-f]{40} is no sound tree"):
        Tree.from_git(bare.path, top)


def test_objects_of_another_kind_are_refused(bare: GitRepository) -> None:
    file, empty = bare.blob(b"x"), bare.raw_tree()
    with refused("is a tree, and should be a blob"):
        Tree.from_git(bare.path, bare.raw_tree((FILE, b"a", empty)))
    with pytest.raises(blockpack.SourceError, match="is no sound tree"):
        Tree.from_git(bare.path, bare.raw_tree((TREE, b"a", file)))
    with pytest.raises(blockpack.SourceError, match="no sound commit"):
        Tree.from_git(bare.path, bare.raw_object("commit", b"tree x\n\n"))


def test_a_bomb_of_trees_is_refused(bare: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockpack.sources.git.walk.MOST_ENTRIES", 5_000)
    monkeypatch.setattr("blockpack.sources.git.walk.MOST_DEPTH", 8)
    level = bare.raw_tree((FILE, b"a", bare.blob(b"x")))
    for _ in range(6):
        level = bare.raw_tree(*((TREE, b"%d" % n, level) for n in range(10)))
    with pytest.raises(blockpack.EntryError, match="more than 5,000 entries"):
        Tree.from_git(bare.path, level)
    deep = bare.raw_tree((FILE, b"a", bare.blob(b"x")))
    for _ in range(12):
        deep = bare.raw_tree((TREE, b"d", deep))
    with refused("more than 8 directories deep"):
        Tree.from_git(bare.path, deep)


# The command -------------------------------------------------------------------------------------


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
