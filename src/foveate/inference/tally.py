"""What was predicted, counted over all images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from foveate.tasks.presenters.presenter import Presenter
from foveate.wording import count_noun

MAX_CLASSES = 20
"""Classes that get a line."""


class Tally:
    """Counts what is predicted for each class.

    Args:
        task: The task.

    Attributes:
        images: Images and frames so far.
    """

    def __init__(self, task: Presenter[Any]):
        self.counted = task.counted
        self.images = 0
        self._frames = 0
        self._amounts: defaultdict[str, float] = defaultdict(float)
        self._images: Counter[str] = Counter()

    def add(self, amounts: Mapping[str, float], *, frame: bool = False) -> None:
        """Count one image, or one frame of a video; see `Presenter.amounts`."""
        self.images += 1
        self._frames += frame
        for name, amount in amounts.items():
            self._amounts[name] += amount
            self._images[name] += 1

    def lines(self) -> list[str]:
        """A line for each class that occurs, the most frequent first, for two images or more."""
        if self.images < 2:
            return []
        ranked = sorted(self._amounts, key=lambda name: (-self._amounts[name], name))
        rows = [self._row(name) for name in ranked[:MAX_CLASSES]]
        if len(ranked) > 1 and self.counted == "object":
            rows.append(("all classes", *self._objects(sum(self._amounts.values()))))
        lines = [f"  {line}" for line in _aligned(rows)]
        if len(ranked) > MAX_CLASSES:
            lines.append(f"  and {count_noun(len(ranked) - MAX_CLASSES, 'class', 'classes')} more")
        return lines

    def _row(self, name: str) -> tuple[str, ...]:
        amount, images = self._amounts[name], count_noun(self._images[name], *self._noun)
        if self.counted == "image":
            return name, images, f"{self._images[name] / self.images:.1%}"
        if self.counted == "pixel":
            article = "a" if self._noun[0] == "frame" else "an"
            share = f"{amount / self.images:.1%} of the pixels of {article} {self._noun[0]}"
            return name, share, f"in {images}"
        return (name, *self._objects(amount), f"in {images}")

    @property
    def _noun(self) -> tuple[str, str]:
        """What is counted: images, frames, or both."""
        if not self._frames:
            return "image", "images"
        if self._frames == self.images:
            return "frame", "frames"
        return "image or frame", "images and frames"

    def _objects(self, amount: float) -> tuple[str, str]:
        each = f"{amount / self.images:.2f} per {self._noun[0]}"
        return count_noun(round(amount), "object"), each


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows of text in columns: the first one to the left, the others to the right."""
    rows = list(rows)
    widths = [
        max(len(row[k]) for row in rows if k < len(row))
        for k in range(max(map(len, rows), default=0))
    ]
    return [
        "   ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]
