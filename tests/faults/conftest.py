"""Trees that several of these tests pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.rendering import make_files, pattern


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of 40 MiB: many small files, and a few that are not."""
    files = {f"{n % 30}/{n}": pattern(8000 + n % 3000, n) for n in range(1500)}
    files |= {f"large/{n}": pattern(7 << 20, n) for n in range(4)}
    return make_files(tmp_path_factory.mktemp("tree"), files)
