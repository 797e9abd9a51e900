"""Secret volumes: what is decrypted is in the memory of one process, and nowhere else."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blockpack import Problems, open_image
from blockpack.deploy.building.build import build
from blockpack.deploy.building.task import Task
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.secrets.held_file import MOST_BYTES
from blockpack.deploy.secrets.opening import SecretStore
from blockpack.layers.keys import read_key
from blockpack.reading import spool
from deploy.deployments import write_files
from deploy.secret_deployments import (
    IN_CIPHER,
    NAME,
    SECRET,
    built,
    found_in,
    secret_deployment,
)


@pytest.mark.parametrize("compression", [0, 9])
def test_no_temporary_file_has_what_git_packs(
    tmp_path: Path, keeper: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, compression: int
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(spool, "_temporary_file", fail)
    options = f'container = "pack"\ncompression = {compression}\n'
    volumes = IN_CIPHER.replace("tar", "git") + options
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    with open_image(tmp_path / "dist/keys.img", key=key) as image, image.open(NAME) as file:
        assert file.read() == SECRET


class _Watched(ThreadPoolExecutor):
    """An executor that takes down what it is handed."""

    def __init__(self) -> None:
        super().__init__(1)
        self.tasks: list[Task] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += args
        return super().submit(fn, *args, **kwargs)


def test_no_executor_is_handed_a_secret(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    volumes = f'{IN_CIPHER}[volumes.site]\nsource = "site"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    write_files(place, {"site/index": b"open"})
    with _Watched() as executor:
        report = build(
            place, tmp_path / "dist", executor=executor, secrets=Secrets(identity=str(keeper[0]))
        )
        assert report.built == ("keys", "site")
        assert [task.spec.name for task in executor.tasks] == ["site"]
    with pytest.raises(TypeError, match="another process"):
        pickle.dumps(SecretStore([SECRET]))
    assert not found_in(repr(SecretStore([SECRET])).encode())


def test_memory_is_not_dumped(tmp_path: Path) -> None:
    script = """
import ctypes, os, resource
from blockpack.layers.memory import guarded
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
with guarded():
    pass
assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
child = os.fork()
if not child:
    os._exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_no_more_is_decrypted_than_memory_holds(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    with open(place / f"vault/{NAME}.age", "r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "more than 256 MiB together" in str(raised.value)
