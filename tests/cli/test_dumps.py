"""No dump of memory holds a key: a process that has read one leaves none, however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import Command, environment
from deploy.secret_deployments import NAME, identity, secret_deployment
from repositories import GitRepository

KEY = bytes(range(200, 232))

_DIES_AT_THE_END = """
import os, resource, sys
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
own, how, end = os.getpid(), int(sys.argv.pop(1)), os._exit
os._exit = lambda code: os.kill(own, how) if os.getpid() == own and not code else end(code)
from blockpack.layers import keys
if sys.argv.pop(1) == "dumps":
    keys.no_dumps = lambda: None
from blockpack.cli import command
sys.argv[0] = "blockpack"
command()
"""


def cores(place: Path, *words: object, dumps: str = "none", how: int = 6) -> list[bytes]:
    """What dumps a command leaves that a signal ends once it is through."""
    done = subprocess.run(
        [sys.executable, "-c", _DIES_AT_THE_END, str(how), dumps, *map(str, words)],
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -how, done.stderr
    found = list(place.glob("core*"))
    data = [path.read_bytes() for path in found]
    for path in found:
        path.unlink()
    return data


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path, command: Command) -> Path:
    """A directory with a source, a key, and an image that it opens."""
    if not Path("/proc/sys/kernel/core_pattern").read_text().startswith("core"):
        pytest.skip("dumps go elsewhere here (kernel.core_pattern)")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_bytes(b"hello")
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_bytes(KEY)
    command("pack", tmp_path / "site", tmp_path / "image", "--format", "tar", "--key-file", key)
    return tmp_path


def test_what_is_looked_for_would_be_found(place: Path) -> None:
    (dump,) = cores(place, "ls", "image", "--key-file", "key", dumps="dumps")
    assert KEY in dump


@pytest.mark.parametrize(
    "words",
    [
        ("pack", "site", "other", "--format", "tar"),
        ("ls", "image"),
        ("cat", "image", "index.html"),
        ("extract", "image", "out"),
        ("verify", "image"),
        ("info", "image"),
    ],
)
def test_a_process_that_has_read_a_key_leaves_no_dump(place: Path, words: tuple[str, ...]) -> None:
    assert cores(place, *words, "--key-file", "key", how=11) == []


def test_nor_does_one_that_has_read_an_identity(place: Path, tmp_path: Path) -> None:
    recipient = identity(tmp_path / "identity")
    deployment = secret_deployment(tmp_path / "d", recipient)
    files = (deployment / "blockpack.toml", deployment / f"vault/{NAME}.age")
    repository = GitRepository.init(tmp_path / "repository", "--bare")
    repository.commit({str(file.relative_to(deployment)): file.read_bytes() for file in files})
    with_identity = ("--identity", tmp_path / "identity")
    assert cores(place, "build", deployment, "--out", "dist", *with_identity) == []
    assert cores(place, "deploy", repository.path, "--to", "root", *with_identity) == []
    assert cores(place, "secrets", "rekey", "--deployment", deployment, *with_identity) == []
    (deployment / "vault/new").write_bytes(b"new")
    assert cores(place, "secrets", "encrypt", deployment / "vault/new") == []
