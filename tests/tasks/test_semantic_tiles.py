"""Large images in tiles: the same prediction as of the whole, no visible seam, and memory for a
strip of it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from foveate.errors import SettingError
from foveate.tasks.semantic import Semantic
from helpers.box_oracle import net
from helpers.mask_oracle import Classes, Logits, blocks, coloured, enlarged, fitted

TASK = Semantic(("ground", "red", "green", "blue"))
SIDE = 64
RNG = np.random.default_rng(0)


def tiled(
    head, image: np.ndarray, side: int, size: int = SIDE, task: Semantic = TASK
) -> np.ndarray:
    return np.asarray(task.predict_tiled(net(head, size=size), image, side).pixels.read())


@pytest.mark.parametrize(
    "shape", [(150, 170), (64, 64), (65, 64), (64, 400), (401, 20), (1, 300), (300, 1), (1, 1)]
)
@pytest.mark.parametrize("block", [(1, 1), (9, 4)])
def test_tiles_seen_at_full_size_give_each_pixel_its_class(shape, block):
    values = blocks(RNG, shape, block)
    whole = np.asarray(
        TASK.predict(net(Classes(), size=max(shape)), [coloured(values)])[0].pixels.read()
    )
    assert np.array_equal(whole, values)
    assert np.array_equal(tiled(Classes(), coloured(values), SIDE), whole)


def test_tiles_smaller_than_the_input_give_each_pixel_its_class_too():
    values = blocks(RNG, (100, 90), (3, 3))
    assert np.array_equal(tiled(Classes(), coloured(values), 32), values)


def test_tiles_larger_than_the_input_are_seen_as_sharp_as_it_can():
    """Blocks whose edges lie on the input's pixels in every tile: tiles of 128 begin at multiples
    of 64."""
    values = blocks(RNG, (192, 256), (8, 8))
    prediction = tiled(Classes(), coloured(values), 128)
    inner = np.kron(np.ones((24, 32), bool), np.pad(np.ones((4, 4), bool), 2))
    assert np.array_equal(prediction[inner], values[inner])
    assert (prediction == values).mean() > 0.95


@pytest.mark.parametrize("shape", [(60, 64), (16, 16), (200, 130)])
def test_a_tile_larger_than_the_image_is_the_whole_image(shape):
    image = coloured(blocks(RNG, shape, (16, 16)))
    looking = net(Classes())
    prediction = np.asarray(TASK.predict_tiled(looking, image, 500).pixels.read())
    assert len(looking.body[0].shapes) == 1
    assert prediction.shape == shape
    same = prediction == enlarged(fitted(image, SIDE), shape)
    assert (
        same.all() if max(shape) <= SIDE else same.mean() > 0.9
    )  # edges are blended where a tile is enlarged


@pytest.mark.parametrize("side", [0, 1, SIDE // 4 - 1])
def test_tiles_that_are_too_small_are_refused(side):
    with pytest.raises(SettingError, match=f"at least {SIDE // 4} px"):
        tiled(Classes(), coloured(blocks(RNG, (20, 20), (5, 5))), side)


# --- seams

RISE, LEVELS = 0.3, 60


def slanted(level: float) -> Logits:
    """The second class is the likelier the further right and down in its tile: by RISE in all, the
    worst of nets."""

    def logits(images: torch.Tensor) -> torch.Tensor:
        down, across = (torch.arange(side) / side for side in images.shape[2:])
        share = level + RISE * ((down[:, None] + across) / 2 - 0.5)
        return torch.stack([1 - share, share]).log().expand(len(images), -1, -1, -1)

    return Logits(logits)


@pytest.fixture(scope="module")
def blended() -> np.ndarray:
    """(H, W) how likely the second class is once tiles are blended, by at which level it wins."""
    image, two = np.zeros((150, 170, 3), np.uint8), Semantic(("one", "two"))
    levels = np.linspace(0.5 - RISE / 2, 0.5 + RISE / 2, LEVELS)
    wins = sum(tiled(slanted(level), image, SIDE, task=two) for level in levels)
    return RISE * wins / LEVELS


def steps(likely: np.ndarray) -> float:
    """The largest step from a pixel to the next, as a share of what a seam without blending would
    be."""
    return max(np.abs(np.diff(likely, axis=axis)).max() for axis in (0, 1)) / (
        RISE / 2 * (1 - 0.25)
    )


def test_seams_have_no_visible_step(blended):
    assert np.ptp(blended) > RISE / 3  # the net does depend on the place
    assert steps(blended[10:-10, 10:-10]) < 0.25


def test_seams_have_no_visible_step_at_the_images_border_either(blended):
    assert steps(blended) < 0.25


# --- memory


def test_memory_holds_a_strip_of_probabilities_and_not_the_image():
    count, shape = 40, (1600, 100)
    task = Semantic([str(k) for k in range(count)])
    looking = net(Logits(lambda images: torch.zeros(1, count, *images.shape[2:])))
    image = np.zeros((*shape, 3), np.uint8)
    task.predict_tiled(
        looking, image[:SIDE], SIDE
    )  # what is imported and kept for later does not count
    tracemalloc.start()
    try:
        task.predict_tiled(looking, image, SIDE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    strip = 4 * count * SIDE * shape[1]
    assert peak < 6 * strip
    assert 6 * strip < 4 * count * shape[0] * shape[1] / 4
