"""Attaching: the lines of configuration or the arguments with which a machine gets its images.

`attach.disks` says which images there are and where, `attach.consumer` what every consumer has in
common, `attach.machines` and `attach.mirage` how each wants to be told.
"""

from __future__ import annotations

from ...planning.options import require_choice
from .consumer import Consumer
from .disks import Deployed
from .machines import Albatross, CloudHypervisor, Firecracker, Libvirt, Qemu, Solo5, Xen
from .mirage import Mirage

_CLASSES: dict[str, type[Consumer]] = {
    "xen": Xen,
    **dict.fromkeys(("solo5", "solo5-hvt", "solo5-spt"), Solo5),
    "albatross": Albatross,
    "qemu": Qemu,
    "libvirt": Libvirt,
    "firecracker": Firecracker,
    "cloud-hypervisor": CloudHypervisor,
    "mirage": Mirage,
}


def consumer_for(name: str, deployed: Deployed) -> Consumer:
    """The consumer `name` of what is deployed. Raises `UsageError` if there is none."""
    require_choice("consumer", name, tuple(_CLASSES))
    return _CLASSES[name](name, deployed)
