"""Repositories, and a git without a user's configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repositories import GitRepository


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(name="repository", params=["bare", "normal", "sha256"])
def fixture_repository(request: pytest.FixtureRequest, tmp_path: Path) -> GitRepository:
    options = {"bare": ["--bare"], "normal": [], "sha256": ["--object-format=sha256"]}
    return GitRepository.init(tmp_path / "repository", *options[request.param])


@pytest.fixture(name="bare")
def fixture_bare(tmp_path: Path) -> GitRepository:
    return GitRepository.init(tmp_path / "bare.git", "--bare")
