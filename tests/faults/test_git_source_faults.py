"""Git that fails, repositories that are damaged, and processes that are killed meanwhile."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

import blockpack
from faults.faulty_git import GIT, Faulty, descriptors, held, no_children
from faults.launching import COMMAND, SLOW, launched, run, wait_until
from repositories import FILE, TREE, GitRepository, git_tree, left_to_git


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def layout(repository: GitRepository) -> blockpack.Layout:
    return blockpack.TarVolume().plan(git_tree(repository.path))


def rendered(planned: blockpack.Layout) -> bytes:
    with planned.open() as file:
        return file.read()


# Git itself --------------------------------------------------------------------------------------


def test_without_git_the_error_says_so(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.commit({"a": b"x"})
    left_to_git(bare)
    planned = layout(bare)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for attempt in (lambda: git_tree(bare.path), lambda: rendered(planned)):
        with pytest.raises(blockpack.SourceError, match=r"git is needed.*; install git"):
            attempt()


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("echo git version 2.20.1", "git version 2.20.1; install git 2.31 or later"),
        ("echo nonsense", "make sure that PATH leads to git"),
        ("kill -9 $$", "git was killed by signal 9"),
    ],
)
def test_a_git_that_will_not_do_is_told(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, told: str
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    with pytest.raises(blockpack.SourceError) as raised:
        git_tree(bare.path)
    assert told in str(raised.value)


@pytest.mark.parametrize("reads", [0, 1, 40, 300])
@pytest.mark.parametrize("jobs", [1, 2])
def test_git_killed_midway_is_an_error_and_leaves_nothing(
    many: GitRepository, faulty: Faulty, tmp_path: Path, reads: int, jobs: int
) -> None:
    planned = layout(many)
    faulty.set(f'GIT "$@" | (dd bs=4096 count={reads} status=none; kill -9 $$)\n')
    before = descriptors()
    target = tmp_path / "images" / "x.tar"
    target.parent.mkdir()
    with pytest.raises(blockpack.SourceError, match="cannot be read: git was killed by signal 9"):
        blockpack.write(planned, target, jobs=jobs)
    assert not os.listdir(target.parent)
    del planned  # with a git of this process' own, if it was another's that was killed
    assert descriptors() == before
    assert no_children()


def test_git_killed_while_scanning_is_an_error(many: GitRepository, faulty: Faulty) -> None:
    before = descriptors()
    faulty.set('GIT "$@" | (dd bs=4096 count=10 status=none; kill -9 $$)\n')
    with pytest.raises(blockpack.SourceError, match="git was killed by signal 9"):
        git_tree(many.path)
    assert descriptors() == before and no_children()


@pytest.mark.parametrize(
    ("size", "answer", "told"),
    [
        (5, "$oid blob 6\\nsixsix\\n", "is a blob of 6 bytes, and was a blob of 5 bytes"),
        (5, "$oid tree 5\\n12345\\n", "is a tree of 5 bytes, and was a blob of 5 bytes"),
        (5, "$oid missing\\n", "is not in"),
        (5, "0000 blob 5\\n12345\\n", "cannot be read: git gave another answer"),
        (5, "nonsense\\n", "cannot be read: git gave another answer"),
        # Read in pieces, as a stream that whoever gives up closes.
        (300_000, "$oid missing\\n", "is not in"),
        (300_000, "$oid blob 6\\nsixsix\\n", "is a blob of 6 bytes, and was a blob of 300,000"),
    ],
)
def test_answers_that_are_not_what_was_planned_are_errors(
    bare: GitRepository,
    faulty: Faulty,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    answer: str,
    told: str,
) -> None:
    monkeypatch.setattr("blockpack.sources.git.cat_file._PATIENCE", 0.1)
    bare.commit({"a": bytes(size)})
    left_to_git(bare)
    planned = layout(bare)
    faulty.set(f'while read oid; do printf "{answer}"; done; exit\n')
    with pytest.raises(blockpack.SourceError) as raised:
        rendered(planned)
    assert raised.value.path == "a"
    assert told in str(raised.value)
    assert no_children()


def test_a_pipe_that_cannot_be_widened_is_as_it_is(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may have too many wide ones already; a blob of any size comes through all the same."""
    bare.commit({"a": bytes(3_000_000)})
    asked = []

    def refused(*arguments: object) -> int:
        asked.append(arguments)
        raise PermissionError(errno.EPERM, "not here")

    monkeypatch.setattr(fcntl, "fcntl", refused)
    with blockpack.open_image(layout(bare)) as image:
        assert image.read("a") == bytes(3_000_000)
    assert asked


