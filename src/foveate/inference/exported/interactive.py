"""An interactive predictor with an exported model: ONNX Runtime and NumPy, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.inference.exported.runtimes import Runtime
from foveate.models.interactive import MASK_LOGIT, Box, InteractivePredictor
from foveate.ops.clicks import Click, padded_prompts
from foveate.ops.masks import resize_bilinear, resize_nearest


@dataclass(frozen=True)
class MaskCandidates:
    """Candidate masks for N objects.

    Attributes:
        masks: (N, 3, h, w) logits.
        iou_logits: (N, 3) estimated IoUs, as logits.
    """

    masks: NDArray[np.float32]
    iou_logits: NDArray[np.float32]

    def best(self) -> NDArray[np.float32]:
        """Return the logits (N, h, w) of the candidates with the highest estimated IoU."""
        rows = np.arange(len(self.masks))
        best: NDArray[np.float32] = self.masks[rows, self.iou_logits.argmax(1)]
        return best

    def best_ious(self) -> NDArray[np.float32]:
        """Return (N,) estimated IoUs of these candidates, from 0 to 1."""
        ious: NDArray[np.float32] = 1 / (1 + np.exp(-self.iou_logits.max(1)))
        return ious


class ExportedInteractivePredictor(InteractivePredictor):
    """Segments objects in one image by prompts.

    Args:
        decoder: Decodes the maps with prompts.
        outputs: Of the encoder, for one image.
        size: (height, width) of the image.
    """

    def __init__(
        self, decoder: Runtime, outputs: Mapping[str, NDArray[Any]], size: tuple[int, int]
    ):
        super().__init__(size)
        self._decoder = decoder
        self._maps = {name: value for name, value in outputs.items() if name.startswith("map_")}
        self._scaled_size = (int(outputs["content"][0]), int(outputs["content"][1]))
        self._padded_size = outputs["map_0"].shape[2:]

    def to_logits(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Convert a mask (H, W) to logits (1, h, w) of the padded input."""
        height, width = self._scaled_size
        scaled = resize_nearest(mask.astype(np.uint8), self._scaled_size) > 0
        logits = np.zeros((1, *self._padded_size), np.float32)
        logits[0, :height, :width] = np.where(scaled, MASK_LOGIT, -MASK_LOGIT)
        return logits

    def predict_batch(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        logits: NDArray[np.float32] | None = None,
    ) -> MaskCandidates:
        """Predict candidate masks for N objects."""
        down, along = (new / old for new, old in zip(self._scaled_size, self.size, strict=True))
        padded, corners = padded_prompts(clicks, boxes, down, along)
        if logits is None:
            logits = np.zeros((len(clicks), *self._padded_size), np.float32)
        prompts = {"clicks": padded, "boxes": corners, "masks": logits}
        found = self._decoder.compute({**self._maps, **prompts})
        return MaskCandidates(found["candidates"], found["iou_logits"])

    def to_masks(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Convert logits (N, h, w) to masks (N, H, W) in the image's pixels."""
        height, width = self._scaled_size
        cropped = logits[:, :height, :width]
        if self._scaled_size != self.size:
            cropped = resize_bilinear(cropped, self.size)
        masks: NDArray[np.bool_] = cropped > 0
        return masks
