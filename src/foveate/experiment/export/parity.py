"""The parity gate: an exported model is compared with its run before anyone gets it.

Both predict the validation split. The export must reach the same metric, and its net must give the
same outputs; otherwise nothing is written, and the error names what differs.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Images
from foveate.errors import RunError
from foveate.experiment.evaluate import Scored
from foveate.experiment.export.quantization import has_objects
from foveate.experiment.prepared_data import PreparedData
from foveate.metrics.generation import GeneratedImage
from foveate.metrics.interactive import iou
from foveate.metrics.names import with_article
from foveate.tasks.capabilities import GeneratesImages, PromptedByTargets, with_prompts
from foveate.tasks.task import Task
from foveate.wording import count_noun, percent

MAX_IMAGES = 1000
"""Validation images that both predict; of more, as many are drawn."""
MAX_PROMPTED_IMAGES = 24
"""The same where each object is clicked on several times."""
MAX_OUTPUT_DIFFERENCE = 1e-3
"""Largest difference of an output of the net, as a share of its largest value."""
MAX_METRIC_DIFFERENCE = 0.005
"""Largest difference of the primary metric, in either direction."""
MAX_INT8_LOSS = 0.01
"""What eight bits may cost of the primary metric."""
MIN_AGREEMENT, MIN_INT8_AGREEMENT = 0.95, 0.8
"""Least agreement of the predictions, also of a run whose metric is low or not defined."""
MAX_GENERATED_IMAGES = 64
"""Validation captions from which both generate images."""
MAX_PIXEL_DIFFERENCE = 8
"""Largest difference of a value of a generated image, in grey levels."""
TIMED_IMAGES, TIMED_GENERATED = 20, 4
_READ_AT_ONCE = 32
_REMEDY = "Choose another --format, or predict with the run."

Predict = Callable[[Images], list[Any]]


@dataclass(frozen=True)
class Pixels:
    """How images that both generated from the same noise and words compare.

    Attributes:
        largest: The largest difference of a value, in grey levels.
        equal: The share of images in which no value differs.
    """

    largest: int
    equal: float

    @classmethod
    def of(cls, found: Sequence[GeneratedImage], others: Sequence[GeneratedImage]) -> Pixels:
        """Compare images in pairs."""
        largest = [int(_differences(*pair).max()) for pair in zip(found, others, strict=True)]
        return cls(max(largest), sum(one == 0 for one in largest) / len(largest))


def _differences(one: GeneratedImage, other: GeneratedImage) -> NDArray[np.int16]:
    differences: NDArray[np.int16] = np.abs(one.image.astype(np.int16) - other.image)
    return differences


@dataclass(frozen=True)
class Parity:
    """How an export compares with its run.

    Attributes:
        images: Validation images that both predicted.
        torch: Metrics of the run, each with value, low, high and n.
        exported: Metrics of the export.
        difference: Of the export from the run, with paired intervals; above 0 is better.
        agreement: Mean over images of the primary metric of the export's predictions, with the
            run's as targets.
        outputs: Largest difference of each output of the net, as a share of its largest value.
        torch_milliseconds: Median time of one image in torch.
        milliseconds: Median time of one image in the export.
        pixels: Of generated images; None if the task generates none.
    """

    images: int
    torch: dict[str, Any]
    exported: dict[str, Any]
    difference: dict[str, Any]
    agreement: float
    outputs: dict[str, float]
    torch_milliseconds: float
    milliseconds: float
    pixels: Pixels | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def compare(
    task: Task[Any],
    prepared: PreparedData,
    by_torch: Predict,
    by_export: Predict,
    outputs: Mapping[str, float],
) -> Parity:
    """Let both predict the validation split.

    Args:
        task: The task, as it was calibrated.
        prepared: The data.
        by_torch: Predicts with torch.
        by_export: Predicts with the export.
        outputs: From `output_differences`.

    Raises:
        RunError: The task needs clicks, and there is no object to click on.
    """
    generates = isinstance(task, GeneratesImages)
    clicks = isinstance(task, PromptedByTargets) and not generates
    most, timed = MAX_PROMPTED_IMAGES if clicks else MAX_IMAGES, TIMED_IMAGES
    if generates:
        most, timed = MAX_GENERATED_IMAGES, TIMED_GENERATED
    rows = prepared.drawn("valid", most, wanted=has_objects if clicks else None)
    if not len(rows):
        raise _not_comparable()
    samples = [prepared.images.dataset[row] for row in rows]
    known = dict(zip(prepared.splits["valid"].tolist(), prepared.targets("valid"), strict=True))
    targets = [known[row] for row in rows.tolist()]
    found: list[Any] = []
    others: list[Any] = []
    agreements: list[float] = []
    seconds: tuple[list[float], list[float]] = ([], [])
    for start in range(0, len(samples), _READ_AT_ONCE):
        images = [sample.source.read() for sample in samples[start : start + _READ_AT_ONCE]]
        if not start:
            seconds = _times(images[:timed], by_torch, by_export)
        prompted = with_prompts(task, images, targets[start : start + _READ_AT_ONCE])
        predictions, exported = by_torch(prompted), by_export(prompted)
        found += predictions
        others += exported
        pairs = zip(predictions, exported, images, strict=True)
        agreements += [_agreement(task, one, other, image) for one, other, image in pairs]
    finite = [one for one in agreements if one == one]
    if clicks and not finite:
        raise _not_comparable()
    metric, units = task.metric(), prepared.units[rows]
    torch_scored, export_scored = (
        Scored(metric, metric.per_image(some, targets), units) for some in (found, others)
    )
    return Parity(
        images=len(samples),
        torch=torch_scored.values(),
        exported=export_scored.values(),
        difference=export_scored.lift_over(torch_scored),
        agreement=float(np.mean(finite or [1.0])),
        outputs=dict(outputs),
        torch_milliseconds=1000 * statistics.median(seconds[0]),
        milliseconds=1000 * statistics.median(seconds[1]),
        pixels=Pixels.of(found, others) if generates else None,
    )


def _not_comparable() -> RunError:
    return RunError(
        "no validation image has an object to click on, so the export cannot be compared with its "
        "run; no file was written",
        remedy="Put images with objects into the validation split, and train again.",
    )


def _agreement(task: Task[Any], one: Any, other: Any, image: Any) -> float:
    """How far two predictions for an image agree, from 0 to 1; NaN if there is nothing in either.

    It is the primary metric of the one with the confident part of the other as target; where
    predictions follow prompts, the mean IoU of their last masks; of generated images, the share of
    values that differ by no more than one grey level.
    """
    if isinstance(task, GeneratesImages):
        return float((_differences(one, other) <= 1).mean())
    size = (image.shape[0], image.shape[1])
    first, second = task.confident(one), task.confident(other)
    if isinstance(task, PromptedByTargets):
        return float(iou(first.masks(size), second.masks(size)).mean()) if len(first) else math.nan
    return task.score([second], [first.as_target(size)])[task.primary_metric]


def _times(images: Images, *predict: Predict) -> tuple[list[float], list[float]]:
    """Seconds for each image by each.

    Each works alone for a while: for some time after its work, one runtime's idle threads would
    take the other's cores.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(2):
        for one, times in zip(predict, seconds, strict=True):
            time.sleep(0.3)
            one([images[0]])
            for image in images:
                start = time.perf_counter()
                one([image])
                times.append(time.perf_counter() - start)
    return seconds


