"""Addresses of images: a path or URL, and behind a ``#`` a partition of the disk there."""

from __future__ import annotations

import os

from .remote import is_url


def split_address(address: str) -> tuple[str, str | None]:
    """The path or URL in an address, and the partition's number or name, if it has one.

    A file whose own name has a ``#`` wins; of several that could be meant, the longest.
    """
    if "#" not in address or os.path.lexists(address):
        return address, None
    place, _, partition = address.rpartition("#")
    if is_url(address):
        return place, partition
    while place and (os.path.isdir(place) or not os.path.lexists(place)):
        place, _, _ = place.rpartition("#")
    return (place, address[len(place) + 1 :]) if place else (address, None)
