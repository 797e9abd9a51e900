"""Geometry: which FAT, how large its clusters, and where everything lies.

    reserved sectors | FAT | FAT | root directory (not FAT32) | data area: clusters from 2 on

The number of clusters alone decides which FAT it is (FAT specification, section 3.5), and
readers disagree by a few at the borders, so counts keep clear of them. The reserved area grows
until the data area begins on 4096 bytes. The smallest image wins. Where large files make up much of
it, only those count whose clusters have 4096 bytes or more: then every file's first byte lies where
a file system can share its blocks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ...errors import EntryError
from ...planning.layout import Fact, round_up
from .dir_entry import SIZE as ENTRY_SIZE
from .table import FIRST_CLUSTER, table_bytes

if TYPE_CHECKING:
    from ...planning.profile import Medium
    from .survey import Survey

ALIGNMENT = 4096
"""The data area begins on a multiple of this many bytes, unless the medium has no room to spare."""

MARGIN = 16
"""How far cluster counts stay from the borders between types."""

FEWEST_SECTORS = 128
"""FatFs mounts no volume of less."""

FEWEST = {12: 33, 16: 4085 + MARGIN, 32: 65525 + MARGIN}
MOST = {12: 4084 - MARGIN, 16: 65524 - MARGIN, 32: 0x0FFFFFF6 - FIRST_CLUSTER - MARGIN}
"""The least and the greatest number of data clusters of each type. (FatFs takes no FAT12 of less
than 33.)
"""

CLUSTER_SIZES = tuple(512 << step for step in range(8))
"""512 bytes to 64 KiB."""
PREFERRED = 4096
LARGEST_PREFERRED = 32 << 10
"""Clusters above 32 KiB are beyond the specification; most readers take them nonetheless."""

# FAT32's cluster size by the volume's: the specification's table for its larger disks.
_FAT32_CLUSTERS = ((8 << 30, 4096), (16 << 30, 8192), (32 << 30, 16384))

MAX_SECTORS = 0xFFFFFFFF

MAX_ROOT_ENTRIES = 65_408
"""The most that fit the boot sector's 16-bit count in whole sectors of 4096 bytes."""


@frozen(kw_only=True)
class Geometry:
    """Where everything lies; offsets and sizes in bytes unless named otherwise."""

    bits: int
    sector_size: int
    sectors: int
    """All there are; what is left at the end may be too little for one more cluster."""
    cluster_size: int
    clusters: int
    root_entries: int
    reserved_sectors: int
    sectors_per_fat: int
    fats: int

    @property
    def fat_offset(self) -> int:
        """Where the first FAT begins."""
        return self.reserved_sectors * self.sector_size

    @property
    def fat_size(self) -> int:
        """The size of one FAT."""
        return self.sectors_per_fat * self.sector_size

    @property
    def fat_offsets(self) -> range:
        """Where each FAT begins."""
        return range(self.fat_offset, self.root_offset, self.fat_size)

    @property
    def root_offset(self) -> int:
        """Where the root directory begins, on FAT12 and FAT16."""
        return self.fat_offset + self.fats * self.fat_size

    @property
    def data_offset(self) -> int:
        """Where cluster 2 begins."""
        return self.root_offset + round_up(self.root_entries * ENTRY_SIZE, self.sector_size)

    @property
    def size(self) -> int:
        """The size of the file system."""
        return self.sectors * self.sector_size

    def facts(self, free_clusters: int, serial: int | None, label: str) -> dict[str, Fact]:
        """What a user is told of a file system with this geometry."""
        return {
            "fat_type": self.bits,
            "sector_size": self.sector_size,
            "cluster_size": self.cluster_size,
            "clusters": self.clusters,
            "free_clusters": free_clusters,
            "reserved_sectors": self.reserved_sectors,
            "fats": self.fats,
            "sectors_per_fat": self.sectors_per_fat,
            "root_entries": self.root_entries,
            "data_offset": self.data_offset,
            "serial": "" if serial is None else f"{serial >> 16:04X}-{serial & 0xFFFF:04X}",
            "label": label,
        }

    def offset_of(self, cluster: int) -> int:
        """Where `cluster` begins."""
        return self.data_offset + (cluster - FIRST_CLUSTER) * self.cluster_size


def cluster_sizes(sector_size: int, medium: Medium) -> list[int]:
    """The sizes of clusters, in bytes: those that whole sectors make, if the medium has none."""
    sizes = [medium.cluster_size] if medium.cluster_size else CLUSTER_SIZES
    return [size for size in sizes if size >= sector_size]


