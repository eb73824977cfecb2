"""The built-in images of two digits: what is said of them is what they show."""

from __future__ import annotations

import re

import numpy as np
import pytest

from foveate.datasets import load
from foveate.datasets.builtin import duos
from foveate.datasets.builtin.scenes import COLOURS


@pytest.fixture(scope="module")
def data():
    return duos.read()


def test_splits_and_captions(data):
    assert {split: len(data.subset(split)) for split in duos.SPLITS} == duos.SPLITS
    form = re.compile(r"a (\w+) (\d) (left of|above) a (\w+) (\d)")
    seen = {form.fullmatch(sample.target.texts[0]).groups() for sample in data}
    assert all(len(sample.target.texts) == 1 for sample in data)
    for place, count in ((0, len(duos.INKS)), (1, 10), (2, 2), (3, len(duos.INKS)), (4, 10)):
        assert len({words[place] for words in seen}) == count


@pytest.mark.slow
def test_each_is_a_function_of_its_id(data):
    assert data.classes == ()
    again = duos.read()
    assert all(
        np.array_equal(again[row].source.read(), data[row].source.read())
        for row in range(0, 9000, 500)
    )
    assert load.load("duos").task == "text_to_image"


def test_colours_lie_where_reported(data):
    """The middle of the pixels that are nearest to each of the two colours."""
    checked = 0
    for sample in list(data)[:300]:
        first, _, relation, second, _ = re.fullmatch(
            r"a (\w+) (\d) (left of|above) a (\w+) (\d)", sample.target.texts[0]
        ).groups()
        if first == second:
            continue
        image = sample.source.read().astype(float)
        middles = []
        for colour in (first, second):
            near = np.linalg.norm(image - np.array(COLOURS[colour]), axis=2) < 60
            middles.append(np.argwhere(near).mean(0)[0 if relation == "above" else 1])
        assert middles[0] + 3 < middles[1], sample
        checked += 1
    assert checked > 200
