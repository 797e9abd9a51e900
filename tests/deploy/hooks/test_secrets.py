"""Secrets are pushed encrypted, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage
import pytest

from cli.running import process
from deploy.deployments import FILES
from deploy.pushing import REFUSED, Host

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
