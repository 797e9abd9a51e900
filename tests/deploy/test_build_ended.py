"""A build that is interrupted or loses a process: images are whole, the record tells of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from deploy.deployments import contents, names, record, write_files
from faults.launching import COMMAND, NO_NAMELESS_FILES, SLOW, launched, run, wait_until

EXPECTED = {
    *("site.img", "site.json", "media.img", "media.json"),
    *("manifest.json", ".blockpack-build.json"),
}

SLOW_MEDIA = """
import os, pathlib, time
from blockpack.deploy.building import executors
_make = executors.make
def _slow(task, *arguments):
    if task.spec.name == "media":
        pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
        time.sleep(60)
    return _make(task, *arguments)
executors.make = _slow
"""
"""Before the command: the volume media takes a minute, and tells which process that is in."""


def changed(deployment: Path) -> dict[str, bytes]:
    """Change both volumes; what the site holds then."""
    write_files(deployment, {"site/index.html": b"new", "media/film.bin": b"new"})
    return {"index.html": b"new", "pages/about.html": b"about\n" * 1000}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_built_before_a_signal_is_there_and_told(
    deployment: Path, tmp_path: Path, number: int, code: int, jobs: str
) -> None:
    out, started = tmp_path / "dist", tmp_path / "started"
    build(deployment, out)
    old = (out / "media.img").read_bytes()
    site = changed(deployment)
    with launched(
        NO_NAMELESS_FILES + SLOW_MEDIA + COMMAND,
        *("build", deployment, "--out", out, "--jobs", jobs),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        assert wait_until(started.exists)
        if jobs == "2":
            assert wait_until(lambda: contents(out / "site.img") == site)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert wait_until(lambda: not process.processes(), patience=2)
    assert process.returncode == code
    assert errors in (b"blockpack: interrupted\n", b"blockpack: terminated\n")
    assert names(out) == EXPECTED
    assert contents(out / "site.img") == site
    assert (out / "media.img").read_bytes() == old
    assert len(record(out)["volumes"]) == 2
    assert build(deployment, out).built == ("media",)


def test_a_process_that_is_killed_is_told_and_the_others_images_are_there(
    deployment: Path, tmp_path: Path
) -> None:
    out, started = tmp_path / "dist", tmp_path / "started"
    with launched(
        NO_NAMELESS_FILES + SLOW_MEDIA + COMMAND,
        *("build", deployment, "--out", out, "--jobs", "2"),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        assert wait_until((out / "site.img").exists)
        assert wait_until(lambda: started.exists() and started.read_text())
        os.kill(int(started.read_text()), signal.SIGKILL)
        _, errors = process.communicate(timeout=10)
        assert not process.processes()
    assert process.returncode == 5
    assert b"a building process was killed by signal 9" in errors
    assert names(out) == {"site.img", "site.json", "manifest.json", ".blockpack-build.json"}
    assert [volume["name"] for volume in record(out)["volumes"]] == ["site"]
    assert build(deployment, out).built == ("media",)


def test_kill_9_at_any_time_leaves_whole_images_and_the_next_run_makes_all_well(
    deployment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    arguments = ("build", deployment, "--out", out, "--quiet")
    begun = time.monotonic()
    assert run(COMMAND, *arguments)[0] == 0
    usual = time.monotonic() - begun
    known = {"media.img": [contents(out / "media.img")], "site.img": [contents(out / "site.img")]}
    for kill in range(8):
        text = b"%d" % kill
        write_files(deployment, {"site/index.html": text, "media/film.bin": text})
        known["media.img"].append({"film.bin": text})
        known["site.img"].append({"index.html": text, "pages/about.html": b"about\n" * 1000})
        with launched(COMMAND, *arguments) as process:
            time.sleep(usual * random.uniform(0.2, 1))
            process.kill()
            assert wait_until(lambda at=process: not at.processes())  # type: ignore[misc]
        for name, versions in known.items():
            assert contents(out / name) in versions[-2:]
        assert run(COMMAND, *arguments)[0] == 0
        assert names(out) == EXPECTED
        assert contents(out / "media.img") == {"film.bin": text}
        assert len(record(out)["volumes"]) == 2


def test_a_first_build_that_is_ended_leaves_nothing(deployment: Path, tmp_path: Path) -> None:
    out, started = tmp_path / "dist", tmp_path / "started"
    with launched(
        SLOW + NO_NAMELESS_FILES + COMMAND,
        *("build", deployment, "--out", out, "--jobs", "1"),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        assert wait_until(started.exists)
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 143
    assert not out.exists()
