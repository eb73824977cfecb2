"""Charts: well-formed SVG in the page's colours, from any values, with a description."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from foveate.report import charts, data_charts
from foveate.report.panels import Plot
from helpers import report_demo as demo

NAN = float("nan")


def check(plot: Plot) -> None:
    for svg in plot.svgs:
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
def test_curves_can_have_any_length(epochs):
    plot = charts.learning_curves(demo.curves(epochs), "accuracy")
    check(plot)
    assert len(plot.svgs) == 2
    assert sum(map(len, plot.svgs)) < 120_000


def test_the_best_weights_are_marked_and_described():
    rows = demo.curves(5)
    for row, loss in zip(rows, (0.9, NAN, 0.4, 0.3, float("inf")), strict=True):
        row["valid_loss"] = loss
    plot = charts.learning_curves(rows, "accuracy")
    check(plot)
    assert "0.3 at epoch 4, which has the lowest validation loss" in plot.alt
    best = [entry.name for entry in plot.legend if entry.mark == "best"]
    assert best == ["best weights, epoch 4"]
    rows[2]["valid_accuracy"] = 0.99
    plot = charts.learning_curves(rows, "accuracy", "valid_accuracy")
    assert "0.4 at epoch 3, which has the highest validation accuracy" in plot.alt


@pytest.mark.parametrize("value", [NAN, float("inf"), 0.0, -1.0, 1e-300, 1e300])
def test_curves_can_have_extreme_values(value):
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


def test_a_share_is_shown_in_percent_and_any_other_value_as_a_number():
    rows = demo.curves(5)
    assert "%" in charts.learning_curves(rows, "accuracy").svgs[1]
    for row in rows:
        row |= {"train_fid": 30.0, "valid_fid": 40.0 + row["epoch"]}
    assert "%" not in charts.learning_curves(rows, "fid").svgs[1]


def test_several_epochs_are_labelled_with_whole_numbers():
    ticks = re.findall(
        r">(\d[\d.]*)</text>", charts.learning_curves(demo.curves(3), "accuracy").svgs[1]
    )
    assert {"1", "2", "3"} <= set(ticks)
    assert "1.5" not in ticks


def test_a_name_is_not_a_formula():
    rows = [row | {"train_a$_<b>$&": 0.5, "valid_a$_<b>$&": 0.5} for row in demo.curves(3)]
    plot = charts.learning_curves(rows, "a$_<b>$&")
    check(plot)
    assert "a$ &lt;b&gt;$&amp;" in plot.svgs[1]


def test_text_keeps_its_decimals():
    svg = charts.render_svg((2, 2), lambda figure: figure.subplots().set_title("rate 0.00125"))
    assert "rate 0.00125" in svg
    assert not re.search(r"<[^>]*\d\.\d{3}", svg)


def test_a_reliability_diagram_describes_the_largest_gap():
    confidence, accuracy = np.array([NAN, 0.6, 0.9]), np.array([NAN, 0.3, 0.88])
    plot = charts.reliability(confidence, accuracy, np.array([0, 10, 200]))
    check(plot)
    assert "confidence 60% and accuracy 30%" in plot.alt
    empty = charts.reliability(confidence, accuracy, np.zeros(3, np.int64))
    check(empty)
    assert "no images" in empty.alt


def test_the_users_matplotlib_style_has_no_effect_and_is_preserved():
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


def test_values_that_are_all_equal_are_a_sentence_and_no_bar():
    plot = data_charts.histograms(
        {"width": np.full(1200, 640.0), "height": np.arange(9.0), "objects": np.ones(1)}
    )
    width, height, objects = plot.svgs
    assert "640 in all 1,200 images" in width
    assert "1 in the only image" in objects
    assert "images" in height  # the label of its axis
    assert height.count("<path") > 9 > width.count("<path")
