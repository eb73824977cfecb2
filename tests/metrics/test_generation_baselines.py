"""The simplest images from words."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Captions
from foveate.metrics.baselines.generation import fit_baselines

PIXELS = np.stack([np.full((4, 4, 1), value, np.uint8) for value in (0, 10, 100, 120)])
CAPTIONS = [
    Captions(("the dark one", "dark")),
    Captions(("the dark one",)),
    Captions(("the light one",)),
    Captions(("the light one",)),
]


def made(*texts: str):
    return fit_baselines(PIXELS, CAPTIONS, 0)(texts)


def test_means_are_of_what_has_most_words_in_common():
    of = {
        text: made(text)["mean of the same words"][0][0, 0, 0]
        for text in ("the dark one", "dark", "light", "the light one")
    }
    assert of == {"the dark one": 5, "dark": 0, "light": 110, "the light one": 110}
    assert made("")["mean of the same words"][0].shape == (4, 4, 1)
    assert made("nothing known")["mean of the same words"][0].dtype == np.uint8


def test_the_mean_and_noise():
    predictions = made("a", "b", "c")
    assert [len(images) for images in predictions.values()] == [3, 3, 3]
    assert all((image == round(PIXELS.mean())).all() for image in predictions["mean image"])
    noise = np.stack(fit_baselines(PIXELS, CAPTIONS, 0)(["x"] * 400)["noise"]).astype(float)
    assert noise.mean() == pytest.approx(
        np.clip(np.random.default_rng(1).normal(57.5, PIXELS.std(), 100_000), 0, 255).mean(), abs=2
    )
    assert not np.array_equal(noise[0], noise[1])
