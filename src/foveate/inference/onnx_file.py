"""A net as an ONNX file, with the preprocessing in it: uint8 images in, predictions out.

The file takes any number of images; and, if the task keeps their aspect and the net takes it,
images of any size in whole steps of its coarsest stride.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.inference.runtimes import REMEDY
from foveate.models.backbone import Backbone
from foveate.models.heads.promptable import PromptableHead
from foveate.models.model import VisionModel

INPUT = "images"
"""Name of the input, (B, C, H, W) uint8."""


def to_onnx(net: VisionModel, *, any_size: bool) -> bytes:
    """Convert a net to the bytes of an ONNX file.

    Its outputs are what the net's task makes predictions from: logits, corners and scores of the
    boxes (see `heads.detection.DetectorOutput`), or the maps that prompts are decoded with.

    Args:
        net: A net on the CPU. Give `models.fused.fused(net)`: it is converted in half the time.
        any_size: Whether the file shall take images of other sizes than the training size, if the
            net does, which doubles the time of the conversion; see `Task.letterbox`.

    Raises:
        SettingError: onnx or onnxscript is not installed, or the net cannot be converted.
    """
    images, axes = _example(net, any_size=any_size)
    return convert(_Exported(net), (images,), (axes,), inputs=[INPUT], what="net")


def convert(
    module: nn.Module,
    arguments: tuple[Any, ...],
    axes: tuple[Any, ...],
    *,
    inputs: list[str],
    outputs: list[str] | None = None,
    what: str,
) -> bytes:
    """Convert a module to the bytes of an ONNX file.

    Args:
        module: On the CPU.
        arguments: Examples of its arguments.
        axes: For each, the axes that may have another length; see `torch.onnx.export`.
        inputs: Names of the arguments.
        outputs: Names of what it returns.
        what: It is, for errors.

    Raises:
        SettingError: onnx or onnxscript is not installed, or it cannot be converted.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SettingError(
            f"onnx and onnxscript are needed to convert a net ({error})",
            where="runtime",
            remedy=REMEDY,
        ) from None
    with quiet():
        try:
            program = torch.onnx.export(
                module.eval(),
                arguments,
                dynamo=True,
                verbose=False,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=axes,
            )
        except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()
            raise SettingError(
                f"this {what} cannot be converted to ONNX ({reason[0] if reason else error!r})",
                where="runtime",
                remedy="Use the runtime torch.",
            ) from error
    assert program is not None
    program.model_proto.producer_name = "foveate"
    return _content(program)


def _content(program: Any) -> bytes:
    """The bytes of a converted net, without stack traces, which hold paths of this machine."""
    model = program.model_proto
    for node in (*model.graph.node, *(one for body in model.functions for one in body.node)):
        node.ClearField("metadata_props")
    content: bytes = model.SerializeToString()
    return content


def to_program(net: VisionModel, *, any_size: bool) -> torch.export.ExportedProgram:
    """Convert a net to a program of torch.export; arguments and outputs of `to_onnx`.

    Raises:
        SettingError: The net cannot be converted.
    """
    images, axes = _example(net, any_size=any_size)
    try:
        with quiet():
            program = torch.export.export(_Exported(net).eval(), (images,), dynamic_shapes=(axes,))
    except (torch._dynamo.exc.UserError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise SettingError(
            f"this net cannot be converted ({reason[0] if reason else error!r})",
            where="--format",
            remedy="Use --format onnx.",
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # with paths of this machine
    return program


def _example(net: VisionModel, *, any_size: bool) -> tuple[Tensor, dict[int, Any]]:
    """Images to convert a net with, and which of their axes may have another length."""
    step = net_step(net) if any_size else None
    height, width = (net.size, net.size) if step is None else (4 * step, 3 * step)
    # Two images, since torch takes an axis of length one for a constant.
    images = torch.zeros(2, net.channels, height, width, dtype=torch.uint8)
    return images, _dynamic_axes(step)


class _Exported(nn.Module):
    """A net whose outputs are tensors."""

    def __init__(self, net: VisionModel):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Any:
        if isinstance(self.net.body, PromptableHead):
            return tuple(self.net.encode(images))
        output = self.net(images)
        return output if isinstance(output, Tensor) else output.candidates()


def net_step(net: VisionModel) -> int | None:
    """Pixels of which the sides of a net's images are multiples; None if they are fixed.

    Args:
        net: The net.
    """
    backbone = next(one for one in net.modules() if isinstance(one, Backbone))
    return backbone.strides[-1] if backbone.flexible else None


def _dynamic_axes(step: int | None) -> dict[int, Any]:
    from torch.export import Dim

    if step is None:
        return {0: Dim("batch")}
    return {0: Dim("batch"), 2: step * Dim("rows", min=1), 3: step * Dim("columns", min=1)}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks of the exporters and of the libraries that they use."""
    names = ("torch.onnx", "torch.export", "torch.utils", "onnxscript", "onnx_ir", None)  # root
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
