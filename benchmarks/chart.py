"""Draw the measurements: one panel for each kind, a bar for each way, seconds along the bottom.

In: what was measured. Out: an SVG document as text. No drawing library: the chart is a few
rectangles and words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.bounds import Measured
from benchmarks.measure import AIRCAN_WAYS, WAYS

_WIDTH = 860
_LEFT = 230  # where the bars begin; the names of the ways stand before it
_BAR_WIDTH = 410  # of the longest bar; its numbers stand behind it
_BAR_HEIGHT = 22
_ROW_HEIGHT = 32
_PANEL_HEAD = 46
_PANEL_FOOT = 48
_TITLE_HEIGHT = 62

_STYLE = """<style>
text { font-family: Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2933 }
.title { font-size: 18px; font-weight: bold }
.head { font-size: 15px; font-weight: bold }
.small { font-size: 12px; fill: #5b6773 }
.numbers { font-size: 12px }
.tick { font-size: 12px; fill: #5b6773; text-anchor: middle }
.right { text-anchor: end }
</style>"""
_GRID = "#dfe4e8"
_AIRCAN = "#0b72b9"
_OTHERS = "#a9b4be"
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)  # seconds between grid lines


def draw(measured: Sequence[Measured], machine: str) -> str:
    """Draw a chart.

    Args:
        measured: One panel for each.
        machine: What it was measured on, in one line.
    Returns: An SVG document.
    """
    height = _TITLE_HEIGHT + sum(_panel_height(one) for one in measured)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">',
        _STYLE,
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(20, 30, "Loading a CSV into Postgres: seconds, less is better", "title"),
        _text(20, 51, machine, "small"),
    ]
    top = _TITLE_HEIGHT
    for one in measured:
        parts += _panel(one, top)
        top += _panel_height(one)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel_height(one: Measured) -> int:
    return _PANEL_HEAD + len(one.runs) * _ROW_HEIGHT + _PANEL_FOOT


def _panel(one: Measured, top: float) -> Iterator[str]:
    longest = max(one.seconds(way) for way in one.runs)
    title = f"{one.kind}: {one.rows:,} rows, {one.bytes / 1e6:,.0f} MB"
    ratios = [
        f"{way}/{other} = {one.seconds(way) / one.seconds(other):.2f}"
        for way, other in (("b", "a"), ("c", "d"))
        if one.runs.keys() >= {way, other}
    ]
    yield _text(20, top + 28, title, "head")
    yield _text(_WIDTH - 20, top + 28, ", ".join(ratios), "right")
    bottom = top + _PANEL_HEAD + len(one.runs) * _ROW_HEIGHT
    yield from _axis(longest, top + _PANEL_HEAD - 6, bottom)
    for number, way in enumerate(one.runs):
        yield from _bar(one, way, longest, top + _PANEL_HEAD + number * _ROW_HEIGHT)


def _axis(longest: float, top: float, bottom: float) -> Iterator[str]:
    """Draw a grid line at every step, and its seconds below it."""
    step = next((step for step in _STEPS if longest / step <= 6), _STEPS[-1])
    for seconds in range(0, int(longest) + 1, step):
        x = _LEFT + _BAR_WIDTH * seconds / longest
        yield f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{_GRID}"/>'
        yield _text(x, bottom + 16, f"{seconds} s", "tick")


def _bar(one: Measured, way: str, longest: float, top: float) -> Iterator[str]:
    seconds = one.seconds(way)
    width = _BAR_WIDTH * seconds / longest
    is_aircan = way in AIRCAN_WAYS
    fill = _AIRCAN if is_aircan else _OTHERS
    memory = f", peak {one.peak_mb(way):.0f} MB" if is_aircan else ""
    numbers = f"{seconds:.1f} s, {one.rows_per_second(way):,.0f} rows/s{memory}"
    baseline = top + _BAR_HEIGHT - 6
    yield _text(_LEFT - 10, baseline, f"{way}  {WAYS[way]}", "right")
    yield (
        f'<rect x="{_LEFT}" y="{top:.1f}" width="{width:.1f}" height="{_BAR_HEIGHT}" '
        f'rx="2" fill="{fill}"/>'
    )
    yield _text(_LEFT + width + 8, baseline, numbers, "numbers")


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(words)}</text>'
