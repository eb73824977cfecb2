"""From a net's classes and votes to objects in the image's own pixels, and how they are chosen and
told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_masks

from foveate.annotations import Instances
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import DataError, SettingError
from foveate.models.heads.segmentation import SubsampledLogits
from foveate.ops import rle
from foveate.ops.centre_voting import MIN_VOTES
from foveate.tasks import instance
from foveate.tasks.grouping import MIN_SCORE
from foveate.tasks.instance import BLURS, DEFAULT_THRESHOLD, Instance
from helpers.box_oracle import net
from helpers.mask_oracle import (
    COLD,
    SCENE,
    Things,
    coloured,
    enlarged,
    fitted,
    make_target,
    painted,
    parted,
    told,
)

CLASSES = ("warm", "cold")
TASK = Instance(CLASSES)


# --- places


@pytest.mark.parametrize("flexible", [True, False])
@pytest.mark.parametrize(
    ("block", "size"),
    [((1, 1), 64), ((2, 2), 64), ((3, 3), 64), ((1, 2), 128), ((2, 1), 128), ((5, 1), 320)],
)
def test_objects_are_found_with_their_exact_pixels_where_the_net_can_see_them(
    block, size, flexible
):
    """Each pixel of the scene as a block: pixels of the input are blocks or parts of them."""
    values = np.kron(SCENE, np.ones(block, int))
    looking = net(Things(), size=size, flexible=flexible)
    (prediction,) = TASK.predict(looking, [coloured(values)])
    assert told(prediction) == parted(values)
    assert prediction.boxes.size == values.shape
    assert all(0 < score <= 1 for score in prediction.boxes.scores)


@pytest.mark.parametrize(
    "shape", [(50, 8000), (8000, 50), (33, 64), (97, 61), (131, 200), (31, 400), (28, 40), (1, 1)]
)
def test_elsewhere_each_pixel_is_of_the_object_that_the_input_pixel_under_its_middle_is_of(shape):
    values = np.zeros((max(shape), min(shape)), int)
    for (start, end), ink in zip(((0, 1 / 4), (1 / 4, 1 / 2), (2 / 3, 1)), (1, 2, 3), strict=True):
        values[int(start * len(values)) : int(end * len(values))] = ink
    values = values if values.shape == shape else values.T
    (prediction,) = TASK.predict(net(Things()), [coloured(values)])
    small = fitted(coloured(values), 64)
    large = {
        mask: k for mask, k in parted(small).items() if np.frombuffer(mask, bool).sum() >= MIN_VOTES
    }
    masks = [enlarged(np.frombuffer(mask, bool).reshape(small.shape), shape) for mask in large]
    assert told(prediction) == dict(
        zip([mask.tobytes() for mask in masks], large.values(), strict=True)
    )
    assert prediction.boxes.size == shape
    for mask, corners in zip(prediction.masks(shape), prediction.boxes.corners, strict=True):
        rows, columns = np.nonzero(mask)
        assert corners.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def mixed(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = rng.integers(12, 130, (count, 2)).tolist()
    return [painted((h, w), (0, 2, w // 3, h // 2, 1), (w // 2, 1, w, h - 3, 3)) for h, w in shapes]


@pytest.mark.parametrize("pixels", [1, 3 * 64 * 64, 10**9])
def test_images_of_mixed_shapes_together_are_predicted_as_one_by_one(pixels, monkeypatch):
    monkeypatch.setattr(instance, "BATCH_PIXELS", pixels)
    images, looking = [coloured(values) for values in mixed(20)], net(Things())
    together = TASK.predict(looking, images)
    assert len(together) == 20
    for image, prediction in zip(images, together, strict=True):
        (alone,) = TASK.predict(looking, [image])
        assert len(prediction) == 2
        assert TASK.to_dict(prediction) == TASK.to_dict(alone)
        assert prediction.boxes.size == image.shape[:2]


def test_nothing_there_is_nothing_found():
    assert TASK.predict(net(Things()), []) == []
    (prediction,) = TASK.predict(net(Things()), [np.zeros((40, 30, 3), np.uint8)])
    assert len(prediction) == 0
    assert prediction.boxes.scores is not None


def test_targets_are_brought_to_the_training_size_and_predictions_back():
    given = make_target(
        SCENE,
        crowd=[True, False, False, False, False],
        difficult=[False, True, False, False, False],
    )
    larger = given.resize((64, 64), (192, 128))
    assert told(larger) == {
        np.kron(np.frombuffer(m, bool).reshape(64, 64), np.ones((3, 2), bool)).tobytes(): k
        for m, k in told(given).items()
    }
    back = larger.resize((192, 128), (64, 64))
    assert told(back) == told(given)
    for flag in ("crowd", "difficult"):
        assert getattr(back.boxes, flag).tolist() == getattr(given.boxes, flag).tolist()
    assert back.boxes.size == (64, 64)


def test_objects_that_vanish_when_a_target_shrinks_are_left_out_and_the_others_keep_their_class():
    values = painted((64, 64), (1, 1, 2, 2, 1), (30, 30, 60, 60, 3))
    small = make_target(values).resize((64, 64), (8, 8))
    assert small.boxes.classes.tolist() == [1]
    assert len(small.shapes) == 1


def test_a_batch_teaches_each_object_with_its_class_and_spares_what_is_ignored():
    given = make_target(SCENE, crowd=[True, False, False, False, False])
    (_,), target = TASK.collate(
        torch.zeros(1, 3, 70, 64, dtype=torch.uint8), [given], SampleRNG(sample_keys(["a"]), 0)
    )
    patches = list(told(given).items())
    for row, (mask, k) in enumerate(patches):
        inside = np.frombuffer(mask, bool).reshape(64, 64).copy()
        assert (target.classes[0, :64][inside] == (-1 if row == 0 else 1 + k)).all()
        assert target.weights[0, :64][inside].sum().item() == pytest.approx(
            0 if row == 0 else 1 / (len(patches) - 1)
        )
    assert not target.classes[0, 64:].any()
    assert not target.weights[0, 64:].any()


# --- chosen on the validation part


def test_what_one_pixel_in_four_costs_is_in_the_mean_what_all_of_them_cost():
    """Each object counts the same, as in a whole image, however few of its pixels are asked for."""
    values = painted((12, 16), (1, 1, 6, 5, 1), (9, 3, 10, 4, 2), (8, 7, 15, 11, 3))
    images = torch.zeros(2, 3, 12, 16, dtype=torch.uint8)
    _, target = TASK.collate(
        images,
        [make_target(values), make_target(np.roll(values, 1, 1))],
        SampleRNG(sample_keys(["a", "b"]), 0),
    )
    torch.manual_seed(0)
    output = torch.randn(2, 5, 12, 16)
    whole = TASK.loss(output, target)
    thinned = [
        TASK.loss(SubsampledLogits(output[..., row::2, column::2], (row, column)), target)
        for row in (0, 1)
        for column in (0, 1)
    ]
    for split in ("offset", "focal"):
        torch.testing.assert_close(
            torch.stack([one[split] for one in thinned]).mean(), whole[split]
        )
    assert TASK.batch_metric(
        SubsampledLogits(output[..., ::2, 1::2], (0, 1)), target, quick=False
    ) == pytest.approx(
        ((output[:, :3].argmax(1) == target.classes) & (target.classes > 0))[..., ::2, 1::2].sum()
        / ((output[:, :3].argmax(1) > 0) | (target.classes > 0))[..., ::2, 1::2].sum()
    )


def settled(
    head: Things, values: np.ndarray, task: Instance | None = None
) -> tuple[Instance, list[float]]:
    """The task once it has chosen, and the metric of each blur that could be."""
    task, looking, images, targets = (
        task or Instance(CLASSES),
        net(head),
        [coloured(values)] * 3,
        [make_target(values)] * 3,
    )
    task.calibrate(looking, images, targets)
    tried = [Instance(CLASSES, thresholds=task.thresholds, blur=blur) for blur in BLURS]
    return task, [one.score(one.predict(looking, images), targets)["map50"] for one in tried]


SMALL = painted(
    (64, 64),
    *((x, y, x + 3, y + 3, 1 + (x + y) % 2) for x in range(1, 60, 9) for y in range(1, 40, 3)),
)
"""Objects that a large blur takes for one; `SCENE` with scattered votes is what a small one cuts
into pieces."""


@pytest.mark.parametrize(("head", "values"), [(Things(scatter=6), SCENE), (Things(), SMALL)])
def test_the_blur_is_chosen_that_gives_the_best_metric(head, values):
    task, metrics = settled(head, values)
    assert metrics[BLURS.index(task.blur)] == max(metrics)
    assert min(metrics) < 0.5 < max(metrics)


def test_calibrating_again_or_from_anywhere_changes_nothing():
    head = Things(scatter=6)
    task, _ = settled(head, SCENE)
    before = task.options
    assert settled(head, SCENE, task)[0].options == before
    assert (
        settled(head, SCENE, Instance(CLASSES, thresholds=[0.99, 0.0], blur=50))[0].options
        == before
    )


def test_thresholds_lie_between_right_and_wrong_and_stay_the_default_where_nothing_was_found():
    head = Things(sure=(0.95, 0.6, 1.0))
    values = painted((64, 64), (2, 2, 20, 20, 1), (30, 30, 50, 50, 2))
    looking, images, real = net(head), [coloured(values)], make_target(np.where(values == 1, 1, 0))
    task = Instance(CLASSES, thresholds=[0.99, 0.99])
    task.calibrate(looking, images, [real])
    assert task.thresholds.tolist() == pytest.approx(
        [(0.95 + 0.6) / 2, DEFAULT_THRESHOLD], abs=1e-6
    )
    assert told(task.confident(task.predict(looking, images)[0])) == told(real)
    task.calibrate(looking, images, [make_target(values * 0)])
    assert task.thresholds.tolist() == [DEFAULT_THRESHOLD, DEFAULT_THRESHOLD]


# --- made, refused, told


def test_options_build_the_same_task_again():
    task = Instance(CLASSES, thresholds=[2 / 3, 0.123456789012345], blur=1.7)
    again = Instance(CLASSES, **json.loads(json.dumps(task.options)))
    assert again.options == task.options
    (prediction,) = TASK.predict(net(Things(sure=(0.9, 0.6, 0.7))), [coloured(SCENE)])
    assert again.to_dict(prediction) == task.to_dict(prediction)


@pytest.mark.parametrize("thresholds", [[], [0.5], [0.5] * 3])
def test_another_number_of_thresholds_than_of_classes_is_refused(thresholds):
    with pytest.raises(SettingError, match="2 thresholds are expected"):
        Instance(CLASSES, thresholds=thresholds)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_part_without_an_object_that_is_demanded_is_refused(split):
    ignored = make_target(SCENE, crowd=[True] * 4 + [False], difficult=[False] * 4 + [True])
    for targets in ([], [make_target(SCENE * 0)], [ignored, make_target(SCENE * 0)]):
        with pytest.raises(DataError, match=f"no image of the {split} split") as refused:
            TASK.metric().check_targets(split, targets)
        assert refused.value.remedy
    TASK.metric().check_targets(
        split, [ignored, make_target(painted((9, 9), (1, 1, 3, 3, COLD)))]
    )  # one class alone can be learnt


def test_what_reaches_its_classs_own_threshold_is_shown():
    (prediction,) = TASK.predict(net(Things(sure=(0.9, 0.6, 0.7))), [coloured(SCENE)])
    assert len(Instance(CLASSES, thresholds=[0.65, 0.65]).confident(prediction)) == 3
    assert Instance(CLASSES, thresholds=[0.99, 0.65]).confident(
        prediction
    ).boxes.classes.tolist() == [1, 1]
    given = make_target(SCENE)
    assert TASK.confident(given) is given


@pytest.mark.parametrize(
    ("doubt", "guesses"), [(0.3, 2), (MIN_SCORE * 1.01, 2), (MIN_SCORE * 0.99, 1)]
)
def test_an_object_is_each_class_that_it_may_be_and_shown_as_the_likeliest(doubt, guesses):
    (prediction,) = TASK.predict(net(Things(sure=(0.6, 0.6, 0.6), doubt=doubt)), [coloured(SCENE)])
    assert len(prediction) == 5 * guesses
    scores = {0.6: parted(SCENE), doubt: {mask: 1 - k for mask, k in parted(SCENE).items()}}
    for wanted, expected in list(scores.items())[:guesses]:
        assert told(prediction[np.isclose(prediction.boxes.scores, wanted)]) == expected
    for thresholds in ([0.0, 0.0], [0.5, 0.5]):
        assert told(Instance(CLASSES, thresholds=thresholds).confident(prediction)) == parted(SCENE)
    assert len(Instance(CLASSES, thresholds=[0.7, 0.7]).confident(prediction)) == 0
    # Nothing reaches the other threshold, whatever is most confident.
    warm = Instance(CLASSES, thresholds=[0.0, 0.7]).confident(prediction)
    assert set(warm.boxes.classes.tolist()) == {0}
    assert len(warm) == (5 if guesses == 2 else 3)


def test_an_object_that_no_class_is_likely_for_is_told_as_its_likeliest():
    shares = np.full((201, 6, 6), 0.004, np.float32)
    shares[0], shares[151] = 0.196, 0.008
    found = instance.group(shares, np.zeros((2, 6, 6), np.float32), 50.0)
    assert found.boxes.classes.tolist() == [150]
    assert found.boxes.scores.max() < MIN_SCORE


def test_a_second_guess_that_is_right_counts_in_average_precision_and_in_nothing_else():
    head, task = Things(sure=(0.6, 0.6, 0.6), doubt=0.3), Instance(CLASSES, thresholds=[0.0, 0.0])
    (prediction,) = task.predict(net(head), [coloured(SCENE)])
    wrong = make_target(SCENE)
    wrong = Instances(replace(wrong.boxes, classes=1 - wrong.boxes.classes), wrong.shapes)
    single = task.confident(prediction)
    for true, alone in ((wrong, 0.0), (make_target(SCENE), 1.0)):
        with_guess, without = (task.score([found], [true]) for found in (prediction, single))
        assert without["map50"] == pytest.approx(alone)
        assert with_guess["map50"] >= max(alone, 0.3)
        assert with_guess["pq"] == without["pq"] == alone
        assert with_guess["count_error"] == without["count_error"] == 0


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools' own
def test_words_hold_masks_that_pycocotools_reads():
    (prediction,) = TASK.predict(net(Things()), [coloured(SCENE)])
    words = json.loads(json.dumps(TASK.to_dict(prediction)))["instances"]
    assert words == TASK.to_dict(prediction)["instances"]
    read = {}
    for one in words:
        mask = np.asarray(coco_masks.decode({"size": [64, 64], "counts": one["mask"]})).astype(bool)
        assert mask.sum() == one["pixels"]
        rows, columns = np.nonzero(mask)
        assert one["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        read[mask.tobytes()] = CLASSES.index(one["class"])
    assert read == parted(SCENE)
    assert TASK.summary(prediction) == "3 × warm, 2 × cold"


@pytest.mark.parametrize(("row", "column"), [(3, 2), (8, 25), (45, 45), (20, 20), (63, 63)])
def test_words_change_with_any_one_pixel(row, column):
    before, ids = make_target(SCENE), make_target(SCENE).label_map((64, 64)).copy()
    ids[row, column] = 0 if ids[row, column] else 1
    assert TASK.to_dict(Instances.from_label_map(ids, before.boxes)) != TASK.to_dict(before)
    assert TASK.to_dict(make_target(SCENE)) == TASK.to_dict(before)


def test_a_label_image_numbers_the_objects_by_falling_score():
    (prediction,) = TASK.predict(net(Things()), [coloured(SCENE)])
    numbered, of_classes = TASK.mask_images(prediction)
    assert (numbered.name, of_classes.name) == ("", "-classes")
    assert numbered.values.dtype == np.uint16
    by_number = dict(zip(numbered.numbers, prediction.boxes.scores.tolist(), strict=True))
    assert sorted(by_number) == [*range(1, len(prediction) + 1)]
    assert sorted(by_number.values(), reverse=True) == [by_number[n] for n in sorted(by_number)]
    assert {
        (numbered.values == number).tobytes(): k
        for number, k in zip(numbered.numbers, prediction.boxes.classes.tolist(), strict=True)
    } == parted(SCENE)
    for number, k in zip(numbered.numbers, prediction.boxes.classes.tolist(), strict=True):
        assert (of_classes.values[numbered.values == number] == k + 1).all()
    assert (of_classes.values[numbered.values == 0] == 0).all()


def test_an_image_without_objects_has_a_label_image_of_zeros():
    (prediction,) = TASK.predict(net(Things()), [coloured(SCENE)])
    none = prediction[np.zeros(len(prediction), bool)]
    (numbered,) = Instance(("thing",)).mask_images(none)
    assert numbered.values.shape == prediction.image_size
    assert not numbered.values.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_shown_is_drawn_over_a_copy_and_no_more(channels):
    image = np.full((400, 64, channels), 90, np.uint8)
    values = painted((400, 64), (5, 5, 25, 25, 1), (5, 200, 25, 220, 3))
    drawn = Instance(CLASSES, thresholds=[0.5, 0.5]).draw(image, make_target(values))
    assert (image == 90).all()
    assert drawn.shape == (400, 64, 3)
    assert np.array_equal((drawn != 90).any(2), values > 0)
    assert len(np.unique(drawn[values == 1], axis=0)) == 2  # tint and edge
    assert drawn[15, 15].tolist() != drawn[210, 15].tolist()


def test_run_lengths_of_an_prediction_are_what_its_masks_are():
    (prediction,) = TASK.predict(net(Things()), [coloured(SCENE)])
    for one, mask in zip(
        TASK.to_dict(prediction)["instances"], prediction.masks((64, 64)), strict=True
    ):
        assert np.array_equal(
            rle.decode(rle.from_coco_string(one["mask"], (64, 64)), (64, 64)), mask
        )
