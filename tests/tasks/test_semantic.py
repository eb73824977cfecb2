"""From a net's logits to a class for each of the image's own pixels, and what a user sees of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Dataset
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import DataError, SettingError
from foveate.settings import Settings
from foveate.tasks import semantic
from foveate.tasks.semantic import Semantic
from helpers.box_oracle import net
from helpers.mask_oracle import SURE, Classes, Logits, blocks, coloured, enlarged, fitted

CLASSES = ("ground", "red", "green", "blue")
TASK = Semantic(CLASSES)
RNG = np.random.default_rng(0)


def pixels(mask: Mask) -> np.ndarray:
    return np.asarray(mask.pixels.read())


# --- places

EXACT = {
    (64, 64): (1, 1),
    (32, 32): (1, 1),
    (16, 32): (1, 1),
    (128, 128): (2, 2),
    (64, 33): (1, 1),
    (192, 384): (6, 6),
    (1, 1): (1, 1),
    (1, 64): (1, 1),
    (50, 8000): (50, 125),
    (8000, 50): (125, 50),
}
"""Images, and blocks of one class in them that are whole pixels of the net's input."""


@pytest.mark.parametrize("flexible", [True, False])
@pytest.mark.parametrize("shape", EXACT)
def test_each_pixel_gets_its_class_where_the_net_can_see_it(shape, flexible):
    values = blocks(RNG, shape, EXACT[shape])
    (prediction,) = TASK.predict(net(Classes(), flexible=flexible), [coloured(values)])
    assert np.array_equal(pixels(prediction), values)


@pytest.mark.parametrize("flexible", [True, False])
@pytest.mark.parametrize("shape", [(200, 130), (31, 400), (97, 61), (65, 63), (3, 2), (7, 1000)])
def test_elsewhere_each_pixel_gets_the_class_of_the_input_pixel_under_its_middle(shape, flexible):
    image = coloured(blocks(RNG, shape, (5, 7)))
    (prediction,) = TASK.predict(net(Classes(), flexible=flexible), [image])
    assert np.array_equal(pixels(prediction), enlarged(fitted(image, 64), shape))


@pytest.mark.parametrize("logits", [1, 4 * 64 * 64 * 3, 10**9])
def test_images_of_mixed_shapes_together_are_predicted_as_one_by_one(logits, monkeypatch):
    monkeypatch.setattr(semantic, "BATCH_LOGITS", logits)
    shapes = [tuple(shape) for shape in RNG.integers(1, 140, (25, 2)).tolist()]
    images, looking = [coloured(blocks(RNG, shape, (9, 9))) for shape in shapes], net(Classes())
    together = TASK.predict(looking, images)
    assert [pixels(prediction).shape for prediction in together] == shapes
    for image, prediction in zip(images, together, strict=True):
        assert np.array_equal(pixels(prediction), pixels(TASK.predict(looking, [image])[0]))
    at_once = [
        shape[0] * 4 * shape[2] * shape[3] for shape in looking.body[0].shapes if shape[0] > 1
    ]
    assert not at_once or max(at_once) <= logits


def test_no_image_no_prediction():
    assert TASK.predict(net(Classes()), []) == []


def test_targets_are_brought_to_the_training_size_and_predictions_back():
    values = RNG.integers(IGNORE, 4, (12, 20)).astype(np.int32)
    larger = Mask.from_array(values).resize((12, 20), (36, 40))
    assert np.array_equal(pixels(larger), np.kron(values, np.ones((3, 2), int)))
    assert np.array_equal(pixels(larger.resize((36, 40), (12, 20))), values)
    odd = Mask.from_array(values).resize((12, 20), (7, 33))
    assert np.array_equal(pixels(odd), enlarged(values, (7, 33)))


