"""Names in a tree that git itself would not check out.

Whoever unpacks an image may do so where names are folded: what some file system takes for
``.git`` is refused, as git does it (CVE-2014-9390, CVE-2019-1352).
"""

from __future__ import annotations

import re

_IGNORED = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)
"""Characters that HFS+ does not see in a name."""

_NTFS_END = re.compile(r"[:\\]")
"""What ends a name for NTFS: a stream's name, or a directory's."""


def refused(name: bytes) -> str | None:
    """What is wrong with a tree's entry of this name, if anything is."""
    if not name:
        return "has an entry without a name"
    if name in (b".", b".."):
        return "has an entry that is no name"
    if b"/" in name:
        return "has a slash in the name of an entry"
    plain = name.isascii() and b"git" not in name.lower()
    if not plain and _is_git_directory(name.decode("utf-8", "surrogateescape")):
        return "has the name of a git directory"
    return None


def _is_git_directory(name: str) -> bool:
    if name.translate(_IGNORED).lower() == ".git":
        return True
    return _NTFS_END.split(name, maxsplit=1)[0].rstrip(" .").lower() in (".git", "git~1")
