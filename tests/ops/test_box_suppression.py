"""Non-maximum suppression, against torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from foveate.ops.boxes import suppress


@pytest.mark.parametrize("count", [0, 1, 2, 300, 2000])
@pytest.mark.parametrize("classes", [1, 4])
def test_the_boxes_that_torchvision_keeps_remain(count, classes):
    rng = np.random.default_rng(count + classes)
    low = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 30, (count, 2))], 1)
    if count == 300:
        boxes[:, 2] = boxes[:, 0] + 200 * (rng.random(count) < 0.1)  # wide ones, and empty ones
    scores = rng.permutation(count) / max(count, 1)
    which = rng.integers(0, classes, count)
    expected = batched_nms(*map(torch.from_numpy, (boxes, scores, which)), 0.6).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, which, 0.6), expected)


def test_of_equal_scores_the_first_remains():
    boxes = np.array([[5.0, 0, 15, 10], [4, 0, 14, 10], [40, 0, 50, 10]])
    for order in ([0, 1, 2], [1, 0, 2]):
        rows = suppress(boxes[order], np.full(3, 0.5), np.zeros(3, int), 0.6)
        assert rows.tolist() == [0, 2]
