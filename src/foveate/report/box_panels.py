"""The report's sections about boxes: class by class, by size, how precision falls with recall, and where mistakes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.metrics import detection as metrics
from foveate.metrics.box_errors import KINDS, Mistake, mistakes
from foveate.report import charts, drawing
from foveate.report.panels import Chart, Gallery, Item, Panel, Table

ReadImage = Callable[[int], NDArray[np.uint8] | None]

MOST_CURVES = 6
"""Classes whose curve is drawn: those with most true boxes."""
OF_EACH_KIND = 6
WORST = 6
"""Pictures that are shown whole, those with most mistakes."""
_MARGIN = 0.6  # of a box's sides, shown around it


def box_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """From a tally of `evaluation.detection`; thresholds: (K,) scores from which on a box is shown."""
    rows = metrics.per_class(stats, len(classes), thresholds)
    pairs = [metrics.boxes_of(stats, row) for row in range(len(ids))]
    shown = [(found[_sure(found, thresholds)], true) for found, true in pairs]
    wrong = [mistakes(*read_pair) for read_pair in shown]
    return [
        by_class(rows, classes, thresholds),
        curves(rows, classes),
        _kinds(wrong, sum(len(found) for found, _ in shown)),
        _whole(shown, wrong, ids, read_image, classes),
        *_close(shown, wrong, ids, read_image, classes),
    ]


def _sure(found: Boxes, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    assert found.scores is not None
    return found.scores >= thresholds[found.classes]


def by_class(
    rows: Sequence[metrics.ClassMetrics],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    instance: str = "box",
) -> Table:
    """The figures of each class. thing: what is found, "box" or "mask"."""
    told = [
        [
            name,
            f"{row.n:,}",
            *(_share(value) for value in (row.ap50, row.ap, row.precision, row.recall)),
            f"{least:.2f}",
        ]
        for name, row, least in zip(classes, rows, thresholds, strict=True)
    ]
    return Table(
        "Class by class",
        f"AP50 is the average precision over all scores where a {instance} counts that overlaps a true one by half (IoU 0.5), AP "
        f"the mean over overlaps from 0.5 to 0.95. Precision and recall are of the {instance}{'es' if instance == 'box' else 's'} that "
        "are shown: those whose score reaches the threshold, chosen on the validation part.",
        ["class", "true ones", "AP50", "AP", "precision", "recall", "threshold"],
        told,
    )


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"


def curves(
    rows: Sequence[metrics.ClassMetrics], classes: Sequence[str], instance: str = "box"
) -> Chart:
    """Precision against recall."""
    frequent = sorted((k for k, row in enumerate(rows) if row.n), key=lambda k: -rows[k].n)[
        :MOST_CURVES
    ]
    named = {classes[k]: rows[k].curve for k in frequent}
    return Chart(
        "Fewer misses, more false alarms",
        f"Each curve goes from the surest {instance} to the least sure: to the right are more of the true ones found, downwards "
        "are more of the answers false. The higher and the further right, the better.",
        charts.precision_recall(named),
    )


def _kinds(wrong: Sequence[Sequence[Mistake]], shown: int) -> Table:
    counts = Counter(mistake.kind for each in wrong for mistake in each)
    images = Counter(kind for each in wrong for kind in {mistake.kind for mistake in each})
    return Table(
        "What goes wrong",
        f"Of the {shown:,} boxes that are shown, and of the true ones, each mistake by its kind (after Bolya et al., "
        "TIDE, 2020).",
        ["kind", "which is", "count", "in pictures"],
        [[kind, what, f"{counts[kind]:,}", f"{images[kind]:,}"] for kind, what in KINDS.items()],
        2,
    )


def _whole(
    shown: Sequence[tuple[Boxes, Boxes]],
    wrong: Sequence[Sequence[Mistake]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
) -> Gallery:
    order = sorted(range(len(ids)), key=lambda row: -len(wrong[row]))[:WORST]
    items = []
    for row in order:
        image = read_image(row)
        if image is None or not wrong[row]:
            continue
        found, true = shown[row]
        counts = Counter(mistake.kind for mistake in wrong[row])
        told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        items.append(Item(_drawn(image, found, true, classes), told, ids[row], "bad"))
    return Gallery(
        "The worst pictures",
        "Those with most mistakes. White: the true boxes; in colour: what was found.",
        items,
        large=True,
    )


def _close(
    shown: Sequence[tuple[Boxes, Boxes]],
    wrong: Sequence[Sequence[Mistake]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
) -> list[Gallery]:
    """The surest mistakes of each kind; of those that were missed the largest."""
    galleries = []
    for kind, what in KINDS.items():
        all_of = [
            (row, mistake)
            for row, each in enumerate(wrong)
            for mistake in each
            if mistake.kind == kind
        ]
        all_of.sort(key=lambda read_pair: _weight(shown[read_pair[0]], read_pair[1]))
        items = []
        for row, mistake in all_of[:OF_EACH_KIND]:
            if (image := read_image(row)) is not None:
                items.append(_cut(image, *shown[row], mistake, ids[row], classes))
        if items:
            order = "the largest" if kind == "missed" else "the surest"
            galleries.append(
                Gallery(
                    f"{kind.capitalize()}: {what}",
                    f"{len(all_of):,} in all; {order} of them.",
                    items,
                )
            )
    return galleries


def _weight(read_pair: tuple[Boxes, Boxes], mistake: Mistake) -> float:
    """Largest first."""
    found, true = read_pair
    if mistake.found is None:
        return -float((true.corners[mistake.true, 2:] - true.corners[mistake.true, :2]).prod())
    assert found.scores is not None
    return -float(found.scores[mistake.found])


def _cut(
    image: NDArray[np.uint8],
    found: Boxes,
    true: Boxes,
    mistake: Mistake,
    id: str,
    classes: Sequence[str],
) -> Item:
    """The surroundings of one mistake."""
    which = [None if row is None else np.array([row]) for row in (mistake.found, mistake.true)]
    own = found[np.zeros(0, np.int64) if which[0] is None else which[0]]
    theirs = true[np.zeros(0, np.int64) if which[1] is None else which[1]]
    both = np.concatenate([own.corners, theirs.corners])
    low, high = both[:, :2].min(0), both[:, 2:].max(0)
    margin = _MARGIN * max(*(high - low), 8)
    sides = np.array(image.shape[1::-1])
    left, top = (
        (low - margin).clip(0, sides - 1).astype(int)
    )  # a box may have been drawn beyond its picture
    right, bottom = np.ceil(high + margin).clip([left + 1, top + 1], sides).astype(int)
    shift = [left, top, left, top]
    own, theirs = (
        Boxes(boxes.corners - shift, boxes.classes, boxes.scores) for boxes in (own, theirs)
    )
    name = classes[(theirs if mistake.found is None else own).classes[0]]
    sure = "" if own.scores is None or not len(own) else f"{own.scores[0]:.0%} sure · "
    drawn = _drawn(image[top:bottom, left:right], own, theirs, classes)
    caption = f"{name}, for {classes[theirs.classes[0]]}" if mistake.kind == "wrong class" else name
    return Item(drawn, caption, f"{sure}{id}", "bad")


def _drawn(
    image: NDArray[np.uint8], found: Boxes, true: Boxes, classes: Sequence[str]
) -> NDArray[np.uint8]:
    corners = np.concatenate([true.corners, found.corners])
    colours = [drawing.TRUE] * len(true) + [drawing.colour(int(k)) for k in found.classes]
    captions = [""] * len(true) + [classes[k] for k in found.classes]
    return drawing.boxes(image, corners, colours, captions)
