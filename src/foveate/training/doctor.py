"""The curve doctor: reads the learning curves and says what to try next.

Each diagnosis is a rule of a few lines. A loss has no scale of its own: one that rises from
0.018 to 0.037 has doubled, and nothing has happened. So losses are compared with themselves only,
and what matters is measured in points of the metric. `benchmarks/curves.py` measures how often a
verdict is right, and tests/training/test_doctor.py holds the rules to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foveate.metrics.best_weights import LOSS
from foveate.metrics.names import display_name, title_name
from foveate.training.curves import CurveRow
from foveate.training.diagnosis import Diagnosis, unclear
from foveate.training.run_curves import FEW_EPOCHS, GAP, MIN_ROWS, MISFIT, RunCurves, end_of
from foveate.training.step_length import stuck, too_high, too_low, worse_from_start
from foveate.wording import count_noun, short_number

GAINS = 0.04, 0.10
"""Points of the metric that the second half of a run still brings where it is too short: of one of
fewer than FEW_EPOCHS, and of a longer one, whose learning rate alone brings some by falling."""
MAX_MISTAKES = 2 / 3
"""Share of a probe's mistakes up to which it is worth asking about labels."""
DOUBTFUL = 0.10
"""Share of the mistakes that may be missing for "label noise likely", where hard images and wrong
labels cannot be distinguished."""


@dataclass(frozen=True)
class LabelEvidence:
    """What models say of labels that they were not fitted to; see `probing.check_labels`.

    Attributes:
        images: Number of images whose labels were checked.
        mistakes: Those for which another class is predicted.
        suspects: Those among them whose label is probably wrong.
    """

    images: int
    mistakes: int
    suspects: int


def diagnose(
    rows: Sequence[CurveRow],
    *,
    metric: str,
    floor: float = 0.0,
    perfect: bool = True,
    kept_by: str = LOSS,
    fitted: float | None = None,
    valid_images: int | None = None,
    pretrained: bool = False,
    weights_option: str | None = None,
    minutes: float | None = None,
    check_labels: Callable[[], LabelEvidence | None] = lambda: None,
) -> list[Diagnosis]:
    """Diagnose a finished run.

    Args:
        rows: The learning curves.
        metric: The metric that they show; of values up to 1, and more is better.
        floor: The lowest possible loss, e.g. the entropy of smoothed labels. What counts is how far
            a loss is above it.
        perfect: Whether a model that fits its train images reaches 1.
        kept_by: See `best_row`.
        fitted: The metric of the kept weights on train images that are not augmented. The curve of
            the train metric is lower: augmentation and dropout make training harder.
        valid_images: Number of validation images, if known.
        pretrained: Whether training began with pretrained weights.
        weights_option: What would begin with them instead, e.g. "--model efficientnet_lite0"; None
            if nothing would.
        minutes: The time budget of the run, if it had one.
        check_labels: Finds out-of-fold evidence on the labels. It is called only where wrong labels
            would explain the curves, since it takes time.

    Returns:
        The verdicts, most serious first; never empty.
    """
    if not any(row["step"] for row in rows):
        return [
            Diagnosis(
                "fitted at once",
                "The linear layer was fitted at once, so there are no curves to read.",
                "Given more time, fine-tune the whole net from here: --model efficientnet_lite0.",
                "good",
            )
        ]
    curves = RunCurves.of(rows, metric, floor, fitted, valid_images, perfect, kept_by)
    damaged = worse_from_start(curves) if pretrained else None
    broken = damaged or too_high(curves) or too_low(curves) or stuck(curves)
    if broken:
        return [broken]  # a model that has not learnt says nothing else
    if curves.untrained:
        return [_unmoved(curves, minutes)]
    poor = _overfitting(curves, weights_option) or _short(curves, minutes) or _underfitting(curves)
    if poor is None:
        return [_unclear_gap(curves) or _healthy(curves)]
    if poor.name not in ("overfitting", "underfitting"):
        return [poor]
    return _by_labels(check_labels(), curves, poor)


