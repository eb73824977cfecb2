"""What every annotation can be asked, so that nobody outside has to know its type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # Boxes is itself an Annotation
    from foveate.annotations.boxes import Boxes


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one annotation.

    Attributes:
        severity: "error", "warning" or "note".
        check: The kind of fault, in a few words; the same for all faults of a kind.
        reason: What was expected and what was found.
        remedy: What to do, in the imperative.
        rows: Rows of the annotation, where single boxes or instances are at fault.
        score: How bad the fault is among those of its kind; higher is worse.
    """

    severity: Literal["error", "warning", "note"]
    check: str
    reason: str
    remedy: str
    rows: tuple[int, ...] = ()
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the repair of an annotation.

    Attributes:
        what: What was done, in a few words.
        before: What was changed, as it was.
        after: As it is now; "" if it was removed.
    """

    what: str
    before: str
    after: str = ""


class Annotation(ABC):
    """A target or a prediction for one image. A target has no scores.

    The defaults suit an annotation without coordinates; a new kind overrides what differs.

    Attributes:
        task: Name of the task that these annotations are made for.
        default_format: Name of the format that writes them by default; None if none can.
        has_boxes: Whether `as_boxes` returns boxes.
        per_pixel: Whether each pixel has a class.
    """

    __slots__ = ()

    task: ClassVar[str]
    default_format: ClassVar[str | None] = None
    has_boxes: ClassVar[bool] = False
    per_pixel: ClassVar[bool] = False

    @abstractmethod
    def present(self) -> tuple[int, ...]:
        """The classes that occur, each once, in ascending order."""

    @property
    def present_is_cheap(self) -> bool:
        """Whether `present` needs no file to be read."""
        return True

    def as_boxes(self) -> Boxes | None:
        """The bounding boxes, one an object; None for annotations without boxes."""
        return None

    def class_map(self) -> NDArray[np.integer] | None:
        """(H, W) the class of each pixel, below 0 for none; None where pixels have no class."""
        return None

    def object_map(self, size: tuple[int, int]) -> NDArray[np.integer] | None:
        """(H, W) the number of the object at each pixel, from 1 on, 0 for none; None without masks.

        Args:
            size: (height, width) of the image.
        """
        return None

    # --- geometry

    def resize(self, before: tuple[int, int], after: tuple[int, int]) -> Annotation:
        """The annotation once its image is resized.

        Args:
            before: (height, width) of the image that it belongs to.
            after: (height, width) of the resized image.
        """
        return self

    def clip(self, size: tuple[int, int], num_classes: int) -> Annotation:
        """Make an invalid target scorable: fit it to its image and drop unknown classes.

        Only needed where the user trains in spite of errors in the data.

        Args:
            size: (height, width) of the image.
            num_classes: Number of classes of the dataset.
        """
        return self

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether its coordinates can belong to an image of (height, width); may read files."""
        return True

    def with_size(self, size: tuple[int, int]) -> Annotation:
        """With this (height, width) as the recorded size of the image."""
        return self

    def turned(self, orientation: int, size: tuple[int, int]) -> Annotation:
        """The annotation of an image as stored, once the image is turned upright.

        Args:
            orientation: EXIF orientation of the image, 2 to 8.
            size: (height, width) of the image as stored.
        """
        return self

    def map_classes(self, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Self:
        """With other class indices, from (N,) indices to (N,) indices."""
        return self

    # --- faults

    def problems(self, num_classes: int) -> Iterator[Problem]:
        """Faults that make the annotation unusable, whatever its image looks like."""
        unknown = [k for k in self.present() if k >= num_classes]
        if unknown:
            reason = f"its label is class {unknown[0]}, but there are only {num_classes} classes"
            yield Problem("error", "unknown class", reason, "Correct it, or name the class.")

    def image_problems(self, size: tuple[int, int], num_classes: int) -> Iterator[Problem]:
        """Faults of masks and outlines in an image of this (height, width); may read files."""
        yield from ()

    def repair(
        self, size: tuple[int, int], class_index: NDArray[np.int64]
    ) -> tuple[Annotation | None, list[Change]]:
        """Correct what can be corrected.

        Args:
            size: (height, width) of the image.
            class_index: (K,) new index of each class.

        Returns:
            The repaired annotation, or None if the sample has to be left out; and every change.
        """
        return self, []

    # --- proposals for a person to correct

    def as_target(self, size: tuple[int, int]) -> Annotation:
        """The prediction for an image of (height, width) as a target, that is without scores."""
        return self

    def min_confidence(self, shown: Any) -> float:
        """The lowest confidence of any decision in a prediction, from 0 to 1; NaN if unknown.

        Args:
            shown: The predictions above the display threshold; the rest were decided to be absent.
        """
        return float("nan")

    # --- the same annotation with less in it

    def without_flagged(self, flag: Literal["crowd", "difficult"]) -> Self:
        """Without the objects that have this flag."""
        return self

    def with_tight_boxes(self) -> Self:
        """With each box as the bounds of its shape."""
        return self

    def rasterised(self) -> Self:
        """With masks of pixels in place of outlines. Raises DataError if the size is unknown."""
        return self
