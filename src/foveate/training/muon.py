"""Muon: every direction of a weight matrix is moved by the same length.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A gradient averaged over steps points mostly
along a few directions of its matrix, U S V^T; Muon steps along U V^T instead, so that the rare ones are learnt as fast. Steps are as
large as Adam's in the mean (Liu et al., "Muon is scalable for LLM training", 2025), so that both take the same learning rates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
ROUNDS = 5
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Of s, s^3 and s^5, which each round does to every singular value: ROUNDS of it bring those from 0.003 on to between 0.7 and 1.2."""
AS_ADAM = 0.2
"""The root mean square of the steps, in learning rates: about that of Adam's."""


class Muon(torch.optim.Optimizer):
    """matrices: weights of two or more dimensions, the first of which is a layer's outputs; vectors: what is left, which AdamW moves"""

    def __init__(
        self,
        matrices: Sequence[Tensor],
        vectors: Sequence[Tensor],
        *,
        lr: float,
        weight_decay: float,
    ):
        super().__init__([{"params": list(matrices), "lr": lr, "weight_decay": weight_decay}], {})
        self.adamw = (
            torch.optim.AdamW(vectors, lr=lr, weight_decay=0.0, fused=True) if vectors else None
        )
        if (
            self.adamw is not None
        ):  # one state and one list of groups, so that it is saved and scheduled as any other
            self.adamw.state = self.state
            self.param_groups += self.adamw.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the loss is computed before"
        group = self.param_groups[0]
        alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(
            list
        )  # shapes alike are done at once
        for weight in group["params"]:
            if weight.grad is not None:
                alike[weight.shape].append((weight, weight.grad))
        for shape, pairs in alike.items():
            weights, grads = map(list, zip(*pairs, strict=True))
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_mul_(momenta, MOMENTUM)
            torch._foreach_add_(momenta, grads)
            ahead = torch._foreach_add(grads, momenta, alpha=MOMENTUM)  # Nesterov's
            rows, columns = shape[0], math.prod(shape[1:])
            # Columns in the order that they lie in memory: it changes nothing but the time.
            last = [one.movedim(1, -1) for one in ahead]
            ways = orthogonal(torch.stack([one.reshape(rows, columns) for one in last]))
            length = group["lr"] * AS_ADAM * math.sqrt(max(rows, columns))
            for weight, way in zip(weights, ways, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(way.view(last[0].shape).movedim(-1, 1), alpha=-length)
        if self.adamw is not None:
            self.adamw.step()

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, n, m) -> of each U V^T of its singular value decomposition U S V^T, nearly (see POLYNOMIAL).

    The rounds of Newton and Schulz are done on the smaller Gram matrix, whose polynomials commute: half of the time of doing them
    on the matrix itself (benchmarks/README.md).
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    gram, a, b, c = wide @ wide.mT, *POLYNOMIAL
    done = gram
    for number in range(ROUNDS):
        part = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        part.diagonal(dim1=1, dim2=2).add_(a)
        done = part @ done if number else part
        if number + 1 < ROUNDS:
            gram = part @ gram @ part
    found = done @ wide
    return found.mT if tall else found
