"""Editors of secrets, and what is in a file that was edited."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pyrage

from deploy.secret_deployments import NAME

OPEN = '[volumes.keys]\nsource = "vault"\nformat = "tar"\n'

FILE = f"vault/{NAME}.age"


def opened(path: Path, own: Path) -> bytes:
    """What is in an encrypted file, by the library itself."""
    line = own.read_text().splitlines()[-1]
    return bytes(pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(line)]))


def editing(script: str) -> dict[str, str]:
    """An environment with an editor that does so to the file in ``path``."""
    program = f"import os, sys\npath = sys.argv[1]\n{script}"
    return {"EDITOR": shlex.join([sys.executable, "-c", program])}
