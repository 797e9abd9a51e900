"""The README's table of speed, from ``results.json``: no figure is copied by hand.

``python benchmarks/readme.py`` writes it; tests/test_docs.py sees to it that it is the one of the
results that are there.
"""

from __future__ import annotations

from pathlib import Path

from results import Outcome, Results
from units import amount, duration

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->\n"


def section(results: Results) -> str:
    """The text between the marks."""
    machine = results.machine
    outcomes = [outcome for outcome in results.outcomes if outcome.series]  # that were measured
    runs = max(len(outcome.series[0].samples) for outcome in outcomes)
    lines = [
        f"Whole processes, medians of up to {runs} alternating runs, by {_python(results)},",
        f"on {machine['cores']} cores, {machine['file system']} where nothing else is said, "
        f"{results.dates}. All of it is in",
        "[benchmarks/results.md](benchmarks/results.md), which `make bench` writes.",
        "",
        "| work | blockpack | beside it |",
        "|---|---|---|",
        *map(_row, outcomes),
    ]
    return "\n".join(lines) + "\n"


def _python(results: Results) -> str:
    extra = " with `blockpack[fast]`" if "isal" in results.versions else ""
    return f"Python {results.versions['Python']}{extra}"


def _row(outcome: Outcome) -> str:
    ours, *others = outcome.series
    shown = duration(ours.median)
    if not others:
        shown += f", {amount(ours.peak_rss)} of memory"
    beside = ", ".join(f"{other.contestant.name} {duration(other.median)}" for other in others)
    return f"| {outcome.title} | {shown} | {beside or '–'} |"


def written(readme: str, results: Results) -> str:
    """The README with the table of `results`."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + section(results) + END + after


def main() -> None:
    """Write the table of the results that are there."""
    results = Results.load(HERE / "results.json")
    README.write_text(written(README.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
