"""``blockpack secrets`` works for the deployment at hand, and says which one that is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.deployments import write_files
from deploy.secret_deployments import IN_CIPHER, SECRET, identity, manifest, sealed
from users import MALLORY

FILE = "vault/x.age"


class Nest:
    """A deployment in `outer`, and one inside of it in `inner`, of the same recipient."""

    def __init__(self, place: Path) -> None:
        self.identity = place / "identity"
        self.recipient = identity(self.identity)
        files = {
            "blockpack.toml": manifest(self.recipient, IN_CIPHER),
            FILE: sealed(SECRET, self.recipient),
        }
        self.outer = write_files(place / "outer", files)
        self.inner = write_files(place / "outer/inner", files)
        (self.inner / "deep/er").mkdir(parents=True)

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "blockpack", "secrets", *words],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to give files away takes root")


@pytest.fixture(name="nest")
def fixture_nest(tmp_path: Path) -> Nest:
    return Nest(tmp_path)


@pytest.mark.parametrize("below", ["", "vault", "deep/er"])
def test_rekey_takes_the_deployment_that_it_is_in(nest: Nest, below: str) -> None:
    before = (nest.outer / FILE).read_bytes(), (nest.inner / FILE).read_bytes()
    done = nest.run("rekey", "--identity", nest.identity, cwd=nest.inner / below)
    assert done.returncode == 0, done.stderr
    assert (nest.outer / FILE).read_bytes() == before[0]
    assert (nest.inner / FILE).read_bytes() != before[1]


def test_manifest_recipients_and_files_are_told_before_anything_is_written(nest: Nest) -> None:
    write_files(nest.inner, {"vault/y.age": b"damaged", "vault/new": b"", "vault/new.age": b"mine"})
    for words in (("rekey", "--identity", nest.identity), ("encrypt", "vault/new")):
        done = nest.run(*words, cwd=nest.inner)
        assert done.returncode in (5, 8)  # and nothing was
        told = done.stderr.decode()
        assert "blockpack.toml" in told and nest.recipient in told
        assert ("vault/x.age" in told) == (words[0] == "rekey")
        assert "vault/new.age" in told
    assert (nest.inner / "vault/new.age").read_bytes() == b"mine"


def refused(nest: Nest, cwd: Path, why: bytes) -> None:
    """Neither encrypting nor rekeying finds a deployment there, and nothing is written."""
    (cwd / "x").write_bytes(b"secret")
    before = sorted(nest.outer.rglob("*"))
    for words in (("encrypt", "x"), ("rekey", "--identity", nest.identity)):
        done = nest.run(*words, cwd=cwd)
        assert done.returncode == 4 and why in done.stderr, done.stderr
    assert sorted(nest.outer.rglob("*")) == before


def test_none_is_looked_for_above_a_repository(nest: Nest) -> None:
    (nest.inner / "deep/.git").write_text("gitdir: elsewhere")  # as a submodule has it
    refused(nest, nest.inner / "deep/er", b"inner/deep, the top of a repository; give --deployment")


def test_none_is_taken_from_a_directory_of_another_user(nest: Nest) -> None:
    os.chown(nest.inner, MALLORY, -1)
    refused(nest, nest.inner / "deep/er", b"which is in a directory of another user")


def test_none_is_taken_that_is_another_users(nest: Nest) -> None:
    nest.inner.chmod(0o777)
    os.chown(nest.inner / "blockpack.toml", MALLORY, -1)
    refused(nest, nest.inner / "deep/er", b"blockpack.toml: belongs to another user")


def test_none_is_looked_for_beyond_a_file_system(nest: Nest) -> None:
    place = nest.inner / "deep"
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        refused(nest, place, b"the top of a file system")
    finally:
        subprocess.run(["umount", place], check=True)
