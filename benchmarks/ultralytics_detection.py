"""Boxes at equal minutes: foveate's `yolo` beside networks of the package ultralytics.

    python benchmarks/ultralytics_detection.py DATA --minutes 6 --size 320 [--seeds 0 1 2]
        [--models yolo yolo26n yolo11n]

ultralytics is AGPL-3.0 and no dependency of foveate: install it into an environment of its own,
beside foveate. All networks start from random weights (`yolo26n.yaml`, not `yolo26n.pt`). The
models of a seed train at the same time, one thread each, with the splits of the data. Minutes are
of the process, not of the clock: they equal minutes of one idle core, whatever else the machine
does. foveate's minutes hold everything from audit to report, ultralytics' hold training alone. Each
is asked for the boxes of the test images, and both are measured by foveate's metric.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from measure import combine, format_row

FOVEATE = "yolo"
MIN_SCORE = 0.001
METRICS = ("map50", "map")


def of_ultralytics(
    model: str, folder: Path, seed: int, given: argparse.Namespace
) -> dict[str, float]:
    """Train a network of ultralytics and measure its boxes of the test split."""
    import time

    wall, time.time = time.time, time.process_time  # before its trainer reads the clock
    from ultralytics import YOLO

    import foveate as fv
    from foveate.annotations import Boxes
    from foveate.formats import yolo
    from foveate.metrics.detection import DetectionMetric

    dataset = fv.load(given.data)
    yolo.write(dataset, folder / "data")
    net = YOLO(f"{model}.yaml")
    net.train(
        data=str(folder / "data" / "data.yaml"),
        time=given.minutes / 60,
        epochs=1000,
        imgsz=given.size,
        batch=16,
        seed=seed,
        device="cpu",
        workers=0,
        pretrained=False,
        project=str(folder),
        name="run",
        plots=False,
        verbose=False,
    )
    time.time = wall
    best = YOLO(folder / "run" / "weights" / "best.pt")
    predictions, targets = [], []
    for sample in dataset:
        if sample.split == "test":
            image = sample.source.read()
            (found,) = best.predict(
                image[..., ::-1], imgsz=given.size, conf=MIN_SCORE, max_det=300, verbose=False
            )
            boxes: Any = found.boxes
            predictions.append(
                Boxes(
                    boxes.xyxy.numpy().astype(np.float64),
                    boxes.cls.numpy().astype(np.int64),
                    boxes.conf.numpy().astype(np.float64),
                )
            )
            targets.append(sample.target)
    metric = DetectionMetric(len(dataset.classes))
    values = metric.compute(metric.per_image(predictions, targets))
    return {name: values[name] for name in METRICS}


def of_foveate(folder: Path, seed: int, given: argparse.Namespace) -> dict[str, float]:
    """Train foveate's network and open the test split."""
    import time

    time.monotonic = time.process_time
    import foveate as fv

    run = fv.train(
        given.data, task="detection", model=FOVEATE, size=given.size, minutes=given.minutes,
        seed=seed, allow_leak=True, out=folder / "run",
    )  # fmt: skip
    values = fv.test(run)
    return {name: values[name]["value"] for name in METRICS}


def main() -> None:
    """Train all models with each seed, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--models", nargs="+", default=[FOVEATE, "yolo26n", "yolo11n"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the child process: a folder
    given = parser.parse_args()
    if given.one:
        (model,), (seed,), folder = given.models, given.seeds, Path(given.one)
        found = of_foveate(folder, seed, given) if model == FOVEATE else of_ultralytics(
            model, folder, seed, given
        )  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(found))
        return
    rows: dict[str, list[dict[str, float]]] = {model: [] for model in given.models}
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            runs = {}
            for model in given.models:
                place = Path(folder) / f"{seed}-{model}"
                place.mkdir()
                words = [sys.executable, __file__, given.data, "--minutes", f"{given.minutes}"]
                words += ["--size", f"{given.size}", "--models", model, "--seeds", f"{seed}"]
                words += ["--one", str(place)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                with (place / "log").open("wb") as log:
                    process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
                runs[model] = place, process
            for model, (place, process) in runs.items():
                if process.wait():
                    sys.exit((place / "log").read_text()[-3000:])
                rows[model].append(json.loads((place / "metrics.json").read_text()))
                print(f"seed {seed}, {model}: {format_row(rows[model][-1])}", flush=True)
    for model, some in rows.items():
        print(f"mean of {len(some)}, {model}: {format_row(combine(some, statistics.fmean))}")


if __name__ == "__main__":
    main()