# Repositories ------------------------------------------------------------------------------------


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").touch()
    repository = GitRepository.init(tmp_path / "r")
    (tmp_path / "r" / "sub").mkdir()
    for path, told in (
        ("plain", "is not a git repository"),
        ("file", "is not a directory"),
        ("missing", "is not a directory"),
        ("r/sub", f"is not a repository, but a directory in {tmp_path / 'r'}"),
        ("r", "its HEAD is the branch 'main', which has no commit"),
    ):
        with pytest.raises(blockpack.SourceError) as raised:
            git_tree(tmp_path / path)
        assert raised.value.path == str(tmp_path / path)
        assert told in str(raised.value)
    (repository.path / ".git" / "HEAD").write_text("garbage")
    with pytest.raises(blockpack.SourceError, match="is not a git repository"):
        git_tree(repository.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("options", [["--bare"], []])
def test_a_repository_of_somebody_else_is_an_error_that_says_what_to_do(
    tmp_path: Path, options: list[str]
) -> None:
    repository = GitRepository.init(tmp_path / "theirs", *options)
    repository.commit({"a": b"x"})
    for path in [repository.path, *repository.path.rglob("*")]:
        os.chown(path, 65534, 65534)
    with pytest.raises(blockpack.SourceError) as raised:
        git_tree(repository.path)
    told = str(raised.value)
    assert "belongs to another user" in told
    assert f"git config --global --add safe.directory {repository.path}" in told


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [3000, 600_000])
def test_a_corrupt_object_is_named(
    bare: GitRepository, tmp_path: Path, packed: bool, size: int
) -> None:
    data = random.Random(7).randbytes(size)
    bare.git("config", "fastimport.unpackLimit", "1" if packed else "100")
    bare.commit({"before": b"before", "dir/victim": data, "zz": b"after"})
    planned = layout(bare)
    oid = bare.oid("HEAD:dir/victim")
    if packed:
        (victim,) = bare.path.glob("objects/pack/*.pack")
        bytes_of_it = bytearray(victim.read_bytes())
        at = bytes_of_it.index(data[1000:1050])  # random bytes are stored, not deflated
        bytes_of_it[at : at + 50] = bytes(50)
    else:
        victim = bare.object_file(oid)
        bytes_of_it = bytearray(zlib.compress(b"blob %d\0" % size + data))
        bytes_of_it[-200:] = bytes(200)
    victim.chmod(0o644)
    victim.write_bytes(bytes_of_it)
    with pytest.raises(blockpack.SourceError) as raised:
        blockpack.write(planned, tmp_path / "x.tar")
    assert raised.value.path == "dir/victim"
    assert f"object {oid} cannot be read: git says: " in str(raised.value)
    assert not (tmp_path / "x.tar").exists()
    tree = git_tree(bare.path, exclude=["victim"])
    assert b"after" in rendered(blockpack.TarVolume().plan(tree))


def test_what_nobody_wants_may_be_damaged(bare: GitRepository) -> None:
    files = {f"{n:03}": b"%d" % n for n in range(200)}
    bare.git("config", "fastimport.unpackLimit", "1000")
    bare.commit(files)
    tree = git_tree(bare.path)
    for name in ("050", "051", "120"):  # two are garbage, one is gone
        tree.remove(name)
    for name in ("050", "120"):
        victim = bare.object_file(bare.oid(f"HEAD:{name}"))
        victim.chmod(0o644)
        victim.write_bytes(b"garbage")
    bare.object_file(bare.oid("HEAD:051")).unlink()
    with blockpack.open_image(blockpack.TarVolume().plan(tree).open()) as image:
        for entry in image.walk():
            assert image.open(entry.path).read() == files[entry.path]


def test_missing_objects_are_told_all_at_once(bare: GitRepository) -> None:
    files = {f"{n}/{n}": b"%d" % n for n in range(5)}
    bare.git("config", "fastimport.unpackLimit", "1000")
    bare.commit(files)
    planned = layout(bare)
    for name in ("1/1", "3/3"):
        bare.object_file(bare.oid(f"HEAD:{name}")).unlink()
    with pytest.raises(blockpack.SourceError) as late:
        rendered(planned)
    assert late.value.path == "1/1"
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(bare.path)
    assert {error.path for error in raised.value.exceptions} == {"1/1", "3/3"}  # type: ignore[union-attr]
    assert raised.value.exit_code == 4
    bare.object_file(bare.oid("HEAD:2")).unlink()
    with pytest.raises(blockpack.SourceError, match=r"2: object [0-9a-f]{40} is not in"):
        git_tree(bare.path)


def test_nothing_is_fetched(bare: GitRepository, tmp_path: Path) -> None:
    bare.commit({"a": b"far away"})
    bare.git("config", "uploadpack.allowFilter", "true")
    clone = GitRepository(tmp_path / "clone")
    bare.git(
        *("clone", "-q", "--filter=blob:none", "--no-checkout", bare.path.as_uri(), clone.path)
    )
    with pytest.raises((blockpack.Problems, blockpack.SourceError)) as raised:
        git_tree(clone.path)
    assert "a: object" in str(raised.value)
    assert f"git -C {clone.path} fetch --refetch" in str(raised.value)
    present = clone.git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    assert b"blob" not in present


