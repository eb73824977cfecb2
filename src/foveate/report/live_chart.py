"""A chart of curves so far, as inline SVG, in a millisecond.

Matplotlib, which draws the charts of reports, takes up to a second for one of them: too long after
each validation of a training that goes on.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.wording import short_number

_WIDTH, _HEIGHT = 440, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 26, 26


def draw_lines(
    title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]], *, percent: bool
) -> str:
    """Draw up to two curves, the first in the colour of the model, the second dashed.

    Args:
        title: Of the chart.
        x: (N,) epochs, rising.
        lines: Name -> (N,) values; NaN leaves a gap.
        percent: Whether the values are shares, shown as percentages.
    """
    values = np.array([list(one) for one in lines.values()], float)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    across = np.array(x, float)
    first, last = float(across[0]), float(across[-1])
    columns = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (across - first) / max(last - first, 1e-9)
    parts = [
        f'<text x="{_LEFT}" y="14" fill="var(--ink)">{html.escape(title)}</text>',
        *(_level(value, low, high, percent=percent) for value in np.linspace(low, high, 4)),
        *(
            f'<text x="{column:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}" '
            f'fill="var(--muted)">{short_number(epoch)}</text>'
            for epoch, column, anchor in (
                (first, _LEFT, "start"), (last, _WIDTH - _RIGHT, "end"),
            )
        ),
    ]  # fmt: skip
    styles = ('stroke="var(--model)"', 'stroke="var(--other)" stroke-dasharray="6 4"')
    for row, style in zip(values, styles, strict=False):
        rows = _rows(row, low, high)
        seen = np.isfinite(row)
        places = zip(columns[seen], rows[seen], strict=True)
        joined = " ".join(f"{column:.1f},{place:.1f}" for column, place in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke-width="2" {style}/>')
        if seen.sum() == 1:
            column, place = columns[seen][0], rows[seen][0]
            parts.append(f'<circle cx="{column:.1f}" cy="{place:.1f}" r="3" fill="none" {style}/>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def _rows(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    height = _HEIGHT - _TOP - _BOTTOM
    rows: NDArray[np.float64] = _TOP + height * (high - values) / (high - low)
    return rows


def _level(value: float, low: float, high: float, *, percent: bool) -> str:
    """A line of the grid with its value."""
    place = float(_rows(np.array([value]), low, high)[0])
    text = f"{value:.1%}" if percent else f"{value:.3g}"
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place:.1f}" y2="{place:.1f}" '
        'stroke="var(--line)"/>'
        f'<text x="{_LEFT - 6}" y="{place + 4:.1f}" text-anchor="end" fill="var(--muted)">'
        f"{text}</text>"
    )
