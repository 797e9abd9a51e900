"""Identities: which open encrypted files, and which are refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from blockpack import Problems, UsageError
from blockpack.deploy.building.build import build
from deploy.secret_deployments import (
    SECRET,
    built,
    decrypted,
    everything,
    identity,
    sealed,
    secret_deployment,
)


def test_several_identities_and_armour(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    import pyrage

    other = identity(tmp_path / "other")
    with open(keeper[0], "a") as file:
        file.write((tmp_path / "other").read_text())
    armoured = pyrage.encrypt(b"armoured", [pyrage.x25519.Recipient.from_str(other)], armored=True)
    files = {"vault/a.age": sealed(b"first", keeper[1]), "vault/b/c.age": armoured}
    place = secret_deployment(tmp_path / "d", keeper[1], files=files)
    built(place, tmp_path / "dist", keeper[0])
    assert decrypted(tmp_path / "dist") == {"a": b"first", "b/c": b"armoured"}


def test_a_key_of_ssh_is_an_identity(tmp_path: Path) -> None:
    import pyrage

    own = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own], check=True)
    recipient = (tmp_path / "id.pub").read_text().strip()
    data = pyrage.encrypt(SECRET, [pyrage.ssh.Recipient.from_str(recipient)])
    place = secret_deployment(tmp_path / "d", recipient, files={"vault/x.age": data})
    built(place, tmp_path / "dist", own)
    assert (tmp_path / "dist/keys.img").exists()


def test_without_an_identity_nothing_opens(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    with pytest.raises(Problems) as raised:
        build(place, tmp_path / "dist")
    assert "no identity was given; give identity=FILE" in str(raised.value)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o666])
def test_an_identity_that_others_can_read_is_refused(
    tmp_path: Path, keeper: tuple[Path, str], bits: int
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    keeper[0].chmod(bits)
    with pytest.raises(UsageError, match=f"others may read or write it .mode 0{bits:o}"):
        built(place, tmp_path / "dist", keeper[0])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# nothing\n",
        b"AGE-SECRET-KEY-1QQQ",
        b"AGE-PLUGIN-X-1QQ",
        b"age-encryption.org/v1\n-> scrypt 1QQ\n",
        b"-----BEGIN X-----\n",
        b"\xff",
    ],
)
def test_what_is_no_identity_is_not_shown(
    tmp_path: Path, keeper: tuple[Path, str], text: bytes
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    keeper[0].write_bytes(text)
    with pytest.raises((UsageError, Problems)) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert raised.value.exit_code == 2
    assert "1QQ" not in "".join(everything(raised.value))


@pytest.mark.parametrize("step", range(0, 400, 7))
def test_damaged_files_are_refused(tmp_path: Path, keeper: tuple[Path, str], step: int) -> None:
    """A byte of a file is changed, or it ends there."""
    from blockpack.deploy.secrets.age import Closed, Identities

    data = bytearray(sealed(SECRET[:200], keeper[1]))
    at = step % len(data)
    own = Identities.read(keeper[0])
    assert isinstance(own.open(bytes(data[:at])), Closed)
    data[at] ^= 1
    assert isinstance(own.open(bytes(data)), Closed)
