"""The README's table of speed, from ``results.json``: no figure is copied by hand.

``python benchmarks/readme.py`` writes it; tests/test_docs.py sees to it that it is the one of the
results that are there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from units import amount, duration

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->\n"


def section(results: dict[str, Any]) -> str:
    """The text between the marks."""
    machine = results["machine"]
    works = [work for work in results["works"] if work["contestants"]]  # that were measured
    runs = max(len(work["contestants"][0]["runs"]) for work in works)
    lines = [
        f"Whole processes, medians of up to {runs} alternating runs, by {_python(results)},",
        f"on {machine['cores']} cores, {machine['file system']} where nothing else is said, "
        f"{results['date']}. All of it is in",
        "[benchmarks/results.md](benchmarks/results.md), which `make bench` writes.",
        "",
        "| work | blockpack | beside it |",
        "|---|---|---|",
        *map(_row, works),
    ]
    return "\n".join(lines) + "\n"


def _python(results: dict[str, Any]) -> str:
    versions = results["versions"]
    extra = " with `blockpack[fast]`" if "isal" in versions else ""
    return f"Python {versions['Python']}{extra}"


def _row(work: dict[str, Any]) -> str:
    ours, *others = work["contestants"]
    shown = duration(ours["median_seconds"])
    if len(work["contestants"]) == 1:
        shown += f", {amount(ours['peak_rss_bytes'])} of memory"
    beside = ", ".join(f"{other['name']} {duration(other['median_seconds'])}" for other in others)
    return f"| {work['title']} | {shown} | {beside or '–'} |"


def written(readme: str, results: dict[str, Any]) -> str:
    """The README with the table of `results`."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + section(results) + END + after


def main() -> None:
    """Write the table of the results that are there."""
    results = json.loads((HERE / "results.json").read_text("utf-8"))
    README.write_text(written(README.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
