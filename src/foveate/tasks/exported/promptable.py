"""Promptable segmentation: the maps of an image, which a second file decodes with prompts."""

from __future__ import annotations

from typing import ClassVar

from foveate.tasks.exported.exported_task import ExportedTask, Outputs
from foveate.tasks.presenters.promptable import Prediction, PromptablePresenter


class ExportedPromptable(PromptablePresenter, ExportedTask[Prediction]):
    """Objects by clicks, with an encoder and a decoder."""

    letterbox = True
    has_decoder = True
    net_outputs = ()
    outputs: ClassVar = {
        "map_0": "(N, C, h, w) float32: the normalised images at the training size, padded; "
        "map_1, map_2, ... are their features. The decoder takes all of them for one image, with "
        "clicks (M, P, 3): x, y and 1 (inside), 0 (outside) or -1 (none), boxes (M, 4), all 0 for "
        "none, and masks (M, h, w), the logits of an earlier prediction or 0. It returns "
        "candidates (M, 3, h, w), the logits of three masks, and iou_logits (M, 3), their "
        "estimated IoUs",
    }

    def graph(self) -> str:
        """Nothing: the maps are the outputs."""
        return ""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Prediction:
        """Not without prompts."""
        raise NotImplementedError
