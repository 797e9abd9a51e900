"""What the tests of the command share: running it here, and a small tree to pack."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from blockpack.cli import main
from cli.contracts import require_valid_output
from cli.running import Argument, Command, Result

TIME = 1_700_000_000
"""The time of everything in the tree: 2023-11-14 22:13:20 UTC, an even second as FAT has them."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="command")
def fixture_command(capsysbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Runs the command in this process, and looks at what every run promises."""

    def command(*arguments: Argument, code: int = 0) -> Result:
        capsysbinary.readouterr()
        try:
            found = main([str(argument) for argument in arguments])
        finally:
            gc.enable()  # the command switches it off, for a process that ends soon
        captured = capsysbinary.readouterr()
        result = Result(found, captured.out, captured.err.decode())
        assert "Traceback" not in result.err, result.err
        assert result.code == code, result
        if code > 1:
            assert result.messages or result.lines, "an error without a word"
        require_valid_output(arguments, result.out)
        return result

    return command


@pytest.fixture(name="source")
def fixture_source(tmp_path: Path) -> Path:
    """A tree that every format holds."""
    source = tmp_path / "source"
    files = {
        "index.html": b"<h1>hello</h1>\n",
        "empty": b"",
        "pages/about us.html": b"about\n" * 1000,
        "pages/deep/er/Größe.txt": b"size",
        "video.bin": bytes(range(256)) * 400,
    }
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (source / "hollow").mkdir()
    settle(source)
    return source


def settle(source: Path, seconds: int = TIME) -> None:
    """Give everything in `source` the same time."""
    for path in [*source.rglob("*"), source]:
        os.utime(path, (seconds, seconds), follow_symlinks=False)
