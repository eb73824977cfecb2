"""From a net's candidates to predictions in the image's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate.annotations import Boxes
from foveate.data.rng import SampleRNG
from foveate.ops import boxes as ops
from foveate.tasks import detection
from foveate.tasks.detection import (
    MAX_CANDIDATES,
    MAX_DETECTIONS,
    MIN_SCORE,
    NMS_IOU,
    Detection,
    suppress,
)
from helpers.box_oracle import Fixed, InteractivePredictor, make_image, net, told

TASK = Detection(("red", "green"))


# --- places

SIZES = [
    (64, 64),
    (32, 32),
    (128, 128),
    (64, 33),
    (200, 130),
    (31, 400),
    (1, 1),
    (50, 8000),
    (8000, 50),
]


@pytest.mark.parametrize("flexible", [True, False])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_candidates_come_back_in_the_images_own_pixels(height, width, flexible):
    """The image fills the top left of the canvas, its longer side 64 pixels at most; what lies
    beyond it is cut off."""
    corners = [[8.0, 4.0, 24.0, 20.0], [-5.0, -5.0, 100.0, 100.0]]
    head = Fixed(corners, [[0.9, 0.0], [0.0, 0.8]])
    prediction = TASK.predict(net(head, flexible=flexible), [make_image(height, width)])[0]
    filled = [max(1, round(side * 64 / max(height, width, 64))) for side in (height, width)]
    across, down = width / filled[1], height / filled[0]
    clipped = [
        np.clip(box, 0, [filled[1], filled[0]] * 2) * [across, down, across, down]
        for box in corners
    ]
    assert prediction.corners == pytest.approx(np.array(clipped), abs=1e-9 * max(height, width))
    assert prediction.size == (height, width)
    assert prediction.classes.tolist() == [0, 1]
    assert prediction.scores.tolist() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("size", SIZES)
def test_the_learning_curve_scores_boxes_as_predictions_are_cut_off(size):
    height, width = (max(1, round(side * 64 / max(*size, 64))) for side in size)
    target = Boxes(np.array([[0.0, 0, width, height]]), np.array([0]), size=(height, width))
    head = Fixed([[-90.0, -70.0, 200.0, 300.0]], [[0.9, 0.0]])
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    _, collated = TASK.collate(images, [target], SampleRNG(np.zeros(1, np.uint64), seed=0))
    assert TASK.batch_metric(net(head)(images), collated, quick=False) == 1.0


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 256), (300, 90), (97, 61), (20, 20)])
def test_objects_are_found_where_they_are_to_a_pixel_of_the_input(height, width):
    instance = (width // 5, height // 4, width // 2, height // 2)
    prediction = TASK.predict(
        net(InteractivePredictor()), [make_image(height, width, (*instance, 1))]
    )[0]
    assert prediction.classes.tolist() == [1]
    pixel = max(1.0, max(height, width) / 64)
    assert prediction.corners[0] == pytest.approx(instance, abs=pixel)


def test_the_canvas_has_no_more_padding_than_the_strides_ask_for():
    looking = net(InteractivePredictor(), size=128)
    TASK.predict(looking, [make_image(50, 8000), make_image(128, 128), make_image(128, 65)])
    assert sorted(shape[2:] for shape in looking.body[0].shapes) == [
        (32, 128),
        (128, 96),
        (128, 128),
    ]
    looking = net(InteractivePredictor(), size=50)
    TASK.predict(looking, [make_image(50, 50), make_image(10, 50)])
    assert sorted(shape[2:] for shape in looking.body[0].shapes) == [(32, 50), (50, 50)]
    looking = net(InteractivePredictor(), size=128, flexible=False)
    TASK.predict(looking, [make_image(50, 8000)])
    assert looking.body[0].shapes == [(1, 3, 128, 128)]


def mixed(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        height, width = rng.integers(20, 140, 2).tolist()
        made.append(
            make_image(
                height,
                width,
                (0, 2, width // 3, height // 2, 0),
                (width // 2, 1, width, height - 3, 1),
            )
        )
    return made


@pytest.mark.parametrize("pixels", [1, 3 * 64 * 64, 10**9])
def test_images_of_mixed_shapes_together_are_predicted_as_one_by_one(pixels, monkeypatch):
    monkeypatch.setattr(detection, "BATCH_PIXELS", pixels)
    images, looking = mixed(25), net(InteractivePredictor())
    together = TASK.predict(looking, images)
    assert len(together) == 25
    for image, prediction in zip(images, together, strict=True):
        alone = TASK.predict(looking, [image])[0]
        assert len(prediction) == 2
        assert told(prediction) == told(alone)
        assert prediction.size == alone.size == image.shape[:2]


def test_no_image_no_prediction():
    assert TASK.predict(net(InteractivePredictor()), []) == []


def test_grey_and_colour_are_predicted_by_nets_of_either():
    grey, colour = np.full((40, 30, 1), 90, np.uint8), make_image(40, 30)
    for channels in (1, 3):
        looking = net(Fixed([[0.0, 0, 9, 9]], [[0.9, 0]]), channels=channels)
        assert [len(prediction) for prediction in TASK.predict(looking, [grey, colour])] == [1, 1]
        assert looking.body[0].shapes[0][1] == channels


# --- which candidates stay


def by_loop(corners, scores):
    """Of one image: most confident first, each stays unless one of its class that stays overlaps
    it."""
    ranked = sorted(
        ((scores[place, k], place, k) for place, k in np.argwhere(scores >= MIN_SCORE)),
        key=lambda one: -one[0],
    )
    kept = []
    for score, place, k in ranked:
        baselines = [corners[other] for _, other, name in kept if name == k]
        if (
            not baselines
            or ops.iou(corners[place : place + 1], np.array(baselines)).max() <= NMS_IOU
        ):
            kept.append((score, place, k))
    return kept[:MAX_DETECTIONS]


def same(found, corners, scores):
    for row, prediction in enumerate(found):
        kept = by_loop(corners[row].double().numpy(), scores[row].double().numpy())
        assert prediction.classes.tolist() == [k for _, _, k in kept]
        assert prediction.scores.tolist() == [score for score, _, _ in kept]
        assert prediction.corners.tolist() == [corners[row, place].tolist() for _, place, _ in kept]


@pytest.mark.parametrize("seed", range(5))
def test_those_that_stay_by_a_loop(seed):
    open_generator = torch.Generator().manual_seed(seed)
    low = 60 * torch.rand(3, 40, 2, generator=open_generator)
    corners = torch.cat([low, low + 20 + 30 * torch.rand(3, 40, 2, generator=open_generator)], -1)
    scores = torch.rand(3, 40, 3, generator=open_generator) ** 4
    found = suppress(corners, scores)
    assert sum(map(len, found)) < (scores >= MIN_SCORE).sum()  # some had to go
    same(found, corners, scores)


@pytest.mark.parametrize("seed", range(5))
def test_the_confident_boxes_are_those_among_all_boxes(seed):
    """Boxes below every threshold are never compared, and change nothing."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 30, (200, 2))
    corners = np.concatenate([low, low + rng.uniform(10, 30, (200, 2))], 1)
    head = Fixed(corners.tolist(), (rng.random((200, 2)) ** 2).tolist())
    task = Detection(("red", "green"), thresholds=[0.3, 0.6])
    image = make_image(64, 64)
    (every,), (confident,) = (
        predict(net(head), [image]) for predict in (task.predict, task.predict_confident)
    )
    assert len(confident) < len(every)
    one, other = task.confident(every), task.confident(confident)
    assert 0 < len(one) < len(confident)
    assert one.corners.tolist() == other.corners.tolist()
    assert one.classes.tolist() == other.classes.tolist()
    assert one.scores.tolist() == other.scores.tolist()


