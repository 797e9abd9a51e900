"""What another user of the machine made is not believed, whoever runs the command."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from blockpack import BlockpackError, Layout, TargetError, write
from blockpack.deploy.building import secret_volumes, task
from blockpack.deploy.building.build import build
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import DeployReport, collect, deploy, rollback
from blockpack.deploy.host.settings import HostSettings
from blockpack.deploy.host.status import status
from blockpack.deploy.record import BuildRecord
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.secrets.age import Identities
from blockpack.deploy.secrets.files import Keeper
from blockpack.deploy.source.open_directory import OpenDirectory
from blockpack.layers.keys import make_key, read_key
from deploy.deployments import FILES, names, write_files
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
from users import ALICE, MALLORY, PLANTS, as_user, plant, public_directory


@pytest.fixture(name="public")
def fixture_public() -> Iterator[Path]:
    """A directory in which everybody may make something."""
    with public_directory(mode=0o1777) as place:
        yield place


OPEN = '[volumes.vault]\nsource = "vault"\nformat = "tar"\n'


def give(path: Path, owner: int) -> None:
    """Give all that is at a path to a user."""
    for each in (path, *path.rglob("*")):
        os.chown(each, owner, owner, follow_symlinks=False)


def refusal(work: Callable[[], object]) -> tuple[int, str]:
    """How the command would end, and the error; 0 if there is none."""
    try:
        work()
    except BlockpackError as error:
        return error.exit_code, str(error)
    return 0, ""


# Files that are believed -------------------------------------------------------------------------


def manifest(path: Path) -> None:
    write_files(path.parent, {path.name: FILES["blockpack.toml"]})


def record(path: Path) -> None:
    with chdir(path.parent):
        write_files(Path("source"), FILES)
        build("source", "dist", only=["media"])
    os.replace(path.parent / "dist/manifest.json", path)


BELIEVED: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object], int]] = {
    "manifest": (
        *("blockpack.toml", manifest),
        *(lambda path: OpenDirectory(str(path.parent)).manifest, 4),
    ),
    "record": ("manifest.json", record, lambda path: BuildRecord.read(path.parent), 4),
    "key": ("key", make_key, read_key, 2),
    "identity": ("identity", make_identity, Identities.read, 2),
}
"""Each with its name, what makes it, what reads it, and how that ends if it is refused."""


@pytest.mark.parametrize("what", BELIEVED)
@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("owner", ["self", "root", "mallory"])
def test_what_is_believed_is_ours_or_roots(public: Path, what: str, user: int, owner: str) -> None:
    name, make, read, code = BELIEVED[what]
    make(public / name)
    whose = {"self": user, "root": 0, "mallory": MALLORY}[owner]
    os.chown(public / name, whose, whose)
    found = as_user(user, lambda: refusal(lambda: read(public / name)))
    if owner == "mallory":
        told = f"{public / name}: belongs to another user (uid {MALLORY}); run as that user, or "
        assert found == (code, f"{told}take it over: 'chown {user} {public / name}'")
    elif owner == "root" and user and what in ("key", "identity"):
        assert found[0] == 4 and "permission denied" in found[1]  # it is root's alone
    else:
        assert found == (0, "")


@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "file"])
@pytest.mark.parametrize("what", BELIEVED)
def test_what_is_no_file_of_ours_is_not_believed(public: Path, what: str, kind: str) -> None:
    """Nor waited for. A link to a key or to an identity counts by what it leads to."""
    name, make, read, code = BELIEVED[what]
    make(public / "target")
    os.chown(public / "target", MALLORY, MALLORY)
    as_user(MALLORY, lambda: plant(kind, public / name, public / "target"))
    found, text = refusal(lambda: read(public / name))
    assert found == (4 if kind == "dangling link" and code == 2 else code), text


# Directories that are built in --------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def fixture_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All is imported while we may read it."""
    place = tmp_path_factory.mktemp("imported")
    recipient = make_identity(place / "identity")
    secret_deployment(write_files(place / "d", FILES), recipient)
    built(place / "d", place / "dist", place / "identity")
    build(write_files(place / "open", FILES), place / "dist")


@pytest.fixture(name="source")
def fixture_source(public: Path) -> Path:
    """A deployment of root's, which is everybody's to build."""
    return write_files(public / "deployment", FILES)


