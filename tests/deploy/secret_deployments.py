"""Deployments with secrets in them, and where a secret could be found that got out."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pyrage

from blockpack.deploy.building.build import BuildReport, build
from blockpack.deploy.secrets import Secrets
from cli.running import forked
from deploy.deployments import write_files
from judges import ccm

NAME = "postmortem-passphrase"
"""The name of a secret, which is nothing else's."""

SECRET = b"Xq7/wombat-of-the-night/9fLz" * 40
"""What is in it, and nowhere else."""

IN_CIPHER = """
[volumes.keys]
source = "vault"
format = "tar"
secret = true
cipher = "aes-ccm"
"""

IN_CLEAR = IN_CIPHER.replace('cipher = "aes-ccm"\n', "")


def identity(path: Path) -> str:
    """A new identity in the file at `path`; its recipient."""
    own = pyrage.x25519.Identity.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(f"# created: long ago\n# public key: {own.to_public()}\n\n{own}\n")
    return str(own.to_public())


def sealed(data: bytes, *recipients: str) -> bytes:
    """A file of age."""
    found = [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    return bytes(pyrage.encrypt(data, found))


def manifest(recipient: str, volumes: str) -> bytes:
    """A manifest with a recipient."""
    return f'[deployment]\nname = "www"\nrecipients = ["{recipient}"]\n{volumes}'.encode()


def secret_deployment(
    place: Path, recipient: str, volumes: str = IN_CIPHER, files: Mapping[str, bytes] | None = None
) -> Path:
    """A directory with a deployment whose secret is `SECRET`."""
    vault = {f"vault/{NAME}.age": sealed(SECRET, recipient)} if files is None else files
    return write_files(place, {"blockpack.toml": manifest(recipient, volumes), **vault})


def run(
    *words: str | Path,
    umask: int = 0o022,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The command, in a process of its own."""
    return forked(*words, umask=umask, env={**os.environ, **(env or {})}, stdin=stdin)


def traces(secret: bytes, name: str) -> list[bytes]:
    """What would give a secret away: its bytes in several shapes, and its name."""
    part = secret[:24]
    shifted = [base64.b64encode(b"\0" * skip + secret)[4 * skip :][8:40] for skip in range(3)]
    return [
        part,
        part.hex().encode(),
        part.hex().upper().encode(),
        repr(part)[2:-1].encode(),
        *shifted,
        name.encode(),
        name.encode().hex().encode(),
        base64.b64encode(name.encode())[:-4],
        "\\x00".join(name).encode(),
        name.encode("utf-16-le"),
    ]


def found_in(data: bytes, secret: bytes = SECRET, name: str = NAME) -> list[bytes]:
    """The traces of a secret that there are in `data`."""
    return [trace for trace in traces(secret, name) if trace in data]


def leaks(*places: Path) -> Iterator[tuple[Path, list[bytes]]]:
    """The files below `places` with traces of the secret in their bytes or names."""
    for place in places:
        for path in place.rglob("*"):
            found = found_in(os.fsencode(path.name))
            if path.is_file() and not path.is_symlink():
                found += found_in(path.read_bytes())
            if found:
                yield path, found


def built(place: Path | str, dist: Path, own: Path | None, **options: Any) -> BuildReport:
    """What a build with the identity `own` did."""
    return build(
        place, dist, secrets=Secrets(identity=None if own is None else str(own), **options)
    )


def in_tar(data: bytes) -> dict[str, bytes]:
    """The files in a tar archive, by Python's own reader."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        files = ((member, archive.extractfile(member)) for member in archive)
        return {member.name: file.read() for member, file in files if file is not None}


def decrypted(dist: Path, key: bytes | None = None) -> dict[str, bytes]:
    """The files in the image in `dist`, by a judge; its key is the one beside it, or is given."""
    own = bytes.fromhex((dist / "keys.key").read_text()) if key is None else key
    return in_tar(ccm.decoded((dist / "keys.img").read_bytes(), own, 512))


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def everything(error: BaseException | None) -> Iterator[str]:
    """All that an error has to say: also notes, members, causes and contexts, and their values."""
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from getattr(error, "__notes__", ())
    for each in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from everything(each)
