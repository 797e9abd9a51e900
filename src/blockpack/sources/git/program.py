"""The git program: how it is started, and what becomes of its failing.

A repository is somebody's data. Its configuration must not have git run a program or fetch what
is missing, and the environment of a hook must not lead git elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, TypeVar

from ...errors import SourceError, reason

_Process = TypeVar("_Process")

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
    """Start git with pipes to and from it; its complaints go to the file `errors`. Raises
    `SourceError` about `repository` if there is no git.
    """
    begin: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    pipe = subprocess.PIPE
    how = {"bufsize": 0, "stdin": pipe, "stdout": pipe, "stderr": errors, "env": environment()}
    return _started(begin, command, cwd, repository, **how)


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
    begin: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run
    how = {"input": data, "capture_output": True, "env": environment(more)}
    done = _started(begin, command, cwd, repository, **how)
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


def _started(
    begin: Callable[..., _Process],
    command: Sequence[str | bytes],
    cwd: str,
    repository: str,
    **how: Any,
) -> _Process:
    try:
        return begin(command, cwd=cwd, process_group=0, **how)  # Ctrl-C is for us, and we end git
    except OSError as error:
        if isinstance(error, FileNotFoundError) and os.path.isdir(cwd):
            rule = "git is needed, and PATH leads to none"
            raise SourceError(repository, rule, "install git") from None
        rule = f"git cannot be started there: {reason(error)}"
        raise SourceError(repository, rule) from None
