"""The hooks of examples/hooks: what is pushed is deployed, and what cannot be is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage
import pytest

from cli.running import process
from deploy.deployments import FILES
from deploy.pushing import HOOKS, Host
from judges.programs import on_ci
from repositories import EXECUTABLE, LINK, GitRepository, pointer

BAD = {"site/what?": b"", "site/a:b": b""}
"""Files that no FAT holds."""

REFUSED = "the push is refused; what is live stays live"


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    """A host with both hooks, and nothing deployed."""
    return Host.at(tmp_path / "host")


@pytest.fixture(name="deployed")
def fixture_deployed(host: Host) -> Host:
    """A host on which a first commit is live."""
    host.commit()
    assert host.push().code == 0
    return host


def test_what_is_pushed_is_live(host: Host) -> None:
    commit = host.commit()
    pushed = host.push()
    assert pushed.code == 0 and "is live" in pushed.told
    assert host.live == f"0001-{commit[:12]}"
    assert host.live_files["index.html"] == b"<h1>hello</h1>\n"
    commit = host.commit({"site/index.html": b"again"})
    assert "1 built" in host.push().told and host.live == f"0002-{commit[:12]}"
    assert host.live_files["index.html"] == b"again"


# Bad pushes --------------------------------------------------------------------------------------


def test_what_cannot_be_built_is_refused(deployed: Host) -> None:
    deployed.commit(BAD)
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told
    assert "FAT has no '?' in names" in pushed.told and "a:b" in pushed.told
    # The objects went with the quarantine.
    oid = deployed.clone.oid("main")
    with pytest.raises(subprocess.CalledProcessError):
        deployed.repository.git("cat-file", "-e", oid)


@pytest.mark.parametrize("text", [b"", b"[deployment", b'[deployment]\nname = "www"\nx = 1\n'])
def test_a_manifest_that_is_wrong_is_refused(deployed: Host, text: bytes) -> None:
    deployed.commit({"blockpack.toml": text})
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told and "blockpack.toml:" in pushed.told


def test_a_commit_without_a_manifest_is_refused(deployed: Host) -> None:
    deployed.clone.commit({"x": b""})
    with deployed.unchanged():
        assert "has no blockpack.toml" in deployed.push().told


def test_without_pre_receive_the_pusher_is_told(tmp_path: Path) -> None:
    host = Host.at(tmp_path / "host", hooks=())
    host.commit()
    host.push()
    live = host.live
    bad = host.commit(BAD)
    pushed = host.push()
    assert pushed.code == 0 and host.repository.oid("main") == bad  # it is too late to refuse
    assert "FAT has no '?' in names" in pushed.told
    assert "is not deployed; what was live stays live" in pushed.told
    assert live is not None and host.live == live


def test_a_push_mended_after_a_refusal_is_deployed(deployed: Host) -> None:
    deployed.commit(BAD)
    deployed.push()
    commit = deployed.commit({"site/new": b"new"})
    assert deployed.push().code == 0
    assert deployed.live == f"0002-{commit[:12]}"


def test_a_command_that_fails_has_the_old_generation_stay(deployed: Host) -> None:
    live = deployed.live
    deployed.settings(on_activate='test "$BLOCKPACK_WHY" = undone')
    deployed.commit({"site/new": b"new"})
    pushed = deployed.push()
    assert "generation 1 is live again" in pushed.told and deployed.live == live
    assert "is not deployed" in pushed.told


def test_a_host_without_a_root_says_so(host: Host) -> None:
    host.repository.git("config", "--unset", "blockpack.root")
    host.commit()
    assert "set blockpack.root" in host.push().told
    assert host.live is None


def test_a_host_without_the_command_says_so(host: Host) -> None:
    host.configure(command="/nowhere/blockpack")
    host.commit()
    pushed = host.push()
    assert pushed.code and "not found" in pushed.told and not host.refs()


# Pushes of all kinds -----------------------------------------------------------------------------


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


def test_another_branch_is_deployed_if_it_is_named(deployed: Host) -> None:
    deployed.configure(branch="live/site")
    commit = deployed.commit({"site/new": b"new"}, branch="live/site")
    deployed.push("live/site")
    assert deployed.live == f"0002-{commit[:12]}"


def test_deleting_the_branch_leaves_what_is_live(deployed: Host) -> None:
    deployed.repository.git("config", "receive.denyDeleteCurrent", "ignore")
    live = deployed.live
    pushed = deployed.push(":main")
    assert pushed.code == 0 and "the branch main is gone; what is live stays live" in pushed.told
    assert not deployed.refs() and live is not None and deployed.live == live


def test_a_branch_that_is_pushed_again_is_deployed(deployed: Host) -> None:
    deployed.repository.git("config", "receive.denyDeleteCurrent", "ignore")
    deployed.push(":main")
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
    count = 300
    for number in range(count):
        deployed.clone.git("update-ref", f"refs/heads/b/{number}", commit)
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


@pytest.mark.parametrize("branch", ["$(touch${IFS}ran)", "a'b\"c", "-n", "a@b", "Größe"])
def test_a_branch_with_any_name_is_deployed(deployed: Host, branch: str) -> None:
    deployed.configure(branch=branch)
    commit = deployed.commit({"site/new": b"new"}, branch="other")
    assert deployed.push(f"{commit}:refs/heads/{branch}").code == 0
    assert deployed.live == f"0002-{commit[:12]}"
    assert not [*deployed.root.parent.rglob("ran"), *Path().glob("ran")]


def test_paths_may_be_odd(tmp_path: Path) -> None:
    host = Host.at(tmp_path / 'it\'s $HOME; a "b" ü@x  y')
    commit = host.commit()
    pushed = host.push()
    assert pushed.code == 0, pushed.told
    assert host.live == f"0001-{commit[:12]}"
    host.commit(BAD)
    with host.unchanged():
        assert REFUSED in host.push().told


def test_repositories_with_sha256(tmp_path: Path) -> None:
    host = Host.at(tmp_path / "host", "--object-format=sha256")
    commit = host.commit()
    assert len(commit) == 64 and host.push().code == 0
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


# Two at once -------------------------------------------------------------------------------------


@contextmanager
def waiting(host: Host) -> Iterator[Path]:
    """The first activation meanwhile lasts until there is the file that is given."""
    begun, go = host.root.parent / "begun", host.root.parent / "go"
    host.settings(on_activate=f"touch {begun}; while ! test -e {go}; do sleep 0.02; done")
    thread = threading.Thread(target=host.push)
    thread.start()
    try:
        until(begun.exists)
        yield go
    finally:
        go.touch()
        thread.join(60)


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_pushes_at_once_are_deployed_one_after_the_other(deployed: Host) -> None:
    deployed.commit({"site/new": b"1"})
    with waiting(deployed) as go:
        commit = deployed.commit({"site/new": b"2"})
        told: list[str] = []
        second = threading.Thread(target=lambda: told.append(deployed.push().told))
        second.start()
        until(lambda: deployed.repository.oid("main") == commit)
        second.join(3)
        assert second.is_alive()  # it waits
        assert deployed.live is not None and deployed.live.startswith("0002-")
        go.touch()
        second.join(60)
    assert "another push is being deployed; waiting for it" in told[0]
    assert deployed.live == f"0003-{commit[:12]}"
    assert deployed.live_files["new"] == b"2"


def test_the_hook_that_comes_last_deploys_the_newest_commit(deployed: Host) -> None:
    """Hooks may get their turn in another order than their pushes."""
    old = deployed.clone.oid("main")
    commit = deployed.commit({"site/new": b"new"})
    deployed.push()
    live = deployed.live
    done = subprocess.run(
        [deployed.repository.path / "hooks/post-receive"],
        cwd=deployed.repository.path,
        env={**os.environ, "GIT_DIR": "."},
        input=f"{'0' * 40} {old} refs/heads/main\n".encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and b"is live already" in done.stderr
    assert live == deployed.live == f"0002-{commit[:12]}"


def test_what_a_command_leaves_running_holds_up_no_push(deployed: Host) -> None:
    deployed.settings(on_activate="sleep 60 >/dev/null 2>&1 & echo $! >sleeping")
    deployed.commit({"site/new": b"1"})
    deployed.push()
    sleeping = int((deployed.root / "sleeping").read_text())
    try:
        deployed.settings(on_activate="true")
        deployed.commit({"site/new": b"2"})
        assert "waiting" not in deployed.push().told
        os.kill(sleeping, 0)  # it still runs
    finally:
        os.kill(sleeping, 15)


# Nothing of the repository is run ----------------------------------------------------------------


def test_nothing_that_is_pushed_is_run(deployed: Host, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {ran}\n".encode()
    config = f'[filter "x"]\n\tsmudge = touch {ran}\n\tclean = touch {ran}\n'.encode()
    names = (
        "hooks/post-receive",
        ".githooks/pre-receive",
        "site/deploy",
        "on-activate",
        "blockpack",
    )
    deployed.commit(
        {
            **dict.fromkeys(names, (EXECUTABLE, script)),
            "sitecustomize.py": f"open({str(ran)!r}, 'w')".encode(),
            "attrs.py": b"1/0",
            ".gitattributes": b"* filter=x diff=x\n",
            ".gitconfig": config,
            "config": config,
        }
    )
    assert deployed.push().code == 0
    assert deployed.live is not None and deployed.live.startswith("0002-")
    assert not ran.exists()


def test_links_out_of_the_tree_are_refused(deployed: Host) -> None:
    deployed.commit({"site/link": (LINK, b"../../../../etc/passwd")})
    with deployed.unchanged():
        assert REFUSED in deployed.push().told


def test_the_command_sees_nothing_of_git(deployed: Host) -> None:
    deployed.settings(on_activate="env >seen")
    deployed.commit({"site/new": b"new"})
    deployed.push()
    seen = (deployed.root / "seen").read_text().splitlines()
    assert any(line.startswith("BLOCKPACK_COMMIT=") for line in seen)
    names = {line.partition("=")[0] for line in seen}
    assert not names & {"GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_WORK_TREE"}


def test_nothing_is_left_in_temporary_directories(
    deployed: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for changes in ({"site/new": b"new"}, BAD):
        deployed.commit(changes)
        deployed.push(environment={"TMPDIR": str(scratch)})
    assert not list(scratch.iterdir())


def test_how_large_images_may_be_is_a_setting_of_the_host(deployed: Host) -> None:
    text = FILES["blockpack.toml"].replace(b'format = "tar"', b'format = "tar"\nfree = "1T"')
    deployed.settings(max_size=1 << 30)
    deployed.commit({"blockpack.toml": text})
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told
    assert "volume media" in pushed.told and "the limit of 1,073,741,824 bytes" in pushed.told
    deployed.commit({"site/new": b"new"})
    assert deployed.push().code == 0 and deployed.live is not None
    assert deployed.live.startswith("0002-")


def test_images_too_large_are_not_deployed_without_pre_receive_either(tmp_path: Path) -> None:
    host = Host.at(tmp_path / "host", hooks=())
    host.settings(max_size=64 << 10)
    host.commit()
    pushed = host.push()
    assert "more than the limit of 65,536 bytes" in pushed.told and host.live is None
    assert "is not deployed; what was live stays live" in pushed.told


def test_what_is_kept_is_a_setting_of_the_host(deployed: Host) -> None:
    deployed.settings(keep=2)
    for number in range(4):
        deployed.commit({"site/new": b"%d" % number})
        deployed.push()
    assert len(list((deployed.root / "generations").iterdir())) == 2


@pytest.mark.parametrize("name", ["pre-receive", "post-receive"])
def test_hooks_are_sound_scripts(name: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        reason = "shellcheck is not installed (Debian: apt install shellcheck)"
        (pytest.fail if on_ci() else pytest.skip)(reason)
    done = subprocess.run(
        [shellcheck, "--shell=sh", HOOKS / name], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert os.access(HOOKS / name, os.X_OK)


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


# Secrets -----------------------------------------------------------------------------------------

KEYS = """
[volumes.keys]
source = "keys"
format = "tar"
secret = true
cipher = "aes-ccm"
"""


def test_a_secret_in_clear_is_refused(deployed: Host) -> None:
    text = FILES["blockpack.toml"] + KEYS.encode()
    deployed.commit({"blockpack.toml": text, "keys/tls.key": b"SECRET"})
    with deployed.unchanged():
        pushed = deployed.push()
    assert REFUSED in pushed.told and "not encrypted" in pushed.told
    assert "tls.key" not in pushed.told and "SECRET" not in pushed.told
    oid = deployed.clone.oid("main:keys/tls.key")
    with pytest.raises(subprocess.CalledProcessError):
        deployed.repository.git("cat-file", "-e", oid)


def test_secrets_are_opened_on_the_host(deployed: Host, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    file = tmp_path / "identity"
    file.touch(0o600)
    file.write_text(f"{identity}\n")
    deployed.settings(identity=str(file))
    closed = pyrage.encrypt(b"SECRET", [identity.to_public()])
    text = FILES["blockpack.toml"] + KEYS.encode()
    deployed.commit({"blockpack.toml": text, "keys/tls.key.age": closed})
    pushed = deployed.push()
    assert pushed.code == 0 and deployed.live is not None and deployed.live.startswith("0002-")
    assert "tls.key" not in pushed.told and "SECRET" not in pushed.told
    current = deployed.root / "current"
    found = process("cat", current / "keys.img", "tls.key", "--key-file", current / "keys.key")
    assert found.out == b"SECRET"


@pytest.mark.parametrize("to", ["main", "other", "refs/tags/x"])
def test_a_secret_that_came_and_went_is_refused(deployed: Host, to: str) -> None:
    """Whatever it is pushed to: the history is what everybody fetches."""
    text = FILES["blockpack.toml"] + KEYS.encode()
    bad = deployed.commit({"blockpack.toml": text, "keys/tls.key": b"SECRET"})
    deployed.commit({"blockpack.toml": text, "keys/tls.key.age": b"age-encryption.org/v1\n"})
    with deployed.unchanged():
        pushed = deployed.push(f"main:{to}")
    assert pushed.code and REFUSED in pushed.told
    assert f"commit {bad[:12]}: brings 1 file that is not encrypted" in pushed.told
    assert f"git rebase -i {bad[:12]}^" in pushed.told and "change the secrets" in pushed.told
    assert "tls.key" not in pushed.told and "SECRET" not in pushed.told


def test_what_is_live_says_what_is_secret_in_other_branches(deployed: Host) -> None:
    text = FILES["blockpack.toml"] + KEYS.encode()
    deployed.commit({"blockpack.toml": text, "keys/x.age": b"age-encryption.org/v1\n"})
    assert deployed.push().code == 0
    deployed.clone.commit({"keys/tls.key": b"SECRET"}, branch="draft")
    with deployed.unchanged():
        assert deployed.push("draft").code


@pytest.mark.parametrize("tag", [["tree", "HEAD^{tree}"], ["-a", "-m", "x", "note", "HEAD:site"]])
def test_a_tag_of_what_is_no_commit_is_refused(deployed: Host, tag: list[str]) -> None:
    """It has no history that could be looked into for secrets."""
    deployed.clone.git("tag", *tag)
    with deployed.unchanged():
        pushed = deployed.push("--tags")
    assert pushed.code and REFUSED in pushed.told and "names no commit" in pushed.told
