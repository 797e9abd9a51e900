"""A file gives way only if it is still what was read, and nobody writes to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blockpack import TargetError, UsageError
from blockpack.deploy.secrets.held_file import HeldFile
from blockpack.writing.wiping import overwrite
from deploy.deployments import write_files
from deploy.secret_deployments import IN_CIPHER, identity, manifest, run

PLAIN = b"12345"
OVERWRITE = "blockpack.deploy.secrets.held_file.overwrite"


@pytest.fixture(name="path", params=[0o600, 0o400])
def fixture_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "plain"
    path.write_bytes(PLAIN)
    path.chmod(request.param)
    return path


def _rewrite(path: Path) -> None:
    """As many other bytes, and the time of before."""
    before = path.stat()
    path.write_bytes(PLAIN[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    path.with_name("new").write_bytes(PLAIN)
    path.with_name("new").replace(path)


def _append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"6")


CHANGES: tuple[Callable[[Path], object], ...] = (
    _append,
    _rewrite,
    _replace,
    lambda path: os.link(path, path.with_name("other")),
    lambda path: path.rename(path.with_name("other")),
    lambda path: path.chmod(0o640),
)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_it_was_read_stays(path: Path, change: Callable[[Path], object]) -> None:
    with HeldFile.reading(path) as held:
        change(path)
        before = files(path.parent)
        for give_way in (held.remove, lambda: held.replace(b"new")):
            with pytest.raises(
                TargetError,
                match=r"plain: (was (changed|removed or renamed)|has another name|is a symbolic)",
            ):
                give_way()
            assert files(path.parent) == before


@pytest.mark.parametrize("how", [os.O_RDONLY, os.O_WRONLY])
def test_what_is_open_elsewhere_is_not_wiped(path: Path, how: int) -> None:
    with HeldFile.reading(path) as held:
        other = os.open(path, how)
        try:
            with pytest.raises(TargetError, match="is open in another program"):
                held.remove()
        finally:
            os.close(other)
        assert files(path.parent) == {"plain": PLAIN}


def test_what_was_read_is_wiped_and_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def wiped(descriptor: int) -> None:
        overwrite(descriptor)
        seen.append(os.pread(descriptor, 100, 0))

    monkeypatch.setattr(OVERWRITE, wiped)
    with HeldFile.reading(path) as held:
        held.remove()
    assert seen == [bytes(len(PLAIN))] and files(path.parent) == {}


def test_what_cannot_be_overwritten_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(OVERWRITE, fail)
    with HeldFile.reading(path) as held, pytest.raises(TargetError, match="not be overwritten"):
        held.remove()


def test_a_file_with_other_names_is_not_wiped(tmp_path: Path) -> None:
    recipient = identity(tmp_path / "identity")
    place = write_files(
        tmp_path / "d", {"blockpack.toml": manifest(recipient, IN_CIPHER), "vault/x": PLAIN}
    )
    os.link(place / "vault/x", place / "elsewhere")
    done = run("secrets", "encrypt", "--remove", place / "vault/x")
    assert done.returncode == UsageError.exit_code and b"has another name" in done.stderr
    assert files(place / "vault") == {"x": PLAIN} and (place / "elsewhere").read_bytes() == PLAIN


_APPENDING = """
import sys
for number in range(3000):
    with open(sys.argv[1], "a") as file:
        file.write(f"{number}\\n")
    if not number:
        print(flush=True)
"""


def test_no_line_is_lost_that_is_written_meanwhile(tmp_path: Path) -> None:
    """Each is in what was read, or in the file that is there after: the old one, or a new one."""
    path = tmp_path / "plain"
    words: list[str | Path] = [sys.executable, "-c", _APPENDING, path]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        read = b""
        while writer.poll() is None:
            try:
                with HeldFile.reading(path) as held:
                    held.remove()
            except TargetError as error:
                if "made it meanwhile" not in str(error):
                    continue
            except Exception:
                continue
            read += held.data
    lines = read.splitlines() + (path.read_bytes().splitlines() if path.exists() else [])
    assert lines == [b"%d" % number for number in range(3000)]
