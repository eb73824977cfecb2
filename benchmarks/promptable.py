"""Interactive segmentation: IoU after some clicks on unseen classes, and milliseconds per click.

    python benchmarks/promptable.py unseen --minutes 12 --seeds 0 1 2 --nuclei DATA
    python benchmarks/promptable.py speed

`unseen` trains on scenes that show digits 0 to 6 alone, and clicks on the 7s, 8s and 9s of the
test split's scenes, among other digits; with --nuclei also on nuclei, which were in no training.
GrabCut (Rother et al., 2004; OpenCV, the extra `video`) gets the same clicks, the first one with a
square of the usual side around it.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Instances
from measure import combine, format_row, median

TRAINED_DIGITS = range(7)
IMAGES = {"train": 1000, "valid": 200, "test": 300}


def scenes() -> Any:
    """Scenes of TRAINED_DIGITS in train and valid; in test only other digits are targets."""
    from foveate.annotations import Boxes
    from foveate.data.dataset import ArraySource, Dataset, Sample
    from foveate.datasets.builtin import scenes as source

    samples = []
    for split, count in IMAGES.items():
        added = 0
        for number in itertools.count():
            image, instances = source.draw(f"{split}/{number:04d}")
            digits = np.array([instance.digit for instance in instances], np.int64)
            unseen = ~np.isin(digits, TRAINED_DIGITS)
            if added == count:
                break
            if unseen.any() and split != "test":
                continue
            ids = np.zeros(image.shape[:2], np.int32)
            for row, instance in enumerate(instances, 1):
                ids[instance.mask] = row
            like = Boxes(
                np.zeros((len(instances), 4)),
                0 * digits,
                difficult=~unseen if split == "test" else None,
            )
            target = Instances.from_label_map(ids, like)
            samples.append(
                Sample(f"{split}/{number:04d}", ArraySource(image[None], 0), target, None, split)
            )
            added += 1
    return Dataset("scenes", "promptable", ("digit",), samples, hflip_safe=False)


def unseen(minutes: float, seeds: Sequence[int], nuclei: str | None, more: dict[str, Any]) -> None:
    import foveate as fv

    data, rows = scenes(), []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run = fv.train(data, out=Path(folder) / "run", minutes=minutes, seed=seed, **more)
            row: dict[str, Any] = {"seconds": time.perf_counter() - began}
            row |= {name: metric["value"] for name, metric in run.test().items()}
            for name, metrics in run.results["baseline"]["test"].items():
                row |= {f"{name} {key}": metrics[key]["value"] for key in ("iou_1", "iou_3")}
            if nuclei is not None:
                row |= {f"nuclei {name}": value for name, value in elsewhere(run, nuclei).items()}
        rows.append(row)
        print(f"{minutes:g} min, seed {seed}: {format_row(row)}", flush=True)
    if len(rows) > 1:
        print(
            f"{minutes:g} min, median of {len(rows)}: "
            f"{format_row(combine(rows, statistics.median))}",
            flush=True,
        )
    print(
        f"GrabCut: {format_row(grabcut([sample for sample in data if sample.split == 'test']))}",
        flush=True,
    )


def elsewhere(run: Any, nuclei: str) -> dict[str, float]:
    """Metrics on every fourth image of nuclei."""
    from foveate.datasets.load import load

    task, net = run.load()
    samples = [sample for sample in load(nuclei) if sample.target is not None][::4]
    images = [sample.source.read() for sample in samples]
    targets = [
        sample.target.clip(image.shape[:2], 1)
        for sample, image in zip(samples, images, strict=True)
    ]
    targets = [
        replace(target, boxes=replace(target.boxes, size=image.shape[:2]))
        for target, image in zip(targets, images, strict=True)
    ]
    return task.score(task.predict(net, task.make_prompts(images, targets)), targets)


def grabcut(samples: Sequence[Any]) -> dict[str, float]:
    import cv2

    from foveate.metrics.baselines.clicks import predict_clicks
    from foveate.metrics.interactive import InteractiveMetric

    targets = [sample.target for sample in samples]
    areas = [mask.sum() for target in targets for mask in target.masks(target.boxes.size)]
    side = 1.5 * float(np.sqrt(np.median(areas)) * 2)

    def cut(image: Any, clicks: Sequence[Any]) -> Any:
        x, y, _ = clicks[0]
        labels = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
        top, left = max(0, int(y - side / 2)), max(0, int(x - side / 2))
        labels[top : int(y + side / 2) + 1, left : int(x + side / 2) + 1] = cv2.GC_PR_FGD
        for column, row, inside in clicks:
            cv2.circle(
                labels, (int(column), int(row)), 2, int(cv2.GC_FGD if inside else cv2.GC_BGD), -1
            )
        cv2.setRNGSeed(0)
        cv2.grabCut(
            image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK
        )
        return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)

    predictions = [predict_clicks(cut, sample.source.read(), sample.target) for sample in samples]
    return InteractiveMetric().score(predictions, targets)


def speed(sizes: Sequence[int]) -> None:
    import torch

    from foveate import models
    from foveate.models.model import VisionModel
    from foveate.models.net_interactive import NetInteractivePredictor
    from foveate.tasks.promptable import Promptable

    rng = np.random.default_rng(0)
    for cores, size in itertools.product((1, 2), sizes):
        torch.set_num_threads(cores)
        body = Promptable(["a"]).head(models.build("tiny_encoder", channels=3, size=size))
        net = VisionModel(body, size=size, mean=[110.0] * 3, std=[60.0] * 3).to(
            memory_format=torch.channels_last
        )
        image = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
        encoding = median(lambda net=net, image=image: NetInteractivePredictor(net, image))
        predictor = NetInteractivePredictor(net, image)
        clicking = median(
            lambda predictor=predictor, size=size: (
                predictor.reset(),
                predictor.click(size / 2, size / 3),
            )
        )
        weights = sum(weight.numel() for weight in net.parameters())
        print(
            f"{size} px, {cores} cores, {weights / 1e6:.2f} M weights: "
            f"encoding {1e3 * encoding:.1f} ms, a click {1e3 * clicking:.1f} ms"
        )


if __name__ == "__main__":
    import yaml

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("unseen")
    one.add_argument("--minutes", type=float, default=12.0)
    one.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    one.add_argument("--nuclei")
    other = kinds.add_parser("speed")
    other.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    given, more = parser.parse_known_args()
    if given.kind == "speed":
        speed(given.sizes)
    else:
        options = dict(
            zip(
                (word.removeprefix("--") for word in more[::2]),
                map(yaml.safe_load, more[1::2]),
                strict=True,
            )
        )
        unseen(given.minutes, given.seeds, given.nuclei, options)
