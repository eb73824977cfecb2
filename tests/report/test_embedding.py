"""Pictures in the page: exact where they are small, scaled down where they are large, of any number of bands."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from foveate.report import embedding


def opened(image: np.ndarray) -> Image.Image:
    kind, data = embedding.data_uri(image).split(",", 1)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{image.format.lower()};base64"
    return image


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (8, 8, 1), (28, 28, 3), (64, 17, 3), (9, 9, 2), (9, 9, 5)]
)
def test_a_small_picture_is_exact(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shown = image[..., 0] if shape[2] < 3 else image[..., :3]
    assert np.array_equal(np.asarray(opened(image)), shown)
    assert embedding.is_small(image)


@pytest.mark.parametrize("shape", [(65, 3, 1), (480, 640, 3), (3000, 2, 3), (500, 500, 4)])
def test_a_large_picture_fits_and_keeps_its_shape(shape):
    width, height = opened(np.full(shape, 90, np.uint8)).size
    assert max(width, height) == min(embedding.LARGEST, max(shape[:2]))
    scale = max(shape[:2]) / max(width, height)
    assert width == pytest.approx(shape[1] / scale, abs=1)
    assert height == pytest.approx(shape[0] / scale, abs=1)
    assert not embedding.is_small(np.zeros(shape, np.uint8))


def test_a_page_of_the_worst_pictures_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert 32 * len(embedding.data_uri(noise)) < 1_300_000


def test_a_picture_in_any_memory_order_is_read_right():
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    assert embedding.data_uri(np.asfortranarray(image)) == embedding.data_uri(image)
    assert np.array_equal(np.asarray(opened(image[:, ::-1])), image[:, ::-1])
