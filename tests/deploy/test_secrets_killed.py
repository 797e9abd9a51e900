"""Whenever a deploy with images in RAM is killed, the next one wipes what it left there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import deploy
from blockpack.deploy.secrets import Secrets
from deploy.deployments import FILES
from deploy.secret_deployments import IN_CIPHER, IN_CLEAR, NAME, SECRET, identity, manifest, sealed
from repositories import GitRepository

NAMES = "rename", "replace", "symlink", "link", "unlink", "rmdir", "mkdir", "fsync", "fchmod"
OPEN = '[volumes.site]\nsource = "site"\nformat = "fat"\n'
VOLUMES = f"{OPEN}{IN_CIPHER}{IN_CLEAR.replace('keys', 'clear')}"
EVERY = 3
"""Of so many calls that change names, one is killed at."""


def killed_at(number: int, work: Callable[[], object]) -> int:
    """How a process ends that is killed before the call of that number that changes names."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    left = [number]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    try:
        for name in NAMES:
            setattr(os, name, counted(getattr(os, name)))
        work()
        os._exit(0)
    finally:
        os._exit(1)


def test_a_kill_leaves_nothing_in_ram_that_no_generation_leads_to(
    tmp_path: Path, ram: Path
) -> None:
    recipient = identity(tmp_path / "identity")
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    root, runtime = tmp_path / "root", ram / "run"
    secrets = Secrets(identity=str(tmp_path / "identity"), runtime=str(runtime))

    def run() -> None:
        deploy(repository.path, "main", root, keep=1, secrets=secrets)

    def commit(number: int) -> None:
        text = b"%d" % number
        vault = {f"vault/{NAME}.age": sealed(SECRET + text, recipient)}
        changed = {"blockpack.toml": manifest(recipient, VOLUMES), "site/index.html": text}
        repository.commit({**FILES, **changed, **vault})

    commit(0)
    run()
    number, code = 1, -signal.SIGKILL
    while code == -signal.SIGKILL:
        commit(2 * number)
        code = killed_at(number, run)
        live = Generations(root).current()
        assert live is not None and all(
            (live.path / image.file).exists() for image in live.record().volumes
        )
        commit(2 * number + 1)
        run()
        led_to = {os.path.realpath(each.path / "clear.img") for each in Generations(root).all()}
        assert {str(path) for path in runtime.rglob("*") if path.is_file()} == led_to
        assert all(list(path.iterdir()) for path in runtime.rglob("*") if path.is_dir())
        assert not [path for path in root.rglob("*") if path.name.startswith((".new", ".block"))]
        number += EVERY
    assert code == 0
    assert number > 20 * EVERY
