"""What another user of the machine made is not believed, whoever runs the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from blockpack.deploy.record import BuildRecord
from blockpack.deploy.secrets.age import Identities
from blockpack.deploy.source.open_directory import OpenDirectory
from blockpack.layers.keys import make_key, read_key
from deploy.deployments import FILES, write_files
from deploy.second_users.planting import refusal
from deploy.secret_deployments import identity as make_identity
from users import ALICE, MALLORY, PLANTS, as_user, plant


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
