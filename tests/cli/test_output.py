"""Where output goes, and how it looks: pipes, terminals, locales."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from blockpack import cli
from cli.running import FORMATS, TIMEOUT, Argument, environment, process, python

COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
"""What switches colours on and off."""

ASCII: Mapping[str, str | None] = {
    "LANG": "C",
    "LC_ALL": None,
    "LC_CTYPE": None,
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": None,
}
"""A locale in which only ASCII can be printed."""


def at_terminal(
    *arguments: Argument,
    changes: Mapping[str, str | None] | None = None,
    out: bool = False,
    columns: int = 100,
) -> tuple[int, bytes]:
    """Run the command with standard error (and output, if `out`) a terminal; what it shows."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {"TERM": "xterm-256color", "NO_COLOR": None, **(changes or {})}
    child = subprocess.Popen(
        python(*arguments),
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=follower if out else subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = bytearray()
    try:
        while True:
            try:
                data = os.read(leader, 1 << 16)
            except OSError as error:
                if error.errno != errno.EIO:  # that is how a terminal's end looks
                    raise
                break
            if not data:
                break
            shown += data
        code = child.wait(TIMEOUT)
    finally:
        child.kill()
        child.wait()
        os.close(leader)
    return code, bytes(shown)


@pytest.fixture(name="large")
def fixture_large(source: Path) -> Path:
    """A source that takes long enough for a bar."""
    (source / "large").write_bytes(b"x" * (8 << 20))
    return source


@pytest.mark.parametrize("form", FORMATS)
def test_a_terminal_gets_a_progress_bar_with_total_and_rate(
    large: Path, tmp_path: Path, form: str
) -> None:
    code, shown = at_terminal("pack", large, tmp_path / "image", "--format", form)
    assert code == 0
    text = COLOUR.sub(b"", shown)
    assert b"packing" in text
    size = (tmp_path / "image").stat().st_size / (1 << 20)
    total = f"{size:.1f}/{size:.1f} MiB"
    assert total in text.decode()
    assert re.search(r"[\d,]+\.\d MiB/s", text.decode()), "and how fast it is, in the same unit"
    assert COLOUR.search(shown)
    assert f"{tmp_path}/image: ".encode() in text, "the summary comes after it"


@pytest.mark.parametrize("form", [*FORMATS, "git"])
def test_reading_gets_a_bar_as_well(large: Path, tmp_path: Path, form: str) -> None:
    image = tmp_path / "image"
    process("pack", large, image, "--format", form)
    for arguments, told in (
        (("extract", image, tmp_path / "out"), "extracting"),
        (("verify", image), "verifying"),
        (("verify", image, large), "comparing"),
    ):
        code, shown = at_terminal(*arguments)
        text = COLOUR.sub(b"", shown).decode()
        assert code == 0 and told in text and "iB/s" in text, text


def test_checking_tells_how_many_volumes_are_done(large: Path, tmp_path: Path) -> None:
    process("init", tmp_path)
    code, shown = at_terminal("check", tmp_path)
    assert code == 0
    assert "checking" in COLOUR.sub(b"", shown).decode()
    assert "0/1 volumes" in COLOUR.sub(b"", shown).decode()


def test_the_bar_has_no_colour_where_none_is_wanted(large: Path, tmp_path: Path) -> None:
    code, shown = at_terminal("pack", large, tmp_path / "x.tar", changes={"NO_COLOR": "1"})
    assert code == 0
    assert b"packing" in shown
    assert not re.search(rb"\x1b\[[0-9;]*(3[0-9]|38;[0-9;]+|9[0-7])m", shown), shown


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_a_bar_fits_its_terminal(large: Path, tmp_path: Path, columns: int) -> None:
    code, shown = at_terminal("pack", large, tmp_path / "x.tar", columns=columns)
    assert code == 0
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).decode()
    bars = [line for line in re.split(r"[\r\n]+", text) if "packing" in line]
    assert bars and max(map(len, bars)) <= columns


