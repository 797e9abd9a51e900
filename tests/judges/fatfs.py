"""What FatFs makes of a volume: ChaN's module, which ESP-IDF, Zephyr and 3D printers read FAT by.

fatfs-ng brings the C source as a Python extension, built for code page 437 without UTF-8. So
FatFs shows a long name only if all of it is in that code page, and the extension replaces every
byte beyond ASCII in what it shows. Which names these can be, `fatfs_read` has to be told; they
are opened by their real bytes, and so FatFs itself has to find them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .fat_tools import Contents
from .image import Image, Source
from .programs import require_module

CODE_PAGE = "cp437"
_READ = 1
"""FatFs' mode to open a file for reading (FA_READ)."""


def fatfs_read(source: Source, *, sector_size: int = 512, names: Iterable[str] = ()) -> Contents:
    """What FatFs reads of a volume on a device with sectors of `sector_size` bytes.

    `names` are the parts of paths beyond ASCII that there may be. Asserts that FatFs mounts the
    volume, reads nothing outside of the device, writes nothing, and meets no name that it cannot
    show.
    """
    wrapper = require_module("fatfs.wrapper")
    spellings = {fatfs_spelling(name): name for name in names}
    contents: Contents = {}
    with Image(source) as image:
        device = _Device(image, sector_size)
        with _mounted(wrapper, device) as drive:
            waiting = [""]
            while waiting:
                parent = waiting.pop()
                for shown, size in _listed(wrapper, drive + _oem(parent)):
                    name = spellings.get(shown, shown)
                    assert "\ufffd" not in name, f"FatFs shows {name!r}, which nobody told of"
                    path = f"{parent}/{name}"
                    assert path[1:] not in contents, f"FatFs lists {path!r} twice"
                    contents[path[1:]] = (
                        None if size is None else _content(wrapper, drive + _oem(path), size)
                    )
                    if size is None:
                        waiting.append(path)
        assert not device.complaints, f"FatFs asked for {device.complaints}"
    return contents


def fatfs_spelling(name: str) -> str:
    """`name` as the extension shows it: bytes of code page 437, taken for UTF-8.

    Raises `UnicodeEncodeError` for a name that is not in the code page: FatFs shows its short
    name instead.
    """
    return _oem(name).decode("utf-8", "replace")


class _Device:
    """A device that the extension reads; what it must not do is noted in `complaints`.

    An exception would not reach FatFs, which is C: it would take the sector for read.
    """

    def __init__(self, image: Image, sector_size: int) -> None:
        self._image = image
        self._sector_size = sector_size
        self.complaints: list[str] = []

    def ioctl_get_sector_count(self) -> int:
        return self._image.size // self._sector_size

    def ioctl_get_sector_size(self) -> int:
        return self._sector_size

    def ioctl_get_block_size(self) -> int:
        return 1

    def ioctl_sync(self) -> None:
        """There is nothing to wait for."""

    def read(self, sector: int, length: int) -> bytes:
        """`length` bytes from `sector` on."""
        start = sector * self._sector_size
        if start + length > self._image.size:
            self.complaints.append(f"{length} bytes at sector {sector}, outside of the device")
            return bytes(length)
        return self._image.read(start, length)

    def write(self, sector: int, length: int, data: bytes) -> None:
        self.complaints.append(f"writing {length} bytes at sector {sector}")


@contextmanager
def _mounted(wrapper: Any, device: _Device) -> Iterator[bytes]:
    """The drive, as ``N:``, that the volume is mounted as; there are only a few of them."""
    partition = wrapper.Partition(device)
    try:
        try:
            partition.mount()
        except wrapper.FatFSException as error:
            raise AssertionError(f"FatFs does not mount the volume: {error}") from None
        yield partition.pname
    finally:
        partition.unmount()


def _listed(wrapper: Any, path: bytes) -> Iterator[tuple[str, int | None]]:
    """The name and size of each entry of a directory; the size of a directory is None."""
    directory, found = wrapper.DIR_Handle(), wrapper.FILINFO_Handle()
    _assert_done("open the directory", path, wrapper.pyf_opendir(directory, path))
    try:
        while True:
            _assert_done("go on with the directory", path, wrapper.pyf_readdir(directory, found))
            if not found.get_name():
                return
            yield found.get_name(), None if found.is_directory() else found.get_size()
    finally:
        wrapper.pyf_closedir(directory)


def _content(wrapper: Any, path: bytes, size: int) -> bytes:
    file = wrapper.FIL_Handle()
    _assert_done("open the file", path, wrapper.pyf_open(file, path, _READ))
    try:
        result, data = wrapper.pyf_read(file, size)
        _assert_done("read the file", path, result)
    finally:
        wrapper.pyf_close(file)
    assert len(data) == size, f"FatFs reads {len(data)} of the {size} bytes of {path!r}"
    return bytes(data)


def _assert_done(what: str, path: bytes, result: int) -> None:
    assert result == 0, f"FatFs does not {what} {path!r}: FRESULT {result}"


def _oem(path: str) -> bytes:
    return path.encode(CODE_PAGE)
