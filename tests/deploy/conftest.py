"""What the tests of deployments share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockpack.deploy.secrets.ramfs import is_ram
from deploy.deployments import FILES, write_files
from deploy.hosts import Host


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture(name="deployment")
def fixture_deployment(tmp_path: Path) -> Path:
    """A directory with a deployment of two volumes."""
    return write_files(tmp_path / "deployment", FILES)


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    """A host with a repository, and nothing deployed."""
    return Host(tmp_path)


@pytest.fixture(name="keeper")
def fixture_keeper(tmp_path: Path) -> tuple[Path, str]:
    """A file with an identity, and its recipient."""
    from deploy.secret_deployments import identity  # tests without secrets need no age

    return tmp_path / "identity", identity(tmp_path / "identity")


@pytest.fixture(name="ram")
def fixture_ram() -> Iterator[Path]:
    """A directory in RAM."""
    if not is_ram("/dev/shm"):
        pytest.skip("there is no RAM file system at /dev/shm")
    place = Path("/dev/shm") / f"blockpack-test-{os.urandom(6).hex()}"
    place.mkdir()
    yield place
    subprocess.run(["rm", "-rf", place], check=True)
