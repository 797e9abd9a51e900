"""The consumers of images, and what each of them asks of one: a row a consumer.

A manifest that names its consumers has defaults from here, and is refused here for what they cannot
use. `attach` holds images that are there against the same rows, so what a machine would not take
is told before it is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from attrs import field, frozen

from ...errors import ImageError
from ..file_names import DISK
from .unikernel_limits import limits

SECTOR = 512
"""Bytes in the smallest sector, of which every image is a multiple."""

XEN_SECTOR = 4096
"""Bytes in a sector of MirageOS' driver for Xen, which does not read what is left of less."""

MiB = 1 << 20

SERIAL = 20
"""Characters of a serial number that a guest sees (virtio's specification, 5.2.6.1)."""


@frozen(kw_only=True)
class Device:
    """An image as a consumer sees it, be it built or not.

    `profile` is the name of the one that it is made for. `sector_size` and `size` are in bytes; of
    what is not built yet, `size` is what its size is a multiple of.
    """

    name: str
    format: str
    profile: str
    sector_size: int
    size: int
    container: str | None = None
    secret: bool = False
    cipher: str | None = None
    writable: bool = False

    @property
    def encrypted(self) -> bool:
        """Whether its sectors are encrypted, so that their size is fixed."""
        return self.cipher is not None

    @property
    def in_clear(self) -> bool:
        """Whether it holds secrets that nothing but its place protects."""
        return self.secret and not self.encrypted


Hints = Callable[[Device], Iterator[str]]


def _xen(device: Device) -> Iterator[str]:
    if device.format == "fat" and device.sector_size < XEN_SECTOR:
        yield (
            f"MirageOS on Xen reads no FAT of {device.sector_size}-byte sectors; "
            f"for it, build with sector-size = {XEN_SECTOR}"
        )
    if device.size % XEN_SECTOR:
        yield f"MirageOS on Xen does not read its last bytes; for it, build with pad = {XEN_SECTOR}"


def _virtio(device: Device) -> Iterator[str]:
    if len(device.name) > SERIAL:
        rule = f"a guest sees {SERIAL} characters of a name, '{device.name[:SERIAL]}'"
        yield f"{rule}; give the volume a shorter one"


def _mirage(device: Device) -> Iterator[str]:
    if device.format == DISK:
        yield "MirageOS reads no partition table: the unikernel needs mirage-block-partition"
    elif device.profile != "mirage":
        yield f'is for the profile {device.profile}; build with profile = "mirage"'
    if device.container == "bundle":
        yield "MirageOS has no reader for bundles; this is a plain block device"
    if device.writable and device.format not in ("tar", DISK):
        yield "MirageOS only reads this format: attach it read-only"


@frozen(kw_only=True)
class Rules:
    """What a consumer asks of an image.

    `defaults` are the options that its volumes have unless they say otherwise, as arguments of
    their class. `sector_size` is that of its devices in bytes, where they have no other, and
    `multiple` what sizes are a multiple of. `name` is a sound name of a device. `copies` says that
    it keeps images on a disk of its own, `writes` what becomes of those that it attaches to read
    and write all the same. `hints` tells what a user should hear of an image that
    can be used, and `most` how many there can be.
    """

    defaults: Mapping[str, str | int] = field(factory=dict)
    sector_size: int | None = None
    multiple: int = SECTOR
    name: str = r"[A-Za-z0-9]+"
    copies: bool = False
    writes: str = ""
    hints: Hints = lambda device: iter(())
    most: int | None = None

    def refusals(self, device: Device) -> Iterator[ImageError]:
        """All that keeps the consumer from using an image."""
        name = device.name
        if not re.fullmatch(self.name, name):
            yield ImageError(name, "its name cannot be a device's name there", "rename the volume")
        if self.copies and device.in_clear:
            rule = "holds secrets in clear, and would be copied to a disk"
            yield ImageError(name, rule, 'build it with cipher = "aes-ccm"')
        if self.sector_size not in (None, device.sector_size) and device.encrypted:
            rule = f"is encrypted in sectors of {device.sector_size} bytes, and the device has"
            option = f"sector_size={self.sector_size}"
            yield ImageError(name, f"{rule} {self.sector_size}", "build it with {option}", option)
        unit = max(self.multiple, device.sector_size)
        if device.size and not device.size % unit:
            return
        rule = f"its size is not a multiple of {unit:,} bytes, as the device's is"
        if device.container == "docteur" and unit == MiB:  # it is read to its end
            yield ImageError(name, rule, "use tar: an image for docteur cannot be padded")
        else:
            shown = "1M" if unit == MiB else str(max(unit, 4096))
            yield ImageError(name, rule, "build it with {option}", f"pad={shown}")


_SOLO5 = Rules(
    # Tenders are told the size, and 4096 is read several times faster than 512.
    defaults={"sector_size": 4096},
    name=r"[A-Za-z0-9]{1,67}",  # tenders/hvt/hvt_module_blk.c
    writes="Solo5 opens images to read and write, and nothing keeps a unikernel from writing into "
    "these; start it as a user who may write them, or give it copies",
    most=63,  # include/mft_abi.h: 64, of which one is reserved
)

CONSUMERS = {
    "xen": Rules(
        defaults={"sector_size": XEN_SECTOR},
        sector_size=XEN_SECTOR,
        hints=_xen,  # its devices have numbers, and no names
    ),
    **dict.fromkeys(("solo5", "solo5-hvt", "solo5-spt"), _SOLO5),
    "albatross": Rules(
        defaults={"sector_size": 4096, "pad": MiB},
        multiple=MiB,
        name=r"[A-Za-z0-9.][A-Za-z0-9.-]{0,62}",  # src/vmm_core.ml, Label
        copies=True,
        writes="albatross attaches blocks to read and write; a unikernel may change its copy",
        most=63,
    ),
    "qemu": Rules(hints=_virtio),
    "libvirt": Rules(
        name=r"[A-Za-z0-9_.+ -]+",  # its schema, diskSerial
        hints=_virtio,
    ),
    "firecracker": Rules(
        defaults={"sector_size": SECTOR},
        sector_size=SECTOR,
        name=r"\w+",  # src/api_server/parsed_request.rs, checked_id
    ),
    "cloud-hypervisor": Rules(defaults={"sector_size": SECTOR}, sector_size=SECTOR, hints=_virtio),
    "mirage": Rules(defaults={"profile": "mirage"}, hints=_mirage),
}
"""All consumers by name."""


def defaults(
    consumers: Sequence[str], format: str, given: Mapping[str, object]
) -> dict[str, str | int]:
    """The options that a volume has besides those that are `given`; of two consumers that differ,
    those of the first.
    """
    found: dict[str, str | int] = {}
    for consumer in reversed(consumers):
        found |= CONSUMERS[consumer].defaults
    if format == "git" and given.get("container", "docteur") == "docteur":
        found.pop("pad", None)  # it is read to its end, whatever is there
    return {name: value for name, value in found.items() if name not in given}


def hints(consumers: Collection[str], devices: Sequence[Device]) -> Iterator[tuple[str, str]]:
    """What a user should hear of images that can be used: the device's name, and a text."""
    for consumer in consumers:
        for device in devices:
            for text in CONSUMERS[consumer].hints(device):
                yield device.name, text
    yield from limits(consumers, devices)
