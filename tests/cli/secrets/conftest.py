"""What the tests of ``blockpack secrets`` share: a deployment with a secret, and RAM to edit in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cli.secrets.editors import FILE
from deploy.deployments import write_files
from deploy.secret_deployments import IN_CIPHER, SECRET, identity, manifest, sealed


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path) -> Path:
    """A deployment with one secret."""
    recipient = identity(tmp_path / "identity")
    files = {"blockpack.toml": manifest(recipient, IN_CIPHER), FILE: sealed(SECRET, recipient)}
    return write_files(tmp_path / "d", files)


@pytest.fixture(name="own")
def fixture_own(tmp_path: Path) -> Path:
    return tmp_path / "identity"


@pytest.fixture(name="ram", autouse=True)
def fixture_ram(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where files are edited: a directory in RAM, with nothing else in it."""
    with TemporaryDirectory(dir="/dev/shm") as ram:
        monkeypatch.setenv("XDG_RUNTIME_DIR", ram)
        yield Path(ram)
