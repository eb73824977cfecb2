"""The first steps of every task, by one process or by a rank of several."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from foveate import processes
from foveate.data.batches import Batches, validation_batches
from foveate.training import distributed
from foveate.training.ema import ModelEMA
from foveate.training.finite import FiniteCheck
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.validation import validate
from helpers.task_case import Case

BATCH, STEPS = 8, 4


def policy(case: Case, kind: str):
    return case.task.augmentation(
        case.size, hflip_safe=True, classes=case.task.classes, kind=kind, epochs=None
    )


def batches(case: Case, kind: str, rank: int = 0, ranks: int = 1) -> Batches:
    return Batches(
        case.task, case.decoded.pixels, case.targets, case.ids, batch_size=BATCH, seed=3,
        augment=policy(case, kind), rank=rank, ranks=ranks,
    )  # fmt: skip


@dataclass
class Trained:
    """What some steps did.

    Attributes:
        losses: Of each step, over all ranks.
        moved: How the state of the net changed.
        ema: The moving average of the state, less the first state.
        valid: The validation loss.
        scale: The factor of the loss in float16, at the end.
    """

    losses: list[float]
    moved: dict[str, torch.Tensor]
    ema: dict[str, torch.Tensor]
    valid: float
    scale: float | None


def trained(
    names: list[str],
    precision: str = "float32",
    spoilt: int | None = None,
    *,
    compiled: bool = False,
) -> dict[str, Trained]:
    """Train a few steps of each task, in two batches each.

    Args:
        names: Of the tasks.
        precision: Of the forward pass.
        spoilt: Batch whose loss is infinite on the last rank.
        compiled: Whether the net is compiled.
    """
    return {name: _trained(Case(name), precision, spoilt, compiled) for name in names}


def _trained(case: Case, precision: str, spoilt: int | None, compiled: bool) -> Trained:
    net, rank, ranks = case.net(), processes.rank(), processes.size()
    if rank:
        for parameter in net.parameters():
            parameter.data.zero_()
    distributed.copy_from_main(net)
    share = batches(case, "auto", rank, ranks)
    first = {key: value.clone() for key, value in net.state_dict().items()}
    ema, scaler = ModelEMA(net, 0.9), torch.amp.GradScaler("cpu", init_scale=256.0)
    forward: Any = distributed.shared(net)
    if compiled:
        forward = torch.compile(net if forward is None else forward)
    losses, seen = [], 0

    def loss(output, target):
        nonlocal seen
        found = case.task.loss(output, target)
        if seen == spoilt and rank == ranks - 1:
            found = {**found, "total": found["total"] * torch.inf}
        seen += 1
        return found

    for step in islice(
        steps(
            net, loss, share(), optimizer("sgd", net, lr=0.01, weight_decay=1e-4),
            lambda number: 1.0, accumulate=2, forward=forward, loss_weight=share.loss_weight,
            ema=ema, scaler=scaler if precision == "float16" else None,
            amp=None if precision == "float32" else getattr(torch, precision),
            check=Unchecked(1) if spoilt is not None else None,
        ),
        STEPS,
    ):  # fmt: skip
        own = step.losses["total"].item() * share.loss_weight(step.number)
        losses.append(np.mean(processes.gather_numbers([own])).item())
    valid, _ = validate(
        net,
        case.task,
        validation_batches(
            case.task, case.decoded.pixels, case.targets, case.ids, 5, rank=rank, ranks=ranks
        ),
    )
    moved, mean = (
        {key: value - first[key] for key, value in state.items()}
        for state in (net.state_dict(), ema.state)
    )
    return Trained(losses, moved, mean, valid, scaler.get_scale())


class Unchecked(FiniteCheck):
    """Lets a loss that is not finite pass."""

    def add(self, number, what, value):
        pass


def assert_alike(
    found: dict[str, torch.Tensor],
    expected: dict[str, torch.Tensor],
    each: float = 0.1,
    whole: float = 0.01,
):
    """Two changes of a state differ little, in each tensor and as a whole, relative to them."""
    differences = []
    for key, value in expected.items():  # rounding grows from step to step
        differences.append((found[key] - value).float().norm())
        assert differences[-1] <= each * value.float().norm() + 1e-6, key
    change = torch.stack([value.float().norm() for value in expected.values()]).norm()
    assert torch.stack(differences).norm() <= whole * change


def assert_same_bits(together: list[Trained]):
    """All ranks have the same net, average and losses."""
    first, *others = together
    for other in others:
        assert other.losses == first.losses
        assert other.scale == first.scale
        for mine, theirs in ((first.moved, other.moved), (first.ema, other.ema)):
            assert all(torch.equal(theirs[key], value) for key, value in mine.items())
