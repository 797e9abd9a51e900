"""What systems and devices have, whatever the format."""

MOST = (1 << 63) - 1
"""The largest offset (bytes) and the latest time (seconds since 1970) that systems have."""

SECTOR_SIZES = (512, 4096)
"""The sectors (bytes) that devices have."""

PADDING = 4096
"""Images are a multiple of this many bytes: what every block layer accepts."""
