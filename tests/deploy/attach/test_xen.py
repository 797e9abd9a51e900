"""xl's own parser takes our lines and skeletons: libxlutil, which reads what `xl create` is given.

`xl` itself does nothing without a hypervisor, not even with ``--dryrun``.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path
from typing import NamedTuple

import pytest

import blockpack
from cli.running import Command
from deploy.attach.builds import SKELETON, built, faked, live, recorded
from judges.programs import on_ci

RAW = 4
"""LIBXL_DISK_FORMAT_RAW, in Xen's libxl_types.idl."""


class DiskStructure(ctypes.Structure):
    """The beginning of a libxl_device_disk, and more room than the rest takes."""

    _fields_ = [
        ("backend_domid", ctypes.c_uint32),
        ("backend_domname", ctypes.c_char_p),
        ("pdev_path", ctypes.c_char_p),
        ("vdev", ctypes.c_char_p),
        ("backend", ctypes.c_int),
        ("format", ctypes.c_int),
        ("script", ctypes.c_char_p),
        ("removable", ctypes.c_int),
        ("readwrite", ctypes.c_int),
        ("is_cdrom", ctypes.c_int),
        ("rest", ctypes.c_char * 1024),
    ]


class Found(NamedTuple):
    """A disk, as xl has it."""

    vdev: str
    path: str
    writable: bool


class Xl:
    """libxlutil with one configuration."""

    def __init__(self, library: str, text: bytes) -> None:
        self._library = ctypes.CDLL(library)
        self._light = ctypes.CDLL(ctypes.util.find_library("xenlight"))
        self._library.xlu_cfg_init.restype = ctypes.c_void_p
        self._library.xlu_cfg_get_listitem.restype = ctypes.c_char_p
        errors = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
        self._config = ctypes.c_void_p(self._library.xlu_cfg_init(errors, b"www.xl"))
        assert self._library.xlu_cfg_readdata(self._config, text, len(text)) == 0

    def text(self, name: str) -> str:
        value = ctypes.c_char_p()
        found = self._library.xlu_cfg_get_string(
            self._config, name.encode(), ctypes.byref(value), 0
        )
        assert found == 0 and value.value is not None
        return value.value.decode()

    def texts(self, name: str) -> list[bytes]:
        items, count = ctypes.c_void_p(), ctypes.c_int()
        arguments = (ctypes.byref(items), ctypes.byref(count), 0)
        assert self._library.xlu_cfg_get_list(self._config, name.encode(), *arguments) == 0
        return [self._library.xlu_cfg_get_listitem(items, each) for each in range(count.value)]

    def disks(self) -> list[Found]:
        return [self._disk(specification) for specification in self.texts("disk")]

    def _disk(self, specification: bytes) -> Found:
        disk = DiskStructure()
        self._light.libxl_device_disk_init(ctypes.byref(disk))
        specifications = (ctypes.c_char_p * 1)(specification)
        assert (
            self._library.xlu_disk_parse(self._config, 1, specifications, ctypes.byref(disk)) == 0
        )
        assert disk.format == RAW and not disk.is_cdrom
        return Found(disk.vdev.decode(), disk.pdev_path.decode(), bool(disk.readwrite))


def parsed(text: bytes) -> Xl:
    """A configuration as xl reads it; without libxlutil the test is skipped, or fails on CI."""
    library = ctypes.util.find_library("xlutil")
    if library is None:
        reason = "libxlutil is not installed (Debian: apt install libxenmisc4.17, or .20 on 13)"
        if on_ci():
            pytest.fail(f"{reason}, which CI does not allow")
        pytest.skip(f"{reason}; xl gives no verdict")
    return Xl(library, text)


@pytest.mark.parametrize(
    "name", ["plain", "o'dd", 'say "hello"', "back\\slash\\", "a, b", "#;=[]", "ö", "target=x, y"]
)
def test_xl_finds_every_disk(name: str, tmp_path: Path, command: Command) -> None:
    directory = tmp_path / name
    directory.mkdir()
    images = [faked(f"volume{number}", 4096, directory) for number in range(3)]
    recorded(directory, *images)
    result = command("attach", directory, "--for", "xen", "--writable", "volume1")
    assert parsed(result.out).disks() == [
        Found(f"xvd{letter}", f"{directory}/volume{number}.img", number == 1)
        for number, letter in enumerate("bcd")
    ]


