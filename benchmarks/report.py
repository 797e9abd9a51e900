"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from results import Outcome, Results
from targets import Verdict
from units import amount, duration

METHOD = """\
Every number is for a whole process, from its start to its end. The contestants take turns
(A B, B A, …) after one round that warms the page cache and is not counted; between runs, outside
the timed part, the last output is removed and everything dirty is flushed. Peak RSS is the
largest of any single process, forked workers and children included, in any run; the process
that starts the command sets its floor, so that less shows as "≤". No tool was asked to flush
its output to the disk. Times of one machine say little about another: run `make bench` on yours."""

MARKS = {True: "pass", False: "**fail**", None: "n/a"}


def save(results: Results, directory: Path) -> None:
    """Write ``results.md`` and ``results.json``."""
    (directory / "results.md").write_text(markdown(results), encoding="utf-8")
    results.save(directory / "results.json")


def markdown(results: Results) -> str:
    """The page for people."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    yield f"Written by `make bench` on {results.dates}. Do not edit."
    if results.quick:
        yield ""
        yield "**A quick run, on small data: the targets were not meant for it.**"
    yield ""
    yield from _table(
        ("work", "target", "measured", ""),
        (
            (outcome.title, verdict.target, verdict.measured, MARKS[verdict.passed])
            for outcome in results.outcomes
            for verdict in _verdicts(outcome)
        ),
    )
    yield ""
    yield "[The same as bars](../docs/comparison.md#speed)"
    for outcome in results.outcomes:
        if outcome.series:
            yield ""
            yield f"## {outcome.title}"
            yield ""
            yield from _details(outcome)
    yield ""
    yield "## Method"
    yield ""
    yield METHOD
    yield ""
    yield from _table(("machine", ""), results.machine.items())
    yield ""
    yield from _table(("program", "version"), results.versions.items())


def _verdicts(outcome: Outcome) -> Sequence[Verdict]:
    return outcome.verdicts or (Verdict("", f"skipped: {outcome.skipped}", None),)


def _details(outcome: Outcome) -> Iterator[str]:
    per_file = outcome.metric == "microseconds per file"
    yield from _table(
        ("", "median", "min", "max", *(["per file"] if per_file else []), "CPU", "peak RSS"),
        (
            (
                f"**{series.contestant.name}**"
                if series.contestant.ours
                else series.contestant.name,
                duration(series.median),
                duration(min(series.seconds)),
                duration(max(series.seconds)),
                *([duration(series.per_file)] if per_file else []),
                duration(series.cpu),
                ("≤ " if series.rss_is_bound else "") + amount(series.peak_rss),
            )
            for series in outcome.series
        ),
    )
    runs = len(outcome.series[0].samples)
    yield ""
    yield f"{runs} {'run' if runs == 1 else 'runs'} each of:"
    yield ""
    yield "```sh"
    yield from dict.fromkeys(series.contestant.shown for series in outcome.series)
    yield "```"


def _table(head: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
