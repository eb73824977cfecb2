"""Pictures are brought to size as Pillow does it, and to as many channels as are asked for."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from foveate.data.resizing import fit
from foveate.errors import BadImage
from helpers.image_files import GREY, RGB, RNG


def test_what_fits_is_not_copied() -> None:
    image = RGB[:5, :5]
    assert fit(image, 5, 3) is image


@pytest.mark.parametrize("size", [1, 3, 28, 224])
def test_fit_is_pillows_antialiased_bilinear(size: int) -> None:
    expected = PIL.Image.fromarray(RGB).resize((size, size), PIL.Image.Resampling.BILINEAR)
    assert np.array_equal(fit(RGB, size, 3), np.asarray(expected))
    grey = PIL.Image.fromarray(GREY).resize((size, size), PIL.Image.Resampling.BILINEAR)
    assert np.array_equal(fit(GREY[..., None], size, 1)[..., 0], np.asarray(grey))


def test_shrinking_averages() -> None:
    """A checkerboard becomes grey; without antialiasing it would become black, white or stripes."""
    checker = np.indices((64, 64)).sum(0)[..., None] % 2 * np.uint8(255)
    assert np.abs(fit(checker.astype(np.uint8), 8, 1).astype(int) - 128).max() <= 4


def test_grey_is_repeated_and_colour_weighed() -> None:
    colour = fit(GREY[..., None], 9, 3)
    assert colour.shape == (9, 9, 3)
    assert (colour == colour[..., :1]).all()
    luma = RGB[:5, :5] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(fit(RGB[:5, :5], 5, 1)[..., 0] - luma).max() <= 1


def test_many_bands_are_resized_one_by_one() -> None:
    bands = RNG.integers(0, 256, (5, 7, 6), np.uint8)
    fitted = fit(bands, 11, 6)
    assert fitted.shape == (11, 11, 6)
    for band in range(6):
        assert np.array_equal(fitted[..., band : band + 1], fit(bands[..., band : band + 1], 11, 1))


def test_other_changes_of_channels_are_refused() -> None:
    with pytest.raises(BadImage, match="3 channels is expected, got 6"):
        fit(np.zeros((4, 4, 6), np.uint8), 8, 3)
    with pytest.raises(BadImage, match="with pixels"):
        fit(np.zeros((0, 4, 1), np.uint8), 8, 1)
