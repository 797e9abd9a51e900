"""A deployment's whole way, with real parts: git pushes, a hook deploys, QEMU boots a Linux kernel
with the lines that `attach` prints, and the machine reads the files that were pushed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from cli.running import process
from deploy.pushing import Host
from faults.mounts import file_system
from judges.fat_tools import mtools_read
from judges.tar_tools import gnu_tar_read
from repositories import GitRepository
from vm.attached import printed
from vm.machine import Machine, require_machine

EXAMPLES = Path(__file__).parents[2] / "examples"

LOOK = r"""
mkdir /site && mount -t vfat -o ro /disks/site /site && cd /site
find . -type f -exec sha256sum {} + >/results/site
mkdir /media && cd /media && tar x -f /disks/media
find . -type f -exec sha256sum {} + >/results/media
"""
"""What the machine does: digests of all files on both devices."""


@pytest.fixture(name="film", scope="module")
def fixture_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film, which the repository of examples is too small for."""
    film = tmp_path_factory.mktemp("film") / "beam.avi"
    subprocess.run([EXAMPLES / "generate-media", film], check=True)
    return film


def have_fat(deployment: Path) -> None:
    """Have the site be a FAT volume, which the machine mounts, and which holds not every name."""
    manifest = deployment / "blockpack.toml"
    text = manifest.read_text()
    changed = text.replace('"site"\nformat  = "tar"', '"site"\nformat  = "fat"')
    assert changed != text
    manifest.write_text(re.sub(r"^consumer.*\n", "", changed, flags=re.M))


def commit_all(clone: GitRepository, message: str) -> str:
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", message)
    return clone.oid("HEAD")


Digests = dict[str, dict[str, str]]
"""The SHA-256 of each file in each volume."""


def seen(machine: Machine, root: Path, scratch: Path) -> Digests:
    """What a machine sees that starts now."""
    scratch.mkdir()
    found = machine.run(LOOK, [], scratch, printed(root))
    return {
        volume: {
            line[66:].removeprefix("./"): line[:64] for line in found[volume].decode().splitlines()
        }
        for volume in ("site", "media")
    }


def live(root: Path) -> Digests:
    """What mtools and GNU tar read in the images that are live."""
    site = mtools_read(root / "current" / "site.img")
    media = gnu_tar_read(root / "current" / "media.img")
    return {
        "site": {path: sha256(data).hexdigest() for path, data in site.items() if data is not None},
        "media": {
            path.decode(): sha256(member.content).hexdigest()
            for path, member in media.items()
            if member.kind == "file"
        },
    }


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def wanted(clone: GitRepository) -> Digests:
    """The same of the files that are checked out."""
    return {
        volume: {
            str(path.relative_to(clone.path / volume)): sha256(path.read_bytes()).hexdigest()
            for path in (clone.path / volume).rglob("*")
            if path.is_file()
        }
        for volume in ("site", "media")
    }


def space(path: Path) -> set[int]:
    """Where the blocks of a file lie on its file system, by their physical offsets."""
    subprocess.run(["sync", "--file-system", path], check=True)
    listing = subprocess.run(["filefrag", "-v", path], stdout=subprocess.PIPE, check=True)
    rows = re.findall(rb"^ *\d+:.*?: *(\d+)\.\.", listing.stdout, re.MULTILINE)
    return set(map(int, rows))


def test_a_site_is_pushed_deployed_attached_and_rolled_back(tmp_path: Path, film: Path) -> None:
    machine = require_machine()
    host = Host.at(tmp_path / "host")
    root, clone = host.root, host.clone
    log = tmp_path / "activations"
    note = f'echo "$BLOCKPACK_WHY $BLOCKPACK_GENERATION" >>{log}'
    host.settings(on_activate=note)

    # A first push.
    shutil.copytree(EXAMPLES / "deployment", clone.path, dirs_exist_ok=True)
    shutil.copy(film, clone.path / "media")
    have_fat(clone.path)
    first = commit_all(clone, "The light, and its film")
    pushed = host.push()
    assert pushed.code == 0 and host.live == f"0001-{first[:12]}", pushed.told
    assert live(root) == wanted(clone)
    film = root / "current/media.img"
    before = film.stat()
    assert before.st_size > 8_000_000

    # A second one, that changes one file: the film is neither built nor stored again.
    (clone.path / "site/index.html").write_text("<h1>Lit again</h1>\n")
    second = commit_all(clone, "The light is lit again")
    pushed = host.push()
    assert pushed.code == 0 and "1 built" in pushed.told and "1 shared" in pushed.told
    assert host.live == f"0002-{second[:12]}"
    old = root / "generations" / f"0001-{first[:12]}" / "media.img"
    assert film.stat().st_ino == old.stat().st_ino or space(film) == space(old) != set()
    after_second = wanted(clone)
    assert live(root) == after_second

    # A bad one is refused, and what was live is.
    (clone.path / "site/what?.html").write_text("no FAT holds this name")
    bad = commit_all(clone, "A name that cannot be")
    images = digest(root / "current/site.img"), digest(film)
    with host.unchanged():
        pushed = host.push()
    assert pushed.code and "FAT has no '?' in names" in pushed.told

    # So it is where nothing refuses it in time.
    (host.repository.path / "hooks/pre-receive").unlink()
    pushed = host.push()
    assert host.repository.oid("main") == bad and "is not deployed" in pushed.told
    assert host.live == f"0002-{second[:12]}"
    assert images == (digest(root / "current/site.img"), digest(film))

    # One that can be built, and does not work: what was live is, and is told so.
    host.settings(on_activate=f'{note}; test "$BLOCKPACK_GENERATION" != 3')
    clone.git("reset", "--quiet", "--hard", second)
    (clone.path / "site/index.html").write_text("<h1>Dark</h1>\n")
    commit_all(clone, "The light is out")
    pushed = host.push("--force", "main")
    assert "generation 2 is live again" in pushed.told and "to try again: " in pushed.told
    assert host.live == f"0002-{second[:12]}"
    assert live(root) == after_second

    # A good one.
    (clone.path / "site/index.html").write_text("<h1>Lit for good</h1>\n")
    fourth = commit_all(clone, "The light is on")
    pushed = host.push()
    assert pushed.code == 0 and host.live == f"0004-{fourth[:12]}", pushed.told

    # Back to the one before, which is not the one that failed, and to the first.
    process("rollback", root)
    assert host.live == f"0002-{second[:12]}"
    process("rollback", root)
    assert host.live == f"0001-{first[:12]}"
    clone.git("checkout", "--quiet", first)
    assert live(root) == wanted(clone) != after_second
    assert seen(machine, root, tmp_path / "machine") == wanted(clone)
    assert log.read_text().splitlines() == [
        *("deploy 1", "deploy 2", "deploy 3", "undone 2", "deploy 4", "rollback 2", "rollback 1")
    ]
    assert not [name for name in os.listdir(root / "generations") if name.startswith(".")]


def test_a_film_is_stored_once_where_blocks_can_be_shared(tmp_path: Path, film: Path) -> None:
    with file_system("btrfs", tmp_path, 512 << 20) as mount:
        host = Host.at(mount)
        shutil.copytree(EXAMPLES / "deployment", host.clone.path, dirs_exist_ok=True)
        shutil.copy(film, host.clone.path / "media")
        for text in ("first", "second"):
            (host.clone.path / "site/index.html").write_text(text)
            commit_all(host.clone, text)
            assert host.push().code == 0
        one, two = sorted(path / "media.img" for path in (host.root / "generations").iterdir())
        assert one.stat().st_ino != two.stat().st_ino
        assert len(space(one)) and space(one) == space(two)
