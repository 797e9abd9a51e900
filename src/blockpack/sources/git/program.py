"""The git program: how it is started, and what becomes of its failing.

A repository is somebody's data. Its configuration must not have git run a program or fetch what
is missing, and the environment of a hook must not lead git elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from ...errors import SourceError, reason

OLDEST = (2, 31)
"""The oldest git that does: it tells absolute paths, and knows SHA-256."""

_CONFIGURATION = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    f"core.attributesFile={os.devnull}",  # the image is the same on every machine
    "core.bigFileThreshold=1m",  # larger blobs are streamed, where git can, and not read whole
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "safe.bareRepository=all",  # the user has named the repository
)

OPTIONS = ("--no-pager", *(word for value in _CONFIGURATION for word in ("-c", value)))
"""What git is always started with."""

_ENVIRONMENT = {
    # Before 2.45 git does not know GIT_NO_LAZY_FETCH: no way to fetch is allowed, whatever the
    # repository's configuration says of one.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_KEPT = re.compile(r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH)")
"""Variables of git's that say what the user wants, not where a repository is."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that git runs in, with `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT.fullmatch(name)
    }
    return kept | _ENVIRONMENT | dict(more or {})


def start(
    command: Sequence[str | bytes], cwd: str, repository: str, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start git with pipes to and from it; its complaints go to the file `errors`.

    Raises `SourceError` about `repository` if there is no git.
    """
    try:
        return subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=cwd,
            env=environment(),
            process_group=0,  # Ctrl-C is for us, and we end git
        )
    except OSError as error:
        raise _not_started(repository, cwd, error) from None


def run(
    command: Sequence[str | bytes],
    cwd: str,
    repository: str,
    *,
    data: bytes = b"",
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end with `data` as its input, which it may read while it writes.

    Raises `SourceError` about `repository` if there is no git, or a signal ended it.
    """
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            cwd=cwd,
            env=environment(more),
            process_group=0,
            check=False,
        )
    except OSError as error:
        raise _not_started(repository, cwd, error) from None
    if done.returncode < 0:
        raise SourceError(repository, ended(done.returncode, done.stderr), "try again")
    return done


def require_version(repository: str) -> None:
    """Raise `SourceError` if there is no git, or one that is too old."""
    done = run(("git", "version"), os.curdir, repository)
    found = re.match(rb"git version (\d+)\.(\d+)\S*", done.stdout)
    if found is None:
        rule = f"cannot be read: 'git version' {ended(done.returncode, done.stderr)}"
        raise SourceError(repository, rule, "make sure that PATH leads to git")
    if (int(found[1]), int(found[2])) < OLDEST:
        shown = found[0].decode("ascii", "replace")
        rule = f"cannot be read by {shown}"
        raise SourceError(repository, rule, "install git {}.{} or later".format(*OLDEST))


def ended(code: int, errors: bytes) -> str:
    """How git came to its end, in words: its own where it has any."""
    if code < 0:
        return f"git was killed by signal {-code}"
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    last = next((line for line in lines if line.startswith("fatal:")), None)
    first = next((line for line in lines if line.startswith("error:")), None)
    words = last or first or (lines[-1] if lines else "")
    return f"git says: {words}" if words else f"git ended with status {code}"


def _not_started(repository: str, cwd: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError) and os.path.isdir(cwd):
        return SourceError(repository, "git is needed, and PATH leads to none", "install git")
    return SourceError(repository, f"git cannot be started there: {reason(error)}")
