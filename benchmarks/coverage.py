"""How often a 95% interval covers the true value, for each metric and its lift.

Populations of 30,000 images in 500 groups are simulated: per-image statistics of a model and a
baseline, whose images of one group are alike. Their metrics are the true values. Samples of images,
or of groups, are drawn from them, and foveate's intervals are computed for each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics import classification, detection, instance, interactive, semantic
from foveate.metrics.intervals import MetricValue, bootstrap, lift
from foveate.metrics.matching import BITS, SIZES, THRESHOLDS
from foveate.metrics.metric import Metric, PerImageStats, ragged_column
from foveate.metrics.resampling import resample

GROUPS, GROUP_SIZE = 500, 60
IMAGES = GROUPS * GROUP_SIZE
DESIGNS = [(n, groups) for n in (30, 100, 300) for groups in (0, 5, 10, 30) if n > groups]
"""Images, and groups that they come from; 0: each image is drawn on its own."""

Population = tuple[Metric[Any], PerImageStats, PerImageStats]
Rng = np.random.Generator


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1."""
    return 1 / (1 + np.exp(-x))


def difficulty(rng: Rng, between: float, within: float) -> NDArray[np.float64]:
    """(IMAGES,) how hard each image is: partly a matter of its group."""
    of_group = np.repeat(rng.normal(0, between, GROUPS), GROUP_SIZE)
    return of_group + rng.normal(0, within, IMAGES)


def classify(rng: Rng, ease: float, gap: float, overconfidence: float) -> Population:
    """Five classes, of which each group shows some more often; the last is rare."""
    classes = 5
    shares = np.repeat(rng.dirichlet([3, 2, 2, 1, 0.5], GROUPS), GROUP_SIZE, 0)
    target = (rng.random(IMAGES)[:, None] > shares.cumsum(1)).sum(1).clip(0, classes - 1)
    hard, luck, stats = difficulty(rng, 1.0, 1.5), rng.random(IMAGES), []
    for logit, factor in ((ease - hard, overconfidence), (ease - gap - hard, 1.0)):
        own = rng.random(IMAGES) < 0.3  # else model and baseline err on the same images
        right = np.where(own, rng.random(IMAGES), luck) < sigmoid(logit)
        confidence = np.maximum(sigmoid(factor * logit), 1 / classes + 0.01)
        predicted = np.where(right, target, (target + rng.integers(1, classes, IMAGES)) % classes)
        likelihood = np.where(right, confidence, (1 - confidence) / (classes - 1))
        stats.append(
            {
                "target": target,
                "predicted": predicted,
                "likelihood": likelihood,
                "confidence": confidence,
            }
        )
    return classification.ClassificationMetric(classes), stats[0], stats[1]


def segment(rng: Rng) -> Population:
    """Four classes; the last is small, and in a third of the images."""
    classes = 4
    present = rng.random((IMAGES, classes)) < [1, 0.9, 0.6, 0.3]
    pixels = (rng.dirichlet([4, 2, 1, 0.3], IMAGES) * present * 4096).astype(int)
    hard, stats = difficulty(rng, 0.6, 0.5), []
    for ease in (2.0, 1.2):
        noise = rng.normal(0, 0.4, pixels.shape) - np.array([-0.5, 0, 0.3, 1])
        recall = sigmoid(ease - hard[:, None] + noise)
        hits = (pixels * recall).astype(int)
        other = (np.arange(classes) + rng.integers(1, classes, pixels.shape)) % classes
        edge = np.sqrt(pixels).astype(int) * 4
        predicted_edge = (edge * rng.uniform(0.7, 1.3, edge.shape)).astype(int)
        found, correct = ((one * recall**2).astype(int) for one in (edge, predicted_edge))
        rows = []
        for i in range(IMAGES):
            cells = []
            for k in np.flatnonzero(pixels[i]).tolist():
                cells.append([k * classes + k, int(hits[i, k])])
                cells.append([k * classes + int(other[i, k]), int(pixels[i, k] - hits[i, k])])
            edges = np.stack([predicted_edge[i], correct[i], edge[i], found[i]], 1)
            rows.append(
                {
                    "cells": [cell for cell in cells if cell[1]],
                    "edges": [[k, *edges[k].tolist()] for k in range(classes) if edges[k].any()],
                }
            )
        stats.append(semantic.per_image_stats(rows))
    return semantic.SemanticMetric([str(k) for k in range(classes)]), stats[0], stats[1]


