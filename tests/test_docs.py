"""What the documentation says is so: its tables, options, examples, links and names of tests.

Blocks marked ``console`` are run, and must print what they show; blocks marked ``python`` are run,
and print their lines that begin with ``#``. Both go page by page, in a directory with the site that
docs/getting-started.md makes. Other blocks are not run.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import os
import pydoc
import re
import signal
import struct
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import blockpack
import readme
from blockpack import errors
from blockpack.cli import pack as pack_command
from blockpack.cli import run, verify
from blockpack.cli.output import ReportError
from blockpack.formats.fat import boot_sector, dir_entry
from blockpack.formats.git import container, pack_format
from blockpack.formats.tar import header
from blockpack.layers import ccm
from blockpack.planning.profile import PROFILES
from deploy.attach.builds import documented
from test_architecture import ROOMS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SITE = "/home/you"  # where the pages show the examples to be run

COMMITTING = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "You" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "you@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}
"""What has git make the same commits each time."""

Table = list[list[str]]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def sections(page: Path) -> dict[str, str]:
    """The text under each heading, up to the next one."""
    found: dict[str, str] = {}
    heading = ""
    fenced = False
    for line in page.read_text("utf-8").splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            heading = line.lstrip("#").strip().replace("`", "")
            assert heading not in found, f"{page}: two headings {heading!r}"
        found[heading] = found.get(heading, "") + line
    return found


def tables(text: str) -> list[Table]:
    """The tables in `text`, each with its first row, without the line below that."""
    found: list[Table] = []
    rows: Table = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip() for cell in cells])
        elif rows:
            found.append([rows[0], *rows[2:]])
            rows = []
    return found


def table_under(page: Path, heading: str, first: str) -> Table:
    """The rows of the table under `heading` whose first column is headed `first`."""
    (found,) = [table for table in tables(sections(page)[heading]) if table[0][0] == first]
    return found[1:]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of that language in `text`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def code(cell: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", cell))


# Structures ------------------------------------------------------------------------------------

Fields = list[tuple[int, int, str]]
"""Offset, size and name of each field of a structure."""


def fields(start: int, sizes: Iterable[tuple[str, int]]) -> Fields:
    found = []
    for name, size in sizes:
        found.append((start, size, name))
        start += size
    return found


def packed(start: int, *structures: Iterable[tuple[str, str]]) -> Fields:
    """The fields of tables that name a struct format for each."""
    sizes = [(name, struct.calcsize(f"<{form}")) for table in structures for name, form in table]
    return fields(start, sizes)


COMMON_END = sum(size for _, size, _ in packed(0, boot_sector.COMMON))

STRUCTURES = {
    ("tar.md", "Header"): fields(0, header.FIELDS),
    ("fat.md", "Boot sector"): packed(0, boot_sector.COMMON),
    ("fat.md", "FAT12 and FAT16"): packed(COMMON_END, boot_sector.TAIL_16),
    ("fat.md", "FAT32"): packed(COMMON_END, boot_sector.TAIL_32),
    ("fat.md", "FSInfo sector"): packed(0, boot_sector.FSINFO),
    ("fat.md", "Short entry"): packed(0, dir_entry.ENTRY),
    ("fat.md", "Long-name entry"): packed(0, dir_entry.LONG),
    ("ccm.md", "Sectors of 512 bytes"): fields(0, ccm.fields(512)),
    ("ccm.md", "Sectors of 4096 bytes"): fields(0, ccm.fields(4096)),
    ("git.md", "docteur"): packed(0, container.DOCTEUR),
    ("git.md", "OneFFS"): packed(0, container.ONEFFS, container.ONEFFS_CRC),
    ("git.md", "Pack header"): packed(0, pack_format.FIELDS),
}


@pytest.mark.parametrize(("page", "heading"), STRUCTURES)
def test_structures_are_those_of_the_code(page: str, heading: str) -> None:
    rows = table_under(DOCS / "format" / page, heading, "Offset")
    told = [(int(offset), int(size), name.strip("`")) for offset, size, name, _ in rows]
    assert told == STRUCTURES[page, heading]
    assert all(meaning for *_, meaning in rows)


def test_every_structure_of_the_pages_is_checked() -> None:
    found = {
        (page.name, heading)
        for page in (DOCS / "format").glob("*.md")
        for heading, text in sections(page).items()
        for table in tables(text)
        if table[0][0] == "Offset"
    }
    assert found == STRUCTURES.keys()


# Options, codes, profiles ------------------------------------------------------------------------


def options_of(command: str) -> set[str]:
    """Every way to write an option of `command`, by its parser."""
    parser = ArgumentParser(add_help=False)
    import_module(f"blockpack.cli.{command}").arguments(parser)
    return options_taken(parser) - {"-h", "--help"}


def options_taken(parser: ArgumentParser) -> set[str]:
    """Those of a parser, and of the ones for what it can be asked to do."""
    found = {flag for action in parser._actions for flag in action.option_strings}
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            found = found.union(*map(options_taken, action.choices.values()))
    return found


def options_in(text: str) -> set[str]:
    """The options in the first column of the tables in `text`."""
    rows = [row for table in tables(text) if table[0][0] == "option" for row in table[1:]]
    return {part.split()[0] for first, *_ in rows for part in code(first) if part[0] == "-"}


@pytest.mark.parametrize("command", run.COMMANDS)
def test_every_option_is_told_and_none_that_is_not_there(command: str) -> None:
    page = sections(DOCS / "cli.md")
    section = page[f"blockpack {command}"]
    told = options_in(section)
    if "(#volume-options)" in section:
        told |= options_in(page["Volume options"])
    assert told == options_of(command)


def test_choices_are_those_of_the_parser() -> None:
    parser = ArgumentParser()
    pack_command.arguments(parser)
    rows = [
        row for table in tables(sections(DOCS / "cli.md")["Volume options"]) for row in table[1:]
    ]
    told = {flag.split()[0]: code(first) for first, *_ in rows for flag in code(first)}
    for action in parser._actions:
        if action.choices is not None:
            (flag,) = action.option_strings
            shown = {part.split()[-1] for part in told[flag]}
            assert shown == set(map(str, action.choices)), flag


def test_every_option_in_any_page_is_one() -> None:
    known = set().union(*map(options_of, run.COMMANDS)) | {"--version", "--help", "--"}
    for page in PAGES:
        for line in page.read_text("utf-8").splitlines():
            if re.match(r"\s*(\$ )?blockpack |.*`--", line):
                # Other programs are told with their own: `solo5-hvt --block:…`, `cmp`, …
                told = set(re.findall(r"(?<![\w-])--[a-z-]*", line))
                strange = told - known - {"--block-sector-size", "--block"}
                assert not strange, f"{page.name}: {line}"


def test_every_code_of_a_warning_is_told() -> None:
    found = set()
    for path in Path(blockpack.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "LayoutWarning":
                found.add(ast.literal_eval(node.args[1]))
    rows = table_under(DOCS / "json.md", "Warnings", "code")
    assert {each for first, *_ in rows for each in code(first)} == found


def test_every_exit_code_is_told() -> None:
    told = {
        (int(number), name.strip("`"))
        for number, name, _ in table_under(DOCS / "exit-codes.md", "Exit codes", "code")
    }
    classes = [
        error
        for error in vars(errors).values()
        if isinstance(error, type)
        and issubclass(error, errors.BlockpackError)
        and error not in (errors.BlockpackError, errors.Problems)
        and "exit_code" in vars(error)
    ]
    ended = {run.Terminated(number).exit_code for number in (signal.SIGHUP, signal.SIGTERM)}
    nameless = {0, verify.DIFFERENT, ReportError.exit_code, run.INTERRUPTED, *ended}
    assert told == {(error.exit_code, error.__name__) for error in classes} | {
        (number, "") for number in nameless
    }


def test_every_error_is_in_the_library_page() -> None:
    told = {name for name, _ in table_under(DOCS / "library.md", "Errors", "error")}
    assert {f"`{name}`" for name in vars(blockpack)["_HOMES"]["errors"]} == told | {
        "`BlockpackError`"
    }


def test_profiles_and_their_limits_are_those_of_the_code() -> None:
    page = DOCS / "profiles.md"
    assert set(PROFILES) <= sections(page).keys()
    (table,) = [table for table in tables(sections(page)["Profiles"]) if table[0][0] == "limit"]
    names = [cell.strip("`") for cell in table[0][1:]]
    assert names == list(PROFILES)
    told = {next(iter(code(limit))): values for limit, *values in table[1:]}
    for form in ("fat", "tar", "git"):
        for limit in type(getattr(PROFILES["any"], form)).__slots__:
            if not limit.startswith("_"):
                values = [getattr(getattr(PROFILES[name], form), limit) for name in names]
                assert told.pop(f"{form}.{limit}") == [shown(value) for value in values], limit
    assert not told


def shown(value: object) -> str:
    """A limit as the table has it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_the_page_has_every_room_in_the_order_of_imports() -> None:
    told = [row[0] for row in table_under(DOCS / "architecture.md", "Rooms", "room")]
    assert told == [f"`{room}`" for room in ROOMS if room != "public"]


