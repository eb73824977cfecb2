"""Large images in tiles: objects are found once and whole, also where a tile's edge cuts them."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Instances
from foveate.errors import SettingError
from foveate.tasks.instance import Instance
from helpers.box_oracle import net
from helpers.mask_oracle import SCENE, Things, coloured, painted, parted, told

TASK = Instance(("warm", "cold"))
SIDE = 64


def tiled(values: np.ndarray, side: int = SIDE, size: int = SIDE) -> Instances:
    return TASK.predict_tiled(net(Things(), size=size), coloured(values), side)


@pytest.mark.parametrize(("height", "width"), [(150, 150), (60, 400), (400, 20), (64, 64)])
@pytest.mark.parametrize("place", range(6))
def test_an_object_is_found_once_and_whole_wherever_it_lies(height, width, place):
    """12 pixels a side, less than the quarter of a tile that tiles overlap by."""
    rng = np.random.default_rng(place)
    left, top = (
        0 if place == 0 else side - 12 if place == 1 else int(rng.integers(side - 11))
        for side in (width, height)
    )
    values = painted((height, width), (left, top, left + 12, top + 12, 1 + place % 3))
    prediction = tiled(values)
    assert told(prediction) == parted(values)
    assert prediction.boxes.size == (height, width)


def test_every_place_of_a_row_of_tiles_is_covered():
    for left in range(149):
        values = painted((20, 160), (left, 4, left + 11, 15, 3))
        assert told(tiled(values)) == parted(values), left


def test_many_objects_in_tiles_are_those_of_the_whole_image():
    rng = np.random.default_rng(0)
    cells = [
        (x, y, x + int(rng.integers(3, 12)), y + int(rng.integers(3, 12)), int(rng.integers(1, 4)))
        for x in range(0, 180, 12)
        for y in range(0, 130, 12)
    ]
    values = painted((140, 190), *cells)
    whole = TASK.predict(net(Things(), size=190), [coloured(values)])[0]
    assert told(whole) == parted(values) == told(tiled(values))
    scores = tiled(values).boxes.scores.tolist()
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("side", [64, 100, 10_000])
def test_a_tile_larger_than_the_image_is_the_whole_image(side):
    assert TASK.to_dict(tiled(SCENE, side)) == TASK.to_dict(
        TASK.predict(net(Things()), [coloured(SCENE)])[0]
    )


def test_nothing_there_is_nothing_found_in_tiles():
    prediction = tiled(np.zeros((150, 150), int))
    assert len(prediction) == 0
    assert prediction.boxes.scores is not None
    assert prediction.boxes.size == (150, 150)


def test_an_object_larger_than_a_tile_is_not_lost():
    values = painted((200, 200), (60, 50, 160, 150, 1))
    assert len(tiled(values)) >= 1


@pytest.mark.parametrize("side", [64, 100])
def test_objects_whose_boxes_overlap_stay_apart_in_tiles(side):
    """Two triangles, the halves of a square: their boxes are nearly one, their pixels all
    different."""
    down, across = np.indices((64, 64)) - 10
    square = (np.minimum(down, across) >= 0) & (np.maximum(down, across) < 16)
    values = np.where(square, 1 + (down + across > 15), 0)
    assert told(TASK.predict(net(Things()), [coloured(values)])[0]) == parted(values)
    assert told(tiled(values, side)) == parted(values)


@pytest.mark.parametrize("side", [0, 1, SIDE // 4 - 1])
def test_tiles_that_are_too_small_are_refused(side):
    with pytest.raises(SettingError, match=f"at least {SIDE // 4} px"):
        tiled(painted((20, 20), (2, 2, 9, 9, 1)), side)
