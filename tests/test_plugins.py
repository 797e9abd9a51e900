"""A package that brings a format and a kind of source by its entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import blockpack

MODULE = '''
"""A format of lines (path, size, bytes), and a source that makes a file of its own name."""

from typing import ClassVar

from blockpack import Layout, Tree, Volume
from blockpack.formats.reader import ImageEntry, ImageReader
from blockpack.formats.registry import Format
from blockpack.planning.layout import Placement
from blockpack.planning.runs import literal, zeros

MAGIC = b"demo image\\n"


class DemoVolume(Volume):
    format: ClassVar[str] = "demo"

    def plan(self, tree, *, jobs=1):
        runs, at = [literal(0, MAGIC)], len(MAGIC)
        places = []
        for entry in tree:
            if entry.kind == "file":
                head = f"{entry.path} {entry.size}\\n".encode()
                runs.append(literal(at, head))
                at += len(head)
                places.append(Placement(entry, at))
                runs.append(literal(at, entry.extent(at).data))
                at += entry.size
        size = self.image_size(at)
        runs.append(zeros(at, size))
        return Layout(
            format="demo",
            runs=tuple(runs),
            sector_size=self.sector_size,
            geometry={"files": len(places)},
            placements=lambda: iter(places),
        )


class DemoReader(ImageReader):
    format = "demo"

    @classmethod
    def recognises(cls, head):
        return head.startswith(MAGIC)

    def entries(self, report):
        at = len(MAGIC)
        while line := self.data.read_at(at, 100).partition(b"\\n")[0].rstrip(b"\\0"):
            path, size = line.decode().split()
            at += len(line) + 1
            yield ImageEntry(path=path, kind="file", size=int(size), extents=((at, int(size)),))
            at += int(size)

    def verify(self, report):
        return self.entries(report)

    def info(self):
        return {}


FORMAT = Format("demo", f"{__name__}:DemoVolume", f"{__name__}:DemoReader")


def scan(source, options):
    tree = Tree()
    name = source.partition(":")[2]
    tree.add(name, f"made of {name}".encode())
    return tree
'''

ENTRY_POINTS = """
[blockpack.formats]
demo = demo_plugin:FORMAT

[blockpack.sources]
demo = demo_plugin:scan
"""


@pytest.fixture(name="installed")
def fixture_installed(tmp_path: Path) -> Path:
    """A directory on Python's path with the package as an installer leaves it."""
    place = tmp_path / "site-packages"
    (place / "demo_plugin-1.0.dist-info").mkdir(parents=True)
    (place / "demo_plugin.py").write_text(MODULE)
    metadata = "Metadata-Version: 2.1\nName: demo-plugin\nVersion: 1.0\n"
    (place / "demo_plugin-1.0.dist-info/METADATA").write_text(metadata)
    (place / "demo_plugin-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    return place


def python(installed: Path, *arguments: str | Path, code: int = 0) -> str:
    home = str(Path(blockpack.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((home, str(installed)))},
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_the_command_packs_lists_and_verifies_by_it(installed: Path) -> None:
    command = ("-m", "blockpack")
    python(installed, *command, "pack", "demo:x", "out", "--format", "demo")
    assert python(installed, *command, "ls", "out").split() == ["x"]
    assert python(installed, *command, "cat", "out", "x") == "made of x"
    python(installed, *command, "verify", "out", "demo:x")
    python(installed, *command, "verify", "out", "demo:y", code=1)
    python(installed, *command, "pack", "out", "out.tar")  # any image is a source
    assert python(installed, *command, "cat", "out.tar", "x") == "made of x"
    assert "nothing" not in python(installed, *command, "pack", "demo://x/y", "y.tar", code=3)


def test_the_library_scans_plans_and_reads_by_it(installed: Path) -> None:
    program = """
import blockpack
from blockpack.formats.registry import format_named
tree = blockpack.scan("demo:x")
layout = format_named("demo").volume_class()().plan(tree)
blockpack.write(layout, "out")
with blockpack.open_image("out") as image:
    print(image.format, image.read("x").decode())
"""
    assert python(installed, "-c", program) == "demo made of x\n"


def test_a_file_that_is_there_is_no_scheme(installed: Path) -> None:
    (installed.parent / "demo:x").mkdir()
    (installed.parent / "demo:x/file").touch()
    python(installed, "-m", "blockpack", "pack", "demo:x", "out.tar")
    assert python(installed, "-m", "blockpack", "ls", "out.tar").split() == ["file"]
