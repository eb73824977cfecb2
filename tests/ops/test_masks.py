"""Masks: resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate.ops.masks import resize_bilinear


@pytest.mark.parametrize("before", [(1, 1), (1, 7), (5, 8), (16, 16)])
@pytest.mark.parametrize("after", [(1, 1), (3, 4), (10, 16), (33, 7)])
def test_bilinear_resizing_is_that_of_torch(before, after):
    values = np.random.default_rng(0).normal(size=(2, *before)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[:, None], size=after, mode="bilinear"
    )[:, 0]
    np.testing.assert_allclose(resize_bilinear(values, after), expected.numpy(), atol=1e-5)
