"""Figures as people write them: `map50` of a results file is mAP50 on a page."""

from __future__ import annotations

_WRITTEN = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "miou": "mIoU",
    "iou": "IoU",
    "pq": "PQ",
    "f1": "F1",
}


def written(name: str) -> str:
    """As within a sentence: `boundary_f1` -> "boundary F1"."""
    return " ".join(_WRITTEN.get(word, word) for word in name.split("_"))


def headed(name: str) -> str:
    """As at the start of one: `boundary_f1` -> "Boundary F1", `map50` -> "mAP50"."""
    told = written(name)
    return told if name.split("_")[0] in _WRITTEN else told[:1].upper() + told[1:]
