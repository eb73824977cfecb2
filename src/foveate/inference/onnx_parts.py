"""The second graphs of nets that are more than one: decoders of prompts, samplers of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from foveate.inference.onnx_file import convert, net_step
from foveate.models.heads.flow_matching import FlowMatchingModel
from foveate.models.heads.promptable import PromptableHead, Prompts
from foveate.models.model import VisionModel

DECODER_OUTPUTS = ["candidates", "iou_logits"]
"""The names of what the graph of a decoder gives."""


def decoder_to_onnx(net: VisionModel) -> bytes:
    """Convert the decoder of a promptable net to the bytes of an ONNX file.

    Its inputs are map_0, map_1, ..., clicks, boxes and masks, see `heads.promptable.Prompts`; all
    objects are in one image. Its outputs are DECODER_OUTPUTS.

    Args:
        net: A net on the CPU whose body is a `PromptableHead`.

    Raises:
        SettingError: The decoder cannot be converted.
    """
    from torch.export import Dim

    assert isinstance(net.body, PromptableHead)
    step = net_step(net)
    height, width = (net.size, net.size) if step is None else (4 * step, 3 * step)
    with torch.no_grad():
        maps = net.encode(torch.zeros(1, net.channels, height, width, dtype=torch.uint8))
    prompts = (torch.zeros(3, 2, 3), torch.zeros(3, 4), torch.zeros(3, height, width))
    axes: list[Any] = [{} for _ in maps]
    sides: dict[int, Any] = {}
    if step is not None:
        rows, columns = Dim("rows", min=1), Dim("columns", min=1)
        factors = [step * one.shape[2] // height for one in maps]
        axes = [{2: _times(factor, rows), 3: _times(factor, columns)} for factor in factors]
        sides = {1: step * rows, 2: step * columns}
    objects = Dim("objects")
    shapes = ([*axes], {0: objects, 1: Dim("clicks")}, {0: objects}, {0: objects, **sides})
    names = [*(f"map_{number}" for number in range(len(maps))), "clicks", "boxes", "masks"]
    return convert(
        PromptDecoder(net.body),
        ([*maps], *prompts),
        shapes,
        inputs=names,
        outputs=DECODER_OUTPUTS,
        what="decoder",
    )


def _times(factor: int, side: Any) -> Any:
    return side if factor == 1 else factor * side


class PromptDecoder(nn.Module):
    """The decoder with tensors as inputs and outputs; all objects are in one image."""

    def __init__(self, body: PromptableHead):
        super().__init__()
        self.body = body

    def forward(
        self, maps: list[Tensor], clicks: Tensor, boxes: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The masks and iou_logits of `MaskPrediction`."""
        rows = torch.zeros_like(clicks[:, 0, 0], dtype=torch.int64)
        prediction = self.body.decode(maps, Prompts(rows, clicks, boxes, masks))
        return prediction.masks, prediction.iou_logits


def text_to_onnx(net: VisionModel) -> bytes:
    """Convert what a flow-matching model reads of words to the bytes of an ONNX file.

    Its input is words (N, L) int64, its output conditioning (N, h, w, D).

    Args:
        net: A net on the CPU whose body is a `FlowMatchingModel` with a vocabulary.

    Raises:
        SettingError: It cannot be converted.
    """
    from torch.export import Dim

    assert isinstance(net.body, FlowMatchingModel)
    words = torch.zeros(2, net.body.text.positions.shape[0], dtype=torch.int64)
    return convert(
        _Text(net.body, net.size),
        (words,),
        ({0: Dim("batch")},),
        inputs=["words"],
        outputs=["conditioning"],
        what="text encoder",
    )


def step_to_onnx(net: VisionModel) -> bytes:
    """Convert a step of a flow-matching model to the bytes of an ONNX file.

    Its inputs are state (N, C, S, S), time (N,) and conditioning (N, h, w, D); its output is the
    velocity (N, C, S, S).

    Args:
        net: See `text_to_onnx`.

    Raises:
        SettingError: It cannot be converted.
    """
    from torch.export import Dim

    assert isinstance(net.body, FlowMatchingModel)
    state = torch.zeros(2, net.channels, net.size, net.size)
    words = torch.zeros(2, net.body.text.positions.shape[0], dtype=torch.int64)
    with torch.no_grad():
        conditioning = net.body.spatial_conditioning(words, state.shape[2:])
    batch = {0: Dim("batch")}
    return convert(
        _Step(net.body),
        (state, torch.zeros(2), conditioning),
        (batch, batch, batch),
        inputs=["state", "time", "conditioning"],
        outputs=["velocity"],
        what="sampler",
    )


class _Text(nn.Module):
    def __init__(self, body: FlowMatchingModel, size: int):
        super().__init__()
        self.body, self.size = body, size

    def forward(self, words: Tensor) -> Tensor:
        return self.body.spatial_conditioning(words, (self.size, self.size))


class _Step(nn.Module):
    def __init__(self, body: FlowMatchingModel):
        super().__init__()
        self.body = body

    def forward(self, state: Tensor, time: Tensor, conditioning: Tensor) -> Tensor:
        return self.body.velocity(state, time, conditioning)