def choose(survey: Survey) -> Geometry:
    """The best geometry for what was surveyed, by its volume's options. Raises `EntryError`."""
    size = survey.volume.size
    if size is not None and size < FEWEST_SECTORS * survey.volume.sector_size:
        rule = f"a FAT of {size:,} bytes has fewer than the {FEWEST_SECTORS} sectors"
        option = f"size={_freely_chosen(survey).size}"
        raise EntryError("", f"{rule} that FatFs mounts", "give a larger size", option)
    reasons = []
    for rank in _ranked(survey):
        found: list[Geometry] = []
        for bits, cluster_size in rank:
            needed = survey.clusters(bits, cluster_size)
            if found and needed * cluster_size >= min(one.size for one in found):
                break  # and larger clusters take no less
            fitting = _fit(survey, bits, cluster_size, needed)
            if isinstance(fitting, Geometry):
                found.append(fitting)
            else:
                reasons.append(fitting)
        if found:
            return min(found, key=lambda one: (len(survey.miscounted(one.cluster_size)), one.size))
    if (
        size is not None
        and not survey.limits.media
        and (room := _freely_chosen(survey).size) > size
    ):
        rule = f"{room:,} bytes are needed, {room - size:,} more than the size"
        raise EntryError("", rule, "pack less", f"size={room}")
    remedy, option = _remedy(survey)
    raise EntryError("", reasons[-1], remedy, option)


def reason(survey: Survey) -> str:
    """Why the cluster size is what `choose` has it be."""
    if survey.volume.cluster_size is not None:
        return "as given"
    if survey.limits.media:
        return "as the medium has it"
    if survey.volume.size is not None:
        return "the first that fills the given size"
    if survey.clonable:
        return "the smallest image whose large files can be cloned"
    return "the smallest image"


def _freely_chosen(survey: Survey) -> Geometry:
    """What would be chosen if no size were given. Raises as `choose` does."""
    return choose(evolve(survey, volume=evolve(survey.volume, size=None)))


def _remedy(survey: Survey) -> tuple[str, str]:
    """What to do if there is no geometry, and the option for it."""
    if survey.limits.media:
        return "pack less", _larger_medium(survey)
    if survey.volume.size is not None:
        return "give another size, or let type and cluster size be chosen", ""
    if survey.volume.cluster_size is not None:
        return "pack less, or let the cluster size be chosen", ""
    return "pack less", "fat_type=auto" if survey.volume.fat_type != "auto" else "format=tar"


def _larger_medium(survey: Survey) -> str:
    """The option for the smallest medium that holds what was surveyed; empty if there is none."""
    for medium in sorted(survey.limits.media):
        larger = evolve(survey, volume=evolve(survey.volume, size=medium.size, cluster_size=None))
        [(bits, size)] = next(_ranked(larger))
        if isinstance(_fit(larger, bits, size, larger.clusters(bits, size)), Geometry):
            return f"size={medium.size}"
    return ""


def _ranked(survey: Survey) -> Iterator[list[tuple[int, int]]]:
    """Types and cluster sizes by preference; of those together the smallest image wins."""
    volume, preferred = survey.volume, survey.limits.preferred_types
    sizes = cluster_sizes(volume.sector_size, volume.medium)
    if volume.cluster_size is not None:
        sizes = [volume.cluster_size]
    types = survey.limits.types if volume.fat_type == "auto" else (volume.fat_type,)
    pairs = [(bits, size) for size in sizes for bits in types]
    if volume.size is not None:  # all are alike, so the first that is filled will do
        size = volume.size
        advised = (cluster for most, cluster in _FAT32_CLUSTERS if size <= most)
        usual = {12: PREFERRED, 16: PREFERRED, 32: next(advised, LARGEST_PREFERRED)}
        rank: dict[int, int] = {bits: n for n, bits in enumerate(preferred, -len(preferred))}

        def order(pair: tuple[int, int]) -> tuple[int, bool, int]:
            """The usual cluster size before smaller ones, and those before larger ones."""
            bits, cluster = pair
            return rank.get(bits, 0), cluster > usual[bits], abs(cluster - usual[bits])

        yield from ([pair] for pair in sorted(pairs, key=order))
        return
    usual_pairs = [pair for pair in pairs if pair[1] <= LARGEST_PREFERRED]
    for bits in preferred:
        filled = [pair for pair in usual_pairs if pair[0] == bits and _is_filled(survey, *pair)]
        if survey.clonable:
            yield [pair for pair in filled if not pair[1] % ALIGNMENT]
        yield filled
    if survey.clonable:
        # Files can be cloned, and no type needs clusters that nothing is in.
        aligned = [pair for pair in usual_pairs if not pair[1] % ALIGNMENT]
        yield [pair for pair in aligned if pair[0] == 12 or _is_filled(survey, *pair)]
    yield usual_pairs
    yield pairs


