"""What the tests of hooks share: a host to push to."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.pushing import Host


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    """A host with both hooks, and nothing deployed."""
    return Host.at(tmp_path / "host")


@pytest.fixture(name="first", scope="session")
def fixture_first(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host on which a first commit is live."""
    host = Host.at(tmp_path_factory.mktemp("first") / "host")
    host.commit()
    assert host.push().code == 0
    return host


@pytest.fixture(name="deployed")
def fixture_deployed(first: Host, tmp_path: Path) -> Host:
    """Another one like it."""
    return first.copy(tmp_path / "host")
