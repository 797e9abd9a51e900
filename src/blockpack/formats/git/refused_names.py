"""Names in a tree that git itself would not check out.

Whoever unpacks an image may do so where names are folded: what some file system takes for
``.git`` is refused, as git does it (CVE-2014-9390, CVE-2019-1352).
"""

from __future__ import annotations

import re
from collections.abc import Collection

_IGNORED = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)
"""Characters that HFS+ does not see in a name."""

_HFS_END = re.compile("[\udc80-\udcff\ufffe\uffff]")
"""What ends a name for git as it looks for HFS+'s names: bytes that are not UTF-8."""

_GITMODULES = re.compile(
    r"(\.gitmodules|gitmod~[1-4]"
    + "".join(f"|{'gi7eba'[:n]}~[1-9][0-9]{{{6 - n}}}" for n in range(7))
    + r")[ .]*",
    re.I | re.A,
)
"""``.gitmodules`` for NTFS, with the short names that it may get there."""


def refused(name: bytes) -> str | None:
    """What is wrong with a tree's entry of this name, if anything is."""
    if not name:
        return "has an entry without a name"
    if name in (b".", b".."):
        return "has an entry with an invalid name"
    if b"/" in name:
        return "has a slash in the name of an entry"
    plain = name.isascii() and b"git" not in name.lower()
    if not plain and _is_git_directory(name.decode("utf-8", "surrogateescape")):
        return "has the name of a git directory"
    return None


def are_plain(names: Collection[bytes]) -> bool:
    """Whether none of `names` can be wrong, as usual: a fraction of the time of asking for each."""
    joined = b"/".join(names)
    return (
        joined.isascii()
        and b"git" not in joined.lower()
        and joined.count(b"/") == len(names) - 1
        and not any(name in names for name in (b"", b".", b".."))
    )


def refused_link(name: bytes) -> str | None:
    """What is wrong with a symbolic link of this name, if anything is but for all entries."""
    text = name.decode("utf-8", "surrogateescape")
    if _on_hfs(text) == ".gitmodules" or any(map(_GITMODULES.fullmatch, _on_ntfs(text))):
        return "is a symbolic link, and git takes no .gitmodules that is one"
    return None


def _is_git_directory(name: str) -> bool:
    parts = (part.rstrip(" .").lower() for part in _on_ntfs(name))
    return _on_hfs(name) == ".git" or any(part in (".git", "git~1") for part in parts)


def _on_hfs(name: str) -> str:
    return _HFS_END.split(name, maxsplit=1)[0].translate(_IGNORED).lower()


def _on_ntfs(name: str) -> list[str]:
    """The names that NTFS may see: between backslashes, and up to the name of a stream."""
    return [part.partition(":")[0] for part in name.split("\\")]
