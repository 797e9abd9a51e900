"""Cleaning up after hostile images."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def clean_up(tmp_path: Path) -> Iterator[None]:
    """Remove what was extracted: pytest's own way is recursive, and some of it is too deep."""
    yield
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)
