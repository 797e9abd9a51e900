"""Errors name what a user knows: no file is told by the name under which it is made."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from blockpack import Problems, TargetError, deploy
from deploy.deployments import FILES, write_files
from repositories import GitRepository


def test_an_error_about_an_image_names_the_file_that_it_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, target: str, **__: object) -> None:
        raise TargetError.of(target, "cannot be written", OSError(errno.ENOSPC, "no space left"))

    monkeypatch.setattr("blockpack.deploy.building.task.write", full)
    source = write_files(tmp_path / "source", FILES)
    with pytest.raises(Problems) as raised:
        deploy.build(source, tmp_path / "dist")
    told = {error.path for error in raised.value.errors}
    assert told == {f"{tmp_path}/dist/site.img", f"{tmp_path}/dist/media.img"}
    assert ".blockpack-" not in str(raised.value)
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    repository.commit(FILES)
    with pytest.raises(Problems) as raised:
        deploy.deploy(repository.path, "main", tmp_path / "root")
    told = {error.path for error in raised.value.errors}
    images = f"{tmp_path}/root/generations"
    assert told == {f"{images}/site.img", f"{images}/media.img"}
