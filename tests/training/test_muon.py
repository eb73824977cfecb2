"""Muon: its directions against the singular value decomposition, its steps against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foveate.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8), (96, 864), (864, 96)])
def test_a_matrix_becomes_nearly_orthogonal_along_its_singular_vectors(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(torch.stack([torch.zeros(shape), matrix]))[1]
    lengths = torch.diagonal(left.T @ found @ right.T)
    seen = values > 0.01 * values.norm()
    assert lengths[seen].min() > 0.65
    assert lengths.max() < 1.25
    torch.testing.assert_close(left @ torch.diag(lengths) @ right, found, atol=2e-3, rtol=0)


def test_a_zero_matrix_stays_zero():
    assert not orthogonal(torch.zeros(2, 3, 5)).any()


def test_steps_equal_those_of_torch_but_for_rounding():
    generator = torch.Generator().manual_seed(0)
    mine, theirs = (nn.Parameter(torch.ones(12, 40)) for _ in range(2))
    own = Muon([mine], [], lr=0.01, weight_decay=0.1)
    torchs = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        mine.grad = torch.randn(12, 40, generator=generator)
        theirs.grad = mine.grad.clone()
        own.step()
        torchs.step()
    torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=0)  # torch's rounds in bfloat16
    assert (mine - 1).square().mean().sqrt() > 0.005


def test_a_convolution_is_a_matrix_with_a_row_for_each_output():
    generator = torch.Generator().manual_seed(0)
    grad = torch.randn(6, 5, 3, 3, generator=generator)
    flat, planes, last = (
        nn.Parameter(torch.zeros(shape)) for shape in ((6, 45), (6, 5, 3, 3), (6, 5, 3, 3))
    )
    last.data = last.data.to(memory_format=torch.channels_last)
    for weight in (flat, planes, last):
        weight.grad = grad.reshape(weight.shape).clone()
        Muon([weight], [], lr=0.01, weight_decay=0.0).step()
    torch.testing.assert_close(planes.flatten(1), flat)
    torch.testing.assert_close(last, planes)


def test_vectors_step_as_in_adamw():
    bias, other = (nn.Parameter(torch.ones(7)) for _ in range(2))
    own, adamw = (
        Muon([], [bias], lr=0.01, weight_decay=0.1),
        torch.optim.AdamW([other], lr=0.01, weight_decay=0.0),
    )
    for _ in range(3):
        bias.grad = other.grad = torch.linspace(-1, 1, 7)
        own.step()
        adamw.step()
    torch.testing.assert_close(bias, other)
