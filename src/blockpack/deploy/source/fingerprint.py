"""What tells a volume's image: the same fingerprint is the same image.

It is made of all that an image depends on: the options, what reads and deflates, the time that
files are given, and the inputs. Of a commit these are told by the ids of its trees, which are
digests, so no file is read; of a directory by how its files look (`look`), which means something
on one machine only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import SourceError
from ...sources.git.lookup import Lookup

if TYPE_CHECKING:
    from ..manifest.parser import VolumeSpec
    from .deployment import CommitSource


def commit_inputs(source: CommitSource, specs: Iterable[VolumeSpec]) -> dict[str, str | None]:
    """What tells the inputs of each volume in a commit, by its name; no file is read.

    It is None for a volume with a part that is not there.
    """
    found: dict[str, str | None] = {}
    with Lookup.of(source.path, source.commit) as lookup:
        own = os.path.join(lookup.repository.common_dir, "info", "attributes")
        attributes = _contents(own)
        for spec in specs:
            facts: list[object] = [attributes]
            try:
                for part in spec.parts:
                    looked = lookup.find(part.path)
                    if looked is None:
                        raise SourceError(
                            part.path, "is not there", "put it there, or change the manifest"
                        )
                    above = sorted(
                        (path, oid.hex()) for path, (_, oid) in looked.attributes.items()
                    )
                    facts.append((f"{looked.mode:o}", looked.oid.hex(), above))
            except SourceError:  # planning tells what is wrong
                found[spec.name] = None
                continue
            if spec.options.get("mtime", "fixed") != "fixed":
                facts.append(source.seconds)
            if spec.format == "git" and any(not part.path for part in spec.parts):
                facts.append(source.commit)  # the image is that of the commit itself
            found[spec.name] = _digest(facts)
    return found


def _contents(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def fingerprint(spec: VolumeSpec, epoch: int, inputs: str) -> str:
    """What tells a volume's image: the same fingerprint is the same image.

    `inputs` tells its inputs, `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's.
    """
    import zlib

    options: Mapping[str, object] = dict(sorted(spec.options.items()))
    parts = [(part.path, part.at) for part in spec.parts]
    facts = (
        *(__version__, zlib.ZLIB_RUNTIME_VERSION if spec.format == "git" else "", epoch),
        *(spec.format, options, parts, spec.exclude, spec.symlinks, spec.submodules),
        *(spec.secret, spec.cipher, inputs),
    )
    return _digest(facts)


def _digest(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
