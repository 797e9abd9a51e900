"""``--verity``: the command makes a hash tree, prints the root hash, and checks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import blockpack
from cli.running import Command
from judges import verity as judge
from judges.programs import run


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_bytes(b"<p>hello" * 3000)
    return site


def test_behind_the_image(command: Command, site: Path, tmp_path: Path) -> None:
    image = tmp_path / "www.tar"
    (root_hash,) = command("pack", site, image, "--verity").lines
    with blockpack.open_image(image) as found:
        offset = found.size
    judge.verify(image, image, root_hash, offset)
    facts = json.loads(command("info", image, "--json").out)["geometry"]
    assert (facts["root_hash"], facts["hash_offset"]) == (root_hash, offset)
    assert command("ls", image).lines == ["index.html"]
    assert command("verify", image, "--root-hash", root_hash).code == 0
    assert command("verify", image, site).code == 0
    command("extract", image, tmp_path / "out")
    assert (tmp_path / "out/index.html").read_bytes() == b"<p>hello" * 3000
    again = tmp_path / "again.tar"
    assert command("pack", site, again, "--verity").lines == [root_hash]
    assert again.read_bytes() == image.read_bytes()


def test_in_a_file_beside_it_with_a_signature(command: Command, site: Path, tmp_path: Path) -> None:
    image, hashes = tmp_path / "www.raw", tmp_path / "www.verity"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key)]
    run("openssl", [*made, "-out", certificate, "-subj", "/CN=blockpack", "-days", "9"])
    words = (
        "--verity",
        hashes,
        "--verity-salt",
        "-",
        "--sign-key",
        key,
        "--sign-cert",
        certificate,
    )
    told = json.loads(command("pack", site, image, "--format", "fat", *words, "--json").out)
    root_hash = told["geometry"]["root_hash"]
    assert (told["verity"], told["geometry"]["hash_salt"]) == (str(hashes), "")
    judge.verify(image, hashes, root_hash)
    assert command("verify", image, "--verity", hashes, "--root-hash", root_hash).code == 0
    (tmp_path / "root-hash").write_text(root_hash)
    verify = ["smime", "-verify", "-inform", "der", "-nointern", "-noverify", "-binary"]
    signature, content = tmp_path / "www.roothash.p7s", tmp_path / "root-hash"
    run("openssl", [*verify, "-in", signature, "-content", content, "-certfile", certificate])


def test_a_key_that_cannot_sign_is_named(command: Command, site: Path, tmp_path: Path) -> None:
    image, key = tmp_path / "www.raw", tmp_path / "key.pem"
    key.write_bytes(b"no key")
    words = ("--format", "fat", "--verity", "--sign-key", key, "--sign-cert", key)
    told = command("pack", site, image, *words, code=2).err
    assert f"{key}: the key is not a private one in PEM, without a password; give" in told
    assert not image.exists()


def test_damage_is_told_with_its_block(command: Command, site: Path, tmp_path: Path) -> None:
    image = tmp_path / "www.tar"
    command("pack", site, image, "--verity")
    data = bytearray(image.read_bytes())
    data[9000] ^= 1
    image.write_bytes(data)
    told = command("verify", image, code=6)
    assert "block 2 (bytes 8,192 to 12,287)" in told.out.decode()
    data[9000] ^= 1
    image.write_bytes(data)
    told = command("verify", image, "--root-hash", "0" * 64, code=6)
    assert "and not the root hash 000" in told.out.decode()


@pytest.mark.parametrize("format", ["tar", "erofs", "fat", "git"])
def test_what_is_behind_the_end_is_told(
    command: Command, site: Path, tmp_path: Path, format: str
) -> None:
    image = tmp_path / "www.img"
    (root_hash,) = command("pack", site, image, "--format", format, "--verity").lines
    whole = image.read_bytes()
    offset = whole.index(b"verity\0\0")
    flipped = bytearray(whole)
    flipped[offset + 8] ^= 1  # its version
    damage = f"the hash tree at byte {offset:,} is cut short or damaged; copy it again"
    stray = f"there is a hash tree at byte {offset:,}, which was not looked for there"
    stray = f"{stray}; give --hash-offset {offset}"
    for found, told in {
        whole[: offset + 600]: damage,
        whole[:-1]: damage,
        bytes(flipped): damage,
        whole + b"\0": stray,
    }.items():
        image.write_bytes(found)
        assert told in command("verify", image, code=6).out.decode()
        err = command("verify", image, "--root-hash", root_hash, code=6).err
        assert f"{image}: {told}" in err
    for damaged in (whole[: offset + 3], whole[:offset] + b"else"):
        image.write_bytes(damaged)
        assert "there is something after" in command("verify", image, code=6).out.decode()
    image.write_bytes(whole[:offset] + bytes(8192))
    assert command("verify", image).code == 0


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--verity-salt", "aa"), "give --verity"),
        (("--verity", "--verity-salt", "xyz"), "is not a salt"),
        (("--verity", "--sign-key", "k.pem"), "takes a key and its certificate"),
        (("--verity", "--key-file", "key"), "leave out --verity or --key-file"),
        (("--format", "fat", "--pad", "512", "--verity", "{image}"), "is written twice"),
    ],
)
def test_what_does_not_go_together_is_refused(
    command: Command, site: Path, tmp_path: Path, words: tuple[str, ...], rule: str
) -> None:
    image = tmp_path / "www.tar"
    given = [word.format(image=image) for word in words]
    assert rule in command("pack", site, image, *given, code=2).err
    assert not image.exists()


def test_an_image_without_a_tree_has_no_root_hash(
    command: Command, site: Path, tmp_path: Path
) -> None:
    image = tmp_path / "www.tar"
    command("pack", site, image)
    told = command("verify", image, "--root-hash", "0" * 64, code=6)
    assert f"{image}: has no hash tree at its end; give the byte" in told.err


@pytest.mark.parametrize("wrong", ["", "zz", "0" * 63, "0" * 40])
def test_what_is_no_root_hash_is_wrong_usage(
    command: Command, site: Path, tmp_path: Path, wrong: str
) -> None:
    image = tmp_path / "www.tar"
    command("pack", site, image, "--verity")
    err = command("verify", image, "--root-hash", wrong, code=2).err
    assert "is not a root hash" in err
    assert "give 64 hexadecimal digits" in err


def test_messages_name_the_file_and_what_to_do(
    command: Command, site: Path, tmp_path: Path
) -> None:
    image, hashes, nothing = (tmp_path / name for name in ("www.img", "hashes", "nothing"))
    command("pack", site, image, "--format", "fat", "--verity", hashes)
    nothing.write_bytes(bytes(8192))
    told = command("verify", image, "--verity", nothing, code=6).err
    assert f"{nothing}: there is no hash tree of dm-verity at byte 0; give" in told
    told = command("verify", image, "--hash-offset", "5", code=6).err
    assert f"{image}: there is no hash tree of dm-verity at byte 5; give" in told
    told = command("cat", image, "", code=6).err
    assert "/: is a directory, not a file; name a file" in told
    found = hashes.read_bytes()
    for damaged in (found[:-1], found[:72] + bytes(8) + found[80:]):  # which has no data blocks
        hashes.write_bytes(damaged)
        told = command("verify", image, "--verity", hashes, code=6).err
        assert f"{hashes}: the " in told
        assert "damaged; copy it again" in told
    hashes.write_bytes(found)
    image.write_bytes(image.read_bytes()[:-4096])
    told = command("verify", image, "--verity", hashes, code=6).err
    assert f"{image}: has " in told
    assert "give its own tree" in told


def test_hashes_end_in_zeros(command: Command, site: Path, tmp_path: Path) -> None:
    image = tmp_path / "www.tar"
    command("pack", site, image, "--verity")
    with image.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    told = command("verify", image, code=6).out.decode()
    assert "does not end in zeros" in told


def test_several_damaged_blocks_are_told_in_the_plural(
    command: Command, site: Path, tmp_path: Path
) -> None:
    image = tmp_path / "www.tar"
    command("pack", site, image, "--verity")
    with image.open("r+b") as file:
        file.seek(4096)
        file.write(b"!" * 8192)
    told = command("verify", image, code=6).out.decode()
    assert "blocks 1 to 2 (bytes 4,096 to 12,287) do not have the hashes" in told
