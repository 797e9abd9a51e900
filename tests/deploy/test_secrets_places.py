"""Secret volumes: where their images may lie, who can read them, and how they go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blockpack import Problems, SecretError, TargetError
from blockpack.deploy.building import secret_volumes as volumes
from blockpack.deploy.secrets.ramfs import file_system, is_ram
from blockpack.writing.wiping import overwrite
from deploy.deployments import write_files
from deploy.secret_deployments import (
    IN_CIPHER,
    IN_CLEAR,
    NAME,
    SECRET,
    built,
    in_tar,
    leaks,
    manifest,
    mode,
    run,
    sealed,
    secret_deployment,
)

ON_DISK = "allow_persistent = true\n"


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777])
@pytest.mark.parametrize("volumes", [IN_CIPHER, IN_CLEAR])
def test_images_and_keys_are_their_owners_alone(
    ram: Path, keeper: tuple[Path, str], umask: int, volumes: str
) -> None:
    if umask & 0o700 and os.geteuid():
        pytest.skip("nobody but root may write to a directory without permissions")
    place = secret_deployment(ram / "d", keeper[1], volumes)
    dist = ram / "dist"
    done = run("build", place, "--out", dist, "--identity", keeper[0], umask=umask)
    assert done.returncode == 0, done.stderr
    assert mode(dist / "keys.img") == 0o600
    if volumes == IN_CIPHER:
        assert mode(dist / "keys.key") == 0o600
    else:
        assert in_tar((dist / "keys.img").read_bytes()) == {NAME: SECRET}


def test_no_file_is_ever_open_to_others(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    """What makes files is watched: each that is made for a secret has its mode from there on."""
    place = secret_deployment(tmp_path / "d", keeper[1])
    trace = tmp_path / "trace"
    tracing: list[str | Path] = ["strace", "-f", "-e", "trace=open,openat,creat", "-o", trace]
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "blockpack",
        "build",
        place,
        "--out",
        tmp_path / "dist",
    ]
    done = subprocess.run(
        [*tracing, *words, "--identity", keeper[0]], umask=0, check=True, capture_output=True
    )
    made = [line for line in trace.read_text().splitlines() if "O_CREAT" in line]
    secret = [line for line in made if "keys.img" in line or "keys.key" in line]
    assert len(secret) == 2, done.stderr
    assert all("O_EXCL" in line and ", 0600)" in line for line in secret)


def test_a_disk_is_no_place_for_an_image_in_clear(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    if is_ram(tmp_path):
        pytest.skip("tests run in RAM")
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CLEAR)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert raised.value.exit_code == SecretError.exit_code
    assert "which is not a RAM file system; add cipher" in str(raised.value)
    assert not (tmp_path / "dist").exists()
    write_files(
        place, {"blockpack.toml": manifest(keeper[1], f"{IN_CLEAR}allow_persistent = true\n")}
    )
    built(place, tmp_path / "dist", keeper[0])
    assert in_tar((tmp_path / "dist/keys.img").read_bytes()) == {NAME: SECRET}


def test_what_a_disk_may_not_hold_any_more_is_built_again(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    if is_ram(tmp_path):
        pytest.skip("tests run in RAM")
    place = secret_deployment(tmp_path / "d", keeper[1], f"{IN_CLEAR}allow_persistent = true\n")
    built(place, tmp_path / "dist", keeper[0])
    write_files(place, {"blockpack.toml": manifest(keeper[1], IN_CLEAR)})
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "not a RAM file system" in str(raised.value)


def test_an_image_that_is_replaced_is_wiped(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    volumes = f"{IN_CLEAR}allow_persistent = true\n"
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    with open(tmp_path / "dist/keys.img", "rb") as old:
        assert SECRET in old.read()
        write_files(place, {f"vault/{NAME}.age": sealed(b"other", keeper[1])})
        built(place, tmp_path / "dist", keeper[0])
        old.seek(0)
        assert not old.read().strip(b"\0")
    assert in_tar((tmp_path / "dist/keys.img").read_bytes()) == {NAME: b"other"}


def test_what_the_manifest_has_no_more_is_wiped(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    open_volume = '[volumes.site]\nsource = "vault"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    built(place, tmp_path / "dist", keeper[0])
    with open(tmp_path / "dist/keys.key", "rb") as key, open(tmp_path / "dist/keys.img", "rb") as i:
        write_files(place, {"blockpack.toml": manifest(keeper[1], open_volume)})
        report = built(place, tmp_path / "dist", keeper[0])
        assert set(report.removed) == {"keys.img", "keys.key"}
        assert not key.read().strip(b"\0") and not i.read().strip(b"\0")


def test_what_told_of_a_volume_is_gone_once_it_is_secret(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    plain = '[volumes.keys]\nsource = "vault"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], plain)
    built(place, tmp_path / "dist", keeper[0])
    assert (tmp_path / "dist/keys.json").exists()
    write_files(place, {"blockpack.toml": manifest(keeper[1], IN_CIPHER)})
    built(place, tmp_path / "dist", keeper[0])
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {
        *("keys.img", "keys.key", "manifest.json", ".blockpack-build.json")
    }
    assert list(leaks(tmp_path / "dist")) == []


@pytest.mark.parametrize(
    ("place", "told"), [("/dev/shm", "tmpfs"), ("/proc", "proc"), ("/proc/self/fd", "proc")]
)
def test_file_systems_are_told_apart(place: str, told: str) -> None:
    assert file_system(place) == told
    assert is_ram(place) == (told == "tmpfs")
    descriptor = os.open(place, os.O_RDONLY)
    try:
        assert file_system(descriptor) == told
    finally:
        os.close(descriptor)


def test_an_encrypted_image_that_does_not_fit_is_refused_before_a_byte_is_written(
    tmp_path: Path, keeper: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "free_bytes", lambda directory: 1000)
    place = secret_deployment(tmp_path / "d", keeper[1])
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "more than the 1,000 bytes that are free" in str(raised.value)
    assert raised.value.exit_code == TargetError.exit_code
    assert not (tmp_path / "dist").exists()


def test_a_key_that_is_not_the_builds_any_more_is_left_alone(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    built(place, tmp_path / "dist", keeper[0])
    (tmp_path / "dist/keys.key").unlink()
    (tmp_path / "dist/keys.key").write_bytes(b"mine")
    write_files(place, {"blockpack.toml": manifest(keeper[1], f"{IN_CLEAR}{ON_DISK}")})
    built(place, tmp_path / "dist", keeper[0])
    assert in_tar((tmp_path / "dist/keys.img").read_bytes()) == {NAME: SECRET}
    assert (tmp_path / "dist/keys.key").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "volumes",
    [
        pytest.param(f"{IN_CLEAR}{ON_DISK}", id="replaced"),
        pytest.param('[volumes.site]\nsource = "vault"\nformat = "tar"\n', id="removed"),
    ],
)
def test_what_has_another_name_is_not_wiped(
    tmp_path: Path, keeper: tuple[Path, str], volumes: str
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    built(place, tmp_path / "dist", keeper[0])
    (tmp_path / "used").hardlink_to(tmp_path / "dist/keys.key")
    key = (tmp_path / "used").read_bytes()
    write_files(place, {"blockpack.toml": manifest(keeper[1], volumes)})
    built(place, tmp_path / "dist", keeper[0])
    assert not (tmp_path / "dist/keys.key").exists()
    assert (tmp_path / "used").read_bytes() == key


# Wiping ------------------------------------------------------------------------------------------


def sparse(path: Path) -> Path:
    """A file with a secret at each end, and a hole of 64 MiB in between."""
    with open(path, "wb") as file:
        file.write(SECRET * 1000)
        file.seek(64 << 20)
        file.write(SECRET)
    return path


def overwritten(path: Path) -> tuple[int, int]:
    """The blocks of a file before and after it is overwritten."""
    before = path.stat().st_blocks
    descriptor = os.open(path, os.O_WRONLY)
    try:
        overwrite(descriptor)
    finally:
        os.close(descriptor)
    return before, path.stat().st_blocks


def test_what_is_wiped_takes_no_more_room_than_before(ram: Path) -> None:
    path = sparse(ram / "image")
    before, after = overwritten(path)
    assert after == before
    with open(path, "rb") as file:
        assert not file.read(len(SECRET) * 1000).strip(b"\0")
        file.seek(64 << 20)
        assert file.read() == bytes(len(SECRET))


def test_where_holes_cannot_be_told_all_is_overwritten(
    ram: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ram / "image"
    with open(path, "wb") as file:
        file.write((SECRET * (1 << 20))[: 2 << 20])
        file.seek(8 << 20)
        file.write(SECRET)
    write = os.pwrite
    with monkeypatch.context() as patch:
        patch.delattr(os, "SEEK_HOLE")
        # A write may be cut short.
        patch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:300_000], at))
        before, after = overwritten(path)
    assert after > before
    assert not path.read_bytes().strip(b"\0")
