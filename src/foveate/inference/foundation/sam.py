"""Segment Anything, and its second version, asked as our own promptable runs are.

Kirillov et al., "Segment anything", 2023; Ravi et al., "SAM 2: Segment anything in images and videos", 2024. The picture is encoded
once; clicks, a box and the answer before cost a small decoder only, which gives three masks and an estimate of each one's IoU.
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
from foveate.data.label_maps import nearest
from foveate.errors import SettingError
from foveate.inference.predictor import Predictor
from foveate.models import hf_folder, model_ref
from foveate.models.colour import colour
from foveate.models.heads.promptable import MaskPrediction
from foveate.models.interactive import Box, InteractivePredictor
from foveate.ops.clicks import Click
from foveate.tasks.promptable import Promptable, everything

KNOWN = 10.0
"""The logit of a pixel that is known, as SAM 2 itself hands masks on from picture to picture."""
_NEVER = 1e-6
"""Estimates are told as logits; those of 0 and 1, and SAM's beyond, as so near to them."""


class SamInteractivePredictor(InteractivePredictor):
    """A picture that SAM or SAM 2 has looked at. Places are handed over in the picture's pixels as they are given, as the library's own
    processor does, so that the same numbers give the same masks.

    net: SamModel or Sam2Model; processor: its image processor
    """

    @torch.no_grad()
    def __init__(self, net: Any, processor: Any, image: Image):
        super().__init__((image.shape[0], image.shape[1]))
        self.net, self.processor = net, processor
        given = processor(
            images=colour(image), input_data_format="channels_last", return_tensors="pt"
        )
        side = given["pixel_values"].shape[2]
        # SAM's pictures lie at the top left of a square, SAM 2's are stretched to it.
        self.lying = (
            tuple(map(int, given["reshaped_input_sizes"][0]))
            if "reshaped_input_sizes" in given
            else None
        )
        self.shown = self.lying or (side, side)
        self.side, self.coarse = side, 4 * side // net.config.prompt_encoder_config.patch_size
        maps = net.get_image_embeddings(given["pixel_values"])
        self.maps = maps if isinstance(maps, list) else [maps]

    def known(self, mask: NDArray[np.bool_]) -> Tensor:
        height, width = (max(1, round(self.coarse * part / self.side)) for part in self.shown)
        logits = torch.full((1, self.coarse, self.coarse), -KNOWN)
        there = nearest(mask.astype(np.uint8), (height, width)) > 0
        logits[0, :height, :width] = torch.from_numpy(np.where(there, KNOWN, -KNOWN))
        return logits

    @torch.no_grad()
    def ask(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        earlier: Tensor | None = None,
    ) -> MaskPrediction:
        """Candidates come surest first: estimates beyond 1 would all be told as 1. Questions of one shape are asked together, so that none
        is filled up with clicks that nobody made.
        """
        masks = torch.zeros(len(clicks), 3, self.coarse, self.coarse)
        sure = torch.zeros(len(clicks), 3)
        shapes: dict[tuple[int, bool], list[int]] = {}
        for row, own in enumerate(clicks):
            shapes.setdefault((len(own), boxes[row] is not None), []).append(row)
        for (count, boxed), rows in shapes.items():
            given = self._prompts([clicks[row] for row in rows]) if count else {}
            if boxed:
                given["input_boxes"] = self._scaled([boxes[row] for row in rows]).reshape(
                    len(rows), 1, 4
                )
            if earlier is not None:
                given["input_masks"] = earlier[rows, None]
            found = self.net(
                image_embeddings=self._repeated(len(rows)), multimask_output=True, **given
            )
            sure[rows], order = found.iou_scores[:, 0].sort(dim=1, descending=True, stable=True)
            masks[rows] = found.pred_masks[:, 0].gather(
                1, order[..., None, None].expand_as(found.pred_masks[:, 0])
            )
        return MaskPrediction(masks, sure.logit(_NEVER))

    def _prompts(self, clicks: Sequence[Sequence[Click]]) -> dict[str, Tensor]:
        """Equally many clicks of each question, as the library takes them."""
        places = self._scaled([[(x, y) for x, y, _ in own] for own in clicks])
        kinds = torch.tensor([[int(inside) for *_, inside in own] for own in clicks])
        return {"input_points": places[:, None], "input_labels": kinds[:, None]}

    def _repeated(self, count: int) -> Any:
        maps = [one.expand(count, -1, -1, -1) for one in self.maps]
        return maps if len(maps) > 1 else maps[0]

    def _scaled(self, places: Any) -> Tensor:
        """X and y, again and again, in the picture's pixels -> (N, P, 2) in those that the net sees."""
        down, along = (new / old for new, old in zip(self.shown, self.size, strict=True))
        return torch.tensor(places, dtype=torch.float32).reshape(len(places), -1, 2) * torch.tensor(
            [along, down]
        )

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        given = [logits[:, None]], [self.size]
        lying = () if self.lying is None else ([self.lying],)
        (found,) = self.processor.post_process_masks(*given, *lying)
        masks: NDArray[np.bool_] = found[:, 0].numpy()
        return masks


class Segmenter(Predictor):
    """Of mere pictures, all things that a grid of clicks finds."""

    def __init__(self, name: str, net: Any, processor: Any):
        self.told, self.net, self.processor = name, net, processor
        self.asked = Promptable(("thing",))

    @property
    def name(self) -> str:
        return self.told

    @property
    def task(self) -> Promptable:
        return self.asked

    def predict_images(self, images: Images, tile: int | None = None) -> list[Instances]:
        if tile is not None:
            raise SettingError(
                "a segmenter answers for whole pictures", where="tile", remedy="Leave out --tile."
            )
        return [everything(self._set_image(image)) for image in images]

    def _set_image(self, image: Image) -> SamInteractivePredictor:
        return SamInteractivePredictor(self.net, self.processor, image)


def load(folder: Path, family: str) -> tuple[Any, Any]:
    """Net and image processor of "sam" or "sam2". Raises SettingError for a folder that holds no such model."""
    told = model_ref.described(folder, family)
    transformers = hf_folder.library("transformers", f"{family}:DIR")
    kind, processor = (
        (transformers.SamModel, transformers.SamImageProcessor)
        if family == "sam"
        else (transformers.Sam2Model, transformers.Sam2ImageProcessor)
    )
    net, ready = hf_folder.net(kind, folder, told), hf_folder.component(processor, folder)
    side = net.config.prompt_encoder_config.image_size
    shown = ready.size.longest_edge or ready.size.height
    if shown != side:
        raise SettingError(
            f"its net takes pictures of {side} px, its preprocessor makes some of {shown} px",
            where=folder,
            remedy="Fetch the folder again, whole.",
        )
    return net, ready
