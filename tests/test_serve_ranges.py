"""The example of serving an image by HTTP: many readers at once get the ranges they ask for."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

import blockpack
from faults.rendering import pattern

EXAMPLE = Path(__file__).parent.parent / "examples" / "serve-ranges"
FILES = {
    "index.html": b"<h1>hello</h1>\n",
    "media/film.bin": pattern(3_000_000),
    "media/Grüße 100%.txt": pattern(70_000, 2),
    "empty": b"",
}

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(
    params=[blockpack.TarVolume(), blockpack.FatVolume(), blockpack.ErofsVolume()],
    ids=["tar", "fat", "erofs"],
)
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Where the example serves an image of `FILES`."""
    tree = blockpack.Tree()
    for path, data in FILES.items():
        tree.add(path, data)
    blockpack.write(request.param.plan(tree), tmp_path / "x.img")
    command: list[str | Path] = [sys.executable, EXAMPLE, tmp_path / "x.img", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode()
            yield int(address.rstrip("/\n").rpartition(":")[2])
        finally:
            process.terminate()


def ask(port: int, path: str, asked: str = "") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", f"/{quote(path)}", headers={"Range": asked} if asked else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def test_files_and_ranges_are_served(port: int) -> None:
    for path, data in FILES.items():
        status, headers, body = ask(port, path)
        assert (status, body == data) == (200, True)
        assert headers["Accept-Ranges"] == "bytes"
    assert ask(port, "")[2] == FILES["index.html"]
    film = FILES["media/film.bin"]
    for asked, start, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=2999990-", 2_999_990, 3_000_000),
        ("bytes=2999990-9999999", 2_999_990, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
    ]:
        status, headers, body = ask(port, "media/film.bin", asked)
        assert (status, body) == (206, film[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/3000000"
    status, headers, body = ask(port, "media/film.bin", "bytes=3000000-")
    assert (status, headers["Content-Range"], body) == (416, "bytes */3000000", b"")
    assert [ask(port, path)[0] for path in ("missing", "media", "../x")] == [404, 403, 404]


def test_many_readers_at_once_get_what_they_ask_for(port: int) -> None:
    def read(seed: int) -> list[str]:
        random = Random(seed)
        wrong = []
        for _ in range(20):
            path = random.choice(["media/film.bin", "media/Grüße 100%.txt"])
            start = random.randrange(len(FILES[path]))
            end = min(start + random.choice([10, 1000, 200_000]), len(FILES[path]))
            status, _, body = ask(port, path, f"bytes={start}-{end - 1}")
            if (status, body) != (206, FILES[path][start:end]):
                wrong.append(f"{path} {start}-{end}")
        return wrong

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(read, range(16))) == [[]] * 16
