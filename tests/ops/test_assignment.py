"""Which place answers for which box: the same as a loop over places and boxes in plain Python."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.ops.assignment import task_aligned

# Scores and boxes are float32, rounded to 6e-8; a sixth power multiplies that by six. The reference
# loop computes in float64.
CLOSE = 1e-5


def grid(side, strides=(8, 16, 32)):
    """Centres and strides of a detector's places on a square image."""
    centres, every = [], []
    for stride in strides:
        at = stride * (torch.arange(side // stride) + 0.5)
        y, x = torch.meshgrid(at, at, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
        every.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(every)


def around(centres, reach):
    return torch.cat([centres - reach, centres + reach], 1)


def scene(seed, count, side=64, classes=3):
    """Anchor points with predictions, and targets from below a pixel to the whole image."""
    made = torch.Generator().manual_seed(seed)
    centres, strides = grid(side)
    found = around(centres, 1 + 3 * strides[:, None] * torch.rand(len(centres), 2, generator=made))
    middle = side * torch.rand(count, 2, generator=made)
    boxes = around(middle, 0.2 + side / 2 * torch.rand(count, 2, generator=made) ** 3)
    scores = torch.rand(len(centres), classes, generator=made)
    return scores, found, centres, strides, boxes, torch.randint(classes, (count,), generator=made)


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (area - width * height)


def answers_for(x, y, stride, box):
    left, top, right, bottom = box
    within = left < x < right and top < y < bottom
    return within or (
        abs(x - (left + right) / 2) <= stride / 2 and abs(y - (top + bottom) / 2) <= stride / 2
    )


def by_hand(scores, found, centres, strides, boxes, classes):
    scores, found, boxes = scores.tolist(), found.tolist(), boxes.tolist()
    box, quality = [], [0.0] * len(scores)
    for (x, y), stride, own in zip(centres.tolist(), strides.tolist(), found, strict=True):
        held = [row for row, true in enumerate(boxes) if answers_for(x, y, stride, true)]
        box.append(max(held, key=lambda row: overlap(boxes[row], own), default=-1))
    for row, (true, k) in enumerate(zip(boxes, classes.tolist(), strict=True)):
        if row not in box:  # it keeps the fittest of the places that another box can spare
            there = [
                place
                for place, (x, y) in enumerate(centres.tolist())
                if answers_for(x, y, strides[place], true)
            ]
            spare = [place for place in there if box.count(box[place]) > 1]
            kept = max(
                spare,
                key=lambda at: scores[at][k] ** 0.5 * max(overlap(true, found[at]), 1e-4) ** 6,
                default=None,
            )
            if kept is not None:
                box[kept] = row
    for row, (true, k) in enumerate(zip(boxes, classes.tolist(), strict=True)):
        mine = [place for place, owner in enumerate(box) if owner == row]
        ious = {place: overlap(true, found[place]) for place in mine}
        fit = {place: scores[place][k] ** 0.5 * max(ious[place], 1e-4) ** 6 for place in mine}
        fittest = max(mine, key=fit.get, default=None)
        for place in mine:
            quality[place] = fit[place] / fit[fittest] * ious[fittest]
    return box, quality


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 8))
def test_the_same_as_a_loop_over_places_and_boxes(seed, count):
    given_ = scene(seed, count)
    box, quality = by_hand(*given_)
    assigned = task_aligned(*given_)
    assert assigned.box.tolist() == box
    assert assigned.quality.tolist() == pytest.approx(quality, abs=CLOSE)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 8))
def test_qualities_are_shares_and_nothing_is_asked_of_a_place_without_a_box(seed, count):
    assigned = task_aligned(*scene(seed, count))
    assert assigned.box.dtype == torch.int64
    assert ((assigned.box >= -1) & (assigned.box < count)).all()
    assert ((assigned.quality >= 0) & (assigned.quality <= 1)).all()
    assert (assigned.quality[assigned.box < 0] == 0).all()


def test_without_a_box_no_place_has_anything_to_say():
    scores, found, centres, strides, _, _ = scene(0, 0)
    box, quality = task_aligned(
        scores, found, centres, strides, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    )
    assert box.tolist() == [-1] * len(centres)
    assert quality.tolist() == [0.0] * len(centres)


