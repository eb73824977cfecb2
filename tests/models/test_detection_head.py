"""The detection head and its loss: edge cases, torchvision, loops and finite differences."""

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


def make_output(batch: int = 1, seed: int = 0) -> FcosOutput:
    """Random output at every point of an image of SIDE pixels, as leaves of the graph."""
    generator = torch.Generator().manual_seed(seed)
    centres, strides = [], []
    for stride in STRIDES:
        centre = stride * (torch.arange(SIDE // stride) + 0.5)
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
        strides.append(torch.full((len(centre) ** 2,), float(stride)))
    points = sum(map(len, centres))
    logits = torch.randn(batch, points, CLASSES, generator=generator) - 1
    distances = 0.2 + 2 * torch.rand(batch, points, 4, generator=generator)
    return FcosOutput(
        logits.requires_grad_(), distances.requires_grad_(), torch.cat(centres), torch.cat(strides)
    )


def make_target(*images, objects: float = 1.0) -> DetectionTarget:
    """Each image is a list of (left, top, right, bottom, class), followed by True if ignored."""
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
IMAGES = {
    "no image": [],
    "no object": [[]],
    "one object": [[(*LEFT, 1)]],
    "2,000 objects": [many(2000)],
    "2,000 equal objects": [[(*LEFT, 1)] * 2000],
    "one pixel": [[(20, 31, 21, 32, 0)]],
    "one pixel at the corner": [[(SIDE - 1, SIDE - 1, SIDE, SIDE, 0)]],
    "no area": [[(20, 31, 20, 31, 0)]],
    "the whole image": [[(*BIG, 2)]],
    "only ignored": [[(*BIG, 2, True)]],
    "an object and none": [[(*LEFT, 1)], []],
}


@pytest.mark.parametrize("case", IMAGES)
def test_the_loss_is_finite_and_has_a_gradient(case):
    images = IMAGES[case]
    output = make_output(len(images))
    losses = output.losses(make_target(*images))
    assert set(losses) == {"total", "class", "box"}
    assert all(torch.isfinite(value) and value >= 0 for value in losses.values())
    losses["total"].backward()
    for leaf in (output.logits, output.distances):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
    has_target = case != "no area" and any(len(row) == 5 for rows in images for row in rows)
    assert (output.distances.grad.abs().sum() > 0) == has_target
    assert (output.logits.grad.abs().sum() > 0) == (bool(images) and case != "only ignored")


def test_scores_of_zero_and_one_and_boxes_without_area_have_finite_losses():
    output = make_output()
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


# --- ignored boxes


def changed(output: FcosOutput, points: torch.Tensor) -> FcosOutput:
    """The same with other scores and boxes at these points."""
    logits, distances = output.logits.detach().clone(), output.distances.detach().clone()
    logits[:, points] += 3.0
    distances[:, points] *= 1.5
    return FcosOutput(logits, distances, output.centres, output.strides)


def within(output: FcosOutput, corners) -> torch.Tensor:
    left, top, right, bottom = corners
    x, y = output.centres.unbind(1)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


@pytest.mark.parametrize("others", [[], [(*RIGHT, 0)]], ids=["alone", "beside an object"])
def test_predictions_in_an_ignored_box_change_no_loss(others):
    output, target = make_output(), make_target([*others, (*LEFT, 1, True)])
    inside = within(output, LEFT)
    assert inside.any()
    before, after = output.losses(target)["total"], changed(output, inside).losses(target)["total"]
    assert torch.equal(before, after)
    assert not torch.equal(before, changed(output, ~inside).losses(target)["total"])
    before.backward()
    assert not output.logits.grad[:, inside].any()
    assert not output.distances.grad[:, inside].any()


def test_an_ignored_box_smaller_than_the_grid_is_ignored_too():
    """A required box of that size is assigned to the nearest point; that point has no loss."""
    tiny = (21.0, 29.0, 24.0, 31.0)
    output, target = make_output(), make_target([(*tiny, 1, True)])
    boxes, classes = torch.tensor([tiny]), torch.tensor([1])
    scores, corners = output.logits.detach().sigmoid()[0], output.corners().detach()[0]
    assigned = (
        task_aligned(scores, corners, output.centres, output.strides, boxes, classes).box >= 0
    )
    assert assigned.any()
    assert torch.equal(
        output.losses(target)["total"], changed(output, assigned).losses(target)["total"]
    )


def test_an_object_in_an_ignored_region_is_still_required():
    output = make_output()
    output.losses(make_target([(*LEFT, 1), (*BIG, 2, True)]))["total"].backward()
    inside = within(output, LEFT)
    assert (output.logits.grad[0, inside].abs().sum(1) > 0).all()
    assert not output.logits.grad[0, ~inside].any()


# --- batches


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    images = [
        [(*LEFT, 1), (*RIGHT, 0)],
        [],
        many(40),
        [(*RIGHT, 2), (*LEFT, 1, True)],
        [(20, 31, 21, 32, 0)],
    ]
    output = make_output(len(images))

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


def test_twice_the_objects_per_image_halve_the_loss():
    output, image = make_output(), [(*LEFT, 1), (*RIGHT, 0)]
    one, two = (output.losses(make_target(image, objects=count)) for count in (1.0, 2.0))
    for name, value in one.items():
        assert value.item() == pytest.approx(2 * two[name].item(), rel=1e-6)


# --- against oracles


def test_the_box_loss_of_one_point_is_torchvisions():
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
    """The total loss of one image in plain float64."""
    box, quality = assigned.box.tolist(), assigned.quality.double().tolist()
    mass = [
        sum(q for index, q in zip(box, quality, strict=True) if index == m)
        for m in range(len(rows))
    ]
    empty = 1 / max(1.0, sum(mass) / len(mass))
    total = 0.0
    for place, index in enumerate(box):
        for k in range(CLASSES):
            score = quality[place] if index >= 0 and rows[index][4] == k else 0.0
            z = logits[place, k]
            entropy = max(z, 0) - z * score + np.log1p(np.exp(-abs(z)))
            weight = empty if index < 0 else 1 / max(1.0, mass[index])
            total += CLASS_WEIGHT * weight * abs(score - 1 / (1 + np.exp(-z))) ** FOCUS * entropy
        if index >= 0:
            (x, y), stride = output.centres[place].tolist(), float(output.strides[place])
            left, top, right, bottom = distances[place] * stride
            corners = (x - left, y - top, x + right, y + bottom)
            total += (
                BOX_WEIGHT * (1 - giou(corners, rows[index][:4])) * quality[place] / mass[index]
            )
    return total


def test_loss_and_gradient_equal_a_loop_and_its_finite_differences():
    """Target scores are constants; the gradient flows through scores and boxes only.

    Float32 has 7 digits; differences of float64 over 1e-5 are exact to 1e-9.
    """
    rows = [(*LEFT, 1), (*RIGHT, 0), (28, 30, 40, 44, 1)]
    output = make_output(seed=5)
    scores, corners = output.logits.detach().sigmoid()[0], output.corners().detach()[0]
    boxes, classes = (
        torch.tensor([row[:4] for row in rows]).float(),
        torch.tensor([row[4] for row in rows]),
    )
    assigned = task_aligned(scores, corners, output.centres, output.strides, boxes, classes)
    leaves = [leaf.detach()[0].double().numpy() for leaf in (output.logits, output.distances)]

    total = output.losses(make_target(rows))["total"]
    assert total.item() == pytest.approx(by_loops(*leaves, output, rows, assigned), rel=1e-5)
    total.backward()
    positive = (assigned.box >= 0).nonzero()[:, 0].tolist()
    rng, step = np.random.default_rng(0), 1e-5
    for which, gradient in enumerate((output.logits.grad[0], output.distances.grad[0])):
        for place in [
            *rng.choice(positive, 6, replace=False),
            *rng.choice(len(scores), 6, replace=False),
        ]:
            column = int(rng.integers(leaves[which].shape[1]))
            ends = []
            for delta in (step, -step):
                moved = [leaf.copy() for leaf in leaves]
                moved[which][place, column] += delta
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
def test_the_pyramid_has_the_coarsest_maps_and_the_last_of_each_stride(strides, levels):
    assert pyramid_levels(strides) == levels


@pytest.mark.parametrize(("height", "width"), [(70, 130), (130, 70), (34, 32), (64, 64), (2, 32)])
def test_points_are_the_centres_of_their_cells_in_the_padded_image(height, width):
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
    points = torch.cat([output.centres, output.strides[:, None]], 1)
    assert points.tolist() == [list(point) for point in expected]
    corners, scores = output.candidates()
    assert corners.shape == (1, len(expected), 4)
    assert scores.shape == (1, len(expected), CLASSES)
    assert (corners[0, :, :2] <= output.centres).all()
    assert (corners[0, :, 2:] >= output.centres).all()


def test_scores_start_near_the_prior():
    """64 channels add about 0.01 each, of either sign: 0.08 in all; 0.7 would double the score."""
    torch.manual_seed(0)
    head = FcosHead((16, 32), (8, 16), CLASSES)
    scores = head([torch.randn(2, 16, 8, 8), torch.randn(2, 32, 4, 4)]).candidates()[1]
    assert scores.min() > PRIOR / 2
    assert scores.max() < PRIOR * 2


def test_the_pyramid_has_at_most_max_levels():
    head = FcosHead((8, 8, 16, 16, 32), (2, 4, 8, 16, 32), 1)
    assert head.strides == [8, 16, 32]
    assert len(head.lateral) == len(head.smooth) == MAX_LEVELS