def test_beyond_a_letterboxed_image_nothing_is_learnt():
    values = RNG.integers(0, 4, (5, 9))
    images = torch.zeros(2, 3, 9, 9, dtype=torch.uint8)
    (same,), target = TASK.collate(
        images,
        [Mask.from_array(values), Mask.from_array(values.T)],
        SampleRNG(sample_keys(["a", "b"]), 0),
    )
    assert same is images
    assert np.array_equal(target[0, :5], values)
    assert np.array_equal(target[1, :, :5], values.T)
    assert (target[0, 5:] == IGNORE).all()
    assert (target[1, :, 5:] == IGNORE).all()


# --- made of data and settings


def configured(targets: list[np.ndarray], **given) -> Semantic:
    dataset = Dataset(
        "", "semantic", CLASSES[: given.pop("count", 3)], (), colours=given.pop("colours", None)
    )
    return Semantic.from_settings(
        dataset, Settings(**given), [Mask.from_array(target) for target in targets], hflip=True
    )


def test_balanced_weights_make_each_class_count_the_same():
    targets = [RNG.choice([-1, 0, 1, 2], (20, 30), p=[0.2, 0.6, 0.15, 0.05]) for _ in range(3)]
    known = np.concatenate([target[target >= 0] for target in targets])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=known)
    weights = configured(targets, class_weights="balanced").class_weights
    assert weights.numpy() == pytest.approx(expected, rel=1e-6)
    assert weights.numpy() * np.bincount(known) == pytest.approx(len(known) / 3, rel=1e-6)


def test_balanced_weights_are_finite_where_a_class_does_not_occur_or_nothing_is_labelled():
    for target in (np.zeros((4, 4), int), np.full((4, 4), IGNORE)):
        assert torch.isfinite(configured([target], class_weights="balanced").class_weights).all()


def test_weights_can_be_given_and_are_left_out_by_default():
    assert configured([np.zeros((2, 2), int)], class_weights=[1, 2, 3]).class_weights.tolist() == [
        1,
        2,
        3,
    ]
    assert configured([np.zeros((2, 2), int)]).class_weights is None


@pytest.mark.parametrize("name", ["class_weights", "colours"])
@pytest.mark.parametrize("count", [0, 3, 5])
def test_another_number_of_weights_or_colours_than_of_classes_is_refused(name, count):
    with pytest.raises(SettingError, match=r"4 (class weights|colours) are expected") as refused:
        Semantic(CLASSES, **{name: [(1, 2, 3)] * count if name == "colours" else [1.0] * count})
    assert refused.value.where == name


def test_options_build_the_same_task_again():
    task = Semantic(
        CLASSES,
        class_weights=[1 / 3, 2, 0.1, 7],
        colours=[(1, 2, 3), (255, 0, 9), (4, 4, 4), (0, 0, 0)],
    )
    again = Semantic(CLASSES, **json.loads(json.dumps(task.options)))
    assert again.options == task.options
    prediction = Mask.from_array(RNG.integers(0, 4, (6, 5)))
    assert np.array_equal(
        again.draw(coloured(pixels(prediction)), prediction),
        task.draw(coloured(pixels(prediction)), prediction),
    )
    plain = Semantic(CLASSES, **json.loads(json.dumps(TASK.options)))
    assert plain.options == TASK.options


# --- what is refused


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("targets", [[], [np.full((3, 3), IGNORE)] * 2])
def test_a_part_without_a_label_is_refused(split, targets):
    with pytest.raises(DataError, match=f"no pixel of the {split} split is labelled") as refused:
        TASK.metric().check_targets(split, [Mask.from_array(target) for target in targets])
    assert refused.value.remedy


def test_one_class_alone_can_be_scored_but_not_learnt():
    alone = [Mask.from_array(np.full((3, 3), 2)), Mask.from_array(np.full((3, 3), IGNORE))]
    with pytest.raises(DataError, match="'green'"):
        TASK.metric().check_targets("train", alone)
    TASK.metric().check_targets("valid", alone)
    TASK.metric().check_targets("train", [*alone, Mask.from_array(np.full((1, 1), 0))])


