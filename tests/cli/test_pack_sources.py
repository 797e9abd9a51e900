"""``blockpack pack``: what it takes from where, and what it leaves out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from cli.packing import contents, paths, tree_of
from cli.running import FORMATS, Command
from judges.programs import require_module


def test_excluded_patterns_are_those_of_a_gitignore(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name in ("a.psd", "pages/b.psd", "pages/keep.psd", "build/x", "pages/build"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"x")
    before = set(tree_of(source))

    def left_out(*patterns: str) -> set[str]:
        options = [f"--exclude={pattern}" for pattern in patterns]
        command("pack", source, tmp_path / "x.tar", *options)
        return before - set(paths(tmp_path / "x.tar"))

    psd = {"a.psd", "pages/b.psd", "pages/keep.psd"}
    assert left_out() == set()
    assert left_out("*.psd") == psd
    assert left_out("*.psd", "!keep.psd") == psd - {"pages/keep.psd"}
    assert left_out("!keep.psd", "*.psd") == psd, "the last one that matches decides"
    assert left_out("/*.psd") == {"a.psd"}
    assert left_out("build/") == {"build", "build/x"}, "a slash at the end means directories"
    assert left_out("build") == {"build", "build/x", "pages/build"}
    assert left_out("pages/**/*.txt", "empty") == {"pages/deep/er/Größe.txt", "empty"}


@pytest.fixture(name="fs")
def fixture_fs() -> None:
    require_module("pyfatfs.PyFatFS")  # it brings fs, and is in the tests' requirements


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_a_zip_is_a_source(command: Command, source: Path, tmp_path: Path, form: str) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, path.relative_to(source))
    url = f"zip://{tmp_path}/site.zip"
    command("pack", url, tmp_path / "image", "--format", form)
    assert contents(tmp_path / "image") == tree_of(source)
    assert command("verify", tmp_path / "image", url).code == 0


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_an_osfs_url_packs_like_its_directory(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "one", "--format", form)
    command("pack", f"osfs://{source}", tmp_path / "two", "--format", form)
    assert contents(tmp_path / "two") == contents(tmp_path / "one") == tree_of(source)


@pytest.mark.usefixtures("fs")
@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_source_makes_an_empty_image(command: Command, tmp_path: Path, form: str) -> None:
    command("pack", "mem://", tmp_path / "image", "--format", form)
    assert contents(tmp_path / "image") == {}
    assert command("verify", tmp_path / "image", "mem://").code == 0
    assert command("ls", tmp_path / "image").out == b""


@pytest.mark.usefixtures("fs")
def test_an_unknown_kind_of_url_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    assert "gopher" in command("pack", "gopher://hole", tmp_path / "x.tar", code=2).err


@pytest.mark.usefixtures("fs")
def test_a_url_that_leads_nowhere_is_a_missing_source(command: Command, tmp_path: Path) -> None:
    url = f"zip://{tmp_path}/missing.zip"
    assert "missing.zip" in command("pack", url, tmp_path / "x.tar", code=4).err


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_in_its_own_source_leaves_itself_out(
    command: Command, source: Path, form: str
) -> None:
    before = tree_of(source)
    options = ("--format", form, "--manifest", source / "pages/manifest.json")
    for _ in range(2):  # the second time both are there when the source is scanned
        command("pack", source, source / "image", *options)
        assert contents(source / "image") == before


def test_an_image_in_its_own_source_is_told_by_any_way_to_it(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_of(source)
    (tmp_path / "way").symlink_to(source)
    monkeypatch.chdir(source)
    for target in ("x.tar", "./x.tar", "pages/../x.tar", tmp_path / "way/x.tar"):
        command("pack", ".", target)
        assert contents(source / "x.tar") == before


@pytest.mark.usefixtures("fs")
def test_an_image_in_its_own_source_is_told_by_its_url_too(command: Command, source: Path) -> None:
    before = tree_of(source)
    for _ in range(2):
        command("pack", f"osfs://{source}", source / "x.tar")
        assert contents(source / "x.tar") == before
