"""The build hook of hatchling: wheels with images, built by the programs that build wheels."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from cli.running import environment
from deploy.deployments import FILES, manifest, names, write_files

PROJECT = """
[build-system]
requires = ["hatchling", "blockpack"]
build-backend = "hatchling.build"

[project]
name = "www"
version = "1"
requires-python = ">=3.11"

[tool.hatch.build.targets.wheel]
packages = ["www"]

[tool.hatch.build.targets.wheel.hooks.blockpack]
"""

EPOCH = "1700000000"


_BUILD_WHEEL = "from hatchling.build import build_wheel; build_wheel('dist')"


@pytest.fixture(name="project")
def fixture_project(tmp_path: Path) -> Path:
    """A project whose wheel is to hold the images of both volumes."""
    files = {"www/__init__.py": b"", **FILES}
    return configured(write_files(tmp_path / "project", files), 'into = "www/images"')


def configured(project: Path, options: str) -> Path:
    (project / "pyproject.toml").write_text(PROJECT + options)
    return project


def built(project: Path, *options: str, fails: bool = False) -> str:
    """Build with the packages that are installed here; what is printed.

    For a wheel alone, hatchling is called as ``build`` calls it, in one process instead of five.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", *options, str(project)]
    if options == ("--wheel",):
        command = [sys.executable, "-c", _BUILD_WHEEL]
    done = subprocess.run(
        command,
        cwd=project,
        env=environment({"SOURCE_DATE_EPOCH": EPOCH, "NO_COLOR": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert bool(done.returncode) == fails, done.stdout
    return done.stdout


def wheel(project: Path, *options: str) -> Path:
    """The wheel, built anew; without options by way of an archive of sources, as ``build`` does."""
    built(project, *options)
    return project / "dist/www-1-py3-none-any.whl"


def images(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".img" in name}


def expected(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The images that ``blockpack build`` makes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    out = project.parent / "expected"
    build(project, out)
    return {f"www/images/{path.name}": path.read_bytes() for path in out.glob("*.img")}


def test_a_wheel_holds_the_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wheel(project)
    assert images(found) == expected(project, monkeypatch)
    with zipfile.ZipFile(found) as archive:  # and nothing else that a build leaves
        others = [name for name in archive.namelist() if not name.startswith("www-1")]
    assert sorted(others) == ["www/__init__.py", "www/images/media.img", "www/images/site.img"]


def test_a_wheel_is_the_same_wherever_and_whenever_it_is_built(
    project: Path, tmp_path: Path
) -> None:
    first = wheel(project, "--wheel").read_bytes()
    elsewhere = tmp_path / "elsewhere"
    project.rename(elsewhere)
    for path in elsewhere.rglob("*"):
        path.touch()
    again = wheel(elsewhere, "--wheel").read_bytes()
    assert hashlib.sha256(again).digest() == hashlib.sha256(first).digest()


def test_a_wheel_has_what_changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = images(wheel(project, "--wheel"))
    (project / "site/index.html").write_bytes(b"<h1>again</h1>\n")
    after = images(wheel(project, "--wheel"))
    assert after == expected(project, monkeypatch)
    assert after["www/images/media.img"] == before["www/images/media.img"]
    assert after["www/images/site.img"] != before["www/images/site.img"]


def test_images_that_are_kept_are_built_when_they_changed(project: Path) -> None:
    configured(project, 'into = "www/images"\nkeep-in = "build/images"')
    wheel(project, "--wheel")
    kept = {path.name: path.stat() for path in (project / "build/images").glob("*.img")}
    assert set(kept) == {"site.img", "media.img"}
    (project / "site/index.html").write_bytes(b"<h1>again</h1>\n")
    found = images(wheel(project, "--wheel"))
    for name, stat in kept.items():
        path = project / "build/images" / name
        assert found[f"www/images/{name}"] == path.read_bytes()
        assert (path.stat().st_mtime_ns == stat.st_mtime_ns) == (name == "media.img")


def test_only_what_is_named_is_in_the_wheel(project: Path) -> None:
    configured(project, 'into = "www/images"\nonly = ["media"]')
    assert set(images(wheel(project, "--wheel"))) == {"www/images/media.img"}


def test_the_deployment_may_be_elsewhere_in_the_project(project: Path, tmp_path: Path) -> None:
    write_files(project / "deployment", FILES)
    for name in ("blockpack.toml", "site/index.html", "media/film.bin"):
        (project / name).unlink()
    configured(project, 'into = "www/images/"\ndirectory = "deployment"')
    assert set(images(wheel(project))) == {"www/images/media.img", "www/images/site.img"}


def test_an_editable_wheel_has_no_images(project: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])",
            tmp_path,
        ],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = tmp_path.glob("*.whl")
    assert not images(found)
    assert "an editable wheel has no images" in done.stdout + done.stderr


def test_everything_that_is_wrong_with_the_options_is_told(project: Path) -> None:
    configured(project, 'onyl = ["site"]\ndirectory = 1\nonly = "site"')
    told = built(project, "--wheel", fails=True)
    assert "blockpack: 4 problems" in told and "did you mean 'only'?" in told
    assert "'directory' is a path" in told and "'into' is missing" in told
    assert "Traceback" not in told and not list(project.glob("dist/*.whl"))


@pytest.mark.parametrize("into", ["/etc", "../elsewhere", "www/../../x"])
def test_images_stay_in_the_wheel(project: Path, into: str) -> None:
    configured(project, f'into = "{into}"')
    assert "a directory in the wheel" in built(project, "--wheel", fails=True)


def test_what_is_wrong_with_a_deployment_ends_the_build(project: Path) -> None:
    (project / "site/what?").write_bytes(b"")
    (project / "site/a:b").write_bytes(b"")
    told = built(project, "--wheel", fails=True)
    assert "FAT has no '?' in names" in told and "a:b" in told and "Traceback" not in told
    assert not list(project.glob("dist/*.whl"))


def test_secrets_are_in_no_wheel(project: Path) -> None:
    text = '[volumes.keys]\nsource = "site"\nformat = "tar"\nsecret = true\n'
    plain = '[volumes.site]\nsource = "site"\nformat = "tar"\n'
    (project / "blockpack.toml").write_bytes(manifest(text + plain))
    told = built(project, "--wheel", fails=True)
    assert "volume keys: is secret; name the others in 'only'" in told
    configured(project, 'into = "www/images"\nonly = ["site"]')
    assert set(images(wheel(project, "--wheel"))) == {"www/images/site.img"}


def test_the_hook_belongs_to_wheels(project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("targets.wheel.hooks", "hooks"))
    assert "put the hook under targets.wheel" in built(project, "--sdist", fails=True)


def test_nothing_is_left_behind(project: Path, tmp_path: Path) -> None:
    before = names(project)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", project],
        env=environment({"TMPDIR": str(scratch)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert names(project) == before | {"dist"}
    assert not names(scratch)