# --- for people


@pytest.mark.parametrize("pixel", [(0, 0), (3, 4), (5, 7)])
@pytest.mark.parametrize("value", [IGNORE, 0, 1])
def test_words_change_with_any_one_pixel(pixel, value):
    values = np.full((6, 8), 2)
    values[1, 1] = 3
    before, other = Mask.from_array(values), values.copy()
    other[pixel] = value
    assert TASK.to_dict(before) != TASK.to_dict(Mask.from_array(other))
    assert (
        TASK.to_dict(before)
        == TASK.to_dict(Mask.from_array(values.copy()))
        == json.loads(json.dumps(TASK.to_dict(before)))
    )


def test_words_change_where_pixels_only_change_places():
    values = RNG.integers(0, 4, (6, 8))
    told = TASK.to_dict(Mask.from_array(values)), TASK.to_dict(Mask.from_array(values[::-1]))
    assert told[0]["shares"] == told[1]["shares"]
    assert told[0] != told[1]


def test_shares_are_of_the_labelled_pixels_and_told_largest_first():
    values = np.array([[0, 0, 0, 1], [2, 2, IGNORE, IGNORE], [IGNORE] * 4])
    assert TASK.to_dict(Mask.from_array(values))["shares"] == {
        "ground": 0.5,
        "red": 0.166667,
        "green": 0.333333,
    }
    assert TASK.summary(Mask.from_array(values)) == "ground 50.0%, green 33.3%, red 16.7%"
    assert TASK.summary(Mask.from_array(np.full((2, 2), IGNORE))) == "nothing"


def test_label_images_hold_the_classes_and_the_datas_colours():
    colours = ((9, 8, 7), (255, 0, 1), (0, 0, 0))
    values = RNG.integers(0, 3, (6, 5))
    (stencil,) = configured([], colours=colours).mask_images(Mask.from_array(values))
    assert np.array_equal(stencil.values, values)
    assert stencil.values.dtype == np.uint8
    assert [tuple(colour) for colour in stencil.palette] == list(colours)


@pytest.mark.parametrize(("count", "kind"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_more_than_255_classes_make_label_images_of_16_bits(count, kind):
    """A net that tells them apart by red and green: red + 250 green."""

    def logits(images):
        named = (images[:, 0] + 250 * images[:, 1]).long().clamp(max=count - 1)
        return SURE * torch.nn.functional.one_hot(named, count).permute(0, 3, 1, 2).float()

    task = Semantic([str(k) for k in range(count)])
    values = RNG.permutation(np.arange(32 * 32) % count).reshape(32, 32)
    image = np.stack([values % 250, values // 250, values * 0], 2).astype(np.uint8)
    looking = net(Logits(logits), size=32)
    for prediction in (task.predict(looking, [image])[0], task.predict_tiled(looking, image, 32)):
        assert np.array_equal(pixels(prediction), values)
        (stencil,) = task.mask_images(prediction)
        assert stencil.values.dtype == kind
        assert np.array_equal(stencil.values, values)
        assert (stencil.palette is None) == (kind == np.uint16)


def test_a_class_is_drawn_in_its_colour_over_a_copy():
    task = Semantic(("one", "two"), colours=[(200, 0, 0), (0, 0, 200)])
    image = np.full((400, 30, 1), 100, np.uint8)
    values = np.zeros((400, 30), int)
    values[:, 10:20], values[:, 20:] = 1, IGNORE
    drawn = task.draw(image, Mask.from_array(values))
    assert (image == 100).all()
    assert drawn.shape == (400, 30, 3)
    red, blue, none = drawn[5, 5].astype(int), drawn[5, 15].astype(int), drawn[5, 25]
    assert red[0] - red[2] == blue[2] - blue[0] > 50
    assert none.tolist() == [100, 100, 100]
