"""Having a large source listed while what packs it is still being imported."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from ..processors import processors

_PACKING = ("pack", "plan")


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
        and os.path.isdir(arguments.source)
    )