def test_no_configuration_runs_a_program_even_by_an_older_git(
    bare: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not know GIT_NO_LAZY_FETCH would fetch what is missing, by any program."""
    bare.commit({"a": b"far away"})
    clone = GitRepository(tmp_path / "clone")
    bare.git("clone", "-q", "--bare", bare.path, clone.path)
    clone.object_file(clone.oid("HEAD:a")).unlink()
    ran = tmp_path / "ran"
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(bare.path),
        "remote.origin.uploadPack": f"touch '{ran}'; git-upload-pack",
        "protocol.allow": "always",
        "protocol.file.allow": "always",
    }.items():
        clone.git("config", name, value)
    older = tmp_path / "older"
    older.mkdir()
    (older / "git").write_text(f'#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec {GIT} "$@"\n')
    (older / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(older), prepend=os.pathsep)
    with pytest.raises((blockpack.Problems, blockpack.SourceError)):
        git_tree(clone.path)
    assert not ran.exists()


# Processes ---------------------------------------------------------------------------------------


def test_no_process_and_no_descriptor_is_left(many: GitRepository, tmp_path: Path) -> None:
    before = descriptors()
    for jobs in (1, 2):
        planned = layout(many)
        blockpack.write(planned, tmp_path / "x.tar", jobs=jobs)
        if jobs > 1:  # some was read by this process, whose git may be asked for more
            del planned
        assert descriptors() == before  # or all was read, so git has ended by itself
        assert no_children()
    planned = layout(many)
    with planned.open() as file:
        file.seek(3_000_000)
        file.read(10)  # now git is in the middle of it
    assert not no_children()
    del planned, file
    assert descriptors() == before and no_children()


def test_packed_blobs_take_no_process_and_leave_no_descriptor(
    many: GitRepository, tmp_path: Path
) -> None:
    by_git = rendered(layout(many))
    many.git("repack", "-a", "-d", "-q", "--window=0")
    before = descriptors()
    planned = layout(many)
    with planned.open() as file:
        file.read(10)
        assert no_children()
    for jobs in (1, 2):
        blockpack.write(planned, tmp_path / "x.tar", jobs=jobs)
        assert (tmp_path / "x.tar").read_bytes() == by_git
    del planned, file
    assert descriptors() == before and no_children()


def test_blobs_are_found_wherever_they_were_repacked(many: GitRepository) -> None:
    """As deltas, or out of the packs that were there when the tree was made."""
    many.git("repack", "-a", "-d", "-q", "--window=0")
    planned = layout(many)
    expected = rendered(planned)
    many.git("repack", "-a", "-d", "-f", "-q", "--window=50")
    assert rendered(planned) == expected
    assert rendered(layout(many)) == expected


def test_a_forked_process_has_a_git_of_its_own(many: GitRepository, tmp_path: Path) -> None:
    tree = git_tree(many.path)
    planned = blockpack.TarVolume().plan(tree)
    expected = rendered(blockpack.TarVolume().plan(tree))
    half = len(expected) // 3
    with planned.open() as file:
        begun = file.read(half)  # git is at rest, and waits for more
        before = held()
        report = tmp_path / "report"
        child = os.fork()
        if not child:
            try:
                lost = before - held()
                same = rendered(planned) == expected
                report.write_text(f"{same} {len(lost)}")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        rest = file.read()
    found, closed = report.read_text().split()
    assert found == "True"
    assert int(closed) >= 3  # both pipes, what waits for one; what git complains to may be shared
    assert begun + rest == expected


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_git_ends_with_whom_it_works_for(
    many: GitRepository, tmp_path: Path, jobs: str, number: signal.Signals
) -> None:
    started = tmp_path / "started"
    target = tmp_path / "images" / "x.tar"
    target.parent.mkdir()
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "env": {"STARTED": str(started)}}
    arguments = ("pack", f"git:{many.path}@HEAD", target, "--jobs", jobs)
    with launched(SLOW + COMMAND, *arguments, **options) as process:
        assert wait_until(started.exists)
        assert len(process.processes()) >= 2
        process.send_signal(number)
        _, errors = process.communicate()
        assert wait_until(lambda: not process.processes())
    assert b"Traceback" not in errors
    assert not os.listdir(target.parent)
    code = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert process.returncode == code


def test_errors_of_the_command_are_one_line_and_code_4(bare: GitRepository, tmp_path: Path) -> None:
    tree = bare.raw_tree((FILE, b"a", "1" * 40), (TREE, b"d", bare.raw_tree()))
    image = tmp_path / "x.tar"
    for address, told in (
        (f"git:{bare.path}@nothing", "has no revision 'nothing'"),
        (f"git:{bare.path}@{tree}", "a: object 1111"),
        (f"git:{bare.path}@{tree}:missing", "missing: there is no such directory"),
        (f"git:{tmp_path}@HEAD", "is not a git repository"),
    ):
        code, _, errors = run(COMMAND, "pack", address, image)
        assert code == 4
        assert told in errors
        assert not image.exists()
