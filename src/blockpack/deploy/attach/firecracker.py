"""Firecracker: the ``drives`` of a configuration file (--config-file), or of ``PUT /drives/{id}``.

By its API's specification (src/firecracker/swagger/firecracker.yaml, Drive). Its devices have
sectors of 512 bytes, of which a file must be a multiple.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from .consumer import Consumer


class Firecracker(Consumer):
    """A microVM of Firecracker's."""

    def lines(self) -> Iterator[str]:
        """An object to merge into the configuration file."""
        drives = [
            {
                "drive_id": disk.name,
                "path_on_host": disk.path,
                "is_root_device": False,
                "is_read_only": not disk.writable,
            }
            for disk in self.disks
        ]
        yield from json.dumps({"drives": drives}, indent=2).splitlines()
