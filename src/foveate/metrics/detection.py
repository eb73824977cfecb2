"""Metrics of object detection as COCO defines them, over tallies: one row a picture, so that any resample can be scored.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014; equal to pycocotools (tests hold it to 1e-9). Matching happens
within a picture (`evaluation.matching`), so it is done once; a resample only sorts the boxes anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.errors import SettingError
from foveate.metrics.matching import BITS, MOST, SIZES, THRESHOLDS, PairwiseOverlaps, match
from foveate.ops import boxes as ops

PerImageStats = Mapping[str, NDArray[Any]]

RECALLS = np.linspace(0, 1, 101)


def per_image_stats(predicted: Sequence[Boxes], target: Sequence[Boxes]) -> dict[str, NDArray[Any]]:
    """Matches boxes with true ones; see `matched`."""
    return matched(map(PairwiseOverlaps.boxes, predicted, target))


def matched(compared: Iterable[PairwiseOverlaps], most: int = MOST) -> dict[str, NDArray[Any]]:
    """Matches answers with truths. Each column has a list a picture, of its D things found or its T true ones.

    scores, classes: (D,); hits, ignored: (D, 4) for each of SIZES a bit for each of THRESHOLDS
    truths: (T,) classes; counted: (T, 4) whether it is demanded, for each of SIZES
    corners: (D, 4) and true_corners: (T, 4), in pixels; crowds: (T,)
    most: things of a class that count in a picture, the surest first
    """
    names = (
        "scores",
        "classes",
        "hits",
        "ignored",
        "truths",
        "counted",
        "corners",
        "true_corners",
        "crowds",
    )
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for pair in compared:
        for name, values in match(pair, most).items():
            rows[name].append(values.tolist())
    return {name: column(values) for name, values in rows.items()}


def boxes_of(stats: PerImageStats, row: int) -> tuple[Boxes, Boxes]:
    """What was found in one picture, and what is true; all that is spared but no crowd is called difficult."""
    found = Boxes(stats["corners"][row], stats["classes"][row], stats["scores"][row])
    counted = np.array(stats["counted"][row], bool).reshape(-1, len(SIZES))[:, 0]
    crowd = np.array(stats["crowds"][row], bool)
    return found, Boxes(
        stats["true_corners"][row], stats["truths"][row], None, crowd, ~counted & ~crowd
    )


def quick_map50(predicted: Sequence[Boxes], target: Sequence[Boxes], classes: int) -> float:
    """Mean average precision at an IoU of 0.5, for a curve: the surest box that fits a true one is its hit, without the
    exchange of boxes that COCO's matching allows. NaN where there is no true box.
    """
    scores: list[NDArray[np.float64]] = []
    found: list[NDArray[np.int64]] = []
    hits: list[NDArray[np.bool_]] = []
    true: list[NDArray[np.int64]] = []
    for own, demanded in zip(predicted, target, strict=True):
        assert own.scores is not None
        by_score = np.argsort(-own.scores, kind="stable")
        demanded = demanded[~demanded.ignored]
        fits = ops.iou(own.corners[by_score], demanded.corners) >= THRESHOLDS[0]
        fits &= own.classes[by_score, None] == demanded.classes[None]
        hit = np.zeros(len(own), bool)
        hit[fits.argmax(0)[fits.any(0)] if fits.size else []] = True
        scores.append(own.scores[by_score])
        found.append(own.classes[by_score])
        hits.append(hit)
        true.append(demanded.classes)
    asked = np.bincount(np.concatenate([*true, np.zeros(0, np.int64)]), minlength=classes)
    if not asked.any():
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    named, right = np.concatenate(found)[order], np.concatenate(hits)[order]
    precisions = []
    for k in np.flatnonzero(asked):
        mine = right[named == k].astype(np.int64)[:, None]
        curves = _Curves(
            np.zeros(len(mine), np.int64), mine, np.zeros_like(mine), asked[[k], None].astype(float)
        )
        precisions.append(curves.average(np.ones(1, np.int64))[0][0, 0])
    return float(np.mean(precisions))


@dataclass(frozen=True)
class ClassMetrics:
    """n: true boxes; ap50, ap: average precision; precision, recall: of the boxes that are shown, at an IoU of 0.5;
    curve: recall and precision, (D,) each, from the surest box to the least sure.
    """

    n: int
    ap50: float
    ap: float
    precision: float
    recall: float
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]


def per_class(
    stats: PerImageStats, classes: int, thresholds: NDArray[np.float64]
) -> list[ClassMetrics]:
    """One row a class; thresholds: (K,) scores from which on a box is shown."""
    ap, _ = average_precision(stats, classes)
    _, scores, found = _flat(stats, "scores", "classes")
    hits, ignored = (
        bits[:, 0].astype(np.int64) & 1
        for bits in _flat(stats, "hits", "ignored", width=len(SIZES))[1:]
    )
    targets, counted = _flat(stats, "truths")[1], _flat(stats, "counted", width=len(SIZES))[1][:, 0]
    order = np.argsort(-scores, kind="stable")
    order = order[ignored[order] == 0]
    rows = []
    for k in range(classes):
        mine, n = order[found[order] == k], int(counted[targets == k].sum())
        right = hits[mine].cumsum()
        shown = int((scores[mine] >= thresholds[k]).sum())
        hit = int(right[shown - 1]) if shown else 0
        curve = right / max(1, n), right / np.arange(1, len(mine) + 1)
        nothing = float("nan")
        rows.append(
            ClassMetrics(
                n,
                float(ap[k, 0, 0]),
                float(ap[k, 0].mean()),
                hit / shown if shown else nothing,
                hit / n if n else nothing,
                curve,
            )
        )
    return rows


def thresholds(classes: int, given: Sequence[float] | None, usual: float) -> NDArray[np.float64]:
    """(K,) scores from which on things are shown, as given, or the usual one for each class. Raises SettingError where they are not one a
    class.
    """
    if given is not None and len(given) != classes:
        raise SettingError(
            f"{classes} thresholds are expected, one a class, got {len(given)}", where="thresholds"
        )
    return np.full(classes, usual) if given is None else np.array(given, float)


def best_thresholds(stats: PerImageStats, classes: int, otherwise: float) -> NDArray[np.float64]:
    """(K,) the score of each class from on which F1 at an IoU of 0.5 is best; `otherwise` where there is no hit."""
    _, scores, found = _flat(stats, "scores", "classes")
    hits, ignored = (
        bits[:, 0].astype(np.int64)
        for bits in _flat(stats, "hits", "ignored", width=len(SIZES))[1:]
    )
    targets, counted = _flat(stats, "truths")[1], _flat(stats, "counted", width=len(SIZES))[1][:, 0]
    chosen = np.full(classes, otherwise)
    for k in range(classes):
        mine = np.flatnonzero((found == k) & ~(ignored & 1 > 0))
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        right = (hits[mine] & 1).cumsum()
        if not len(right) or not right[-1]:
            continue
        f1 = 2 * right / (np.arange(1, len(mine) + 1) + counted[targets == k].sum())
        f1[:-1][
            scores[mine][:-1] == scores[mine][1:]
        ] = -1.0  # equal scores are shown together or not at all
        best = int(f1.argmax())
        # Half way to the next score, so that a little noise does not change the answer.
        below = scores[mine[best + 1]] if best + 1 < len(mine) else 0.0
        chosen[k] = (scores[mine[best]] + below) / 2
    return chosen


def column(lists: Sequence[Any]) -> NDArray[Any]:
    """(N,) of objects: lists of unequal lengths as one column of a tally."""
    made = np.empty(len(lists), object)
    made[:] = lists
    return made


def compute_metrics(stats: PerImageStats, classes: int) -> dict[str, float]:
    """map: mean average precision over classes and THRESHOLDS; map50 and map75: at one of these; map_small, map_medium,
    map_large: of true boxes of that size; recall: the mean over classes and thresholds of the share that was found. NaN
    where there is no true box.
    """
    return Scorer(stats, classes).metrics()


def average_precision(
    stats: PerImageStats, classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, sizes, thresholds) of average precision, and of the recall with all boxes; NaN for a class without a true box."""
    return Scorer(stats, classes).average_precision()


