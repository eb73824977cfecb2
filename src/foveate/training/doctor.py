"""The curve doctor: reads the learning curves and says what to try next.

Each diagnosis is a rule of a few lines on the rows of curves.csv. tests/training/test_doctor.py
trains a run that deserves each of them, and checks that the others do not get it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from foveate.metrics.names import display_name
from foveate.training.curves import CurveRow
from foveate.wording import count_noun

MIN_ROWS = 4
"""Validations from which curves can be read."""
LABEL_NOISE = 0.03
"""Share of suspect validation labels from which label noise is likely."""


@dataclass(frozen=True)
class Verdict:
    """One diagnosis.

    Attributes:
        name: In two or three words, e.g. "overfitting".
        text: What the curves show.
        advice: What to try.
        tone: How serious it is.
    """

    name: str
    text: str
    advice: str
    tone: Literal["good", "careful", "bad"]

    def to_json(self) -> dict[str, Any]:
        """The verdict as a record."""
        return asdict(self)


def diagnose(
    rows: Sequence[CurveRow], *, metric: str, floor: float = 0.0, suspects: float | None = None
) -> list[Verdict]:
    """Diagnose a finished run.

    Args:
        rows: The learning curves.
        metric: The metric that they show.
        floor: The lowest possible loss, e.g. the entropy of smoothed labels. What counts is how far
            a loss is above it.
        suspects: Share of the validation labels that a confident model contradicts, if known.

    Returns:
        The verdicts, most serious first; never empty.
    """
    rows = [row for row in rows if row["step"] > 0]  # before it stands what training began with
    if not rows:
        return [
            Verdict(
                "fitted at once",
                "The linear layer was fitted at once, so there are no curves to read.",
                "Fine-tune the whole net from here with: --model efficientnet_lite0.",
                "good",
            )
        ]
    if len(rows) < MIN_ROWS:
        is_are = "is" if len(rows) == 1 else "are"
        return [
            Verdict(
                "too short to judge",
                f"There {is_are} only {count_noun(len(rows), 'validation point')}; curves need at "
                "least four to be read.",
                "Train for more epochs (--epochs) or minutes (--minutes).",
                "careful",
            )
        ]
    train = [row["train_loss"] - floor for row in rows]
    valid = [row["valid_loss"] - floor for row in rows]
    rules = [
        _too_high(rows, train, valid),
        _too_low(rows, train, valid),
        _overfitting(rows, train, valid),
        _label_noise(suspects),
        _still_improving(rows, valid, metric),
    ]
    verdicts = [verdict for verdict in rules if verdict is not None]
    names = {verdict.name for verdict in verdicts}
    silenced = set()
    if names & {"learning rate too high", "learning rate too low"}:
        # A model that has not learnt cannot judge labels.
        silenced = {"label noise likely", "still improving"}
    elif "overfitting" in names:
        silenced = {"still improving"}
    verdicts = [verdict for verdict in verdicts if verdict.name not in silenced]
    return verdicts or [
        Verdict(
            "healthy",
            "Both losses fell and levelled off together; the validation loss was lowest at epoch "
            f"{_best_epoch(rows, valid):g}.",
            "For more: more data, a larger model, or stronger augmentation (--set augment=strong).",
            "good",
        )
    ]


def _best_epoch(rows: Sequence[CurveRow], valid: Sequence[float]) -> float:
    epoch: float = rows[valid.index(min(valid))]["epoch"]
    return epoch


def _too_high(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """The training loss diverged, never recovered from a jump, or rises again and again.

    Only the training loss counts, a mean over an epoch: the validation loss jumps with noisy data.
    """
    small = 0.03 * max(train)  # a smaller rise is noise, however low the loss has become
    rises = sum(
        after > 1.05 * before and after - before > small for before, after in pairwise(train)
    )
    diverged = not math.isfinite(train[-1]) or (
        train[-1] > 1.2 * min(train) and train[-1] - min(train) > small
    )
    stuck = min(train) > 0.97 * train[0] and max(valid) > 1.5 * min(valid)
    jumped = max(train) > 1.3 * train[0] and train[-1] > 0.7 * train[0]
    if not (diverged or stuck or jumped or rises >= max(2, len(train) // 4)):
        return None
    how = (
        "rose again"
        if diverged
        else "never fell while the validation loss jumped"
        if stuck
        else f"jumped to {max(train):.3g} and stayed high"
        if jumped
        else "went up and down"
    )
    return Verdict(
        "learning rate too high",
        f"The training loss {how}: it began at {train[0]:.3g}, was {min(train):.3g} at its lowest "
        f"and {train[-1]:.3g} at the end. The steps are so long that they jump over the minimum.",
        f"Try a fifth of the learning rate (--lr {max(row['lr'] for row in rows) / 5:.2g}), "
        "or --lr find.",
        "bad",
    )


def _too_low(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """Both losses fall in nearly a straight line, and are still high at the end."""
    falls = [before - after for before, after in pairwise(train)]
    total = train[0] - train[-1]
    steady = all(fall > 0 for fall in falls) and max(falls) < 4 * (total / len(falls))
    still_high = train[-1] > 0.5 * train[0]
    together = valid[-1] < 1.1 * train[-1]
    if not (steady and still_high and together and min(valid) == valid[-1]):
        return None
    return Verdict(
        "learning rate too low",
        f"Both losses fell slowly and in nearly a straight line, from {train[0]:.3g} only to "
        f"{train[-1]:.3g}: each step is too short.",
        f"Try five times the learning rate (--lr {5 * max(row['lr'] for row in rows):.2g}), "
        "or --lr find.",
        "bad",
    )


def _overfitting(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """The validation loss rises for good while the training loss keeps falling.

    A rise by a small share of the first loss is noise, however low the loss has become.
    """
    turn = valid.index(min(valid))
    after = valid[turn + 1 :]
    if len(after) < 2 or train[-1] > 0.95 * train[turn]:
        return None
    if sum(after[-3:]) / len(after[-3:]) < valid[turn] + max(0.05 * valid[turn], 0.02 * max(train)):
        return None
    return Verdict(
        "overfitting",
        f"From epoch {rows[turn]['epoch']:g} on the validation loss rose (from {valid[turn]:.3g} "
        f"to {valid[-1]:.3g}) while the training loss kept falling (to {train[-1]:.3g}): the model "
        "memorises the training images.",
        "The model has the weights from before that. More data helps most; then stronger "
        "augmentation (--set augment=strong), a smaller model, more weight decay, or fewer epochs.",
        "careful",
    )


def _label_noise(suspects: float | None) -> Verdict | None:
    if suspects is None or suspects < LABEL_NOISE:
        return None
    return Verdict(
        "label noise likely",
        f"On about {suspects:.0%} of the validation images the model predicts another class with "
        "the confidence that it usually has when it is right, and the label is not even its second "
        "choice. Wrong labels look like that; hard images do not.",
        "Look at the most confident mistakes below and correct the labels; then train again. Until "
        f"then no model can score much above {1 - suspects:.0%}.",
        "careful",
    )


def _still_improving(
    rows: Sequence[CurveRow], valid: Sequence[float], metric: str
) -> Verdict | None:
    """The last validation loss is the lowest, and the last fifth of the run lowered it clearly."""
    tail = max(1, len(valid) // 5)
    gain = valid[-1 - tail] - valid[-1]
    if min(valid) != valid[-1] or gain < max(0.03 * valid[-1 - tail], 0.01 * valid[0]):
        return None
    span = "in the last epoch" if tail == 1 else f"over the last {tail} epochs"
    return Verdict(
        "still improving",
        f"The validation loss was still falling at the end ({valid[-1 - tail]:.3g} to "
        f"{valid[-1]:.3g} {span}; {display_name(metric)} {rows[-1][f'valid_{metric}']:.1%}).",
        f"Train longer: --epochs {2 * math.ceil(rows[-1]['epoch'])}.",
        "careful",
    )
