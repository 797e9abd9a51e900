"""Help fits a screen, by an example that works; a name that is mistyped brings the nearest one."""

from __future__ import annotations

import shlex
from importlib import import_module

import pytest

from blockpack.cli.run import COMMANDS
from cli.running import Command

LONG = ("disk", "map", "pack", "plan", "serve", "verify")
"""Commands that take the options of all formats, or of a whole disk."""


@pytest.fixture(autouse=True)
def fixture_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen(command: Command, name: str) -> None:
    lines = command(name, "--help").lines
    assert len(lines) <= (60 if name in LONG else 24)
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_the_command_takes(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"blockpack.cli.{name}")
    assert f"  {module.EXAMPLE}" in command(name, "--help").lines
    program, *words = shlex.split(module.EXAMPLE)
    assert program == "blockpack" and words[0] == name
    monkeypatch.setattr(module, "run", lambda arguments: 0)
    command(*words)


def test_pack_shows_its_options_by_groups(command: Command) -> None:
    lines = command("pack", "--help").lines
    for group in ("options:", "image:", "source:", "FAT:", "EROFS:", "tar:", "git:"):
        assert group in lines


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("pack", "s", "x.tar", "--formt", "tar"), "--format"),
        (("pack", "--formt", "tar", "s", "x.tar"), "--format"),
        (("pack", "--formt=tar", "s", "x.tar"), "--format"),
        (("build", "--outt", "dist"), "--out"),
        (("plan", "--algn", "512"), "--align"),
        (("secrets", "edit", "x.age", "--identty", "k"), "--identity"),
        (("pack", "s", "x.tar", "--symlinks", "kep"), "keep"),
        (("pack", "s", "x", "--format", "tarr"), "tar"),
        (("attach", "root", "--for", "qemuu"), "qemu"),
        (("pakc", "s", "x.tar"), "pack"),
        (("verfy", "x.tar"), "verify"),
    ],
    ids=" ".join,
)
def test_the_nearest_name_is_offered(command: Command, words: tuple[str, ...], near: str) -> None:
    (line,) = command(*words, code=2).messages
    assert f"did you mean {near!r}?" in line


def test_what_is_near_to_nothing_is_just_refused(command: Command) -> None:
    (line,) = command("pack", "s", "x.tar", "--zzz", code=2).messages
    assert line == "unrecognized arguments: --zzz; see 'blockpack pack --help'"


def test_all_that_is_wrong_with_a_command_line_is_told_at_once(command: Command) -> None:
    words = ("pack", "s", "--size", "x", "--format", "tarr", "--jobs", "0")
    head, *lines = command(*words, code=2).messages
    assert head == "4 problems: wrong arguments or options"
    told = ("argument --size: 'x'", "argument --format: ", "argument --jobs: '0'", "the following")
    assert len(lines) == 4
    assert all(line.strip().startswith(start) for line, start in zip(lines, told, strict=True))
    assert lines[-1].endswith("required: IMAGE; see 'blockpack pack --help'")
    _, *lines = command("pack", "s", "x.tar", "--formt", "tar", "--zzz=1", code=2).messages
    assert ["--formt; did you" in lines[0], "--zzz=1; see" in lines[1]] == [True, True]
    unknown = ("pack", "s", "x.tar", "--format", "tarr", "-z", "another")
    _, *lines = command(*unknown, code=2).messages
    assert ["--format: invalid" in lines[0], ": -z another; see" in lines[1]] == [True, True]


def test_words_that_begin_with_dashes_may_be_paths(command: Command) -> None:
    (line,) = command("info", "--", "--formt", code=4).messages
    assert line.startswith("--formt: cannot be read")