@dataclass
class _Objects:
    """The objects of one image, and what is simulated of them."""

    classes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    luck: NDArray[np.float64]
    columns: dict[str, list[Any]] = field(default_factory=dict)


def detect(rng: Rng, *, masks: bool) -> Population:
    """Three classes, of which the last is one object in ten.

    The scores say nothing of the quality of a box; those of masks say a little.
    """
    shares, stats = [0.6, 0.3, 0.1], []
    hard = difficulty(rng, 0.7, 0.5)
    crowding = np.exp(0.9 + np.repeat(rng.normal(0, 0.3, GROUPS), GROUP_SIZE))
    numbers = np.minimum(rng.poisson(crowding), 15).tolist()
    images = [
        _Objects(rng.choice(3, t, p=shares), rng.integers(1, 4, t), rng.normal(0, 1, t))
        for t in numbers
    ]
    for ease in (1.5, 0.6):
        rows = [_found(rng, one, ease - h, masks) for one, h in zip(images, hard, strict=True)]
        stats.append({name: ragged_column([row[name] for row in rows]) for name in rows[0]})
    if masks:
        return instance.InstanceMetric(3, np.full(3, 0.45)), stats[0], stats[1]
    return detection.DetectionMetric(3), stats[0], stats[1]


def _found(rng: Rng, true: _Objects, ease: float, masks: bool) -> dict[str, list[Any]]:
    found = np.flatnonzero(ease + true.luck > -0.3)
    wrong = int(rng.poisson(np.exp(0.4 * (1 - ease))))
    quality = sigmoid(1.3 + 0.5 * rng.normal(size=len(found)) + 0.4 * ease)
    informed = 0.8 * true.luck[found] if masks else 0.0
    scores = np.concatenate(
        [
            sigmoid(1.2 + informed + rng.normal(size=len(found))),
            sigmoid(-0.5 + rng.normal(size=wrong)),
        ]
    )
    classes = np.concatenate([true.classes[found], rng.choice(3, wrong, p=[0.6, 0.3, 0.1])])
    sizes = np.concatenate([true.sizes[found], rng.integers(1, 4, wrong)])
    iou = np.concatenate([quality, np.zeros(wrong)])
    bits = (iou[:, None] >= THRESHOLDS) @ BITS
    own = (np.arange(len(SIZES)) == 0) | (sizes[:, None] == np.arange(len(SIZES)))
    columns = {
        "scores": scores.round(6).tolist(),
        "classes": classes.tolist(),
        "hits": (bits[:, None] * own).tolist(),
        "ignored": (~own * int(BITS.sum())).tolist(),
        "target_classes": true.classes.tolist(),
        "counted": (
            (np.arange(len(SIZES)) == 0) | (true.sizes[:, None] == np.arange(len(SIZES)))
        ).tolist(),
    }
    if masks:
        shown, rows = scores >= 0.45, []
        for k in range(3):
            of_class = shown & (classes == k)
            hit, objects = of_class & (iou > 0.5), int((true.classes == k).sum())
            if of_class.any() or objects:
                hits = int(hit.sum())
                false_positives = int(of_class.sum()) - hits
                rows.append([k, hits, float(iou[hit].sum()), false_positives, objects - hits])
        columns["quality"], columns["counts"] = rows, [int(shown.sum()), len(true.classes)]
    return columns


def click(rng: Rng) -> Population:
    """Up to ten objects an image, each a little better after each click."""
    hard, numbers, stats = difficulty(rng, 0.6, 0.5), np.minimum(rng.poisson(2.5, IMAGES), 10), []
    for ease in (1.2, 0.8):
        rows = []
        for count, h in zip(numbers.tolist(), hard.tolist(), strict=True):
            logits = rng.normal(ease - h, 0.8, (count, 1)) + np.arange(5) * 0.6
            rows.append([[0, *row] for row in sigmoid(logits).round(4).tolist()])
        stats.append({"objects": ragged_column(rows)})
    return interactive.InteractiveMetric(), stats[0], stats[1]


