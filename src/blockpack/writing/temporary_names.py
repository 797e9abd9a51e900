"""The names of files and directories that are not whole yet, by which a killed run's are known."""

from __future__ import annotations

import os
import re

SECRET = ".blockpack-secret-"
"""What the names of secret ones begin with."""

_TEMPORARY = re.compile(r"\.blockpack-(secret-)?[0-9a-f]{16}\.tmp")


def temporary_name(*, secret: bool = False) -> str:
    """A name that nobody has; short, whatever is to be replaced.

    What is `secret` is wiped if it is left behind, and not just removed.
    """
    return f".blockpack-{'secret-' if secret else ''}{os.urandom(8).hex()}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a file or directory of that name was not whole yet when it was made."""
    return _TEMPORARY.fullmatch(name) is not None