def check(parity: Parity, task: Task[Any], *, int8: bool) -> None:
    """Refuse an export that differs from its run.

    Args:
        parity: How they compare.
        task: The task.
        int8: Whether weights and activations were rounded to eight bits, which may cost something.

    Raises:
        RunError: The export differs; the error names the output or the metric.
    """
    some = count_noun(parity.images, "validation image")
    least = MIN_INT8_AGREEMENT if int8 else MIN_AGREEMENT
    if not int8:
        _check_outputs(parity)
    if not parity.agreement >= least:
        raise RunError(
            f"predictions of the export agree with the run's to {percent(parity.agreement)} on "
            f"{some}, {least:.0%} are expected; no file was written",
            remedy="Export it without --int8." if int8 else _REMEDY,
        )
    if parity.pixels is not None and parity.pixels.largest > MAX_PIXEL_DIFFERENCE:
        raise RunError(
            f"images of the export differ from the run's by up to {parity.pixels.largest} of 255 "
            f"grey levels for {parity.images} validation captions, at most {MAX_PIXEL_DIFFERENCE} "
            "are expected; no file was written",
            remedy="Generate with the run.",
        )
    name = task.primary_metric
    if all(one[name]["value"] != one[name]["value"] for one in (parity.torch, parity.exported)):
        return  # not defined for these images, whatever is predicted
    sign = -1 if name in task.lower_is_better else 1
    before, after = (one[name]["value"] for one in (parity.torch, parity.exported))
    if int8:
        if not sign * (before - after) <= MAX_INT8_LOSS:  # also if either is NaN
            raise RunError(
                f"with eight bits the {name} falls from {percent(before)} to {percent(after)} on "
                f"{some}, by more than {100 * MAX_INT8_LOSS:.0f} point; no file was written",
                remedy="Export it without --int8.",
            )
        return
    if not np.isclose(before, after, rtol=0, atol=MAX_METRIC_DIFFERENCE):
        raise RunError(
            f"the export reaches {with_article(name)} of {percent(after)} on {some}, torch "
            f"{percent(before)}; no file was written",
            remedy=_REMEDY,
        )


def _check_outputs(parity: Parity) -> None:
    for output, share in parity.outputs.items():
        if not share <= MAX_OUTPUT_DIFFERENCE:  # also if it is NaN
            raise RunError(
                f"the output {output} of the exported net differs from torch's by {share:.2%} of "
                f"its largest value, on validation images; no file was written",
                remedy=_REMEDY,
            )