class Scorer:
    """A tally in the order of its scores, so that any choice of its pictures is scored by counting."""

    def __init__(self, stats: PerImageStats, classes: int):
        self.images = len(stats["scores"])
        image, scores, found = _flat(stats, "scores", "classes")
        hits, ignored = (
            bits.astype(np.int64) for bits in _flat(stats, "hits", "ignored", width=len(SIZES))[1:]
        )
        order = np.argsort(-scores, kind="stable")
        where, targets = _flat(stats, "truths")
        counted = _flat(stats, "counted", width=len(SIZES))[1]
        self.curves: list[tuple[int, _Curves]] = []
        for k in range(classes):
            mine, asked = order[found[order] == k], np.zeros((self.images, len(SIZES)))
            np.add.at(asked, where[targets == k], counted[targets == k])
            if asked.any():
                self.curves.append((k, _Curves(image[mine], hits[mine], ignored[mine], asked)))
        self.shape = (classes, len(SIZES), len(THRESHOLDS))

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """See `figures`; rows: of the pictures that count, each as often as it stands there."""
        precision, recall = self.average_precision(rows)
        return {
            "map": _mean(precision[:, 0]),
            "map50": _mean(precision[:, 0, 0]),
            "map75": _mean(precision[:, 0, 5]),
            "map_small": _mean(precision[:, 1]),
            "map_medium": _mean(precision[:, 2]),
            "map_large": _mean(precision[:, 3]),
            "recall": _mean(recall[:, 0]),
        }

    def average_precision(
        self, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `average_precision`."""
        times = (
            np.ones(self.images, np.int64)
            if rows is None
            else np.bincount(rows, minlength=self.images)
        )
        precision, recall = np.full(self.shape, np.nan), np.full(self.shape, np.nan)
        for k, curves in self.curves:
            precision[k], recall[k] = curves.average(times)
        return precision, recall


class _Curves:
    """Boxes of one class by falling score, for true boxes of S kinds of sizes.

    picture: (D,) of each; hits, ignored: (D, S) a bit for each of THRESHOLDS; asked: (pictures, S) true boxes demanded
    """

    def __init__(
        self,
        image: NDArray[np.int64],
        hits: NDArray[np.int64],
        ignored: NDArray[np.int64],
        asked: NDArray[np.float64],
    ):
        last = (
            int(np.flatnonzero(hits.any(1))[-1]) + 1 if hits.any() else 0
        )  # nothing after the last hit matters
        self.image, self.asked = image[:last], asked
        hit = (hits[:last, :, None] & BITS) > 0
        wrong = ~hit & ((ignored[:last, :, None] & BITS) == 0)
        # Most boxes are hits at no threshold, and wrong at all of them or at none: these are counted once for all.
        mixed = (hit.any(2) | (wrong.any(2) & ~wrong.all(2))).any(1)
        self.plain = wrong[:, :, 0] & ~mixed[:, None]
        self.mixed = np.flatnonzero(mixed)
        columns = asked.shape[1] * len(THRESHOLDS)
        self.hit, self.wrong = (
            one[mixed].reshape(len(self.mixed), columns) for one in (hit, wrong)
        )
        self.places = np.flatnonzero(self.hit.any(1))  # precision is highest at a hit

    def average(self, times: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Average precision at RECALLS, and the recall at the end, (S, thresholds) each, NaN where nothing is demanded;
        times: how often each picture counts. A picture that counts twice puts two boxes where it put one, and no curve sees
        the step between.
        """
        shape = (self.asked.shape[1], len(THRESHOLDS))
        demanded = times @ self.asked
        weight = times[self.image][:, None]
        plain = (self.plain * weight).cumsum(0)[self.mixed[self.places]].repeat(len(THRESHOLDS), 1)
        right = (self.hit * weight[self.mixed]).cumsum(0)[self.places]
        wrong = (self.wrong * weight[self.mixed]).cumsum(0)[self.places] + plain
        recall = right / np.repeat(np.maximum(demanded, 1), len(THRESHOLDS))
        precision = right / np.maximum(right + wrong, np.finfo(float).eps)
        # Each precision is the best at its recall or beyond, so that the curve falls.
        best = np.maximum.accumulate(precision[::-1], 0)[::-1]
        reached = np.searchsorted(RECALLS, recall, side="right")
        averages = ((np.diff(reached, axis=0, prepend=0) * best).sum(0) / len(RECALLS)).reshape(
            shape
        )
        ends = (recall[-1] if len(recall) else np.zeros(shape)).reshape(shape)
        unasked = demanded == 0
        averages[unasked] = np.nan
        return averages, np.where(unasked[:, None], np.nan, ends)


def _flat(stats: PerImageStats, *names: str, width: int = 0) -> list[NDArray[Any]]:
    """Columns of lists laid end to end; first of all the picture that each entry is of."""
    counts = [len(each) for each in stats[names[0]]]
    columns: list[NDArray[Any]] = [np.repeat(np.arange(len(counts)), counts)]
    for name in names:
        joined = [one for each in stats[name] for one in each]
        columns.append(np.array(joined) if joined else np.zeros((0, width) if width else 0))
    return columns


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
