"""Images in the page: small ones exact, large ones scaled down, with any number of channels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from foveate.report import data_uris


def decode(image: np.ndarray) -> Image.Image:
    header, data = data_uris.image_data_uri(image).split(",", 1)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert header == f"data:image/{image.format.lower()};base64"
    return image


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (8, 8, 1), (28, 28, 3), (64, 17, 3), (9, 9, 2), (9, 9, 5)]
)
def test_a_small_image_is_exact(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shown = image[..., 0] if shape[2] < 3 else image[..., :3]
    assert np.array_equal(np.asarray(decode(image)), shown)
    assert data_uris.is_exact(image)


@pytest.mark.parametrize("shape", [(65, 3, 1), (480, 640, 3), (3000, 2, 3), (500, 500, 4)])
def test_a_large_image_is_scaled_down_and_keeps_its_aspect_ratio(shape):
    width, height = decode(np.full(shape, 90, np.uint8)).size
    assert max(width, height) == min(data_uris.MAX_SIDE, max(shape[:2]))
    scale = max(shape[:2]) / max(width, height)
    assert width == pytest.approx(shape[1] / scale, abs=1)
    assert height == pytest.approx(shape[0] / scale, abs=1)
    assert not data_uris.is_exact(np.zeros(shape, np.uint8))


def test_a_page_of_images_that_compress_badly_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert 32 * len(data_uris.image_data_uri(noise)) < 2_000_000


def test_an_image_in_any_memory_order_is_encoded_correctly():
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    assert data_uris.image_data_uri(np.asfortranarray(image)) == data_uris.image_data_uri(image)
    assert np.array_equal(np.asarray(decode(image[:, ::-1])), image[:, ::-1])
