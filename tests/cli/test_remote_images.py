"""Images behind a URL are read by ranges, and by no more than is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

import blockpack
from cli.running import Command


class Ranges(BaseHTTPRequestHandler):
    """Serves one file by ranges, and counts what it sends."""

    image: ClassVar[Path]
    sent: ClassVar[int] = 0

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""

    def do_HEAD(self) -> None:
        """Its size."""
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(self.image.stat().st_size))
        self.end_headers()

    def do_GET(self) -> None:
        """The bytes that are asked for (RFC 9110, 14.2)."""
        size = self.image.stat().st_size
        first, _, last = self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")
        start, end = int(first), min(int(last or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        with open(self.image, "rb") as file:
            file.seek(start)
            self.wfile.write(file.read(end + 1 - start))
        type(self).sent += end + 1 - start


@pytest.fixture(name="served")
def fixture_served(tmp_path: Path) -> Iterator[type[Ranges]]:
    handler = type("Handler", (Ranges,), {"sent": 0, "image": tmp_path / "www.img"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.url = f"http://127.0.0.1:{server.server_port}/www.img"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "d").mkdir(parents=True)
    for number in range(50):
        (site / "d" / f"page {number}").write_bytes(os.urandom(number * 100))
    with open(site / "film", "wb") as file:
        file.truncate(3 << 30)
    return site


def test_ls_of_a_large_fat_reads_its_tables_and_no_more(
    served: type[Ranges], site: Path, command: Command
) -> None:
    layout = blockpack.FatVolume(size="4G").plan(blockpack.scan(site))
    blockpack.write(layout, served.image)
    listed = command("ls", served.url).lines  # type: ignore[attr-defined]
    assert len(listed) == 52
    tables = int(layout.geometry["sectors_per_fat"]) * 512
    assert served.sent <= 2 * tables + (1 << 20)


@pytest.mark.parametrize("volume", [blockpack.TarVolume(), blockpack.FatVolume()])
def test_files_behind_a_url_are_read_extracted_and_verified(
    served: type[Ranges], site: Path, tmp_path: Path, command: Command, volume: blockpack.Volume
) -> None:
    os.truncate(site / "film", 500_000)
    blockpack.write(volume.plan(blockpack.scan(site)), served.image)
    url = served.url  # type: ignore[attr-defined]
    page = (site / "d" / "page 49").read_bytes()
    assert command("cat", url, "d/page 49").out == page
    command("verify", url)
    command("extract", url, tmp_path / "out")
    assert (tmp_path / "out" / "d" / "page 49").read_bytes() == page
    with blockpack.open_image(url) as image:
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: found.append(image.read("d/page 49"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [page] * 8


def test_an_image_behind_a_url_is_no_other_than_the_file(
    served: type[Ranges], site: Path, command: Command
) -> None:
    os.truncate(site / "film", 500_000)
    blockpack.write(blockpack.TarVolume().plan(blockpack.scan(site)), served.image)
    assert command("diff", served.url, served.image).lines == []  # type: ignore[attr-defined]


def test_a_server_without_ranges_is_asked_once(
    served: type[Ranges], site: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(site / "film", 500_000)
    blockpack.write(blockpack.TarVolume().plan(blockpack.scan(site)), served.image)
    asked: list[str] = []

    def whole(self: Ranges) -> None:
        asked.append(self.path)
        data = self.image.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    monkeypatch.setattr(served, "do_GET", whole)
    command("verify", served.url)  # type: ignore[attr-defined]
    assert len(asked) <= 2  # one may be to find out whether it knows ranges


def test_what_is_not_there_or_not_known_is_told(command: Command) -> None:
    told = command("ls", "http://you:secret@127.0.0.1:1/www.img", code=4).err
    assert "secret" not in told and "http://127.0.0.1:1/www.img: " in told
    assert "cannot be reached" in command("ls", "http://127.0.0.1:1/www.img", code=4).err
    assert "gopher" in command("ls", "gopher://host/www.img", code=2).err


def test_of_a_disk_behind_a_url_the_partition_is_read(
    served: type[Ranges], site: Path, command: Command
) -> None:
    tree = blockpack.scan(site)
    fat = blockpack.FatVolume(size="4G").plan(tree)
    partitions = [
        blockpack.Partition(fat, type="esp", name="EFI"),
        blockpack.Partition(blockpack.TarVolume().plan(tree), type="linux", name="tar"),
    ]
    blockpack.write(blockpack.Disk(partitions=partitions).plan(), served.image)
    url = served.url  # type: ignore[attr-defined]
    page = (site / "d" / "page 49").read_bytes()
    assert command("cat", f"{url}#EFI", "d/page 49").out == page
    assert served.sent <= 2 * int(fat.geometry["sectors_per_fat"]) * 512 + (1 << 20)
    assert command("cat", url, "tar/d/page 49").out == page
    assert len(command("ls", f"{url}#2").lines) == 52
