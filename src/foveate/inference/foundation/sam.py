"""Segment Anything, versions 1 and 2, with the interface of promptable runs.

Kirillov et al., "Segment anything", 2023; Ravi et al., "SAM 2: Segment anything in images and
videos", 2024. The image is encoded once; each prompt runs the small decoder only, which gives
three masks and an estimated IoU for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveate.annotations import Instances
from foveate.data.dataset import Image, Images
from foveate.errors import SettingError
from foveate.inference.predictor import Predictor
from foveate.models import hf_folder, model_ref
from foveate.models.colour import to_rgb
from foveate.models.heads.promptable import MaskPrediction
from foveate.models.interactive import Box, InteractivePredictor
from foveate.ops.clicks import Click
from foveate.ops.masks import resize_nearest
from foveate.tasks.clicking import segment_everything
from foveate.tasks.promptable import Promptable

MASK_LOGIT = 10.0
"""Logit of a known pixel, as SAM 2 passes masks from one frame to the next."""
_LOGIT_EPS = 1e-6
"""Estimated IoUs are clamped to this distance from 0 and 1 before they become logits."""


class SamInteractivePredictor(InteractivePredictor):
    """An image encoded by SAM or SAM 2.

    Coordinates are passed to the net as the library's processor does, without rounding, so that
    the same prompts give the same masks.

    Args:
        net: SamModel or Sam2Model.
        processor: Its image processor.
        image: (H, W, C) uint8.
    """

    @torch.no_grad()
    def __init__(self, net: Any, processor: Any, image: Image):
        super().__init__((image.shape[0], image.shape[1]))
        self.net, self.processor = net, processor
        inputs = processor(
            images=to_rgb(image), input_data_format="channels_last", return_tensors="pt"
        )
        side = inputs["pixel_values"].shape[2]
        # SAM pads images to a square; SAM 2 stretches them.
        self.unpadded_size = (
            tuple(map(int, inputs["reshaped_input_sizes"][0]))
            if "reshaped_input_sizes" in inputs
            else None
        )
        self.scaled_size = self.unpadded_size or (side, side)
        self.side = side
        self.mask_side = 4 * side // net.config.prompt_encoder_config.patch_size
        with hf_folder.library_errors("model"):
            maps = net.get_image_embeddings(inputs["pixel_values"])
        self.maps = maps if isinstance(maps, list) else [maps]

    def to_logits(self, mask: NDArray[np.bool_]) -> Tensor:
        """Convert a mask (H, W) to the decoder's low-resolution logits (1, h, w)."""
        height, width = (
            max(1, round(self.mask_side * side / self.side)) for side in self.scaled_size
        )
        logits = torch.full((1, self.mask_side, self.mask_side), -MASK_LOGIT)
        scaled = resize_nearest(mask.astype(np.uint8), (height, width)) > 0
        logits[0, :height, :width] = torch.from_numpy(np.where(scaled, MASK_LOGIT, -MASK_LOGIT))
        return logits

    @torch.no_grad()
    def predict_batch(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        logits: Tensor | None = None,
    ) -> MaskPrediction:
        """Predict candidate masks for N objects, the best candidate first.

        They are sorted by the raw estimates, some of which exceed 1 and would become equal as
        logits. Objects with equally many clicks are batched, so that none needs padding clicks.
        """
        masks = torch.zeros(len(clicks), 3, self.mask_side, self.mask_side)
        iou = torch.zeros(len(clicks), 3)
        groups: dict[tuple[int, bool], list[int]] = {}
        for row, object_clicks in enumerate(clicks):
            groups.setdefault((len(object_clicks), boxes[row] is not None), []).append(row)
        for (count, boxed), rows in groups.items():
            prompts = self._click_inputs([clicks[row] for row in rows]) if count else {}
            if boxed:
                corners = self._scale([boxes[row] for row in rows])
                prompts["input_boxes"] = corners.reshape(len(rows), 1, 4)
            if logits is not None:
                prompts["input_masks"] = logits[rows, None]
            with hf_folder.library_errors("model"):
                output = self.net(
                    image_embeddings=self._repeat_maps(len(rows)), multimask_output=True, **prompts
                )
            iou[rows], order = output.iou_scores[:, 0].sort(dim=1, descending=True, stable=True)
            candidates = output.pred_masks[:, 0]
            masks[rows] = candidates.gather(1, order[..., None, None].expand_as(candidates))
        return MaskPrediction(masks, iou.logit(_LOGIT_EPS))

    def _click_inputs(self, clicks: Sequence[Sequence[Click]]) -> dict[str, Tensor]:
        """Equally many clicks per object, as the library takes them."""
        points = self._scale([[(x, y) for x, y, _ in one] for one in clicks])
        labels = torch.tensor([[int(inside) for *_, inside in one] for one in clicks])
        return {"input_points": points[:, None], "input_labels": labels[:, None]}

    def _repeat_maps(self, count: int) -> Any:
        maps = [one.expand(count, -1, -1, -1) for one in self.maps]
        return maps if len(maps) > 1 else maps[0]

    def _scale(self, points: Any) -> Tensor:
        """Points in the image's pixels -> (N, P, 2) in the net's input pixels."""
        down, along = (new / old for new, old in zip(self.scaled_size, self.size, strict=True))
        flat = torch.tensor(points, dtype=torch.float32).reshape(len(points), -1, 2)
        return flat * torch.tensor([along, down])

    def to_masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """Convert logits (N, h, w) to masks (N, H, W) in the image's pixels."""
        sizes = [self.size], *([] if self.unpadded_size is None else [[self.unpadded_size]])
        (upscaled,) = self.processor.post_process_masks([logits[:, None]], *sizes)
        masks: NDArray[np.bool_] = upscaled[:, 0].numpy()
        return masks


class SamPredictor(Predictor):
    """Segments what a grid of clicks finds, or an object by prompts.

    Args:
        name: "sam:DIR" or "sam2:DIR".
        net: SamModel or Sam2Model.
        processor: Its image processor.
    """

    def __init__(self, name: str, net: Any, processor: Any):
        self._name, self.net, self.processor = name, net, processor
        self._task = Promptable(("object",))

    @property
    def name(self) -> str:
        """The reference that it was opened with."""
        return self._name

    @property
    def task(self) -> Promptable:
        """Promptable segmentation."""
        return self._task

    def predict_images(self, images: Images, tile: int | None = None) -> list[Instances]:
        """Segment all objects that a grid of clicks finds.

        Raises:
            SettingError: A tile size is given.
        """
        if tile is not None:
            raise SettingError(
                "sam segments whole images", where="tile", remedy="Leave out --tile."
            )
        return [segment_everything(self._set_image(image)) for image in images]

    def _set_image(self, image: Image) -> SamInteractivePredictor:
        return SamInteractivePredictor(self.net, self.processor, image)


def load(folder: Path, family: str) -> tuple[Any, Any]:
    """Load net and image processor.

    Args:
        folder: The model's folder.
        family: "sam" or "sam2".

    Raises:
        SettingError: The folder holds no such model.
    """
    config = model_ref.read_config(folder, family)
    transformers = hf_folder.import_library("transformers", f"{family}:DIR")
    net_class, processor_class = (
        (transformers.SamModel, transformers.SamImageProcessor)
        if family == "sam"
        else (transformers.Sam2Model, transformers.Sam2ImageProcessor)
    )
    net = hf_folder.load_net(net_class, folder, config)
    side = net.config.prompt_encoder_config.image_size
    return net, hf_folder.load_image_processor(processor_class, folder, side)
