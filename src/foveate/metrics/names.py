"""Display names of metrics: `map50` of a results file is mAP50 on a page."""

from __future__ import annotations

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
