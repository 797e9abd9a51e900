"""How values are made of which there may be millions: entries and extents.

To type checkers they are frozen. At run time they are plain slots: to set those of a frozen value
takes attrs three times as long, which is a tenth of all the time that packing small files takes.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from attrs import frozen as numerous
else:
    from functools import partial

    from attrs import define

    numerous = partial(define, unsafe_hash=True)

__all__ = ["numerous"]
