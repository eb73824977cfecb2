"""A run of minutes: how many steps fit, and when the net is validated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveate.settings import check_segments
from foveate.training import time_budget


def validations(segments, per_epoch):
    """The steps after which a run with these segments is validated."""
    due: list[int] = []
    for step in range(1, segments[-1][2]):
        if time_budget.validation_due(segments, step, per_epoch, len(due)):
            due.append(step)
    return [*due, segments[-1][2]]


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_time_budget_finds_the_speed_and_follows_it(ahead):
    """10 steps a second, half as many after step 100: 20 seconds are 100 + 50 steps.

    Batches that are prepared ahead see the progress that is recorded for them.
    """
    segments, budget = time_budget.unknown(), time_budget.TimeBudget(20.0, 0, 0.0, per_epoch=5)
    seen = [time_budget.progress_at(segments, step) for step in range(ahead)]
    step, seconds = 0, 0.0
    while step < segments[-1][2]:
        seen.append(time_budget.progress_at(segments, step + ahead))
        step += 1
        seconds += 0.1 if step <= 100 else 0.2
        segments = budget.update(segments, step, seconds, ahead)
    assert 18 < seconds < 21.5
    assert segments[-1][2] == step
    seen = seen[:step]
    recorded = [time_budget.progress_at(segments, step) for step in range(step)]
    assert recorded == seen  # to the bit, though segments came later
    check_segments(segments)
    assert np.all(np.diff(seen) > 0)
    assert seen[-1] > 0.97
    assert np.max(np.diff(seen[12:])) < 0.02  # no jump in the learning rate
    assert len(segments) < 15


def test_a_budget_that_is_used_up_ends_the_run_at_once():
    budget = time_budget.TimeBudget(0.0, 0, 0.0, per_epoch=10)
    assert budget.update(time_budget.unknown(), 1, 0.1)[-1][2] == 1


@pytest.mark.parametrize("epochs", [6, 7, 40])
def test_a_run_of_enough_epochs_is_validated_after_each(epochs):
    steps = validations(time_budget.straight(10 * epochs), 10)
    assert steps == list(range(10, 10 * epochs + 1, 10))


@pytest.mark.parametrize("total", [6, 7, 12, 29, 59, 1000])
@pytest.mark.parametrize("per_epoch", [10, 40, 5000])
def test_a_run_of_few_epochs_is_validated_six_times_in_equal_shares(total, per_epoch):
    if total >= 6 * per_epoch:
        per_epoch = total
    steps = validations(time_budget.straight(total), per_epoch)
    assert len(steps) == 6
    assert np.abs(np.array(steps) - np.arange(1, 7) * total / 6).max() < 1 + 1e-6


@pytest.mark.parametrize("total", [1, 2, 5])
def test_a_run_of_few_steps_is_validated_after_each(total):
    assert validations(time_budget.straight(total), 100) == list(range(1, total + 1))


def simulate(budget, step_seconds, validation_seconds, per_epoch, known=0.0):
    """Seconds, validations and segments of a run whose steps and validations take so long."""
    clock = time_budget.TimeBudget(budget, 0, 0.0, per_epoch, known)
    segments, step, seconds, steps = time_budget.unknown(), 0, 0.0, []
    while step < segments[-1][2]:
        step += 1
        seconds += step_seconds(step)
        segments = clock.update(segments, step, seconds)
        if step >= segments[-1][2] or time_budget.validation_due(
            segments, step, per_epoch, len(steps)
        ):
            seconds += validation_seconds
            clock.add_validation(validation_seconds)
            steps.append(step)
    return seconds, steps, segments


@settings(max_examples=200, deadline=None)
@example(budget=586.0, speed=1.5, share=0.0366, per_epoch=124, seed=220)  # about six epochs
@given(
    budget=st.floats(20, 600),
    speed=st.floats(0.5, 200),
    share=st.floats(0.0, 0.05),
    per_epoch=st.integers(1, 3000),
    seed=st.integers(0, 1000),
)
def test_steps_and_validations_together_fit_the_budget(budget, speed, share, per_epoch, seed):
    """Whatever the speed, the length of an epoch and of a validation; steps vary by a fifth."""
    rng = np.random.default_rng(seed)
    validation = share * budget
    seconds, steps, segments = simulate(
        budget, lambda step: rng.uniform(0.8, 1.2) / speed, validation, per_epoch, validation
    )
    # An epoch that is shorter than its validation is no run that anyone plans.
    if per_epoch / speed > validation and budget * speed > 60:
        assert abs(seconds / budget - 1) < 0.1
        assert len(steps) >= 6
    assert steps == validations(segments, per_epoch)  # as a repetition of the run finds them
    check_segments(segments)


def test_steps_that_each_take_a_tenth_of_the_budget_are_counted_in_time():
    seconds, _, _ = simulate(60.0, lambda step: 6.0, 1.0, 100, 1.0)
    assert seconds <= 66


@pytest.mark.parametrize("seconds_per_step", [0.2, 1.0])
@pytest.mark.parametrize("budget", [0.0, 3.0, 20.0])
def test_a_budget_ends_well_where_batches_are_prepared_ahead(budget, seconds_per_step):
    """As on accelerators, whose clock is read after several steps."""
    clock, segments, step = time_budget.TimeBudget(budget, 0, 0.0, 10), time_budget.unknown(), 0
    while step < segments[-1][2]:
        step += 1
        if step % 16 == 0 or step >= segments[-1][2]:
            segments = clock.update(segments, step, seconds_per_step * step, ahead=2)
            time_budget.validation_due(segments, step, 10, 0)
    check_segments(segments)


def test_what_follows_training_gets_more_of_the_time_when_the_machine_turns_slower():
    clock = time_budget.TimeBudget(60.0, 0, 0.0, 10, validation=1.0, after=20.0, least=9.0)
    assert clock.budget == 60
    clock.add_validation(1.5)
    assert clock.budget == 50
    for _ in range(5):
        clock.add_validation(1.0)
    assert clock.budget == 60
    for _ in range(5):
        clock.add_validation(0.75)
    assert clock.budget == 65
    for _ in range(5):
        clock.add_validation(1000.0)
    assert clock.budget == 9


def test_a_budget_that_all_else_fills_is_given_back_only_what_it_lacks():
    """60 s, of which 10 are gone and 80 are to follow: faster validations leave 10, not 49."""
    clock = time_budget.TimeBudget(60 - 10 - 80, 0, 0.0, 100, validation=2.0, after=80.0, least=9.0)
    assert clock.budget == 9
    clock.add_validation(1.0)
    assert clock.budget == 10


def test_a_net_learns_something_where_validations_alone_would_fill_the_time():
    _, steps, _ = simulate(45.0, lambda step: 0.5, 9.0, 125, 9.0)
    assert max(steps) >= 20
    assert len(steps) >= 5
