"""A whole FAT image, held against the specification and against what drivers agree on.

`check` is stricter than any driver and than fsck.fat. Beyond `fat_volume` it asserts that

- every chain is contiguous and ascending, ends in a proper mark and is as long as the size
  says; an empty file has none; no cluster is in two chains or in none;
- slack and free clusters are zero, and so are directories behind their last entry;
- ``.`` and ``..`` come first and lead where they should;
- long-name entries are complete, in order, padded and tied to their short name;
- names are legal, and no two of a directory are one name to a driver that ignores case;
- the label is the same wherever it is.
"""

from __future__ import annotations

import calendar
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from .fat_volume import STRICT, Rules, Volume, read_volume
from .image import Image, Source

ENTRY = 32
UNITS = 13
"""UTF-16 units in one long-name entry."""
MAX_DIRECTORY = 65536 * ENTRY

READ_ONLY, HIDDEN, SYSTEM, VOLUME_ID, DIRECTORY, ARCHIVE = 1, 2, 4, 8, 16, 32
LONG_NAME = READ_ONLY | HIDDEN | SYSTEM | VOLUME_ID

NO_LABEL = b"NO NAME    "
_LONG_ILLEGAL = frozenset('"*/:<>?\\|') | frozenset(map(chr, range(32)))
_SHORT_LEGAL = (
    frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    | frozenset(b"$%'-_@~`!(){}^#&")
    | frozenset(range(128, 256))
)
_SHORT = struct.Struct("<11sBBBHHHHHHHI")


class Node(NamedTuple):
    """A file or directory; `mtime` is in seconds since 1970, its clock taken for UTC."""

    kind: Literal["file", "directory"]
    content: bytes
    mtime: int


class _Short(NamedTuple):
    """A short directory entry as it is on disk."""

    name: bytes
    attr: int
    nt_res: int
    crt_time_tenth: int
    crt_time: int
    crt_date: int
    lst_acc_date: int
    fst_clus_hi: int
    wrt_time: int
    wrt_date: int
    fst_clus_lo: int
    file_size: int

    @property
    def cluster(self) -> int:
        return self.fst_clus_hi << 16 | self.fst_clus_lo

    @property
    def text(self) -> str:
        """The short name as it is shown; bytes beyond ASCII depend on the code page."""
        base, extension = (part.decode("latin-1").rstrip(" ") for part in self._parts)
        return f"{base}.{extension}" if extension else base

    @property
    def cased(self) -> str:
        """The short name as shown by a driver that knows the lower-case bits."""
        base, extension = (part.decode("latin-1").rstrip(" ") for part in self._parts)
        base = base.lower() if self.nt_res & 0x08 else base
        extension = extension.lower() if self.nt_res & 0x10 else extension
        return f"{base}.{extension}" if extension else base

    @property
    def _parts(self) -> tuple[bytes, bytes]:
        return self.name[:8], self.name[8:]


@dataclass
class _Directory:
    """A directory being read."""

    path: str
    cluster: int
    """0 for the root, as ``..`` has it."""
    parent: int
    raw: bytes


def check(source: Source, rules: Rules = STRICT, *, contents: bool = True) -> dict[str, Node]:
    """Assert that the FAT image is sound in every respect, and return its tree by path.

    The bytes of files are left out, b"" instead, if `contents` is false.
    """
    with Image(source) as image:
        return _Checker(image, rules, contents=contents).tree()


