"""Attaching: the lines of configuration or the arguments with which a machine gets its images.

`attach.disks` says which images there are and where, `attach.consumer` what every consumer has in
common, and one module a consumer how it wants to be told.
"""

from __future__ import annotations

from ...planning.options import require_choice
from .albatross import Albatross
from .cloud_hypervisor import CloudHypervisor
from .consumer import Consumer
from .disks import Deployed
from .firecracker import Firecracker
from .libvirt import Libvirt
from .mirage import Mirage
from .qemu import Qemu
from .solo5 import Solo5
from .xen import Xen

_CLASSES: dict[str, type[Consumer]] = {
    "xen": Xen,
    "solo5": Solo5,
    "solo5-hvt": Solo5,
    "solo5-spt": Solo5,
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
