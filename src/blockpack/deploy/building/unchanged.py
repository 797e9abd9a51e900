"""The run that has nothing to do: it finds everything as the last one left it.

That is what most runs are, and what they must not cost much for: no module is imported here that
takes long, the manifest is compared and not parsed, and no file is read but the build's own.
"""

from __future__ import annotations

import os

from ...errors import BlockpackError
from ...workers.processors import Jobs
from ...writing.place import Place
from ..file_names import RECORD
from ..source.look import look
from ..source.paths import inside, manifest_text, places
from .state import State, digest, environment

TYPE_CHECKING = False  # typing is slow to import

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..source.look import Place as LookedAt


def unchanged(source: str, directory: str, jobs: Jobs = 1) -> list[str] | None:
    """The names of the volumes in `directory`, if a build of the directory `source` would change
    nothing there; None if it might, or if anything is in doubt.
    """
    state = State.read(directory)
    try:
        with Place.own(directory) as dist:
            left = dist.leftovers()
            record = dist.read(RECORD)
        if not (
            state.complete
            and state.environment == environment()
            and state.source == os.path.abspath(source)
            and state.manifest == digest(manifest_text(source))
            and state.record == digest(record)
            and all(volume.is_whole(directory) for volume in state.volumes.values())
            and not left
        ):
            return None
        place = inside(source, directory)
        left_out = () if place is None else (place,)
        wanted = {
            name: places(state.source, volume.parts, left_out, times=volume.times)
            for name, volume in state.volumes.items()
        }
        inputs, _ = looked_at(wanted, jobs)
    except (BlockpackError, OSError):  # it is for the build to tell
        return None
    if any(volume.inputs != inputs[name] for name, volume in state.volumes.items()):
        return None
    return list(state.volumes)


def looked_at(
    wanted: Mapping[str, Sequence[LookedAt]], jobs: Jobs
) -> tuple[dict[str, str | None], int]:
    """What tells the inputs of each volume, None if that is unknown; and the latest change.

    Each place is looked at once. The time is in nanoseconds since 1970.
    """
    all_places = list(dict.fromkeys(place for found in wanted.values() for place in found))
    looks = dict(zip(all_places, look(all_places, jobs), strict=True))
    latest = max((latest for _, latest in looks.values()), default=0)
    inputs = {name: _together(looks[place][0] for place in found) for name, found in wanted.items()}
    return inputs, latest


def _together(digests: Iterable[str | None]) -> str | None:
    found = list(digests)
    return None if None in found else digest(repr(found).encode("ascii"))
