"""Baselines of outlined objects on images whose prediction is known beforehand; Otsu's threshold
against all thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from foveate.annotations import Boxes, Instances
from foveate.metrics.baselines.boxes import fit_baselines as fit_box_baselines
from foveate.metrics.baselines.instances import MIN_PIXELS, connected_regions, fit_baselines, otsu

OTSU = "Otsu's threshold, connected regions"


def make_image(seed=0, shape=(40, 60), dark=50, bright=200, bands=1, spread=0):
    """Bright blocks on dark ground, and the (H, W) numbers of the blocks."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, int)
    for number, at in enumerate(rng.permutation((shape[0] // 10) * (shape[1] // 10))[:5], 1):
        top, left = np.array(divmod(int(at), shape[1] // 10)) * 10 + rng.integers(0, 3, 2)
        height, width = rng.integers(3, 7, 2)
        ids[top : top + height, left : left + width] = number
    values = np.where(ids > 0, bright, dark)[..., None].repeat(bands, 2) + rng.integers(
        -spread, spread + 1, (*shape, bands)
    )
    return values.astype(np.uint8), ids


def same(found, ids):
    """Whether the objects are just those of other numbers."""
    size = ids.shape
    one = {mask.tobytes() for mask in found.masks(size)}
    return len(found) == len(one) and one == {
        (ids == number).tobytes() for number in np.unique(ids[ids > 0])
    }


# --- Otsu's threshold


def within(grey, least):
    """Variance that is left within the two sides of a threshold."""
    sides = grey[grey <= least], grey[grey > least]
    return sum(float(((side - side.mean()) ** 2).sum()) for side in sides if len(side))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 60)), min_size=1, max_size=4),
)
def test_no_threshold_leaves_less_variance_within_the_two_sides(seed, bumps):
    rng = np.random.default_rng(seed)
    grey = np.concatenate(
        [rng.normal(mean, spread, rng.integers(1, 300)) for mean, spread in bumps]
    )
    grey = np.clip(grey, 0, 255).astype(np.uint8).astype(float)[None]
    least = min(within(grey, at) for at in range(256))
    assert within(grey, otsu(grey)) == pytest.approx(least, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_the_same_threshold_as_opencv(seed):
    cv2 = pytest.importorskip("cv2")
    grey = make_image(seed, dark=90, bright=150, spread=60)[0][..., 0]
    assert otsu(grey.astype(float)) == cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)[0]


# --- regions


@pytest.mark.parametrize(("dark", "bright"), [(50, 200), (200, 50), (0, 255), (255, 0), (100, 102)])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_regions_that_stand_out_are_found_whichever_side_is_brighter(dark, bright, bands):
    image, ids = make_image(dark=dark, bright=bright, bands=bands)
    found = connected_regions(image, 2)
    assert same(found, ids)
    assert found.boxes.classes.tolist() == [2] * 5
    assert found.boxes.size == ids.shape


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_those_that_scipy_labels(seed):
    image, _ = make_image(seed, dark=80, bright=170, spread=60)
    bright = image[..., 0] > otsu(image[..., 0].astype(float))
    assert 2 * bright.sum() < bright.size
    ids, _ = label(bright)
    large = np.bincount(ids.ravel())[ids] >= MIN_PIXELS
    assert same(connected_regions(image, 0), np.where(large, ids, 0))


def test_what_has_too_few_pixels_is_no_object():
    image = np.zeros((12, 12, 1), np.uint8)
    image[1, 1 : 1 + MIN_PIXELS], image[5, 1:MIN_PIXELS], image[9, 9] = 255, 255, 255
    assert connected_regions(image, 0).boxes.corners.tolist() == [[1, 1, 1 + MIN_PIXELS, 2]]


def test_touching_corners_do_not_connect():
    image = np.zeros((12, 12, 1), np.uint8)
    image[1:3, 1:3] = image[3:5, 3:5] = 255
    assert len(connected_regions(image, 0)) == 2


@pytest.mark.parametrize("value", [0, 1, 114, 254, 255])
@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 20, 3), (300, 1, 5)])
def test_a_flat_image_has_no_object(value, shape):
    found = connected_regions(np.full(shape, value, np.uint8), 0)
    assert len(found) == 0
    assert found.boxes.scores.shape == (0,)


