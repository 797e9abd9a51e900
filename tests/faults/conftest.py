"""Trees and repositories that several of these tests pack."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from faults.faulty_git import Faulty
from faults.rendering import make_files, pattern
from repositories import GitRepository, left_to_git


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of 40 MiB: many small files, and a few that are not."""
    files = {f"{n % 30}/{n}": pattern(8000 + n % 3000, n) for n in range(1500)}
    files |= {f"large/{n}": pattern(7 << 20, n) for n in range(4)}
    return make_files(tmp_path_factory.mktemp("tree"), files)


@pytest.fixture(name="bare")
def fixture_bare(tmp_path: Path) -> GitRepository:
    return GitRepository.init(tmp_path / "bare.git", "--bare")


@pytest.fixture(scope="session", name="original")
def fixture_original(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    repository = GitRepository.init(tmp_path_factory.mktemp("many") / "many.git", "--bare")
    rng = random.Random(1)
    files = {f"{n % 30}/{n}": rng.randbytes(3000 + n % 5000) for n in range(1000)}
    repository.commit(files | {f"large{n}": rng.randbytes(4_000_000) for n in range(2)})
    left_to_git(repository)
    return repository


@pytest.fixture(name="many")
def fixture_many(original: GitRepository, tmp_path: Path) -> GitRepository:
    """A repository of 12 MB: small blobs, and two that are not; git reads them all."""
    # Git replaces files and never writes into one, so links will do for copies.
    shutil.copytree(original.path, tmp_path / "many.git", copy_function=os.link)
    return GitRepository(tmp_path / "many.git")


@pytest.fixture(name="faulty")
def fixture_faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    return Faulty(tmp_path / "faulty", monkeypatch)
