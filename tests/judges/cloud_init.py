"""What Debian's cloud-init makes of a seed: its data sources, on an image that is not mounted.

They look for devices by blkid, which is asked about the image alone, and read what is in it from
where mtools put that. All else of the machine is hidden from them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from .programs import SYSTEM_PATHS, on_ci, run_silent

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / ".cache" / "cloud-init" / "usr" / "lib" / "python3" / "dist-packages"
"""Where scripts/fetch-cloud-init puts it."""


def nocloud_read(image: Path) -> dict[str, Any] | None:
    """What the data source NoCloud has of `image`: ``metadata``, ``userdata``, ``vendordata`` and
    ``network``; None if it is no seed to it.
    """
    return _asked("nocloud", image)


def configdrive_read(image: Path) -> dict[str, Any] | None:
    """What the data source ConfigDrive has of `image`; None if it is no drive to it."""
    return _asked("configdrive", image)


def assert_schema(user_data: Path) -> None:
    """Assert that cloud-init finds nothing wrong with settings for it."""
    words = ["-m", "cloudinit.cmd.main", "schema", "--config-file", str(user_data)]
    done = _run(words)
    assert done.returncode == 0 and "Valid" in done.stdout, done.stdout + done.stderr


def _asked(source: str, image: Path) -> dict[str, Any] | None:
    with TemporaryDirectory() as scratch:
        contents = Path(scratch, "contents")
        contents.mkdir()
        run_silent("mcopy", ["-s", "-n", "-i", image, "::/", contents])
        driver = Path(__file__).with_name("cloud_init_driver.py")
        done = _run([str(driver), source, str(image), str(contents), scratch])
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    if not PACKAGE.is_dir():
        reason = "cloud-init is not there (scripts/fetch-cloud-init); this judge gives no verdict"
        if on_ci():
            pytest.fail(f"{reason}, which CI does not allow")
        pytest.skip(reason)
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATHS))
    environment = {"PATH": search, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PACKAGE)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )
