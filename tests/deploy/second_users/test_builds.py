"""Nothing is built where another user can change it, and nothing of theirs is written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from blockpack import Layout, write
from blockpack.deploy.building import task
from blockpack.deploy.building.build import build
from deploy.deployments import FILES, names, write_files
from deploy.second_users.planting import dist, facts, give, plant_all, refusal
from users import ALICE, MALLORY, PLANTS, as_user, plant


@pytest.fixture(name="source")
def fixture_source(public: Path) -> Path:
    """A deployment of root's, which is everybody's to build."""
    return write_files(public / "deployment", FILES)


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize(
    ("owner", "bits"),
    [("mallory", 0o755), ("mallory", 0o777), ("mallory", 0o1777), ("self", 0o777)],
)
def test_nothing_is_built_where_others_can_change_it(
    source: Path, public: Path, user: int, owner: str, bits: int
) -> None:
    out = dist(public / "dist", MALLORY if owner == "mallory" else user, bits)
    code, text = as_user(user, lambda: refusal(lambda: build(source, out)))
    assert code == 5
    assert text.startswith(f"{out}: ")
    assert ("chown" if owner == "mallory" else f"chmod go-w {out}") in text
    assert names(out) == set()


FILES_OF_A_BUILD = "site.img", "site.json", "manifest.json", ".blockpack-build.json"


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("name", FILES_OF_A_BUILD)
@pytest.mark.parametrize("kind", PLANTS)
def test_what_another_user_put_where_anybody_may_is_left_as_it_is(
    source: Path, public: Path, user: int, name: str, kind: str
) -> None:
    out = dist(public / "dist", user, 0o1777)
    target = public / "target"

    def planting() -> None:
        target.write_bytes(b"before")
        target.chmod(0o666)
        plant(kind, out / name, target)

    as_user(MALLORY, planting)
    before = facts(out / name), facts(target)
    code, text = as_user(user, lambda: refusal(lambda: build(source, out)))
    assert code == 5, text
    assert f"{out / name}: " in text
    assert (facts(out / name), facts(target)) == before
    assert not (public / "nothing").exists()


@pytest.mark.parametrize("umask", [0, 0o077])
@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "directory"])
def test_a_build_puts_files_of_its_own_in_the_place_of_others(
    source: Path, public: Path, user: int, kind: str, umask: int
) -> None:
    """In a directory of ours, which others could write to once."""
    out = dist(public / "dist", user, 0o755)
    plant_all(kind, out, FILES_OF_A_BUILD, public / "target")
    assert as_user(user, lambda: refusal(lambda: build(source, out)), umask=umask) == (0, "")
    assert (public / "target").read_bytes() == b"before"
    assert not (public / "nothing").exists()
    for path in out.iterdir():
        found = path.lstat()
        assert (found.st_uid, found.st_mode) == (user, stat.S_IFREG | 0o644 & ~umask)
    assert len(names(out)) == 6
    assert as_user(user, lambda: build(source, out), umask=umask).unchanged == ("site", "media")


@pytest.mark.parametrize("name", FILES_OF_A_BUILD)
def test_a_directory_where_a_file_goes_is_left_as_it_is(
    source: Path, public: Path, name: str
) -> None:
    out = dist(public / "dist", 0, 0o755)
    plant("directory", out / name, public)
    code, text = refusal(lambda: build(source, out))
    assert code == 5 and f"{out / name}: " in text
    assert (out / name / "inside").read_bytes() == b"planted"


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_holds_a_descriptor_of_what_is_not_whole_yet(
    source: Path, public: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it an image could be changed after it was verified."""
    modes: dict[str, int] = {}
    opened: list[Path] = []

    def looking(layout: Layout, target: str, **options: Any) -> object:
        done = write(layout, target, **options)
        look(Path(target))
        return done

    def look(path: Path) -> None:
        for each in (path.parent, path):
            modes[each.name] = stat.S_IMODE(each.stat().st_mode)

        def opening() -> None:
            os.open(path, os.O_RDWR)

        with pytest.raises(PermissionError):
            as_user(MALLORY, opening)
        opened.append(path)

    monkeypatch.setattr(task, "write", looking)
    before = os.umask(umask)
    try:
        build(source, public / "dist")
    finally:
        os.umask(before)
    assert len(opened) == 2
    assert {mode for name, mode in modes.items() if name.endswith(".tmp")} == {0o700}
    assert {mode for name, mode in modes.items() if name.endswith(".img")} == {0o600}
    assert stat.S_IMODE((public / "dist").stat().st_mode) == 0o755 & ~umask
    assert {stat.S_IMODE(path.stat().st_mode) for path in (public / "dist").iterdir()} == {
        0o644 & ~umask
    }


@pytest.mark.parametrize("user", [0, ALICE])
def test_a_deployment_of_another_user_is_not_built(source: Path, public: Path, user: int) -> None:
    give(source, MALLORY)
    code, text = as_user(user, lambda: refusal(lambda: build(source, public / "dist")))
    assert code == 4
    assert f"blockpack.toml: belongs to another user (uid {MALLORY}); run as that user" in text
    assert not (public / "dist").exists()
    assert as_user(MALLORY, lambda: refusal(lambda: build(source, public / "dist")))[0] == 0