def dist(path: Path, owner: int, bits: int) -> Path:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(bits)
    return path


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize(
    ("owner", "bits"),
    [("mallory", 0o755), ("mallory", 0o777), ("mallory", 0o1777), ("self", 0o777)],
)
def test_nothing_is_built_where_others_can_change_it(
    source: Path, public: Path, user: int, owner: str, bits: int
) -> None:
    out = dist(public / "dist", MALLORY if owner == "mallory" else user, bits)
    code, text = as_user(user, lambda: refusal(lambda: build(source, out)))
    assert code == 5
    assert text.startswith(f"{out}: ")
    assert ("chown" if owner == "mallory" else f"chmod go-w {out}") in text
    assert names(out) == set()


FILES_OF_A_BUILD = "site.img", "site.json", "manifest.json", ".blockpack-build.json"


def facts(path: Path) -> list[object]:
    found = path.lstat()
    values: list[object] = [found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns]
    return [*values, os.readlink(path) if path.is_symlink() else found.st_ino]


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("name", FILES_OF_A_BUILD)
@pytest.mark.parametrize("kind", PLANTS)
def test_what_another_user_put_where_anybody_may_is_left_as_it_is(
    source: Path, public: Path, user: int, name: str, kind: str
) -> None:
    out = dist(public / "dist", user, 0o1777)
    target = public / "target"

    def planting() -> None:
        target.write_bytes(b"before")
        target.chmod(0o666)
        plant(kind, out / name, target)

    as_user(MALLORY, planting)
    before = facts(out / name), facts(target)
    code, text = as_user(user, lambda: refusal(lambda: build(source, out)))
    assert code == 5, text
    assert f"{out / name}: " in text
    assert (facts(out / name), facts(target)) == before
    assert not (public / "nothing").exists()


def plant_all(kind: str, out: Path, planted: Iterable[str], target: Path) -> None:
    target.write_bytes(b"before")
    target.chmod(0o600)
    for name in planted:
        plant(kind, out / name, target)
        os.chown(out / name, MALLORY, MALLORY, follow_symlinks=False)


@pytest.mark.parametrize("umask", [0, 0o077])
@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "directory"])
def test_a_build_puts_files_of_its_own_in_the_place_of_others(
    source: Path, public: Path, user: int, kind: str, umask: int
) -> None:
    """In a directory of ours, which others could write to once."""
    out = dist(public / "dist", user, 0o755)
    plant_all(kind, out, FILES_OF_A_BUILD, public / "target")
    assert as_user(user, lambda: refusal(lambda: build(source, out)), umask=umask) == (0, "")
    assert (public / "target").read_bytes() == b"before"
    assert not (public / "nothing").exists()
    for path in out.iterdir():
        found = path.lstat()
        assert (found.st_uid, found.st_mode) == (user, stat.S_IFREG | 0o644 & ~umask)
    assert len(names(out)) == 6
    assert as_user(user, lambda: build(source, out), umask=umask).unchanged == ("site", "media")


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


