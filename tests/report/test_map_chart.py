"""The map is well-formed for any classes, places and names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from foveate.report.map_chart import MAX_LEGEND, PALETTE, class_map

RNG = np.random.default_rng(0)


def drawn(count: int, classes: int | None, ringed: int = 0, names=None) -> str:
    labels = None if classes is None else np.arange(count) % classes
    names = names or [f"class {k}" for k in range(classes or 0)]
    rings = np.arange(count) < ringed
    plot = class_map(RNG.normal(0, 9, (count, 2)), labels, names, rings, "wrong")
    (svg,) = plot.svgs
    ET.fromstring(svg)
    assert "nan" not in svg.lower()
    assert f"{count:,} image" in plot.alt
    return svg


@pytest.mark.parametrize("classes", [None, 1, 2, 10, 11, MAX_LEGEND, MAX_LEGEND + 1])
def test_any_number_of_classes_can_be_drawn(classes):
    svg = drawn(120, classes, ringed=3)
    assert ">wrong<" in svg
    assert (">class 0<" in svg) == (classes is not None and classes <= MAX_LEGEND)


def test_classes_have_colours_of_their_own():
    svg = drawn(30, 3)
    assert all(colour in svg for colour in PALETTE[:3])
    assert PALETTE[3] not in svg


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images_can_be_drawn(count):
    drawn(count, 2)


def test_names_are_text():
    svg = drawn(4, 2, names=["<b>&", "$x$ " + "long " * 20])
    assert "&lt;b&gt;&amp;" in svg
    assert "<b>" not in svg


def test_a_full_map_stays_small():
    svg = drawn(1500, 10, ringed=100)
    assert len(svg) < 250_000
    assert re.search(r'^<svg style="max-width: \d+px; --wide', svg)
