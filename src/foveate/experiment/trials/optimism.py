"""How much of a winner's lead is luck: the best of many trials is chosen partly by chance.

Bootstrap bias correction (Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample
predictions for efficient and accurate cross-validation", 2018). The images of the validation split
are drawn with replacement; the trial that is best on the images drawn is scored on those that were
not. No training is repeated. Unlike in the paper, what fewer images alone change of a metric is
taken off: the average precision of a third of the images is another one for every trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.metric import Metric, PerImageStats
from foveate.metrics.resampling import MAX_DRAWN, BatchScorer, Score, number_groups
from foveate.wording import percent

RESAMPLES = 300


@dataclass(frozen=True)
class Optimism:
    """What choosing the best of several trials adds to its metric.

    Attributes:
        trials: Number of trials that were compared.
        n: Number of images.
        value: The winner's metric on the validation split.
        corrected: The metric that a winner, chosen so, is expected to have on other images.
        low: Lower end of its 95% interval.
        high: Upper end of its 95% interval.
        lead: The winner's metric minus that of the default settings; positive is better.
        corrected_lead: What is expected to remain of it on other images.
        chosen: Share of the resamples in which this trial wins.
    """

    trials: int
    n: int
    value: float
    corrected: float
    low: float
    high: float
    lead: float | None
    corrected_lead: float | None
    chosen: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def optimism_of(
    metric: Metric[Any],
    name: str,
    stats: Mapping[int, PerImageStats],
    units: NDArray[np.int64],
    winner: int,
    default: int | None,
    *,
    maximise: bool,
    seed: int,
    resamples: int = RESAMPLES,
) -> Optimism | None:
    """Correct the metric of the best trial for having been chosen.

    Args:
        metric: Of the task.
        name: The metric that chooses.
        stats: Per-image statistics of N images by each trial.
        units: (N,) equal for images that belong together, which are drawn together.
        winner: The best trial.
        default: The trial of the default settings, if it is among them.
        maximise: Whether more of the metric is better.
        seed: Of the draws.
        resamples: How many.

    Returns:
        The correction; None if there are too few trials or images to compute it.
    """
    numbers, unit = sorted(stats), number_groups(len(units), units)
    groups = int(unit.max()) + 1 if len(unit) else 0
    if len(numbers) < 2 or groups < 2:
        return None
    scorers = [metric.scorer(stats[number]) for number in numbers]
    sign, rng = (1 if maximise else -1), np.random.default_rng(seed)
    won, outside, leads, shifts = [], [], [], []
    full = np.array([float(scorer(None)[name]) for scorer in scorers])
    at_once = max(1, MAX_DRAWN // len(unit))
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        draws = rng.integers(0, groups, (some, groups))
        times = np.stack([np.bincount(row, minlength=groups) for row in draws])[:, unit]
        left = (times == 0).astype(np.int64)
        inside = sign * np.stack([_values(scorer, times, name) for scorer in scorers])
        others = np.stack([_values(scorer, left, name) for scorer in scorers])
        best = np.where(np.isnan(inside), -np.inf, inside).argmax(0)
        scores = others[best, np.arange(some)]
        won.append(best)
        outside.append(scores)
        shifts.append(others - full[:, None])
        if default is not None:
            leads.append(sign * (scores - others[numbers.index(default)]))
    known = np.concatenate(outside)
    if np.isnan(known).all():
        return None
    # Of fewer images some metrics are higher or lower, whichever trial it is: that is no luck.
    shift = float(np.nanmean(np.concatenate(shifts, 1)))
    known, value = known[~np.isnan(known)] - shift, float(full[numbers.index(winner)])
    corrected = float(known.mean())
    lead = remains = None
    if default is not None:
        lead = sign * (value - float(full[numbers.index(default)]))
        remains = min(lead, float(np.nanmean(np.concatenate(leads))))
    low, high = np.quantile(known, [0.025, 0.975])
    return Optimism(
        trials=len(numbers),
        n=len(units),
        value=value,
        corrected=sign * min(sign * corrected, sign * value),  # luck makes nothing worse
        low=float(low),
        high=float(high),
        lead=lead,
        corrected_lead=remains,
        chosen=float((np.concatenate(won) == numbers.index(winner)).mean()),
    )


def _values(scorer: Score, times: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    """(R, N) how often each image counts -> (R,) the metric; NaN where it has no value."""
    if isinstance(scorer, BatchScorer):
        return scorer.of_times(times)[name]
    rows = np.arange(times.shape[1])
    drawn = [np.repeat(rows, one) for one in times]
    return np.array([scorer(one)[name] if len(one) else np.nan for one in drawn], float)


def in_words(one: Optimism | None, metric: str, trials: int) -> Sequence[str]:
    """What the correction says, in sentences.

    Args:
        one: The correction, or None.
        metric: Name of the metric, as it is shown.
        trials: Trials that came to their end.
    """
    if one is None:
        return [
            "The lead of the winner cannot be corrected for having been chosen: that needs at "
            "least two trials that came to their end, and their predictions."
        ]
    sentences = [
        f"The winner's validation {metric} of {percent(one.value)} is the best of {one.trials} on "
        f"{one.n:,} images, so part of it is luck. A winner chosen so is expected to reach "
        f"{percent(one.corrected)} on other images (95% of resamples: "
        f"{percent(one.low)} to {percent(one.high)}).",
        f"In {one.chosen:.0%} of the resamples this trial wins: "
        + (
            "another draw of images would most likely have chosen another one."
            if one.chosen < 0.5
            else "the choice hardly depends on which images were drawn."
            if one.chosen > 0.9
            else "the choice depends on which images were drawn."
        ),
    ]
    if one.lead is not None and one.corrected_lead is not None:
        if one.lead == 0:
            sentences.append("No trial is better than the default settings.")
        else:
            sentences.append(
                f"Its lead over the default settings is {100 * one.lead:.1f} points, of which "
                f"{100 * one.corrected_lead:+.1f} are expected to remain."
            )
    if one.trials < trials:
        sentences.append(
            f"The predictions of {trials - one.trials} trials lie on other machines and are left "
            "out, so the correction is too small."
        )
    return sentences
