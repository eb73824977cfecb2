"""Metrics as they are shown: `map50` of a results file is mAP50 on a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from foveate.wording import count_noun, percent

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
    """The name in a sentence: `boundary_f1` -> "boundary F1", `iou_3` -> "IoU after 3 clicks"."""
    if clicks := re.fullmatch(r"iou_(\d+)", name):
        return f"IoU after {count_noun(int(clicks[1]), 'click')}"
    return " ".join(_DISPLAY_NAMES.get(word, word) for word in name.split("_"))


def with_article(name: str) -> str:
    """The name of one value in a sentence: "an mAP50", "an F1", "an accuracy", "a recall"."""
    display = display_name(name)
    word = display.split()[0]
    spelled = word != word.lower()  # an abbreviation begins with the name of its first letter
    vowel = word[0] in ("AEFHILMNORSXaefhilmnorsx" if spelled else "aeiou")
    return f"{'an' if vowel else 'a'} {display}"


def title_name(name: str) -> str:
    """The name at the start of a sentence: `boundary_f1` -> "Boundary F1", `map50` -> "mAP50"."""
    display = display_name(name)
    return display if name.split("_")[0] in _DISPLAY_NAMES else display[:1].upper() + display[1:]


def interval_basis(metric: Mapping[str, Any]) -> str:
    """What an interval rests on, if not on single images: " over 12 groups of images"."""
    groups = metric.get("groups")
    if groups is None or groups >= metric["n"]:
        return ""
    return f" over {count_noun(groups, 'group')} of images"


def interval(metric: Mapping[str, Any]) -> str:
    """The confidence interval of a metric: "95% confidence interval is 96.9% to 99.6%"."""
    rough = "rough " if metric.get("rough") else ""
    ends = f"{percent(metric['low'])} to {percent(metric['high'])}"
    return f"{rough}95% confidence interval is {ends}{interval_basis(metric)}"


def rough_mark(metric: Mapping[str, Any]) -> str:
    """A mark behind the ends of an interval that may cover too little: ", rough interval"."""
    return ", rough interval" if metric.get("rough") else ""
