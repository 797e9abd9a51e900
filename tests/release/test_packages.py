"""What a release consists of: the source distribution and the wheel, as hatchling builds them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import pytest

from blockpack import __version__

ROOT = Path(__file__).parents[2]
VERSION = re.escape(__version__)


class Built(NamedTuple):
    """Paths of what was built."""

    source: Path
    wheel: Path


def tracked() -> list[str]:
    """The files of this checkout, relative to it; there are none to be had from a release."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [name for name in os.fsdecode(listing.stdout).split("\0") if name]


def build(project: Path, to: Path) -> Built:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", to],
        cwd=project,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    stem = f"blockpack-{__version__}"
    return Built(to / f"{stem}.tar.gz", to / f"{stem}-py3-none-any.whl")


@pytest.fixture(name="built", scope="module")
def fixture_built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What the tracked files make, on their own."""
    place = tmp_path_factory.mktemp("release")
    for name in tracked():
        target = place / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return build(place / "checkout", place / "dist")


def test_the_source_has_every_file_and_no_other(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert found == {*tracked(), "PKG-INFO"}


def test_the_wheel_has_the_package_and_no_other(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    stem = f"blockpack-{__version__}"
    package = {name.removeprefix("src/") for name in tracked() if name.startswith("src/")}
    assert {"blockpack/py.typed", "blockpack/deploy/schema.json"} <= package
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    shared = {f"man/man1/{name[4:]}" for name in tracked() if name.startswith("man/")}
    assert "man/man1/blockpack.1" in shared
    shared |= {
        "bash-completion/completions/blockpack",
        "fish/vendor_completions.d/blockpack.fish",
        "zsh/site-functions/_blockpack",
    }
    assert names == package.union(
        (f"{stem}.dist-info/{name}" for name in metadata),
        (f"{stem}.data/data/share/{name}" for name in shared),
    )


def test_the_source_builds_the_same_bytes_elsewhere(built: Built, tmp_path: Path) -> None:
    """Another directory, other times, another umask; and nothing is missing in the source."""
    with tarfile.open(built.source) as archive:
        archive.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    for path in project.rglob("*"):
        os.utime(path, (1_700_000_001, 1_700_000_001))
        path.chmod(path.stat().st_mode & 0o700)
    again = build(project, tmp_path / "dist")
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.source.read_bytes() == built.source.read_bytes()


def test_links_of_the_readme_lead_somewhere_on_other_sites() -> None:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text("utf-8")
    relative = re.compile(r"\]\((?!https://)[^)]*\)")
    links = len(relative.findall(readme))
    assert links
    assert not relative.search(module.description(readme, ""))
    absolute = module.description(readme, "https://forge.example/blockpack/")
    assert not relative.search(absolute)
    assert absolute.count("](https://forge.example/blockpack/") == links


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("CHANGELOG.md", rf"^(## \[{VERSION}\]|To become {VERSION},)"),
        ("CITATION.cff", rf"^version: {VERSION}$"),
        ("debian/changelog", rf"\Ablockpack \({VERSION}-1\)"),
    ],
)
def test_the_version_is_told_as_it_is(path: str, told: str) -> None:
    assert re.search(told, (ROOT / path).read_text("utf-8"), re.MULTILINE)
