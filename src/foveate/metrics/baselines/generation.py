"""The simplest pictures that could be made from words. A model that is not nearer to real ones than these has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Captions
from foveate.data.dataset import Image
from foveate.data.subset import Pixels
from foveate.data.vocabulary import cut

Answers = Callable[[Sequence[str]], dict[str, list[Image]]]
"""Texts -> a picture for each, (S, S, C) uint8, of each baseline by its name."""

MOST = 500
"""Pictures that a mean is taken over."""


def fit_baselines(images: Pixels, captions: Sequence[Captions], seed: int) -> Answers:
    """Fitted on (N, S, S, C) uint8 and their captions: noise as bright as pictures are; the mean of all; the mean of those whose
    captions share most of a text's words.
    """
    order = np.random.default_rng(seed).permutation(len(captions))
    shape = images.shape[1:]
    some = np.stack([images[int(row)] for row in order[:MOST]]).astype(np.float32)
    mean, deviation = some.mean((0, 1, 2)), some.std((0, 1, 2))
    words = sorted({word for caption in captions for text in caption.texts for word in cut(text)})
    number = {word: column for column, word in enumerate(words)}
    wordings: dict[str, list[int]] = {}  # of each, the pictures that have it
    for row in order.tolist():
        for text in captions[row].texts:
            wordings.setdefault(text, []).append(row)
    texts = list(wordings)
    has = _bags(texts, number)
    means: dict[str, Image] = {}

    def of_words(text: str) -> Image:
        if text not in means:
            bag = _bags([text], number)[0]
            common = np.minimum(has, bag).sum(1) - 1e-3 * np.maximum(has - bag, 0).sum(1)
            rows = [
                row
                for best in np.flatnonzero(common == common.max())
                for row in wordings[texts[best]]
            ][:MOST]
            means[text] = _rounded(np.mean([images[row] for row in rows], 0))
        return means[text]

    def predict(asked: Sequence[str]) -> dict[str, list[Image]]:
        rng = np.random.default_rng(seed)
        return {
            "noise": [_rounded(rng.normal(mean, deviation, shape)) for _ in asked],
            "mean picture": [_rounded(some.mean(0))] * len(asked),
            "mean of the same words": [of_words(text) for text in asked],
        }

    return predict


def _bags(texts: Sequence[str], number: dict[str, int]) -> NDArray[np.float32]:
    """(N, words): how often each word is in each text."""
    bags = np.zeros((len(texts), len(number)), np.float32)
    for row, text in enumerate(texts):
        for word in cut(text):
            if word in number:
                bags[row, number[word]] += 1
    return bags


def _rounded(image: NDArray[np.floating]) -> Image:
    return image.round().clip(0, 255).astype(np.uint8)