def test_boxes_that_stick_out_of_the_image_touch_no_other_class_or_image():
    corners = torch.tensor([[[0.0, 0, 100, 100], [-101, -101, -1, -1]]] * 2)
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.8]]] * 2)
    same(suppress(corners, scores), corners, scores)


def test_hundreds_of_images_at_once_are_judged_as_finely_as_one():
    """Two boxes each that overlap by a little less, or a little more, than is allowed: float32
    counts that exactly near 0,
    but no longer where images and classes are told apart by moving them thousands of pixels
    away."""
    images, classes = 400, 80
    corners, scores = torch.zeros(images, 2, 4), torch.zeros(images, 2, classes)
    for row in range(images):
        left, top = 3 + row / 7, 50 - row / 11
        moved = 2.49 if row % 2 else 2.51  # of 10 pixels: IoU 0.6016 and 0.5988, 0.6 at 2.5
        corners[row] = torch.tensor(
            [[left, top, left + 10, top + 10], [left + moved, top, left + 10 + moved, top + 10]]
        )
        scores[row, 0, -1 - row % 9], scores[row, 1, -1 - row % 9] = 0.9, 0.8
    same(suppress(corners, scores), corners, scores)


@pytest.mark.parametrize("places", [1, 2])
def test_nothing_sure_is_nothing_found(places):
    found = suppress(torch.zeros(2, places, 4), torch.full((2, places, 3), MIN_SCORE / 2))
    assert [len(one) for one in found] == [0, 0]
    assert all(one.scores is not None for one in found)
    assert suppress(torch.zeros(0, places, 4), torch.zeros(0, places, 3)) == []


def test_of_very_many_the_most_confident_stay_and_no_more_than_most():
    at = torch.arange(MAX_CANDIDATES + 500.0)[None, :, None] * torch.tensor([20.0, 0, 20, 0])
    corners = at + torch.tensor([0.0, 0, 10, 10])
    scores = torch.linspace(0.1, 0.9, MAX_CANDIDATES + 500)[None, :, None]
    (found,) = suppress(corners, scores)
    assert len(found) == MAX_DETECTIONS
    assert found.scores.tolist() == scores[0, :, 0].flip(0)[:MAX_DETECTIONS].double().tolist()
