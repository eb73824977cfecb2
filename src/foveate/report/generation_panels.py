"""The report's sections about pictures that were made from words: what they look like, what is read in them, and what fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.images import fit
from foveate.metrics.generation import GeneratedImage
from foveate.report.panels import Gallery, Item, Panel, shares

SHOWN = 24
"""Pictures of each kind."""
HARDEST = 12
"""Words that are told."""


def drawn_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    words: Callable[[Sequence[int]], str],
) -> list[Panel]:
    """From a tally of `evaluation.drawn`. pair: a picture's answer, and what is true; words: of these numbers"""
    told, read = np.asarray(stats["told"]), np.asarray(stats["read"])
    if not len(told):
        return []
    right = (told == read).all(1)
    wrong, near = np.flatnonzero(~right), np.argsort(stats["near"], kind="stable")

    def items(rows: NDArray[np.int64], small: Callable[[int], str]) -> list[Item]:
        found = []
        for row in rows.tolist():
            if (real := read_image(row)) is None:
                return []
            prediction = read_pair(row)[0]
            assert isinstance(prediction, GeneratedImage)
            beside = fit(real, len(prediction.image), prediction.image.shape[2])
            gap = np.full((len(beside), 2, beside.shape[2]), 255, np.uint8)
            found.append(
                Item(
                    np.concatenate([prediction.image, gap, beside], 1),
                    prediction.text,
                    small(row),
                    "plain" if right[row] else "bad",
                )
            )
        return found

    by_word = _by_word(told, read, words)
    return [
        Gallery(
            "From words to pictures",
            "On the left what was made, on the right the real picture that the words were taken from. They need not be alike: "
            "only what is said must be.",
            items(np.arange(len(told))[:SHOWN], lambda row: ids[row]),
        ),
        *(
            [
                shares(
                    "What is hard to say in pictures",
                    "How often each word is read where it was asked for.",
                    by_word,
                )
            ]
            if by_word
            else []
        ),
        Gallery(
            "Read as something else",
            f"In {len(wrong):,} of {len(told):,} a net that learnt from real pictures reads something else than was asked."
            if len(wrong)
            else "There are none.",
            items(wrong[:SHOWN], lambda row: f"read: {words(read[row].tolist())}"),
        ),
        Gallery(
            "Nearest to a train picture",
            "Those that stand out most by how near they are to one train picture, as a share of the mean over its fifty nearest: "
            "copies would be near 0.",
            items(near[: SHOWN // 3], lambda row: f"{float(stats['near'][row]):.2f}"),
        ),
    ]


def _by_word(
    told: NDArray[np.int64], read: NDArray[np.int64], words: Callable[[Sequence[int]], str]
) -> list[tuple[str, float]]:
    """The words that are read least often where they were asked for, hardest first, of those that are not in all captions."""
    varying = (told != told[:1]).any(0)
    asked, found = told[:, varying], (told == read)[:, varying]
    shares_of = [
        (words([number]), float(found[asked == number].mean()))
        for number in np.unique(asked).tolist()
    ]
    return sorted(((name, share) for name, share in shares_of if name), key=lambda one: one[1])[
        :HARDEST
    ]