def test_a_ground_whose_mean_brightness_is_no_whole_number_is_a_ground():
    _, ids = make_image()
    colours = np.array([(100, 100, 102), (200, 200, 200)], np.uint8)
    assert same(connected_regions(colours[(ids > 0).astype(int)], 0), ids)


def test_what_stands_out_more_is_more_confident_and_all_scores_are_shares():
    image = np.full((30, 30, 1), 20, np.uint8)
    for row, value in enumerate((255, 160, 200)):
        image[2 + 9 * row : 8 + 9 * row, 3:9] = value
    for shown in (image, 255 - image):
        found = connected_regions(shown, 0).boxes
        order = np.argsort(-found.scores)
        assert found.corners[order, 1].tolist() == [2, 20, 11]
        assert (found.scores >= 0).all()
        assert (found.scores <= 1).all()


def test_a_dark_patch_is_as_sure_as_a_bright_one():
    image, _ = make_image()
    np.testing.assert_allclose(
        connected_regions(image, 0).boxes.scores,
        connected_regions(255 - image, 0).boxes.scores,
        atol=2 / 255,
    )


# --- all of them


def known(count, seed=0, classes=(1,)):
    """Images and what is in them."""
    made = [make_image(seed + row) for row in range(count)]
    kinds = np.resize(classes, 5)
    return np.stack([image for image, _ in made]), [
        Instances.from_label_map(ids, Boxes(np.zeros((5, 4)), kinds)) for _, ids in made
    ]


def test_where_objects_are_bright_regions_only_otsu_is_right():
    images, targets = known(6)
    asked, expected = known(4, seed=50)
    made = fit_baselines(images, targets, 2, 0)(asked)
    perfect = {
        name
        for name, predictions in made.items()
        if all(
            same(own, true.label_map((40, 60)))
            for own, true in zip(predictions, expected, strict=True)
        )
    }
    assert perfect == {OTSU}
    assert all(prediction.present() == (1,) for prediction in made[OTSU])


def test_regions_are_of_the_most_common_class():
    images, targets = known(3, classes=(0, 2, 2, 1, 2))
    assert all(
        prediction.present() == (2,)
        for prediction in fit_baselines(images, targets, 4, 0)(images)[OTSU]
    )


def test_the_others_are_those_of_boxes_filled():
    images, targets = known(4, classes=(0, 1))
    made = fit_baselines(images, targets, 2, 3)(images)
    boxes = fit_box_baselines(images, [target.boxes for target in targets], 2, 3)(images)
    assert made.keys() == {OTSU, *boxes}
    for name, predictions in boxes.items():
        for own, expected in zip(made[name], predictions, strict=True):
            assert np.array_equal(own.boxes.corners, expected.corners)
            assert np.array_equal(own.boxes.scores, expected.scores)
            assert np.array_equal(
                own.masks((40, 60)), Instances(expected, (None,) * len(expected)).masks((40, 60))
            )


@pytest.mark.parametrize("shape", [(1, 1), (13, 70), (200, 3)])
def test_predictions_fit_images_of_any_size(shape):
    images, targets = known(3)
    for name, (prediction,) in fit_baselines(images, targets, 2, 0)(
        [np.zeros((*shape, 1), np.uint8)]
    ).items():
        assert prediction.masks(shape).shape == (len(prediction), *shape), name
        assert prediction.boxes.size == shape, name


def test_one_image_without_an_object_and_none_that_is_asked_about():
    images, _ = known(1)
    nothing = Instances(Boxes(np.zeros((0, 4)), np.zeros(0, int)), ())
    prediction = fit_baselines(images, [nothing], 3, 0)
    assert {
        name: len(made[0]) for name, made in prediction(images).items() if name != OTSU
    } == dict.fromkeys(
        ("mean box of each class", "most common boxes", "boxes of the most similar image"), 0
    )
    assert prediction(images)[OTSU][0].present() == (0,)
    assert all(made == [] for made in prediction([]).values())
