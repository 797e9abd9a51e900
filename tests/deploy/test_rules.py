"""The rules of examples/rules, by the programs that read them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from deploy.deployments import FILES, contents, write_files
from judges.programs import require
from pages import install_command

RULES = Path(__file__).parents[2] / "examples" / "rules"

MAKEFILE = f"""\
DEPLOYMENT := www
VOLUMES := site media
all: kernel others
include {RULES}/blockpack.mk
kernel: $(DIST)/site.img
\techo $@ >>runs; cp $< $@
others: $(DIST)/media.img
\techo $@ >>runs; cp $< $@
"""

NINJA = f"""\
blockpack = blockpack
include {RULES}/blockpack.ninja
build dist/manifest.json | dist/site.img dist/media.img: blockpack www/blockpack.toml
  deployment = www
  dist = dist
rule link
  command = echo $out >>runs; cp $in $out
build kernel: link dist/site.img
build others: link dist/media.img
"""

DUNE = """\
(rule
 (targets kernel)
 (deps images/site.img)
 (action (system "echo kernel >>%{env:RUNS=}; cp images/site.img kernel")))
(rule
 (targets others)
 (deps images/media.img)
 (action (system "echo others >>%{env:RUNS=}; cp images/media.img others")))
"""


class Tool:
    """A build system at work in `place`, on the deployment in its directory ``www``."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.place = place
        self.www = write_files(place / "www", FILES)
        self.images = place / "dist"
        if name == "make":
            (place / "Makefile").write_text(MAKEFILE)
        elif name == "ninja":
            (place / "build.ninja").write_text(NINJA)
        else:
            text = (RULES / "dune").read_text()
            (self.www / "dune").write_text(text + DUNE)
            version = subprocess.run(
                ["dune", "--version"], stdout=subprocess.PIPE, check=True
            ).stdout
            newest = ".".join(version.decode().split(".")[:2])
            (self.www / "dune-project").write_text(f"(lang dune {newest})\n")
            self.images = self.www / "_build/default/images"

    def __call__(self) -> list[str]:
        """Build; which of what depends on images was made."""
        runs = self.place / "runs"
        runs.write_text("")
        command = [self.name, "build"] if self.name == "dune" else [self.name]
        done = subprocess.run(
            command,
            cwd=self.www if self.name == "dune" else self.place,
            env={**os.environ, "RUNS": str(runs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return sorted(runs.read_text().split())


@pytest.fixture(name="tool", params=["make", "ninja", "dune"])
def fixture_tool(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tool:
    name: str = request.param
    require(name)
    install_command(tmp_path / "bin", monkeypatch)
    place = tmp_path / "place"
    place.mkdir()
    return Tool(name, place)


def test_what_depends_on_an_image_is_made_when_that_changed(tool: Tool, tmp_path: Path) -> None:
    assert tool() == ["kernel", "others"]
    assert tool() == []
    steps: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: (tool.www / "site/index.html").write_bytes(b"changed"), ["kernel"]),
        (lambda: (tool.www / "site/new.html").write_bytes(b"added"), ["kernel"]),
        (lambda: (tool.www / "site/new.html").unlink(), ["kernel"]),
        (lambda: (tool.www / "media/film.bin").rename(tool.www / "media/f"), ["others"]),
        (
            lambda: write_files(tool.www, {"media/.well-known/x": b"", "media/_x/y": b""}),
            ["others"],
        ),
        (
            lambda: write_files(tool.www, {"media/dune": b"(rule", "media/Makefile": b"}"}),
            ["others"],
        ),
        (lambda: (tool.www / "unpacked").write_bytes(b""), []),
    ]
    for number, (step, made) in enumerate(steps):
        step()
        assert tool() == made, number
        assert tool() == [], number
    out = tmp_path / "expected"
    build(tool.www, out)
    for volume in ("site", "media"):
        image = tool.images / f"{volume}.img"
        assert contents(image) == contents(out / image.name)
        assert image.read_bytes() == (out / image.name).read_bytes()


def test_an_image_that_somebody_removed_is_built_again(tool: Tool) -> None:
    tool()
    if tool.name == "dune":  # which does not look into _build since 3.23
        shutil.rmtree(tool.www / "_build")
    else:
        (tool.images / "site.img").unlink()
    tool()
    assert "index.html" in contents(tool.images / "site.img")
    assert tool() == []


def test_a_deployment_that_is_wrong_fails_and_leaves_what_was_there(tool: Tool) -> None:
    tool()
    (tool.www / "site/what?").write_bytes(b"")
    with pytest.raises(AssertionError, match="FAT has no"):
        tool()
    (tool.www / "site/what?").unlink()
    tool()
    assert "index.html" in contents(tool.images / "site.img")


GENERATED = """\
(data_only_dirs media)
(subdir site (rule (target main.css) (mode promote) (deps ../style.css)
 (action (copy ../style.css main.css))))
"""


def test_dune_packs_what_it_generates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("dune")
    install_command(tmp_path / "bin", monkeypatch)
    tool = Tool("dune", tmp_path)
    rules = (RULES / "dune").read_text().replace("(data_only_dirs site media)", GENERATED)
    (tool.www / "dune").write_text(rules + DUNE)
    for style in (b"one", b"two"):
        (tool.www / "style.css").write_bytes(style)
        assert "kernel" in tool()
        assert contents(tool.images / "site.img")["main.css"] == style
        shutil.rmtree(tool.www / "_build")
        (tool.www / "site/main.css").unlink()
