"""Secret volumes: what is built of encrypted files, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockpack import UsageError, open_image
from blockpack.deploy.building.build import build
from blockpack.layers.keys import make_key, read_key
from deploy.deployments import write_files
from deploy.secret_deployments import (
    IN_CIPHER,
    NAME,
    SECRET,
    built,
    decrypted,
    in_tar,
    leaks,
    manifest,
    mode,
    run,
    sealed,
    secret_deployment,
)
from judges import ccm
from repositories import GitRepository


@pytest.mark.parametrize("size", [512, 4096])
def test_a_judge_decrypts_what_was_encrypted_in_the_repository(
    tmp_path: Path, keeper: tuple[Path, str], size: int
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], f"{IN_CIPHER}sector-size = {size}\n")
    report = built(place, tmp_path / "dist", keeper[0])
    image, key = tmp_path / "dist/keys.img", tmp_path / "dist/keys.key"
    assert mode(image) == mode(key) == 0o600
    plain = ccm.decoded(image.read_bytes(), bytes.fromhex(key.read_text()), size)
    assert in_tar(plain) == {NAME: SECRET}
    (record,) = report.record.volumes
    assert (record.secret, record.cipher, record.key) == (True, "aes-ccm", "keys.key")


@pytest.mark.parametrize(
    "options", ['"fat"', '"git"\ncontainer = "pack"', '"git"\ncontainer = "bundle"']
)
def test_any_format_is_encrypted(tmp_path: Path, keeper: tuple[Path, str], options: str) -> None:
    volumes = IN_CIPHER.replace('"tar"', options)
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    with open_image(tmp_path / "dist/keys.img", key=key) as image:
        assert image.verify() == []
        with image.open(NAME) as file:
            assert file.read() == SECRET


def test_the_command_shows_an_image_to_who_has_the_key(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    done = run("build", place, "--out", dist, "--identity", keeper[0])
    assert done.returncode == 0, done.stderr
    with_key: tuple[Path, str, Path] = (dist / "keys.img", "--key-file", dist / "keys.key")
    assert run("ls", *with_key).stdout.decode().split() == [NAME]
    assert run("cat", dist / "keys.img", NAME, *with_key[1:]).stdout == SECRET
    assert run("verify", *with_key).returncode == 0
    assert run("ls", dist / "keys.img").returncode == 6


def test_a_commit_is_built_as_its_directory_is(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    repository = GitRepository.init(tmp_path / "repository")
    repository.commit(
        {
            "blockpack.toml": manifest(keeper[1], IN_CIPHER),
            f"vault/{NAME}.age": sealed(SECRET, keeper[1]),
        }
    )
    built(f"git:{repository.path}@HEAD", tmp_path / "dist", keeper[0])
    assert decrypted(tmp_path / "dist") == {NAME: SECRET}


def test_what_did_not_change_is_left_alone(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    first = (dist / "keys.img").read_bytes(), (dist / "keys.key").read_bytes()
    report = build(place, dist)  # and needs no identity
    assert report.unchanged == ("keys",)
    assert first == ((dist / "keys.img").read_bytes(), (dist / "keys.key").read_bytes())
    write_files(place, {f"vault/{NAME}.age": sealed(SECRET, keeper[1])})
    report = built(place, dist, keeper[0])
    assert report.built == ("keys",)
    assert first[1] != (dist / "keys.key").read_bytes()


def test_a_key_file_is_what_an_image_opens_with(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    key = make_key(tmp_path / "key")
    report = built(place, dist, keeper[0], key_file=str(tmp_path / "key"))
    assert report.built == ("keys",) and not (dist / "keys.key").exists()
    assert decrypted(dist, key) == {NAME: SECRET}
    assert built(place, dist, None, key_file=str(tmp_path / "key")).unchanged == ("keys",)
    make_key(tmp_path / "next")
    report = built(place, dist, keeper[0], key_file=str(tmp_path / "next"))
    assert report.built == ("keys",)


def test_a_key_that_a_build_made_is_no_key_file_for_the_next(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    """It would be wiped together with the image that it opens."""
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    own = str(dist / "keys.key")
    assert built(place, dist, keeper[0], key_file=own).unchanged == ("keys",)
    write_files(place, {f"vault/{NAME}.age": sealed(b"other", keeper[1])})
    with pytest.raises(UsageError, match="keep it elsewhere"):
        built(place, dist, keeper[0], key_file=own)
    assert (dist / "keys.key").exists()


def test_a_key_may_be_taken_away(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    built(place, tmp_path / "dist", keeper[0])
    (tmp_path / "dist/keys.key").rename(tmp_path / "elsewhere")
    assert build(place, tmp_path / "dist").unchanged == ("keys",)
    (tmp_path / "dist/keys.img").unlink()
    assert built(place, tmp_path / "dist", keeper[0]).built == ("keys",)
    assert (tmp_path / "dist/keys.key").exists()


def test_plain_files_in_a_directory_are_told_of_and_leave_no_trace(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], files={f"vault/{NAME}": SECRET})
    dist = tmp_path / "dist"
    for _ in range(2):
        report = build(place, dist)
        assert report.built == ("keys",)
        ((volume, warning),) = report.warnings
        assert volume == "keys" and warning.text.startswith("1 of its files is not encrypted")
    assert list(leaks(dist)) == []
