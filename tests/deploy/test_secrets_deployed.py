"""Secret volumes in generations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from blockpack import ImageError, Problems, SecretError
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import DeployReport, collect, deploy, rollback
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.secrets.ramfs import is_ram
from blockpack.layers.keys import make_key, read_key
from deploy.secret_deployments import (
    IN_CIPHER,
    IN_CLEAR,
    NAME,
    SECRET,
    identity,
    leaks,
    manifest,
    mode,
    run,
    sealed,
)
from judges import ccm
from repositories import GitRepository

OPEN = '[volumes.site]\nsource = "site"\nformat = "tar"\n'
BOTH = f"{IN_CIPHER}{IN_CLEAR.replace('keys', 'clear')}{OPEN}"


class Place:
    """A repository with secrets, and where it is deployed to."""

    def __init__(self, place: Path, ram: Path) -> None:
        self.path = place
        self.ram = ram
        self.root = place / "root"
        self.identity = place / "identity"
        self.recipient = identity(self.identity)
        self.repository = GitRepository.init(place / "repository.git", "--bare")
        self.commit()

    def commit(self, volumes: str = BOTH, page: bytes = b"open", secret: bytes = SECRET) -> None:
        self.repository.commit(
            {
                "blockpack.toml": manifest(self.recipient, volumes),
                f"vault/{NAME}.age": sealed(secret, self.recipient),
                "site/index": page,
            }
        )

    def deploy(self, key_file: Path | None = None, keep: int | None = None) -> DeployReport:
        secrets = Secrets(
            identity=str(self.identity),
            key_file=None if key_file is None else str(key_file),
            runtime=str(self.ram / "run"),
        )
        return deploy(self.repository.path, "main", self.root, secrets=secrets, keep=keep)

    def live(self, name: str) -> Path:
        return self.root / "current" / name

    def in_ram(self) -> Path:
        """The directory in RAM of this root, beside which is none."""
        (found,) = (self.ram / "run").iterdir()
        assert found.name.startswith("www-")
        return found


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path, ram: Path) -> Place:
    return Place(tmp_path, ram)


def test_a_generation_has_secrets_encrypted_or_in_ram(place: Place) -> None:
    report = place.deploy()
    assert report.outcome == "deployed"
    name = report.generation.name
    assert os.readlink(place.live("clear.img")) == str(place.in_ram() / name / "clear.img")
    assert SECRET in place.live("clear.img").read_bytes()
    assert mode(place.live("clear.img")) == 0o600
    assert mode(place.in_ram() / name) == 0o700
    key = read_key(place.live("keys.key"))
    assert SECRET in ccm.decoded(place.live("keys.img").read_bytes(), key, 512)
    assert mode(place.live("keys.img")) == mode(place.live("keys.key")) == 0o400
    assert mode(place.live("site.img")) == 0o444
    assert list(leaks(place.root)) == []


def test_nothing_is_done_twice_and_nothing_secret_is_shared(place: Place) -> None:
    place.deploy()
    assert place.deploy().outcome == "unchanged"
    place.commit(page=b"another")
    first = {name: place.live(name).stat().st_ino for name in ("keys.img", "keys.key")}
    place.commit(volumes=BOTH, page=b"open", secret=SECRET + b"!")
    report = place.deploy()
    assert report.build is not None and report.build.shared == ("site",)
    assert set(report.build.built) == {"keys", "clear"}
    for name in ("keys.img", "keys.key", "clear.img"):
        status = place.live(name).stat()
        assert status.st_nlink == 1 and status.st_ino != first.get(name)


def test_what_is_retired_is_wiped(place: Place) -> None:
    place.deploy()
    names = ("keys.img", "keys.key", "clear.img")
    with ExitStack() as stack:
        old = [stack.enter_context(open(place.live(name), "rb")) for name in names]
        for page in (b"another", b"and another"):
            place.commit(page=page)
            place.deploy(keep=1)
        assert not any(file.read().strip(b"\0") for file in old)
    assert {path.name for path in place.in_ram().iterdir()} == {
        generation.name for generation in Generations(place.root).all()
    }
    assert SECRET in place.live("clear.img").read_bytes()


def test_gc_wipes_no_open_image_that_is_shared(place: Place) -> None:
    """Under a umask of 077 an open image looks like a secret, and another generation has it."""
    before = os.umask(0o077)
    try:
        place.deploy()
        for secret in (b"other", b"and other"):
            place.commit(secret=secret)
            place.deploy()
    finally:
        os.umask(before)
    assert collect(place.root, 1) == (1,)
    assert b"open" in place.live("site.img").read_bytes()


def test_after_a_restart_of_the_host_secrets_are_built_again(place: Place) -> None:
    place.deploy()
    subprocess.run(["rm", "-rf", place.ram / "run"], check=True)
    report = place.deploy()
    assert report.outcome == "deployed" and report.generation.number == 2
    assert SECRET in place.live("clear.img").read_bytes()
    with pytest.raises(ImageError, match="is gone; deploy again"):
        rollback(place.root)


def test_a_key_file_that_changed_is_taken(place: Place) -> None:
    place.commit(IN_CIPHER)
    make_key(place.path / "one")
    two = make_key(place.path / "two")
    assert place.deploy(place.path / "one").outcome == "deployed"
    assert place.deploy(place.path / "one").outcome == "unchanged"
    assert place.deploy(place.path / "two").outcome == "deployed"
    assert SECRET in ccm.decoded(place.live("keys.img").read_bytes(), two, 512)
    assert not place.live("keys.key").exists()


def test_a_key_of_a_generation_may_be_taken_away(place: Place) -> None:
    place.commit(IN_CIPHER)
    place.deploy()
    place.live("keys.key").rename(place.path / "elsewhere")
    assert place.deploy().outcome == "unchanged"


def test_a_failed_deploy_leaves_nothing_secret(place: Place) -> None:
    place.commit(volumes=BOTH.replace('"site"\nformat', '"nowhere"\nformat'))
    with pytest.raises(Problems):
        place.deploy()
    assert [path for path in place.ram.rglob("*") if not path.is_dir()] == []
    assert Generations(place.root).all() == []


_KILLED = """
import os, signal, sys
from blockpack.deploy.building import secret_volumes as volumes
def transfer(layout, path, descriptor, real=volumes._transfer):
    real(layout, path, descriptor)
    if path.endswith("clear.img"):
        os.kill(os.getpid(), signal.SIGKILL)
