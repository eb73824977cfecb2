"""The detector's head and loss: at the edges, against torchvision, a loop in plain numbers, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import generalized_box_iou_loss

from foveate import models
from foveate.models.heads.detection import (
    BOX_WEIGHT,
    CLASS_WEIGHT,
    FOCUS,
    MAX_LEVELS,
    PRIOR,
    DetectionTarget,
    FcosHead,
    FcosOutput,
    pyramid_levels,
)
from foveate.ops.assignment import task_aligned

SIDE, STRIDES, CLASSES = 64, (8, 16, 32), 3


def found(batch: int = 1, seed: int = 0) -> FcosOutput:
    """Random answers at every place of a picture of SIDE pixels, as leaves of the graph."""
    generator = torch.Generator().manual_seed(seed)
    centres, strides = [], []
    for stride in STRIDES:
        at = stride * (torch.arange(SIDE // stride) + 0.5)
        y, x = torch.meshgrid(at, at, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
        strides.append(torch.full((len(at) ** 2,), float(stride)))
    places = sum(map(len, centres))
    logits = torch.randn(batch, places, CLASSES, generator=generator) - 1
    distances = 0.2 + 2 * torch.rand(batch, places, 4, generator=generator)
    return FcosOutput(
        logits.requires_grad_(), distances.requires_grad_(), torch.cat(centres), torch.cat(strides)
    )


def make_target(*images, objects: float = 1.0) -> DetectionTarget:
    """Each picture a list of (left, top, right, bottom, class) or the same with True behind: spared."""
    boxes = [
        torch.tensor([row[:4] for row in rows], dtype=torch.float32).reshape(-1, 4)
        for rows in images
    ]
    classes = [torch.tensor([row[4] for row in rows], dtype=torch.int64) for rows in images]
    ignored = [torch.tensor([len(row) > 5 for row in rows], dtype=torch.bool) for rows in images]
    return DetectionTarget(boxes, classes, ignored, objects)


def many(count: int) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, SIDE - 8, (count, 2))
    corners = np.concatenate([low, low + rng.uniform(1, 8, (count, 2))], 1)
    return [(*row, int(rng.integers(CLASSES))) for row in corners.tolist()]


BIG, LEFT, RIGHT = (0, 0, SIDE, SIDE), (3, 5, 30, 40), (36, 8, 60, 52)
PICTURES = {
    "no picture": [],
    "no object": [[]],
    "one object": [[(*LEFT, 1)]],
    "2,000 objects": [many(2000)],
    "2,000 objects in one place": [[(*LEFT, 1)] * 2000],
    "one pixel": [[(20, 31, 21, 32, 0)]],
    "one pixel at the corner": [[(SIDE - 1, SIDE - 1, SIDE, SIDE, 0)]],
    "no area": [[(20, 31, 20, 31, 0)]],
    "the whole picture": [[(*BIG, 2)]],
    "only what is spared": [[(*BIG, 2, True)]],
    "an object and none": [[(*LEFT, 1)], []],
}


@pytest.mark.parametrize("case", PICTURES)
def test_the_loss_is_finite_and_has_a_gradient(case):
    images = PICTURES[case]
    output = found(len(images))
    losses = output.losses(make_target(*images))
    assert set(losses) == {"total", "class", "box"}
    assert all(torch.isfinite(value) and value >= 0 for value in losses.values())
    losses["total"].backward()
    for leaf in (output.logits, output.distances):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
    taught = case != "no area" and any(len(row) == 5 for rows in images for row in rows)
    assert (output.distances.grad.abs().sum() > 0) == taught
    assert (output.logits.grad.abs().sum() > 0) == (bool(images) and case != "only what is spared")


def test_a_score_of_exactly_one_or_nothing_and_a_box_without_area_are_finite():
    output = found()
    for value in (-200.0, 200.0):
        prediction = FcosOutput(
            torch.full_like(output.logits, value).requires_grad_(),
            torch.zeros_like(output.distances).requires_grad_(),
            output.centres,
            output.strides,
        )
        prediction.losses(make_target([(*LEFT, 1), (20, 31, 21, 32, 0)]))["total"].backward()
        assert torch.isfinite(prediction.logits.grad).all()
        assert torch.isfinite(prediction.distances.grad).all()


# --- what is spared


def changed(output: FcosOutput, places: torch.Tensor) -> FcosOutput:
    """The same with other scores and boxes at these places."""
    logits, distances = output.logits.detach().clone(), output.distances.detach().clone()
    logits[:, places] += 3.0
    distances[:, places] *= 1.5
    return FcosOutput(logits, distances, output.centres, output.strides)


def within(output: FcosOutput, corners) -> torch.Tensor:
    left, top, right, bottom = corners
    x, y = output.centres.unbind(1)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


@pytest.mark.parametrize("others", [[], [(*RIGHT, 0)]], ids=["alone", "beside an object"])
def test_what_is_found_in_a_spared_box_changes_no_loss(others):
    output, given = found(), make_target([*others, (*LEFT, 1, True)])
    inside = within(output, LEFT)
    assert inside.any()
    before, after = output.losses(given)["total"], changed(output, inside).losses(given)["total"]
    assert torch.equal(before, after)
    assert not torch.equal(before, changed(output, ~inside).losses(given)["total"])
    before.backward()
    assert not output.logits.grad[:, inside].any()
    assert not output.distances.grad[:, inside].any()


def test_a_spared_box_that_is_smaller_than_the_grid_is_spared_too():
    """A demanded box of that size is answered for by the place whose middle is nearest: there nothing is punished."""
    tiny = (21.0, 29.0, 24.0, 31.0)
    output, given = found(), make_target([(*tiny, 1, True)])
    boxes, names = torch.tensor([tiny]), torch.tensor([1])
    scores, corners = output.logits.detach().sigmoid()[0], output.corners().detach()[0]
    would = task_aligned(scores, corners, output.centres, output.strides, boxes, names).box >= 0
    assert would.any()
    assert torch.equal(output.losses(given)["total"], changed(output, would).losses(given)["total"])


def test_an_object_in_a_spared_region_is_demanded_all_the_same():
    output = found()
    output.losses(make_target([(*LEFT, 1), (*BIG, 2, True)]))["total"].backward()
    inside = within(output, LEFT)
    assert (output.logits.grad[0, inside].abs().sum(1) > 0).all()
    assert not output.logits.grad[0, ~inside].any()


# --- how pictures are put together


def test_the_loss_of_a_batch_is_the_mean_of_its_pictures_however_it_is_cut():
    images = [
        [(*LEFT, 1), (*RIGHT, 0)],
        [],
        many(40),
        [(*RIGHT, 2), (*LEFT, 1, True)],
        [(20, 31, 21, 32, 0)],
    ]
    output = found(len(images))

    def total(rows: slice) -> float:
        some = FcosOutput(
            output.logits[rows], output.distances[rows], output.centres, output.strides
        )
        return some.losses(make_target(*images[rows], objects=3.5))["total"].item()

    each = [total(slice(row, row + 1)) for row in range(len(images))]
    assert total(slice(None)) == pytest.approx(
        np.mean(each), rel=1e-5
    )  # float32 sums in another order
    assert total(slice(1, 4)) == pytest.approx(np.mean(each[1:4]), rel=1e-5)


def test_twice_the_objects_a_picture_halve_the_loss():
    output, image = found(), [(*LEFT, 1), (*RIGHT, 0)]
    one, two = (output.losses(make_target(image, objects=count)) for count in (1.0, 2.0))
    for name, value in one.items():
        assert value.item() == pytest.approx(2 * two[name].item(), rel=1e-6)


# --- against oracles


def test_the_box_term_of_one_place_is_torchvisions_loss():
    distances = torch.tensor([[[1.0, 0.5, 2.0, 1.5]]])
    output = FcosOutput(
        torch.zeros(1, 1, 1), distances, torch.tensor([[20.0, 20.0]]), torch.tensor([8.0])
    )
    assert output.corners().tolist() == [[[12, 16, 36, 32]]]
    true = (10.0, 12.0, 30.0, 30.0)
    expected = BOX_WEIGHT * generalized_box_iou_loss(
        torch.tensor([[12.0, 16, 36, 32]]), torch.tensor([true]), reduction="sum"
    )
    assert output.losses(make_target([(*true, 0)]))["box"].item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def giou(a, b) -> float:
    def area(box):
        return (box[2] - box[0]) * (box[3] - box[1])

    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    hull = area((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    union = area(a) + area(b) - common
    return common / union - (hull - union) / hull


def by_loops(logits, distances, output: FcosOutput, rows, assigned) -> float:
    """The total loss of one picture in plain float64."""
    box, quality = assigned.box.tolist(), assigned.quality.double().tolist()
    mass = [
        sum(q for own, q in zip(box, quality, strict=True) if own == m) for m in range(len(rows))
    ]
    empty = 1 / max(1.0, sum(mass) / len(mass))
    total = 0.0
    for place, own in enumerate(box):
        for k in range(CLASSES):
            wanted = quality[place] if own >= 0 and rows[own][4] == k else 0.0
            z = logits[place, k]
            entropy = max(z, 0) - z * wanted + np.log1p(np.exp(-abs(z)))
            weight = empty if own < 0 else 1 / max(1.0, mass[own])
            total += CLASS_WEIGHT * weight * abs(wanted - 1 / (1 + np.exp(-z))) ** FOCUS * entropy
        if own >= 0:
            (x, y), stride = output.centres[place].tolist(), float(output.strides[place])
            left, top, right, bottom = distances[place] * stride
            corners = (x - left, y - top, x + right, y + bottom)
            total += BOX_WEIGHT * (1 - giou(corners, rows[own][:4])) * quality[place] / mass[own]
    return total


def test_loss_and_gradient_equal_a_loop_and_its_finite_differences():
    """What a place is to score is taken as given: the gradient goes through the scores and boxes alone. Float32 keeps 7 digits; differences of float64 over 1e-5 are exact to 1e-9."""
    rows = [(*LEFT, 1), (*RIGHT, 0), (28, 30, 40, 44, 1)]
    output = found(seed=5)
    scores, corners = output.logits.detach().sigmoid()[0], output.corners().detach()[0]
    boxes, names = (
        torch.tensor([row[:4] for row in rows]).float(),
        torch.tensor([row[4] for row in rows]),
    )
    assigned = task_aligned(scores, corners, output.centres, output.strides, boxes, names)
    leaves = [leaf.detach()[0].double().numpy() for leaf in (output.logits, output.distances)]

    total = output.losses(make_target(rows))["total"]
    assert total.item() == pytest.approx(by_loops(*leaves, output, rows, assigned), rel=1e-5)
    total.backward()
    mine = (assigned.box >= 0).nonzero()[:, 0].tolist()
    rng, step = np.random.default_rng(0), 1e-5
    for which, gradient in enumerate((output.logits.grad[0], output.distances.grad[0])):
        for place in [
            *rng.choice(mine, 6, replace=False),
            *rng.choice(len(scores), 6, replace=False),
        ]:
            column = int(rng.integers(leaves[which].shape[1]))
            ends = []
            for way in (step, -step):
                moved = [leaf.copy() for leaf in leaves]
                moved[which][place, column] += way
                ends.append(by_loops(*moved, output, rows, assigned))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert gradient[place, column].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


# --- the head


@pytest.mark.parametrize(
    ("strides", "levels"),
    [
        ((4, 8, 16, 32), [1, 2, 3]),
        ((16, 16, 16), [2]),
        ((32,), [0]),
        ((4, 4, 8), [1, 2]),
        ((8, 16, 32), [0, 1, 2]),
    ],
)
def test_the_coarsest_maps_are_used_and_of_one_stride_the_last(strides, levels):
    assert pyramid_levels(strides) == levels


@pytest.mark.parametrize(("height", "width"), [(70, 130), (130, 70), (34, 32), (64, 64), (2, 32)])
def test_places_lie_in_the_middle_of_their_cells_and_inside_the_padded_picture(height, width):
    torch.manual_seed(0)
    backbone = models.build("yolo", channels=3, size=160)
    output = nn.Sequential(backbone, backbone.detector(CLASSES)).eval()(
        torch.randn(1, 3, height, width)
    )
    expected = [
        (stride * (column + 0.5), stride * (row + 0.5), stride)
        for stride in STRIDES
        for row in range(-(-height // stride))
        for column in range(-(-width // stride))
    ]
    places = torch.cat([output.centres, output.strides[:, None]], 1)
    assert places.tolist() == [list(place) for place in expected]
    corners, scores = output.candidates()
    assert corners.shape == (1, len(expected), 4)
    assert scores.shape == (1, len(expected), CLASSES)
    assert (corners[0, :, :2] <= output.centres).all()
    assert (corners[0, :, 2:] >= output.centres).all()


def test_scores_start_near_the_prior():
    """Each of 64 channels adds about 0.01 to the logit, either way: 0.08 in all, where the score doubles at 0.7."""
    torch.manual_seed(0)
    head = FcosHead((16, 32), (8, 16), CLASSES)
    scores = head([torch.randn(2, 16, 8, 8), torch.randn(2, 32, 4, 4)]).candidates()[1]
    assert scores.min() > PRIOR / 2
    assert scores.max() < PRIOR * 2


def test_no_more_maps_are_used_than_levels():
    head = FcosHead((8, 8, 16, 16, 32), (2, 4, 8, 16, 32), 1)
    assert head.strides == [8, 16, 32]
    assert len(head.lateral) == len(head.smooth) == MAX_LEVELS
