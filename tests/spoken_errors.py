"""What every error that any test provokes must keep to: it has a rule, and a remedy that names
options as whoever called gives them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from blockpack.errors import BlockpackError, as_keyword
from blockpack.planning.options import ALL

_FLAGS = {option.flag for option in ALL} | {
    *("--allow-device", "--deployment", "--executor", "--fsync", "--identity", "--jobs", "--keep"),
    *(
        "--key-file",
        "--manifest",
        "--max-size",
        "--on-activate",
        "--only",
        "--out",
        "--runtime-dir",
    ),
}
_QUOTED = re.compile(r"'[^']*'")
"""A command to run, with the flags of its own."""


@contextmanager
def listening() -> Iterator[list[str]]:
    """Every error that breaks a rule of errors while this goes on."""
    found: list[str] = []
    original = BlockpackError.__init__

    def heard(
        self: BlockpackError, path: str, rule: str, remedy: str = "", option: str = ""
    ) -> None:
        original(self, path, rule, remedy, option)
        caller = sys._getframe(1)
        module = caller.f_globals["__name__"]
        if module.startswith("blockpack") and not module.startswith("blockpack.cli"):
            found.extend(f"{module}:{caller.f_lineno}: {why}" for why in _wrong(self))

    BlockpackError.__init__ = heard  # type: ignore[method-assign]
    try:
        yield found
    finally:
        BlockpackError.__init__ = original  # type: ignore[method-assign]


def _wrong(error: BlockpackError) -> Iterator[str]:
    if type(error.path) is not str or type(error.rule) is not str or not error.rule:
        yield f"{error!r} has no path or no rule"
        return
    told = f"{error.rule} {error.remedy}"
    if "--" in told:
        flags = _FLAGS & {word.strip(".,;:()") for word in _QUOTED.sub("", told).split()}
        if flags:
            yield f"{error} names {flags}, which the library has not"
    name, _, value = error.option.partition("=")
    if error.option and as_keyword(name, value) not in error.remedy:
        yield f"{error} does not name {error.option}"
