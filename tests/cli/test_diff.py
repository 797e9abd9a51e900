"""What differs is told once each, whatever the two sides are; equal ones exit with 0."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli.running import Command


@pytest.fixture(name="sites")
def fixture_sites(tmp_path: Path) -> tuple[Path, Path]:
    """Two sites of which some is the same."""
    old, new = tmp_path / "old", tmp_path / "new"
    for site in (old, new):
        (site / "d").mkdir(parents=True)
        (site / "d" / "same").write_bytes(b"same")
        (site / "changed").write_text(site.name)
        os.utime(site / "d" / "same", (10**9, 10**9))
        os.utime(site / "d", (10**9, 10**9))
        os.utime(site / "changed", (10**9, 10**9))
    (old / "gone").write_text("x")
    (new / "come").write_text("x")
    return old, new


EXPECTED = ["~ changed", "+ come", "- gone"]


def packed(command: Command, site: Path, format: str) -> Path:
    image = site.with_suffix(f".{format}")
    command("pack", site, image, "-q", "--format", format)
    return image


@pytest.mark.parametrize("one", ["source", "tar", "fat", "git", "erofs"])
@pytest.mark.parametrize("other", ["source", "tar", "fat", "git", "erofs"])
def test_any_two_sides_are_compared(
    command: Command, sites: tuple[Path, Path], one: str, other: str
) -> None:
    old, new = (
        site if kind == "source" else packed(command, site, kind)
        for site, kind in zip(sites, (one, other), strict=True)
    )
    lines = command("diff", old, new, code=1).lines
    assert [line for line in lines if "sectors" not in line] == EXPECTED
    assert any("sectors" in line for line in lines) == (one == other != "source")
    assert command("diff", old, old).lines == []


@pytest.mark.parametrize("format", ["tar", "fat", "git", "erofs"])
def test_an_empty_image_is_an_image(command: Command, tmp_path: Path, format: str) -> None:
    empty, full = tmp_path / "e", tmp_path / "f"
    empty.mkdir()
    full.mkdir()
    (full / "a").write_text("x")
    images = [packed(command, site, format) for site in (empty, full)]
    lines = command("diff", *images, code=1).lines
    assert lines[0] == "+ a" and "sectors" in lines[1]
    assert command("diff", images[0], empty).lines == []


def test_json_has_every_sector(command: Command, sites: tuple[Path, Path]) -> None:
    old, new = (packed(command, site, "fat") for site in sites)
    found = json.loads(command("diff", old, new, "--json", code=1).out)
    data, wanted = old.read_bytes(), new.read_bytes()
    differing = [
        n for n in range(len(data) // 512) if data[n * 512 :][:512] != wanted[n * 512 :][:512]
    ]
    assert [n for a, b in found["sectors"] for n in range(a, b + 1)] == differing
    assert {change["change"] for change in found["changes"]} == {"added", "removed", "changed"}


def test_commits_are_compared(command: Command, sites: tuple[Path, Path], tmp_path: Path) -> None:
    repository = tmp_path / "r"
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", repository], check=True)
    for year, site in enumerate(sites, 2020):  # each file has its commit's time
        work = ["--work-tree", str(site)]
        subprocess.run([*git, *work, "add", "-A"], check=True)
        date = ["--date", f"{year}-01-01T00:00:00Z"]
        env = {**os.environ, "GIT_COMMITTER_DATE": date[1]}
        subprocess.run([*git, *work, "commit", *date, "-qm", site.name], check=True, env=env)
    lines = command("diff", f"git:{repository}@HEAD~", f"git:{repository}@HEAD", code=1).lines
    assert lines == EXPECTED


def test_what_changed_is_told(command: Command, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for number, site in enumerate((old, new)):
        site.mkdir()
        (site / "longer").write_bytes(b"x" * 1000 * (1 + number))
        (site / "mode").write_text("same")
        (site / "mode").chmod(0o755 if number else 0o644)
        (site / "link").symlink_to(f"to/{number}")
        (site / "same").write_text("same")
        os.utime(site / "same", (number, number))
    (old / "kind").write_text("x")
    (new / "kind").mkdir()
    expected = [
        "~ kind: a file, now a directory",
        "~ link: leads to to/0, now to to/1",
        "~ longer: 1,000 bytes, now 2,000",
        "~ mode: mode 0644, now 0755",
    ]
    assert command("diff", old, new, code=1).lines == expected
    images = [packed(command, site, "tar") for site in (old, new)]
    assert command("diff", *images, code=1).lines[:-1] == expected
    changes = json.loads(command("diff", old, new, "--json", code=1).out)["changes"]
    assert changes[0] == {"path": "kind", "change": "changed", "how": "a file, now a directory"}


def test_builds_are_compared_volume_by_volume(
    command: Command, sites: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest = '[deployment]\nname = "www"\n[volumes.site]\nsource = "."\nformat = "tar"\n'
    built = []
    for site in sites:
        (site / "blockpack.toml").write_text(manifest)
        built.append(tmp_path / f"built-{site.name}")
        command("build", site, "--out", built[-1], "-q")
    lines = command("diff", *built, code=1).lines
    assert lines == ["~ site/changed", "+ site/come", "- site/gone"]
    assert command("diff", built[0], built[0]).lines == []
    command("diff", built[0], sites[0], code=2)
