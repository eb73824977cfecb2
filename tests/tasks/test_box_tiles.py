"""Large images in tiles: small objects are found, none twice, none cut."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.errors import SettingError
from foveate.tasks.capabilities import require
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection
from foveate.tasks.tiling import Tiled
from helpers.box_oracle import InteractivePredictor, make_image, net, told

TASK = Detection(("red", "green"))
SIDE = 64
"""Of the net's input and of the tiles: what lies in a tile is seen at full size."""


def looking():
    """Sees objects from 8 pixels a side on: of 400 pixels shown as 64 only those above 50."""
    return net(InteractivePredictor(least=8), size=SIDE)


def test_small_objects_are_found_that_the_whole_image_is_too_small_for():
    instances = [(10, 12, 20, 24, 0), (200, 300, 212, 310, 1), (388, 390, 400, 400, 0)]
    image = make_image(400, 400, *instances)
    assert told(TASK.predict(looking(), [image])[0]) == []
    assert told(TASK.predict_tiled(looking(), image, SIDE)) == sorted(instances)


@pytest.mark.parametrize(("height", "width"), [(150, 150), (65, 400), (64, 65), (500, 20)])
@pytest.mark.parametrize("place", range(6))
def test_an_object_is_found_once_and_whole_wherever_it_lies(height, width, place):
    """12 pixels a side, less than the quarter of a tile that tiles overlap by: one tile has it
    whole."""
    rng = np.random.default_rng(place)
    left, top = (
        0 if place == 0 else side - 12 if place == 1 else int(rng.integers(side - 11))
        for side in (width, height)
    )
    instance = (left, top, left + 12, top + 12, 1)
    prediction = TASK.predict_tiled(looking(), make_image(height, width, instance), SIDE)
    assert len(prediction) == 1
    assert told(prediction)[0] == pytest.approx(
        instance, abs=0.5
    )  # 65 pixels are shown as 64 as well, nearly as sharp
    assert prediction.size == (height, width)


def test_every_place_of_a_row_of_tiles_is_covered():
    for left in range(0, 149):
        instance = (left, 20, left + 12, 32, 0)
        assert told(TASK.predict_tiled(looking(), make_image(60, 160, instance), SIDE)) == [
            instance
        ], left


def test_large_objects_come_from_the_whole_image_and_their_pieces_are_left_out():
    instance = (100, 60, 350, 340, 0)
    prediction = TASK.predict_tiled(looking(), make_image(400, 400, instance), SIDE)
    assert len(prediction) == 1
    assert prediction.corners[0] == pytest.approx(instance[:4], abs=400 / 64)


def test_neighbours_of_one_class_and_of_two_stay_apart():
    instances = [
        (50, 50, 62, 62, 0),
        (64, 50, 76, 62, 0),
        (50, 64, 62, 76, 1),
        (50, 140, 62, 152, 0),
    ]
    assert told(TASK.predict_tiled(looking(), make_image(200, 200, *instances), SIDE)) == sorted(
        instances
    )


def test_an_image_that_fits_one_tile_is_looked_at_once():
    image = make_image(60, 64, (10, 12, 20, 24, 0))
    tiled, whole = looking(), looking()
    prediction = TASK.predict_tiled(tiled, image, SIDE)
    expected = TASK.predict(whole, [image])[0]
    assert told(prediction) == told(expected)
    assert prediction.scores.tolist() == expected.scores.tolist()
    assert tiled.body[0].shapes == whole.body[0].shapes


def test_nothing_there_is_nothing_found():
    prediction = TASK.predict_tiled(looking(), make_image(300, 300), SIDE)
    assert len(prediction) == 0
    assert prediction.scores is not None


def test_predictions_come_most_confident_first():
    instances = [(10, 12, 20, 24, 0), (200, 200, 230, 220, 1), (90, 150, 108, 170, 0)]
    scores = TASK.predict_tiled(looking(), make_image(300, 300, *instances), SIDE).scores.tolist()
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("side", [0, 1, SIDE // 4 - 1])
def test_tiles_that_are_too_small_are_refused(side):
    with pytest.raises(SettingError, match=f"at least {SIDE // 4} px") as refused:
        TASK.predict_tiled(looking(), make_image(100, 100), side)
    assert refused.value.where == "tile"
    TASK.predict_tiled(looking(), make_image(100, 100), SIDE // 4)


def test_a_task_without_places_refuses_tiles():
    with pytest.raises(SettingError, match="whole images") as refused:
        require(Classification(("red", "green")), Tiled)
    assert "--tile" in refused.value.remedy
