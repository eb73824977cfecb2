"""Checks of images: blank, blurred, too dark or bright, or of an unusual size or aspect ratio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding, Severity
from foveate.data.dataset import Dataset

MAX_BLANK_CONTRAST = 2.0
"""Standard deviation of the grey values, of 255, up to which an image shows nothing."""
MIN_CLIPPED = 0.95
"""Fraction of black (or white) pixels from which an image is too dark (or bright)."""
MAX_CLIPPED_LEVELS = 20.0
"""Distance in grey levels from black (or white) of the mean of an image that is too dark (or
bright); its standard deviation is below half of that."""
MAX_CLIPPED_IMAGES = 0.2
"""Fraction of too dark (or bright) images from which that is the dataset's nature, no fault."""
OUTLIER_DEVIATIONS = 5.0
"""Robust standard deviations (1.4826 times the median absolute deviation) from the median that make
an outlier."""
BLUR_DEVIATIONS = 3.7
"""The same for sharpness, which varies little among similar images."""
MIN_SIDE_FOR_BLUR = 16
"""Pixels of the shorter side below which every edge is soft."""
_MAX_UNIFORM_CONTRAST = 0.5  # up to which an image is blank whatever its brightness
_MIN_VALUES = 20  # values that a median is trusted from
_LOOK = "Look at it: does it belong to the dataset?"


class _Fault(NamedTuple):
    """The images of one check; score: (N,), larger is worse."""

    severity: Severity
    check: str
    rows: NDArray[np.bool_]
    score: NDArray[Any]
    reason: str
    remedy: str = _LOOK


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Check the images of a dataset.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.
    """
    for fault in _exposure_faults(image_stats) + _shape_faults(image_stats):
        for row in np.flatnonzero(fault.rows):
            yield Finding(
                fault.severity,
                fault.check,
                (dataset[int(row)].id,),
                f"{fault.reason} ({_describe(image_stats[row])})",
                fault.remedy,
                score=float(fault.score[row]),
            )


def _exposure_faults(stats: NDArray[Any]) -> list[_Fault]:
    brightness, contrast = stats["brightness"], stats["contrast"]
    dark, bright = _clipped(stats, "dark", 0), _clipped(stats, "bright", 255)
    blank = (contrast <= MAX_BLANK_CONTRAST) & ~dark & ~bright
    # A dataset of stars on black is dark throughout: then it is no fault of a single image.
    dark &= dark.mean() < MAX_CLIPPED_IMAGES if len(dark) else dark
    bright &= bright.mean() < MAX_CLIPPED_IMAGES if len(bright) else bright
    low, high = outliers(brightness, 4.0, ~blank)
    sharpness = np.log(np.maximum(stats["sharpness"], 1e-3))
    large = np.minimum(stats["height"], stats["width"]) >= MIN_SIDE_FOR_BLUR
    blurred, _ = outliers(sharpness, 0.1, ~blank & large, BLUR_DEVIATIONS)
    show = "Look whether it shows anything."
    return [
        _Fault("warning", "blank", blank, -contrast, "all pixels are nearly alike",
               "Remove it, if it shows nothing."),
        _Fault("warning", "too dark", dark, stats["dark"], "nearly all pixels are black", show),
        _Fault("warning", "too bright", bright, stats["bright"], "nearly all pixels are white",
               show),
        _Fault("note", "darker than the rest", low & ~dark, -brightness,
               "far darker than the median"),
        _Fault("note", "brighter than the rest", high & ~bright, brightness,
               "far brighter than the median"),
        _Fault("warning", "blurred", blurred, -sharpness, "far less sharp than the median"),
    ]  # fmt: skip


def _shape_faults(stats: NDArray[Any]) -> list[_Fault]:
    height, width = np.maximum(stats["height"], 1), np.maximum(stats["width"], 1)
    size, aspect = np.log(height * width.astype(float)), np.log(width / height)
    small, large = outliers(size, 0.05)
    tall, wide = outliers(aspect, 0.05)
    return [
        _Fault("note", "small", small, -size, "far smaller than the median",
               "Look whether it shows enough."),
        _Fault("note", "large", large, size, "far larger than the median"),
        _Fault("note", "unusual aspect ratio", tall | wide, np.abs(aspect),
               "its ratio of width to height is unlike the others'",
               "Crop it, if stretching it to a square would spoil it."),
    ]  # fmt: skip


def outliers(
    values: NDArray[Any],
    min_deviation: float,
    among: NDArray[np.bool_] | None = None,
    deviations: float = OUTLIER_DEVIATIONS,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find values far below and far above the median.

    Args:
        values: (N,).
        min_deviation: Smallest standard deviation, in the units of the values: where most are
            equal, a small difference is no outlier.
        among: (N,) which values count; by default all.
        deviations: Robust standard deviations that make an outlier.

    Returns:
        (N,) bool for low and for high outliers; none if fewer than 20 values count.
    """
    values = values.astype(float)
    among = np.ones(len(values), bool) if among is None else among
    if among.sum() < _MIN_VALUES:
        return np.zeros(len(values), bool), np.zeros(len(values), bool)
    median = float(np.median(values[among]))
    deviation = max(min_deviation, 1.4826 * float(np.median(np.abs(values[among] - median))))
    low, high = median - deviations * deviation, median + deviations * deviation
    return among & (values < low), among & (values > high)


def _clipped(stats: NDArray[Any], fraction: str, end: int) -> NDArray[np.bool_]:
    """Images with nearly all pixels at one end of the scale, or all of them close to it."""
    close = (np.abs(stats["brightness"] - end) < MAX_CLIPPED_LEVELS) & (
        stats["contrast"] < MAX_CLIPPED_LEVELS / 2
    )
    result: NDArray[np.bool_] = ((stats[fraction] >= MIN_CLIPPED) | close) & (
        stats["contrast"] > _MAX_UNIFORM_CONTRAST
    )
    return result


def _describe(stats: NDArray[Any]) -> str:
    return (
        f"{stats['width']} x {stats['height']} px, brightness {stats['brightness']:.0f}, "
        f"contrast {stats['contrast']:.0f}, sharpness {stats['sharpness']:.2f}"
    )
