"""The consumers that there are: one row each; nothing of one is imported before it is asked for."""

from __future__ import annotations

from ...planning.volume import require_choice

TYPE_CHECKING = False  # the command's arguments are made of these names, often and in haste

if TYPE_CHECKING:
    from .consumer import Consumer
    from .disks import Deployed

CONSUMERS = {
    "xen": "xen:Xen",
    "solo5": "solo5:Solo5",
    "solo5-hvt": "solo5:Solo5",
    "solo5-spt": "solo5:Solo5",
    "albatross": "albatross:Albatross",
    "qemu": "qemu:Qemu",
    "libvirt": "libvirt:Libvirt",
    "firecracker": "firecracker:Firecracker",
    "cloud-hypervisor": "cloud_hypervisor:CloudHypervisor",
    "mirage": "mirage:Mirage",
}
"""All consumers by name, with their classes as ``MODULE:CLASS`` in this package."""


def consumer_for(name: str, deployed: Deployed) -> Consumer:
    """The consumer `name` of what is deployed. Raises `UsageError` if there is none."""
    from importlib import import_module

    require_choice("consumer", name, tuple(CONSUMERS))
    module, _, attribute = CONSUMERS[name].partition(":")
    found: type[Consumer] = getattr(import_module(f".{module}", __package__), attribute)
    return found(name, deployed)
