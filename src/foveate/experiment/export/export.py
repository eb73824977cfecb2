"""From a run to a file for another runtime, through the parity gate."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from foveate import atomic_io
from foveate.console import choose_reporter
from foveate.data.dataset import Image, SplitName
from foveate.errors import RunError, SettingError
from foveate.experiment import card
from foveate.experiment.data_place import Place, reopen_at
from foveate.experiment.export import output_differences, quantization
from foveate.experiment.export import parity as gate
from foveate.experiment.export.formats import CONFIG, FORMATS, SUFFIXES, Source, check_format
from foveate.experiment.export.page import write_page
from foveate.experiment.export.parity import Parity
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.shipped.reference import to_record
from foveate.inference.exported.record import FORMAT
from foveate.inference.exported.runtimes import OnnxRuntime, decoder_path
from foveate.inference.onnx_file import INPUT, to_onnx
from foveate.inference.onnx_parts import decoder_to_onnx, step_to_onnx, text_to_onnx
from foveate.models.fused import fused
from foveate.models.model import VisionModel
from foveate.outputs import FileKind, check_output
from foveate.progress import Reporter
from foveate.tasks import exported
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.task import Task
from foveate.training.device import hardware

KIND = FileKind(
    "exported model",
    re.compile(
        rb"(?s)\x08.\x12\x07foveate"  # ONNX
        rb'|<\?xml[^>]*>\s*<net name="foveate"'  # OpenVINO
        rb"|PK\x03\x04.{26}[^/]*/extra/foveate\.json"  # pt2
        rb'|backend: "onnxruntime"\n'  # the configuration for Triton
    ),
)
"""How foveate knows files that it may replace."""


@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        path: Its file; that of OpenVINO has another beside it, with the suffix .bin. A decoder lies
            beside it, too.
        parity: How it compares with the run.
        record: What exports.json says about it.
    """

    path: Path
    parity: Parity
    record: dict[str, Any]


def export(
    run: str | Path | RunFolder,
    *,
    format: str = "onnx",
    int8: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    data: Place | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
) -> Export:
    """Write the model of a run as a file for another runtime.

    The export and the run predict the validation split. Where they differ, nothing is written. The
    run keeps a record, exports.json, and a page, export.html, of all its exports.

    Args:
        run: A trained run, or its folder.
        format: "onnx", "openvino" or "pt2".
        int8: Whether the convolutions get eight bits, calibrated on training images.
        out: The file; by default model.onnx, model.xml or model.pt2 in the run.
        overwrite: Whether a file that foveate exported earlier is replaced.
        data: Where the data of the run lies now, if it was moved.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.

    Raises:
        SettingError: The task, or the net, cannot be exported in this format.
        RunError: The run is not finished, or the export predicts something else.
    """
    reporter = choose_reporter(reporter, progress=progress)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if not run.finished:
        raise RunError(
            "this run was interrupted before its end, so there is no final model to export",
            where=run.path,
            remedy=f"Finish it first: foveate train --resume {run.quoted_path}",
        )
    task, net = run.load()
    net = net.cpu() if net.mean.device.type != "cpu" else net
    after = exported.build(task.name, task.classes, task.options)
    check_format(format, after, int8=int8)
    if out is None:  # a file of the run, like its report
        out = run.path / f"{'model-int8' if int8 else 'model'}{SUFFIXES[format]}"
    else:
        out = Path(out)
        if out.suffix != SUFFIXES[format]:
            raise SettingError(
                f"a file {SUFFIXES[format]} is expected for the format {format}, got {out.name}",
                where="--out",
            )
        _check_outputs(out, has_decoder=after.has_decoder, overwrite=overwrite)
    with run.locked():
        prepared = reopen_at(run, data, reporter)
        if int8:
            inputs = _training_inputs(prepared, task, net)
            if after.has_decoder:
                most = quantization.MAX_CLICKED_IMAGES
                clicked = _drawn(prepared, "train", most, quantization.has_objects)
                _check_enough(len(clicked[0]), "training images with objects")
        reporter.info(f"converting the net to {format}")
        net, onnx, decoder = _graphs(task, net, after)
        if int8:
            if decoder is not None:
                runtime = OnnxRuntime("the decoder", decoder)
                prompts = quantization.decoder_inputs(net, runtime, *clicked)
                decoder = quantization.quantized(decoder, prompts)
            onnx = quantization.quantized(onnx, inputs)
        record = _description(run, task, net, after.outputs, int8=int8)
        converted = FORMATS[format](Source(task, after, net, onnx, decoder, record))
        if converted.sampler is not None:
            outputs = output_differences.sampler_differences(net, converted.sampler)
        else:
            images, _ = _drawn(prepared, "valid", output_differences.OUTPUT_IMAGES)
            outputs = output_differences.output_differences(
                net, converted.net, after.net_outputs, images, letterbox=task.letterbox
            )
            if converted.decoder is not None:
                most = output_differences.OUTPUT_CLICKED_IMAGES
                clicked = _drawn(prepared, "valid", most, quantization.has_objects)
                outputs |= output_differences.decoder_differences(net, converted.decoder, *clicked)
        reporter.info("both predict the validation split")
        found = gate.compare(
            task, prepared, lambda some: task.predict(net, some), converted.predict, outputs
        )
        gate.check(found, task, int8=int8)
        if not isinstance(task, GeneratesImages):
            record["watch"] = to_record(task, converted.predict, prepared)
        files = converted.files(record)
        for suffix, content in files.items():
            atomic_io.write_bytes(out.with_suffix(suffix), content)
        entry = {
            "file": str(out.absolute()),
            "format": format,
            "int8": int8,
            "megabytes": sum(len(one) for key, one in files.items() if key != CONFIG) / 1e6,
            "run_megabytes": run.weights.stat().st_size / 1e6,
            "sha256": {key: hashlib.sha256(one).hexdigest() for key, one in files.items()},
            "weights": run.weights_digest(),
            "hardware": hardware(),
            **found.to_json(),
        }
        write_page(run, task, entry)
    return Export(out, found, entry)


