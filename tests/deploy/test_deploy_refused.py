"""Commits and images that are not sound, and roots that are not ours: what is live stays so."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from blockpack import (
    BlockpackError,
    ImageError,
    Problems,
    SourceError,
    TargetError,
)
from blockpack.deploy.host import rollout, soundness
from blockpack.deploy.record import ImageRecord
from blockpack.writing.progress import Meter
from deploy.deployments import FILES, names
from deploy.hosts import Host


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"site/a:b": b""}, "a:b"),
        ({"blockpack.toml": b"[deployment"}, "blockpack.toml"),
        ({"blockpack.toml": None}, "has no blockpack.toml"),
        ({"media/film.bin": None}, "add a file or remove it from blockpack.toml"),
    ],
)
def test_a_bad_commit_changes_nothing(
    host: Host, changes: dict[str, bytes | None], wanted: str
) -> None:
    host.deploy(on_activate=host.command())
    host.told()
    before = sorted(path for path in host.root.rglob("*"))
    host.commit(**changes)
    with pytest.raises(BlockpackError) as caught:
        host.deploy(on_activate=host.command())
    assert wanted in str(caught.value)
    assert sorted(path for path in host.root.rglob("*")) == before
    assert not host.log.exists()
    assert host.live() == 1


def test_an_image_that_is_not_sound_is_not_switched_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"x"})
    damage = ImageError("", "it is damaged")
    monkeypatch.setattr("blockpack.images.image.Image.verify", lambda *_, **__: [damage])
    with pytest.raises(ImageError, match="volume site: it is damaged; nothing was switched"):
        host.deploy()
    assert host.live() == 1
    assert host.numbers() == [1]
    monkeypatch.undo()

    from blockpack.deploy.building import executors

    make = executors.__dict__["make"]

    def damaging(task, *arguments):  # type: ignore[no-untyped-def]
        built = make(task, *arguments)
        path = Path(task.staging, built.record.file)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        return built

    monkeypatch.setattr(executors, "make", damaging)
    with pytest.raises(ImageError, match="volume site: is not what was written"):
        host.deploy()
    assert host.live() == 1


def test_an_image_that_cannot_be_read_is_not_switched_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_sound = soundness.require_sound

    def losing(image: ImageRecord, directory: str, meter: Meter) -> None:
        Path(directory, image.file).unlink()
        require_sound(image, directory, meter)

    monkeypatch.setattr(rollout, "require_sound", losing)
    with pytest.raises(SourceError, match=r"site\.img: cannot be read"):
        host.deploy()
    assert host.live() is None


def test_current_that_is_not_ours_is_left_alone(host: Host, tmp_path: Path) -> None:
    host.root.mkdir()
    (host.root / "current").mkdir()
    with pytest.raises(TargetError, match="is not a link to a generation"):
        host.deploy()
    (host.root / "current").rmdir()
    for target in ("../elsewhere", "generations/../..", "generations/0001-0123456789ab", "/etc"):
        (host.root / "current").symlink_to(target)
        with pytest.raises(TargetError, match="which is not a generation"):
            host.deploy()
        (host.root / "current").unlink()
    host.deploy()
    assert host.live() == 1


def test_nothing_of_the_repository_is_run_and_nothing_is_written_elsewhere(host: Host) -> None:
    evil = f"#!/bin/sh\ntouch {shlex.quote(str(host.place / 'run'))}\n"
    for hook in ("post-receive", "post-checkout", "reference-transaction", "post-update"):
        path = host.repository.path / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(evil)
        path.chmod(0o755)
    host.repository.git("config", "core.fsmonitor", str(path))
    text = FILES["blockpack.toml"]
    host.commit(
        **{
            "blockpack.toml": text,
            "current": b"",
            "on-activate": evil.encode(),
            "hooks/post-receive": evil.encode(),
        }
    )
    before = names(host.place) | {"root"}
    host.deploy()
    assert names(host.place) == before
    host.commit(**{"blockpack.toml": text + b'on_activate = "touch run"\n'})
    with pytest.raises(Problems):
        host.deploy()
