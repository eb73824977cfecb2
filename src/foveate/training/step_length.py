"""The curve doctor's verdicts on the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from foveate.metrics.names import display_name
from foveate.training.diagnosis import Diagnosis, unclear
from foveate.training.run_curves import FEW_EPOCHS, MIN_ROWS, MISFIT, RunCurves, end_of

LOST = 0.10
"""Points of the metric that are lost again where the learning rate is too high, or half of them
from one epoch to the next."""
EXPLODED = 100
"""Times its end that a validation loss was where the first steps blew up a model that stays poor:
no model that learns so much is poor."""
RISEN = 10
"""Times its lowest value that a validation loss ends at where the steps of a poor model are too
long: overfitting raises it too, but that model knows its train images."""


def too_high(curves: RunCurves) -> Diagnosis | None:
    """The steps jump over the minimum: what was learnt is lost, or little is ever learnt.

    A loss that rises does not suffice. The metric must be poor, or fall with it.
    """
    train, metric = curves.train, curves.train_metric
    end, highest, shown = end_of(train), max(train), curves.shown
    if not all(math.isfinite(loss) for loss in train):
        how = "training loss is no longer a number"
    elif max(metric) - end_of(metric) > LOST and end > 1.2 * min(train) and _rose(curves.valid):
        how = f"training loss rose again from {shown(min(train))} to {shown(end)}"
    elif _falls_back(train, metric) >= max(2, len(train) // 4):
        low_high = f"{shown(min(train))} and {shown(highest)}"
        how = f"training loss went up and down, between {low_high}"
    elif _poor(curves) and _jumped(curves):
        how = f"training loss was {shown(highest)} at its highest and stayed at {shown(end)}"
    elif _poor(curves) and len(train) >= MIN_ROWS and end > 1.01 * train[0]:
        how = f"training loss rose from {shown(train[0])} to {shown(end)}"
    elif _poor(curves) and end_of(curves.valid) > RISEN * min(curves.valid):
        how = (
            f"validation loss rose from {shown(min(curves.valid))} to "
            f"{shown(end_of(curves.valid))}, and the model did not even learn the train images"
        )
    elif _poor(curves) and max(curves.valid) > EXPLODED * end_of(curves.valid):
        how = (
            f"validation loss was {shown(max(curves.valid))} at its highest and is "
            f"{shown(end_of(curves.valid))} at the end"
        )
    else:
        return None
    return Diagnosis(
        "learning rate too high",
        f"The {how}: the steps are so long that they jump over the minimum.",
        f"Try a fifth of the learning rate (--lr {curves.lr / 5:.2g}), or --lr find.",
        "bad",
    )


def _rose(loss: Sequence[float]) -> bool:
    """Whether a loss ends above its lowest value. Metrics of single batches rise and fall alone."""
    return end_of(loss) > 1.02 * min(loss)


def _falls_back(train: Sequence[float], metric: Sequence[float]) -> int:
    """Epochs after which the training loss is clearly higher and the metric clearly lower."""
    return sum(
        loss > 1.1 * loss_before and value < value_before - LOST / 2
        for (loss_before, loss), (value_before, value) in zip(
            pairwise(train), pairwise(metric), strict=True
        )
    )


def _jumped(curves: RunCurves) -> bool:
    """Whether the training loss was once far above where it stays.

    A net begins near the loss of a guess, and a poor model has not come far below that. So a loss
    that is twice its end was above that of a guess, as is one that rises above its start.
    """
    train, end = curves.train, end_of(curves.train)
    stays = end > 0.97 * train[curves.half]
    return stays and (max(train) > 2 * end or max(train) > 1.1 * train[0])


def too_low(curves: RunCurves) -> Diagnosis | None:
    """A loss has hardly fallen, and falls as fast as at first."""
    creeping = next((loss for loss in (curves.valid, curves.train) if _creeps(loss)), None)
    if creeping is None or not curves.perfect or curves.clear_gap or _fell(curves.train):
        return None  # a net that learns or memorises takes long enough steps
    which = "validation" if creeping is curves.valid else "training"
    return Diagnosis(
        "learning rate too low",
        f"The {which} loss has hardly fallen, from {curves.shown(creeping[0])} to "
        f"{curves.shown(creeping[-1])}, and still falls in nearly a straight line: each step is "
        "too short.",
        f"Try ten times the learning rate (--lr {10 * curves.lr:.2g}), or --lr find.",
        "bad",
    )


def _creeps(loss: Sequence[float]) -> bool:
    fall, half = loss[0] - loss[-1], loss[(len(loss) - 1) // 2] - loss[-1]
    return len(loss) >= MIN_ROWS and fall > 0 and half > 0.4 * fall and not _fell(loss)


def _fell(loss: Sequence[float]) -> bool:
    """Few epochs seldom lower a loss by a fifth, at the right learning rate either."""
    return loss[0] - loss[-1] >= (0.2 if len(loss) >= FEW_EPOCHS else 0.05) * loss[0]


def stuck(curves: RunCurves) -> Diagnosis | None:
    """A loss stays where it was: no step leads anywhere, or the first ones broke the net."""
    start, end = curves.train[0], end_of(curves.train)
    near = 0.01 * abs(start), 0.01 * abs(curves.valid[0])
    still = abs(end - start) < near[0] or max(curves.valid) - min(curves.valid) < near[1]
    if not still or _fitted(curves) >= 1 - MISFIT or len(curves.train) < MIN_ROWS:
        return None
    return unclear(
        f"The validation loss was {curves.shown(curves.valid[0])} at first and is "
        f"{curves.shown(curves.valid[-1])} at the end, and the training loss "
        f"{curves.shown(start)} and {curves.shown(end)}: the model learns nothing. The steps are "
        "far too short or far too long, or the images do not show what the labels say.",
        "Let the learning rate be measured (--lr find), and look at the data with foveate audit.",
    )


def worse_from_start(curves: RunCurves) -> Diagnosis | None:
    """Fine-tuning only loses what the pretrained net knew."""
    start, end = curves.best_loss, end_of(curves.valid)
    metric = end_of(curves.valid_metric)
    worse = end > 1.1 * start and curves.kept - metric > LOST / 2
    if not curves.untrained or not worse or len(curves.valid) < MIN_ROWS:
        return None
    return Diagnosis(
        "worse from the start",
        f"The validation loss rose from {curves.shown(start)} before training to "
        f"{curves.shown(end)}, while {display_name(curves.metric)} fell from {curves.kept:.1%} to "
        f"{metric:.1%}: fine-tuning loses what the pretrained net knew.",
        f"Try a fifth of the learning rate (--lr {curves.lr / 5:.2g}), or keep the pretrained "
        "weights and train the head alone (--set freeze=true).",
        "bad",
    )


def _poor(curves: RunCurves) -> bool:
    """Whether many train images are still wrong, where all of them could be right."""
    return curves.perfect and _fitted(curves) < 1 - MISFIT


def _fitted(curves: RunCurves) -> float:
    """The metric on train images, of the kept weights or of the last ones."""
    return max(curves.fitted, end_of(curves.train_metric))
