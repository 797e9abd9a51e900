"""Switching to a generation, and telling the host by a command of its own.

What runs is the host's command, and nothing that is in the repository.
"""

from __future__ import annotations

import os
import subprocess

from ...errors import ActivationError, BlockpackError
from ..record import FromCommit
from .generations import Generation, Generations


def activate(
    place: Generations,
    generation: Generation,
    before: Generation | None,
    why: str,
    command: str | None,
) -> None:
    """Switch to `generation`, and have the host's shell run `command`.

    If it fails, ``current`` leads again where it led `before`, and the command is run again, for
    that. It runs in the root, with BLOCKPACK_ROOT, BLOCKPACK_GENERATION (a number), BLOCKPACK_PATH,
    BLOCKPACK_COMMIT, BLOCKPACK_NAME, BLOCKPACK_PREVIOUS (a number, or empty) and BLOCKPACK_WHY
    (``deploy``, ``rollback`` or ``undone``) in its environment, and writes to standard error.

    Raises `ActivationError` and `TargetError`.
    """
    if before == generation:  # the last run broke off: what was live before that is not known here
        before = place.live_before()
    with place.activating(before):
        place.switch(generation, why, before)
        failed = None
        if command is not None:
            try:
                failed = _run(place, command, generation, before, why)
            except BaseException:
                place.switch(before, "undone", generation)
                raise  # the note stays, so that the next run tells the host what is live
        if command is None or failed is None:
            return
        place.switch(before, "undone", generation)
        again = None
        if before is not None:
            try:
                again = _run(place, command, before, generation, "undone")
            except BlockpackError as error:  # its record is damaged
                again = f"cannot be run: {error}"
    rule = _rule(before, failed, again)
    raise ActivationError(f"generation {generation.number}", rule)


def _run(
    place: Generations, command: str, generation: Generation, before: Generation | None, why: str
) -> str | None:
    """Run the host's command; how it failed, if it did."""
    record = generation.record()
    environment = {
        "BLOCKPACK_ROOT": place.root,
        "BLOCKPACK_GENERATION": str(generation.number),
        "BLOCKPACK_PATH": str(generation.path),
        "BLOCKPACK_COMMIT": record.source.commit if isinstance(record.source, FromCommit) else "",
        "BLOCKPACK_NAME": record.name,
        "BLOCKPACK_PREVIOUS": "" if before is None else str(before.number),
        "BLOCKPACK_WHY": why,
    }
    try:
        done = subprocess.run(
            command,
            shell=True,
            cwd=place.root,
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


def _rule(before: Generation | None, failed: str, again: str | None) -> str:
    live = "nothing is live" if before is None else f"generation {before.number} is live again"
    rule = f"the command {failed}; {live}"
    return rule if again is None else f"{rule}, but for it the command {again}"
