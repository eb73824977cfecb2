"""An interactive predictor with a net of foveate's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.dataset import Image
from foveate.data.resizing import letterbox_size
from foveate.models.heads.promptable import MaskPrediction, PromptableHead, Prompts
from foveate.models.interactive import MASK_LOGIT, Box, InteractivePredictor
from foveate.models.model import VisionModel
from foveate.ops.clicks import Click, padded_prompts
from foveate.ops.masks import resize_nearest


class NetInteractivePredictor(InteractivePredictor):
    """An interactive predictor with a net of foveate's own.

    Args:
        net: A net whose body is a `PromptableHead`.
        image: (H, W, C) uint8.
        others: Further images of that size, whose objects `predict_batch` takes too.
    """

    @torch.no_grad()
    def __init__(self, net: VisionModel, image: Image, *others: Image):
        assert isinstance(net.body, PromptableHead)
        super().__init__((image.shape[0], image.shape[1]))
        net.eval()
        self.body = net.body
        self.scaled_size = letterbox_size(*self.size, net.size)
        images = [image, *others]
        ((_, batch),) = net.padded_batches(images, len(images) * net.size**2)
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
        images: NDArray[np.int64] | None = None,
    ) -> MaskPrediction:
        """Predict candidate masks for N objects; `images` (N,) says in which image each is."""
        count = len(clicks)
        rows = np.zeros(count, np.int64) if images is None else images
        down, along = (new / old for new, old in zip(self.scaled_size, self.size, strict=True))
        padded, corners = padded_prompts(clicks, boxes, down, along)
        device = self.maps[0].device
        prompts = Prompts(
            torch.from_numpy(rows).to(device),
            torch.from_numpy(padded).to(device),
            torch.from_numpy(corners).to(device),
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
