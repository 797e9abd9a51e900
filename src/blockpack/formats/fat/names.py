"""Names: what FAT can hold, and the short names that it wants beside long ones.

Each name has a short form of 8 + 3 characters, unique in its directory. A name that is a short
name already needs no other; all others are held by long-name entries, in UTF-16 (FAT
specification, section 7, and "Basis-Name Generation").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...errors import EntryError
from ...model.entry import Entry, name_of
from ...planning.profile import PROFILES, FatLimits

MAX_UNITS = 255
"""The longest long name in UTF-16 units."""

SHORT_LENGTH = 12
"""The longest short name with its dot."""

LONG_UNITS = 13
"""UTF-16 units in a long-name entry."""

LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
"""Bits of a short entry: what stands before its dot, or behind, is in lower case (NT)."""

_ILLEGAL = r'"*/:<>?\|'
"""What no name holds, apart from control characters, and U+FFFF, which fills long-name entries."""

_SHORT = r"[A-Z0-9$%'\-_@~`!(){}^#&]"
_DEVICE = r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[1-9¹²³]|LPT[1-9¹²³])"
"""What Windows takes for a device, whatever suffix it has."""

_SHORT_NAME = re.compile(rf"{_SHORT}{{1,8}}(\.{_SHORT}{{1,3}})?")
_SIMPLE = re.compile(rf"({_SHORT}+)(?:\.({_SHORT}+))?")
_NOT_SHORT = re.compile(rf"(?!{_SHORT}).")
_NOT_HELD = re.compile(rf"[\x00-\x1f\uffff{re.escape(_ILLEGAL)}]")
_DEVICE_NAME = re.compile(rf"{_DEVICE}(\..*)?", re.IGNORECASE)
_ORDINARY = re.compile(
    rf"(?!{_DEVICE}(?:\.|\Z)| )[^\x00-\x1f{re.escape(_ILLEGAL)}]{{0,254}}(?<![ .])", re.IGNORECASE
)
"""Names against which there is nothing to say, as long as they are ASCII."""
# What the reader behind `exact_short_names` takes for an 8.3 name: it passes over one dot at the
# beginning and one at the end, and then takes no more than one.
_LOOKS = r"[A-Z0-9 !#$%&'()\-@^_`{}~]"
_LOOKS_SHORT = re.compile(rf"\.?{_LOOKS}{{0,8}}(\.{_LOOKS}{{0,3}})?")


def units(text: str) -> int:
    """The length of `text` in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_short(name: str) -> bool:
    """Whether `name` is its own short name, so that no long-name entry is needed."""
    return len(name) <= SHORT_LENGTH and _SHORT_NAME.fullmatch(name) is not None


def is_device(name: str) -> bool:
    """Whether Windows takes `name` for one of its devices and cannot open such a file."""
    return _DEVICE_NAME.fullmatch(name) is not None


def case_bits(name: str) -> int:
    """The bits of a short entry that tell lower case (NT); 0 if its short name is another."""
    if not name.isascii() or not is_short(name.upper()):
        return 0
    halves = dict(zip((LOWER_BASE, LOWER_EXTENSION), _split(name), strict=True))
    if any(half not in (half.lower(), half.upper()) for half in halves.values()):
        return 0
    return sum(bit for bit, half in halves.items() if half != half.upper())


