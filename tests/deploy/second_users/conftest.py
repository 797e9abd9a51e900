"""What the tests of second users share: a directory for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from deploy.deployments import FILES, write_files
from deploy.secret_deployments import built, secret_deployment
from deploy.secret_deployments import identity as make_identity
from users import public_directory


@pytest.fixture(name="public")
def fixture_public() -> Iterator[Path]:
    """A directory in which everybody may make something."""
    with public_directory(mode=0o1777) as place:
        yield place


@pytest.fixture(scope="session", autouse=True)
def fixture_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All is imported while we may read it."""
    place = tmp_path_factory.mktemp("imported")
    recipient = make_identity(place / "identity")
    secret_deployment(write_files(place / "d", FILES), recipient)
    built(place / "d", place / "dist", place / "identity")
    build(write_files(place / "open", FILES), place / "dist")
