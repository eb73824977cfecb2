"""The curve doctor: what the learning curves say, in plain words, with the next thing to try.

Each verdict is a rule of a few lines on the rows of curves.csv. tests/training/test_doctor.py makes a run that
deserves each of them, and checks that it is given there and not elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from foveate.metrics.names import written
from foveate.training.curves import CurveRow


@dataclass(frozen=True)
class Verdict:
    """name: short, e.g. "overfitting"; words: what is seen; next: what to try; tone: how serious it is."""

    name: str
    words: str
    next: str
    tone: Literal["good", "careful", "bad"]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(
    rows: Sequence[CurveRow], *, metric: str, floor: float = 0.0, suspects: float | None = None
) -> list[Verdict]:
    """Verdicts on a finished run, most serious first; never empty.

    rows: at least one, as in curves.csv; figure: the primary figure's name
    floor: the least that the loss can be, e.g. the entropy of smoothed labels; what counts is how far above it a loss is
    suspects: the share of validation labels that a confident model contradicts, if that is known
    """
    if len(rows) < 4:
        return [
            Verdict(
                "too short to judge",
                f"There {'is' if len(rows) == 1 else 'are'} only {len(rows)} validation point{'s' * (len(rows) != 1)}; curves need at least four to be read.",
                "Give it more epochs (--epochs) or minutes (--minutes).",
                "careful",
            )
        ]
    train = [row["train_loss"] - floor for row in rows]
    valid = [row["valid_loss"] - floor for row in rows]
    verdicts = [
        _too_high(rows, train, valid),
        _too_low(rows, train, valid),
        _overfitting(rows, train, valid),
        _label_noise(suspects),
        _still_improving(rows, valid, metric),
    ]
    found = [verdict for verdict in verdicts if verdict is not None]
    names = {verdict.name for verdict in found}
    silenced = set()
    if names & {"learning rate too high", "learning rate too low"}:
        silenced = {
            "label noise likely",
            "still improving",
        }  # a model that has not learnt cannot judge labels
    elif "overfitting" in names:
        silenced = {"still improving"}
    found = [verdict for verdict in found if verdict.name not in silenced]
    return found or [
        Verdict(
            "healthy",
            f"Both losses fell and levelled off together; the validation loss was lowest at epoch {_best(rows, valid):g}.",
            "To gain more: more data, a larger model, or stronger augmentation (--set augment=strong).",
            "good",
        )
    ]


def _best(rows: Sequence[CurveRow], valid: Sequence[float]) -> float:
    return rows[valid.index(min(valid))]["epoch"]


def _too_high(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """Diverged (the train loss ends above where it was), thrown far up once and never recovered, or oscillating: it goes
    up again and again while it should fall. With enough noise the validation loss jumps; the train loss, a mean over an epoch, does not.
    """
    least = 0.03 * max(train)  # what is a jump at the start is noise at the end
    ups = sum(after > 1.05 * before and after - before > least for before, after in pairwise(train))
    diverged = not math.isfinite(train[-1]) or (
        train[-1] > 1.2 * min(train) and train[-1] - min(train) > least
    )
    stuck = min(train) > 0.97 * train[0] and max(valid) > 1.5 * min(valid)
    thrown = max(train) > 1.3 * train[0] and train[-1] > 0.7 * train[0]
    if not (diverged or stuck or thrown or ups >= max(2, len(train) // 4)):
        return None
    how = (
        "rose again"
        if diverged
        else "never fell while the validation loss jumped"
        if stuck
        else f"was thrown up to {max(train):.3g} and stayed high"
        if thrown
        else "went up and down"
    )
    return Verdict(
        "learning rate too high",
        f"The training loss {how}: from {train[0]:.3g} to a lowest of {min(train):.3g}, at the end {train[-1]:.3g}. Steps "
        f"are so long that they jump over the valley.",
        f"Try a fifth of the learning rate (--lr {max(row['lr'] for row in rows) / 5:.2g}), or --lr find.",
        "bad",
    )


def _too_low(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """Falling steadily, in nearly a straight line, and far from done, train and validation alike."""
    falls = [before - after for before, after in pairwise(train)]
    total = train[0] - train[-1]
    steady = all(fall > 0 for fall in falls) and max(falls) < 4 * (total / len(falls))
    little = train[-1] > 0.5 * train[0]
    together = valid[-1] < 1.1 * train[-1]
    if not (steady and little and together and min(valid) == valid[-1]):
        return None
    return Verdict(
        "learning rate too low",
        f"Both losses fell slowly and in nearly a straight line, from {train[0]:.3g} only to {train[-1]:.3g}: each step "
        "is too short.",
        f"Try five times the learning rate (--lr {5 * max(row['lr'] for row in rows):.2g}), or --lr find.",
        "bad",
    )


def _overfitting(
    rows: Sequence[CurveRow], train: Sequence[float], valid: Sequence[float]
) -> Verdict | None:
    """The validation loss has turned up for good while the train loss went on falling. A rise of a small share of where
    learning began is noise, however small the loss has become.
    """
    turn = valid.index(min(valid))
    after = valid[turn + 1 :]
    if len(after) < 2 or train[-1] > 0.95 * train[turn]:
        return None
    if sum(after[-3:]) / len(after[-3:]) < valid[turn] + max(0.05 * valid[turn], 0.02 * max(train)):
        return None
    return Verdict(
        "overfitting",
        f"From epoch {rows[turn]['epoch']:g} on the validation loss rose (from {valid[turn]:.3g} to {valid[-1]:.3g}) while "
        f"the training loss kept falling (to {train[-1]:.3g}): the model learns the train pictures by heart.",
        "The best weights, from before that, are the ones that were kept. More data helps most; then stronger "
        "augmentation (--set augment=strong), a smaller model, more weight decay, or fewer epochs.",
        "careful",
    )


def _label_noise(suspects: float | None) -> Verdict | None:
    if suspects is None or suspects < 0.03:
        return None
    return Verdict(
        "label noise likely",
        f"On about {suspects:.0%} of the validation pictures the model is as sure of another class as it usually is when "
        "it is right, and the given label is not even its second guess. Wrong labels look like that; hard pictures do not.",
        "Look at the surest mistakes below and correct the labels; then train again. Until then no model can score "
        f"much above {1 - suspects:.0%}.",
        "careful",
    )


def _still_improving(
    rows: Sequence[CurveRow], valid: Sequence[float], metric: str
) -> Verdict | None:
    """The lowest validation loss is the last, and the last fifth of the run still brought a clear part of the gain."""
    tail = max(1, len(valid) // 5)
    gain = valid[-1 - tail] - valid[-1]
    if min(valid) != valid[-1] or gain < max(0.03 * valid[-1 - tail], 0.01 * valid[0]):
        return None
    return Verdict(
        "still improving",
        f"The validation loss was still falling at the end ({valid[-1 - tail]:.3g} to {valid[-1]:.3g} over the last "
        f"{tail} epochs; {written(metric)} {rows[-1][f'valid_{metric}']:.1%}).",
        f"Train longer: --epochs {2 * math.ceil(rows[-1]['epoch'])}.",
        "careful",
    )
