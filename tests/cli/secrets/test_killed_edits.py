"""What is left of edits that were killed."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from blockpack.deploy.secrets import editing as editing_module
from blockpack.deploy.secrets import files
from blockpack.writing.place import Place
from cli.secrets.editors import FILE, editing, opened
from deploy.deployments import write_files
from deploy.secret_deployments import NAME, SECRET, run

KILLED = "os.kill(os.getppid(), 9)"
"""Has the command that runs this editor end as it may at any time."""


@pytest.fixture(name="left")
def fixture_left(place: Path, own: Path, ram: Path) -> Path:
    """A directory in RAM that an edit left which was killed, and whose editor has ended."""
    env = editing(f"open(path + '~', 'wb').write(b'a backup')\n{KILLED}")
    done = run("secrets", "edit", place / FILE, "--identity", own, env=env)
    assert done.returncode == -9
    (directory,) = ram.iterdir()
    until_nobody_has(directory)
    assert (directory / NAME).read_bytes() == SECRET
    return directory


def until_nobody_has(directory: Path) -> None:
    """Wait until the editor that was left without its command has ended."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("command", ["edit", "rekey", "encrypt"])
def test_the_next_command_wipes_what_a_killed_edit_left(
    place: Path, own: Path, left: Path, ram: Path, command: str
) -> None:
    (place / "new").write_bytes(b"new")
    words = {
        "edit": (place / FILE, "--identity", own),
        "rekey": ("--identity", own, "--deployment", place),
        "encrypt": (place / "new",),
    }
    with open(left / NAME, "rb") as file:
        done = run("secrets", command, *words[command], env=editing(""))
        assert file.read() == bytes(len(SECRET))
    assert done.returncode == 0, done.stderr
    assert list(ram.iterdir()) == []


def test_what_is_being_edited_is_left_alone(place: Path, own: Path, ram: Path) -> None:
    """The editor calls the command itself; the second time when its own one was killed."""
    (place / "new").write_bytes(b"new")
    again = [sys.executable, "-m", "blockpack", "secrets", "encrypt", "--force", str(place / "new")]
    script = (
        "import subprocess\n"
        f"subprocess.run({again!r}, check=True, stderr=-3)\n"
        "assert os.path.exists(path)\n"
    )
    done = run("secrets", "edit", place / FILE, "--identity", own, env=editing(script))
    assert done.returncode == 0, done.stderr
    told = f"open({str(place / 'told')!r}, 'w').write(str(os.path.exists(path)))\n"
    run(
        *("secrets", "edit", place / FILE, "--identity", own),
        env=editing(f"{KILLED}\n{script}{told}"),
    )
    (directory,) = ram.iterdir()
    until_nobody_has(directory)
    assert (place / "told").read_text() == "True"
    editing_module.wipe_left()
    assert list(ram.iterdir()) == []


def test_nothing_else_is_wiped(left: Path, ram: Path, tmp_path: Path) -> None:
    """Neither what may be somebody else's, nor what is behind a link."""
    outside = write_files(tmp_path / "outside", {"file": b"mine", "below/file": b"mine"})
    (left / "link").symlink_to(outside / "file")
    (left / "below").mkdir()
    (left / "below/link").symlink_to(outside)
    name = left.name
    others = [name[:-1], f"{name}0", name[:-1] + "g", f"x{name}", f"{name[:-16]}{'0' * 16}"]
    for other in others:
        write_files(ram / other, {"file": b"theirs"}).chmod(0o700)
    open_to_all = ram / others[-1]  # of our name, but not as we make them
    open_to_all.chmod(0o755)
    to_outside = ram / f"{name[:-16]}{'1' * 16}"
    outside.chmod(0o700)
    to_outside.symlink_to(outside)
    plain = ram / f"{name[:-16]}{'2' * 16}"
    plain.write_bytes(b"theirs")
    editing_module.wipe_left()
    assert not left.exists()
    assert all((ram / other / "file").read_bytes() == b"theirs" for other in others)
    assert to_outside.is_symlink() and plain.read_bytes() == b"theirs"
    assert {path.read_bytes() for path in outside.rglob("file")} == {b"mine"}


def test_what_another_user_left_is_not_touched(left: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give a directory away")
    os.chown(left, 12345, -1)
    editing_module.wipe_left()
    assert (left / NAME).read_bytes() == SECRET


def test_a_directory_that_somebody_took_for_left_is_not_used(
    place: Path, own: Path, ram: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made before it is locked; whoever tidies up in between has it."""
    lock = editing_module._lock
    taken: list[bool] = []

    def late(directory: Place) -> bool:
        if not taken:
            (made,) = ram.iterdir()
            made.rmdir()
            taken.append(True)
        return lock(directory)

    monkeypatch.setattr(editing_module, "_lock", late)
    command = editing("open(path, 'ab').write(b'edited')")["EDITOR"]
    assert files.Keeper.at(place).edit(place / FILE, str(own), command)
    assert taken and opened(place / FILE, own) == SECRET + b"edited"
    assert list(ram.iterdir()) == []
