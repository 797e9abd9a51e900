"""Options, codes, profiles and rooms in the pages are those of the code."""

from __future__ import annotations

import ast
import re
import signal
from argparse import ArgumentParser, _SubParsersAction
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import blockpack
import figures
import report
from blockpack import errors
from blockpack.cli import pack as pack_command
from blockpack.cli import run, verify
from blockpack.cli.output import ReportError
from blockpack.deploy import file_names
from blockpack.deploy.manifest import parser
from blockpack.deploy.manifest.tree_tables import MOST_PARTS
from blockpack.deploy.secrets import held_file
from blockpack.formats.fat import dir_entry
from blockpack.formats.git import commit_entries, store
from blockpack.formats.reader import MAX_PATH
from blockpack.formats.tar.walk import MAX_EXTENDED
from blockpack.images.web import MOST_WHOLE
from blockpack.layers.disk import table_reader
from blockpack.layers.disk.gpt import FLAGS
from blockpack.layers.disk.partition_types import TYPES
from blockpack.layers.disk.table import BOOT, SHOWN
from blockpack.planning.profile import (
    PROFILES,
    ErofsLimits,
    FatLimits,
    GitLimits,
    Medium,
    TarLimits,
)
from blockpack.planning.wanted_files import MOST_PARSED
from blockpack.serving import protocol
from blockpack.serving.server import MOST_CONNECTIONS
from blockpack.sources.git import trees
from blockpack.workers.processors import MOST_WORKERS
from pages import DOCS, PAGES, ROOT, code, sections, table_under, tables
from results import Results
from test_architecture import ROOMS


def options_of(command: str) -> set[str]:
    """Every way to write an option of `command`, by its parser."""
    words = ArgumentParser(add_help=False)
    import_module(f"blockpack.cli.{command}").arguments(words)
    return options_taken(words) - {"-h", "--help"}


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
    rows = table_under(DOCS / "warnings.md", "Warnings", "code")
    assert all(cause and cure for _, cause, cure in rows)
    codes = [each for first, *_ in rows for each in code(first)]
    assert codes == sorted(found)


LIMITS = {
    "Reading images": {
        "bytes of a tar's extended header": MAX_EXTENDED,
        "characters of a path in a FAT or an EROFS": MAX_PATH,
        "entries of a FAT's directory, which is read once": dir_entry.MAX_ENTRIES,
        "bytes of the array of a GPT's entries": table_reader.MOST_ARRAY,
        "logical partitions of an MBR": table_reader.MOST_LOGICAL,
        "deltas on top of one another in a pack": store.MOST_CHAIN,
        "bytes of a delta, and of what it makes, in a pack": store.MOST_DELTA,
        "entries of a git image": commit_entries.MOST_ENTRIES,
    },
    "Sources, deployments and serving": {
        "processes that work, of `auto`": MOST_WORKERS,
        "entries of a git source": trees.MOST_ENTRIES,
        "directories in one another in a git source": trees.MOST_DEPTH,
        "bytes of an image at a URL that is read whole, for its server gives no ranges": MOST_WHOLE,
        "bytes of a file that a [profile](profiles.md) has looked into": MOST_PARSED,
        "bytes of a deployment's manifest": file_names.MOST_BYTES,
        "volumes of a deployment": parser.MOST_VOLUMES,
        "disks of a deployment": parser.MOST_DISKS,
        "recipients of secrets": parser.MOST_RECIPIENTS,
        "parts of a volume": MOST_PARTS,
        "bytes of a secret, and of all secrets of a volume": held_file.MOST_BYTES,
        "clients that are [served](serve.md) at once": MOST_CONNECTIONS,
        "bytes that one request asks for": protocol.MOST_BYTES,
    },
}


@pytest.mark.parametrize("heading", LIMITS)
def test_limits_are_those_of_the_code(heading: str) -> None:
    told = {}
    for what, most in table_under(DOCS / "limits.md", heading, "what"):
        number, _, unit = most.replace(",", "").partition(" ")
        told[what] = int(number) << {"": 0, "KiB": 10, "MiB": 20, "GiB": 30}[unit]
    assert told == LIMITS[heading]


