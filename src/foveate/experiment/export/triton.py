"""A configuration for NVIDIA's Triton Inference Server, beside an ONNX file."""

from __future__ import annotations

from typing import Any


def triton_config(content: bytes) -> str:
    """Describe the inputs and outputs of an ONNX file, as Triton's config.pbtxt does.

    Args:
        content: The file.

    Returns:
        A text for config.pbtxt. Batches are an axis of the input itself: max_batch_size is 0.
    """
    import onnx

    graph = onnx.load_from_string(content).graph
    tensors = [("input", one) for one in graph.input] + [("output", one) for one in graph.output]
    lines = ['backend: "onnxruntime"', "max_batch_size: 0"]
    for kind, value in tensors:
        tensor = value.type.tensor_type
        dims = ", ".join(str(_length(axis)) for axis in tensor.shape.dim)
        lines.append(
            f'{kind} [{{ name: "{value.name}", data_type: {_data_type(tensor.elem_type)}, '
            f"dims: [ {dims} ] }}]"
        )
    return "\n".join(lines) + "\n"


def _length(axis: Any) -> int:
    return int(axis.dim_value) if axis.HasField("dim_value") and axis.dim_value > 0 else -1


def _data_type(element: int) -> str:
    import onnx

    name = str(onnx.TensorProto.DataType.Name(element))
    return "TYPE_" + {"FLOAT": "FP32", "DOUBLE": "FP64"}.get(name, name)
