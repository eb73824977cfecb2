"""Report panels on images generated from text: examples, what the evaluator reads, and failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.resizing import fit
from foveate.metrics.generation import GeneratedImage
from foveate.report.panels import Gallery, GalleryItem, Panel, Tone, share_bars
from foveate.wording import count_noun

MAX_IMAGES = 24
"""Images in a gallery."""
MAX_NEAREST = 8
"""Images in the gallery of those closest to a training image."""
MAX_WORDS = 12
"""Words in the chart of the hardest words."""


def generation_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    decode: Callable[[Sequence[int]], str],
) -> list[Panel]:
    """Make the panels of a text-to-image run.

    Args:
        stats: Per-image statistics from `metrics.generation`.
        ids: The id of each image.
        read_image: Returns the real image of a row, (H, W, C) uint8, or None if it cannot be read.
        read_pair: Returns the prediction and the target of a row.
        decode: Turns token numbers into text.
    """
    prompts, readings = np.asarray(stats["prompts"]), np.asarray(stats["read"])
    if not len(prompts):
        return []
    correct = (prompts == readings).all(1)
    wrong = np.flatnonzero(~correct)
    nearest = np.argsort(stats["distance"], kind="stable")[:MAX_NEAREST]

    def items(rows: NDArray[np.int64], detail: Callable[[int], str]) -> list[GalleryItem]:
        made = []
        for row in rows.tolist():
            if (real := read_image(row)) is None:
                return []
            prediction = read_pair(row)[0]
            assert isinstance(prediction, GeneratedImage)
            pair = _side_by_side(prediction.image, real)
            tone: Tone = "plain" if correct[row] else "bad"
            made.append(GalleryItem(pair, prediction.text, detail(row), tone))
        return made

    panels: list[Panel] = [
        Gallery(
            "Generated images",
            "Left: the generated image. Right: the real image with the same caption. The two need "
            "not look alike, but both must show what the caption says.",
            items(np.arange(len(prompts))[:MAX_IMAGES], lambda row: ids[row]),
        )
    ]
    if by_word := _accuracy_by_word(prompts, readings, decode):
        panels.append(
            share_bars(
                "Hardest words",
                "How often the evaluator reads each word in an image whose prompt contains it.",
                by_word,
            )
        )
    text = (
        f"In {len(wrong):,} of {count_noun(len(prompts), 'image')} the evaluator, which is trained "
        "on real images, reads something other than the prompt."
        if len(wrong)
        else "The evaluator reads the prompt in every image."
    )
    return [
        *panels,
        Gallery(
            "Images that do not match their prompt",
            text,
            items(wrong[:MAX_IMAGES], lambda row: f"read as: {decode(readings[row].tolist())}"),
        ),
        Gallery(
            "Closest to a training image",
            "The images that are closest to a single training image. The number is the distance to "
            "that image divided by the mean distance to the 50 nearest; a copy is near 0.",
            items(nearest, lambda row: f"{float(stats['distance'][row]):.2f}"),
        ),
    ]


def _side_by_side(image: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.uint8]:
    beside = fit(real, len(image), image.shape[2])
    gap = np.full((len(beside), 2, beside.shape[2]), 255, np.uint8)
    return np.concatenate([image, gap, beside], 1)


def _accuracy_by_word(
    prompts: NDArray[np.int64],
    readings: NDArray[np.int64],
    decode: Callable[[Sequence[int]], str],
) -> list[tuple[str, float]]:
    """The accuracy of the words that are read least often, among those not in every prompt."""
    varying = (prompts != prompts[:1]).any(0)
    words, correct = prompts[:, varying], (prompts == readings)[:, varying]
    accuracy = [
        (decode([word]), float(correct[words == word].mean())) for word in np.unique(words).tolist()
    ]
    return sorted((row for row in accuracy if row[0]), key=lambda row: row[1])[:MAX_WORDS]