def _unmoved(curves: RunCurves, minutes: float | None) -> Diagnosis:
    """The weights that training began with are still the best ones."""
    lowest, name = min(curves.valid), display_name(curves.metric)
    text = f"The validation loss was lowest before training, {curves.shown(curves.best_loss)}"
    if lowest < curves.best_loss:
        text = (
            f"The validation loss fell from {curves.shown(curves.best_loss)} before training to "
            f"{curves.shown(lowest)}, but {name} stayed below the {curves.kept:.1%} of the start"
        )
    return unclear(
        f"{text}: the model has the weights that training began with.",
        f"{_longer(curves, minutes)} Or let the learning rate be measured (--lr find).",
    )


def _longer(curves: RunCurves, minutes: float | None) -> str:
    epochs = max(2 * MIN_ROWS, 2 * math.ceil(curves.epochs[-1]))
    more = f"--minutes {2 * minutes:g}" if minutes else f"--epochs {epochs}"
    return f"Train longer: {more}."


def _overfitting(curves: RunCurves, weights_option: str | None) -> Diagnosis | None:
    """The train images are far ahead of the validation images, or fall apart from them.

    The gap decides, not the shape: it is the part of the error that more data would remove (Ng,
    "Machine learning yearning", 2018, chapter 22). A validation loss that rises alone may come from
    growing confidence (Guo et al., "On calibration of modern neural networks", 2017).
    """
    valid, best, name = curves.valid, curves.best, curves.metric
    end_train, end_valid = end_of(curves.train_metric), end_of(curves.valid_metric)
    if curves.clear_gap:
        text = (
            f"{title_name(name)} is {curves.fitted:.1%} on the train images and {curves.kept:.1%} "
            "on the validation images"
        )
    elif not curves.last and curves.is_clear(end_train - end_valid):  # else `fitted` is exact
        text = (
            f"At the end {display_name(name)} is {end_train:.1%} on the train images and "
            f"{end_valid:.1%} on the validation images"
        )
    else:
        return None
    if end_of(valid) > 1.1 * valid[best] and end_of(curves.train) < 0.95 * curves.train[best]:
        text += (
            f", whose loss rose from epoch {short_number(curves.epochs[best])} on "
            f"({curves.shown(valid[best])} to {curves.shown(valid[-1])})"
        )
    return Diagnosis(
        "overfitting",
        f"{text}: the model memorises the train images.",
        "More labelled images help most. If there are none, try "
        f"{f'pretrained weights ({weights_option}), ' if weights_option else ''}"
        "stronger augmentation (--set augment=strong), a smaller model or more weight decay "
        "(--set weight_decay=0.05).",
        "careful",
    )


def _short(curves: RunCurves, minutes: float | None) -> Diagnosis | None:
    """The second half of the run still brought much, or there are too few epochs to know."""
    train, valid, metric = curves.train, curves.valid, curves.valid_metric
    few = curves.epochs[-1] < FEW_EPOCHS
    gain = end_of(metric) - metric[curves.half]
    longer, text = _longer(curves, minutes), None
    if gain > GAINS[0 if few else 1] and end_of(valid) < 0.95 * valid[curves.half]:
        text = (
            f"{title_name(curves.metric)} on the validation images rose by {100 * gain:.0f} points "
            f"in the second half of the run, to {end_of(metric):.1%}"
        )
    elif few and curves.fitted < 1 - MISFIT and end_of(train) < 0.95 * train[curves.half]:
        if end_of(valid) >= valid[curves.half]:  # training becomes easier too, where mosaics end
            return unclear(
                "In the second half of the run the training loss fell to "
                f"{curves.shown(end_of(train))}, but the validation loss, "
                f"{curves.shown(end_of(valid))} at the end, did not fall: "
                f"{short_number(curves.epochs[-1])} epochs do not show whether the steps are too "
                "long, too short, or too few.",
                f"{longer} Or let the learning rate be measured (--lr find).",
            )
        text = (
            f"{title_name(curves.metric)} is {curves.fitted:.1%} on the train images, and their "
            f"loss still fell in the second half of the run, to {curves.shown(end_of(train))}"
        )
    if text is not None:
        return Diagnosis("still improving", f"{text}: it ended too early.", longer, "careful")
    if len(valid) < MIN_ROWS and curves.fitted < 1 - GAP:
        is_are = "is" if len(valid) == 1 else "are"
        return unclear(
            f"There {is_are} only {count_noun(len(valid), 'validation point')}; curves need at "
            "least four to be read.",
            longer,
        )
    return None


