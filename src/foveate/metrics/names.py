"""Metrics as they are shown: `map50` of a results file is mAP50 on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DISPLAY_NAMES = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "miou": "mIoU",
    "iou": "IoU",
    "pq": "PQ",
    "f1": "F1",
}


def display_name(name: str) -> str:
    """The name within a sentence: `boundary_f1` -> "boundary F1"."""
    return " ".join(_DISPLAY_NAMES.get(word, word) for word in name.split("_"))


def title_name(name: str) -> str:
    """The name at the start of a sentence: `boundary_f1` -> "Boundary F1", `map50` -> "mAP50"."""
    display = display_name(name)
    return display if name.split("_")[0] in _DISPLAY_NAMES else display[:1].upper() + display[1:]


def interval_basis(metric: Mapping[str, Any]) -> str:
    """What an interval rests on, if not on single images: " over 12 groups of images"."""
    groups = metric.get("groups", metric["n"])
    return f" over {groups:,} groups of images" if groups < metric["n"] else ""


def rough_mark(metric: Mapping[str, Any]) -> str:
    """A mark behind the ends of an interval that may cover too little: ", rough interval"."""
    return ", rough interval" if metric.get("rough") else ""
