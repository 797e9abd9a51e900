"""Deployments to be built in tests, and ways to look at what came of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blockpack import open_image
from cli.contracts import require_valid

MANIFEST = """
[deployment]
name = "www"

[volumes.site]
source = "site"
format = "fat"

[volumes.media]
source = "media"
format = "tar"
"""

FILES = {
    "blockpack.toml": MANIFEST.encode(),
    "site/index.html": b"<h1>hello</h1>\n",
    "site/pages/about.html": b"about\n" * 1000,
    "media/film.bin": bytes(range(256)) * 400,
}


def write_files(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below `directory`, which is returned."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def manifest(text: str) -> bytes:
    """A manifest with the volumes that `text` has."""
    return f'[deployment]\nname = "www"\n{text}'.encode()


def contents(image: Path) -> dict[str, bytes]:
    """The files in an image."""
    with open_image(image) as opened:
        found = {}
        for entry in opened.walk():
            if entry.kind == "file":
                with opened.open(entry.path) as file:
                    found[entry.path] = file.read()
        return found


def record(directory: Path) -> dict[str, Any]:
    """The record in `directory`, whose every image must be as it says."""
    values: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    require_valid("record", values)
    for volume in values["volumes"]:
        data = (directory / volume["file"]).read_bytes()
        assert len(data) == volume["size"]
        assert hashlib.sha256(data).hexdigest() == volume["sha256"]
        placements = json.loads((directory / volume["placements"]).read_text())
        require_valid("manifest", placements)
        assert placements["sha256"] == volume["sha256"]
    return values


def names(directory: Path) -> set[str]:
    """What is in `directory`."""
    return {path.name for path in directory.iterdir()}
