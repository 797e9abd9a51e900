"""Cleaning up after hostile images."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", name="leftovers")
def fixture_leftovers() -> Iterator[list[Path]]:
    """Directories that are removed after a module's tests, by one process: pytest's own way is
    recursive, and some of what was extracted is too deep.
    """
    found: list[Path] = []
    yield found
    subprocess.run(["rm", "-rf", *found], check=True)


@pytest.fixture(autouse=True)
def clean_up(tmp_path: Path, leftovers: list[Path]) -> None:
    leftovers.append(tmp_path)
