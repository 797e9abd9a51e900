"""The command ``blockpack``: one module a subcommand, and the only place that prints.

Data goes to standard output, messages and progress to standard error. Exit codes are in
docs/exit-codes.md; each error knows its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process' own by default); the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:  # answered before anything is imported
        from .. import __version__

        print(f"blockpack {__version__}")
        return 0
    from .run import run

    return run(arguments)
