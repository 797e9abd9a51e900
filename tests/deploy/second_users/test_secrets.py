"""Secrets do not go where another user put something: on disks, and in RAM."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from blockpack import TargetError
from blockpack.deploy.building import secret_volumes
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import DeployReport, collect, deploy, rollback
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.secrets.age import Identities
from blockpack.deploy.secrets.files import Keeper
from deploy.deployments import names
from deploy.second_users.planting import dist, facts, plant_all, refusal
from deploy.secret_deployments import (
    IN_CIPHER,
    IN_CLEAR,
    NAME,
    SECRET,
    built,
    decrypted,
    run,
    sealed,
    secret_deployment,
)
from deploy.secret_deployments import identity as make_identity
from deploy.secret_deployments import manifest as secret_manifest
from repositories import GitRepository
from users import MALLORY, PLANTS, as_user, plant

OPEN = '[volumes.vault]\nsource = "vault"\nformat = "tar"\n'


@pytest.mark.parametrize("kind", PLANTS)
def test_an_encrypted_file_goes_where_it_is_to_and_nowhere_else(public: Path, kind: str) -> None:
    recipient = make_identity(public / "identity")
    place = secret_deployment(public / "deployment", recipient)
    target = public / "target"
    target.write_bytes(b"before")
    plant(kind, place / "vault/new.age", target)
    os.chown(place / "vault/new.age", MALLORY, MALLORY, follow_symlinks=False)
    keeper = Keeper.at(place)
    before = facts(place / "vault/new.age")
    assert refusal(lambda: keeper.encrypt(b"new", place / "vault/new.age"))[0] == 5
    assert facts(place / "vault/new.age") == before
    code, _ = refusal(lambda: keeper.encrypt(b"new", place / "vault/new.age", replace=True))
    assert code == (5 if kind in ("link", "dangling link", "directory") else 0)
    assert target.read_bytes() == b"before" and not (public / "nothing").exists()
    if code == 0:
        opened = Identities.read(public / "identity").open((place / "vault/new.age").read_bytes())
        assert opened == b"new"


def test_a_plain_file_of_another_user_is_not_wiped(public: Path) -> None:
    recipient = make_identity(public / "identity")
    place = secret_deployment(public / "deployment", recipient)
    theirs = place / "vault/theirs"
    theirs.write_bytes(b"before")
    os.chown(theirs, MALLORY, MALLORY)
    before = facts(theirs)
    done = run("secrets", "encrypt", "--remove", theirs)
    assert done.returncode == 2 and b"belongs to another user" in done.stderr
    assert facts(theirs) == before and theirs.read_bytes() == b"before"
    assert not (place / "vault/theirs.age").exists()


@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "directory"])
def test_a_secret_and_its_key_take_the_place_of_what_others_put_there(
    public: Path, kind: str
) -> None:
    recipient = make_identity(public / "identity")
    source = secret_deployment(public / "deployment", recipient)
    out = dist(public / "dist", 0, 0o755)
    plant_all(kind, out, ["keys.img", "keys.key"], public / "target")
    built(source, out, public / "identity")
    assert (public / "target").read_bytes() == b"before"
    assert not (public / "nothing").exists()
    for name in ("keys.img", "keys.key"):
        found = (out / name).lstat()
        assert (found.st_uid, found.st_mode) == (0, stat.S_IFREG | 0o600)
    assert decrypted(out) == {NAME: SECRET}


# RAM --------------------------------------------------------------------------------------------


class Deploying:
    """A repository with a secret volume in the clear, and a directory in RAM for anybody."""

    def __init__(self, place: Path, ram: Path) -> None:
        self.place = place
        self.recipient = make_identity(place / "identity")
        self.repository = GitRepository.init(place / "repository.git", "--bare")
        self.runtime = ram / "run"
        self.runtime.mkdir()
        self.runtime.chmod(0o1777)
        self.commit(SECRET)

    def commit(self, secret: bytes, volumes: str = IN_CLEAR) -> None:
        vault = {f"vault/{NAME}.age": sealed(secret, self.recipient)}
        self.repository.commit({"blockpack.toml": secret_manifest(self.recipient, volumes)} | vault)

    def deploy(self, root: str = "root") -> DeployReport:
        secrets = Secrets(identity=str(self.place / "identity"), runtime=str(self.runtime))
        return deploy(self.repository.path, "main", self.place / root, secrets=secrets)

    def own(self, root: str = "root") -> Path:
        """The directory in RAM that a root's next generation goes into."""
        name = f"0001-{self.repository.oid('main')[:12]}"
        secrets = Secrets(runtime=str(self.runtime))
        found = secrets.for_generation("www", str(self.place / root), name).runtime
        assert found is not None
        return Path(found)


@pytest.fixture(name="deploying")
def fixture_deploying(tmp_path: Path, ram: Path) -> Deploying:
    return Deploying(tmp_path, ram)


