"""Eight-bit weights and activations, calibrated on training images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from foveate.inference.onnx_file import INPUT, quiet

MIN_IMAGES = 16
"""Training images without which the range of activations is a guess."""
MAX_IMAGES = 128


def quantized(net: bytes, batches: Sequence[Tensor]) -> bytes:
    """Quantise the convolutions of a net (Jacob et al., 2018), but for the last ones.

    Activations that clip are quantised with them: their range is that of the clipped values.
    Additions of eight bits cost accuracy and save no time; so do the last layers.

    Args:
        net: An ONNX file.
        batches: Inputs of the net, (B, C, h, w) uint8, whose activations set the ranges.

    Returns:
        An ONNX file.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc] # the package has no types
        def __init__(self) -> None:
            self.inputs = ({INPUT: batch.numpy().copy(order="C")} for batch in batches)

        def get_next(self) -> Any:
            return next(self.inputs, None)

    model = onnx.load_from_string(net)
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "Clip", "Relu"],
            nodes_to_exclude=_last_layers(model.graph),
        )
        return path.read_bytes()


def _last_layers(graph: Any) -> list[str]:
    """Convolutions that no other one follows on the way to an output."""
    makers = {name: node for node in graph.node for name in node.output}
    names, seen, found = [output.name for output in graph.output], set(), []
    while names:
        name = names.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type == "Conv":
            found.append(node.name)
        else:
            names += node.input
    return found
