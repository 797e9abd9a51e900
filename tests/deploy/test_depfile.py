"""Depfiles: Make and Ninja build again exactly when something changed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blockpack import Problems, UsageError
from blockpack.deploy.building.build import build
from blockpack.deploy.building.task import make
from cli.running import Command, environment
from deploy.attach.conftest import clean_environment, fixture_command
from deploy.deployments import contents, manifest, names, record, write_files
from repositories import GitRepository

__all__ = ["clean_environment", "fixture_command"]

NAMES = (
    *("plain", "with space", "two  spaces", " first", "#hash", "a#b", "$dollar", "$(x)y"),
    *("co:lon", "c:/x", "{b}", "br[a]cket", "~tilde", "-dash", "Größe", "a,b"),
    *("at@", "plus+", "exc!am", "ends$", "dir (1)/x", "dir$ #/y z"),
)

ODD = ("quo'te", 'dou"ble', "a&b", "que?ry", "st*r", "l<t", "g>t", "c^t", "b`t")
"""Names that not every Ninja can be told."""

MAKEFILE = """
dist/manifest.json: {source}/blockpack.toml
\t{command} build {source} --out dist --depfile dist.d
\techo run >> runs
-include dist.d
"""

NINJA = """
rule blockpack
  command = {command} build {source} --out dist --depfile dist.d && echo run >> runs
  depfile = dist.d
  {deps}
