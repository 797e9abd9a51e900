"""How secret volumes are opened and closed."""

from __future__ import annotations

import hashlib
import os
from typing import Self

from attrs import evolve, field, frozen

from ...arguments import checked
from ...errors import UsageError, require_path

RUNTIME = "/run/blockpack"
"""Where deploys put images that are not encrypted, by default."""

_LONGEST, _DIGITS = 200, 12
"""Characters of the name that a deployment has in there, and of what tells its roots apart."""


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else require_path(path)


@checked
@frozen(kw_only=True)
class Secrets:
    """How secret volumes are opened and closed; all are paths.

    `identity` is the file with the identities that open files, `key_file` that of the key to
    encrypt images with; without it each image has a fresh one, in a file beside it. Images that are
    not encrypted go into `runtime`, a directory on a RAM file system, and beside the others is a
    link; without it they go there themselves. The directory is one build's own: it is made, or is
    empty.
    """

    identity: str | None = field(default=None, converter=_path)
    key_file: str | None = field(default=None, converter=_path)
    runtime: str | None = field(default=None, converter=_path)

    def require_key_elsewhere(self, directory: str) -> None:
        """Raise `UsageError` if the key file is among the images: builds remove keys from there."""
        if self.key_file is None:
            return
        above = os.path.dirname(os.path.abspath(self.key_file))
        if os.path.realpath(above) == os.path.realpath(directory):
            rule = "is where builds make and remove keys of their own"
            raise UsageError(self.key_file, rule, "keep it elsewhere")

    def for_generation(self, deployment: str, root: str, name: str) -> Self:
        """The same for the generation `name` under `root`, whose images in the clear go into RAM,
        where each root of a deployment has a directory of its own.
        """
        digest = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
        own = f"{deployment[:_LONGEST]}-{digest[:_DIGITS]}"
        place = os.path.join(self.runtime or RUNTIME, own, name)
        return evolve(self, runtime=os.path.realpath(place))
