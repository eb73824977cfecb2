"""One ONNX file from three graphs: images to the net's input, the net, and what follows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foveate.data.resizing import PADDING
from foveate.inference.exported.record import INPUT, KEY
from foveate.tasks.exported.exported_task import ExportedTask, WholeTask

if TYPE_CHECKING:
    from onnx import ModelProto


def join(
    net: bytes, task: ExportedTask[Any], *, size: int, step: int | None, record: dict[str, Any]
) -> bytes:
    """Join a net with the graphs before and after it.

    Args:
        net: An ONNX file that takes (B, C, h, w) uint8, from `onnx_file.to_onnx`.
        task: What follows the net.
        size: Pixels a side of the training images.
        step: Pixels of which the net's input is a multiple; None if it is always `size`.
        record: Of the model, see `ExportRecord`.

    Returns:
        An ONNX file that takes `images` (N, H, W, C) uint8, of any size but all of the same.
    """
    import onnx
    from onnx import compose

    core = onnx.load_from_string(net)
    opset = next(one.version for one in core.opset_import if one.domain in ("", "ai.onnx"))

    def parsed(text: str) -> ModelProto:
        head = f'<ir_version: {core.ir_version}, opset_import: ["" : {opset}]>'
        return onnx.parser.parse_model(head + text)

    for names in (core.graph.input, core.graph.output):
        for value in names:
            _forget_sizes(value)
    core = compose.add_prefix(core, "net/")
    before = parsed(_before(task, size, step, record["channels"]))
    inputs = [(before.graph.output[0].name, core.graph.input[0].name)]
    outputs = [one.name for one in core.graph.output]
    joined = compose.merge_models(before, core, inputs)
    names = task.net_outputs or tuple(f"net_{number}" for number in range(len(outputs)))
    end = task.graph() if isinstance(task, WholeTask) else _maps(names)
    after = compose.add_prefix(parsed(end), "after/", rename_inputs=False, rename_outputs=False)
    for value in after.graph.input:
        _forget_sizes(value)
    pairs = list(zip(outputs, names, strict=True))
    needed = {one.name for one in after.graph.input}
    pairs += [(name, name) for name in ("content", "sides") if name in needed]
    results = [one.name for one in after.graph.output]
    joined = compose.merge_models(joined, after, pairs, outputs=[*results, "content"])
    onnx.checker.check_model(joined)
    return with_record(joined.SerializeToString(), record)


def with_record(model: bytes, record: dict[str, Any]) -> bytes:
    """The same ONNX file with the record of its model in its metadata.

    Args:
        model: An ONNX file.
        record: See `ExportRecord`.
    """
    import onnx

    proto = onnx.load_from_string(model)
    proto.producer_name = "foveate"
    onnx.helper.set_model_props(proto, {KEY: json.dumps(record)})
    content: bytes = proto.SerializeToString()
    return content


def _maps(names: Sequence[str]) -> str:
    """The maps of the net as outputs, by number."""
    numbers = range(len(names))
    given = ", ".join(f"float[N, C{one}, h{one}, w{one}] {names[one]}" for one in numbers)
    returned = ", ".join(f"float[N, C{one}, h{one}, w{one}] map_{one}" for one in numbers)
    lines = "\n".join(f"map_{one} = Identity ({names[one]})" for one in numbers)
    return f"after ({given}) => ({returned}) {{ {lines} }}"


def _forget_sizes(value: Any) -> None:
    """Let the axes of a tensor have any size: their names differ between graphs."""
    for axis in value.type.tensor_type.shape.dim:
        axis.Clear()


def _before(task: ExportedTask[Any], size: int, step: int | None, channels: int) -> str:
    """Images to the net's input: resized, padded, and mirrored if the task wants that."""
    fitted = _LETTERBOX if task.letterbox else _STRETCH
    padded = _PADDED_TO_STEP if step is not None else _PADDED_TO_SIZE
    square = f"square = Constant <value_ints = [{size}, {size}]> ()"
    return f"""
        before (uint8[N, H, W, {channels}] {INPUT})
            => (uint8[V, C, h, w] prepared, int64[2] content, int64[2] sides) {{
          planes = Transpose <perm = [0, 3, 1, 2]> ({INPUT})
          sides = Shape <start = 2> (planes)
          {f"size = Constant <value = double {{{float(size)}}}> ()" if task.letterbox else ""}
          {"" if task.letterbox and step else square}
          {fitted}
          batch = Shape <start = 0, end = 2> (planes)
          shape = Concat <axis = 0> (batch, content)
          resized = Resize <mode = "linear", antialias = 1> (planes, , , shape)
          {padded.replace("STEP", str(float(step or 1)))}
          missing = Sub (padded, content)
          nothing = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
          pads = Concat <axis = 0> (nothing, missing)
          grey = Constant <value = uint8 {{{PADDING}}}> ()
          canvas = Pad (resized, pads, grey)
          {_MIRRORED if task.mirrored else "prepared = Identity (canvas)"}
        }}"""


_STRETCH = "content = Identity (square)"
_LETTERBOX = """
          exact = Cast <to = 11> (sides)
          longest = ReduceMax <keepdims = 0> (exact)
          longer = Max (longest, size)
          product = Mul (exact, size)
          scaled = Div (product, longer)
          rounded = Round (scaled)
          one = Constant <value = double {1.0}> ()
          at_least = Max (rounded, one)
          content = Cast <to = 7> (at_least)"""
_PADDED_TO_SIZE = "padded = Identity (square)"
_PADDED_TO_STEP = """
          filled = Cast <to = 11> (content)
          step = Constant <value = double {STEP}> ()
          steps = Div (filled, step)
          whole = Ceil (steps)
          multiple = Mul (whole, step)
          bounded = Min (multiple, size)
          padded = Cast <to = 7> (bounded)"""
_MIRRORED = """
          last = Constant <value_ints = [-1]> ()
          end = Constant <value_ints = [-9223372036854775807]> ()
          axis = Constant <value_ints = [3]> ()
          mirrored = Slice (canvas, last, end, axis, last)
          prepared = Concat <axis = 0> (canvas, mirrored)"""
