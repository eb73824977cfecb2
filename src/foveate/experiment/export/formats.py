"""The formats of exported models: what each file holds, and what computes it."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.data.dataset import Images
from foveate.errors import SettingError
from foveate.experiment.export.triton import triton_config
from foveate.inference.exported.joining import join
from foveate.inference.exported.model import ExportedModel
from foveate.inference.exported.record import INPUT, KEY
from foveate.inference.exported.runtimes import (
    DECODER_SUFFIX,
    OnnxRuntime,
    OpenVino,
    Runtime,
    import_openvino,
)
from foveate.inference.onnx_file import decoder_to_onnx, net_step, quiet, to_program
from foveate.inference.onnx_model import OnnxModel, open_session
from foveate.models.model import VisionModel
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.task import Task


@dataclass(frozen=True)
class Source:
    """What a format is made from.

    Attributes:
        task: The task of the run.
        exported: The same without its training.
        net: Fused, on the CPU.
        onnx: The net as an ONNX file, perhaps with eight bits.
        record: Of the model, see `ExportRecord`.
    """

    task: Task[Any]
    exported: ExportedTask[Any]
    net: VisionModel
    onnx: bytes
    record: dict[str, Any]


@dataclass(frozen=True)
class Converted:
    """A model in one of the formats.

    Attributes:
        files: Bytes of each file by its suffix, the first of which names the model.
        net: The net alone, computed by the format's own runtime.
        predict: Predicts with the files.
    """

    files: Mapping[str, bytes]
    net: VisionModel
    predict: Callable[[Images], list[Any]]


def _onnx(source: Source) -> Converted:
    content = _joined(source)
    net = OnnxModel(source.net, open_session(source.onnx))
    files = {".onnx": content, CONFIG: triton_config(content).encode()}
    decoder = None
    if source.exported.has_decoder:
        files[DECODER_SUFFIX] = decoder_to_onnx(source.net)
        decoder = OnnxRuntime("the decoder", files[DECODER_SUFFIX])
    return Converted(files, net, _predictor(OnnxRuntime("the export", content), decoder))


def _openvino(source: Source) -> Converted:
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        model = openvino.convert_model(io.BytesIO(_joined(source)))
        model.set_friendly_name("foveate")
        model.set_rt_info(json.dumps(source.record), [KEY])
        openvino.save_model(model, path, compress_to_fp16=False)
        files = {".xml": path.read_bytes(), ".bin": path.with_suffix(".bin").read_bytes()}
        predict = _predictor(OpenVino(path))
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    net = openvino.convert_model(io.BytesIO(source.onnx))
    compiled = openvino.compile_model(net, "CPU", precision)

    def compute(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found = compiled(images)
        return [np.array(found[output]) for output in compiled.outputs]

    return Converted(files, OnnxModel(source.net, _Session(compute)), predict)


def _pt2(source: Source) -> Converted:
    program = to_program(source.net, any_size=source.task.letterbox)
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={f"{KEY}.json": json.dumps(source.record)})
        written = _record_first(content.getvalue())
        module = torch.export.load(io.BytesIO(written)).module()

    @torch.no_grad()
    def compute(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found = module(torch.from_numpy(images))
        return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]

    net = OnnxModel(source.net, _Session(compute)).eval()
    files = {".pt2": written}
    return Converted(files, net, lambda images: source.task.predict(net, images))


def _record_first(content: bytes) -> bytes:
    """The same zip with the record as its first file, by which foveate knows it again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist(), key=lambda name: not name.endswith(f"/{KEY}.json")):
            new.writestr(zipfile.ZipInfo(name), old.read(name))
    return out.getvalue()


FORMATS: Mapping[str, Callable[[Source], Converted]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "pt2": _pt2,
}
"""What makes each format, by the name that users give."""
CONFIG = ".pbtxt"
"""The suffix of the configuration for Triton, beside an ONNX file."""
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
"""The suffix of the file that names a model, by format."""


def check_format(name: str, *, int8: bool, has_decoder: bool) -> None:
    """Check that a model can be written in this format.

    Args:
        name: Of the format.
        int8: Whether it is to hold eight bits.
        has_decoder: Whether the task needs a decoder.

    Raises:
        SettingError: It cannot.
    """
    if name not in FORMATS:
        raise SettingError(f"{', '.join(FORMATS)} are the formats, got {name!r}", where="--format")
    if has_decoder and (name != "onnx" or int8):
        raise SettingError(
            "promptable models are exported as ONNX with 32 bits", where="--format and --int8"
        )
    if int8 and name == "pt2":
        raise SettingError(
            "the format pt2 keeps 32 bits", where="--int8", remedy="Use --format onnx or openvino."
        )


def _joined(source: Source) -> bytes:
    step = net_step(source.net) if source.task.letterbox else None
    size = source.net.size
    return join(source.onnx, source.exported, size=size, step=step, record=source.record)


def _predictor(
    computed: Runtime, decoder: OnnxRuntime | None = None
) -> Callable[[Images], list[Any]]:
    return ExportedModel("the export", computed, decoder).predict_images


@dataclass(frozen=True)
class _Session:
    """A function in the place of ONNX Runtime's session."""

    compute: Callable[[NDArray[np.uint8]], list[NDArray[Any]]]

    def run(self, _names: None, inputs: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[Any]]:
        """The outputs."""
        return self.compute(inputs[INPUT])