POPULATIONS: dict[str, Callable[[Rng], Population]] = {
    "classification": lambda rng: classify(rng, 2.0, 0.6, 1.3),
    "classification, nearly perfect": lambda rng: classify(rng, 7.0, 0.5, 1.0),
    "detection": lambda rng: detect(rng, masks=False),
    "semantic": segment,
    "instance": lambda rng: detect(rng, masks=True),
    "promptable": click,
}


def draw(rng: Rng, n: int, groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) rows of the population, and the group of each."""
    if not groups:
        return rng.integers(0, IMAGES, n), np.arange(n)
    sizes = [len(part) for part in np.array_split(np.arange(n), groups)]
    rows = [
        rng.integers(0, GROUPS) * GROUP_SIZE + rng.choice(GROUP_SIZE, size, replace=False)
        for size in sizes
    ]
    return np.concatenate(rows), np.repeat(np.arange(groups), sizes)


@dataclass
class Count:
    """Intervals of one metric in one design.

    Attributes:
        tried: How many were computed.
        covering: How many of these cover the true value.
        rough: How many of these are marked as rough.
        width: Sum of their widths.
    """

    tried: int = 0
    covering: int = 0
    rough: int = 0
    width: float = 0.0

    def add(self, metric: MetricValue, true: float) -> None:
        """Count one interval; none is expected where the metric is not defined."""
        if not np.isnan(metric.value):
            self.tried += 1
            self.covering += metric.low - 1e-9 <= true <= metric.high + 1e-9
            self.rough += metric.rough
            self.width += metric.high - metric.low


def coverage(
    population: Population, n: int, groups: int, repeats: int, resamples: int
) -> dict[str, Count]:
    """Each metric, and its lift as `lift of ...`."""
    metric, *both = population
    true = [_true_values(metric, stats) for stats in both]
    rng, result = np.random.default_rng([n, groups]), {}
    for repeat in range(repeats):
        rows, clusters = draw(rng, n, groups)
        stats = [{name: column[rows] for name, column in one.items()} for one in both]
        samples = [
            resample(n, metric.scorer(one), clusters=clusters, resamples=resamples, seed=repeat)
            for one in stats
        ]
        rules: Any = {"ranges": metric.ranges, "min_images": metric.min_images}
        rough = [metric.rough(one, clusters) for one in stats]
        values = bootstrap(samples[0], **rules, rough=rough[0])
        values |= metric.exact_values(stats[0], clusters)
        for name, value in values.items():
            result.setdefault(name, Count()).add(value, true[0][name])
        lifts = lift(*samples, **rules, rough=rough[0] | rough[1]) | metric.exact_lifts(
            *stats, clusters
        )
        for name, value in lifts.items():
            difference = true[0][name] - true[1][name]
            result.setdefault(f"lift of {name}", Count()).add(value, difference)
    return result


_TRUE: dict[int, Mapping[str, float]] = {}


def _true_values(metric: Metric[Any], stats: PerImageStats) -> Mapping[str, float]:
    if id(stats) not in _TRUE:
        _TRUE[id(stats)] = metric.compute(stats)
    return _TRUE[id(stats)]


def cell(count: Count) -> str:
    """The coverage in percent, marked where the product calls most of the intervals rough."""
    if not count.tried:
        return "–"
    return f"{100 * count.covering / count.tried:.0f}{'r' * (2 * count.rough > count.tried)}"


def main() -> None:
    """Print the table of each task, and write all of them as markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(POPULATIONS), choices=list(POPULATIONS))
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    header = [f"{n}" + (f" in {groups}" if groups else "") for n, groups in DESIGNS]
    lines = []
    for task in options.tasks:
        began = time.perf_counter()
        population = POPULATIONS[task](np.random.default_rng(0))
        columns = [
            coverage(population, n, groups, options.repeats, options.resamples)
            for n, groups in DESIGNS
        ]
        lines += [f"| {task} | {' | '.join(header)} |", "|---" * (1 + len(header)) + "|"]
        for name in columns[0]:
            lines.append(f"| {name} | {' | '.join(cell(column[name]) for column in columns)} |")
        lines.append("")
        print("\n".join(lines[-len(columns[0]) - 3 :]))
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
        if options.out:
            options.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
