"""The laws of several processes: they take the steps that one process takes."""

from __future__ import annotations

import copy
import math
from itertools import islice

import numpy as np
import pytest
import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import nn

from foveate import processes, tasks
from foveate.data.batches import Batches, validation_batches
from foveate.errors import RunError, SettingError
from foveate.training import distributed
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.validation import validate
from helpers.ranks import on_ranks
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


@pytest.mark.parametrize("kind", ["auto", "strong"])
@pytest.mark.parametrize("name", sorted(tasks.all()))
def test_the_shares_of_a_batch_are_the_batch(name, kind):
    case = Case(name)
    whole = list(islice(batches(case, kind)(), 4))
    for ranks in (2, 3, 5):
        shares = [list(islice(batches(case, kind, rank, ranks)(), 4)) for rank in range(ranks)]
        for step, (inputs, _) in enumerate(whole):
            for number, expected in enumerate(inputs):
                found = torch.cat([share[step][0][number] for share in shares])
                assert torch.equal(found, expected)
            sizes = [len(share[step][0][0]) for share in shares]
            assert max(sizes) - min(sizes) <= 1
            weights = [batches(case, kind, rank, ranks).loss_weight(step) for rank in range(ranks)]
            assert weights == pytest.approx(np.array(sizes) * ranks / sum(sizes))


def test_a_batch_needs_an_image_for_each_process():
    case = Case("classification")
    with pytest.raises(SettingError, match=r"each of 9 processes .* batches have 8"):
        batches(case, "auto", 0, 9)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_every_batch_of_a_split_is_validated_once(ranks):
    case = Case("classification")
    split = (case.task, case.decoded.pixels, case.targets, case.ids, 5)
    whole = [inputs[0] for inputs, _ in validation_batches(*split)]
    shares = [
        [inputs[0] for inputs, _ in validation_batches(*split, rank=rank, ranks=ranks)]
        for rank in range(ranks)
    ]
    for index, expected in enumerate(whole):
        assert torch.equal(shares[index % ranks][index // ranks], expected)
    assert sum(map(len, shares)) == len(whole)


# --- on real processes


def trained(names: list[str]) -> dict[str, tuple[list[float], dict[str, torch.Tensor], float]]:
    """Of each task: the losses of some steps, how the state moved, and the validation loss."""
    found = {}
    for name in names:
        case = Case(name)
        net, rank, ranks = case.net(), processes.rank(), processes.size()
        if rank:
            for parameter in net.parameters():
                parameter.data.zero_()
        distributed.copy_from_main(net)
        share = batches(case, "auto", rank, ranks)
        built = optimizer("sgd", net, lr=0.01, weight_decay=1e-4)
        first = {key: value.clone() for key, value in net.state_dict().items()}
        losses = []
        for step in islice(
            steps(
                net, case.task.loss, share(), built, lambda number: 1.0, accumulate=2,
                forward=distributed.shared(net), loss_weight=share.loss_weight,
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
        moved = {key: value - first[key] for key, value in net.state_dict().items()}
        found[name] = (losses, moved, valid)
    return found


@pytest.mark.slow
def test_several_processes_take_the_steps_of_one():
    """Three, so that their shares are unequal."""
    names = sorted(tasks.all())
    torch.set_num_threads(1)
    alone, together = trained(names), on_ranks(3, trained, names)
    for name in names:
        losses, moved, valid = alone[name]
        for found in together:
            assert found[name][0] == pytest.approx(losses, rel=1e-3), name
            assert found[name][2] == pytest.approx(valid, rel=2e-2), name
            differences = []
            for key, value in moved.items():  # rounding grows from step to step
                differences.append((found[name][1][key] - value).float().norm())
                assert differences[-1] <= 0.1 * value.float().norm() + 1e-6, (name, key)
            whole = torch.stack([value.float().norm() for value in moved.values()]).norm()
            assert torch.stack(differences).norm() <= 0.01 * whole, name
        first, *others = (found[name] for found in together)
        for other in others:  # all ranks have the same bits
            assert other[0] == first[0]
            assert all(torch.equal(other[1][key], value) for key, value in first[1].items())


def agreed() -> dict[str, object]:
    rank = processes.rank()
    found = {
        "gather": processes.gather({"rank": rank}),
        "turns": processes.gather_in_turns([rank + 3 * i for i in range(3 - rank)]),
        "numbers": processes.gather_numbers([float(rank), math.nan]),
        "broadcast": processes.broadcast(f"of {rank}"),
        "mapped": list(processes.map_shares(lambda some: [2 * one for one in some], range(8))),
        "few": list(processes.map_shares(list, range(1))),
        "none": list(processes.map_shares(list, range(0))),
    }
    processes.check_equal({"the letter": "a"})
    try:
        processes.check_equal({"the letter": "abc"[rank]})
    except RunError as error:
        found["error"] = str(error)
    return found


def normalised() -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """A share of a batch, normalised; its gradient; and the statistics then."""
    torch.manual_seed(0)
    images, target = torch.randn(7, 3, 4, 5) * 2 + 100, torch.randn(7, 3, 4, 5)
    net = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, affine=False, momentum=None),
        BatchNormAct2d(3, act_layer=nn.Tanh),
    )
    rows = np.array_split(np.arange(7), processes.size())[processes.rank()]
    share = images[rows].requires_grad_()
    if processes.size() > 1:
        distributed.shared(net)
    for _ in range(2):
        output = net(share)
    ((output - target[rows]) ** 2).sum().backward()
    return output.detach(), share.grad, copy.deepcopy(net.state_dict())


@pytest.mark.slow
def test_ranks_agree_and_normalise_as_one():
    found = on_ranks(3, agreed)
    for one in found:
        assert one["gather"] == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
        assert one["turns"] == [0, 1, 2, 3, 4, 6]
        assert [row[0] for row in one["numbers"]] == [0, 1, 2]
        assert all(math.isnan(row[1]) for row in one["numbers"])
        assert one["broadcast"] == "of 0"
        assert one["mapped"] == [0, 2, 4, 6, 8, 10, 12, 14]
        assert one["few"] == [0]
        assert one["none"] == []
        assert "differ in the letter: rank 0 has a, rank 1 has b" in one["error"]
    alone, together = normalised(), on_ranks(3, normalised)
    for index in (0, 1):
        torch.testing.assert_close(
            torch.cat([one[index] for one in together]), alone[index], rtol=1e-3, atol=1e-4
        )
    for key, value in alone[2].items():
        for one in together:
            torch.testing.assert_close(one[2][key], value, rtol=1e-3, atol=1e-3)


def test_statistics_that_cannot_be_shared_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(SettingError, match="cannot share the statistics of a BatchNorm1d"):
        distributed.shared(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def connected_again() -> list[int]:
    """Connect three times in one process, as a script does that trains and tests."""
    found = []
    for _ in range(3):
        dist.destroy_process_group()
        with processes.connected(torch.device("cpu")):
            found.append(sum(processes.gather(processes.rank())))
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    return found


@pytest.mark.slow
def test_processes_can_connect_again():
    assert on_ranks(2, connected_again) == [[1, 1, 1]] * 2
