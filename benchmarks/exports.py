"""How long one image takes in each exported file of a run, and in torch, end to end.

    python benchmarks/exports.py RUN [RUN ...] --images FOLDER        # all cores
    taskset -c 0 python benchmarks/exports.py RUN [RUN ...] --images FOLDER   # one core

Images are in memory; resizing and decoding of predictions are included. All are timed in turns; the
values are medians over rounds, and ratios to torch as it is (not fused) with their quartiles.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0))
os.environ["OMP_NUM_THREADS"] = str(CORES)

ROUNDS = 20
EXPORTS = ("model.onnx", "model-int8.onnx", "model.xml")


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()

    import foveate as fv
    from foveate.data.images import decode
    from foveate.inference.image_list import image_files
    from foveate.progress import NullReporter

    files = image_files([options.images], lambda *_: None, NullReporter())[: options.rounds]
    for path in options.runs:
        run = fv.Run.open(path)
        images = [decode(str(file), run.reading) for file in files]
        task, net = run.load()
        calls: dict[str, Callable[[list[Any]], Any]] = {
            "torch": lambda some, task=task, net=net: task.predict_confident(net, some),
            "torch, fused": run.predict_confident,
        }
        for name in EXPORTS:
            if (path / name).exists():
                calls[name] = fv.ExportedModel.open(path / name).predict_confident
        print(f"{path.name}, {net.size} px, {CORES} cores: {row(calls, images)}", flush=True)


def row(calls: dict[str, Callable[[list[Any]], Any]], images: list[Any]) -> str:
    """Medians in milliseconds, and ratios to the first with their quartiles."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call([images[0]])
    for image in images:
        for name, call in calls.items():
            time.sleep(0.02)  # for some time, the idle threads of the other runtimes spin
            began = time.perf_counter()
            call([image])
            seconds[name].append(time.perf_counter() - began)
    first = next(iter(calls))
    texts = []
    for name, taken in seconds.items():
        ratios = [one / base for one, base in zip(taken, seconds[first], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        text = f"{name} {1e3 * statistics.median(taken):.1f} ms"
        texts.append(text if name == first else f"{text}, {middle:.2f} ({low:.2f} to {high:.2f})")
    return "; ".join(texts)


if __name__ == "__main__":
    main()
