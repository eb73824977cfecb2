"""Baselines of boxes on sets whose prediction is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Boxes
from foveate.data.subset import Subset
from foveate.metrics.baselines.boxes import MAX_CLUSTERS, MAX_FITTED, fit_baselines

MEAN, COMMON, NEAREST = (
    "mean box of each class",
    "most common boxes",
    "boxes of the most similar image",
)


def boxes(*corners, classes=None, size=(20, 40), **flags):
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * len(corners)),
        size=size,
        **flags,
    )


def make_images(count, height=20, width=40, channels=1, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (count, height, width, channels), dtype=np.uint8
    )


def predict_all(targets, asked=None, classes=2, images=None, seed=0):
    images = make_images(len(targets)) if images is None else images
    return fit_baselines(images, targets, classes, seed)(images if asked is None else asked)


def same(one, other):
    return np.allclose(one.corners, other.corners, atol=1e-9) and np.array_equal(
        one.classes, other.classes
    )


def test_the_mean_box_of_each_class_is_their_mean():
    targets = [boxes((0, 0, 10, 10), (4, 8, 8, 12), classes=[0, 1]), boxes((10, 4, 30, 20))]
    for prediction in predict_all(targets)[MEAN]:
        assert same(prediction, boxes((5, 2, 20, 15), (4, 8, 8, 12), classes=[0, 1]))
        assert prediction.scores.tolist() == [1.0, 0.5]  # boxes of the class for each image


def test_the_most_common_boxes_are_where_boxes_lie_each_with_its_share():
    here, there = (2, 2, 8, 8), (20, 10, 40, 20)
    targets = [boxes(here, there), boxes(here), boxes(here), boxes()]
    (prediction, *_) = predict_all(targets)[COMMON]
    order = np.argsort(-prediction.scores)
    assert same(prediction[order], boxes(here, there))
    assert prediction.scores[order].tolist() == [0.75, 0.25]


def test_the_most_similar_image_lends_its_boxes():
    targets = [boxes((row, 0, row + 5, 5), classes=[row % 2]) for row in range(10)]
    images = make_images(10)
    noisy = np.clip(
        images.astype(int) + np.random.default_rng(1).integers(-9, 10, images.shape), 0, 255
    ).astype(np.uint8)
    made = predict_all(targets, asked=noisy, images=images)[NEAREST]
    assert all(same(one, other) for one, other in zip(made, targets, strict=True))
    assert all((one.scores == 1).all() for one in made)


def test_one_image_is_its_own_prediction():
    target = boxes((3, 4, 10, 12), (20, 1, 30, 19), classes=[0, 1])
    for name, (prediction,) in predict_all([target]).items():
        assert same(prediction, target), name
        assert prediction.scores.tolist() == [1, 1]


def test_no_box_in_any_image_is_no_box_in_any_prediction():
    for name, made in predict_all([boxes(), boxes(), boxes()]).items():
        assert [len(prediction) for prediction in made] == [0, 0, 0], name
        assert all(prediction.scores is not None for prediction in made)


def test_a_class_without_boxes_is_never_predicted():
    for made in predict_all(
        [boxes((0, 0, 5, 5), classes=[2]), boxes((1, 1, 9, 9), classes=[0])], classes=4
    ).values():
        assert {k for prediction in made for k in prediction.present()} <= {0, 2}


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_what_is_ignored_is_not_learnt(flag):
    targets = [boxes((0, 0, 10, 10), (30, 10, 40, 20), **{flag: np.array([False, True])})] * 2
    for name, made in predict_all(targets).items():
        assert all(same(prediction, boxes((0, 0, 10, 10))) for prediction in made), name


def test_predictions_are_in_the_pixels_of_the_image_that_is_asked_about():
    targets = [boxes((10, 5, 20, 20)), boxes((10, 5, 20, 20))]
    asked = [make_images(1, *shape)[0] for shape in ((20, 40), (8000, 50), (1, 1), (100, 100))]
    for name, made in predict_all(targets, asked=asked).items():
        for image, prediction in zip(asked, made, strict=True):
            height, width = image.shape[:2]
            assert same(prediction, boxes((width / 4, height / 4, width / 2, height))), name
            assert prediction.size == (height, width)


def test_letterboxed_images_count_without_their_padding():
    pixels = np.full((2, 16, 16, 1), 114, np.uint8)
    sizes = np.array([[16, 8], [4, 16]])
    targets = [boxes((0, 0, 8, 16), size=(16, 8)), boxes((0, 0, 16, 4), size=(4, 16))]
    made = fit_baselines(Subset(pixels, np.arange(2), sizes), targets, 1, 0)(
        [np.zeros((30, 60, 1), np.uint8)]
    )
    for name, (prediction,) in made.items():
        assert same(prediction, boxes((0, 0, 60, 30))), name


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_coloured_images_may_be_asked_about(channels):
    targets = [boxes((0, 0, 10, 10))] * 3
    asked = [make_images(1, channels=other)[0] for other in (1, 3)]
    for made in predict_all(
        targets, asked=asked, images=make_images(3, channels=channels)
    ).values():
        assert len(made) == 2


@pytest.fixture(scope="module")
def many():
    """300 images with 20 boxes each, anywhere."""
    rng = np.random.default_rng(0)
    targets = []
    for _ in range(300):
        at = rng.uniform(0, 1, (20, 2, 2)) * [40, 20]
        targets.append(
            Boxes(np.concatenate([at.min(1), at.max(1)], 1), rng.integers(0, 2, 20), size=(20, 40))
        )
    return targets


def test_many_boxes_are_a_few_places_inside_the_image(many):
    asked = [make_images(1)[0], make_images(1, 90, 70)[0]]
    made = predict_all(many, asked=asked)
    assert [len(prediction) for prediction in made[COMMON]] == [2 * MAX_CLUSTERS] * 2
    assert [len(prediction) for prediction in made[MEAN]] == [2, 2]
    for prediction in (prediction for each in made.values() for prediction in each):
        height, width = prediction.size
        assert (prediction.corners >= 0).all()
        assert (
            prediction.corners <= np.array([width, height, width, height]) * (1 + 1e-12)
        ).all()  # a mean, rounded
        assert (prediction.corners[:, :2] <= prediction.corners[:, 2:]).all()
        assert ((prediction.scores > 0) & (prediction.scores <= 1)).all()


def test_the_shares_of_a_class_add_up_to_its_boxes_in_an_image():
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 10, (50, 2))
    targets = [boxes((*at, *(at + 5))) for at in low]
    (prediction,) = predict_all(targets, asked=make_images(1))[COMMON]
    assert prediction.scores.sum() == pytest.approx(1)
    assert np.average(prediction.corners, axis=0, weights=prediction.scores) == pytest.approx(
        np.concatenate([low, low + 5], 1).mean(0)
    )


def test_the_same_seed_gives_the_same_predictions(many):
    one, other = (predict_all(many, seed=3) for _ in range(2))
    for name in one:
        assert all(
            np.array_equal(a.corners, b.corners)
            for a, b in zip(one[name], other[name], strict=True)
        )


def test_a_large_set_is_fitted_on_some_of_it():
    count = MAX_FITTED + 500
    images = np.zeros((count, 2, 2, 1), np.uint8)
    made = predict_all(
        [boxes((0, 0, 1, 1), size=(2, 2))] * count, asked=images[:1], images=images, classes=1
    )
    for name, (prediction,) in made.items():
        assert same(prediction, boxes((0, 0, 1, 1))), name
        assert prediction.scores.tolist() == [1]
