"""YOLO v1 against its paper, by hand and by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from foveate import models
from foveate.models.heads.detection import DetectionTarget
from foveate.models.heads.yolo_v1 import BOXES, CELLS, COORD_WEIGHT, NO_OBJECT_WEIGHT, YoloV1Output

SIZE, CLASSES = 70, 3  # cells of 10 pixels


def make_target(*images, objects: float = 1.0) -> DetectionTarget:
    """Each image is a list of (left, top, right, bottom, class), followed by True if ignored."""
    boxes = [
        torch.tensor([row[:4] for row in rows], dtype=torch.float32).reshape(-1, 4)
        for rows in images
    ]
    classes = [torch.tensor([row[4] for row in rows], dtype=torch.int64) for rows in images]
    ignored = [torch.tensor([len(row) > 5 for row in rows], dtype=torch.bool) for rows in images]
    return DetectionTarget(boxes, classes, ignored, objects)


def zero_output(batch: int = 1) -> YoloV1Output:
    return YoloV1Output(
        torch.zeros(batch, CELLS**2, BOXES, 5), torch.zeros(batch, CELLS**2, CLASSES), SIZE
    )


def random_output(batch: int, seed: int = 0) -> YoloV1Output:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(batch, CELLS**2, BOXES, 5, generator=generator)
    classes = torch.rand(batch, CELLS**2, CLASSES, generator=generator)
    return YoloV1Output(boxes.requires_grad_(), classes.requires_grad_(), SIZE)


def perfect_output(rows) -> YoloV1Output:
    """The first box of each object's cell is the object's."""
    grid = zero_output()
    for left, top, right, bottom, k in rows:
        x, y = (left + right) / 20, (top + bottom) / 20
        cell = CELLS * int(y) + int(x)
        sides = ((right - left) / SIZE) ** 0.5, ((bottom - top) / SIZE) ** 0.5
        grid.boxes[0, cell, 0] = torch.tensor([x - int(x), y - int(y), *sides, 1.0])
        grid.classes[0, cell, k] = 1.0
    return grid


# --- candidates


def test_candidates_computed_by_hand():
    """Cell 16, the third of the third row, begins at (20, 20).

    A box whose square roots are 0.5 x 0.25 has 17.5 x 4.375 pixels.
    """
    grid = zero_output()
    grid.boxes[0, 16, 1] = torch.tensor([0.5, 0.25, 0.5, 0.25, 0.8])
    grid.classes[0, 16] = torch.tensor([0.0, 0.5, 1.5])
    corners, scores = grid.candidates()
    assert corners.shape == (1, CELLS**2 * BOXES, 4)
    assert scores.shape == (1, CELLS**2 * BOXES, CLASSES)
    assert corners[0, 2 * 16 + 1].tolist() == [25 - 8.75, 22.5 - 2.1875, 25 + 8.75, 22.5 + 2.1875]
    assert scores[0, 2 * 16 + 1].tolist() == pytest.approx([0.0, 0.4, 0.8])
    assert not scores[0, 2 * 16].any()


def test_outputs_out_of_range_give_scores_from_0_to_1_and_no_inverted_box():
    grid = YoloV1Output(
        torch.full((1, CELLS**2, BOXES, 5), -3.0), torch.full((1, CELLS**2, CLASSES), 7.0), SIZE
    )
    corners, scores = grid.candidates()
    assert (corners[..., 2:] >= corners[..., :2]).all()
    assert not scores.any()
    grid.boxes[..., 4] = 9.0
    assert (grid.candidates()[1] == 1).all()


def test_encoded_objects_are_decoded_at_their_position():
    rows = [(3, 4, 26, 40, 1), (40, 8, 60, 52, 2), (0, 60, 10, 70, 0)]
    corners, scores = perfect_output(rows).candidates()
    decoded = (scores > 0.5).nonzero()[:, 1:].tolist()
    assert sorted([*corners[0, place].round().int().tolist(), k] for place, k in decoded) == sorted(
        map(list, rows)
    )


# --- the loss


@pytest.mark.parametrize(
    "rows", [[], [(3, 4, 26, 40, 1)], [(3, 4, 26, 40, 1), (40, 8, 60, 52, 2)]], ids=len
)
def test_a_perfect_output_has_no_loss(rows):
    """Apart from roots and IoUs in float32, whose errors of 1e-7 are squared."""
    losses = perfect_output(rows).losses(make_target(rows))
    assert set(losses) == {"total", "place", "confidence", "class"}
    assert losses["total"].item() == pytest.approx(0, abs=1e-10)


def test_of_two_objects_in_a_cell_the_first_is_the_target():
    first, second = (21, 21, 29, 29, 0), (10, 15, 38, 33, 1)  # both centred in the cell of (20, 20)
    assert perfect_output([first]).losses(make_target([first, second]))[
        "total"
    ].item() == pytest.approx(0, abs=1e-10)
    assert perfect_output([second]).losses(make_target([first, second]))["total"].item() > 1
    output = random_output(1)
    assert torch.equal(
        output.losses(make_target([first, second]))["total"],
        output.losses(make_target([first]))["total"],
    )


def test_ignored_boxes_have_no_loss():
    output, rows = random_output(1), [(40, 8, 60, 52, 2)]
    ignored = (3, 4, 26, 40, 1, True)
    before = output.losses(make_target([ignored, *rows]))["total"].item()
    cell = 2 * CELLS + 1  # the cell of its centre, (14.5, 22)
    output.boxes.data[0, cell] += 3.0
    assert output.losses(make_target([ignored, *rows]))["total"].item() == before
    assert output.losses(make_target(rows))["total"].item() > before


def iou(a, b) -> float:
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def equation_3(boxes, classes, rows) -> float:
    """Of one image, term by term as in the paper, in plain float64."""
    objects = {}
    for left, top, right, bottom, k in rows:
        x, y = (left + right) / 2 * CELLS / SIZE, (top + bottom) / 2 * CELLS / SIZE
        objects.setdefault(
            (min(int(y), CELLS - 1), min(int(x), CELLS - 1)), (x, y, left, top, right, bottom, k)
        )
    total = 0.0
    for i in range(CELLS):
        for j in range(CELLS):
            cell = i * CELLS + j
            overlaps = [0.0] * BOXES
            if (i, j) in objects:
                x, y, *true, k = objects[i, j]
                for b in range(BOXES):
                    bx, by = (j + boxes[cell, b, 0]) * 10, (i + boxes[cell, b, 1]) * 10
                    bw, bh = SIZE * boxes[cell, b, 2] ** 2, SIZE * boxes[cell, b, 3] ** 2
                    overlaps[b] = iou((bx - bw / 2, by - bh / 2, bx + bw / 2, by + bh / 2), true)
                for c in range(CLASSES):
                    total += (classes[cell, c] - (c == k)) ** 2
            for b in range(BOXES):
                if (i, j) in objects and b == int(np.argmax(overlaps)):
                    wide, high = (
                        ((true[2] - true[0]) / SIZE) ** 0.5,
                        ((true[3] - true[1]) / SIZE) ** 0.5,
                    )
                    total += COORD_WEIGHT * (
                        (boxes[cell, b, 0] - (x - j)) ** 2 + (boxes[cell, b, 1] - (y - i)) ** 2
                    )
                    total += COORD_WEIGHT * (
                        (boxes[cell, b, 2] - wide) ** 2 + (boxes[cell, b, 3] - high) ** 2
                    )
                    total += (boxes[cell, b, 4] - overlaps[b]) ** 2
                else:
                    total += NO_OBJECT_WEIGHT * boxes[cell, b, 4] ** 2
    return total


SCENES = [
    [(3, 4, 26, 40, 1), (40, 8, 60, 52, 2), (21, 21, 29, 29, 0), (10, 15, 38, 33, 1)],
    [],
    [(0, 0, 70, 70, 0)],
    [(30, 31, 31, 32, 2)],
]


def test_equation_3_by_a_loop():
    """Float32 keeps 7 digits; some 500 terms are summed."""
    output = random_output(len(SCENES))
    boxes, classes = (
        output.boxes.detach().double().numpy(),
        output.classes.detach().double().numpy(),
    )
    expected = [equation_3(boxes[row], classes[row], rows) for row, rows in enumerate(SCENES)]
    losses = output.losses(make_target(*SCENES, objects=1.5))
    assert losses["total"].item() == pytest.approx(np.mean(expected) / 1.5, rel=1e-5)
    assert losses["total"].item() == pytest.approx(
        sum(losses[n].item() for n in losses if n != "total"), rel=1e-6
    )


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    output = random_output(len(SCENES))
    each = [
        YoloV1Output(output.boxes[row : row + 1], output.classes[row : row + 1], SIZE)
        .losses(make_target(rows))["total"]
        .item()
        for row, rows in enumerate(SCENES)
    ]
    assert output.losses(make_target(*SCENES))["total"].item() == pytest.approx(
        np.mean(each), rel=1e-5
    )


@pytest.mark.parametrize(
    "row",
    [(60, 60, 80, 80, 1), (65, 69, 75, 71, 1), (-5, -5, 5, 5, 1), (70, 0, 70, 10, 1)],
    ids=str,
)
def test_an_object_centred_on_the_edge_belongs_to_the_edge_cell(row):
    output = random_output(1)
    losses = output.losses(make_target([row]))
    assert torch.isfinite(losses["total"])
    losses["total"].backward()
    x, y = (min(CELLS - 1, max(0, (row[at] + row[at + 2]) // 20)) for at in (0, 1))
    cells = output.classes.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert cells == [CELLS * y + x]


@pytest.mark.parametrize(
    "images", [[], [[]], [[], []]], ids=["no image", "no object", "two without"]
)
def test_without_an_object_only_confidence_has_a_loss(images):
    output = random_output(len(images))
    losses = output.losses(make_target(*images))
    assert losses["place"] == losses["class"] == 0
    losses["total"].backward()
    assert torch.isfinite(output.boxes.grad).all()
    assert not output.boxes.grad[..., :4].any()
    assert torch.allclose(
        output.boxes.grad[..., 4], 2 * NO_OBJECT_WEIGHT * output.boxes[..., 4] / max(1, len(images))
    )


@pytest.mark.parametrize("size", [32, 33, 100])
def test_the_net_predicts_for_every_cell_at_any_size(size):
    torch.manual_seed(0)
    backbone = models.build("yolo_v1", channels=1, size=size)
    assert not backbone.flexible
    corners, scores = (
        nn.Sequential(backbone, backbone.detector(5))
        .eval()(torch.randn(2, 1, size, size))
        .candidates()
    )
    assert corners.shape == (2, CELLS**2 * BOXES, 4)
    assert scores.shape == (2, CELLS**2 * BOXES, 5)
    centres = (corners[..., :2] + corners[..., 2:]) / 2
    assert (centres > -size).all()
    assert (centres < 2 * size).all()
