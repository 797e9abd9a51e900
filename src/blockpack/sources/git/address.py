"""Addresses: ``git:REPO[@REV[:SUBDIR]]``.

A path may hold an ``@`` as a revision may (``HEAD@{1}``), so the longest REPO that is a directory
is taken. Without a revision it is ``HEAD``. A revision ends at the first ``:`` outside of braces,
which may hold one in a date.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Self

from ...errors import SourceError, UsageError
from ...model.entry import decode

SCHEME = "git:"
"""What addresses of this source begin with."""


class Address(NamedTuple):
    """A directory of a revision of a repository; an empty `subdir` is all of it."""

    repository: str
    revision: str
    subdir: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of an address. Raises `UsageError`, and `SourceError` if nothing is there."""
        rest = text.removeprefix(SCHEME)
        if rest.startswith("//"):
            rule = "only a repository on this machine is a source"
            raise UsageError(text, rule, "clone it, and give the path: git:PATH@REV")
        ends = [at for at, character in enumerate(rest) if character == "@" and at]
        if not rest or (rest.startswith("@") and not ends):
            known = "git:REPO@REV[:SUBDIR]"
            raise UsageError(text, f"is no {known}", f"git:.{rest or '@HEAD'} is one")
        for end in (len(rest), *reversed(ends)):
            if os.path.isdir(rest[:end]):
                revision, subdir = _split(rest[end + 1 :])
                if end == len(rest):
                    revision = "HEAD"
                return cls(rest[:end], revision, decode(os.fsencode(subdir)))
        rule = "is not a directory"
        raise SourceError(rest[: ends[0]] if ends else rest, rule, "give the path of a repository")


def _split(text: str) -> tuple[str, str]:
    """A revision and what is after the ``:`` that ends it."""
    depth = 0
    for at, character in enumerate(text):
        if character == ":" and depth <= 0:
            return text[:at], text[at + 1 :]
        depth += (character == "{") - (character == "}")
    return text, ""
