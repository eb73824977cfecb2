"""Promptable segmentation: the maps of an image, which a second file decodes with prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from foveate.data.dataset import Image
from foveate.tasks.capabilities import Interactive
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.presenters.promptable import Prediction, PromptablePresenter

if TYPE_CHECKING:
    from foveate.models.interactive import InteractivePredictor


class PromptEncoder(Protocol):
    """Encodes images for prompts; see `inference.exported.model`."""

    def encode(self, image: Image) -> InteractivePredictor:
        """Encode an image of any size, (H, W, C) uint8."""
        ...


class ExportedPromptable(PromptablePresenter, ExportedTask[Prediction], Interactive[PromptEncoder]):
    """Objects by clicks, with an encoder and a decoder."""

    letterbox = True
    has_decoder = True
    outputs: ClassVar = {
        "map_0": "(N, C, h, w) float32: the normalised images at the training size, padded; "
        "map_1, map_2, ... are what all prompts share. The decoder takes all of them for one "
        "image, with clicks (M, P, 3): x, y and 1 (inside), 0 (outside) or -1 (none), boxes "
        "(M, 4), all 0 for none, and masks (M, h, w), the logits of an earlier prediction or 0. It "
        "returns candidates (M, 3, h, w), the logits of three masks, and iou_logits (M, 3), their "
        "estimated IoUs",
    }

    def set_image(self, net: PromptEncoder, image: Image) -> InteractivePredictor:
        """Encode the image once, for any number of prompts."""
        return net.encode(image)