def _underfitting(curves: RunCurves) -> Diagnosis | None:
    """The model is far from right even on the images that it was trained on."""
    if curves.fitted > 1 - MISFIT or not curves.perfect:
        return None
    harder = end_of(curves.valid_metric) - end_of(curves.train_metric) > max(GAP, curves.margin)
    return Diagnosis(
        "underfitting",
        f"{title_name(curves.metric)} is only {curves.fitted:.1%} on the train images, and no "
        "longer rises: the model cannot fit what it is trained on.",
        (
            "Augmentation or dropout make training much harder than validation: try less "
            "(--set augment=none), or more epochs, or a larger model."
            if harder
            else "Try a larger model (foveate models lists them), larger images (--size), or "
            "another learning rate (--lr find). Images that do not show the class and wrong labels "
            "(foveate audit DATA --deep) look the same."
        ),
        "careful",
    )


def _by_labels(
    evidence: LabelEvidence | None, curves: RunCurves, poor: Diagnosis
) -> list[Diagnosis]:
    """Of a model's mistakes on images that it has not seen, too many look like wrong labels.

    The curves alone do not show it: hard images give the same ones. Mistakes on hard images look
    like wrong labels the more often, the harder they are: that was so for a tenth of them where 1
    in 10 predictions was wrong, and for nearly half where 6 in 10 were (benchmarks/README.md).
    """
    if evidence is None or not 0 < evidence.mistakes <= MAX_MISTAKES * evidence.images:
        return [poor]
    share = evidence.suspects / evidence.images
    error = 2 * math.sqrt(share * (1 - share) / evidence.images)
    usual = 0.3 + 0.35 * evidence.mistakes / evidence.images
    if share - error < 0.03 or evidence.suspects < (usual - DOUBTFUL) * evidence.mistakes:
        return [poor]
    if evidence.suspects >= usual * evidence.mistakes:
        noise = Diagnosis(
            "label noise likely",
            f"About {share:.0%} of the labels are probably wrong: models that were not fitted to "
            "these images predict another class with the confidence that they usually have when "
            "they are right, and the label is not even their second choice.",
            "List them with foveate audit DATA --deep, correct them, and train again.",
            "careful",
        )
        # Wrong labels are enough to explain a poor fit, but not to explain memorising them.
        return [noise, poor] if poor.name == "overfitting" else [noise]
    if curves.clear_gap:
        return [poor]  # the model memorises, whatever the labels are
    doubt = unclear(
        f"{title_name(curves.metric)} is {curves.fitted:.1%} on the train images. Either about "
        f"{share:.0%} of the labels are wrong, or these images are hard: both give such mistakes.",
        "Look at the labels that foveate audit DATA --deep lists. If they are right: "
        + (
            poor.advice
            if poor.name == "overfitting"
            else "try a larger model (foveate models lists them) or larger images (--size)."
        ),
    )
    return [doubt]


def _unclear_gap(curves: RunCurves) -> Diagnosis | None:
    """There is a gap, which may also come from the choice of few validation images."""
    gap = curves.fitted - curves.kept
    if gap <= GAP:
        return None
    return unclear(
        f"{title_name(curves.metric)} is {100 * gap:.0f} points higher on the train images "
        f"({curves.fitted:.1%}) than on the validation images. These are so few that the gap may "
        f"be {100 * max(0.0, gap - curves.margin):.0f} or {100 * (gap + curves.margin):.0f} "
        "points: the model may overfit, or not.",
        "Take more validation images, or use all of them in turn: foveate cross-validate DATA.",
    )


def _healthy(curves: RunCurves) -> Diagnosis:
    gap = curves.fitted - curves.kept
    return Diagnosis(
        "healthy",
        f"{title_name(curves.metric)} is {curves.fitted:.1%} on the train images and "
        f"{curves.kept:.1%} on the validation images, which is no sign of over- or underfitting. "
        f"The validation loss was lowest at epoch {short_number(curves.epochs[curves.best])}.",
        "For more: "
        + (
            "more images, or stronger augmentation (--set augment=strong)."
            if gap > 1 - curves.fitted
            else "a larger model (foveate models lists them), larger images (--size) or more "
            "epochs (--epochs)."
        ),
        "good",
    )
