"""Compressed archives, and those on standard input, are the archive that they hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from archives.making import by_python_tar, by_tar, facts, rendered
from blockpack import SourceError, scan
from cli.running import forked


def compressed_by_zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    compressor = zstandard.ZstdCompressor()
    half = len(data) // 2  # two frames, as pzstd writes them
    found: bytes = compressor.compress(data[:half]) + compressor.compress(data[half:])
    return found


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": compressed_by_zstd,
    "plain": bytes,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("way", ["file", "pipe", "redirected"])
def test_compressed_ones_and_standard_input_are_the_same(
    kind: str, way: str, site: Path, tmp_path: Path
) -> None:
    by_python_tar(site, tmp_path / "site.tar")
    archive = tmp_path / "archive"  # what it is, its content says
    archive.write_bytes(COMPRESSIONS[kind]((tmp_path / "site.tar").read_bytes()))
    image = tmp_path / "image"
    source = str(archive) if way == "file" else "-"
    packing: list[str | Path] = ["pack", source, image, "--format", "tar"]
    verifying: list[str | Path] = ["verify", image, source]
    for verb in (packing, verifying):
        with (
            subprocess.Popen(["cat", archive], stdout=subprocess.PIPE) as cat,
            open(archive, "rb") as file,
        ):
            done = forked(*verb, stdin=cat.stdout if way == "pipe" else file)
        assert done.returncode == 0, done.stderr
    assert image.read_bytes() == rendered(blockpack.TarVolume(), scan(site))


@pytest.mark.parametrize("through", ["cat", "gzip -1"])
def test_what_is_no_archive_is_refused_by_its_begin(through: str, tmp_path: Path) -> None:
    numbers = ["bash", "-c", f"set -o pipefail; seq 9999999 | {through}"]
    with subprocess.Popen(numbers, stdout=subprocess.PIPE) as pipe:
        done = forked("pack", "-", tmp_path / "image", "--format", "tar", stdin=pipe.stdout)
        assert pipe.stdout is not None
        pipe.stdout.close()
    assert done.returncode == 4
    assert "standard input: is not a directory, an archive or an image" in str(done.stderr)
    assert pipe.returncode == 128 + signal.SIGPIPE  # so the rest was not read


@pytest.mark.parametrize(
    "before",
    [b"#!/bin/sh\n" * 1000, b"\xcf\xfa\xed\xfe" * 3000, b"PK00"],
    ids=["sh", "macho", "mark"],
)
def test_a_zip_behind_a_program_comes_through_a_pipe(before: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as made:
        made.writestr("a", b"content")
    archive = tmp_path / "program"
    archive.write_bytes(before + (tmp_path / "plain.zip").read_bytes())
    with subprocess.Popen(["cat", archive], stdout=subprocess.PIPE) as cat:
        done = forked("pack", "-", tmp_path / "image", "--format", "tar", stdin=cat.stdout)
    assert done.returncode == 0, done.stderr
    with blockpack.open_image(tmp_path / "image") as image:
        assert image.read("a") == b"content"


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_what_is_cut_short_is_told(kind: str, site: Path, tmp_path: Path) -> None:
    by_python_tar(site, tmp_path / "site.tar")
    data = COMPRESSIONS[kind]((tmp_path / "site.tar").read_bytes())
    for end in (len(data) // 2, len(data) - 3, 30):
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(SourceError, match="cannot be decompressed"):
            scan(tmp_path / "cut")


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_each_of_several_streams_counts(
    compress: Callable[[bytes], bytes], site: Path, tmp_path: Path
) -> None:
    by_tar()(site, tmp_path / "site.tar")
    data = (tmp_path / "site.tar").read_bytes()
    streams = [compress(data[:10_240]), compress(data[10_240:])]
    several = tmp_path / "several"
    several.write_bytes(streams[0] + streams[1] + bytes(8))
    assert facts(scan(several)) == facts(scan(tmp_path / "site.tar"))
    several.write_bytes(streams[0] + b"?" + streams[1][1:])
    with pytest.raises(SourceError, match="cannot be decompressed"):
        scan(several)
