"""Checks of images with more than 8 bits a channel, and of files with several pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset
from foveate.data.depth import MIN_LEVELS, reading_of
from foveate.wording import count_noun

_MAX_MERGED = 1.5  # stored values that become one level: images of few values lose nothing
_MAX_CLIPPED = 0.05  # of the values of an image
_POINTS = (
    "Set the values that are black and white: --set black=NUMBER --set white=NUMBER in foveate "
    "train; without them they are measured."
)
_PAGES = (
    "Choose what is made of pages: --set pages=first, pages=max (the maximum of all) or "
    "pages=bands (a band of each) in foveate train."
)


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Check depth and pages.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.
    """
    deep = image_stats["deep"]
    if deep.any():
        yield from _check_depth(dataset, image_stats, np.flatnonzero(deep))
    if (image_stats["pages"] > 1).any() and reading_of(dataset).pages is None:
        yield _pages(dataset, image_stats["pages"])


def _check_depth(
    dataset: Dataset[Any], image_stats: NDArray[Any], rows: NDArray[np.int64]
) -> Iterator[Finding]:
    stats, ids = image_stats[rows], tuple(dataset[int(row)].id for row in rows)
    modes = ", ".join(sorted({str(mode) for mode in stats["mode"]}))
    points = reading_of(dataset).points
    range = "" if points is None else f" from {points[0]:,.6g} (black) to {points[1]:,.6g} (white)"
    yield Finding(
        "note",
        "more than 8 bits",
        ids,
        f"{count_noun(len(rows), 'image')} with more than 8 bits a channel ({modes}), scaled to "
        f"8 bits{range}, all alike",
        "Nothing, unless other values are black and white: --set black=NUMBER --set white=NUMBER.",
    )
    if len(rows) < len(dataset):
        others = tuple(dataset[int(row)].id for row in np.flatnonzero(~image_stats["deep"]))
        yield Finding(
            "warning",
            "8 bits among more",
            others,
            f"{count_noun(len(others), 'image')} of 8 bits among {len(rows):,} with more; they "
            "stay as they are, which fits only if they were scaled in the same way",
            "Export all images in one way.",
        )
    low, high = np.percentile(stats["low"], 5), np.percentile(stats["high"], 95)
    used = int(high) - int(low) + 1
    if used < MIN_LEVELS and np.median(stats["merged"]) > _MAX_MERGED:
        yield Finding(
            "error",
            "few grey levels",
            ids,
            f"the images should use at least {MIN_LEVELS} of 256 grey levels, they use {used}"
            f"{range}: differences that their files hold are lost",
            _POINTS,
        )
    for row, share in zip(rows.tolist(), stats["clipped"].tolist(), strict=True):
        if share > _MAX_CLIPPED:
            yield Finding(
                "warning",
                "values outside of black and white",
                (dataset[row].id,),
                f"{share:.0%} of the values lie outside of black and white, and are clipped",
                _POINTS,
                score=share,
            )


def _pages(dataset: Dataset[Any], pages: NDArray[np.int32]) -> Finding:
    counts = Counter(pages.tolist())
    rows = np.flatnonzero(pages > 1)
    ids = tuple(dataset[int(row)].id for row in rows)
    if len(counts) == 1:
        reason = f"each file has {pages[0]:,} pages, of which the first one is read"
        return Finding("warning", "several pages", ids, reason, _PAGES)
    numbers = ", ".join(f"{n:,} in {count_noun(counts[n], 'file')}" for n in sorted(counts)[:5])
    reason = (
        f"files with one number of pages are expected, got {numbers}; of each the first one is read"
    )
    return Finding("error", "several pages", ids, reason, _PAGES)
