"""Linux kernels mount our EROFS images, and see every name, byte, mode, owner, time and link.

The machine's own kernel is booted once for all tests; those of other releases of Debian once each.
What one refuses, the profiles and docs/format/erofs.md say, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import pytest

from vm import erofs
from vm.boot import Booted
from vm.erofs import LARGE, LINKS, PLACES, SPARSE, VOLUMES, Seen
from vm.machine import OWN

KERNELS = (OWN, "bullseye", "trixie")
"""Debian's releases: this one (12 has 6.1), 11 (5.10) and 13 (6.12)."""

SMALL_BLOCKS = ("erofs-512", "erofs-1024", "tar-512")

COMPLAINT = re.compile(rb"I/O error|attempt to access beyond|corrupt|bogus|WARNING:|\bBUG\b|Oops")
_STAT = re.compile(
    rb"([0-9a-f]+)\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(-?\d+)\|(?:[^|.]*\.(\d{9}))?[^|]*\|\./(.*?)//\n",
    re.S,
)
_SUM = re.compile(rb"^([0-9a-f]{64})  \./", re.M)


class Kernel:
    """What a kernel reported."""

    def __init__(self, reports: Mapping[str, bytes]) -> None:
        self.reports = reports
        self.release = reports["release"].decode().strip()
        major, minor = map(int, self.release.split(".")[:2])
        self.version = major, minor

    def entries(self, name: str) -> dict[bytes, Seen]:
        found = {}
        for match in _STAT.finditer(self.reports[f"{name}.entries"]):
            mode, uid, gid, links, size, seconds, nanoseconds, path = match.groups()
            is_directory = int(mode, 16) & 0o170000 == 0o040000
            found[path] = Seen(
                int(mode, 16),
                int(uid),
                int(gid),
                0 if is_directory else int(links),
                0 if is_directory else int(size),
                int(seconds) * 10**9 + int(nanoseconds or 0),
            )
        return found

    def sums(self, name: str) -> dict[bytes, str]:
        _, *parts = _SUM.split(self.reports[f"{name}.sums"])
        digests, paths = parts[::2], parts[1::2]
        return {
            path.removesuffix(b"\n"): digest.decode()
            for digest, path in zip(digests, paths, strict=True)
        }


@pytest.fixture(name="kernel", scope="module", params=KERNELS)
def _kernel(request: pytest.FixtureRequest, booted: Booted) -> Kernel:
    return Kernel(booted("erofs", request.param).reports)


@pytest.mark.parametrize("name", VOLUMES)
def test_a_kernel_sees_all_that_was_packed(kernel: Kernel, name: str) -> None:
    if name in SMALL_BLOCKS and kernel.version < (6, 1):
        # It takes what the checksum covers for as much as of a block of 4096 bytes.
        assert b"invalid checksum" in kernel.reports[f"{name}.log"]
        assert f"{name}.entries" not in kernel.reports
        return
    assert kernel.reports[f"{name}.errors"] == b""
    assert kernel.entries(name) == erofs.expected(name)
    assert kernel.sums(name) == erofs.sums(name)
    links = kernel.reports[f"{name}.links"].decode().splitlines()
    assert links == [target for _, target in sorted(LINKS.items())]
    log = kernel.reports[f"{name}.log"]
    assert b"mounted with root inode" in log
    assert not COMPLAINT.search(log), log.decode()


def test_a_kernel_reads_a_file_of_6_gib_with_holes(kernel: Kernel) -> None:
    assert kernel.entries(LARGE)[b"huge"].size == SPARSE
    found = [line.split()[0].decode() for line in kernel.reports[f"{LARGE}.places"].splitlines()]
    wanted = [hashlib.sha256(erofs.place(n)).hexdigest() for n in range(len(PLACES))]
    assert found == wanted
