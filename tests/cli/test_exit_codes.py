"""Exit codes: each means what it is documented to mean, and its cause is named, never traced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from blockpack.cli import main
from cli.running import FORMATS, TIMEOUT, Argument, Command, environment, process, python

FULL = "cannot be written: no space left on device; free some space, or choose another place"


def test_0_is_for_help_and_version_too() -> None:
    assert process("--version").out.decode().split() == ["blockpack", blockpack.__version__]
    assert process("--help").out.decode().startswith("usage: blockpack")
    for name in ("pack", "plan", "ls", "cat", "extract", "info", "verify"):
        assert process(name, "--help").out.decode().startswith(f"usage: blockpack {name}")


def test_1_is_for_a_difference(command: Command, source: Path, tmp_path: Path) -> None:
    command("pack", source, tmp_path / "x.tar")
    (source / "more").write_bytes(b"")
    result = command("verify", tmp_path / "x.tar", source, code=1)
    assert result.lines == ["more: is missing in the image"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((), "usage"),
        (("explode",), "explode"),
        (("pack",), "SOURCE"),
        (("pack", "source"), "IMAGE"),
        (("pack", "source", "x.tar", "more"), "more"),
        (("pack", "source", "x.tar", "--explode"), "--explode"),
        (("pack", "source", "x.img"), "--format"),
        (("pack", "source", "x.tar", "--size"), "--size"),
        (("ls",), "IMAGE"),
        (("cat", "x.tar"), "PATH"),
        (("extract", "x.tar"), "DIR"),
    ],
)
def test_2_is_for_wrong_usage(
    arguments: tuple[str, ...],
    cause: str,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(source.parent)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert cause in captured.err
    assert "Traceback" not in captured.err
    assert {path.name for path in source.parent.iterdir()} == {"source"}


def _bad_name(source: Path) -> None:
    (source / "a:b").write_bytes(b"")


def _same_but_for_case(source: Path) -> None:
    (source / "INDEX.html").write_bytes(b"")


def _pipe(source: Path) -> None:
    os.mkfifo(source / "pipe")


def _large(source: Path) -> None:
    with open(source / "large", "wb") as file:
        file.truncate(1 << 32)


@pytest.mark.parametrize(
    ("change", "form", "options", "cause"),
    [
        (_bad_name, "fat", (), "a:b: FAT has no ':' in names; rename it"),
        (_same_but_for_case, "fat", (), "index.html: its name equals 'INDEX.html' but for case"),
        (_pipe, "tar", (), "pipe: is a named pipe, which images cannot hold; exclude it"),
        (_large, "fat", (), "large: has 4,294,967,296 bytes, and 4,294,967,295 are the most"),
        (
            _large,
            "tar",
            ("--size", "1G"),
            "more than the size; give a larger size, or pack less; --size",
        ),
        (None, "fat", ("--size", "32K"), "size"),
        (None, "fat", ("--profile", "mirage"), "Größe.txt: the profile's reader finds ASCII"),
    ],
)
def test_3_is_for_a_tree_that_the_format_cannot_hold(
    command: Command,
    source: Path,
    tmp_path: Path,
    change: Callable[[Path], None] | None,
    form: str,
    options: tuple[str, ...],
    cause: str,
) -> None:
    if change is not None:
        change(source)
    arguments: tuple[Argument, ...] = (source, tmp_path / "image", "--format", form, *options)
    assert cause in command("pack", *arguments, code=3).err
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_4_is_for_a_source_that_is_missing(command: Command, tmp_path: Path, form: str) -> None:
    arguments = ("pack", tmp_path / "nowhere", tmp_path / "image", "--format", form)
    assert command(*arguments, code=4).messages == [
        f"{tmp_path}/nowhere: cannot be read: no such file or directory"
    ]


def test_4_is_for_a_source_that_is_no_directory(
    command: Command, source: Path, tmp_path: Path
) -> None:
    file = source / "index.html"
    assert f"{file}: " in command("pack", file, tmp_path / "x.tar", code=4).err


def test_4_is_for_a_source_that_cannot_be_read(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = os.fsencode(source / "pages")
    scandir = os.scandir

    def refuse(path: str | bytes | int) -> object:
        place = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else path
        if os.fsencode(place).rstrip(b"/") == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # not by permissions: tests may run as root
    result = command("pack", source, tmp_path / "x.tar", code=4)
    told = "  pages: cannot be read: permission denied; make it readable or exclude it"
    assert f"blockpack: {told}" in result.err
    command("pack", source, tmp_path / "x.tar", "--exclude", "/pages")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("change", ["grew", "shrank", "was modified", "cannot be read"])
def test_4_is_for_a_source_that_changed_meanwhile(
    command: Command,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    change: str,
) -> None:
    path = source / "video.bin"

    def late(*arguments: object, **options: object) -> blockpack.Report:
        if change == "cannot be read":
            path.unlink()
        elif change == "was modified":
            os.utime(path, (1, 1))
        else:
            os.truncate(path, 1 if change == "shrank" else 1 << 20)
        return blockpack.write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("blockpack.cli.target.write", late)
    result = command("pack", source, tmp_path / "image", "--format", form, code=4)
    assert f"video.bin: {change}" in result.err
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


@pytest.mark.parametrize("form", FORMATS)
def test_5_is_for_a_target_that_cannot_be_written(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for target in (tmp_path, tmp_path / "missing/image", tmp_path / "file/image"):
        result = command("pack", source, target, "--format", form, code=5)
        assert str(target) in result.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", FORMATS)
def test_5_is_for_a_target_that_is_full(command: Command, source: Path, form: str) -> None:
    result = command("pack", source, "/dev/full", "--format", form, code=5)
    assert result.messages == [f"/dev/full: {FULL}"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_5_is_for_standard_output_that_is_full(
    command: Command, source: Path, tmp_path: Path
) -> None:
    command("pack", source, tmp_path / "x.tar")
    runs: tuple[tuple[Argument, ...], ...] = (
        ("pack", source, "-", "--format", "tar"),
        ("ls", tmp_path / "x.tar"),
        ("cat", tmp_path / "x.tar", "video.bin"),
        ("info", tmp_path / "x.tar", "--json"),
    )
    for arguments in runs:
        with open("/dev/full", "wb") as full:
            result = process(*arguments, code=5, stdout=full.fileno())
        assert "no space left" in result.err


def test_5_is_for_a_reader_that_went_away(source: Path, tmp_path: Path) -> None:
    with open(source / "video.bin", "ab") as file:
        file.truncate(8 << 20)
    process("pack", source, tmp_path / "x.tar")
    for arguments in (
        ("pack", source, "-", "--format", "tar"),
        ("cat", tmp_path / "x.tar", "video.bin"),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            process(*arguments, code=5, stdout=writer)
        finally:
            os.close(writer)


def test_6_is_for_what_is_no_image(command: Command, source: Path) -> None:
    result = command("ls", source / "index.html", code=6)
    assert "index.html: not a tar archive, a FAT file system, a pack of git" in result.err


@pytest.mark.parametrize("form", FORMATS)
def test_6_is_for_a_damaged_image(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    """What can be read of it is shown all the same."""
    image = tmp_path / "image"
    command("pack", source, image, "--format", form)
    whole = set(command("ls", image).lines)
    os.truncate(image, image.stat().st_size // 2)
    for arguments in (
        ("ls", image),
        ("ls", image, "--json"),
        ("cat", image, "video.bin"),
        ("extract", image, tmp_path / "out"),
        ("info", image),
    ):
        result = command(*arguments, code=6)
        assert "cut short" in result.err
        assert result.out == b"" or arguments[0] in ("ls", "info")
    assert set(command("ls", image, code=6).lines) <= whole
    assert not (tmp_path / "out/video.bin").exists()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("form", FORMATS)
def test_130_is_for_an_interrupted_run_and_143_for_a_terminated_one(
    source: Path, tmp_path: Path, form: str, number: int, code: int, word: str
) -> None:
    with open(source / "large", "wb") as file:
        file.truncate(64 << 20)
    before = {path.name for path in tmp_path.iterdir()}
    child = subprocess.Popen(
        python("pack", source, "-", "--format", form),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.read(1)  # it has begun, and now waits for us to read on
        child.send_signal(number)
        _, err = child.communicate(timeout=TIMEOUT)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == code, err
    assert err.decode() == f"blockpack: {word}\n"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_interrupted_run_leaves_the_old_image_and_nothing_else(
    source: Path, tmp_path: Path
) -> None:
    """Stopped while it writes a file: it interrupts itself in the midst of that."""
    (tmp_path / "x.tar").write_bytes(b"the old image")
    program = (
        "import os, signal, sys\n"
        "from blockpack.cli import main\n"
        "from blockpack.writing import transfer\n"
        "def interrupted(*_):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "transfer.Transfer.run = interrupted\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "pack", str(source), str(tmp_path / "x.tar")],
        env=environment(),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 130, done
    assert done.stderr == b"blockpack: interrupted\n"
    assert (tmp_path / "x.tar").read_bytes() == b"the old image"
    assert {path.name for path in tmp_path.iterdir()} == {"x.tar", "source"}
