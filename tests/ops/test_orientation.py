"""Points are turned as pixels are, and pixels as Pillow turns them."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from foveate.ops.orientation import SIDEWAYS, turn_pixels, turn_points

HEIGHT, WIDTH = 3, 5


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9, 255, 256, 65535])
def test_pixels_are_turned_as_by_pillow(orientation):
    stored = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    PIL.Image.fromarray(stored).save(file, "PNG", exif=exif)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(file)))
    np.testing.assert_array_equal(turn_pixels(stored, orientation), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_follow_their_pixels(orientation):
    for row in range(HEIGHT):
        for column in range(WIDTH):
            stored = np.zeros((HEIGHT, WIDTH), bool)
            stored[row, column] = True
            centre = np.array([[column + 0.5, row + 0.5]])
            x, y = turn_points(centre, orientation, (HEIGHT, WIDTH))[0]
            upright = turn_pixels(stored, orientation)
            assert upright[int(y), int(x)]
            assert upright.shape == ((WIDTH, HEIGHT) if orientation in SIDEWAYS else stored.shape)


def test_no_points_stay_no_points():
    assert turn_points(np.zeros((0, 2)), 6, (HEIGHT, WIDTH)).shape == (0, 2)
