"""The laws of several processes: they take the steps that one process takes."""

from __future__ import annotations

import copy
import math
import shutil
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import nn

from foveate import processes, tasks
from foveate.data.batches import validation_batches
from foveate.errors import RunError, SettingError
from foveate.training import distributed
from helpers.rank_steps import assert_alike, assert_same_bits, batches, trained
from helpers.ranks import on_ranks
from helpers.task_case import Case


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


compiled = partial(trained, compiled=True)


@pytest.mark.slow
def test_several_processes_take_the_steps_of_one():
    """Three, so that their shares are unequal."""
    names = sorted(tasks.all())
    torch.set_num_threads(1)
    alone, together = trained(names), on_ranks(3, trained, names)
    for name in names:
        expected, found = alone[name], [one[name] for one in together]
        assert_same_bits(found)
        assert found[0].losses == pytest.approx(expected.losses, rel=1e-3), name
        assert found[0].valid == pytest.approx(expected.valid, rel=2e-2), name
        assert_alike(found[0].moved, expected.moved, 0.1)
        assert_alike(found[0].ema, expected.ema, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "names"),
    [("bfloat16", sorted(tasks.all())), ("float16", ["classification", "detection"])],
)
def test_they_do_in_mixed_precision(precision, names):
    torch.set_num_threads(1)
    alone, together = trained(names, precision), on_ranks(2, trained, names, precision)
    for name in names:
        expected, found = alone[name], [one[name] for one in together]
        assert_same_bits(found)
        assert found[0].losses == pytest.approx(expected.losses, rel=0.03), name
        assert found[0].valid == pytest.approx(expected.valid, rel=0.03), name
        assert_alike(found[0].moved, expected.moved, 1.0, 0.05)
        assert_alike(found[0].ema, expected.ema, 1.0, 0.05)


@pytest.mark.slow
def test_a_loss_that_overflows_on_one_rank_is_left_out_by_all():
    """In float16: gradients are summed over the ranks, so all of them see it."""
    torch.set_num_threads(1)
    names = ["classification"]
    found = [one["classification"] for one in on_ranks(2, trained, names, "float16", 2)]
    assert_same_bits(found)
    assert found[0].scale == 128.0  # halved once
    assert all(value.isfinite().all() for value in found[0].moved.values())
    assert max(value.abs().max() for value in found[0].moved.values()) > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_they_do_when_compiled():
    torch.set_num_threads(1)
    names = ["classification"]
    expected = trained(names)["classification"]
    found = [one["classification"] for one in on_ranks(2, compiled, names)]
    assert_same_bits(found)
    assert found[0].losses == pytest.approx(expected.losses, rel=1e-3)
    assert_alike(found[0].moved, expected.moved, 0.1)
    assert_alike(found[0].ema, expected.ema, 0.1)


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
