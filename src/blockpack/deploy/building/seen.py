"""What a build is made of, as a look at its source tells: the manifest, and each volume's inputs.

A directory is looked at once more if it changed within one clock tick: a later change could have
the same time (as in git's racy index).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from ...errors import SourceError
from ...workers.processors import Jobs
from ..manifest.parser import Manifest
from ..source.deployment import CommitSource, DeploymentSource
from ..source.fingerprint import commit_inputs, fingerprint
from ..source.look import settled
from ..source.paths import places
from .state import VolumeState, digest
from .unchanged import looked_at

if TYPE_CHECKING:
    from ..manifest.parser import Manifest, VolumeSpec
    from ..source.deployment import DirectorySource
    from ..source.look import Place


@frozen
class Seen:
    """What a look told: the manifest, its text's digest, and what tells each volume's inputs.

    Those are None where they are unknown. `begun` is when the look began, `latest` the latest
    change that it saw; both in nanoseconds since 1970.
    """

    begun: int
    manifest: Manifest
    digest: str
    inputs: Mapping[str, str | None]
    latest: int = 0

    @classmethod
    def of(cls, source: DeploymentSource, jobs: Jobs) -> Self:
        """What there is in the source, once it has settled; `jobs` processes look.

        Raises `SourceError`, and `Problems` with all that is wrong with the manifest.
        """
        seen = cls._look(source, jobs)
        if isinstance(source, CommitSource):
            return seen
        told = settled(seen.latest)
        if told is None:  # the clock went back: what changes cannot be told from what did
            return evolve(seen, inputs=dict.fromkeys(seen.inputs))
        return seen if told else cls._look(source, jobs)

    @classmethod
    def _look(cls, source: DeploymentSource, jobs: Jobs) -> Self:
        begun = time.time_ns()
        text = source.manifest_text()
        manifest = Manifest.parse(text, source.manifest_file)
        if isinstance(source, CommitSource):
            inputs = commit_inputs(source, manifest.volumes.values())
            return cls(begun, manifest, digest(text), inputs)
        told, latest = looked_at(_places(source, manifest), jobs)
        return cls(begun, manifest, digest(text), told, latest)

    def wanted(self, epoch: int) -> dict[str, VolumeState]:
        """How each volume will be noted once it is built, but for its files.

        `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's.
        """
        return {name: self._state(spec, epoch) for name, spec in self.manifest.volumes.items()}

    def _state(self, spec: VolumeSpec, epoch: int) -> VolumeState:
        inputs = self.inputs.get(spec.name)
        told = fingerprint(spec, epoch, inputs) if inputs is not None else ""
        parts = tuple(part.path for part in spec.parts)
        return VolumeState(told, inputs, parts, _times(spec), {})


def _places(source: DirectorySource, manifest: Manifest) -> dict[str, list[Place]]:
    """What to look at for each volume, of those whose parts are all there."""
    found = {}
    for spec in manifest.volumes.values():
        with suppress(SourceError):  # planning tells what is wrong
            parts = [part.path for part in spec.parts]
            found[spec.name] = places(source.root, parts, source.left_out, times=_times(spec))
    return found


def _times(spec: VolumeSpec) -> bool:
    """Whether an image shows the times of directories."""
    return spec.options.get("mtime", "fixed") != "fixed"
