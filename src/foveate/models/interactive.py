"""An image that is encoded once and segmented by prompts: clicks, boxes and earlier masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.errors import SettingError
from foveate.ops.clicks import Click

MASK_LOGIT = 4.0
"""Logit of the pixels inside a mask that the user starts from; its negative outside."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
Logits = Any
"""(N, h, w) logits of masks, as the model computes them: a tensor, or an array."""


class Candidates(Protocol):
    """Candidate masks for N objects."""

    def best(self) -> Logits:
        """Return the logits of the candidates with the highest estimated IoU."""
        ...

    def best_ious(self) -> NDArray[np.float32]:
        """Return (N,) estimated IoUs of these candidates, from 0 to 1."""
        ...


class InteractivePredictor(ABC):
    """Segments objects in one image by prompts.

    Prompts add up until `reset`, as they all describe the same object:

        predictor = run.set_image("x.png")
        predictor.click(120, 80)
        mask = predictor.click(10, 10, inside=False)

    Args:
        size: (height, width) of the image.

    Attributes:
        size: (height, width) of the image.
        clicks: Clicks so far.
        prompt_box: The box, or None.
        logits: (1, h, w) logits of the last prediction, or None.
        predicted_iou: Estimated IoU of the last prediction, or NaN.
    """

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.reset()

    def reset(self) -> None:
        """Discard all prompts, to segment another object."""
        self.clicks: list[Click] = []
        self.prompt_box: Box | None = None
        self.logits: Logits | None = None
        self.predicted_iou = float("nan")

    def set_mask(self, mask: NDArray[np.bool_]) -> None:
        """Start from a mask that clicks will correct, such as another model's prediction.

        Args:
            mask: (H, W) bool.

        Raises:
            SettingError: The mask has another size than the image.
        """
        if mask.shape != self.size:
            image, got = (" x ".join(map(str, shape[::-1])) for shape in (self.size, mask.shape))
            raise SettingError(
                f"a mask of {image} pixels is expected, as the image has, got {got}",
                where="mask",
            )
        self.reset()
        self.logits = self.to_logits(mask)

    def click(self, x: float, y: float, *, inside: bool = True) -> NDArray[np.bool_]:
        """Add a click on the object, or on the background, and predict.

        Args:
            x: Column in pixels.
            y: Row in pixels.
            inside: Whether the pixel belongs to the object.

        Returns:
            (H, W) bool mask.

        Raises:
            SettingError: The click is outside the image, or contradicts an earlier one.
        """
        return self.predict([(x, y, inside)])

    def box(self, left: float, top: float, right: float, bottom: float) -> NDArray[np.bool_]:
        """Set the box around the object, and predict.

        Returns:
            (H, W) bool mask.

        Raises:
            SettingError: The box contains no pixel of the image.
        """
        return self.predict([], (left, top, right, bottom))

    def predict(self, clicks: Sequence[Click], box: Box | None = None) -> NDArray[np.bool_]:
        """Add several clicks, and a box, and predict once.

        Args:
            clicks: (x, y, inside) each.
            box: Left, top, right, bottom; None keeps the earlier box.

        Returns:
            (H, W) bool mask.

        Raises:
            SettingError: See `click` and `box`.
        """
        self._check_clicks(clicks)
        if box is not None:
            self._check_box(box)
            self.prompt_box = box
        self.clicks += clicks
        prediction = self.predict_batch([self.clicks], [self.prompt_box], self.logits)
        self.logits = prediction.best()
        self.predicted_iou = float(prediction.best_ious()[0])
        mask: NDArray[np.bool_] = self.to_masks(self.logits)[0]
        return mask

    def _check_clicks(self, clicks: Sequence[Click]) -> None:
        height, width = self.size
        labels = {(int(x), int(y)): inside for x, y, inside in self.clicks}
        for x, y, label in clicks:
            if not (0 <= x < width and 0 <= y < height):
                raise SettingError(
                    f"a pixel of an image of {width} x {height} is expected, got {x:g},{y:g}",
                    where="point",
                )
            if labels.setdefault((int(x), int(y)), label) != label:
                raise SettingError(
                    f"the pixel {int(x)},{int(y)} is both inside and outside",
                    where="point",
                    remedy="Leave out one of the two.",
                )

    def _check_box(self, box: Box) -> None:
        height, width = self.size
        left, top, right, bottom = box
        if not (max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)):
            raise SettingError(
                "left, top, right and bottom are expected that contain pixels of an image of "
                f"{width} x {height}, got " + ",".join(f"{side:g}" for side in box),
                where="box",
            )

    @abstractmethod
    def to_logits(self, mask: NDArray[np.bool_]) -> Logits:
        """Convert a mask (H, W) to logits (1, h, w), as `predict_batch` takes them."""

    @abstractmethod
    def predict_batch(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        logits: Logits | None = None,
    ) -> Candidates:
        """Predict candidate masks for N objects.

        Args:
            clicks: (x, y, inside) in the image's pixels, for each object.
            boxes: Left, top, right, bottom in the image's pixels, or None, for each object.
            logits: (N, h, w) logits of an earlier prediction, or None.
        """

    @abstractmethod
    def to_masks(self, logits: Logits) -> NDArray[np.bool_]:
        """Convert logits (N, h, w) to masks (N, H, W) in the image's pixels."""