volumes._transfer = transfer
from blockpack.cli import command
sys.argv[0] = "blockpack"
command()
"""


def test_what_a_killed_deploy_left_in_ram_is_wiped(place: Place) -> None:
    words: list[str | Path] = ["deploy", place.repository.path, "--to", place.root]
    options: list[str | Path] = ["--identity", place.identity, "--runtime-dir", place.ram / "run"]
    done = subprocess.run([sys.executable, "-c", _KILLED, *words, *options], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = place.ram.rglob("clear.img")
    with open(left, "rb") as file:
        assert SECRET in file.read()
        place.commit(page=b"another commit, so that the generation has another name")
        place.deploy()
        file.seek(0)
        assert not file.read().strip(b"\0")
    assert list(place.ram.rglob("clear.img")) == [place.live("clear.img").resolve()]


def test_a_directory_in_ram_of_somebody_else_is_left_alone(place: Place) -> None:
    place.deploy()
    subprocess.run(["rm", "-rf", place.root], check=True)
    with pytest.raises(Problems) as raised:
        place.deploy()
    assert "nothing in this ROOT leads to it" in str(raised.value)
    assert raised.value.exit_code == SecretError.exit_code


def test_a_disk_is_no_place_for_images_in_clear(place: Place) -> None:
    if is_ram(place.path):
        pytest.skip("tests run in RAM")
    done = run(
        *("deploy", place.repository.path, "--to", place.root, "--identity", place.identity),
        *("--runtime-dir", place.path / "run"),
    )
    assert done.returncode == SecretError.exit_code
    assert b"or give --runtime-dir DIR" in done.stderr


def test_the_command_tells_nothing_of_secrets(place: Place) -> None:
    words = ("deploy", place.repository.path, "--to", place.root, "--identity", place.identity)
    done = run(*words, "--runtime-dir", place.ram / "run", "--json", "--on-activate", "env")
    assert done.returncode == 0, done.stderr
    place.commit(secret=b"another")
    second = run(*words, "--runtime-dir", place.ram / "run")
    assert second.returncode == 0, second.stderr
    status = run("status", place.root, "--json")
    assert status.returncode == 0, status.stderr
    difference = run("status", place.root, "--diff", "1", "2")
    assert difference.returncode == 0, difference.stderr
    runs = (done, second, status, difference, run("status", place.root))
    shown = b"".join(each.stdout + each.stderr for each in runs)
    (place.path / "shown").write_bytes(shown)
    assert list(leaks(place.path)) == []