def test_the_readmes_figures_are_those_of_the_benchmark() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    assert readme.written(text, results) == text


# Links and names ---------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What a link into `page` may lead to, as the site and GitHub name it."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in sections(page)
    }


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name}: {target}"
        if page.is_relative_to(DOCS):  # a site has no files outside
            assert linked.is_relative_to(DOCS), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


def test_every_page_is_in_the_site() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    for name, test in re.findall(r"`((?:tests|src|docs|examples)/[\w/.-]+)(?:::(\w+))?`", text):
        path = ROOT / name
        assert path.exists(), f"{page.name}: {name}"
        if test:
            functions = re.findall(r"^def (\w+)\(", path.read_text("utf-8"), re.M)
            assert test in functions, f"{page.name}: {name}::{test}"


@pytest.mark.parametrize("page", ["tar.md", "fat.md", "git.md", "ccm.md"])
def test_every_invariant_names_its_test(page: str) -> None:
    rows = table_under(DOCS / "format" / page, "Invariants", "Invariant")
    assert rows and "::" in rows[0][1]
    assert all(re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`|the same", test) for _, test in rows)


# Examples ----------------------------------------------------------------------------------------


def install_command(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command ``blockpack`` at hand, in the new directory `programs`."""
    programs.mkdir()
    program = programs / "blockpack"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m blockpack \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(blockpack.__file__).parents[1]))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, with the command ``blockpack`` at hand."""
    install_command(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for name, value in COMMITTING.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command in the ``console`` blocks of `text`, with what it is said to print."""
    for block in blocks(text, "console"):
        for command in re.split(r"^\$ ", block, flags=re.M)[1:]:
            line, _, output = command.partition("\n")
            yield line, output


def run_command(line: str, place: Path) -> str:
    """What `line` prints; it must succeed."""
    process = subprocess.run(
        ["sh", "-c", line],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, f"{line}: {process.stdout}"
    return process.stdout.replace(str(place), SITE)


def steady(output: str) -> str:
    """`output` without what differs between runs and file systems."""
    output = re.sub(r" in \d+\.\d\d s(, [\d.]+ \w+ cloned)?$", " in … s", output, flags=re.M)
    output = re.sub(r'"seconds": [\d.e-]+', '"seconds": 0.01', output)
    output = re.sub(r"live since \S+Z$", "live since 2026-01-01T00:00:00Z", output, flags=re.M)
    output = re.sub(r"all take \S+ \w+ on", "all take 176.0 KiB on", output)
    output = re.sub(r" +$", "", output, flags=re.M)  # git ends what a hook prints with spaces
    # Where the file system clones, what is not cloned is copied.
    return re.sub(
        r'"copied": (\d+),(\s+)"cloned": (\d+)',
        lambda found: f'"copied": {int(found[1]) + int(found[3])},{found[2]}"cloned": 0',
        output,
    )


def make_site(place: Path) -> None:
    """The site that all examples use."""
    for line, output in commands(sections(DOCS / "getting-started.md")["A site"]):
        assert run_command(line, place) == output


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```console" in page.read_text("utf-8")], ids=page_id
)
def test_commands_print_what_is_shown(page: Path, place: Path) -> None:
    if page.name != "getting-started.md":
        make_site(place)
    if page.parent.name == "deploy":
        documented(place)
        (place / "examples").symlink_to(ROOT / "examples")
    for line, output in commands(page.read_text("utf-8")):
        assert steady(run_command(line, place)) == steady(output), line


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text("utf-8")], ids=page_id
)
def test_python_runs_and_prints_what_is_shown(page: Path, place: Path) -> None:
    make_site(place)
    if page.parent.name == "deploy":
        documented(place)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(page.read_text("utf-8"), "python"), 1):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block, f"{page.name}, block {number}", "exec"), names)
        told = re.findall(r"^# (.*\n)", block, re.M)
        if told:
            assert printed.getvalue() == "".join(told)