build dist/manifest.json: blockpack {source}/blockpack.toml
"""

COMMAND = f"{shlex.quote(sys.executable)} -m blockpack"

Runs = Callable[[], int]


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, with a deployment in ``deployment``."""
    text = manifest('[volumes.site]\nsource = "site"\nformat = "tar"\n')
    write_files(tmp_path / "deployment", {"blockpack.toml": text})
    write_files(tmp_path / "deployment/site", dict.fromkeys(NAMES, b"x"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runner(tool: str, place: Path, source: str = "deployment") -> Runs:
    """A function that has the tool do its work, and tells how often it built."""
    if tool == "make":
        (place / "Makefile").write_text(MAKEFILE.format(command=COMMAND, source=source))
    else:
        deps = "deps = gcc" if tool == "ninja, deps" else ""
        text = NINJA.format(command=COMMAND, source=source, deps=deps)
        (place / "build.ninja").write_text(text)

    def runs() -> int:
        before = len(lines(place / "runs"))
        done = subprocess.run(
            [tool.partition(",")[0]],
            cwd=place,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
        record(place / "dist")
        return len(lines(place / "runs")) - before

    return runs


def would_run(tool: str, place: Path) -> bool:
    """Whether the tool would build now; it does nothing."""
    command = ["make", "--question"] if tool == "make" else ["ninja", "-n"]
    done = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=60)
    assert done.returncode in ((0, 1) if tool == "make" else (0,)), done.stderr
    return done.returncode == 1 if tool == "make" else b"no work to do" not in done.stdout


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """Meanwhile a file has another content; then it has its old one, of its old time."""
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(content)
    yield
    path.write_bytes(before)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


TOOLS = ["make", "ninja", "ninja, deps"]
each_reader = pytest.mark.parametrize("tool", ["make", "ninja, deps"])
"""Once for each program that reads a depfile; Ninja keeps what it read, if it may."""


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_built_is_built_again_when_it_changed_and_only_then(place: Path, tool: str) -> None:
    runs = runner(tool, place)
    assert runs() == 1
    site = place / "deployment/site"
    for name in NAMES:
        assert not would_run(tool, place), name
        with changed(site / name, name.encode()):
            assert would_run(tool, place), name
    assert runs() == 0
    for name in NAMES:
        (site / name).write_bytes(name.encode())
    assert (runs(), runs()) == (1, 0)
    assert contents(place / "dist/site.img") == {name: name.encode() for name in NAMES}


@each_reader
def test_odd_names_never_hide_a_change(place: Path, tool: str) -> None:
    site = place / "deployment/site"
    write_files(site, dict.fromkeys(ODD, b"x"))
    runs = runner(tool, place)
    assert runs() == 1
    for name in ODD:
        if tool == "make":
            assert not would_run(tool, place), name
        with changed(site / name, name.encode()):
            assert would_run(tool, place), name
    for name in ODD:
        (site / name).write_bytes(name.encode())
    assert runs() == 1
    assert {name: name.encode() for name in ODD}.items() <= contents(
        place / "dist/site.img"
    ).items()


@each_reader
def test_files_that_come_and_go_have_it_built_again(place: Path, tool: str) -> None:
    runs = runner(tool, place)
    site = place / "deployment/site"
    assert runs() == 1
    steps: list[Callable[[], object]] = [
        lambda: (site / "plain").rename(site / "dir (1)/plain"),
        lambda: (site / "empty").mkdir(),
        lambda: (site / "empty").rmdir(),
        lambda: (site / "dangling").symlink_to("nowhere"),
    ]
    for number, step in enumerate(steps):
        step()
        assert runs() == 1, number
        assert not would_run(tool, place), number


@each_reader
def test_a_manifest_that_says_the_same_is_read_once(place: Path, tool: str) -> None:
    runs = runner(tool, place)
    assert runs() == 1
    image = (place / "dist/site.img").stat()
    text = (place / "deployment/blockpack.toml").read_text()
    (place / "deployment/blockpack.toml").write_text(f"# a remark\n{text}")
    assert runs() == 1
    assert (place / "dist/site.img").stat().st_mtime_ns == image.st_mtime_ns
    assert runs() == 0


@each_reader
def test_a_commit_is_built_again_when_its_branch_moves(tmp_path: Path, tool: str) -> None:
    files = {
        "blockpack.toml": manifest('[volumes.site]\nsource = "site"\nformat = "tar"\n'),
        "site/x": b"x",
    }
    repository = GitRepository.init(tmp_path / "r.git", "--bare")
    repository.commit(files)
    runs = runner(tool, tmp_path, "git:r.git@main")
    for name in ("Makefile", "build.ninja"):
        if (tmp_path / name).exists():
            text = (tmp_path / name).read_text()
            (tmp_path / name).write_text(text.replace("git:r.git@main/blockpack.toml", ""))
    assert (runs(), runs()) == (1, 0)
    repository.commit(files | {"site/y": b"y"})
    assert (runs(), runs()) == (1, 0)
    assert set(contents(tmp_path / "dist/site.img")) == {"x", "y"}
    repository.git("pack-refs", "--all")
    repository.commit(files)
    assert runs() >= 1
    assert runs() == 0


def test_a_change_during_the_build_is_not_missed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes after it was read is newer than the record, however long the build takes."""

    def late(*arguments: object) -> object:
        built = make(*arguments)  # type: ignore[arg-type]
        time.sleep(0.05)
        (place / "deployment/site/plain").write_bytes(b"late")
        return built

    monkeypatch.setattr("blockpack.deploy.building.executors.make", late)
    build("deployment", "dist", depfile="dist.d", jobs=1)
    monkeypatch.undo()
    monkeypatch.chdir(place)
    runs = runner("make", place)
    assert runs() == 1
    assert contents(place / "dist/site.img")["plain"] == b"late"
    assert runs() == 0


@pytest.mark.parametrize(
    "name",
    [
        *("line\nbreak", "semi;colon", "pi|pe", "back\\slash", "member(x)", "t\tab"),
        *("a!=touch${IFS}ran&", "e=q", "e+=q", "100%.html", "%", "grouped&", "last "),
    ],
)
def test_names_that_cannot_be_told_are_refused(place: Path, name: str) -> None:
    (place / "deployment/site" / name).write_bytes(b"")
    with pytest.raises(Problems) as caught:
        build("deployment", "dist", depfile="dist.d")
    assert "Make and Ninja cannot both read it" in str(caught.value)
    assert not (place / "dist").exists()
    assert not (place / "dist.d").exists()


def test_brackets_that_make_would_take_for_another_file_are_refused(place: Path) -> None:
    write_files(place / "deployment/site", {"f[1]": b"", "f1": b""})
    with pytest.raises(Problems, match="cannot be in a depfile"):
        build("deployment", "dist", depfile="dist.d")


def test_a_name_that_ninja_would_take_for_others_is_refused(place: Path) -> None:
    """Older ones take ``a&`` for ``a``, and would look at that instead."""
    write_files(place / "deployment/site", {"a&": b"", "a": b""})
    with pytest.raises(Problems, match="cannot be in a depfile"):
        build("deployment", "dist", depfile="dist.d")


def test_what_was_built_before_needs_a_depfile_all_the_same(place: Path) -> None:
    build("deployment", "dist")
    image = os.stat("dist/site.img")
    report = build("deployment", "dist", depfile="dist.d")
    assert report.unchanged == ("site",)
    assert os.stat("dist/site.img").st_mtime_ns == image.st_mtime_ns
    assert "dist/manifest.json: deployment/blockpack.toml" in (place / "dist.d").read_text()
    assert build("deployment", "dist").unchanged == ("site",)
    assert names(place / "dist") == {
        *("site.img", "site.json", "manifest.json", ".blockpack-build.json")
    }


def test_nothing_is_overwritten_but_an_earlier_depfile(place: Path, command: Command) -> None:
    Path("key").write_text("00" * 32)
    Path("notes").write_text("about manifest.json: it is the record\n")
    options = ("build", "deployment", "--out", "dist", "--key-file", "key")
    overwritten = "{}: is no earlier depfile, and would be overwritten"
    # Of a first build what is in the way is the image that it made.
    result = command(*options, "--depfile", "dist/site.img", code=2)
    assert overwritten.format("dist/site.img") in result.err
    of_source = ("deployment/blockpack.toml", "deployment/site/plain")
    for name in (*of_source, "key", "notes", *(f"dist/{each}" for each in names(place / "dist"))):
        before = Path(name).read_bytes()
        result = command(*options, "--depfile", name, code=2)
        assert overwritten.format(name) in result.err
        with pytest.raises(UsageError, match=re.escape(overwritten.format(name))):
            build("deployment", "dist", depfile=name)
        assert Path(name).read_bytes() == before
    assert "-: is not a regular file" in command(*options, "--depfile", "-", code=5).err
    within = (*options[:4], "--depfile", "deployment/site/dist.d")
    for _ in range(2):  # it is no part of what it is in
        assert "1 image unchanged" in command(*within).err
        assert Path("deployment/site/dist.d").read_bytes().startswith(b"dist/manifest.json: ")