@pytest.mark.parametrize("name", FILES_OF_A_BUILD)
def test_a_directory_where_a_file_goes_is_left_as_it_is(
    source: Path, public: Path, name: str
) -> None:
    out = dist(public / "dist", 0, 0o755)
    plant("directory", out / name, public)
    code, text = refusal(lambda: build(source, out))
    assert code == 5 and f"{out / name}: " in text
    assert (out / name / "inside").read_bytes() == b"planted"


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_holds_a_descriptor_of_what_is_not_whole_yet(
    source: Path, public: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it an image could be changed after it was verified."""
    modes: dict[str, int] = {}
    opened: list[Path] = []

    def looking(layout: Layout, target: str, **options: Any) -> object:
        done = write(layout, target, **options)
        look(Path(target))
        return done

    def look(path: Path) -> None:
        for each in (path.parent, path):
            modes[each.name] = stat.S_IMODE(each.stat().st_mode)

        def opening() -> None:
            os.open(path, os.O_RDWR)

        with pytest.raises(PermissionError):
            as_user(MALLORY, opening)
        opened.append(path)

    monkeypatch.setattr(task, "write", looking)
    before = os.umask(umask)
    try:
        build(source, public / "dist")
    finally:
        os.umask(before)
    assert len(opened) == 2
    assert {mode for name, mode in modes.items() if name.endswith(".tmp")} == {0o700}
    assert {mode for name, mode in modes.items() if name.endswith(".img")} == {0o600}
    assert stat.S_IMODE((public / "dist").stat().st_mode) == 0o755 & ~umask
    assert {stat.S_IMODE(path.stat().st_mode) for path in (public / "dist").iterdir()} == {
        0o644 & ~umask
    }


@pytest.mark.parametrize("user", [0, ALICE])
def test_a_deployment_of_another_user_is_not_built(source: Path, public: Path, user: int) -> None:
    give(source, MALLORY)
    code, text = as_user(user, lambda: refusal(lambda: build(source, public / "dist")))
    assert code == 4
    assert f"blockpack.toml: belongs to another user (uid {MALLORY}); run as that user" in text
    assert not (public / "dist").exists()
    assert as_user(MALLORY, lambda: refusal(lambda: build(source, public / "dist")))[0] == 0


# Secrets -----------------------------------------------------------------------------------------


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


# RAM ----------------------------------------------------------------------------------------------


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


# ROOT ---------------------------------------------------------------------------------------------


FILES_OF_A_ROOT = ".lock", "activations.jsonl", "current", "generations", "host.toml"


class Rooted:
    """A repository that everybody can read, and a root to be made."""

    def __init__(self, public: Path, user: int) -> None:
        self.user = user
        self.repository = GitRepository.init(public / "repository.git", "--bare")
        self.repository.commit(FILES)
        give(self.repository.path, user)
        self.root = public / "root"

    def deploy(self, umask: int = 0o022) -> tuple[int, str]:
        def work() -> tuple[int, str]:
            os.environ["HOME"] = "/"  # or git reads what it may not
            settings = HostSettings.of(self.root) if self.root.exists() else HostSettings()
            return refusal(
                lambda: deploy(
                    self.repository.path, "main", self.root, on_activate=settings.on_activate
                )
            )

        return as_user(self.user, lambda: refusal_of(work), umask=umask)


def refusal_of(work: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    try:
        return work()
    except BlockpackError as error:
        return error.exit_code, str(error)


@pytest.fixture(name="rooted", params=[0, ALICE])
def fixture_rooted(public: Path, request: pytest.FixtureRequest) -> Rooted:
    return Rooted(public, request.param)


@pytest.mark.parametrize(
    ("owner", "bits"),
    [("mallory", 0o755), ("mallory", 0o777), ("mallory", 0o1777), ("self", 0o777)],
)
def test_nothing_is_deployed_where_others_can_change_it(
    rooted: Rooted, owner: str, bits: int
) -> None:
    dist(rooted.root, MALLORY if owner == "mallory" else rooted.user, bits)
    code, text = rooted.deploy()
    assert code == 5 and text.startswith(f"{rooted.root}: ")
    assert names(rooted.root) == set()


@pytest.mark.parametrize("planter", [MALLORY, 0])
def test_a_link_that_another_user_planted_does_not_say_where_to_deploy(
    rooted: Rooted, public: Path, planter: int
) -> None:
    place = dist(public / "place", rooted.user, 0o755)
    rooted.root.symlink_to(place)
    os.chown(rooted.root, planter, planter, follow_symlinks=False)
    code, text = rooted.deploy()
    assert code == (0 if planter == 0 else 5), text
    assert bool(names(place)) == (planter == 0)


@pytest.mark.parametrize("name", FILES_OF_A_ROOT)
@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("sticky", [True, False])
def test_what_another_user_put_into_a_root_is_neither_followed_nor_written_to(
    rooted: Rooted, public: Path, name: str, kind: str, sticky: bool
) -> None:
    """Where anybody may, and where anybody could once."""
    dist(rooted.root, rooted.user, 0o1777 if sticky else 0o755)
    target = public / "target"
    target.write_bytes(b"on-activate = 'touch /tmp/was-here'\n")
    target.chmod(0o666)
    plant(kind, rooted.root / name, target)
    for path in (target, rooted.root / name):
        os.chown(path, MALLORY, MALLORY, follow_symlinks=False)
    before = facts(rooted.root / name), facts(target)
    code, text = rooted.deploy()
    assert code, text
    assert (facts(rooted.root / name), facts(target)) == before
    assert not (public / "nothing").exists()
    assert not list(rooted.root.glob("generations/0*"))
    told = as_user(rooted.user, lambda: refusal(lambda: status(rooted.root)))
    assert "Error" not in told[1] and told[0] in (0, 4, 5)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_is_deployed_nobody_else_can_change(rooted: Rooted, umask: int) -> None:
    assert rooted.deploy(umask) == (0, "")
    for path in (rooted.root, *rooted.root.rglob("*")):
        found = path.lstat()
        assert found.st_uid == rooted.user
        assert stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o022


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
