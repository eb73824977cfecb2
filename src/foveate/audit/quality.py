"""Pictures that are no good examples: blank, blurred, too dark or bright, or of a size or shape unlike the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset

BLANK = 2.0
"""Standard deviation of the grey values, of 255, up to which there is nothing to see."""
LOST = 0.95
"""The share of pixels at black (or white) from which a picture is too dark (or bright)."""
NARROW = 20.0
"""Grey levels from black (or white) that hold the mean, and the deviation, of a picture that is too dark (or bright)."""
COMMON = 0.2
"""The share of the set from which being dark (or bright) is its nature and no fault."""
FAR = 5.0
"""Robust standard deviations (1.4826 times the median deviation) from the set's middle that make an outlier."""
SOFT = 3.7
"""The same for sharpness, which varies little among pictures of one kind."""
FINE = 16
"""Pixels of the shorter side below which every edge is soft."""
_NOTHING = 0.5  # the deviation up to which a picture is blank whatever its brightness
_LEAST = 20  # pictures that a middle is told from


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Findings of the pictures. looks: (N,) of LOOK."""
    dark, bright = _exposed(image_stats, "dark", 0), _exposed(image_stats, "bright", 255)
    blank = (image_stats["contrast"] <= BLANK) & ~dark & ~bright
    # A set of stars on black is dark throughout: then it is no fault of a single picture.
    dark &= dark.mean() < COMMON if len(dark) else dark
    bright &= bright.mean() < COMMON if len(bright) else bright
    faults = [
        (
            "warning",
            "blank",
            blank,
            -image_stats["contrast"],
            "all pixels are nearly alike",
            "Remove it, if it shows nothing.",
        ),
        (
            "warning",
            "too dark",
            dark,
            image_stats["dark"],
            "nearly all pixels are black",
            "Look whether it can be learnt from.",
        ),
        (
            "warning",
            "too bright",
            bright,
            image_stats["bright"],
            "nearly all pixels are white",
            "Look whether it shows anything.",
        ),
    ]
    low, high = far(image_stats["brightness"], 4.0, ~blank)
    faults += [
        ("note", "darker than the rest", low & ~dark, -image_stats["brightness"], "far darker than the set's middle", _LOOK),
        ("note", "brighter than the rest", high & ~bright, image_stats["brightness"], "far brighter than the middle", _LOOK),
    ]  # fmt: skip
    sharpness = np.log(np.maximum(image_stats["sharpness"], 1e-3))
    fine = np.minimum(image_stats["height"], image_stats["width"]) >= FINE
    blurred, _ = far(sharpness, 0.1, ~blank & fine, SOFT)
    faults.append(
        ("warning", "blurred", blurred, -sharpness, "far less sharp than the set's middle", _LOOK)
    )
    size = np.log(
        np.maximum(image_stats["height"], 1) * np.maximum(image_stats["width"], 1).astype(float)
    )
    small, large = far(size, 0.05)
    faults.append(
        (
            "note",
            "small",
            small,
            -size,
            "far smaller than the set's middle",
            "Look whether it shows enough.",
        )
    )
    faults.append(("note", "large", large, size, "far larger than the set's middle", _LOOK))
    aspect = np.log(np.maximum(image_stats["width"], 1) / np.maximum(image_stats["height"], 1))
    tall, wide = far(aspect, 0.05)
    odd = tall | wide
    faults.append(
        (
            "note",
            "odd shape",
            odd,
            np.abs(aspect),
            "its width to height is unlike the rest's",
            _STRETCHED,
        )
    )
    for severity, name, rows, score, reason, remedy in faults:
        for row in np.flatnonzero(rows):
            told = f"{reason} ({_numbers(image_stats[row])})"
            yield Finding(
                severity, name, (dataset[int(row)].id,), told, remedy, score=float(score[row])
            )  # type: ignore[arg-type]


_LOOK = "Look at it: does it belong to the set?"
_STRETCHED = "Crop it, if stretching it to a square would spoil it."


def far(
    values: NDArray[Any], floor: float, among: NDArray[np.bool_] | None = None, reach: float = FAR
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of (N,) values lie far below, and far above, the middle of those `among`, in robust deviations.

    floor: the least deviation, in the values' own units: where most are equal, a small difference is not far
    Fewer than 20 values have no middle, and none is far.
    """
    values = values.astype(float)
    among = np.ones(len(values), bool) if among is None else among
    if among.sum() < _LEAST:
        return np.zeros(len(values), bool), np.zeros(len(values), bool)
    middle = float(np.median(values[among]))
    deviation = max(floor, 1.4826 * float(np.median(np.abs(values[among] - middle))))
    return among & (values < middle - reach * deviation), among & (
        values > middle + reach * deviation
    )


def _exposed(image_stats: NDArray[Any], lost: str, end: int) -> NDArray[np.bool_]:
    """Which pictures have nearly all pixels at one end of the scale, or all of them close to it."""
    close = (np.abs(image_stats["brightness"] - end) < NARROW) & (
        image_stats["contrast"] < NARROW / 2
    )
    return ((image_stats[lost] >= LOST) | close) & (image_stats["contrast"] > _NOTHING)


def _numbers(look: NDArray[Any]) -> str:
    return (
        f"{look['width']} x {look['height']} px, brightness {look['brightness']:.0f}, contrast {look['contrast']:.0f}, "
        f"sharpness {look['sharpness']:.2f}"
    )
