"""What cannot be in one unikernel of MirageOS today, with the day on which that was so.

Each row was found by building, or in the bounds of opam's packages; docs/deploy/mirage.md has the
same table. When a package moves on, its rows go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .consumers import Device

MIRAGE, SEEN = "4.11.1", "2026-11"
"""The newest version of mirage for which the table holds, and when that was looked at."""


class Limit(NamedTuple):
    """That `device` of MirageOS' configuration does not go with `beside`, which is another device,
    what is around the same image (``ccm_block``), a consumer, or nothing.

    `why` has the versions, `instead` the way out.
    """

    device: str
    beside: str
    why: str
    instead: str


LIMITS = (
    Limit(
        "fat_ro",
        "tar_kv_ro",
        "fat-filesystem 0.15.1 needs mirage-kv < 5, with which only tar-mirage 2.1.0 builds: that "
        "fails on aligned files, cuts long names and reads no sectors of 4096 bytes",
        'format = "tar" for both',
    ),
    Limit(
        "fat_ro",
        "tar_kv_rw",
        "fat-filesystem 0.15.1 needs mirage-kv < 5, and tar-mirage 2.2 and later >= 5",
        'format = "tar" for both',
    ),
    Limit(
        "fat_ro",
        "docteur",
        "fat-filesystem 0.15.1 needs mirage-kv < 5, and docteur-solo5 0.0.7 >= 6.1",
        'format = "tar" instead of FAT',
    ),
    Limit(
        "ccm_block",
        "",
        "mirage 4.9 and later need mirage-crypto-rng-mirage >= 2, without a module that "
        "mirage-block-ccm 2.0.0 uses",
        "no cipher, so that the image is in RAM only; or mirage 4.6.1 or older",
    ),
    Limit(
        "docteur",
        "ccm_block",
        "docteur 0.0.7 opens its device by itself, and reads no encrypted image",
        'format = "tar"',
    ),
    Limit(
        "docteur",
        "xen",
        "docteur-solo5 0.0.7 acquires its device from Solo5, which its bindings for Xen refuse",
        'format = "tar"',
    ),
)
"""All that is known."""


def mirage_device(device: Device) -> str:
    """What reads an image in MirageOS' configuration, ``ccm_block`` aside."""
    if device.format == "tar":
        return "tar_kv_rw" if device.writable else "tar_kv_ro"
    if device.format == "fat":
        return "fat_ro"
    return "docteur" if device.container == "docteur" else "block"


def limits(consumers: Collection[str], devices: Sequence[Device]) -> Iterator[tuple[str, str]]:
    """What cannot be built of the devices of one unikernel: the name of one, and a text."""
    is_mirage = "mirage" in consumers
    others = {mirage_device(device) for device in devices}
    for limit in LIMITS:
        for device in devices:
            own = {mirage_device(device), *(["ccm_block"] if device.encrypted else [])}
            known = is_mirage or limit.beside in consumers
            around = {*others, *own, *consumers, ""}
            if known and limit.device in own and limit.beside in around:
                what = f"{limit.device} with {limit.beside}" if limit.beside else limit.device
                rule = f"{what} cannot be built or used with mirage {MIRAGE}"
                yield device.name, f"{rule}: {limit.why} ({SEEN}); use {limit.instead}"
