"""Where a person points next: against a search over all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from foveate.ops.clicks import next_click


def masks(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_what_is_right_needs_no_click():
    full = np.ones((3, 4), bool)
    assert next_click(full, full) is None
    assert next_click(np.zeros((0, 5), bool), np.zeros((0, 5), bool)) is None


def test_the_first_click_falls_into_the_middle_of_the_object():
    true = np.zeros((9, 11), bool)
    true[2:7, 3:8] = True
    assert next_click(true, np.zeros_like(true)) == (5.5, 4.5, True)


def test_one_pixel_is_clicked_itself():
    true = masks("....", "..#.")
    assert next_click(true, np.zeros_like(true)) == (2.5, 1.5, True)


def test_what_was_found_in_vain_is_clicked_as_outside():
    found = masks("#####", "#####", "#####", ".....")
    x, y, inside = next_click(np.zeros_like(found), found)
    assert (y, inside) == (1.5, False)
    assert found[int(y), int(x)]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_it_lies_deepest_in_the_largest_region_that_is_wrong(seed, height, width):
    rng = np.random.default_rng(seed)
    true, found = rng.random((2, height, width)) < 0.5
    click = next_click(true, found)
    wrong = true != found
    if click is None:
        assert not wrong.any()
        return
    x, y, inside = click
    row, column = int(y), int(x)
    assert inside == true[row, column]
    regions, _ = label(wrong)
    sizes = np.bincount(regions.ravel())[1:]
    own = regions == regions[row, column]
    assert own.sum() == sizes.max()

    def depth(at: tuple[int, int]) -> float:
        """To the nearest pixel that is not of the region, the image's edge among them."""
        others = [(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)]
        outside = [o for o in others if not (0 <= o[0] < height and 0 <= o[1] < width and own[o])]
        return min(np.hypot(at[0] - r, at[1] - c) for r, c in outside)

    assert depth((row, column)) == pytest.approx(max(depth(tuple(at)) for at in np.argwhere(own)))
