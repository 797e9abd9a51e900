"""``blockpack secrets rekey``: encrypted again for whom the manifest names."""

from __future__ import annotations

import os
from pathlib import Path

import pyrage
import pytest

from cli.secrets.editors import FILE, opened
from deploy.deployments import write_files
from deploy.secret_deployments import IN_CIPHER, SECRET, identity, manifest, run, sealed


def test_rekey_shuts_out_who_is_no_recipient_any_more(
    place: Path, own: Path, tmp_path: Path
) -> None:
    next_recipient = identity(tmp_path / "next")
    write_files(
        place,
        {
            "blockpack.toml": manifest(next_recipient, IN_CIPHER),
            "vault/deep/down.age": (place / FILE).read_bytes(),
            "elsewhere.age": b"not of a secret volume",
            "vault/deep/.blockpack-0123456789abcdef.tmp": b"left by a run that was killed",
        },
    )
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0, done.stderr
    assert b"2 files encrypted again for 1 recipient" in done.stderr
    for path in (place / FILE, place / "vault/deep/down.age"):
        assert opened(path, tmp_path / "next") == SECRET
        with pytest.raises(pyrage.DecryptError):
            opened(path, own)
    assert (place / "elsewhere.age").read_bytes() == b"not of a secret volume"
    assert os.listdir(place / "vault/deep") == ["down.age"]


def test_rekey_does_all_or_nothing(place: Path, own: Path) -> None:
    write_files(place, {"vault/a.age": b"damaged", "vault/z.age": b"also"})
    before = (place / FILE).read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 8
    assert b"a.age: is damaged" in done.stderr and b"z.age: is damaged" in done.stderr
    assert (place / FILE).read_bytes() == before


def test_rekey_follows_no_links(place: Path, own: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.age"
    outside.write_bytes((place / FILE).read_bytes())
    (place / "vault/link.age").symlink_to(outside)
    (place / "vault/above").symlink_to(tmp_path)
    before = outside.read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"1 file " in done.stderr
    assert outside.read_bytes() == before


def test_rekey_takes_what_a_build_would_open(place: Path, own: Path, tmp_path: Path) -> None:
    """What is excluded, plain, or called otherwise in its volume stays as it is."""
    others = sealed(SECRET, identity(tmp_path / "other"))
    mine = (place / FILE).read_bytes()
    ours = ("vault/plain/deep/x.age", "single.age", "renamed")
    theirs = ("vault/old/x.age", "vault/y.old.age", "vault/.age", "plain", "left.age")
    volumes = IN_CIPHER.replace(
        'source = "vault"',
        'exclude = ["old", "*.old.age"]\n'
        'source = [{ path = "vault" }, { path = "single.age", at = "one.age" },'
        ' { path = "renamed", at = "two.age" }, { path = "plain", at = "a/plain" },'
        ' { path = "left.age", at = "left" }]',
    )
    recipient = identity(tmp_path / "next")
    files = dict.fromkeys(ours, mine) | dict.fromkeys(theirs, others)
    write_files(place, {"blockpack.toml": manifest(recipient, volumes), **files})
    built = run("build", place, "--out", tmp_path / "before", "--identity", own)
    assert built.returncode == 0, built.stderr
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"4 files encrypted again" in done.stderr, done.stderr
    for path in (FILE, *ours):
        assert opened(place / path, tmp_path / "next") == SECRET
    assert all((place / path).read_bytes() == others for path in theirs)
    built = run("build", place, "--out", tmp_path / "after", "--identity", tmp_path / "next")
    assert built.returncode == 0, built.stderr


def test_rekey_follows_the_links_that_its_volume_follows(
    place: Path, own: Path, tmp_path: Path
) -> None:
    """Each file once, and the links stay links."""
    (place / FILE).rename(place / "vault/real")
    for name in ("one.age", "two.age"):
        (place / "vault" / name).symlink_to("real")
    following = f'{IN_CIPHER}symlinks = "follow"\nexclude = ["real"]\n'
    recipient = identity(tmp_path / "next")
    write_files(place, {"blockpack.toml": manifest(recipient, following)})
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"1 file encrypted again" in done.stderr, done.stderr
    assert opened(place / "vault/real", tmp_path / "next") == SECRET
    assert (place / "vault/one.age").is_symlink() and (place / "vault/two.age").is_symlink()


def test_rekey_writes_nothing_if_a_volume_cannot_be_packed(place: Path, own: Path) -> None:
    text = (place / "blockpack.toml").read_bytes()
    gone = IN_CIPHER.replace("keys", "more").replace("vault", "nowhere").encode()
    write_files(place, {"blockpack.toml": text + gone})
    before = (place / FILE).read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 4
    assert b"nothing was encrypted again" in done.stderr
    assert b"volume more" in done.stderr and b"nowhere: cannot be read" in done.stderr
    assert (place / FILE).read_bytes() == before
