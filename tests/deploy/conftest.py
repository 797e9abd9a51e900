"""What the tests of deployments share."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.deployments import FILES, write_files


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture(name="deployment")
def fixture_deployment(tmp_path: Path) -> Path:
    """A directory with a deployment of two volumes."""
    return write_files(tmp_path / "deployment", FILES)
