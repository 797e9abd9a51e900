"""A partition and its hash tree are found by the root hash, whose halves are their ids."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import blockpack
from judges import verity as judge
from judges.programs import run


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key, and its certificate."""
    place = tmp_path_factory.mktemp("keys")
    key, certificate = place / "key.pem", place / "certificate.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=blockpack"]
    run("openssl", [*made, "-days", "9", "-keyout", key, "-out", certificate])
    return key, certificate


def partition(**more: Any) -> blockpack.Partition:
    tree = blockpack.Tree()
    tree.add("index.html", b"<p>" * 5000)
    return blockpack.Partition(
        blockpack.FatVolume(free=1 << 20).plan(tree), **{"type": "root-x86-64", **more}
    )


def test_the_ids_are_the_halves_of_the_root_hash(tmp_path: Path) -> None:
    disk = blockpack.Disk(partitions=blockpack.verity_partitions(partition(name="root"))).plan()
    image = tmp_path / "disk.img"
    blockpack.write(disk, image)
    told = json.loads(run("sfdisk", ["--json", image]).stdout)["partitiontable"]["partitions"]
    root_hash = "".join(each["uuid"] for each in told).replace("-", "").lower()
    assert root_hash == disk.geometry["root_hash"]
    assert [each["name"] for each in told] == ["root", "root-verity"]
    with image.open("r+b") as file:  # as on a used medium: what may be anything is
        for start, end in disk.zeros(free=True):
            file.seek(start)
            file.write(b"\xff" * (end - start))
    pieces = []
    for number, each in enumerate(told):
        pieces.append(tmp_path / f"partition-{number}")
        start, size = 512 * each["start"], 512 * each["size"]
        pieces[-1].write_bytes(image.read_bytes()[start : start + size])
    judge.verify(pieces[0], pieces[1], root_hash)


def test_a_signature_of_the_root_hash_is_a_third(signer: tuple[Path, Path], tmp_path: Path) -> None:
    key, certificate = signer
    signs = blockpack.Signer(key.read_bytes(), certificate.read_bytes())
    disk = blockpack.Disk(partitions=blockpack.verity_partitions(partition(), signer=signs)).plan()
    root_hash = str(disk.geometry["root_hash"])
    with disk.open() as file, blockpack.open_image(disk) as found:
        third = found.partitions[2]
        assert third.type == "root-x86-64-verity-sig"
        file.seek(third.entry.start)
        told = json.loads(file.read(third.entry.size).rstrip(b"\0"))
    assert third.entry.size == 4096
    assert told["rootHash"] == root_hash
    fingerprint = run("openssl", ["x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"])
    digits = fingerprint.stdout.decode().strip().partition("=")[2].replace(":", "").lower()
    assert told["certificateFingerprint"] == digits
    signature = tmp_path / "signature"
    signature.write_bytes(base64.b64decode(told["signature"]))
    content = tmp_path / "root-hash"
    content.write_text(root_hash)
    sign = ["smime", "-sign", "-nocerts", "-noattr", "-binary", "-outform", "der"]
    signed = run("openssl", [*sign, "-in", content, "-inkey", key, "-signer", certificate])
    assert signed.stdout == signature.read_bytes()
    verify = ["smime", "-verify", "-inform", "der", "-nointern", "-noverify", "-binary"]
    verify += ["-certfile", str(certificate)]
    verified = run("openssl", [*verify, "-in", signature, "-content", content])
    assert verified.stdout.decode() == root_hash


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"type": "linux"}, "no partition with a hash tree has the type linux"),
        ({"id": "11111111-2222-4333-8444-555555555555"}, "is its root hash"),
    ],
)
def test_what_has_no_tree_is_refused(more: dict[str, str], rule: str) -> None:
    with pytest.raises(blockpack.UsageError, match=rule):
        blockpack.verity_partitions(partition(**more))


def test_a_hash_tree_needs_a_gpt_and_partitions_that_are_not_the_same() -> None:
    pair = blockpack.verity_partitions(partition(name="a"))
    again = blockpack.verity_partitions(partition(name="b"))
    with pytest.raises(blockpack.Problems) as refused:
        blockpack.Disk(table="mbr", partitions=pair).plan()
    (told,) = refused.value.errors
    assert told.option == "table=gpt"
    with pytest.raises(blockpack.Problems) as refused:
        blockpack.Disk(partitions=(*pair, *again)).plan()
    first, second = map(str, refused.value.errors)
    assert "partition 1 (a) and partition 3 (b) have one id, that of their root hash" in first
    assert "partition 2 (a-verity) and partition 4 (b-verity)" in second


def test_a_key_and_a_certificate_are_a_pair(signer: tuple[Path, Path]) -> None:
    key, certificate = signer
    other = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        capture_output=True,
        check=True,
    ).stdout
    with pytest.raises(blockpack.UsageError, match="the certificate is of another key"):
        blockpack.Signer(other, certificate.read_bytes())
    with pytest.raises(blockpack.UsageError, match="not a private one in PEM"):
        blockpack.Signer(b"no key", certificate.read_bytes())
    with pytest.raises(blockpack.UsageError, match="the certificate is not one"):
        blockpack.Signer(key.read_bytes(), b"no certificate")
