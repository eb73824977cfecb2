"""An image that is encoded once and segmented by prompts: clicks, boxes and earlier masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.dataset import Image
from foveate.data.resizing import letterbox_size
from foveate.errors import SettingError
from foveate.models.heads.promptable import NO_CLICK, MaskPrediction, PromptableHead, Prompts
from foveate.models.model import VisionModel
from foveate.ops.clicks import Click
from foveate.ops.masks import resize_nearest

MASK_LOGIT = 4.0
"""Logit of the pixels inside a mask that the user starts from; its negative outside."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


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
        self.logits: Tensor | None = None
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
        self.predicted_iou = float(prediction.iou_logits.max().sigmoid())
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
    def to_logits(self, mask: NDArray[np.bool_]) -> Tensor:
        """Convert a mask (H, W) to logits (1, h, w), as `predict_batch` takes them."""

    @abstractmethod
    def predict_batch(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        logits: Tensor | None = None,
    ) -> MaskPrediction:
        """Predict candidate masks for N objects.

        Args:
            clicks: (x, y, inside) in the image's pixels, for each object.
            boxes: Left, top, right, bottom in the image's pixels, or None, for each object.
            logits: (N, h, w) logits of an earlier prediction, or None.
        """

    @abstractmethod
    def to_masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """Convert logits (N, h, w) to masks (N, H, W) in the image's pixels."""


class NetInteractivePredictor(InteractivePredictor):
    """An interactive predictor with a net of foveate's own.

    Args:
        net: A net whose body is a `PromptableHead`.
        image: (H, W, C) uint8.
    """

    @torch.no_grad()
    def __init__(self, net: VisionModel, image: Image):
        assert isinstance(net.body, PromptableHead)
        super().__init__((image.shape[0], image.shape[1]))
        net.eval()
        self.body = net.body
        self.scaled_size = letterbox_size(*self.size, net.size)
        ((_, batch),) = net.padded_batches([image], 1)
        self.padded_size = (batch.shape[2], batch.shape[3])
        self.maps = net.encode(batch)

    def to_logits(self, mask: NDArray[np.bool_]) -> Tensor:
        """Convert a mask (H, W) to logits (1, h, w) of the padded input."""
        height, width = self.scaled_size
        scaled = resize_nearest(mask.astype(np.uint8), self.scaled_size) > 0
        logits = torch.zeros(1, *self.padded_size, device=self.maps[0].device)
        logits[0, :height, :width] = torch.from_numpy(np.where(scaled, MASK_LOGIT, -MASK_LOGIT))
        return logits

    @torch.no_grad()
    def predict_batch(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        logits: Tensor | None = None,
    ) -> MaskPrediction:
        """Predict candidate masks for N objects."""
        count, most = len(clicks), max(1, *map(len, clicks)) if clicks else 1
        down, along = (new / old for new, old in zip(self.scaled_size, self.size, strict=True))
        padded = np.full((count, most, 3), NO_CLICK, np.float32)
        for row, object_clicks in enumerate(clicks):
            for column, (x, y, label) in enumerate(object_clicks):
                padded[row, column] = x * along, y * down, label
        scale = np.array([along, down] * 2, np.float32)
        corners = np.array([box or (0, 0, 0, 0) for box in boxes], np.float32)
        device = self.maps[0].device
        prompts = Prompts(
            torch.zeros(count, dtype=torch.int64, device=device),
            torch.from_numpy(padded).to(device),
            torch.from_numpy(corners.reshape(count, 4) * scale).to(device),
            torch.zeros(count, *self.padded_size, device=device) if logits is None else logits,
        )
        return self.body.decode(self.maps, prompts)

    def to_masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """Convert logits (N, h, w) to masks (N, H, W) in the image's pixels."""
        height, width = self.scaled_size
        cropped = logits[:, :height, :width]
        if self.scaled_size != self.size:
            cropped = F.interpolate(cropped[:, None], size=self.size, mode="bilinear")[:, 0]
        masks: NDArray[np.bool_] = (cropped > 0).cpu().numpy()
        return masks
