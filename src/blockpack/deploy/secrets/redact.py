"""Errors about secret volumes, without what they could give away: a name, a size, a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...errors import (
    BlockpackError,
    EntryError,
    Problems,
    SecretError,
    SourceError,
    TargetError,
    UsageError,
)
from ..image_errors import out_of_memory
from ..manifest.specs import ImageSpec
from ..source.paths import PartError

_T = TypeVar("_T")

_TOLD = SecretError, PartError
"""What has no detail of a volume."""


def redacted(spec: ImageSpec, work: Callable[[], _T], *passed: type[BlockpackError]) -> _T:
    """What `work` returns; whatever it raises becomes an error that tells nothing of the volume,
    but for the kinds `passed`, which name only the image. (A context manager would keep what was
    raised as the context of the new error.)
    """
    told: BlockpackError
    kinds: tuple[type[BlockpackError], ...] = (SecretError, *passed)
    try:
        return work()
    except kinds as error:
        told = _of_volume(spec, error)
    except BlockpackError as error:
        told = _without_names(spec, error)
    except MemoryError:
        told = _of_volume(spec, out_of_memory())
    except Exception as error:
        rule = f"blockpack failed ({type(error).__name__}); details of secrets are never shown"
        told = _of_volume(spec, SecretError("", rule, "report that"))
    raise told


def _of_volume(spec: ImageSpec, error: BlockpackError) -> Problems:
    return Problems(f"{spec.title}:", [_bare(error)])


def _bare(error: BlockpackError) -> BlockpackError:
    """The same error, without where it comes from."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _without_names(spec: ImageSpec, error: BlockpackError) -> Problems:
    errors = [_bare(member) for member in error.errors if isinstance(member, _TOLD)]
    others = [member for member in error.errors if not isinstance(member, _TOLD)]
    for kind, rule, remedy in _KINDS:
        count = sum(isinstance(member, kind) for member in others)
        if count:
            told = f"{count:,} {'problem' if count == 1 else 'problems'}: {rule}"
            errors.append(SecretError("", told, remedy or _see(spec)))
            others = [member for member in others if not isinstance(member, kind)]
    if others:
        rule = "it cannot be packed; details of secrets are never shown"
        errors.append(SecretError("", rule, "leave it out"))
    return Problems(f"{spec.title}:", errors)


def _see(spec: ImageSpec) -> str:
    commands = []
    for volume in (each for each in spec.volumes if each.secret):
        source = " ".join(part.path or "." for part in volume.parts)
        commands.append(f"'blockpack plan {source} --format {volume.format}'")
    return f"{' and '.join(commands)} shows details, of the encrypted files"


_KINDS: tuple[tuple[type[BlockpackError], str, str], ...] = (
    (EntryError, "this format or profile, with these options, cannot hold it", ""),
    (SourceError, "something in its source cannot be read, or changed meanwhile", ""),
    (UsageError, "its options do not fit its contents", ""),
    (TargetError, "something that packing needs is missing", "free some memory"),
)
