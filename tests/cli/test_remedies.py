"""Each error says what to do; an option that cures it is a keyword in the library, in the command
a flag, and of a deployment's volume a line of its manifest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import blockpack
from blockpack.cli.output import spelled
from blockpack.errors import BlockpackError, UsageError, as_keyword
from blockpack.planning.options import ALL, DISK
from cli.running import Command

FLAG = re.compile(r"(?<![\w-])--[a-z]")

SOURCES = Path(blockpack.__file__).parent


@pytest.mark.parametrize(
    ("option", "keyword", "flag"),
    [
        ("profile=linux", "profile='linux'", "--profile linux"),
        ("allow_device", "allow_device=True", "--allow-device"),
        ("key_file=FILE", "key_file=FILE", "--key-file FILE"),
        ("dialect=pax", "dialect='pax'", "--tar-dialect pax"),
        ("sector_size=4096", "sector_size=4096", "--sector-size 4096"),
        ("jobs=auto", "jobs='auto'", "--jobs auto"),
        ("replace", "replace=True", "--force"),
        ("runtime=DIR", "runtime=DIR", "--runtime-dir DIR"),
        ("owner=0:0", "owner='0:0'", "--owner 0:0"),
    ],
)
def test_an_option_is_a_keyword_and_a_flag(option: str, keyword: str, flag: str) -> None:
    error = UsageError("x", "is wrong", "mend it", option)
    assert str(error) == f"x: is wrong; mend it, or give {keyword}"
    assert error.remedy == f"mend it, or give {keyword}"
    name, _, value = option.partition("=")
    assert spelled("pack", name, value) == flag
    alone = UsageError("", "is wrong", option=option)
    assert str(alone) == f"is wrong; give {keyword}"
    within = UsageError("", "is wrong", "try {option} once", option)
    assert within.remedy == f"try {keyword} once"


def test_of_a_deployments_volume_it_is_a_line_of_the_manifest() -> None:
    assert spelled("build", "profile", "linux") == 'profile = "linux" in the manifest'
    assert spelled("check", "dialect", "pax") == 'tar-dialect = "pax" in the manifest'
    assert spelled("deploy", "history", "") == "history = true in the manifest"
    assert spelled("deploy", "max_size", "SIZE") == "--max-size SIZE"


class Call(NamedTuple):
    """A call in the source."""

    path: Path
    node: ast.Call

    @property
    def place(self) -> str:
        return f"{self.path.name}:{self.node.lineno}"


@pytest.fixture(name="calls", scope="module")
def fixture_calls() -> list[Call]:
    """All calls in the source."""
    return [
        Call(path, node)
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


def options_named(calls: list[Call]) -> Iterator[tuple[str, str]]:
    """(place, option) of each error in the source whose option is a plain text."""
    for call in calls:
        node = call.node
        if isinstance(node.func, ast.Name) and node.func.id.endswith(("Error", "Deviation")):
            given = [*node.args[3:4], *(k.value for k in node.keywords if k.arg == "option")]
            for value in given:
                if isinstance(value, ast.Constant) and value.value:
                    yield call.place, str(value.value)


LIBRARY_ALONE = {"size"}
"""Arguments of `make_key`, that the command has not."""

OF_COMMANDS = {
    *("allow_device", "deployment", "format", "identity", "jobs", "keep", "key_file", "max_size"),
    *("hash_offset", "name", "network", "only", "replace", "runtime", "sign_cert", "sign_key"),
    *("socket", "verity"),
}


def test_only_options_that_there_are_are_named(calls: list[Call]) -> None:
    found = list(options_named(calls))
    assert len(found) > 20
    known = {option.name for option in (*ALL, *DISK)} | OF_COMMANDS | LIBRARY_ALONE
    strange = [(place, option) for place, option in found if option.split("=")[0] not in known]
    assert not strange


def texts_of_errors(calls: list[Call]) -> Iterator[tuple[str, str]]:
    """(place, text) of everything that an error of the library may say."""
    for call in calls:
        if call.path.is_relative_to(SOURCES / "cli"):
            continue
        if ast.unparse(call.node.func).removesuffix(".of").endswith("Error"):
            for part in ast.walk(call.node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield call.place, part.value


def test_no_error_of_the_library_names_a_flag(calls: list[Call]) -> None:
    assert not [(place, text) for place, text in texts_of_errors(calls) if FLAG.search(text)]


def test_every_error_has_its_parts(calls: list[Call]) -> None:
    """One text alone would be a path, and no rule."""
    found = []
    for call in calls:
        node = call.node
        if isinstance(node.func, ast.Name):
            kind = getattr(blockpack.errors, node.func.id, None)
            is_error = isinstance(kind, type) and issubclass(kind, BlockpackError)
            starred = any(isinstance(each, ast.Starred) for each in node.args)
            if is_error and not starred and len(node.args) + len(node.keywords) < 2:
                found.append(call.place)
    assert not found


CURED: dict[str, tuple[tuple[str, ...], str, Callable[[Path], object]]] = {
    "a symbolic link in FAT": (
        ("pack", "links", "x.img", "--format", "fat"),
        "--symlinks follow",
        lambda path: blockpack.FatVolume().plan(blockpack.scan(path / "links")),
    ),
    "a size that is too small": (
        ("pack", "files", "x.tar", "--size", "1K"),
        "--size 4096",
        lambda path: blockpack.TarVolume(size="1K").plan(blockpack.scan(path / "files")),
    ),
    "a device": (
        ("pack", "files", "device", "--format", "tar"),
        "--allow-device",
        lambda path: blockpack.write(
            blockpack.TarVolume().plan(blockpack.scan(path / "files")), "device"
        ),
    ),
    "no jobs": (
        ("pack", "files", "x.tar", "--jobs", "0"),
        "--jobs auto",
        lambda path: blockpack.write(
            blockpack.TarVolume().plan(blockpack.scan(path / "files")), path / "x.tar", jobs=-1
        ),
    ),
    "an encrypted image": (
        ("ls", "noise"),
        "--key-file FILE",
        lambda path: blockpack.open_image(path / "noise"),
    ),
    "a link where links are errors": (
        ("plan", "links", "--format", "tar", "--symlinks", "error"),
        "--symlinks keep",
        lambda path: blockpack.scan(path / "links", symlinks="error"),
    ),
}


@pytest.mark.parametrize("case", CURED)
def test_what_cures_it_is_named_as_it_is_given(
    case: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = "block device" if case == "a device" else "file"
    monkeypatch.setattr("blockpack.writing.write._kind", lambda path: kind)
    for name in ("links", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "links" / "a").symlink_to("b")
    (tmp_path / "files" / "a").write_bytes(b"x")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 16)
    words, flag, use = CURED[case]
    name, _, value = flag.removeprefix("--").partition(" ")
    keyword = as_keyword(name.replace("-", "_"), value)
    found = [line for code in range(2, 7) for line in told(command, words, code)]
    assert any(flag in line for line in found), found
    assert not any(keyword in line for line in found)
    with pytest.raises(BlockpackError) as raised:
        use(tmp_path)
    by_name = raised.value.path == name  # what an argument's annotation excludes
    assert by_name or keyword in str(raised.value)
    assert not FLAG.search(str(raised.value))


def told(command: Command, words: tuple[str, ...], code: int) -> list[str]:
    """What the command says if it ends with `code`; nothing if with another."""
    try:
        return command(*words, code=code).messages
    except AssertionError:
        return []