def _graphs(
    task: Task[Any], net: VisionModel, after: ExportedTask[Any]
) -> tuple[VisionModel, bytes, bytes | None]:
    """The net as it is converted, its ONNX file, and that of its decoder if it has one."""
    if isinstance(task, GeneratesImages):
        return net, text_to_onnx(net), step_to_onnx(net)
    net = fused(net)
    decoder = decoder_to_onnx(net) if after.has_decoder else None
    return net, to_onnx(net, any_size=task.letterbox), decoder


def _check_outputs(out: Path, *, has_decoder: bool, overwrite: bool) -> None:
    """Check the file that names the model, and those beside it; see `check_output`."""
    models = [out, *([decoder_path(out)] if has_decoder else [])]
    for path in models:
        if path.suffix == ".xml" and not path.exists():  # weights have no head that tells whose
            check_output(path.with_suffix(".bin"), None, option="--out")
    for path in (*models, *([out.with_suffix(CONFIG)] if out.suffix == ".onnx" else [])):
        check_output(path, KIND, option="--out", overwrite=overwrite)


def _training_inputs(
    prepared: PreparedData, task: Task[Any], net: VisionModel
) -> list[Mapping[str, NDArray[Any]]]:
    """Training images as the net takes them."""
    images, _ = _drawn(prepared, "train", quantization.MAX_IMAGES)
    _check_enough(len(images), "training images")
    if task.letterbox:
        batches = [batch for _, batch in net.padded_batches(images, 1)]
    else:
        batches = [net.batch([image]) for image in images]
    return [{INPUT: batch.numpy().copy(order="C")} for batch in batches]


def _check_enough(count: int, what: str) -> None:
    """Raise SettingError if eight bits cannot be calibrated on so few images."""
    if count < quantization.MIN_IMAGES:
        raise SettingError(
            f"eight bits are calibrated on at least {quantization.MIN_IMAGES} {what}, "
            f"there are {count}",
            where="--int8",
            remedy="Export it without --int8.",
        )


def _drawn(
    prepared: PreparedData,
    split: SplitName,
    most: int,
    wanted: Callable[[Any], bool] | None = None,
) -> tuple[list[Image], list[Any]]:
    """Some images of a split as they are, drawn by their ids, and their targets."""
    rows = prepared.drawn(split, most, wanted=wanted)
    known = dict(zip(prepared.splits[split].tolist(), prepared.targets(split), strict=True))
    images = [prepared.images.dataset[row].source.read() for row in rows]
    return images, [known[row] for row in rows.tolist()]


def _description(
    run: RunFolder, task: Task[Any], net: VisionModel, outputs: Mapping[str, str], *, int8: bool
) -> dict[str, Any]:
    """What the file says about the model; see `ExportRecord`."""
    return {
        "format": FORMAT,
        "version": version("foveate"),
        "task": task.name,
        "classes": list(task.classes),
        "options": task.options,
        "model": run.settings.model,
        "size": net.size,
        "channels": net.channels,
        "reading": {**asdict(net.reading), "max_pixels": run.settings.max_pixels},
        "weights": run.weights_digest(),
        "int8": int8,
        "mean": net.mean.flatten().tolist(),
        "std": net.std.flatten().tolist(),
        "outputs": {**outputs, **({} if isinstance(task, GeneratesImages) else _CONTENT)},
        "card": {
            **card.describe(run),
            "valid": run.results["valid"],
            "test": run.results["test"],
            "torch": torch.__version__,
        },
    }


_CONTENT = {
    "content": "(2,) int64: height and width of the images at the training size, without padding"
}