def test_type_checkers_accept_every_example(tmp_path: Path) -> None:
    """The blocks of a page follow one another, so they are one program."""
    programs = []
    for page in PAGES:
        found = blocks(page.read_text("utf-8"), "python")
        if found:
            program = tmp_path / f"{page.stem.replace('-', '_')}.py"
            program.write_text("\n".join(found), "utf-8")
            programs.append(program)
    command = [sys.executable, "-m", "mypy", "--config-file", os.devnull]
    paths = {"MYPYPATH": str(ROOT / "src"), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, "--cache-dir", tmp_path / "cache", "--follow-imports", "silent", *programs],
        capture_output=True,
        text=True,
        env={**os.environ, **paths},
        check=False,
    )
    assert not done.returncode, done.stdout


VOLUME_CLASSES = (blockpack.TarVolume, blockpack.FatVolume, blockpack.GitVolume)
PUBLIC = [name for name in dir(blockpack) if name[0] != "_"]


def test_help_on_the_package_fits_two_screens() -> None:
    assert len(pydoc.render_doc(blockpack).splitlines()) < 60


@pytest.mark.parametrize("name", PUBLIC)
def test_help_begins_with_what_a_public_name_is(name: str) -> None:
    first = (inspect.getdoc(getattr(blockpack, name)) or "").split("\n\n")[0]
    assert 1 <= len(first.splitlines()) <= 4
    assert not first.startswith(f"{name}("), "what attrs says of a class without a text"


def test_values_are_shown_in_a_line(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a", b"x" * 100_000)
    for value in (tree, tree["a"], *(kind() for kind in VOLUME_CLASSES)):
        assert len(repr(value)) < 300, repr(value)