def test_a_line_now_and_then_tells_how_far_it_is_where_there_is_no_terminal(
    large: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("blockpack.writing.progress._SECONDS", 0)
    monkeypatch.setattr("blockpack.cli.progress_bar._SECONDS", 0)
    assert cli.main(["pack", str(large), str(tmp_path / "x.tar"), "--fsync"]) == 0
    *lines, summary = capsys.readouterr().err.splitlines()
    told = r"blockpack: packing [\d.]+/8\.\d MiB(, [\d,.]+ MiB/s, \d+:\d\d left)?"
    assert len(lines) > 3
    assert all(re.fullmatch(rf"{told}|blockpack: flushing", line) for line in lines), lines
    assert lines[-1] == "blockpack: flushing"
    assert summary.startswith(f"blockpack: {tmp_path}/x.tar: ")
    assert cli.main(["pack", str(large), str(tmp_path / "x.tar"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_no_bar_in_a_pipe(large: Path, tmp_path: Path) -> None:
    result = process("pack", large, tmp_path / "x.tar")
    assert result.out == b""
    assert len(result.messages) == 1
    assert "\x1b" not in result.err


def test_no_bar_when_quiet(large: Path, tmp_path: Path) -> None:
    assert at_terminal("pack", large, tmp_path / "x.tar", "-q") == (0, b"")


def test_errors_at_a_terminal_are_plain_lines(tmp_path: Path) -> None:
    code, shown = at_terminal("pack", tmp_path / "nowhere", tmp_path / "x.tar")
    assert code == 4
    assert shown.startswith(b"blockpack: ")
    assert shown.count(b"\n") == 1


def test_an_image_is_not_sent_to_a_terminal(source: Path) -> None:
    code, shown = at_terminal("pack", source, "-", "--format", "tar", out=True)
    assert code == 2
    assert b"redirect" in shown
    assert b"\0" not in shown


def test_a_bar_does_not_disturb_the_image_on_standard_output(source: Path, tmp_path: Path) -> None:
    process("pack", source, tmp_path / "image", "--format", "fat")
    result = process("pack", source, "-", "--format", "fat")
    assert result.out == (tmp_path / "image").read_bytes()
    assert len(result.messages) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_goes_through_pipes(source: Path, tmp_path: Path, form: str) -> None:
    """Packed to one end of a pipe, read from a file: the bytes are those of the file."""
    process("pack", source, tmp_path / "image", "--format", form)
    with open(tmp_path / "piped", "wb") as file:
        packer = subprocess.Popen(
            python("pack", source, "-", "--format", form, "-q"),
            env=environment(),
            stdout=subprocess.PIPE,
        )
        assert packer.stdout is not None
        with packer.stdout:
            while data := packer.stdout.read(1000):
                file.write(data)
        assert packer.wait(TIMEOUT) == 0
    assert (tmp_path / "piped").read_bytes() == (tmp_path / "image").read_bytes()
    assert process("verify", tmp_path / "piped").code == 0


def test_a_pipe_is_a_target_and_no_image(source: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        result = process("ls", f"/dev/fd/{reader}", code=4, pass_fds=(reader,))
        assert "is a pipe, not an image or archive" in result.err
    finally:
        os.close(reader)
        os.close(writer)


def test_ascii_locales_show_every_name(source: Path, tmp_path: Path) -> None:
    with open(os.fsencode(source) + b"/caf\xe9", "wb"):
        pass
    process("pack", source, tmp_path / "x.tar", changes=ASCII)
    lines = process("ls", tmp_path / "x.tar", changes=ASCII).out.decode("ascii").splitlines()
    assert "caf\\xe9" in lines
    assert "pages/deep/er/Gr\\xf6\\xdfe.txt" in lines


def test_ascii_locales_pack_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for form in FORMATS:
        process("pack", source, tmp_path / "one", "--format", form)
        process("pack", source, tmp_path / "two", "--format", form, changes=ASCII)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_ascii_locales_compare_every_name(source: Path, tmp_path: Path) -> None:
    process("pack", source, tmp_path / "x.tar")
    assert process("verify", tmp_path / "x.tar", source, changes=ASCII).code == 0
    listed = process("ls", tmp_path / "x.tar", "--json", changes=ASCII).out
    names = {entry["path"] for entry in json.loads(listed)["entries"]}
    assert "pages/deep/er/Größe.txt" in names


def test_ascii_locales_find_every_name(source: Path, tmp_path: Path) -> None:
    process("pack", source, tmp_path / "x.tar")
    name = "pages/deep/er/Größe.txt"
    assert process("cat", tmp_path / "x.tar", name, changes=ASCII).out == b"size"
    assert process("ls", tmp_path / "x.tar", name, changes=ASCII).code == 0
    process("pack", source, tmp_path / "x.tar", "--exclude", "Größe.*", changes=ASCII)
    assert b"deep/er/Gr" not in process("ls", tmp_path / "x.tar").out


def test_a_closed_standard_output_is_an_error_and_no_crash(source: Path, tmp_path: Path) -> None:
    process("pack", source, tmp_path / "x.tar")
    for arguments in (
        ("ls", tmp_path / "x.tar"),
        ("cat", tmp_path / "x.tar", "index.html"),
        ("pack", source, "-", "--format", "tar"),
        ("write", tmp_path / "x.tar", "-"),
    ):
        command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *python(*arguments)]
        done = subprocess.run(
            command, env=environment(), stderr=subprocess.PIPE, timeout=TIMEOUT, check=False
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode == 5


def test_ascii_locales_name_what_is_wrong(source: Path, tmp_path: Path) -> None:
    (source / "ö?").write_bytes(b"")
    arguments = ("pack", source, tmp_path / "image", "--format", "fat")
    assert "\\xf6?: FAT has no '?'" in process(*arguments, code=3, changes=ASCII).err


def test_control_characters_in_names_never_reach_the_terminal(source: Path, tmp_path: Path) -> None:
    (source / "bell\x07\x1b[31m\nline").write_bytes(b"")
    process("pack", source, tmp_path / "x.tar")
    shown = "bell\\x07\\x1b[31m\\x0aline"
    assert shown in process("ls", tmp_path / "x.tar").lines
    refused = process("pack", source, tmp_path / "image", "--format", "fat", code=3)
    assert len(refused.messages) == 2
    assert shown in refused.messages[1]
    (source / "bell\x07\x1b[31m\nline").unlink()
    different = process("verify", tmp_path / "x.tar", source, code=1)
    assert different.lines == [f"{shown}: is in the image, and not in the source"]


def test_a_file_that_an_error_names_in_bytes_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), b"a\nb\xff")

    monkeypatch.setattr("blockpack.cli.info.run", failing)
    assert cli.main(["info", "x"]) == 5
    assert capsys.readouterr().err == "blockpack: a\\x0ab\\xff: input/output error\n"
