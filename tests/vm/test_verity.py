"""A kernel checks each block of our images: it mounts what is whole, and refuses what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from vm.boot import Booted
from vm.verity import CASES, FILES


@pytest.fixture(scope="module")
def reports(booted: Booted) -> Mapping[str, bytes]:
    return booted("verity").reports


def sums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {f"./{path}": hashlib.sha256(data).hexdigest() for path, data in files.items()}


def seen(reports: Mapping[str, bytes], name: str) -> dict[str, str]:
    lines = reports[f"{name}.sums"].decode().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_mounts_what_has_its_root_hash(reports: Mapping[str, bytes], name: str) -> None:
    assert reports[f"{name}.told"] == b""
    assert seen(reports, name) == sums(FILES)
    assert reports[f"{name}.errors"] == b""


def test_the_kernel_refuses_another_root_hash(reports: Mapping[str, bytes]) -> None:
    assert b"Input/output error" in reports["wrong.errors"]
    assert "wrong.sums" not in reports


def test_the_kernel_refuses_a_damaged_block_and_reads_all_others(
    reports: Mapping[str, bytes],
) -> None:
    found, expected = seen(reports, "damaged"), sums(FILES)
    film = "./media/film.bin"
    assert found.pop(film) != expected.pop(film)
    assert found == expected
    assert b"Input/output error" in reports["damaged.errors"]
    assert b"is corrupted" in reports["log"]
