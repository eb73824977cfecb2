"""Where things lie on the page."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.report.panels import Bar, Matrix
from foveate.report.scales import (
    Scale,
    cells,
    close_up,
    confusions,
    figure,
    full_scale,
    share,
    tick,
)

NAN = float("nan")
VALUES = st.floats(0, 1e6) | st.just(NAN)


def bar(value: float, model: bool = False, spread: float = 0.01) -> Bar:
    return Bar("x", value, value - spread, value + spread, "", model)


@given(st.lists(st.tuples(VALUES, st.booleans()), max_size=6))
def test_every_bar_lies_on_its_scale_and_longer_means_more(rows):
    bars = [bar(value, model) for value, model in rows]
    scale = full_scale(bars)
    assert scale.low == 0
    assert scale.high >= 1
    known = sorted(value for value, _ in rows if value == value)
    places = [scale.at(value) for value in known]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    near = close_up(bars)
    if near is not None:
        scale, shown = near
        assert 0 < sum(one.model for one in shown) < len(shown)
        for one in shown:
            assert scale.low - 1e-9 <= one.low
            assert one.high <= scale.high * (1 + 1e-9)
        assert 2 <= len(scale.ticks) <= 6
        assert scale.at(scale.ticks[-1]) == pytest.approx(100, abs=0.01)


def test_a_close_up_is_of_those_near_the_model():
    scale, shown = close_up([bar(0.1), bar(0.963), bar(0.978), bar(0.985, True)])
    assert [one.value for one in shown] == [0.963, 0.978, 0.985]
    assert (scale.low, scale.high) == pytest.approx((0.94, 1.0))
    assert [tick(value, scale) for value in scale.ticks] == ["94%", "96%", "98%", "100%"]


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
def test_no_close_up_where_it_would_show_nothing_more(bars):
    assert close_up(bars) is None


def test_a_missing_value_has_no_length():
    assert Scale(0, 1).at(NAN) == Scale(0, 1).at(None) == 0


@pytest.mark.parametrize("text", ["nan", "NaN%", " -inf ", "+Infinity", "nan %"])
def test_no_number_is_a_dash(text):
    assert figure(text) == "–"


@pytest.mark.parametrize("text", ["0", "12.5%", "nano", "nan of 3", "", "infant"])
def test_everything_else_is_left_alone(text):
    assert figure(text) == text


def test_only_percentages_from_0_to_100_are_shares():
    assert [share(text) for text in ("0.0%", "98.5%", "100%", "7 %")] == [0, 98.5, 100, 7]
    assert [
        share(text) for text in ("101%", "-3%", "+0.7%", "0.5", "nan%", "50% off", "", "½%")
    ] == [None] * 8


@pytest.mark.parametrize("classes", [2, 10, 40, 200])
def test_cells_and_confusions_tell_the_counts(classes):
    counts = np.random.default_rng(classes).integers(0, 3, (classes, classes))
    counts[0] = 0  # a class that has no picture
    matrix = Matrix("", "", counts, [f"{i}" for i in range(classes)])
    rows = cells(matrix)
    assert np.array_equal([[cell.count for cell in row] for _, _, row in rows], counts)
    assert [total for _, total, _ in rows] == counts.sum(1).tolist()
    assert all(
        0 <= cell.heat <= 100 and cell.right == (i == j)
        for i, (*_, r) in enumerate(rows)
        for j, cell in enumerate(r)
    )
    pairs, everyone = confusions(matrix)
    assert everyone == np.count_nonzero(counts) - np.count_nonzero(counts.diagonal())
    assert len(pairs) == min(20, everyone)
    assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)
    assert all(
        pair.target != pair.prediction
        and pair.count == counts[int(pair.target), int(pair.prediction)]
        for pair in pairs
    )


def test_no_mistake_is_no_confusion():
    assert confusions(Matrix("", "", np.eye(30, dtype=np.int64), [f"{i}" for i in range(30)])) == (
        [],
        0,
    )
