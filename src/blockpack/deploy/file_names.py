"""The names of files and directories that a deployment has, or is given."""

from __future__ import annotations

import re

MANIFEST = "blockpack.toml"
"""The manifest, at the root of a deployment's tree."""

MOST_BYTES = 1 << 20
"""Bytes of a manifest, and of a file of settings, at most."""

RECORD = "manifest.json"
"""The file name of a build's record (`record`), beside the images."""

IMAGE, PLACEMENTS = ".img", ".json"
"""What follows the name of a volume in the names of its image, and of what tells where in the image
its files are."""

GENERATION = re.compile(r"(\d{4,9})-([0-9a-f]{12})")
"""A generation: its number, and the begin of its commit's id."""

DISK = "disk"
"""The format of an image with a partition table."""
