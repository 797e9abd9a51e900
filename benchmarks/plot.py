"""Results as bars: an SVG with one panel a work, each with a scale of its own.

It is text, so that the same results give the same file, and follows the reader's light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from measure import Series
from results import Outcome
from units import amount, duration

WIDTH, LEFT, RIGHT = 490, 202, 66  # units of the picture: all of it, names, values
TITLE, BAR, GAP = 20, 18, 12

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
     font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">
<title>{title}</title>
<style>
:root {{ --ground: #fff; --ink: #1f2933; --ours: #0f766e; --theirs: #bcc4cd; --faint: #66727f }}
@media (prefers-color-scheme: dark) {{
:root {{ --ground: #1e2129; --ink: #e6e9ee; --ours: #2bb3a3; --theirs: #5d6876; --faint: #a3adb9 }}
}}
text {{ fill: var(--ink) }}
.name {{ text-anchor: end; font-size: 11.5px }}
.title, .ours + text {{ font-weight: 600 }}
.ours {{ fill: var(--ours) }}
.theirs {{ fill: var(--theirs) }}
line {{ stroke: var(--faint); stroke-width: 1.5 }}
</style>
<rect width="{width}" height="{height}" fill="var(--ground)" rx="6"/>
"""


def svg(outcomes: Sequence[Outcome], title: str) -> str:
    """The picture of those outcomes that were measured; shorter bars are better."""
    measured = [outcome for outcome in outcomes if outcome.series]
    heights = [TITLE + BAR * len(outcome.series) + GAP for outcome in measured]
    lines = [HEAD.format(width=WIDTH, height=sum(heights) + GAP // 2, title=escape(title))]
    top = 0
    for outcome, height in zip(measured, heights, strict=True):
        lines += _panel(outcome, top)
        top += height
    return "".join([*lines, "</svg>\n"])


def _panel(outcome: Outcome, top: int) -> Iterator[str]:
    yield f'<text class="title" x="8" y="{top + 16}">{escape(outcome.title)}</text>\n'
    longest = max(_ends(outcome, series)[1] for series in outcome.series)
    scale = (WIDTH - LEFT - RIGHT) / longest
    for row, series in enumerate(outcome.series):
        yield _bar(outcome, series, top + TITLE + BAR * row, scale)


def _bar(outcome: Outcome, series: Series, top: int, scale: float) -> str:
    value, (least, most) = _value(outcome, series), _ends(outcome, series)
    shown = amount(value) if outcome.metric == "peak RSS" else duration(value)
    kind = "ours" if series.contestant.ours else "theirs"
    name, middle = escape(series.contestant.name), top + BAR / 2
    spread = [f"{LEFT + scale * end:.1f}" for end in (least, most)]
    return (
        f'<text class="name" x="{LEFT - 6}" y="{top + 13}">{name}</text>\n'
        f'<rect class="{kind}" x="{LEFT}" y="{top + 2}" height="{BAR - 4}" '
        f'width="{max(1, scale * value):.1f}"/>'
        f'<text x="{LEFT + scale * most + 6:.1f}" y="{top + 13}">{shown}</text>\n'
        f'<line x1="{spread[0]}" x2="{spread[1]}" y1="{middle}" y2="{middle}"/>\n'
    )


def _value(outcome: Outcome, series: Series) -> float:
    match outcome.metric:
        case "seconds":
            return series.median
        case "microseconds per file":
            return series.per_file
        case "peak RSS":
            return float(series.peak_rss)


def _ends(outcome: Outcome, series: Series) -> tuple[float, float]:
    """The least and the most of all runs, in the unit of the median."""
    value = _value(outcome, series)
    if outcome.metric == "peak RSS":
        return value, value
    scale = value / series.median
    return min(series.seconds) * scale, max(series.seconds) * scale
