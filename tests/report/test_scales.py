"""Positions, shades and texts on the page."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.report.panels import Bar, ConfusionMatrix
from foveate.report.scales import (
    Scale,
    close_up,
    compact_number,
    dash_if_not_finite,
    full_scale,
    matrix_rows,
    parse_percent,
    tick_label,
    top_confusions,
)

NAN = float("nan")
VALUES = st.floats(0, 1e6) | st.just(NAN)


def bar(value: float, model: bool = False, spread: float = 0.01) -> Bar:
    return Bar("x", value, value - spread, value + spread, "", model)


@given(st.lists(st.tuples(VALUES, st.booleans()), max_size=6))
def test_every_bar_lies_on_its_scale_and_a_longer_bar_means_more(rows):
    bars = [bar(value, model) for value, model in rows]
    scale = full_scale(bars)
    assert scale.low == 0
    assert scale.high >= 1
    finite = sorted(value for value, _ in rows if value == value)
    positions = [scale.percent(value) for value in finite]
    assert positions == sorted(positions)
    assert all(0 <= position <= 100 for position in positions)
    near = close_up(bars)
    if near is not None:
        scale, shown = near
        assert 0 < sum(one.highlighted for one in shown) < len(shown)
        for one in shown:
            assert scale.low - 1e-9 <= one.low
            assert one.high <= scale.high * (1 + 1e-9)
        assert 2 <= len(scale.ticks) <= 6
        assert scale.percent(scale.ticks[-1]) == pytest.approx(100, abs=0.01)


def test_a_close_up_shows_the_bars_near_the_model():
    scale, shown = close_up([bar(0.1), bar(0.963), bar(0.978), bar(0.985, True)])
    assert [one.value for one in shown] == [0.963, 0.978, 0.985]
    assert (scale.low, scale.high) == pytest.approx((0.94, 1.0))
    assert [tick_label(value, scale) for value in scale.ticks] == ["94%", "96%", "98%", "100%"]


def test_a_close_up_shows_the_best_baseline_however_far_it_is():
    best = dataclasses.replace(bar(0.8), compared=True)
    _, shown = close_up([bar(0.45), best, bar(0.5, True)])
    assert [one.value for one in shown] == [0.45, 0.8, 0.5]
    assert close_up([best, bar(0.5, True)]) is None  # the bars show it as well


@pytest.mark.parametrize(
    "bars",
    [
        [],
        [bar(0.5)],
        [bar(0.5, True)],
        [bar(0.5, True), bar(0.2)],
        [bar(NAN, True), bar(NAN)],
        [bar(0.5, True), bar(NAN)],
        [bar(0.5, True, 0), bar(0.5, spread=0)],
        [bar(0.5, True, 0.3), bar(0.5)],
    ],
)
def test_there_is_no_close_up_that_would_show_nothing_more(bars):
    assert close_up(bars) is None


def test_a_missing_value_has_no_length():
    assert Scale(0, 1).percent(NAN) == Scale(0, 1).percent(None) == 0


@pytest.mark.parametrize("text", ["nan", "NaN%", " -inf ", "+Infinity", "nan %"])
def test_a_number_that_is_not_finite_becomes_a_dash(text):
    assert dash_if_not_finite(text) == "–"


@pytest.mark.parametrize("text", ["0", "12.5%", "nano", "nan of 3", "", "infant"])
def test_any_other_text_is_unchanged(text):
    assert dash_if_not_finite(text) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (4_348_858, "4.35M"),
        (10**13, "10T"),
    ],
)
def test_large_counts_are_shortened(number, text):
    assert compact_number(number) == text


def test_only_percentages_from_0_to_100_are_parsed():
    assert [parse_percent(text) for text in ("0.0%", "98.5%", "100%", "7 %")] == [0, 98.5, 100, 7]
    assert [
        parse_percent(text) for text in ("101%", "-3%", "+0.7%", "0.5", "nan%", "50% off", "", "½%")
    ] == [None] * 8


@pytest.mark.parametrize("classes", [2, 10, 40, 200])
def test_cells_and_confusions_agree_with_the_counts(classes):
    counts = np.random.default_rng(classes).integers(0, 3, (classes, classes))
    counts[0] = 0  # a class without images
    matrix = ConfusionMatrix("", "", counts, [f"{i}" for i in range(classes)])
    rows = matrix_rows(matrix)
    assert np.array_equal([[cell.count for cell in row.cells] for row in rows], counts)
    assert [row.total for row in rows] == counts.sum(1).tolist()
    assert all(
        0 <= cell.shade <= 100 and cell.correct == (i == j)
        for i, row in enumerate(rows)
        for j, cell in enumerate(row.cells)
    )
    pairs, total = top_confusions(matrix)
    assert total == np.count_nonzero(counts) - np.count_nonzero(counts.diagonal())
    assert len(pairs) == min(20, total)
    assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)
    assert all(
        pair.target != pair.prediction
        and pair.count == counts[int(pair.target), int(pair.prediction)]
        for pair in pairs
    )


def test_a_perfect_matrix_has_no_confusions():
    labels = [f"{i}" for i in range(30)]
    matrix = ConfusionMatrix("", "", np.eye(30, dtype=np.int64), labels)
    assert top_confusions(matrix) == ([], 0)
