"""The directory that archives are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives.making import make_site


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    """A directory with what archives hold."""
    site = tmp_path / "site"
    make_site(site)
    return site
