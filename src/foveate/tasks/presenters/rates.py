"""What is predicted for an image in a few numbers, from which rates over many images are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rates:
    """A prediction in a few numbers.

    Attributes:
        amounts: By class: 1 for the class of an image, the number of objects, the share of pixels.
        objects: Number of objects, where the task predicts objects.
        confidence: Of the prediction, the mean over its objects; None without one.
    """

    amounts: Mapping[str, float] = field(default_factory=dict)
    objects: int | None = None
    confidence: float | None = None


def rates_of_objects(objects: Sequence[Mapping[str, Any]]) -> Rates:
    """The rates of an image's objects, as JSON has them."""
    scores = [float(one["score"]) for one in objects if "score" in one]
    amounts = Counter(str(one["class"]) for one in objects if "class" in one)
    mean = sum(scores) / len(scores) if scores else None
    return Rates({name: float(count) for name, count in amounts.items()}, len(objects), mean)
