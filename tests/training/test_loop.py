import copy

import numpy as np
import pytest
import torch
from torch import nn

from foveate.errors import Diverged, SettingError
from foveate.training import time_budget
from foveate.training.ema import ModelEMA
from foveate.training.loop import steps
from foveate.training.optim import OPTIMIZERS, optimizer
from foveate.training.schedule import SCHEDULES, schedule


def mean_squares(output, target):
    return {"total": ((output - target) ** 2).mean()}


def problem(n=8, dropout=0.0):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 8), nn.Linear(8, 1)
    )
    x = torch.randn(40, 3)
    y = x.sum(1, keepdim=True)
    batches = [((x[i % 5 * 8 : i % 5 * 8 + 8],), y[i % 5 * 8 : i % 5 * 8 + 8]) for i in range(n)]
    return net, batches


def run(net, batches, name="sgd", lr=0.05, **options):
    built = optimizer(name, net, lr=lr, weight_decay=0.0)
    return list(steps(net, mean_squares, batches, built, lambda step: 1.0, **options))


def test_the_loop_equals_one_written_by_hand():
    net, batches = problem()
    by_hand = copy.deepcopy(net)
    run(net, batches)
    plain = torch.optim.SGD(by_hand.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for (x,), y in batches:
        plain.zero_grad()
        mean_squares(by_hand(x), y)["total"].backward()
        plain.step()
    for mine, other in zip(net.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(name):
    net, batches = problem(60)
    losses = [s.losses["total"].item() for s in run(net, batches, name, lr=0.03)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_accumulated_batches_equal_one_large_batch():
    net, batches = problem(4)
    other = copy.deepcopy(net)
    run(net, batches, accumulate=4)
    large = ((torch.cat([x for (x,), _ in batches]),), torch.cat([y for _, y in batches]))
    run(other, [large])
    for mine, its in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, its)


def test_clipping_bounds_the_step():
    net, batches = problem(1)
    before = [p.clone() for p in net.parameters()]
    built = torch.optim.SGD(net.parameters(), lr=1.0)
    built.param_groups[0]["peak_lr"] = 1.0
    list(steps(net, mean_squares, batches, built, lambda step: 1.0, clip=0.01))
    moved = torch.cat([(a - b).flatten() for a, b in zip(net.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_dropout_depends_on_seed_and_step_alone():
    net, batches = problem(6, dropout=0.5)
    whole, tail = copy.deepcopy(net), copy.deepcopy(net)
    torch.manual_seed(123)
    outputs = [s.output.detach() for s in run(whole, batches, lr=1e-12, seed=5)]
    torch.manual_seed(456)
    later = [s.output.detach() for s in run(tail, batches[3:], lr=1e-12, seed=5, start=3)]
    for a, b in zip(outputs[3:], later, strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(
        outputs[3], run(net, batches[3:], lr=1e-12, seed=6, start=3)[0].output
    )


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    net, batches = problem(5)
    batches[3] = ((batches[3][0][0] * float("nan"),), batches[3][1])
    other = copy.deepcopy(net)
    run(other, batches[:3])
    with pytest.raises(Diverged, match="step 3 is nan"):
        run(net, batches)
    for mine, its in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_break_stops_the_loop():
    net, batches = problem(6)
    built = optimizer("sgd", net, lr=0.01, weight_decay=0.0)
    for step in steps(net, mean_squares, batches, built, lambda step: 1.0):
        if step.number == 2:
            break
    assert step.number == 2


def test_the_ema_follows_the_weights_and_smooths_them():
    net, batches = problem(30)
    average = ModelEMA(net, decay=0.9)
    seen = []
    built = optimizer("sgd", net, lr=0.05, weight_decay=0.0)
    weight = net[0].weight
    expected = weight.detach().clone().double()
    for t, _ in enumerate(
        steps(net, mean_squares, batches, built, lambda step: 1.0, ema=average), 1
    ):
        share = 1 - min(0.9, (1 + t) / (10 + t))
        expected += share * (weight.detach().double() - expected)
        seen.append(weight.detach().clone())
    torch.testing.assert_close(average.state["0.weight"].double(), expected, atol=1e-5, rtol=1e-5)
    assert not torch.equal(average.state["0.weight"], seen[-1])


def test_the_ema_averages_batch_statistics_and_copies_their_counter():
    net = nn.Sequential(nn.BatchNorm1d(2))
    average = ModelEMA(net, decay=0.5)
    net(torch.randn(8, 2) + 3)
    average.update(net)
    assert average.state["0.num_batches_tracked"] == 1
    assert 0 < average.state["0.running_mean"][0] < 3


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_within_zero_and_one_and_no_step_is_wasted(name):
    for total in (1, 2, 10, 1000):
        factors = [
            schedule(name)(time_budget.progress_at(time_budget.straight(total), step))
            for step in range(total)
        ]
        assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) > 0.99


def test_one_cycle_rises_then_falls():
    factors = [
        schedule("one-cycle")(time_budget.progress_at(time_budget.straight(100), step))
        for step in range(100)
    ]
    peak = int(np.argmax(factors))
    assert 15 < peak < 25
    assert np.all(np.diff(factors[:peak]) > 0)
    assert np.all(np.diff(factors[peak + 1 :]) < 0)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(SettingError, match="there are: sgd"):
        optimizer("sgdd", nn.Linear(1, 1), lr=1, weight_decay=0)
    with pytest.raises(SettingError, match="there are: one-cycle"):
        schedule("none")


def test_biases_are_not_decayed():
    net = nn.Linear(4, 4)
    nn.init.ones_(net.weight)
    nn.init.ones_(net.bias)
    built = optimizer("sgd", net, lr=0.1, weight_decay=0.5)
    list(
        steps(
            net,
            lambda o, t: {"total": o.sum() * 0},
            [((torch.zeros(1, 4),), None)],
            built,
            lambda s: 1.0,
        )
    )
    assert torch.all(net.weight < 1)
    assert torch.all(net.bias == 1)
