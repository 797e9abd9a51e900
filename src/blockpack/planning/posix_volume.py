"""Volumes whose entries have owners and permission bits, and the one rule for these."""

from __future__ import annotations

import re
from typing import Literal

from attrs import field, frozen

from ..errors import UsageError
from ..model.entry import Entry, File, Symlink
from .volume import Volume

PLAIN, EXECUTABLE = 0o644, 0o755
"""Permission bits by default: what git keeps of them, so that no umask has a say."""

Owner = Literal["keep"] | tuple[int, int]
"""Whose the entries are: their source's, or (uid, gid)."""


def _owner(owner: str | tuple[int, int]) -> Owner:
    """An owner option: ``keep``, ``UID:GID`` or (uid, gid). Raises `UsageError`."""
    if owner == "keep":
        return "keep"
    parts = owner.split(":") if isinstance(owner, str) else owner
    ids = tuple(int(part) if re.fullmatch("[0-9]{1,10}", str(part)) else -1 for part in parts)
    if len(ids) != 2 or not all(0 <= number < 1 << 32 for number in ids):
        rule = f"owner is 'keep' or UID:GID of 32 bits each, not {owner!r}"
        raise UsageError("", rule, option="owner=0:0")
    return ids


@frozen(kw_only=True, init=False, repr=False, eq=False)  # each format has its own
class PosixVolume(Volume):
    """A format that keeps owners and permission bits, with its options.

    `owner` is ``UID:GID`` for all entries, or ``keep``. `mode` ``normal`` gives files 0644
    (0755 if their owner may execute them) and directories 0755; ``keep`` the source's bits.
    """

    owner: Owner = field(default=(0, 0), converter=_owner)
    mode: Literal["normal", "keep"] = "normal"

    def owner_of(self, entry: Entry) -> tuple[int, int]:
        """The user and the group that the image shows."""
        return (entry.uid, entry.gid) if self.owner == "keep" else self.owner

    def mode_of(self, entry: Entry) -> int:
        """The permission bits that it shows."""
        if self.mode == "keep" or type(entry) is Symlink:
            return entry.mode
        return PLAIN if type(entry) is File and not entry.mode & 0o100 else EXECUTABLE
