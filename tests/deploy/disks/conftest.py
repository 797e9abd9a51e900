"""What the tests of disks share: a deployment of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.deployments import write_files
from deploy.disks.card import FILES


@pytest.fixture(name="deployment")
def fixture_deployment(tmp_path: Path) -> Path:
    return write_files(tmp_path / "deployment", FILES)