@pytest.mark.parametrize("above", [0, 1, 2])
@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "hard link"])
def test_a_directory_in_ram_that_somebody_made_is_refused(
    deploying: Deploying, public: Path, above: int, kind: str
) -> None:
    """That of the generation, of the deployment, and the one that is given."""
    planted = [deploying.own(), *deploying.own().parents][above]
    if above == 2:
        planted.rmdir()
        planted.parent.chmod(0o1777)
    elif above == 0:
        planted.parent.mkdir(mode=0o700)
    (public / "elsewhere").mkdir()
    (public / "elsewhere").chmod(0o777)
    plant(kind, planted, public / "elsewhere")
    os.chown(planted, MALLORY, MALLORY, follow_symlinks=False)
    before = facts(planted)
    code, text = refusal(deploying.deploy)
    assert code == 8, text
    assert "--runtime-dir" in text or "runtime=DIR" in text
    assert facts(planted) == before
    assert names(public / "elsewhere") == set()
    assert not (public / "nothing").exists()


def test_an_image_in_ram_that_somebody_made_is_not_live(deploying: Deploying) -> None:
    """As after a restart of the host, when all that is in RAM is gone."""
    deploying.deploy()
    live = deploying.place / "root/current/keys.img"
    own = Path(os.readlink(live)).parent
    image = live.read_bytes()
    subprocess.run(["rm", "-rf", own.parent], check=True)

    def planting() -> None:
        own.mkdir(parents=True)
        (own / "keys.img").write_bytes(image)

    as_user(MALLORY, planting)
    code, text = refusal(deploying.deploy)
    assert code == 8 and "belongs to another user" in text
    subprocess.run(["rm", "-rf", own.parent], check=True)
    assert deploying.deploy().generation.number == 2


def test_two_roots_of_a_deployment_do_not_meet_in_ram(deploying: Deploying) -> None:
    deploying.deploy("one")
    deploying.deploy("two")
    for secret in (b"a second secret", b"another secret"):
        deploying.commit(secret)
        deploying.deploy("one")
    assert collect(deploying.place / "one", 1) == (1,)
    two = deploying.place / "two/current/keys.img"
    assert SECRET in two.read_bytes()
    assert b"another secret" in (deploying.place / "one/current/keys.img").read_bytes()
    assert len(names(deploying.runtime)) == 2


def test_no_empty_directory_is_left_in_ram(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise TargetError("there", "is full")

    with monkeypatch.context() as patch:
        patch.setattr(secret_volumes, "_transfer", fail)
        assert refusal(deploying.deploy)[0] == 5
    assert not deploying.runtime.exists()
    deploying.deploy()
    for secret in (b"one", b"two"):
        deploying.commit(secret, OPEN)
        deploying.deploy()
    assert collect(deploying.place / "root", 1) == (1,)
    assert not deploying.runtime.exists()


def test_what_somebody_made_in_ram_is_not_gone_back_to(deploying: Deploying) -> None:
    deploying.deploy()
    old = deploying.own()
    image = (old / "keys.img").read_bytes()
    deploying.commit(b"another secret")
    deploying.deploy()
    subprocess.run(["rm", "-rf", old.parent], check=True)

    def planting() -> None:
        old.mkdir(parents=True)
        (old / "keys.img").write_bytes(image)

    as_user(MALLORY, planting)
    code, text = refusal(lambda: rollback(deploying.place / "root"))
    assert code == 8, text
    current = Generations(deploying.place / "root").current()
    assert current is not None and current.number == 2


def test_what_was_given_to_the_user_of_a_machine_is_shared_and_then_wiped(
    tmp_path: Path, ram: Path
) -> None:
    """As libvirt gives the images of a running machine to QEMU's user."""
    deploying = Deploying(tmp_path, ram)
    root = tmp_path / "root"
    deploying.runtime.rmdir()
    volumes = f"{IN_CIPHER}{OPEN.replace('vault', 'site')}"
    images = []
    for number in range(3):
        vault = {f"vault/{NAME}.age": sealed(b"%d" % number, deploying.recipient)}
        text = secret_manifest(deploying.recipient, volumes)
        deploying.repository.commit({"blockpack.toml": text, "site/index": b"the same"} | vault)
        report = deploying.deploy()
        assert report.build is not None
        assert report.build.shared == (("site",) if number else ())
        images.append(open(root / "current/keys.img", "rb"))  # noqa: SIM115
        for image in (root / "current").glob("*.img"):
            os.chown(image, MALLORY, MALLORY)
    assert collect(root, 1) == (1,)
    with images[0] as first, images[1] as second, images[2]:
        assert not first.read().strip(b"\0") and second.read().strip(b"\0")
    assert (root / "current/site.img").stat().st_uid == MALLORY
