"""A disk with secrets is secret as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blockpack.deploy.building.check import check
from deploy.deployments import names
from deploy.disks.card import partitions, refusal
from deploy.secret_deployments import (
    NAME,
    SECRET,
    built,
    found_in,
    identity,
    mode,
    sealed,
    secret_deployment,
)
from repositories import GitRepository

ON_DISK = """
[volumes.keys]
source = "vault"
format = "tar"
secret = true

[volumes.site]
source = "site"
format = "tar"

[disks.card]
partitions = [{ volume = "keys" }, { volume = "site" }]
"""


@pytest.fixture(name="vault")
def fixture_vault(tmp_path: Path) -> Path:
    recipient = identity(tmp_path / "identity")
    files = {f"vault/{NAME}.age": sealed(SECRET, recipient), "site/index.html": b"public"}
    return secret_deployment(tmp_path / "deployment", recipient, ON_DISK, files)


def test_a_disk_with_secrets_is_secret_as_a_whole(vault: Path, tmp_path: Path, ram: Path) -> None:
    built(vault, ram / "dist", tmp_path / "identity")
    image = ram / "dist/card.img"
    assert mode(image) == 0o600
    assert names(ram / "dist") == {".blockpack-build.json", "card.img", "manifest.json"}
    keys, site = partitions(image)
    assert SECRET in keys.data and b"public" in site.data
    told = json.loads((ram / "dist/manifest.json").read_text())
    (card,) = told["volumes"]
    assert card["secret"] and not {"size", "sha256", "fingerprint", "placements"} & set(card)
    assert not found_in(json.dumps(told).encode())


def test_a_disk_with_secrets_lies_in_ram(vault: Path, tmp_path: Path) -> None:
    said = refusal(lambda: built(vault, tmp_path / "dist", tmp_path / "identity"))
    assert "disk card" in said and "not a RAM file system; add allow_persistent" in said
    text = (vault / "blockpack.toml").read_text()
    (vault / "blockpack.toml").write_text(
        text.replace("secret = true", "secret = true\nallow_persistent = true")
    )
    built(vault, tmp_path / "dist", tmp_path / "identity")
    assert mode(tmp_path / "dist/card.img") == 0o600


def test_what_is_wrong_with_secrets_on_a_disk_gives_nothing_away(
    vault: Path, tmp_path: Path, ram: Path
) -> None:
    text = (vault / "blockpack.toml").read_text()
    (vault / "blockpack.toml").write_text(
        text.replace('{ volume = "keys" }', '{ volume = "keys", size = 512 }')
    )
    said = refusal(lambda: built(vault, ram / "dist", tmp_path / "identity"))
    assert "disk card" in said and not found_in(said.encode())


def test_what_is_committed_in_clear_is_refused_on_a_disk(vault: Path, tmp_path: Path) -> None:
    files = {
        str(path.relative_to(vault)): path.read_bytes()
        for path in vault.rglob("*")
        if path.is_file()
    }
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    repository.commit({**files, "vault/plain": b"x"})
    said = refusal(lambda: check(f"git:{repository.path}@main"))
    assert "volume keys" in said and "not encrypted" in said
