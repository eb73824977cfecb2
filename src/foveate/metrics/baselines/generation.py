"""Baselines of text-to-image generation: noise and mean images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Captions, split_words
from foveate.data.dataset import Image
from foveate.data.subset import ImageArray

BaselinePredictions = Callable[[Sequence[str]], dict[str, list[Image]]]
"""From texts to the images of each baseline by its name, (S, S, C) uint8 each."""

MAX_AVERAGED = 500
"""Images that a mean is taken over."""


def fit_baselines(
    images: ImageArray, captions: Sequence[Captions], seed: int
) -> BaselinePredictions:
    """Fit noise of the usual colours, the mean image, and means by caption.

    Args:
        images: (N, S, S, C) uint8.
        captions: Their captions.
        seed: For noise and for the choice of images.
    """
    order = np.random.default_rng(seed).permutation(len(captions))
    shape = images.shape[1:]
    some = np.stack([images[int(row)] for row in order[:MAX_AVERAGED]]).astype(np.float32)
    mean, deviation = some.mean((0, 1, 2)), some.std((0, 1, 2))
    words = sorted(
        {word for caption in captions for text in caption.texts for word in split_words(text)}
    )
    column_of = {word: column for column, word in enumerate(words)}
    rows_of: dict[str, list[int]] = {}  # caption -> the images that have it
    for row in order.tolist():
        for text in captions[row].texts:
            rows_of.setdefault(text, []).append(row)
    texts = list(rows_of)
    bags = _bags_of_words(texts, column_of)
    means: dict[str, Image] = {}

    def mean_of_similar(text: str) -> Image:
        """The mean image of the captions that share most words with the text."""
        if text not in means:
            bag = _bags_of_words([text], column_of)[0]
            similarity = np.minimum(bags, bag).sum(1) - 1e-3 * np.maximum(bags - bag, 0).sum(1)
            rows = [
                row
                for best in np.flatnonzero(similarity == similarity.max())
                for row in rows_of[texts[best]]
            ][:MAX_AVERAGED]
            means[text] = _to_uint8(np.mean([images[row] for row in rows], 0))
        return means[text]

    def predict(prompts: Sequence[str]) -> dict[str, list[Image]]:
        rng = np.random.default_rng(seed)
        return {
            "noise": [_to_uint8(rng.normal(mean, deviation, shape)) for _ in prompts],
            "mean image": [_to_uint8(some.mean(0))] * len(prompts),
            "mean of the same words": [mean_of_similar(text) for text in prompts],
        }

    return predict


def _bags_of_words(texts: Sequence[str], column_of: dict[str, int]) -> NDArray[np.float32]:
    """(N, words) how often each word is in each text."""
    bags = np.zeros((len(texts), len(column_of)), np.float32)
    for row, text in enumerate(texts):
        for word in split_words(text):
            if word in column_of:
                bags[row, column_of[word]] += 1
    return bags


def _to_uint8(image: NDArray[np.floating]) -> Image:
    return image.round().clip(0, 255).astype(np.uint8)
