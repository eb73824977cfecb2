"""Nuclei by StarDist's protocol: foveate's networks beside StarDist itself, at equal minutes.

    python benchmarks/stardist_nuclei.py DATA --minutes 10 --stardist PYTHON [--seeds 0]

PYTHON is the interpreter of an environment with stardist (BSD-3) and TensorFlow. StarDist trains as
its own example does (Schmidt et al., "Cell detection with star-convex polygons", 2018): 32 rays,
a grid of 2, patches of 256 px, flips and brightness, thresholds chosen on the validation images.
Both start from random weights and see the same splits. The metric is its own: accuracy, which is
TP / (TP + FP + FN) over all objects of the test images, matched at an IoU of 0.5 to 0.9.

Minutes are of the process, with one thread, so that they equal minutes of one idle core whatever
else the machine does. foveate's hold everything from audit to report, StarDist's hold training.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
BATCH, PATCH, STEPS = 4, 256, 20


def accuracy(pairs: Sequence[tuple[list[Any], list[Any]]], threshold: float) -> float:
    """TP / (TP + FP + FN) of objects, each an array of flat pixel indices."""
    from scipy.optimize import linear_sum_assignment

    hits = objects = 0
    for predicted, true in pairs:
        iou = np.zeros((len(predicted), len(true)))
        for row, one in enumerate(predicted):
            for column, other in enumerate(true):
                if one[0] <= other[-1] and other[0] <= one[-1]:
                    both = len(np.intersect1d(one, other, assume_unique=True))
                    iou[row, column] = both / (len(one) + len(other) - both)
        matched = linear_sum_assignment(-(iou >= threshold).astype(float) - iou / 1e6)
        hits += int((iou[matched] >= threshold).sum())
        objects += len(predicted) + len(true)
    return hits / max(1, objects - hits)


def format_accuracies(pairs: Sequence[tuple[list[Any], list[Any]]]) -> str:
    """The accuracy at each threshold."""
    return ", ".join(f"{accuracy(pairs, threshold):.3f} at {threshold}" for threshold in THRESHOLDS)


def train_stardist(folder: Path, minutes: float, seed: int) -> None:
    """Train in the environment of StarDist: folder/data.npz -> folder/labels.npz."""
    import tensorflow as tf
    from csbdeep.utils import normalize
    from stardist import fill_label_holes
    from stardist.models import Config2D, StarDist2D

    tf.keras.utils.set_random_seed(seed)
    with np.load(folder / "data.npz") as file:
        data = {name: file[name] for name in file.files}

    def images(split: str) -> list[Any]:
        names = sorted(name for name in data if name.startswith(f"{split}-image"))
        return [normalize(data[name].astype(np.float32), 1, 99.8, axis=(0, 1)) for name in names]

    def labels(split: str) -> list[Any]:
        names = sorted(name for name in data if name.startswith(f"{split}-label"))
        return [fill_label_holes(data[name]) for name in names]

    def augment(image: Any, label: Any) -> tuple[Any, Any]:
        for axis in (0, 1):
            if np.random.random() < 0.5:
                image, label = np.flip(image, axis), np.flip(label, axis)
        if np.random.random() < 0.5:
            image, label = image.swapaxes(0, 1), label.swapaxes(0, 1)
        scale, shift = np.random.uniform(0.6, 2), np.random.uniform(-0.2, 0.2)
        return image * scale + shift, label

    config = Config2D(
        n_rays=32, grid=(2, 2), n_channel_in=3, train_patch_size=(PATCH, PATCH),
        train_batch_size=BATCH, train_steps_per_epoch=STEPS, train_epochs=10_000,
        train_tensorboard=False,
    )  # fmt: skip
    net = StarDist2D(config, name="stardist", basedir=str(folder))
    net.prepare_for_training()

    class Deadline(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.model.stop_training = time.process_time() > 60 * minutes

    net.callbacks.append(Deadline())
    valid = images("valid"), labels("valid")
    net.train(images("train"), labels("train"), validation_data=valid, augmenter=augment)
    net.optimize_thresholds(*valid)
    predicted = [net.predict_instances(image)[0] for image in images("test")]
    np.savez(folder / "labels.npz", *predicted)


def main() -> None:
    """Train both with each seed; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--stardist", help="the Python of its environment")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        train_stardist(given.child, given.minutes, given.seeds[0])
        return
    time.monotonic = time.process_time  # before foveate reads the clock
    import foveate as fv
    from foveate.experiment.prepare import reopen
    from foveate.progress import NullReporter

    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as place:
            folder, script = Path(place), Path(__file__).resolve()
            run = fv.train(
                given.data, task="instance", size=given.size, minutes=given.minutes, seed=seed,
                out=folder / "run",
            )  # fmt: skip
            fv.test(run)
            prepared = reopen(run, NullReporter())
            samples, arrays, pairs = prepared.images.dataset.samples, {}, []
            for split, rows in prepared.splits.items():
                for number, row in enumerate(rows):
                    sample: Any = samples[row]
                    image = sample.source.read()[..., :3]
                    objects = sample.target.pixel_indices(image.shape[:2])
                    label = np.zeros(image.shape[0] * image.shape[1], np.uint16)
                    for index, pixels in enumerate(objects, 1):
                        label[pixels] = index
                    arrays[f"{split}-image-{number:05}"] = image
                    arrays[f"{split}-label-{number:05}"] = label.reshape(image.shape[:2])
                    if split == "test":
                        (found,) = run.predict_confident([sample.source.read()])
                        shown = [one for one in found.pixel_indices(image.shape[:2]) if len(one)]
                        pairs.append((shown, [one for one in objects if len(one)]))
            print(f"seed {seed}, foveate: {format_accuracies(pairs)}", flush=True)
            if given.stardist:
                np.savez(folder / "data.npz", **arrays)
                one = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
                one["TF_NUM_INTEROP_THREADS"] = "1"
                words = [given.stardist, str(script), given.data, "--minutes", f"{given.minutes}"]
                words += ["--seeds", f"{seed}", "--child", place]
                subprocess.run(words, env={**os.environ, **one}, check=True, stdout=sys.stderr)
                with np.load(folder / "labels.npz") as file:
                    maps = [file[name].ravel() for name in file.files]
                theirs = [
                    [np.flatnonzero(label == index) for index in np.unique(label) if index]
                    for label in maps
                ]
                both = [(shown, true) for shown, (_, true) in zip(theirs, pairs, strict=True)]
                print(f"seed {seed}, StarDist: {format_accuracies(both)}", flush=True)


if __name__ == "__main__":
    main()