@pytest.mark.parametrize("side", [0.01, 0.5, 3.0])
@pytest.mark.parametrize(
    "middle", [(0.1, 0.1), (8.0, 8.0), (16.0, 20.0), (33.3, 41.7), (63.9, 0.1)]
)
def test_a_box_smaller_than_the_grid_has_a_place_in_each_level(side, middle):
    centres, strides = grid(64)
    at = torch.tensor([middle])
    box, quality = task_aligned(
        torch.full((len(centres), 1), 0.5),
        around(centres, 4.0),
        centres,
        strides,
        around(at, side / 2),
        torch.tensor([0]),
    )
    assert set(strides[box == 0].tolist()) == {8.0, 16.0, 32.0}
    assert quality.max() > 0


def test_a_place_in_two_boxes_answers_for_the_one_that_it_overlaps_most():
    centres, strides = torch.tensor([[10.0, 10.0]]), torch.tensor([8.0])
    boxes = torch.tensor([[0.0, 0, 40, 40], [5.0, 5, 15, 15]])
    for found, owner in (([5.0, 5, 16, 16], 1), ([0.0, 0, 35, 35], 0)):
        box, _ = task_aligned(
            torch.ones(1, 2), torch.tensor([found]), centres, strides, boxes, torch.tensor([0, 1])
        )  # fmt: skip
        assert box.tolist() == [owner]


def test_the_score_does_not_decide_whom_a_place_answers_for():
    centres, strides = torch.tensor([[10.0, 10.0]]), torch.tensor([8.0])
    boxes = torch.tensor([[0.0, 0, 40, 40], [5.0, 5, 15, 15]])
    scores = torch.tensor([[1.0, 0.0]])
    box, quality = task_aligned(
        scores, torch.tensor([[5.0, 5, 15, 15]]), centres, strides, boxes, torch.tensor([0, 1])
    )
    assert box.tolist() == [1]
    assert quality.tolist() == [1.0]  # the only place of its box, and it lies right


def test_the_fittest_is_to_score_its_overlap_and_the_others_less():
    centres, strides = (
        torch.tensor([[6.0, 10.0], [10.0, 10.0], [14.0, 10.0]]),
        torch.full((3,), 4.0),
    )
    found = torch.tensor(
        [[0.0, 0, 20, 20], [0.0, 0, 20, 18], [0.0, 0, 20, 16]]
    )  # IoU 1, 0.9 and 0.8 with the box
    box, quality = task_aligned(
        torch.tensor([[0.04], [0.64], [0.64]]),
        found,
        centres,
        strides,
        torch.tensor([[0.0, 0, 20, 20]]),
        torch.tensor([0]),
    )
    assert box.tolist() == [0, 0, 0]
    best = 0.8 * 0.9**6  # the second place: worse placed than the first, but surer
    assert quality.tolist() == pytest.approx(
        [0.9 * 0.2 / best, 0.9, 0.9 * 0.8 * 0.8**6 / best], abs=CLOSE
    )


def test_a_place_without_any_score_or_overlap_still_gets_a_finite_quality():
    centres, strides = grid(64)
    box, quality = task_aligned(
        torch.zeros(len(centres), 1),
        around(centres + 500, 1.0),
        centres,
        strides,
        torch.tensor([[8.0, 8, 40, 40]]),
        torch.tensor([0]),
    )
    assert (box == 0).any()
    assert quality.tolist() == [0.0] * len(centres)


def test_a_box_without_area_beside_a_place_without_area_leaves_all_qualities_finite():
    centres, strides = grid(64)
    found = around(centres, 8.0)
    found[0] = torch.tensor([4.0, 4, 4, 4])
    boxes = torch.tensor([[4.0, 4, 4, 4], [10.0, 10, 50, 50]])
    box, quality = task_aligned(
        torch.full((len(centres), 1), 0.5), found, centres, strides, boxes, torch.tensor([0, 0])
    )  # fmt: skip
    assert torch.isfinite(quality).all()
    assert (box == 1).any()


@pytest.mark.usefixtures("one_thread")
def test_two_thousand_boxes_at_640_pixels_take_a_moment():
    """17 million pairs, each a dozen operations; on one thread, so no wait for a core counts."""
    given_ = scene(1, 2000, side=640, classes=80)
    began = time.thread_time()
    box, _ = task_aligned(*given_)
    assert time.thread_time() - began < 15  # a tenth of this here: room for slow machines
    assert len(box) == 6400 + 1600 + 400
