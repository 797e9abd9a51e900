"""Builds to attach: real images of a small tree, and the record beside them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

import blockpack
from blockpack.deploy.file_names import RECORD
from blockpack.deploy.record import BuildRecord, FromCommit, ImageRecord

FILES = {
    "index.html": b"<h1>Hello</h1>\n",
    "media/a long name.txt": bytes(range(256)) * 40,
    "empty": b"",
}
"""What is in every volume."""


SKELETON = """\
name = '@NAME@'
kernel = '@KERNEL@'
type = 'pvh'
memory = @MEMORY@
on_crash = 'preserve'

disk = [ 'format=raw, vdev=xvdc, access=rw, target=@BLOCK:media@', \
'format=raw, vdev=xvdb, access=rw, target=@BLOCK:dist/site.img@' ]

# if your system uses openvswitch then either edit /etc/xen/xl.conf and set @THIS@
vif = [ 'bridge=@NETWORK:service@', 'bridge=@NETWORK:management@' ]
"""
"""What MirageOS 4.11 writes (lib/devices/target.ml) for ``block_of_file "dist/site.img"`` and
``"media"``: in the order of a hash table, with numbers in that of the configuration."""


def tree() -> blockpack.Tree:
    """The tree of `FILES`."""
    tree = blockpack.Tree()
    for path, data in FILES.items():
        tree.add(path, data)
    return tree


def packed(
    name: str, volume: blockpack.Volume, directory: Path, packing: blockpack.Tree | None = None
) -> ImageRecord:
    """Pack a tree (of `FILES`, if it is not given) as ``NAME.img``, and say what that is."""
    layout = volume.plan(packing or tree())
    image = directory / f"{name}.img"
    blockpack.write(layout, image)
    container = layout.geometry.get("container")
    return ImageRecord(
        name=name,
        file=image.name,
        format=layout.format,
        profile=volume.profile.name,
        sector_size=layout.sector_size,
        container=None if container is None else str(container),
        size=layout.size,
        sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
        tree_sha256=blockpack.contents(layout)["tree_sha256"],
    )


def faked(name: str, size: int, directory: Path, **values: object) -> ImageRecord:
    """The record of an image of zeros, for what nobody reads."""
    with (directory / f"{name}.img").open("wb") as file:
        file.truncate(size)
    known: dict[str, object] = {
        "name": name,
        "file": f"{name}.img",
        "format": "tar",
        "profile": "mirage",
        "sector_size": 512,
    }
    if not values.get("secret"):
        known |= {"size": size, "sha256": "0" * 64}
    return ImageRecord(**{**known, **values})  # type: ignore[arg-type]


def recorded(directory: Path, *images: ImageRecord, name: str = "www") -> Path:
    """Write the record of `images` that are in `directory`, and return that."""
    record = BuildRecord(name=name, source=FromCommit("1" * 40, "2" * 40), volumes=images)
    (directory / RECORD).write_bytes(record.encoded())
    return directory


def built(directory: Path, volumes: Mapping[str, blockpack.Volume]) -> Path:
    """A build in the new `directory`."""
    directory.mkdir(parents=True)
    return recorded(
        directory, *(packed(name, volume, directory) for name, volume in volumes.items())
    )


def live(root: Path, volumes: Mapping[str, blockpack.Volume]) -> Path:
    """A deployment's directory with one generation."""
    generation = f"0001-{'1' * 12}"
    built(root / "generations" / generation, volumes)
    (root / "current").symlink_to(f"generations/{generation}")
    return root


def documented(place: Path) -> None:
    """What docs/deploy has in `place`, where the site is.

    Builds: ``dist`` and ``keys``. And ``www``, where the first is live, and MirageOS' skeleton.
    """
    dist, keys, www = place / "dist", place / "keys", place / "www"
    dist.mkdir()
    site = blockpack.scan(place / "site", exclude=["media"])
    images = (
        packed(
            "site", blockpack.TarVolume(profile="mirage", sector_size=4096, pad=1 << 20), dist, site
        ),
        packed(
            "media",
            blockpack.TarVolume(profile="mirage"),
            dist,
            blockpack.scan(place / "site" / "media"),
        ),
    )
    recorded(dist, *(evolve(image, placements=f"{image.name}.json") for image in images))
    keys.mkdir()
    secret = {"secret": True, "cipher": "aes-ccm", "key": "keys.key"}
    recorded(keys, faked("keys", 8192, keys, **secret))
    generation = www / "generations" / f"0001-{'1' * 12}"
    shutil.copytree(dist, generation)
    (www / "current").symlink_to(generation.relative_to(www))
    (place / "www.xl.in").write_text(SKELETON.replace("dist/site.img", "site"))
