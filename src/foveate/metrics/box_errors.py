"""What is wrong with each box that was found, and which true ones were missed.

The kinds are those of Bolya et al., "TIDE: A general toolbox for identifying object detection errors", 2020, with their two
overlaps; a box that was found in the right place with the wrong class explains the true one, which is then not missed too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops.boxes import iou

ENOUGH, HARDLY = 0.5, 0.1
"""The IoU from which on a box is in the right place, and below which it has nothing to do with an object."""
KINDS = {
    "missed": "a true box that nothing explains",
    "wrong class": "in the right place, called something else",
    "badly placed": "the right class, but too little overlap",
    "duplicate": "one that was found before, by a surer box",
    "background": "where nothing is marked: seen wrongly, or a true box is missing",
}


@dataclass(frozen=True)
class Mistake:
    """kind: of KINDS; found, true: rows of the boxes it is about, None where there is none."""

    kind: str
    found: int | None
    true: int | None


def mistakes(found: Boxes, true: Boxes) -> list[Mistake]:
    """All of one picture. found: what is shown, with scores. Boxes on what is spared (crowds, difficult) are no mistakes."""
    assert found.scores is not None
    ignored = true.ignored
    overlap = iou(found.corners, true.corners, true.crowd)
    order = np.argsort(-found.scores, kind="stable")
    right = _right(overlap, found.classes, true.classes, order, ignored)
    told: list[Mistake] = []
    explained = np.zeros(len(true), bool)
    explained[right[right >= 0]] = True
    for row in order.tolist():
        own = found.classes[row] == true.classes
        if right[row] >= 0 or (own & ignored & (overlap[row] >= ENOUGH)).any():
            continue
        mine, theirs = _best(overlap[row], own & ~ignored), _best(overlap[row], ~own & ~ignored)
        if mine is not None and overlap[row, mine] >= ENOUGH:
            told.append(Mistake("duplicate", row, mine))
        elif theirs is not None and overlap[row, theirs] >= ENOUGH:
            told.append(Mistake("wrong class", row, theirs))
            explained[theirs] = True
        elif mine is not None and overlap[row, mine] >= HARDLY:
            told.append(Mistake("badly placed", row, mine))
            explained[mine] = True
        else:
            told.append(Mistake("background", row, None))
    told += [Mistake("missed", None, row) for row in np.flatnonzero(~explained & ~ignored).tolist()]
    return told


def _right(
    overlap: NDArray[np.float64],
    found: NDArray[np.int64],
    true: NDArray[np.int64],
    order: NDArray[np.int64],
    ignored: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """(D,) the true box that each found one hits, -1: none; surer ones choose first."""
    taken = np.full(len(found), -1, np.int64)
    free = ~ignored
    for row in order.tolist():
        best = _best(overlap[row], free & (true == found[row]))
        if best is not None and overlap[row, best] >= ENOUGH:
            taken[row], free[best] = best, False
    return taken


def _best(overlaps: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(np.where(allowed, overlaps, -1.0))) if allowed.any() else None
