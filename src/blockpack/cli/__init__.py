"""The command ``blockpack``: one module a subcommand, and the only place that prints.

Data goes to standard output, messages and progress to standard error. Exit codes are in
docs/exit-codes.md; each error knows its own.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # typing is slow to import, and `--version` needs none of it

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def command() -> NoReturn:
    """Run the command and end the process."""
    # What is made lives to the end and has no cycles; looking for them takes a tenth of the time
    # with a million entries, and some of that of all imports.
    gc.disable()
    if len(sys.argv) > 1 and sys.argv[1] != "--version":
        # Until `run` sees to interrupts, they end the process, and not with a traceback.
        from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal

        if getsignal(SIGINT) is default_int_handler:  # and not ignored, as a shell's '&' has it
            signal(SIGINT, SIG_DFL)
    _open_standard_streams()
    code = 0
    try:
        code = main()
        if sys.stdout is not None:  # it was closed when we were started
            sys.stdout.flush()
    except OSError:  # a full disk, or nobody who reads
        from ..errors import TargetError

        code = code or TargetError.exit_code
    # Taking a million entries apart, object by object, is no way to end.
    os._exit(code)


def _open_standard_streams() -> None:
    """Open standard streams that were closed when we were started: a command that we run would
    take a file of ours for its output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process' own by default); the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:  # answered before anything is imported
        from .. import __version__

        print(f"blockpack {__version__}")
        return 0
    from .run import run

    return run(arguments)
