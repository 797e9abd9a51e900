"""Attributes, Git LFS, and submodules."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import File, scan
from blockpack.cli.run import run
from git_source.trees import checked_out, content, image, paths, problems, refused
from repositories import SUBMODULE, TIME, GitRepository, git_tree, pointer


def test_submodules_are_errors_or_skipped(bare: GitRepository, tmp_path: Path) -> None:
    module: Any = SUBMODULE, b"1" * 40
    bare.commit({"a": b"", "lib/one": module, "lib/two": module})
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(bare.path)
    assert set(problems(raised)) == {"lib/one", "lib/two"}
    assert "skip submodules" in str(raised.value)
    assert paths(git_tree(bare.path, submodules="skip")) == {"a"}
    assert paths(git_tree(bare.path, exclude=["/lib/"])) == {"a"}
    with pytest.raises(blockpack.UsageError, match="give 'error' or 'skip'"):
        git_tree(bare.path, submodules="ignore")
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
    tree = git_tree(repository.path)  # the submodule is not for export
    directory = checked_out(repository, tmp_path / "checkout")
    (directory / "only").rmdir()  # git checks out no empty directories, but may archive them
    assert image(tree) == image(scan(directory))
    assert "only" not in tree and "sub/z.psd" in tree
    assert paths(git_tree(repository.path, subdir="docs")) == {
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
    assert paths(git_tree(bare.path)) == {"a"}


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
        tree = git_tree(repository.path, subdir=subdir)
        prefix = f"{subdir}/" if subdir else ""
        for path, data in contents.items():
            if path.startswith(prefix):
                entry = tree[path.removeprefix(prefix)]
                assert isinstance(entry, File) and entry.size == len(data)
                assert isinstance(entry.extent(), blockpack.FileRange)
                assert content(tree, entry.path) == data
                assert entry.mtime_ns == TIME * 10**9
    tree = git_tree(repository.path)
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
        git_tree(bare.path, "main")
    told = problems(raised)
    assert set(told) == {"gone.bin", "short.bin"}
    assert place("gone.bin").name in told["gone.bin"]
    assert "has 1 bytes, and should have 7" in told["short.bin"]
    assert f"git -C {bare.path} lfs fetch origin main" in str(raised.value)
    assert raised.value.exit_code == 4
    tree = git_tree(bare.path, exclude=["gone.bin", "short.bin"])
    place("there.bin").write_bytes(b"later")
    os.utime(place("there.bin"), ns=(0, 0))
    with pytest.raises(blockpack.SourceError, match="was modified"):
        image(tree)


def test_a_pointer_with_extensions_is_refused(bare: GitRepository) -> None:
    text = pointer("1" * 64, 5).replace(b"oid", b"ext-0-x sha256:" + b"2" * 64 + b"\noid", 1)
    bare.commit({".gitattributes": b"* filter=lfs\n", "a": text})
    with refused("extension"):
        git_tree(bare.path)
