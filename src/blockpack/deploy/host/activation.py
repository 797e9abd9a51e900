"""Switching to a generation, and telling the host by a command of its own.

What runs is the host's command, and nothing that is in the repository.
"""

from __future__ import annotations

import os
import subprocess
from functools import partial
from typing import Annotated

from ...errors import ActivationError, BlockpackError, require_path
from ...reading.lifetime import on_failure
from .generations import Generation
from .history import Why
from .root import Root

Command = Annotated[str, lambda text: require_path(text or "true"), "text without NUL"]
"""What a shell runs: as a path, it holds no NUL."""


def activate(
    root: Root, generation: Generation, before: Generation | None, why: Why, command: str | None
) -> None:
    """Switch to `generation`, and have the host's shell run `command`.

    If it fails, the generation failed: ``current`` leads again where it led `before`, and the
    command is run again, for that. It runs in the root, with BLOCKPACK_ROOT, BLOCKPACK_GENERATION
    (a number), BLOCKPACK_PATH, BLOCKPACK_COMMIT, BLOCKPACK_NAME, BLOCKPACK_PREVIOUS (a number, or
    empty) and BLOCKPACK_WHY (``deploy``, ``rollback`` or ``undone``) in its environment, and writes
    to standard error.

    Raises `ActivationError` and `TargetError`.
    """
    pending = root.outcomes().pending if before == generation else None
    if pending is not None and pending.generation == generation.number:
        # A run has switched to it that broke off then.
        numbers = {each.number: each for each in root.all()}
        before = None if pending.before is None else numbers.get(pending.before, before)
    root.switch(generation, why, before, command=command is not None)
    if command is None:
        return
    undone = partial(root.switch, before, "undone", generation, command=True)
    with on_failure(undone):  # the next run tells the host
        failed = _run(root, command, generation, before, why)
    if failed is None:
        root.passed(generation)
        return
    undone(reason=f"the command {failed}")
    again = None
    if before is not None:
        try:
            again = _run(root, command, before, generation, "undone")
        except BlockpackError as error:  # its record is damaged
            again = f"cannot be run: {error}"
        if again is None:
            root.passed(before)
    live = "nothing is live" if before is None else f"generation {before.number} is live again"
    rule = f"the command {failed}; {live}"
    if again is not None:
        rule += f", and the command for that {again}"
    raise ActivationError(f"generation {generation.number}", rule)


def _run(
    root: Root, command: str, generation: Generation, before: Generation | None, why: Why
) -> str | None:
    """Run the host's command; how it failed, if it did."""
    record = generation.record()
    environment = {
        "BLOCKPACK_ROOT": root.root,
        "BLOCKPACK_GENERATION": str(generation.number),
        "BLOCKPACK_PATH": str(generation.path),
        "BLOCKPACK_COMMIT": record.commit,
        "BLOCKPACK_NAME": record.name,
        "BLOCKPACK_PREVIOUS": "" if before is None else str(before.number),
        "BLOCKPACK_WHY": why,
    }
    try:
        done = subprocess.run(
            command,
            shell=True,
            cwd=root.root,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard output is for what this program tells
            check=False,
        )
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    if done.returncode < 0:
        return f"was killed by signal {-done.returncode}"
    return f"ended with status {done.returncode}" if done.returncode else None
