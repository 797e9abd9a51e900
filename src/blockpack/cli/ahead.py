"""Having a large source listed while what packs it is still being imported."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..processors import processors

_PACKING = ("pack", "plan")

_WORTHWHILE = 2_000
"""Names below this are listed before another process would have started."""


@contextmanager
def listing_ahead(arguments: Namespace) -> Iterator[None]:
    """Meanwhile, `arguments.ahead` is a head start on the directory that is to be packed, if one
    is and another processor is there for it.
    """
    if not _pays(arguments):
        yield
        return
    from ..sources.ahead import HeadStart

    with HeadStart(arguments.source) as arguments.ahead:
        yield


def _pays(arguments: Namespace) -> bool:
    return (
        arguments.command in _PACKING
        and arguments.symlinks == "keep"
        and not arguments.exclude
        and processors(getattr(arguments, "jobs", None)) > 1
        and _is_large(arguments.source)
    )


def _is_large(source: str) -> bool:
    """Whether a directory holds many names; they are counted no further, and nothing else is."""
    pending = [source]
    count = 0
    while pending and count < _WORTHWHILE:
        with suppress(OSError), os.scandir(pending.pop()) as listing:
            for item in listing:
                count += 1
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
    return count >= _WORTHWHILE