def test_xl_takes_a_single_disk_and_none(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path)
    assert parsed(command("attach", tmp_path, "--for", "xen").out).disks() == []
    recorded(tmp_path, faked("site", 4096, tmp_path))
    found = parsed(command("attach", tmp_path, "--for", "xen").out).disks()
    assert found == [Found("xvdb", f"{tmp_path}/site.img", False)]


VOLUMES = {
    "site": blockpack.FatVolume(profile="mirage"),
    "media": blockpack.TarVolume(profile="mirage"),
}


def test_mirages_skeleton_is_filled_in(tmp_path: Path, command: Command) -> None:
    root = live(tmp_path / "o'dd", VOLUMES)
    skeleton = tmp_path / "www.xl.in"
    skeleton.write_text(SKELETON)
    result = command(
        *("attach", root, "--for", "xen", "--template", skeleton, "--memory", "64"),
        *("--kernel", tmp_path / "www.xen", "--network", "xenbr0"),
        *("--network", "management=xenbr1"),
    )
    xl = parsed(result.out)
    assert xl.disks() == [
        Found("xvdc", f"{root}/current/media.img", False),
        Found("xvdb", f"{root}/current/site.img", False),
    ]
    assert {name: xl.text(name) for name in ("name", "kernel", "type", "memory")} == {
        "name": "www",
        "kernel": f"{tmp_path}/www.xen",
        "type": "pvh",
        "memory": "64",
    }
    assert xl.texts("vif") == [b"bridge=xenbr0", b"bridge=xenbr1"]


def test_a_skeletons_disk_stays_writable_where_asked(tmp_path: Path, command: Command) -> None:
    dist = built(tmp_path / "dist", VOLUMES)
    skeleton = tmp_path / "www.xl.in"
    skeleton.write_text(SKELETON.splitlines()[6])
    result = command(
        *("attach", dist, "--for", "xen", "--template", skeleton, "--writable", "media")
    )
    assert [found.writable for found in parsed(result.out).disks()] == [True, False]


def test_every_placeholder_without_a_value_is_named(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("site", 4096, tmp_path), faked("extra", 4096, tmp_path))
    skeleton = tmp_path / "www.xl.in"
    skeleton.write_text(SKELETON + "extra = '@EXTRA@ @BLOCK@ @NAME:x@'\n")
    result = command("attach", tmp_path, "--for", "xen", "--template", skeleton, code=2)
    assert not result.out
    for name in (
        *("KERNEL", "MEMORY", "BLOCK:media", "NETWORK:service", "NETWORK:management"),
        *("EXTRA", "BLOCK", "NAME:x"),
    ):
        assert f"@{name}@: " in result.err
    assert "@THIS@" not in result.err and len(result.messages) == 9
    assert "BLOCK:media@: there is no such volume; there are site, extra" in result.err


def test_a_volume_that_the_skeleton_lacks_is_warned_of(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("site", 4096, tmp_path), faked("extra", 4096, tmp_path))
    skeleton = tmp_path / "www.xl.in"
    skeleton.write_text("disk = [ 'access=rw, target=@BLOCK:site@' ]\n")
    result = command("attach", tmp_path, "--for", "xen", "--template", skeleton)
    assert result.messages == [
        "warning: extra: the skeleton has no @BLOCK:extra@, and does not attach it"
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("--for", "xen", "--kernel", "k"),
        ("--for", "xen", "--memory", "64"),
        ("--for", "xen", "--network", "xenbr0"),
        ("--for", "qemu", "--template", "www.xl.in"),
        ("--for", "xen", "--template", "www.xl.in", "--memory", "0"),
        ("--for", "xen", "--template", "www.xl.in", "--network", "a=b, c"),
        ("--for", "xen", "--template", "www.xl.in", "--network", "=xenbr0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: tuple[str, ...], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path, faked("site", 4096, tmp_path))
    (tmp_path / "www.xl.in").write_text(SKELETON)
    assert not command("attach", tmp_path, *options, code=2).out


def test_a_skeleton_that_cannot_be_read_is_told(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("site", 4096, tmp_path))
    for name in ("nowhere", "."):
        template = tmp_path / name
        assert not command("attach", tmp_path, "--for", "xen", "--template", template, code=4).out
    (tmp_path / "binary").write_bytes(b"\xff")
    template = tmp_path / "binary"
    assert not command("attach", tmp_path, "--for", "xen", "--template", template, code=4).out
