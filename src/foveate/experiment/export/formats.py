"""The formats of exported models: what each file holds, and what computes it."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.data.dataset import Images
from foveate.errors import SettingError
from foveate.experiment.export.triton import triton_config
from foveate.inference.exported.joining import join, with_record
from foveate.inference.exported.model import ExportedModel
from foveate.inference.exported.record import INPUT, KEY
from foveate.inference.exported.runtimes import (
    DECODER_INFIX,
    OnnxRuntime,
    OpenVino,
    Runtime,
    import_openvino,
)
from foveate.inference.exported.sampler import ExportedSampler
from foveate.inference.onnx_file import net_step, quiet, to_program
from foveate.inference.onnx_model import OnnxModel, open_session
from foveate.models.model import VisionModel
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.task import Task


@dataclass(frozen=True)
class Source:
    """What a format is made from.

    Attributes:
        task: The task of the run.
        exported: The same without its training.
        net: On the CPU, fused if it takes images alone.
        onnx: The net as an ONNX file, perhaps with eight bits; of a net with a decoder its first
            half.
        decoder: The second half, likewise; None if there is none.
        record: Of the model, see `ExportRecord`.
    """

    task: Task[Any]
    exported: ExportedTask[Any]
    net: VisionModel
    onnx: bytes
    decoder: bytes | None
    record: dict[str, Any]


@dataclass(frozen=True)
class Converted:
    """A model in one of the formats.

    Attributes:
        files: From the record of the model, see `ExportRecord`, to the bytes of each file by its
            suffix, the first of which names the model.
        net: The net alone, computed by the format's own runtime; it takes images.
        predict: Predicts with the files.
        sampler: Generates with them, if the task generates images.
        decoder: The second half of the net, if there is one.
    """

    files: Callable[[Mapping[str, Any]], Mapping[str, bytes]]
    net: VisionModel
    predict: Callable[[Images], list[Any]]
    sampler: ExportedSampler | None = None
    decoder: Runtime | None = None


def _onnx(source: Source) -> Converted:
    decoder = None if source.decoder is None else OnnxRuntime("the decoder", source.decoder)
    content = _joined(source, decoder)

    def files(record: Mapping[str, Any]) -> dict[str, bytes]:
        written = with_record(content, _with_digest(record, decoder))
        second = {} if decoder is None else {f"{DECODER_INFIX}.onnx": decoder.content}
        return {".onnx": written, CONFIG: triton_config(written).encode(), **second}

    model = ExportedModel("the export", OnnxRuntime("the export", content), decoder)
    return _converted(source, files, model, open_session(source.onnx))


def _openvino(source: Source) -> Converted:
    openvino = import_openvino()
    decoder, second = None, dict[str, bytes]()
    if source.decoder is not None:
        with _saved(openvino.convert_model(io.BytesIO(source.decoder)), None) as path:
            decoder, second = OpenVino(path), _bytes_of(path)
    converted = openvino.convert_model(io.BytesIO(_joined(source, decoder)))

    def files(record: Mapping[str, Any]) -> dict[str, bytes]:
        with _saved(converted, _with_digest(record, decoder)) as path:
            first = _bytes_of(path)
        return first | {f"{DECODER_INFIX}{suffix}": one for suffix, one in second.items()}

    with _saved(converted, _with_digest(source.record, decoder)) as path:
        model = ExportedModel("the export", OpenVino(path), decoder)
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    net = openvino.convert_model(io.BytesIO(source.onnx))
    compiled = openvino.compile_model(net, "CPU", precision)

    def compute(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found = compiled(images)
        return [np.array(found[output]) for output in compiled.outputs]

    return _converted(source, files, model, _Session(compute))


@contextmanager
def _saved(model: Any, record: Mapping[str, Any] | None) -> Iterator[Path]:
    """The .xml file of a model of OpenVINO, with its .bin beside it, in the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.xml"
        model.set_friendly_name("foveate")
        if record is not None:
            model.set_rt_info(json.dumps(record), [KEY])
        import_openvino().save_model(model, path, compress_to_fp16=False)
        yield path


def _bytes_of(path: Path) -> dict[str, bytes]:
    """The bytes of the .xml and of the .bin file, by their suffixes."""
    return {one.suffix: one.read_bytes() for one in (path, path.with_suffix(".bin"))}


def _converted(
    source: Source,
    files: Callable[[Mapping[str, Any]], Mapping[str, bytes]],
    model: ExportedModel,
    session: Any,
) -> Converted:
    sampler = model.sampler if isinstance(source.task, GeneratesImages) else None
    return Converted(
        files, OnnxModel(source.net, session), model.predict_images, sampler, model.decoder
    )


def _pt2(source: Source) -> Converted:
    program = to_program(source.net, any_size=source.task.letterbox)

    def files(record: Mapping[str, Any]) -> dict[str, bytes]:
        content = io.BytesIO()
        with quiet():
            torch.export.save(program, content, extra_files={f"{KEY}.json": json.dumps(record)})
        return {".pt2": _record_first(content.getvalue())}

    with quiet():
        written = files(source.record)[".pt2"]
        module = torch.export.load(io.BytesIO(written)).module()

    @torch.no_grad()
    def compute(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found = module(torch.from_numpy(images))
        return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]

    net = OnnxModel(source.net, _Session(compute)).eval()
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


def check_format(name: str, task: ExportedTask[Any], *, int8: bool) -> None:
    """Check that a model can be written in this format.

    Args:
        name: Of the format.
        task: Of the model.
        int8: Whether it is to hold eight bits.

    Raises:
        SettingError: It cannot.
    """
    if name == "executorch":
        raise SettingError(
            "executorch is no format: it converts too few nets as they stand",
            where="--format",
            remedy="Use --format onnx: ONNX Runtime runs on phones and small devices too.",
        )
    if name not in FORMATS:
        raise SettingError(f"{', '.join(FORMATS)} are the formats, got {name!r}", where="--format")
    if int8 and isinstance(task, GeneratesImages):
        raise SettingError(
            "models that generate images keep 32 bits: an image takes many steps, whose rounding "
            "adds up",
            where="--int8",
            remedy="Leave it out.",
        )
    if task.has_decoder and name == "pt2":
        raise SettingError(
            f"the format pt2 holds one net, and models of the task {task.name} are two",
            where="--format",
            remedy="Use --format onnx or openvino.",
        )
    if int8 and name == "pt2":
        raise SettingError(
            "the format pt2 keeps 32 bits", where="--int8", remedy="Use --format onnx or openvino."
        )


def _joined(source: Source, decoder: Runtime | None) -> bytes:
    """The ONNX file of the model, with its record."""
    record = _with_digest(source.record, decoder)
    if isinstance(source.task, GeneratesImages):
        return with_record(source.onnx, record)
    step = net_step(source.net) if source.task.letterbox else None
    return join(source.onnx, source.exported, size=source.net.size, step=step, record=record)


def _with_digest(record: Mapping[str, Any], decoder: Runtime | None) -> dict[str, Any]:
    """The record, with the checksum of the decoder's file if there is one."""
    digest = None if decoder is None else hashlib.sha256(decoder.content).hexdigest()
    return {**record, "decoder": digest}


@dataclass(frozen=True)
class _Session:
    """A function in the place of ONNX Runtime's session."""

    compute: Callable[[NDArray[np.uint8]], list[NDArray[Any]]]

    def run(self, _names: None, inputs: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[Any]]:
        """The outputs."""
        return self.compute(inputs[INPUT])