def _is_filled(survey: Survey, bits: int, cluster_size: int) -> bool:
    """Whether the tree takes as many clusters as the type has at least."""
    return survey.clusters(bits, cluster_size) >= FEWEST[bits]


def _fit(survey: Survey, bits: int, cluster_size: int, needed: int) -> Geometry | str:
    """The geometry for `needed` clusters, or what speaks against it."""
    volume, medium = survey.volume, survey.volume.medium
    alignment = volume.sector_size if medium.size else ALIGNMENT
    root_entries = 0
    if bits != 32:
        most = medium.root_entries if medium.size else MAX_ROOT_ENTRIES
        if survey.root_entries > most:
            takes = f"the root directory takes {survey.root_entries:,} entries"
            return f"{takes}, FAT{bits} has at most {most:,}"
        in_sector = volume.sector_size // ENTRY_SIZE
        root_entries = round_up(max(survey.root_entries, medium.root_entries), in_sector)

    def lay_out(clusters: int) -> Geometry:
        sectors_per_fat = -(-table_bytes(bits, clusters) // volume.sector_size)
        least = 32 if bits == 32 else 1
        before = (least + volume.fats * sectors_per_fat) * volume.sector_size
        before += root_entries * ENTRY_SIZE
        data_offset = round_up(before, alignment)
        return Geometry(
            bits=bits,
            sector_size=volume.sector_size,
            sectors=(data_offset + clusters * cluster_size) // volume.sector_size,
            cluster_size=cluster_size,
            clusters=clusters,
            root_entries=root_entries,
            reserved_sectors=least + (data_offset - before) // volume.sector_size,
            sectors_per_fat=sectors_per_fat,
            fats=volume.fats,
        )

    if needed > MOST[bits]:
        takes = f"the tree takes {needed:,} clusters of {cluster_size:,} bytes"
        return f"{takes}, FAT{bits} has at most {MOST[bits]:,}"
    if volume.size is not None:
        needed += survey.limits.spare_cluster
        return _fit_size(volume.size, bits, cluster_size, alignment, needed, lay_out)
    # One cluster to spare: some firmware does not read a file in the last one.
    step = max(1, ALIGNMENT // cluster_size)
    clusters = round_up(max(needed + 1, FEWEST[bits]), step)
    missing = FEWEST_SECTORS * volume.sector_size - lay_out(clusters).size
    clusters += round_up(max(missing, 0), step * cluster_size) // cluster_size
    found = lay_out(min(clusters, MOST[bits]))
    if found.sectors > MAX_SECTORS:
        return f"the volume has {found.size:,} bytes, more than FAT's 32-bit count of sectors"
    return found


def _fit_size(
    size: int,
    bits: int,
    cluster_size: int,
    alignment: int,
    needed: int,
    lay_out: Callable[[int], Geometry],
) -> Geometry | str:
    """The geometry that takes `size` bytes, or what speaks against it. What is no whole cluster, or
    one too many for the type, goes to the reserved area.
    """
    fitting = bisect_right(range(size // cluster_size), size, key=lambda n: lay_out(n).size) - 1
    if fitting > MOST[bits] + 3 * MARGIN:  # more than lies between two types
        return f"FAT{bits} with clusters of {cluster_size:,} bytes cannot fill {size:,} bytes"
    clusters = min(fitting, MOST[bits])
    while clusters >= FEWEST[bits]:
        data_offset = (size - clusters * cluster_size) // alignment * alignment
        found = lay_out((size - data_offset) // cluster_size)
        if found.clusters <= MOST[bits] and found.data_offset <= data_offset:
            break
        clusters -= 1
    else:
        return (
            f"a FAT{bits} of {size:,} bytes has {max(clusters, 0):,} clusters of "
            f"{cluster_size:,} bytes, and at least {FEWEST[bits]:,} are needed"
        )
    if needed > found.clusters:
        missing = (needed - found.clusters) * cluster_size
        return f"the tree takes {missing:,} bytes more than a size of {size:,} leaves"
    sectors = size // found.sector_size
    if sectors > MAX_SECTORS:
        return f"{size:,} bytes are more than FAT's 32-bit count of sectors can say"
    reserved = found.reserved_sectors + (data_offset - found.data_offset) // found.sector_size
    return evolve(found, sectors=sectors, reserved_sectors=reserved)
