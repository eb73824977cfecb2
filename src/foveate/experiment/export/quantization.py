"""Eight-bit weights and activations, calibrated on training images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import Images
from foveate.data.resizing import letterbox_size
from foveate.inference.exported.interactive import ExportedInteractivePredictor
from foveate.inference.exported.runtimes import Runtime
from foveate.inference.onnx_file import quiet
from foveate.metrics.interactive import evaluated_rows
from foveate.models.model import VisionModel
from foveate.tasks.clicking import click_on_objects

MIN_IMAGES = 16
"""Training images without which the range of activations is a guess."""
MAX_IMAGES, MAX_CLICKED_IMAGES = 128, 24


def quantized(net: bytes, inputs: Sequence[Mapping[str, NDArray[Any]]]) -> bytes:
    """Quantise the convolutions of a net (Jacob et al., 2018), but for the last ones.

    Activations that clip are quantised with them: their range is that of the clipped values.
    Additions of eight bits cost accuracy and save no time; so do the last layers.

    Args:
        net: An ONNX file.
        inputs: Its inputs by their names, several times: their activations set the ranges.

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
            self.inputs = iter(inputs)

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
        made = onnx.load(path)
    made.producer_name = "foveate"
    content: bytes = made.SerializeToString()
    return content


@torch.no_grad()
def decoder_inputs(
    net: VisionModel, decoder: Runtime, images: Images, targets: Sequence[Instances]
) -> list[Mapping[str, NDArray[Any]]]:
    """What a decoder gets while the objects of images are clicked on.

    Args:
        net: A net whose body is a `PromptableHead`.
        decoder: Its decoder.
        images: Of any size.
        targets: Their objects.
    """
    recorder = _Recorder(decoder)
    for image, target in zip(images, targets, strict=True):
        ((_, batch),) = net.padded_batches([image], 1)
        size = (image.shape[0], image.shape[1])
        outputs = {f"map_{number}": one.numpy() for number, one in enumerate(net.encode(batch))}
        content = np.array(letterbox_size(*size, net.size))
        predictor = ExportedInteractivePredictor(recorder, {**outputs, "content": content}, size)
        click_on_objects(predictor, target)
    return recorder.inputs


def has_objects(target: Instances) -> bool:
    """Whether there is an object to click on."""
    return len(evaluated_rows(target)) > 0


class _Recorder(Runtime):
    """A graph that records its inputs."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.inputs: list[Mapping[str, NDArray[Any]]] = []

    def compute(
        self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs for these inputs, which are recorded."""
        self.inputs.append(dict(inputs))
        return self.runtime.compute(inputs, names)


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
