"""Prediction: milliseconds of an image in each runtime, and what eight bits cost.

    python benchmarks/inference.py speed IMAGES
    python benchmarks/inference.py accuracy RUN DATA

`speed` times the default model of each task, with random weights, on one 640 x 480 image: eager,
fused (`models.fused`), ONNX Runtime, and ONNX Runtime with weights and activations of eight bits,
whose ranges come from 16 of IMAGES. The variants take turns, so that other work on the machine
slows all of them; a ratio is the median of the rounds' own ratios to the eager net, with its
quartiles. On one core it is the processor's time, which other work hardly changes; on two cores it
is the clock's, so the machine must be idle.

`accuracy` scores the validation split of a run in each of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION_IMAGES = 16
PHOTOGRAPHS = {"classification": ["efficientnet_lite0"]}
"""Default models of a task's photographs."""


def speed(folder: str, sizes: list[int], cores: list[int], rounds: int, only: list[str]) -> None:
    """Print a row for each model, size and number of cores."""
    import torch

    from foveate import models as registry
    from foveate import tasks
    from foveate.data.images import decode
    from foveate.data.resizing import resize
    from foveate.models.model import VisionModel
    from foveate.tasks.capabilities import GeneratesImages

    files = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".jpg", ".png"))
    images = [resize(decode(path), (480, 640)) for path in files[:CALIBRATION_IMAGES]]
    images = [image for image in images if image.shape[2] == 3]
    for name, task_type in tasks.all().items():
        if issubclass(task_type, GeneratesImages) or (only and name not in only):
            continue
        task = task_type(("a", "b", "c"))
        default = task.default_settings.get("model", "tiny_cnn")
        names = [default, *PHOTOGRAPHS.get(name, [])]
        for model, size in product(names, sizes):
            torch.manual_seed(0)
            backbone = registry.build(model, channels=3, size=size)
            net = VisionModel(task.head(backbone), size=size, mean=[110.0] * 3, std=[60.0] * 3)
            converted = _converted(net.eval(), images, any_size=task.letterbox)
            for count in cores:
                torch.set_num_threads(count)
                variants = _variants(net, converted)
                calls = {
                    key: _call(one, images[0], task.letterbox) for key, one in variants.items()
                }
                clock = time.process_time if count == 1 else time.perf_counter
                row = _row(calls, rounds, clock)
                print(f"{name} {model} {size} px, {count} cores: {row}", flush=True)


def _converted(net: Any, images: Sequence[Any], *, any_size: bool) -> dict[str, bytes]:
    """The net as ONNX files."""
    from foveate.experiment.export.quantization import quantized
    from foveate.inference.onnx_file import to_onnx
    from foveate.models.fused import fused

    files = {"onnx": to_onnx(fused(net), any_size=any_size)}
    try:
        batches = [_batch(net, image, any_size) for image in images]
        files["int8"] = quantized(files["onnx"], batches)
    except Exception as error:  # onnxruntime's errors have no common class but this
        print(f"int8 fails: {error!r}"[:200])
    return files


def _variants(net: Any, files: dict[str, bytes]) -> dict[str, Any]:
    """The net as it is, and as each runtime computes it."""
    from foveate.models.fused import fused

    quick = fused(net)
    return {
        "eager": net,
        "fused": quick,
        **{name: _session(quick, content) for name, content in files.items()},
    }


def _session(net: Any, content: bytes) -> Any:
    import onnxruntime
    import torch

    from foveate.inference.onnx_model import OnnxModel

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return OnnxModel(net, onnxruntime.InferenceSession(content, options)).eval()


def _batch(net: Any, image: Any, any_size: bool) -> Any:
    """A batch of one image, as its task prepares it."""
    return next(net.padded_batches([image], 1))[1] if any_size else net.batch([image])


def _call(net: Any, image: Any, any_size: bool) -> Callable[[], object]:
    """A call of the net on an image that is resized already."""
    import torch

    from foveate.models.heads.promptable import PromptableHead

    batch = _batch(net, image, any_size)
    run = net.encode if isinstance(net.body, PromptableHead) else net

    def call() -> object:
        with torch.no_grad():
            return run(batch)

    return call


def _row(calls: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> str:
    """Medians of each, and ratios to the first with their quartiles."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        for name, call in calls.items():
            began = clock()
            call()
            if number > 1:
                taken[name].append(clock() - began)
    texts = []
    for name, seconds in taken.items():
        ratios = [one / eager for one, eager in zip(seconds, taken["eager"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        text = f"{name} {1e3 * statistics.median(seconds):.1f} ms"
        texts.append(text if name == "eager" else f"{text}, {middle:.2f} ({low:.2f} to {high:.2f})")
    return "; ".join(texts)


def accuracy(run_folder: str, data: str) -> None:
    """Print the metrics of the validation split in each runtime."""
    import foveate as fv

    run = fv.Run.open(run_folder)
    task, net = run.load()
    samples = {sample.id: sample for sample in fv.load(data)}
    ids, _ = run.read_predictions("valid")
    images = [samples[one].source.read() for one in ids]
    targets = [samples[one].target for one in ids]
    train = [sample.source.read() for sample in samples.values() if sample.id not in set(ids)]
    picked = np.random.default_rng(0).permutation(len(train))[: 2 * CALIBRATION_IMAGES]
    files = _converted(net, [train[row] for row in picked], any_size=task.letterbox)
    for name, one in _variants(net, files).items():
        scores = task.score(task.predict(one, images), targets)
        print(name, f"{task.primary_metric} {scores[task.primary_metric]:.4f}", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    timed = commands.add_parser("speed")
    timed.add_argument("images")
    timed.add_argument("--sizes", type=int, nargs="+", default=[320, 640])
    timed.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    timed.add_argument("--rounds", type=int, default=25)
    timed.add_argument("--tasks", nargs="*", default=[])
    scored = commands.add_parser("accuracy")
    scored.add_argument("run")
    scored.add_argument("data")
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.images, given.sizes, given.cores, given.rounds, given.tasks)
    else:
        accuracy(given.run, given.data)


if __name__ == "__main__":
    main()
