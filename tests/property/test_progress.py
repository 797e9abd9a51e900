"""Progress goes up to a true total, and says that all is done at the end and not before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from blockpack import FatVolume, GitVolume, Progress, TarVolume, Volume
from told_progress import checked

VOLUMES: dict[str, Callable[[], Volume]] = {
    "tar": TarVolume,
    "fat": FatVolume,
    "git": lambda: GitVolume(compression=0),
}


@pytest.fixture(name="source")
def fixture_source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.bin").write_bytes(os.urandom(100_000))
    return source


@pytest.mark.parametrize("form", VOLUMES)
def test_all_that_takes_long_tells_how_far_it_is(
    form: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blockpack.writing.progress._SECONDS", 0)
    path = tmp_path / "image"
    layout = VOLUMES[form]().plan(blockpack.scan(source))
    told: list[Progress] = []
    hear = told.append
    blockpack.write(layout, path, progress=hear)
    assert checked(told, "packing") == layout.size
    told.clear()
    blockpack.write(layout, path, progress=told.append, fsync=True)
    assert checked(told, "packing", "flushing") == layout.size
    works: dict[str, tuple[Callable[[blockpack.Image], object], int]] = {
        "extracting": (
            lambda image: blockpack.extract(image, tmp_path / "out", progress=hear),
            2_000_000,
        ),
        "verifying": (lambda image: image.verify(progress=hear), layout.size),
        "comparing": (lambda image: blockpack.compare(image, layout, progress=hear), layout.size),
        "digesting": (lambda image: blockpack.contents(image, progress=hear), layout.size),
    }
    for name, (work, total) in works.items():
        told.clear()
        with blockpack.open_image(path) as image:
            work(image)
        assert checked(told, name) == total
        assert len(told) > 2 or form == "git", "something is told on the way"


def test_an_encrypted_image_is_decrypted_and_then_verified(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blockpack.writing.progress._SECONDS", 0)
    key = os.urandom(32)
    layout = blockpack.encrypt(TarVolume().plan(blockpack.scan(source)), key)
    blockpack.write(layout, tmp_path / "image")
    told: list[Progress] = []
    with blockpack.open_image(tmp_path / "image", key=key) as image:
        assert image.verify(progress=told.append) == []
    assert checked(told, "verifying") == layout.size + layout.size // 2