class _Checker:
    def __init__(self, image: Image, rules: Rules, *, contents: bool) -> None:
        self._image = image
        self._rules = rules
        self._contents = contents
        self._volume: Volume = read_volume(image, rules)
        self._taken = bytearray(len(self._volume.fat))

    def tree(self) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        waiting = [self._root()]
        while waiting:
            directory = waiting.pop()
            for name, short in self._names(directory):
                path = f"{directory.path}/{name}" if directory.path else name
                mtime = _time(short.wrt_date, short.wrt_time, path)
                if short.attr & DIRECTORY:
                    assert short.file_size == 0, f"{path}: a directory with a size"
                    raw = self._read_directory(short.cluster, path)
                    waiting.append(_Directory(path, short.cluster, directory.cluster, raw))
                    nodes[path] = Node("directory", b"", mtime)
                else:
                    nodes[path] = Node("file", self._read_file(short, path), mtime)
        self._check_free()
        return nodes

    def _root(self) -> _Directory:
        volume = self._volume
        if volume.root_cluster:
            raw = self._read_directory(volume.root_cluster, "the root")
        else:
            raw = self._image.read(volume.root_offset, volume.root_length)
        return _Directory("", 0, 0, raw)

    def _take(self, first: int, path: str) -> int:
        """Mark the chain from `first` on as used by `path`; the number of its clusters."""
        volume, at = self._volume, first
        while True:
            assert 2 <= at < len(volume.fat), f"{path}: cluster {at} does not exist"
            assert not self._taken[at], f"{path}: cluster {at} is used twice"
            self._taken[at] = True
            entry = volume.fat[at]
            if entry >= volume.end_of_chain:
                return at + 1 - first
            assert entry == at + 1, f"{path}: cluster {at} is followed by {entry}"
            at = entry

    def _read_directory(self, first: int, path: str) -> bytes:
        length = self._take(first, path) * self._volume.cluster_size
        assert length <= MAX_DIRECTORY, f"{path}: a directory of {length} bytes"
        raw = self._image.read(self._volume.offset_of(first), length)
        used = next((at for at in range(0, length, ENTRY) if not raw[at]), length)
        # Of an end mark that would need one more cluster, some programs allocate it.
        assert length - used <= self._volume.cluster_size, f"{path}: unused clusters at its end"
        return raw

    def _read_file(self, short: _Short, path: str) -> bytes:
        size, volume = short.file_size, self._volume
        if not size:
            assert short.cluster == 0, f"{path}: an empty file with a cluster"
            return b""
        clusters = self._take(short.cluster, path)
        needed = -(-size // volume.cluster_size)
        assert clusters == needed, f"{path}: {clusters} clusters for {size} bytes"
        start = volume.offset_of(short.cluster)
        end = start + clusters * volume.cluster_size
        self._image.assert_zero(start + size, end, f"{path}: the slack")
        return self._image.read(start, size) if self._contents else b""

    def _names(self, directory: _Directory) -> list[tuple[str, _Short]]:
        """The name and short entry of each child."""
        path = directory.path or "the root"
        raw = directory.raw
        slots = [raw[at : at + ENTRY] for at in range(0, len(raw), ENTRY)]
        end = next((index for index, slot in enumerate(slots) if not slot[0]), len(slots))
        assert not any(raw[end * ENTRY :]), f"{path}: entries behind the end mark"
        slots = slots[:end]
        if directory.path:
            self._check_dots(directory, slots)
            slots = slots[2:]
        children: list[tuple[str, _Short]] = []
        labels: list[bytes] = []
        long: list[bytes] = []
        for slot in slots:
            assert slot[0] != 0xE5, f"{path}: a deleted entry"
            if slot[11] == LONG_NAME:
                long.append(slot)
                continue
            short = _Short._make(_SHORT.unpack(slot))
            assert short.attr & 0xC0 == 0, f"{path}: attributes {short.attr:#x}"
            _check_times(short, path)
            if short.attr & VOLUME_ID:
                assert not long and short.attr == VOLUME_ID, f"{path}: a label is malformed"
                assert not short.cluster and not short.file_size, f"{path}: a label with data"
                labels.append(short.name)
                continue
            children.append((self._name(long, short, path), short))
            long = []
        assert not long, f"{path}: long-name entries without a short one"
        self._check_labels(labels, is_root=not directory.path)
        _check_unique(children, path)
        return children

    def _name(self, long: list[bytes], short: _Short, path: str) -> str:
        where = f"{path}: {short.name!r}"
        self._check_short(short, where)
        if long:
            name = self._long_name(long, short, where)
            bits = _case_bits(name) if self._rules.bits_beside_names else 0
            assert short.nt_res == bits, f"{where}: lower-case bits {short.nt_res:#x}"
            return name
        assert short.name.isascii(), f"{where}: depends on the code page"
        if not self._rules.lower_case_bits:
            assert short.nt_res == 0, f"{where}: lower-case bits for want of a long name"
        return short.cased

    def _check_short(self, short: _Short, where: str) -> None:
        name = short.name
        if name[0] == 0x05:
            name = b"\xe5" + name[1:]
        for part in (name[:8], name[8:]):
            text = part.rstrip(b" ")
            if self._rules.mirage:
                assert not text.startswith(b" "), f"{where}: begins with a space"
                text = text.replace(b" ", b"")
            assert _SHORT_LEGAL.issuperset(text), f"{where}: an illegal short name"
        assert name[:1] != b" ", f"{where}: a short name without a base"
        assert short.nt_res & ~0x18 == 0, f"{where}: DIR_NTRes is {short.nt_res:#x}"

    def _long_name(self, slots: list[bytes], short: _Short, where: str) -> str:
        """The name that `slots`, in their order on disk, hold for `short`."""
        checksum = 0
        for byte in short.name:
            checksum = ((checksum >> 1 | checksum << 7) + byte) & 0xFF
        units: list[int] = []
        for number, slot in enumerate(reversed(slots), start=1):
            order = number | (0x40 if number == len(slots) else 0)
            assert slot[0] == order, f"{where}: LDIR_Ord is {slot[0]:#x}, not {order:#x}"
            assert slot[12] == 0 and slot[26:28] == b"\0\0", f"{where}: LDIR_Type or FstClusLO"
            assert slot[13] == checksum, f"{where}: LDIR_Chksum is not of the short name"
            units += struct.unpack("<13H", slot[1:11] + slot[14:26] + slot[28:32])
        length = units.index(0) if 0 in units else len(units)
        assert 1 <= length <= 255, f"{where}: a long name of {length} units"
        needed = -(-(length + self._rules.mirage) // UNITS)
        assert len(slots) == needed, f"{where}: {len(slots)} entries for {length} units"
        assert set(units[length + 1 :]) <= {0xFFFF}, f"{where}: padding is not 0xFFFF"
        encoded = struct.pack(f"<{length}H", *units[:length])
        try:
            name = encoded.decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise AssertionError(f"{where}: {error}") from None
        assert "\uffff" not in name, f"{where}: a long name with padding inside"
        assert _LONG_ILLEGAL.isdisjoint(name), f"{where}: {name!r} has an illegal character"
        assert name[-1] not in " .", f"{where}: {name!r} ends in a space or a dot"
        return name

    def _check_dots(self, directory: _Directory, slots: list[bytes]) -> None:
        path = directory.path
        assert len(slots) >= 2, f"{path}: no '.' and '..'"
        for slot, name, cluster in (
            (slots[0], b".", directory.cluster),
            (slots[1], b"..", directory.parent),
        ):
            short = _Short._make(_SHORT.unpack(slot))
            assert short.name == name.ljust(11), f"{path}: {short.name!r} instead of {name!r}"
            assert short.attr == DIRECTORY, f"{path}: {name!r} is not a directory"
            assert short.file_size == 0, f"{path}: {name!r} has a size"
            assert short.cluster == cluster, f"{path}: {name!r} leads to {short.cluster}"
            _check_times(short, path)

    def _check_labels(self, labels: list[bytes], *, is_root: bool) -> None:
        if not is_root:
            assert not labels, "a label outside the root directory"
        elif self._rules.mirage or not self._rules.label_entry:
            assert not labels, "a label in the root, where the reader shows a file"
        else:
            told = [] if self._volume.label == NO_LABEL else [self._volume.label]
            assert labels == told, f"the labels are {labels} and {self._volume.label!r}"

    def _check_free(self) -> None:
        """No cluster is lost, and those that are free are zero."""
        volume = self._volume
        free_from: int | None = None
        for number in range(2, len(volume.fat) + 1):
            if number < len(volume.fat) and not volume.fat[number]:
                free_from = number if free_from is None else free_from
                continue
            if free_from is not None:
                start, end = volume.offset_of(free_from), volume.offset_of(number)
                self._image.assert_zero(start, end, "a free cluster")
                free_from = None
            if number < len(volume.fat):
                assert self._taken[number], f"cluster {number} is lost"


def _case_bits(name: str) -> int:
    """DIR_NTRes of a name that is 8.3, each half of one case; else 0."""
    match = re.fullmatch(
        r"([A-Z0-9_~!#$%&'()@^`{}-]{1,8})(?:\.([A-Z0-9_~!#$%&'()@^`{}-]{1,3}))?", name, re.I | re.A
    )
    halves = [half or "" for half in match.groups()] if match else []
    if any(half not in (half.upper(), half.lower()) for half in halves):
        return 0
    return sum(bit for bit, half in zip((8, 16), halves, strict=False) if half != half.upper())


def _check_unique(children: list[tuple[str, _Short]], path: str) -> None:
    """No two children share a short name, a long name, or one's short and another's long."""
    owners: dict[str, int] = {}
    for index, (name, short) in enumerate(children):
        for spelling in {_fold(name), _fold(short.text)}:
            owner = owners.setdefault(spelling, index)
            assert owner == index, f"{path}: {name!r} and {children[owner][0]!r} collide"


def _fold(name: str) -> str:
    """`name` with the case ignored that every driver ignores: that of one-to-one pairs."""
    return "".join(
        character.upper() if character.upper().lower() == character else character
        for character in name
    )


def _check_times(short: _Short, path: str) -> None:
    """That the times are valid; those of creation and access may be left out as 0."""
    _time(short.wrt_date, short.wrt_time, path)
    assert short.crt_time_tenth <= 199, f"{path}: DIR_CrtTimeTenth"
    if short.crt_date or short.crt_time or short.crt_time_tenth:
        _time(short.crt_date, short.crt_time, path)
    if short.lst_acc_date:
        _time(short.lst_acc_date, 0, path)


def _time(date: int, time: int, path: str) -> int:
    """Seconds since 1970 of a date and time as FAT stores them."""
    try:
        moment = datetime(
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63,
            (time & 31) * 2,
        )
    except ValueError as error:
        raise AssertionError(f"{path}: date {date:#x}, time {time:#x}: {error}") from None
    return calendar.timegm(moment.timetuple())
