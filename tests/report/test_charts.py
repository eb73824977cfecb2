"""Charts: well-formed SVG in the page's own colours, from any curve, and told in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from foveate.report import charts
from foveate.report.panels import Drawing
from helpers import report_demo as demo

NAN = float("nan")


def check(drawing: Drawing) -> None:
    for svg in drawing.svgs:
        ET.fromstring(svg)
        assert not re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'(href="|url\()#[^")]+', "", svg)), (
            "a fixed colour"
        )
        assert "nan" not in svg.lower()
        assert "font-family" not in svg
        assert "http" not in svg
        used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
        assert used == set(re.findall(r' id="([^"]+)"', svg))


@pytest.mark.parametrize("epochs", [0, 1, 2, 3, 24, 400])
def test_curves_of_any_length(epochs):
    drawing = charts.learning_curves(demo.curves(epochs), "accuracy")
    check(drawing)
    assert len(drawing.svgs) == 2
    assert sum(map(len, drawing.svgs)) < 120_000


def test_the_lowest_validation_loss_is_marked_and_told():
    rows = demo.curves(5)
    for row, loss in zip(rows, (0.9, NAN, 0.4, 0.3, float("inf")), strict=True):
        row["valid_loss"] = loss
    drawing = charts.learning_curves(rows, "accuracy")
    check(drawing)
    assert "lowest at epoch 4 with 0.3" in drawing.described
    assert [key.name for key in drawing.keys if key.mark == "kept"] == [
        "the weights that were kept, epoch 4"
    ]


@pytest.mark.parametrize("value", [NAN, float("inf"), 0.0, -1.0, 1e-300, 1e300])
def test_curves_of_extreme_values(value):
    rows = [
        dict.fromkeys(("train_loss", "valid_loss", "train_map", "valid_map"), value)
        | {"epoch": float(e)}
        for e in (1, 2)
    ]
    check(charts.learning_curves(rows, "map"))


def test_an_exploding_loss_is_drawn_on_a_logarithmic_scale():
    rows = demo.curves(5)
    assert "logarithmic" not in charts.learning_curves(rows, "accuracy").svgs[0]
    rows[2]["train_loss"] = 1e4
    assert "loss, logarithmic" in charts.learning_curves(rows, "accuracy").svgs[0]


def test_a_share_is_told_in_percent_and_anything_else_as_it_is():
    rows = demo.curves(5)
    assert "%" in charts.learning_curves(rows, "accuracy").svgs[1]
    for row in rows:
        row |= {"train_fid": 30.0, "valid_fid": 40.0 + row["epoch"]}
    assert "%" not in charts.learning_curves(rows, "fid").svgs[1]


def test_epochs_are_whole_numbers_where_there_are_several():
    ticks = re.findall(
        r">(\d[\d.]*)</text>", charts.learning_curves(demo.curves(3), "accuracy").svgs[1]
    )
    assert {"1", "2", "3"} <= set(ticks)
    assert "1.5" not in ticks


def test_a_name_is_no_formula():
    rows = [row | {"train_a$_<b>$&": 0.5, "valid_a$_<b>$&": 0.5} for row in demo.curves(3)]
    drawing = charts.learning_curves(rows, "a$_<b>$&")
    check(drawing)
    assert "a$ &lt;b&gt;$&amp;" in drawing.svgs[1]


def test_what_is_written_keeps_its_decimals():
    svg = charts.drawn((2, 2), lambda figure: figure.subplots().set_title("rate 0.00125"))
    assert "rate 0.00125" in svg
    assert not re.search(r"<[^>]*\d\.\d{3}", svg)


def test_reliability_tells_the_largest_gap():
    confidence, accuracy = np.array([NAN, 0.6, 0.9]), np.array([NAN, 0.3, 0.88])
    drawing = charts.reliability(confidence, accuracy, np.array([0, 10, 200]))
    check(drawing)
    assert "60% sure and 30% right" in drawing.described
    empty = charts.reliability(confidence, accuracy, np.zeros(3, np.int64))
    check(empty)
    assert "no picture" in empty.described


def test_the_users_own_style_changes_nothing_and_is_left_alone():
    plain = charts.learning_curves(demo.curves(4), "accuracy")
    with mpl.rc_context({"axes.linewidth": 5, "font.size": 40, "svg.fonttype": "path"}):
        assert charts.learning_curves(demo.curves(4), "accuracy") == plain
        assert mpl.rcParams["font.size"] == 40


def test_a_logarithmic_scale_is_labelled_in_plain_numbers():
    rows = [
        {
            "epoch": float(epoch),
            "train_loss": loss,
            "valid_loss": 2 * loss,
            "train_accuracy": 0.5,
            "valid_accuracy": 0.5,
        }
        for epoch, loss in enumerate((100.0, 10.0, 1.0, 0.1), 1)
    ]
    (svg, *_) = charts.learning_curves(rows, "accuracy").svgs
    assert "mathdefault" not in svg
    assert ">10<" in svg
