"""The caption evaluator reads captions, survives its file, and finds copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Captions
from foveate.training.caption_evaluator import (
    CaptionEvaluator,
    encode_captions,
    train_evaluator,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def scene(rng: np.random.Generator) -> tuple[np.ndarray, Captions]:
    """A bright square left or right, above or below, on grey noise."""
    image = rng.integers(60, 100, (12, 12, 1), dtype=np.uint8)
    down, across = rng.integers(0, 2, 2)
    image[6 * down + 1 : 6 * down + 5, 6 * across + 1 : 6 * across + 5] = 230
    there = f"{('above', 'below')[down]} and {('left', 'right')[across]}"
    return image, Captions((f"a square {there}", f"{there} a square"))


def scenes(count: int, seed: int) -> tuple[np.ndarray, list[Captions]]:
    rng = np.random.default_rng(seed)
    images, captions = zip(*(scene(rng) for _ in range(count)), strict=True)
    return np.stack(images), list(captions)


@pytest.fixture(scope="module")
def referee() -> CaptionEvaluator:
    return train_evaluator(*scenes(120, 0), 0)


def test_captions_are_read_word_by_word(referee):
    images, captions = scenes(60, 1)
    read, features = referee.read(images)
    assert (read == encode_captions(referee.vocabulary, captions)).all(1).mean() > 0.95
    assert features.shape == (60, referee.references.shape[1])
    assert referee.references.shape[0] == 120


def test_the_first_caption_is_read(referee):
    assert referee.vocabulary.decode(referee.read(scenes(1, 2)[0])[0][0].tolist()).startswith(
        "a square "
    )


def test_tensors_and_record_rebuild_the_evaluator(referee):
    images, _ = scenes(20, 3)
    again = CaptionEvaluator.from_tensors(*referee.to_tensors())
    for mine, its in zip(referee.read(images), again.read(images), strict=True):
        assert np.array_equal(mine, its)
    assert np.array_equal(referee.references, again.references)


@pytest.mark.slow
def test_the_same_seed_trains_the_same_evaluator(referee):
    assert np.array_equal(train_evaluator(*scenes(120, 0), 0).references, referee.references)


def test_a_copy_stands_out(referee):
    known, others = np.random.default_rng(0).normal(size=(2, 200, 16)).astype(np.float32)
    evaluator = replace(referee, references=known)
    assert (evaluator.relative_distance(known) < 0.01).all()
    assert (evaluator.relative_distance(others) > 0.4).all()


def test_no_images_give_empty_arrays(referee):
    read, features = referee.read([])
    assert read.shape == (0, referee.vocabulary.max_length)
    assert referee.relative_distance(features).shape == (0,)
