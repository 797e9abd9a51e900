"""What another user put into a root is neither followed nor written to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from blockpack.deploy.host.rollout import deploy
from blockpack.deploy.host.settings import HostSettings
from blockpack.deploy.host.status import status
from deploy.deployments import FILES, names
from deploy.second_users.planting import dist, facts, give, refusal
from repositories import GitRepository
from users import ALICE, MALLORY, PLANTS, as_user, plant, public_directory

FILES_OF_A_ROOT = ".lock", "activations.jsonl", "current", "generations", "host.toml"


class Rooted(NamedTuple):
    """A user's repository, which everybody can read, and a root to be made."""

    user: int
    repository: GitRepository
    root: Path

    def deploy(self, umask: int = 0o022) -> tuple[int, str]:
        def work() -> object:
            os.environ["HOME"] = "/"  # or git reads what it may not
            settings = HostSettings.of(self.root) if self.root.exists() else HostSettings()
            command = settings.on_activate
            return deploy(self.repository.path, "main", self.root, on_activate=command)

        return as_user(self.user, lambda: refusal(work), umask=umask)


@pytest.fixture(name="repository", scope="module", params=[0, ALICE])
def fixture_repository(request: pytest.FixtureRequest) -> Iterator[tuple[int, GitRepository]]:
    """A user, and a repository of theirs that is only read."""
    with public_directory() as place:
        repository = GitRepository.init(place / "repository.git", "--bare")
        repository.commit(FILES)
        give(repository.path, request.param)
        yield request.param, repository


@pytest.fixture(name="rooted")
def fixture_rooted(public: Path, repository: tuple[int, GitRepository]) -> Rooted:
    return Rooted(*repository, public / "root")


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
