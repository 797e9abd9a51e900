"""Nobody hears what is wrong: the exit code stays, and there is no traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.running import TIMEOUT, Argument, environment, process, python
from deploy.deployments import FILES
from repositories import GitRepository

RUNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("pack", "source", "x.tar")),
    (0, ("verify", "good.tar")),
    (1, ("verify", "good.tar", "other")),
    (2, ("pack", "source")),
    (2, ("pack", "source", "x.tar", "--size", "much")),
    (2, ()),
    (3, ("pack", "odd", "x.img", "--format", "fat")),
    (4, ("pack", "nosuch", "x.tar")),
    (5, ("pack", "source", "nosuch/x.tar")),
    (6, ("ls", "source/index.html")),
)


@pytest.fixture(autouse=True)
def fixture_there(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("other", "odd"):
        Path(name).mkdir()
    (Path("odd") / "a:b").touch()
    process("pack", source, "good.tar")


def code_of(
    *arguments: Argument,
    redirected: str,
    stderr: int | None = None,
    changes: Mapping[str, str | None] | None = None,
) -> int:
    """The exit code of the command as a shell starts it with its streams `redirected`."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", *python(*arguments)],
        env=environment(changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if stderr is None else stderr,
        timeout=TIMEOUT,
        check=False,
    )
    assert b"Traceback" not in done.stdout + (done.stderr or b"")
    return done.returncode


@pytest.mark.parametrize(
    ("code", "arguments", "redirected"),
    [*((*run, "2>&-") for run in RUNS), *((*run, "2>/dev/full") for run in RUNS[::2])],
)
def test_without_standard_error_the_exit_code_stays(
    code: int, arguments: tuple[str, ...], redirected: str
) -> None:
    assert code_of(*arguments, redirected=redirected) == code


@pytest.mark.parametrize(("code", "arguments"), RUNS[1::2])
def test_without_anybody_who_reads_standard_error_the_exit_code_stays(
    code: int, arguments: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert code_of(*arguments, redirected="", stderr=writer) == code
    finally:
        os.close(writer)


@pytest.mark.parametrize("redirected", ["", "2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        *((("--version",), None), (("--version",), "1")),
        *((("--help",), None), (("pack", "--help"), "1")),
        *((("ls", "good.tar"), None), (("ls", "good.tar"), "1")),
    ],
)
def test_what_cannot_be_printed_is_the_outputs_fault(
    arguments: tuple[str, ...], unbuffered: str | None, redirected: str
) -> None:
    changes = {"PYTHONUNBUFFERED": unbuffered}
    assert code_of(*arguments, redirected=f">/dev/full {redirected}", changes=changes) == 5


@pytest.mark.parametrize("redirected", [">/dev/full", ">&-"])
def test_a_report_that_is_lost_is_told_from_an_image_that_is_not_written(redirected: str) -> None:
    assert code_of("pack", "source", "y.tar", "--json", redirected=redirected) == 9
    assert Path("y.tar").read_bytes() == Path("good.tar").read_bytes()


@pytest.mark.parametrize("redirected", ["2>&-", "<&- >&- 2>&-"])
def test_no_file_of_ours_takes_the_place_of_a_lost_stream(redirected: str, tmp_path: Path) -> None:
    """What the host's command writes goes nowhere then, and not into what was opened first."""
    GitRepository.init(tmp_path / "repository.git", "--bare").commit(FILES)
    arguments = ("repository.git@main", "--to", "root", "--on-activate", "echo told; echo >&2 too")
    assert code_of("deploy", *arguments, redirected=redirected) == 0
    assert (tmp_path / "root/.lock").read_bytes() == b""