def long_entries(name: str, limits: FatLimits) -> int:
    """How many long-name entries `name` takes; none if it is a short name."""
    return 0 if is_short(name) else -(-_long_units(name, limits) // LONG_UNITS)


def long_text(name: str, limits: FatLimits) -> bytes:
    """`name` as its long-name entries hold it: UTF-16, a NUL if one fits, then all ones."""
    text = name.encode("utf-16-le").ljust(2 * _long_units(name, limits), b"\0")
    return text + b"\xff" * (-len(text) % (2 * LONG_UNITS))


def _long_units(name: str, limits: FatLimits) -> int:
    """UTF-16 units of `name` with the NUL that ends it, unless it fills its last entry exactly."""
    length = units(name)
    return length + (length % LONG_UNITS != 0 or limits.terminated_long_names)


def fold(name: str) -> str:
    """`name` for comparing: FAT knows no case."""
    return name.upper() if name.isascii() else "".join(map(_upper, name))


def _upper(character: str) -> str:
    """The one upper-case form of a character, as tables of systems have it; itself without one."""
    for form in (character.upper(), character.title()):  # of some Greek letters, only a title
        if len(form) == 1:
            return form
    return character


def is_ordinary(path: str, name: str, limits: FatLimits) -> bool:
    """Whether there is plainly nothing to say against a name, as of nearly all."""
    return (
        path.isascii()
        and len(path) <= limits.path_units
        and not limits.exact_short_names
        and _ORDINARY.fullmatch(name) is not None
    )


def refusals(entry: Entry, limits: FatLimits) -> Iterator[EntryError]:
    """What FAT, or this profile's reader of it, has against an entry's name and path."""
    path = entry.path
    name = name_of(path)
    try:
        name.encode("utf-16-le")
    except UnicodeEncodeError:
        rule = "its name is not UTF-8, and FAT holds Unicode only"
        yield EntryError(path, rule, "rename it")
        return
    if found := _NOT_HELD.search(name):
        yield EntryError(path, f"FAT has no {found[0]!r} in names", "rename it")
    if name[-1] in " ." or name[0] == " ":
        rule = "FAT ignores spaces around a name, and dots at its end"
        yield EntryError(path, rule, "rename it")
    if units(name) > MAX_UNITS:
        rule = f"its name has {units(name)} UTF-16 units, and FAT holds {MAX_UNITS}"
        yield EntryError(path, rule, "shorten it")
    if units(path) > limits.path_units:
        rule = f"its path has {units(path)} UTF-16 units, and readers take {limits.path_units}"
        longest = PROFILES["linux"].fat.path_units
        curable = limits.path_units < units(path) <= longest and not limits.exact_short_names
        option = "profile=linux" if curable else ""
        yield EntryError(path, rule, "shorten it, or pack fewer levels", option)
    if limits.names == "ascii" and not name.isascii():
        rule = "the profile's reader finds ASCII names only"
        yield EntryError(path, rule, "rename it")
    if limits.names == "cp437" and not _is_cp437(name):
        rule = "the profile's reader shows names in code page 437, which lacks a character of it"
        yield EntryError(path, rule, "rename it", "profile=any")
    if limits.names == "bmp" and any(ord(character) > 0xFFFF for character in name):
        rule = "the profile's reader knows no characters beyond U+FFFF"
        yield EntryError(path, rule, "rename it")
    if limits.exact_short_names and not is_short(name) and _LOOKS_SHORT.fullmatch(name):
        rule = "the profile's reader looks for it by a short name that FAT cannot hold"
        yield EntryError(path, rule, "use a lower-case letter in it")


def _is_cp437(name: str) -> bool:
    try:
        return bool(name.encode("cp437"))
    except UnicodeEncodeError:
        return False


class ShortNames:
    """Gives out the short names of one directory, each once. One of its `names` that is a short
    name but for case has that for itself: or a reader that knows no case would open the wrong file.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._own = {
            name: _packed(*_split(upper))
            for name in names
            if len(name) <= SHORT_LENGTH and name.isascii() and is_short(upper := name.upper())
        }
        self._taken = set(self._own.values())
        # The next number to try for a stem of a given length, and the digits that a basis has
        # come to; so a thousand alike names cost a thousand steps and not a million.
        self._next: dict[tuple[str, str, int], int] = {}
        self._digits: dict[tuple[str, str], int] = {}

    def of(self, name: str) -> bytes:
        """The 11 bytes of a name's short name; numbers are given out in the order of asking."""
        return self._own.get(name) or self._numbered(name)

    def _numbered(self, name: str) -> bytes:
        base, extension, lossy = _basis(name)
        if not lossy:
            packed = _packed(base, extension)
            if packed not in self._taken:
                self._taken.add(packed)
                return packed
        for digits in range(self._digits.get((base, extension), 1), 7):
            stem = base[: 7 - digits]
            key = stem, extension, digits
            number = self._next.get(key, 10 ** (digits - 1))
            while number < 10**digits:
                packed = _packed(f"{stem}~{number}", extension)
                number += 1
                if packed not in self._taken:
                    self._next[key] = number
                    self._taken.add(packed)
                    return packed
            self._digits[base, extension] = digits + 1
        raise AssertionError("a directory has far fewer entries than there are numbers")


def _split(name: str) -> tuple[str, str]:
    base, _, extension = name.partition(".")
    return base, extension


def _packed(base: str, extension: str) -> bytes:
    return f"{base:<8}{extension:<3}".encode("ascii")


def _basis(name: str) -> tuple[str, str, bool]:
    """Base and extension of the short name before a number, and whether it needs one."""
    upper = name.upper()
    if (match := _SIMPLE.fullmatch(upper)) and name.isascii():
        base, extension = match.groups("")
        return base[:8], extension[:3], len(base) > 8 or len(extension) > 3
    # Spaces and leading dots are dropped, what the OEM character set lacks becomes '_'.
    stripped = upper.replace(" ", "").lstrip(".")
    base, _, extension = stripped.rpartition(".") if "." in stripped else (stripped, "", "")
    base = _NOT_SHORT.sub("_", base.replace(".", "")) or "_"
    return base[:8], _NOT_SHORT.sub("_", extension)[:3], True
