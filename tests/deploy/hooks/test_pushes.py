"""What is pushed is deployed, however it is pushed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from deploy.pushing import BAD, HOOKS, REFUSED, Host
from repositories import GitRepository, pointer


def test_what_is_pushed_is_live(host: Host) -> None:
    commit = host.commit()
    pushed = host.push()
    assert pushed.code == 0 and "is live" in pushed.told
    assert host.live == f"0001-{commit[:12]}"
    assert host.live_files["index.html"] == b"<h1>hello</h1>\n"
    commit = host.commit({"site/index.html": b"again"})
    assert "1 built" in host.push().told and host.live == f"0002-{commit[:12]}"
    assert host.live_files["index.html"] == b"again"


def test_nothing_new_deploys_nothing(deployed: Host) -> None:
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code == 0 and not pushed.told


def test_other_branches_and_tags_deploy_nothing(deployed: Host) -> None:
    deployed.commit(BAD, branch="draft")
    deployed.clone.git("tag", "main")  # the name of the branch, elsewhere
    live = deployed.live
    pushed = deployed.push("refs/heads/draft", "refs/tags/main", "refs/heads/draft:refs/notes/main")
    assert pushed.code == 0 and not pushed.told and deployed.live == live


def test_deleting_the_branch_leaves_what_is_live_until_it_is_pushed_again(deployed: Host) -> None:
    deployed.repository.git("config", "receive.denyDeleteCurrent", "ignore")
    live = deployed.live
    pushed = deployed.push(":main")
    assert pushed.code == 0 and "the branch main is gone; what is live stays live" in pushed.told
    assert not deployed.refs() and live is not None and deployed.live == live
    commit = deployed.commit({"site/new": b"new"})
    deployed.push()
    assert deployed.live == f"0002-{commit[:12]}"


def test_a_forced_push_deploys_the_older_commit(deployed: Host) -> None:
    first = deployed.clone.oid("main")
    deployed.commit({"site/index.html": b"again"})
    deployed.push()
    pushed = deployed.push("--force", f"{first}:main")
    assert pushed.code == 0 and "2 shared" in pushed.told
    assert deployed.live == f"0003-{first[:12]}"
    assert deployed.live_files["index.html"] == b"<h1>hello</h1>\n"


def test_unrelated_history_is_deployed_like_any(deployed: Host) -> None:
    commit = deployed.commit({"site/new": b"new"}, branch="other")
    assert deployed.push("--force", "other:main").code == 0
    assert deployed.live == f"0002-{commit[:12]}"


def test_many_refs_at_once(deployed: Host) -> None:
    commit = deployed.commit({"site/new": b"new"})
    count = 60
    wanted = "".join(f"create refs/heads/b/{number} {commit}\n" for number in range(count))
    deployed.clone.git("update-ref", "--stdin", data=wanted.encode())
    assert deployed.push("--all").code == 0
    assert deployed.live == f"0002-{commit[:12]}"
    assert deployed.refs().count("refs/heads/b/") == count


def test_one_bad_branch_of_many_refuses_the_push_as_a_whole(deployed: Host) -> None:
    deployed.commit({}, branch="fine")
    deployed.commit(BAD)
    with deployed.unchanged():
        assert deployed.push("main", "fine").code


ODD_BRANCHES = (
    *("$(touch${IFS}ran)", "`touch${IFS}ran`", "a;touch${IFS}ran", "a'b\"c", "-n", "a&b|c>d"),
    *("$HOME", "Größe", "a@b", "!x", "%s%n", "(a)", "#x", "-rf"),
)


def test_names_of_branches_are_only_names(deployed: Host) -> None:
    commit = deployed.commit({"site/new": b"new"}, branch="other")
    before = deployed.live
    refs = [f"{commit}:refs/heads/{branch}" for branch in ODD_BRANCHES]
    pushed = deployed.push(*refs)
    assert pushed.code == 0 and not pushed.told and deployed.live == before
    assert deployed.refs().count("\n") == len(ODD_BRANCHES) + 1
    assert not [*deployed.root.parent.rglob("ran"), *Path().glob("ran")]


@pytest.mark.parametrize("branch", ["live/$(touch${IFS}ran)a'b\"c@Größe", "-n"])
def test_another_branch_is_deployed_if_it_is_named_whatever_its_name(
    deployed: Host, branch: str
) -> None:
    deployed.configure(branch=branch)
    commit = deployed.commit({"site/new": b"new"}, branch="other")
    assert deployed.push(f"{commit}:refs/heads/{branch}").code == 0
    assert deployed.live == f"0002-{commit[:12]}"
    assert not [*deployed.root.parent.rglob("ran"), *Path().glob("ran")]


def test_paths_may_be_odd_and_object_ids_long(tmp_path: Path) -> None:
    host = Host.at(tmp_path / 'it\'s $HOME; a "b" ü@x  y', "--object-format=sha256")
    commit = host.commit()
    pushed = host.push()
    assert len(commit) == 64 and pushed.code == 0, pushed.told
    assert host.live == f"0001-{commit[:12]}"
    host.commit(BAD)
    with host.unchanged():
        assert REFUSED in host.push().told


def test_a_repository_that_borrows_objects(deployed: Host, tmp_path: Path) -> None:
    """What is pushed may be made of objects that are in a third place."""
    third = tmp_path / "third.git"
    shutil.move(deployed.repository.path / "objects", third)
    for name in ("info", "pack"):
        (deployed.repository.path / "objects" / name).mkdir(parents=True)
    (deployed.repository.path / "objects/info/alternates").write_text(f"{third}\n")
    commit = deployed.commit({"site/new": b"new"})
    assert deployed.push().code == 0
    assert deployed.live == f"0002-{commit[:12]}"


def test_files_of_git_lfs_are_those_of_the_repository(deployed: Host) -> None:
    data = b"large\n" * 1000
    oid = hashlib.sha256(data).hexdigest()
    changes = {"site/large": pointer(oid, len(data))}
    deployed.commit({**changes, "site/.gitattributes": b"large filter=lfs\n"})
    with deployed.unchanged():
        assert REFUSED in deployed.push().told  # its content is nowhere
    place = deployed.repository.path / "lfs/objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    assert deployed.push().code == 0
    assert deployed.live_files["large"] == data


def test_a_repository_with_a_working_tree(deployed: Host, tmp_path: Path) -> None:
    """Hooks run in ``.git`` there."""
    place = GitRepository.init(tmp_path / "work")
    for name in ("pre-receive", "post-receive"):
        shutil.copy(HOOKS / name, place.path / ".git/hooks" / name)
    for key in ("command", "root"):
        value = deployed.repository.git("config", f"blockpack.{key}").decode().strip()
        place.git("config", f"blockpack.{key}", value)
    commit = deployed.commit({"site/new": b"new"})
    place.git("config", "receive.denyCurrentBranch", "ignore")
    deployed.clone.git("remote", "set-url", "origin", place.path)
    assert deployed.push().code == 0
    assert deployed.live == f"0002-{commit[:12]}"
