"""What must be reached: a `Target` looks at the measured series and gives a `Verdict`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from measure import Series
from units import amount, duration

BLOCK = 4096
_EXTENT = re.compile(r"^\s*\d+:\s*\d+\.\.\s*\d+:\s*\d+\.\.\s*\d+:\s*(\d+):(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, what was measured, and whether that is enough; None if not measured."""

    target: str
    measured: str
    passed: bool | None
    seconds: float | None = None
    """The target as wall time of our contestant, where it is one."""
    rss: float | None = None
    """The target as our contestant's peak RSS in bytes, where it is one."""


Target = Callable[[Mapping[str, Series]], Verdict]


def at_most(subject: str, peer: str, factor: float) -> Target:
    """The median of `subject` is at most `factor` times that of `peer`."""

    def judge(series: Mapping[str, Series]) -> Verdict:
        target = f"≤ {factor:g} × {peer}"
        missing = _missing(target, series, subject, peer)
        if missing is not None:
            return missing
        ours, theirs = series[subject].median, series[peer].median
        measured = f"{ours / theirs:.2f} × ({duration(ours)} to {duration(theirs)})"
        return Verdict(target, measured, ours <= factor * theirs, factor * theirs)

    return judge


def faster(subject: str, peer: str, factor: float = 1.0) -> Target:
    """`subject` is at least `factor` times as fast as `peer`; with 1, strictly faster."""

    def judge(series: Mapping[str, Series]) -> Verdict:
        target = f"faster than {peer}" if factor == 1 else f"≥ {factor:g} × as fast as {peer}"
        missing = _missing(target, series, subject, peer)
        if missing is not None:
            return missing
        ours, theirs = series[subject].median, series[peer].median
        measured = f"{theirs / ours:.2f} × as fast ({duration(ours)} to {duration(theirs)})"
        passed = ours < theirs if factor == 1 else ours * factor <= theirs
        return Verdict(target, measured, passed, theirs / factor)

    return judge


def within(subject: str, seconds: float) -> Target:
    """The median of `subject` is at most `seconds`."""

    def judge(series: Mapping[str, Series]) -> Verdict:
        target = f"≤ {seconds:g} s"
        missing = _missing(target, series, subject)
        if missing is not None:
            return missing
        median = series[subject].median
        return Verdict(target, duration(median), median <= seconds, seconds)

    return judge


def per_file(subject: str, peer: str, factor: float) -> Target:
    """The time for one file in `subject` is at most `factor` times that in `peer`."""

    def judge(series: Mapping[str, Series]) -> Verdict:
        target = f"time per file ≤ {factor:g} × {peer}"
        missing = _missing(target, series, subject, peer)
        if missing is not None:
            return missing
        ours, theirs = series[subject].per_file, series[peer].per_file
        measured = f"{ours / theirs:.2f} × ({duration(ours)} to {duration(theirs)})"
        limit = factor * theirs * series[subject].contestant.files
        return Verdict(target, measured, ours <= factor * theirs, limit)

    return judge


def memory(subject: str, limit: int) -> Target:
    """No process of `subject` ever has more than `limit` bytes resident."""

    def judge(series: Mapping[str, Series]) -> Verdict:
        target = f"peak RSS ≤ {amount(limit)}"
        missing = _missing(target, series, subject)
        if missing is not None:
            return missing
        peak = series[subject].peak_rss
        return Verdict(target, amount(peak), peak <= limit, rss=limit)

    return judge


class Size:
    """How large the files below a path are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes: int | None = None

    def inspect(self) -> None:
        """Add them up."""
        files = [self.path] if self.path.is_file() else list(self.path.rglob("*.pack"))
        self.bytes = sum(file.stat().st_size for file in files)


def no_larger(ours: Size, theirs: Size, factor: float, what: str = "git's pack") -> Target:
    """What we made is at most `factor` times as large as `what` they did."""

    def judge(_: Mapping[str, Series]) -> Verdict:
        target = f"size ≤ {factor:g} × {what}"
        if ours.bytes is None or theirs.bytes is None:
            return Verdict(target, "not measured", None)
        measured = f"{ours.bytes / theirs.bytes:.4g} × ({amount(ours.bytes)})"
        return Verdict(target, measured, ours.bytes <= factor * theirs.bytes)

    return judge


def _missing(target: str, series: Mapping[str, Series], *names: str) -> Verdict | None:
    absent = [name for name in names if name not in series]
    return Verdict(target, f"not measured: {', '.join(absent)}", None) if absent else None


class SharedExtents:
    """How much of an image's payload is shared with its source, as ``filefrag -v`` tells."""

    def __init__(self, image: Path, payload: int) -> None:
        self.image = image
        self.payload = payload
        self.shared: int | None = None

    def inspect(self) -> None:
        """Count the shared blocks of the image."""
        listing = subprocess.run(
            ["filefrag", "-v", f"-b{BLOCK}", self.image],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.shared = BLOCK * sum(
            int(blocks) for blocks, flags in _EXTENT.findall(listing) if "shared" in flags
        )

    def judge(self, _: Mapping[str, Series]) -> Verdict:
        """Every whole block of the payload is shared."""
        target = "extents shared"
        if self.shared is None:
            return Verdict(target, "not measured", None)
        whole = self.payload - self.payload % BLOCK
        measured = f"{amount(self.shared)} of {amount(self.payload)}"
        return Verdict(target, measured, self.shared >= whole)
