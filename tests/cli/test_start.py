"""Commands start quickly: they import nothing slow that they do not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import environment

SLOW = {
    *("asyncio", "concurrent.futures", "cryptography", "ctypes", "decimal"),
    *(
        "fs",
        "fsspec",
        "hashlib",
        "http",
        "importlib.metadata",
        "json",
        "logging",
        "multiprocessing",
    ),
    *("pathlib", "pathspec", "pickle", "random", "rich", "shutil", "socket", "subprocess"),
    *("tempfile", "tomllib", "urllib", "zipfile"),
}
"""Modules that take long to import, most of them for their own imports."""

PROGRAM = """
import sys
from blockpack.cli import main
code = main(sys.argv[1:])
print(code, *sorted(set(sys.modules)))
"""


def modules_after(*arguments: str | Path) -> set[str]:
    """What is imported when the command has run; without site, which imports some itself."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    own = environment()
    own["PYTHONPATH"] = f"{own.get('PYTHONPATH', '')}:{packages}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, *arguments],
        env=own,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    return set(modules)


@pytest.mark.parametrize("format", ["tar", "fat"])
def test_packing_imports_nothing_slow(format: str, source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    modules = modules_after("pack", "-q", source, image, "--format", format)
    assert image.exists()
    assert not SLOW & modules


@pytest.mark.parametrize("format", ["tar", "fat"])
@pytest.mark.parametrize("command", ["cat", "extract", "info", "verify"])
def test_reading_imports_nothing_slow(
    command: str, format: str, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    modules_after("pack", "-q", source, image, "--format", format)
    file = next(path.name for path in source.iterdir() if path.is_file())
    more = {"cat": [file], "extract": [str(tmp_path / "out")], "verify": [str(source)]}
    assert not SLOW & modules_after(command, image, *more.get(command, []))


def test_the_version_takes_neither_parser_nor_types() -> None:
    assert not modules_after("--version") & (SLOW | {"argparse", "attr", "re", "typing"})
