"""The figures and the charts of the README and the site, from ``results.json``.

``python benchmarks/figures.py`` writes them; tests/docs/test_facts.py sees to it that they are
those of the results that are there, so no figure is copied by hand. In a page they stand between
marks, ``<!-- packing -->`` and ``<!-- /packing -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import plot
from results import Outcome, Results
from units import amount, duration

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
DOCS = HERE.parent / "docs"
PAGES = (README, DOCS / "comparison.md")
CHARTS = DOCS / "speed"

FIRST = ("small-tar", "small-fat", "large-fat", "btrfs-fat", "git-small")
"""The works of the README and the first page: those that most readers have, won or lost."""

READING = re.compile(r"ls-|extract-|compare-|verify-|large-extract|large-cat|(btrfs|xfs)-extract")


def groups(results: Results) -> dict[str, list[Outcome]]:
    """The works that were measured, by what they have in common."""
    found: dict[str, list[Outcome]] = {"first": [], "packing": [], "reading": [], "serving": []}
    for outcome in results.outcomes:
        if not outcome.series:
            continue
        if outcome.name in FIRST:
            found["first"].append(outcome)
        if outcome.name.startswith("serve-"):
            found["serving"].append(outcome)
        else:
            found["reading" if READING.match(outcome.name) else "packing"].append(outcome)
    return found


def charts(results: Results) -> dict[str, str]:
    """Each group with something to compare as a picture, by the name of its file."""
    return {
        f"{group}.svg": plot.svg([each for each in outcomes if len(each.series) > 1], group)
        for group, outcomes in groups(results).items()
    }


def written(page: str, results: Results) -> str:
    """A page with the figures of `results` between its marks."""
    parts = {group: "\n".join(_table(found)) for group, found in groups(results).items()}
    parts["method"] = _method(results)
    for name, text in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin in page:
            before, _, rest = page.partition(begin)
            page = f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield "| work | blockpack | beside it |"
    yield "|---|---|---|"
    yield from map(_row, outcomes)


def _row(outcome: Outcome) -> str:
    ours, *others = outcome.series
    shown = duration(ours.median)
    if not others:
        shown += f", {amount(ours.peak_rss)} of memory"
    beside = ", ".join(f"{other.contestant.name} {duration(other.median)}" for other in others)
    return f"| {outcome.title} | {shown} | {beside or '–'} |"


def _method(results: Results) -> str:
    machine, versions = results.machine, results.versions
    runs = max(len(outcome.series[0].samples) for outcome in results.outcomes if outcome.series)
    extra = " with `blockpack[fast]`" if "isal" in versions else ""
    return (
        f"Whole processes, medians of up to {runs} alternating runs, by Python "
        f"{versions['Python']}{extra},\non {machine['cores']} cores, {machine['file system']} "
        f"where nothing else is said, {results.dates}; shorter is better."
    )


def save(results: Results) -> None:
    """Write all pages and charts."""
    for page in PAGES:
        page.write_text(written(page.read_text("utf-8"), results), "utf-8")
    CHARTS.mkdir(exist_ok=True)
    for name, chart in charts(results).items():
        (CHARTS / name).write_text(chart, "utf-8")


if __name__ == "__main__":
    save(Results.load(HERE / "results.json"))
