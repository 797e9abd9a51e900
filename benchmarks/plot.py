"""The results as bars: one panel a work, each with a scale of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Series
from results import Outcome, Results
from units import amount, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, THEIRS, LIMIT, INK, FAINT = "#0f766e", "#bcc4cd", "#d9480f", "#1f2933", "#66727f"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "svg.hashsalt": "blockpack",  # so that the same results give the same file
}
WIDTH = 9.0  # all lengths in inches
HEAD, FOOT = 0.85, 0.15
PANEL_TITLE, PANEL_GAP, BAR = 0.26, 0.24, 0.25
LEFT, RIGHT = 2.35, 0.25
BEYOND_BARS = 1.22  # room for the values, as a multiple of the longest bar
LABEL = 0.14  # room for one value, as a share of the panel
FARTHEST_LIMIT = 2.5  # a target farther out is left out, as a multiple of the longest bar


def draw(results: Results, directory: Path) -> bool:
    """Write ``results.svg`` and ``results.png``; False if there is nothing to draw.

    Raises ImportError without matplotlib.
    """
    import matplotlib
    from matplotlib.figure import Figure

    outcomes = [outcome for outcome in results.outcomes if outcome.series]
    if not outcomes:
        return False
    panels = [PANEL_TITLE + BAR * len(outcome.series) + PANEL_GAP for outcome in outcomes]
    height = HEAD + sum(panels) + FOOT
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        _head(figure, height, quick=results.quick)
        top = height - HEAD
        for outcome, panel in zip(outcomes, panels, strict=True):
            _panel(figure, outcome, top, height)
            top -= panel
        figure.savefig(directory / "results.svg", metadata={"Date": None})
        figure.savefig(directory / "results.png", dpi=144)
    return True


def _head(figure: Figure, height: float, *, quick: bool) -> None:
    title = "blockpack beside its peers" + (" (a quick run, on small data)" if quick else "")
    x = 0.15 / WIDTH
    figure.text(x, 1 - 0.2 / height, title, size=13, weight="bold", va="top")
    y = 1 - 0.63 / height
    figure.text(
        x,
        y,
        "whole processes; shorter is better; each panel has its own scale",
        color=FAINT,
    )
    for place, color, text in (
        (0.66, OURS, "■ blockpack"),
        (0.775, FAINT, "━ min to max"),
        (0.895, LIMIT, "┃ target"),
    ):
        figure.text(place, y, text, color=color)


def _panel(figure: Figure, outcome: Outcome, top: float, height: float) -> None:
    bars = BAR * len(outcome.series)
    bottom = top - PANEL_TITLE - bars
    axes = figure.add_axes(
        (LEFT / WIDTH, bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, bars / height)
    )
    figure.text(0.15 / WIDTH, (top - 0.02) / height, outcome.title, weight="bold", va="top")
    if outcome.metric != "seconds":
        unit = "peak RSS" if outcome.metric == "peak RSS" else "time per file"
        figure.text(
            1 - RIGHT / WIDTH, (top - 0.02) / height, unit, color=FAINT, va="top", ha="right"
        )
    limit = _limit(outcome)
    end = max(BEYOND_BARS * _longest(outcome), 1.02 * (limit or 0))
    for row, series in enumerate(outcome.series):
        _bar(axes, outcome, series, row)
        at = _extent(outcome, series)
        # The target is marked on our bar, which is the first; the value must not cover it.
        if row == 0 and limit is not None:
            axes.vlines(limit, -0.45, 0.45, color=LIMIT, linewidth=2)
            if at < limit < at + LABEL * end:
                at = limit
        _label(axes, outcome, series, row, at)
    axes.set_yticks(
        range(len(outcome.series)), [series.contestant.name for series in outcome.series]
    )
    axes.set_ylim(len(outcome.series) - 0.5, -0.5)
    axes.set_xlim(0, end)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FAINT)


def _bar(axes: Axes, outcome: Outcome, series: Series, row: int) -> None:
    value = _value(outcome, series)
    color = OURS if series.contestant.ours else THEIRS
    axes.barh(row, value, height=0.66, color=color)
    if outcome.metric != "peak RSS" and len(series.samples) > 1:
        scale = value / series.median
        axes.hlines(
            row,
            min(series.seconds) * scale,
            max(series.seconds) * scale,
            color=FAINT,
            linewidth=1.4,
        )


def _label(axes: Axes, outcome: Outcome, series: Series, row: int, at: float) -> None:
    value = _value(outcome, series)
    axes.annotate(
        amount(value) if outcome.metric == "peak RSS" else duration(value),
        (at, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        weight="bold" if series.contestant.ours else "normal",
    )


def _limit(outcome: Outcome) -> float | None:
    """The tightest target, if it is close enough to the bars to be drawn."""
    if outcome.metric == "peak RSS":
        limits = [verdict.rss for verdict in outcome.verdicts]
    else:
        limits = [verdict.seconds for verdict in outcome.verdicts]
    limit = min((limit for limit in limits if limit is not None), default=None)
    if limit is None:
        return None
    if outcome.metric == "microseconds per file":
        limit /= outcome.series[0].contestant.files
    return limit if limit <= FARTHEST_LIMIT * _longest(outcome) else None


def _longest(outcome: Outcome) -> float:
    return max(_extent(outcome, series) for series in outcome.series)


def _value(outcome: Outcome, series: Series) -> float:
    match outcome.metric:
        case "seconds":
            return series.median
        case "microseconds per file":
            return series.per_file
        case "peak RSS":
            return float(series.peak_rss)


def _extent(outcome: Outcome, series: Series) -> float:
    """How far the bar and its whisker reach."""
    if outcome.metric == "peak RSS":
        return _value(outcome, series)
    return _value(outcome, series) * max(series.seconds) / series.median
