"""What validation and evaluation will take, measured on a few images before training begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from foveate import models, processes
from foveate.data.batches import validation_batches
from foveate.data.subset import Subset
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.probing import starts_from_probe
from foveate.models.model import VisionModel
from foveate.progress import Reporter
from foveate.settings import Settings
from foveate.tasks.capabilities import with_prompts
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training.device import autocast, preserved_torch_state
from foveate.training.time_budget import MIN_STEPS, MIN_TRAINING, MIN_VALIDATIONS

MIN_EPOCHS = 3
"""Epochs below which the user is advised to give more time."""
MAX_IMAGES = 8
"""Images that are predicted to see how long it takes."""
REPORT_SECONDS, LABEL_SECONDS = 3.0, 3.0
"""Of processor time, for the report, and for the search for wrong labels of a classification."""
MAX_SLOWNESS = 4.0
"""Beyond that, it was not the processor that was waited for."""
_STEP = 32  # pixels between sizes that are advised
_WARM = 1.0  # seconds of a first call after which its preparations count for little


@dataclass(frozen=True)
class Rehearsal:
    """How long parts of a run will take, in seconds.

    Attributes:
        validation: A validation, which gives a point of the learning curves.
        after: All that follows training: calibration, evaluation and report.
        images: Images of the validation split.
    """

    validation: float
    after: float
    images: int

    def epoch(self, images: int) -> float:
        """An epoch of so many train images: a backward pass takes about two forward passes."""
        return 3 * self.validation / max(1, self.images) * images


def rehearse(
    task: Task[Any],
    net: VisionModel,
    prepared: PreparedData,
    valid: tuple[Subset, Sequence[Any], Sequence[str]],
    *,
    scoring: float,
    began: float,
    amp: torch.dtype | None = None,
) -> Rehearsal:
    """Validate and predict a few images; net and random state stay as they are.

    Args:
        task: The task.
        net: The net, with any weights.
        prepared: The data.
        valid: Images, targets and ids of the validation split, as it is validated.
        scoring: Seconds that it took to score the predictions of a baseline.
        began: time.monotonic() at the start of the command.
        amp: dtype of the forward pass in validation, or None for full precision.
    """
    was_training, device = net.training, next(net.parameters()).device
    inputs, target = next(iter(validation_batches(task, *valid, task.validation_batch(net))))

    def validate_batch() -> None:
        with autocast(device, amp):
            output = net(*(tensor.to(device) for tensor in inputs))
            task.loss(output, target)["total"].item()

    images, fitted, _ = prepared.for_evaluation("valid").of("valid")
    count = min(MAX_IMAGES, len(fitted))
    prompted = with_prompts(task, images.part(range(count)), fitted[:count])
    with preserved_torch_state(), torch.no_grad():
        net.eval()
        validation = seconds_of(validate_batch) / len(inputs[0]) * len(valid[2])
        prediction = seconds_of(lambda: task.predict(net, prompted)) / count
    validation, prediction = validation / processes.size(), prediction / processes.size()
    net.train(was_training)
    predictions = len(fitted) + task.calibration_predictions(len(valid[2]))
    # The fit to the train images takes another validation.
    report = REPORT_SECONDS + (LABEL_SECONDS if isinstance(task, Classification) else 0.0)
    after = validation + prediction * predictions + 2 * scoring + report * slowness(began)
    return Rehearsal(validation, after, len(valid[2]))


def warn_of_short_budget(
    rehearsal: Rehearsal, elapsed: float, images: int, settings: Settings, reporter: Reporter
) -> None:
    """Say before training begins what the time budget cannot buy.

    Args:
        rehearsal: What validation and evaluation will take.
        elapsed: Seconds of the budget that are gone.
        images: Images of the train split.
        settings: Of the run; it has minutes and a size.
        reporter: Receives the sentence.
    """
    assert settings.minutes is not None, "there is a time budget"
    assert settings.size is not None, "it is resolved"
    other = elapsed + rehearsal.after + MIN_VALIDATIONS * rehearsal.validation
    epoch = max(rehearsal.epoch(images), 1e-9)
    seconds = 60 * settings.minutes
    epochs = max(seconds - other, MIN_TRAINING * MIN_STEPS * seconds) / epoch
    if epochs >= MIN_EPOCHS:
        return
    needed = math.ceil((other + MIN_EPOCHS * epoch) / 60)
    least = models.find(settings.model).smallest_size(pretrained=settings.weights is not None)
    affordable = int(settings.size * math.sqrt(max(epochs, 0.02) / MIN_EPOCHS))
    smaller = max(affordable // _STEP, -(-least // _STEP)) * _STEP
    # Features of smaller images would be worse from the start.
    helps = smaller < settings.size and elapsed < other / 2 and not starts_from_probe(settings)
    sizes = f", or --size {smaller}" if helps else ""
    reporter.warning(
        f"a budget of {settings.minutes:g} min trains {about_epochs(epochs)}, as all else takes "
        f"about {other:.0f} s; for {MIN_EPOCHS} epochs give --minutes {needed}{sizes}"
    )


def about_epochs(epochs: float) -> str:
    """A number of epochs in words, to one digit."""
    if epochs < 0.1:
        return "less than a tenth of an epoch"
    return "about 1 epoch" if f"{epochs:.1g}" == "1" else f"about {epochs:.1g} epochs"


def slowness(began: float | None) -> float:
    """How much longer a second of the processor takes, as other programs have it too.

    Args:
        began: time.monotonic() at the start of the command; None if it is not known.

    Returns:
        From 1 to MAX_SLOWNESS. It is 1 where the process did other work before, and too high where
        it waited, as for a network.
    """
    if began is None:
        return 1.0
    ratio = (time.monotonic() - began) / max(time.process_time(), 1e-3)
    return min(max(1.0, ratio), MAX_SLOWNESS)


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of a call; of the second one where the first is short, as it also prepares much."""
    for _ in range(2):
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        if seconds > _WARM:
            break
    return seconds
