"""Comparing contestants: whole processes, in alternation, under the same conditions.

One run of each contestant in turn is a round; every other round is run backwards, so that nobody
always follows the same one. The first round warms the page cache and is not counted. Outside the
timed part, before every run, the outputs of the last one are removed and everything that is dirty
is flushed: otherwise the kernel would throttle one contestant for the pages that another left
behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant

LAUNCHER = Path(__file__).with_name("launcher.py")
KIB = 1024
STDERR_SHOWN = 2000


class MeasureError(Exception):
    """A contestant failed, or did not do the work."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost: seconds and bytes."""

    seconds: float
    user: float
    system: float
    peak_rss: int
    rss_floor: int
    piped: int


@dataclass(frozen=True, slots=True)
class Series:
    """All counted runs of one contestant."""

    contestant: Contestant
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> list[float]:
        """The wall time of each run."""
        return [sample.seconds for sample in self.samples]

    @property
    def median(self) -> float:
        """The median wall time, in seconds."""
        return statistics.median(self.seconds)

    @property
    def per_file(self) -> float:
        """The median wall time for one file, in seconds."""
        return self.median / self.contestant.files

    @property
    def cpu(self) -> float:
        """The median time on a core, in seconds: user and system, all processes."""
        return statistics.median(sample.user + sample.system for sample in self.samples)

    @property
    def peak_rss(self) -> int:
        """The largest peak RSS of any process in any run, in bytes."""
        return max(sample.peak_rss for sample in self.samples)

    @property
    def rss_is_bound(self) -> bool:
        """Whether `peak_rss` is the launcher's floor, so that the real one is at most that."""
        return self.peak_rss <= max(sample.rss_floor for sample in self.samples) * 1.02


def compare(
    contestants: Sequence[Contestant], runs: int, say: Callable[[str], None], *, warm_up: bool
) -> dict[str, Series]:
    """Run the contestants in turn, `runs` times and once to warm up. Raises `MeasureError`.

    The outputs of the last round are removed when each contestant's `inspect` has seen them.
    """
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for number in range(0 if warm_up else 1, runs + 1):
        for contestant in contestants if number % 2 else contestants[::-1]:
            _remove_outputs(contestant)
            os.sync()
            try:
                sample = measure(contestant)
                _check_amount(contestant, sample)
                if number == runs and contestant.inspect is not None:
                    contestant.inspect()
            finally:
                _remove_outputs(contestant)
            counted = f"run {number} of {runs}" if number else "warm-up"
            say(f"    {contestant.name:<34} {sample.seconds:9.3f} s  {counted}")
            if number:
                samples[contestant.name].append(sample)
    return {
        contestant.name: Series(contestant, tuple(samples[contestant.name]))
        for contestant in contestants
    }


def measure(contestant: Contestant) -> Sample:
    """Run the contestant once. Raises `MeasureError` if it fails."""
    reading, writing = os.pipe()
    mode = "discard" if contestant.discard else "keep"
    with open(reading, "rb") as report, tempfile.TemporaryFile() as stderr:
        try:
            launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", LAUNCHER, str(writing), mode, *contestant.command],
                cwd=contestant.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            launcher.wait()
        except BaseException:
            # The whole group: the command must not outlive an interrupted benchmark.
            with suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
            raise
        fields = report.read().split()
        if launcher.returncode or int(fields[6]):
            stderr.seek(0)
            text = stderr.read().decode(errors="replace")[-STDERR_SHOWN:]
            code = launcher.returncode or int(fields[6])
            raise MeasureError(f"{contestant.name}: exit code {code}\n{text}")
    seconds, user, system = map(float, fields[:3])
    rss, floor, piped = map(int, fields[3:6])
    return Sample(seconds, user, system, rss * KIB, floor * KIB, piped)


def _check_amount(contestant: Contestant, sample: Sample) -> None:
    """A contestant that skipped work must not win."""
    if not contestant.least_output:
        return
    written = sample.piped if contestant.discard else sum(map(_size_of, contestant.outputs))
    if written < contestant.least_output:
        raise MeasureError(
            f"{contestant.name}: {written:,} bytes written, at least"
            f" {contestant.least_output:,} expected"
        )


def _size_of(output: Path) -> int:
    """The bytes of a file, or of all files in a directory; none if there is nothing."""
    found = [output] if output.is_file() else output.rglob("*")
    return sum(path.stat().st_size for path in found if path.is_file())


def _remove_outputs(contestant: Contestant) -> None:
    for output in contestant.outputs:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