def test_every_exit_code_is_told() -> None:
    told = {
        (int(number), name.strip("`"))
        for number, name, *_ in table_under(DOCS / "exit-codes.md", "Exit codes", "code")
    }
    classes = [
        error
        for error in vars(errors).values()
        if isinstance(error, type)
        and issubclass(error, errors.BlockpackError)
        and error is not errors.BlockpackError
        and not issubclass(error, errors.Problems)
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


def profile_tables() -> dict[tuple[str, ...], list[list[str]]]:
    """The tables of the page, by their headings."""
    page = DOCS / "profiles.md"
    assert set(PROFILES) <= sections(page).keys()
    return {tuple(heading): rows for heading, *rows in tables(page.read_text("utf-8"))}


def test_profiles_and_their_readers_are_those_of_the_code() -> None:
    assert profile_tables()["profile", "reader", "formats"] == [
        [f"`{each.name}`", each.summary, ", ".join(each.formats) or "all"]
        for each in PROFILES.values()
    ]


def test_limits_of_profiles_are_those_of_the_code() -> None:
    told = {}
    for limit, usual, otherwise in profile_tables()["limit", "usual", "otherwise"]:
        told[next(iter(code(limit)))] = usual, otherwise
    kinds = {"fat": FatLimits, "tar": TarLimits, "git": GitLimits, "erofs": ErofsLimits}
    usual_ones: dict[str, Any] = {form: limits() for form, limits in kinds.items()}
    for form, limits in usual_ones.items():
        for limit in limits._fields:
            usual = getattr(limits, limit)
            values = {each.name: getattr(getattr(each, form), limit) for each in PROFILES.values()}
            others = [f"`{name}` {shown(v)}" for name, v in values.items() if v != usual]
            assert told.pop(f"{form}.{limit}") == (shown(usual), "; ".join(others)), limit
    assert not told


def test_types_and_flags_of_partitions_are_those_of_the_code() -> None:
    told = [
        (name, guid, byte)
        for name, guid, byte, _ in table_under(DOCS / "disks.md", "Types", "type")
    ]
    assert told == [
        (f"`{name}`", f"`{found.guid}`", "–" if found.mbr is None else f"`0x{found.mbr:02x}`")
        for name, found in TYPES.items()
    ]
    flags = [name.strip("`") for name, *_ in table_under(DOCS / "disks.md", "Flags", "flag")]
    assert flags == [*FLAGS, BOOT, SHOWN]


def test_files_that_readers_look_for_are_those_of_the_code() -> None:
    heading = ("profile", "file", "presence", "content", "keys")
    assert profile_tables()[heading] == [
        [
            f"`{profile.name}`",
            ", ".join(f"`{path}`" for path in wanted.path.split("|")),
            wanted.presence,
            shown(wanted.syntax),
            ", ".join(f"`{key}`" for key in (*wanted.required_keys, *wanted.expected_keys)),
        ]
        for profile in PROFILES.values()
        for wanted in profile.files
    ]


def shown(value: object) -> str:
    """A limit as the table has it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Medium):
        return f"{value.size >> 10}K"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value)) or "–"
    return str(value)


def test_the_page_has_every_room_in_the_order_of_imports() -> None:
    told = [row[0] for row in table_under(DOCS / "architecture.md", "Rooms", "room")]
    assert told == [f"`{room}`" for room in ROOMS if room != "public"]


def test_figures_and_charts_are_those_of_the_benchmark() -> None:
    results = Results.load(ROOT / "benchmarks" / "results.json")
    for page in figures.PAGES:
        text = page.read_text("utf-8")
        assert figures.written(text, results) == text
        assert "<!-- method -->" in text
    charts = {chart.name: chart.read_text("utf-8") for chart in figures.CHARTS.iterdir()}
    assert figures.charts(results) == charts
    told = (ROOT / "benchmarks" / "results.md").read_text("utf-8")
    assert report.markdown(results) == told
