"""What was measured: as data, and as the JSON that keeps it.

The table, the charts and the pages are made from `Results`, be it new or read back: so one work can
be measured anew beside the others (``--only NAME --merge``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from contestants import Contestant
from measure import Sample, Series
from stage import Metric
from targets import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """One work as measured on `date`; without series if it was skipped, for the reason in
    `skipped`.
    """

    name: str
    title: str
    metric: Metric
    series: tuple[Series, ...]
    verdicts: tuple[Verdict, ...]
    date: str
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that is known of one machine."""

    quick: bool
    machine: dict[str, str]
    versions: dict[str, str]
    outcomes: Sequence[Outcome]

    @property
    def dates(self) -> str:
        """The days on which it was measured."""
        days = sorted({outcome.date for outcome in self.outcomes})
        return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"

    def merged(self, newer: Self, order: Sequence[str]) -> Self:
        """With the works of `newer` in place of what they were, all in the `order` of their names.

        Raises `ValueError` if those are of another machine, or of data of another size.
        """
        if (newer.machine, newer.quick) != (self.machine, self.quick):
            raise ValueError("the results that are there are of another machine, or of other data")
        known = {outcome.name: outcome for outcome in (*self.outcomes, *newer.outcomes)}
        outcomes = [known[name] for name in order if name in known]
        return replace(newer, versions={**self.versions, **newer.versions}, outcomes=outcomes)

    def save(self, path: Path) -> None:
        """Write all samples and verdicts."""
        text = json.dumps(self._json(), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        found = json.loads(path.read_text("utf-8"))
        outcomes = [_outcome(work) for work in found["works"]]
        return cls(found["quick"], found["machine"], found["versions"], outcomes)

    def _json(self) -> dict[str, Any]:
        return {
            "quick": self.quick,
            "machine": self.machine,
            "versions": self.versions,
            "works": [_work(outcome) for outcome in self.outcomes],
        }


def _work(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "title": outcome.title,
        "date": outcome.date,
        "metric": outcome.metric,
        "skipped": outcome.skipped or None,
        "targets": [
            {
                "target": verdict.target,
                "measured": verdict.measured,
                "passed": verdict.passed,
                "seconds": verdict.seconds,
                "peak_rss_bytes": verdict.rss,
            }
            for verdict in outcome.verdicts
        ],
        "contestants": [_series(series) for series in outcome.series],
    }


def _series(series: Series) -> dict[str, Any]:
    contestant = series.contestant
    return {
        "name": contestant.name,
        "ours": contestant.ours,
        "command": contestant.shown,
        "files": contestant.files,
        "median_seconds": series.median,
        "peak_rss_bytes": series.peak_rss,
        "peak_rss_is_bound": series.rss_is_bound,
        "runs": [
            {
                "seconds": sample.seconds,
                "user_seconds": sample.user,
                "system_seconds": sample.system,
                "peak_rss_bytes": sample.peak_rss,
                "rss_floor_bytes": sample.rss_floor,
                "piped_bytes": sample.piped,
            }
            for sample in series.samples
        ],
    }


def _outcome(work: dict[str, Any]) -> Outcome:
    return Outcome(
        work["name"],
        work["title"],
        work["metric"],
        tuple(map(_read_series, work["contestants"])),
        tuple(Verdict(*verdict.values()) for verdict in work["targets"]),
        work["date"],
        work["skipped"] or "",
    )


def _read_series(found: dict[str, Any]) -> Series:
    contestant = Contestant(
        name=found["name"],
        command=(),
        shown=found["command"],
        ours=found["ours"],
        files=found["files"],
    )
    return Series(contestant, tuple(Sample(*run.values()) for run in found["runs"]))
