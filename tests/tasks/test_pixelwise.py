"""Images that are too large to be shown to a net at once: predicted and evaluated in tiles,
the target cut with them."""

from __future__ import annotations

import numpy as np
import pytest

import foveate as fv
from foveate.annotations import IGNORE, Mask
from foveate.data.subset import Subset
from foveate.errors import SettingError
from foveate.models.model import VisionModel
from foveate.tasks import pixelwise
from foveate.tasks.instance import DEFAULT_THRESHOLD, Instance
from foveate.tasks.semantic import Semantic
from helpers import masks_demo
from helpers.box_oracle import net
from helpers.command_line import hurry
from helpers.mask_oracle import (
    Classes,
    Things,
    blocks,
    coloured,
    make_target,
    painted,
    parted,
    told,
)

SIDE = 64
SHAPES = [(100, 130), (130, 20), (64, 64), (1, 97), (30, 40)]
SEMANTIC, INSTANCE = Semantic(("ground", "red", "green", "blue")), Instance(("warm", "cold"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pixelwise, "MAX_SIDE", SIDE)
    monkeypatch.setattr("foveate.tasks.tiling.MAX_SIDE", SIDE)
    monkeypatch.setattr("foveate.tasks.instance.MAX_SIDE", SIDE)


def colours(seed: int = 0) -> list[np.ndarray]:
    """(h, w) of 0 to 3 for each of SHAPES."""
    rng = np.random.default_rng(seed)
    return [blocks(rng, shape, (7, 9)) for shape in SHAPES]


def make_images(values: list[np.ndarray], size: int = 130) -> Subset:
    """As they lie in the cache, among others, at the top left of tiles."""
    pixels = np.full((2 * len(values), size, size, 3), 77, np.uint8)
    for row, own in enumerate(values):
        pixels[2 * row, : own.shape[0], : own.shape[1]] = coloured(own)
    return Subset(
        pixels, 2 * np.arange(len(values)), np.array([own.shape for own in values], np.int64)
    )


def most(looking) -> int:
    """Pixels a side of the largest batch that a net was shown."""
    return max(max(shape[2:]) for shape in looking.body[0].shapes)


# --- predictions


def test_a_class_at_each_pixel_is_the_same_in_tiles():
    """All images at once, small ones among large ones, each prediction at its own place."""
    looking = net(Classes(), size=130)
    values = colours()
    predictions = SEMANTIC.predict(looking, [coloured(own) for own in values])
    for prediction, own in zip(predictions, values, strict=True):
        assert np.array_equal(prediction.pixels.read(), own)
    assert most(looking) <= SIDE


def test_objects_are_found_once_and_whole_in_tiles():
    looking = net(Things(), size=130)
    cells = [
        (x, y, x + 9, y + 8, 1 + (x + y) % 3) for x in range(0, 120, 12) for y in range(0, 90, 12)
    ]
    values = [
        painted((100, 130), *cells),
        painted((30, 40), cells[0]),
        painted((130, 20), (2, 40, 11, 49, 2)),
    ]
    for prediction, own in zip(
        INSTANCE.predict(looking, [coloured(own) for own in values]), values, strict=True
    ):
        assert told(prediction) == parted(own)
    assert most(looking) <= SIDE


def test_an_object_larger_than_a_tile_is_seen_in_the_image_as_a_whole():
    values = painted((128, 128), (16, 16, 112, 112, 1))
    (prediction,) = INSTANCE.predict(net(Things(), size=130), [coloured(values)])
    assert len(prediction) >= 1
    assert prediction.masks((128, 128)).any(0)[60:68, 60:68].all()


def test_an_image_beyond_the_size_of_training_is_reduced_to_it_first():
    """As training saw it: of 260 x 200 a net of 130 is shown 130 x 100, in tiles."""
    small = blocks(np.random.default_rng(1), (100, 130), (10, 10))
    large = np.kron(small, np.ones((2, 2), int))
    looking = net(Classes(), size=130)
    (prediction,) = SEMANTIC.predict(looking, [coloured(large)])
    assert np.array_equal(prediction.pixels.read(), large)
    assert most(looking) <= SIDE


def test_tiles_are_asked_to_show_a_quarter_of_what_a_net_is_shown_at_once():
    image = coloured(colours()[0])
    with pytest.raises(SettingError, match=f"at least {SIDE // 4} px"):
        SEMANTIC.predict_tiled(net(Classes(), size=130), image, SIDE // 4 - 1)
    SEMANTIC.predict_tiled(net(Classes(), size=130), image, SIDE // 4)


# --- tiles


def cut(task, targets, values):
    pixels, pieces, ids = task.tile_targets(
        make_images(values), targets, [f"p{row}" for row in range(len(values))]
    )
    assert len(pixels) == len(pieces) == len(ids) == len(set(ids))
    assert pixels.shape == (len(ids), SIDE, SIDE, 3)
    return pixels, pieces, ids


def places(ids):
    """Which image each is of, and its left and top, as its id tells."""
    for id in ids:
        name, _, place = id.partition(" at ")
        yield int(name[1:]), *map(int, place.split(", "))


def test_tiles_show_every_pixel_with_its_class():
    values = colours()
    values[0][:20, :20] = IGNORE
    pixels, pieces, ids = cut(
        SEMANTIC, [Mask.from_array(own) for own in values], [np.maximum(own, 0) for own in values]
    )
    seen = [np.zeros(own.shape, bool) for own in values]
    padded = pixels[np.arange(len(ids))]
    for number, (row, left, top) in enumerate(places(ids)):
        here = np.asarray(pieces[number].pixels.read())
        height, width = here.shape
        there = slice(top, top + height), slice(left, left + width)
        assert np.array_equal(here, values[row][there])
        assert np.array_equal(pixels[number], coloured(np.maximum(here, 0)))
        assert np.array_equal(padded[number, :height, :width], pixels[number])
        assert (padded[number, height:] == 77).all()
        assert (padded[number, :, width:] == 77).all()
        seen[row][there] = True
    assert all(own.all() for own in seen)
    assert [image.shape for image in pixels[1:3]] == [pixels[1].shape, pixels[2].shape]


def test_tiles_show_the_parts_of_objects_that_lie_in_them():
    values = [
        painted((100, 130), (40, 40, 60, 60, 1), (5, 5, 15, 15, 3)),
        painted((20, 20), (1, 1, 4, 4, 2)),
    ]
    _, pieces, ids = cut(INSTANCE, [make_target(own) for own in values], values)
    for piece, (row, left, top) in zip(pieces, places(ids), strict=True):
        height, width = piece.image_size
        assert told(piece) == parted(values[row][top : top + height, left : left + width])


def test_images_that_can_be_shown_at_once_stay_as_they_are():
    values = colours()[2:3]
    given = make_images(values, SIDE), [Mask.from_array(values[0])], ["p0"]
    assert all(
        one is other for one, other in zip(SEMANTIC.tile_targets(*given), given, strict=True)
    )


def test_thresholds_and_blur_are_chosen_on_tiles():
    values = [painted((100, 130), *[(x, y, x + 9, y + 8, 1) for x in (3, 60, 99) for y in (3, 50)])]
    task = Instance(("warm", "cold"))
    looking = net(Things(), size=130)
    task.calibrate(looking, *cut(task, [make_target(own) for own in values], values)[:2])
    assert most(looking) <= SIDE
    assert task.thresholds.tolist() == [0.5, DEFAULT_THRESHOLD]


# --- a run


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("write", "task"), [(masks_demo.write_pairs, "semantic"), (masks_demo.write_coco, "instance")]
)
def test_a_run_trains_evaluates_and_predicts_without_a_whole_image(
    write, task, tmp_path, monkeypatch
):
    seen = []

    def noted(net, images, *others):
        seen.append((net.training, tuple(images.shape[2:])))
        return forward(net, images, *others)

    forward = VisionModel.forward
    monkeypatch.setattr(VisionModel, "forward", noted)
    hurry(monkeypatch)
    data = write(tmp_path / "data", 20, shapes=((70, 90),))
    run = fv.train(
        data, task=task, model="tiny_cnn", size=96, epochs=2, batch_size=4, out=tmp_path / "run"
    )
    assert run.test().keys() == run.results["valid"].keys()
    assert {shape for training, shape in seen if training} == {(96, 96)}
    assert max(max(shape) for training, shape in seen if not training) == SIDE
