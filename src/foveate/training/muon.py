"""Muon: every direction of a weight matrix moves by the same length.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A gradient averaged
over steps, U S V^T, points mostly along a few directions of its matrix. Muon steps along U V^T, so
that rare directions are learnt as fast. Steps are scaled to the mean size of Adam's (Liu et al.,
"Muon is scalable for LLM training", 2025), so that both take the same learning rates.

Not torch.optim.Muon, which takes matrices alone, has no AdamW for the rest, and rounds to bfloat16.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
NEWTON_SCHULZ_STEPS = 5
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Coefficients of s, s^3 and s^5, which each step applies to every singular value s. All steps
together bring singular values from 0.003 on to between 0.7 and 1.2."""
ADAM_RMS = 0.2
"""Root mean square of the steps, in learning rates: about that of Adam."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices, AdamW for vectors.

    Args:
        matrices: Weights with two or more dimensions, a layer's outputs first; or groups of them,
            as other optimizers take them.
        vectors: The other parameters, likewise.
        lr: Learning rate.
        weight_decay: Decoupled weight decay of the matrices.

    Attributes:
        matrix_groups: The parameter groups of the matrices.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor] | Sequence[dict[str, Any]],
        vectors: Sequence[Tensor] | Sequence[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float,
    ):
        in_groups = bool(matrices) and isinstance(matrices[0], dict)
        groups: Any = matrices if in_groups else [{"params": list(matrices)}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.matrix_groups = list(self.param_groups)
        self.adamw = None
        if vectors:
            self.adamw = torch.optim.AdamW(vectors, lr=lr, weight_decay=0.0, fused=True)
            # One state and one list of groups: saved and scheduled like any other optimizer.
            self.adamw.state = self.state
            self.param_groups += self.adamw.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all parameters from their gradients. No closure is taken."""
        assert closure is None, "Muon takes no closure"
        for group in self.matrix_groups:
            by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[weight.shape].append((weight, weight.grad))
            for pairs in by_shape.values():  # equal shapes in one batch
                weights, grads = map(list, zip(*pairs, strict=True))
                self._step_matrices(group, weights, grads)
        if self.adamw is not None:
            self.adamw.step()

    def _step_matrices(
        self, group: dict[str, Any], weights: list[Tensor], grads: list[Tensor]
    ) -> None:
        shape = weights[0].shape
        momenta = [self._momentum(weight) for weight in weights]
        torch._foreach_mul_(momenta, MOMENTUM)
        torch._foreach_add_(momenta, grads)
        nesterov = torch._foreach_add(grads, momenta, alpha=MOMENTUM)
        rows, columns = shape[0], math.prod(shape[1:])
        # The columns in their order in memory (channels last): faster, and the same result.
        last = [one.movedim(1, -1) for one in nesterov]
        directions = orthogonal(torch.stack([one.reshape(rows, columns) for one in last]))
        length = group["lr"] * ADAM_RMS * math.sqrt(max(rows, columns))
        for weight, direction in zip(weights, directions, strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(direction.view(last[0].shape).movedim(-1, 1), alpha=-length)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonal(matrices: Tensor) -> Tensor:
    """U V^T of each matrix with singular value decomposition U S V^T, nearly (see POLYNOMIAL).

    The Newton-Schulz iteration runs on the smaller Gram matrix, whose polynomials commute. That
    takes half the time of the iteration on the matrix itself (benchmarks/README.md).

    Args:
        matrices: (N, n, m).

    Returns:
        (N, n, m).
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    gram, a, b, c = wide @ wide.mT, *POLYNOMIAL
    product = gram
    for number in range(NEWTON_SCHULZ_STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor @ product if number else factor
        if number + 1 < NEWTON_SCHULZ_STEPS:
            gram = factor @ gram @ factor
    result: Tensor = product @ wide
    return result.mT if tall else result
