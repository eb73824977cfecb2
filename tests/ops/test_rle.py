"""Run lengths: the same as pycocotools makes and reads, and nothing else is taken for them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as oracle

from foveate.ops import rle
from foveate.ops.masks import mask_bounds

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def text_of(mask: np.ndarray) -> str:
    return oracle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def blobs(seed: int, shape: tuple[int, int] = (120, 90)) -> np.ndarray:
    """Masks as they are found: few and long runs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = rng.uniform(0, 1, (5, 2)) * shape
    return np.any([np.hypot(y - cy, x - cx) < rng.uniform(1, 40) for cy, cx in centres], axis=0)


@given(MASKS)
def test_the_same_as_pycocotools(mask: np.ndarray) -> None:
    counts = rle.encode(mask)
    assert rle.to_coco_string(counts) == text_of(mask)
    assert np.array_equal(rle.from_coco_string(text_of(mask), mask.shape), counts)
    assert np.array_equal(rle.from_coco_string(text_of(mask).encode(), mask.shape), counts)
    assert np.array_equal(rle.decode(counts, mask.shape), mask)
    assert rle.area(counts) == mask.sum()
    assert rle.bounds(counts, mask.shape) == mask_bounds(mask)
    places = np.flatnonzero(mask)
    assert np.array_equal(
        rle.from_indices(np.random.default_rng(0).permutation(places), mask.shape), counts
    )
    assert np.array_equal(np.sort(rle.to_indices(counts, mask.shape)), places)
    left, top, width, height = oracle.toBbox(
        oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    )
    if mask.any():
        assert rle.bounds(counts, mask.shape) == (left, top, left + width, top + height)


@pytest.mark.parametrize("seed", range(20))
def test_large_masks_are_the_same_too(seed: int) -> None:
    mask = blobs(seed) ^ (np.random.default_rng(seed).random((120, 90)) < seed / 100)
    counts = rle.from_coco_string(text_of(mask), mask.shape)
    assert np.array_equal(rle.decode(counts, mask.shape), mask)
    assert rle.to_coco_string(counts) == text_of(mask)
    assert rle.bounds(counts, mask.shape) == mask_bounds(mask)


def test_the_ends() -> None:
    for mask in (np.zeros((3, 4), bool), np.ones((3, 4), bool), np.eye(1, dtype=bool)):
        assert np.array_equal(
            rle.decode(rle.from_coco_string(text_of(mask), mask.shape), mask.shape), mask
        )
    assert rle.bounds(rle.encode(np.zeros((3, 4), bool)), (3, 4)) == (0, 0, 0, 0)
    for shape in ((0, 0), (0, 5), (5, 0)):
        runs = rle.encode(np.zeros(shape, bool))
        assert rle.decode(runs, shape).shape == shape
        assert np.array_equal(rle.from_indices(np.zeros(0, np.int64), shape), runs)
        assert rle.to_indices(runs, shape).shape == (0,)
        assert len(rle.from_coco_string("", shape)) == 0


def test_runs_of_length_zero_change_nothing() -> None:
    counts = rle.validated([0, 0, 2, 1, 0, 2, 1, 0], (3, 2))
    assert rle.decode(counts, (3, 2)).ravel(order="F").tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    assert rle.bounds(counts, (3, 2)) == mask_bounds(rle.decode(counts, (3, 2)))


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ([5], (2, 3)),
        ([7], (2, 3)),
        ([-1, 7], (2, 3)),
        ([3.0, 3.0], (2, 3)),
        ([True, True], (1, 2)),
        (["6"], (2, 3)),
        ([[6]], (2, 3)),
        ([6, [1]], (2, 3)),
        ([2**63, 2**63, 6], (2, 3)),
        ([2**62] * 4 + [6], (2, 3)),
        ([2**64], (2**32, 2**32)),
        ([2**40], (2**20, 2**20)),
        ([6], (-2, -3)),
    ],
)
def test_runs_that_fill_no_image_are_refused(counts: list, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"expected|inhomogeneous"):
        rle.validated(counts, size)


@pytest.mark.parametrize(
    "text", ["", "x", "\x01", "é", "oooooooooooooooo", "6" * 9, "Po", b"\xff", "P" * 13 + "0"]
)
def test_text_that_is_none_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        rle.from_coco_string(text, (2, 3))


@given(st.binary(max_size=40) | st.text(max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_any_text_is_read_or_refused(text: str | bytes, height: int, width: int) -> None:
    try:
        counts = rle.from_coco_string(text, (height, width))
    except ValueError:
        return
    assert rle.decode(counts, (height, width)).shape == (height, width)


def test_huge_images_cost_nothing_until_they_are_unpacked() -> None:
    start = time.process_time()
    size = (2**19, 2**20)
    counts = rle.validated([10, 5, size[0] * size[1] - 15], size)
    assert rle.bounds(counts, size) == (0, 10, 1, 15)
    assert time.process_time() - start < 0.1


def test_a_long_text_is_read_fast() -> None:
    mask = np.random.default_rng(0).random((1000, 1000)) < 0.5
    text = text_of(mask)
    start = time.process_time()
    counts = rle.from_coco_string(text, mask.shape)
    assert time.process_time() - start < 1
    assert np.array_equal(rle.decode(counts, mask.shape), mask)
