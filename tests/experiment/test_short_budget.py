"""A time budget that is too short is named before training, and again in the verdict."""

from __future__ import annotations

import pytest

from foveate import tasks
from foveate.experiment.rehearsal import Rehearsal, warn_of_short_budget
from foveate.experiment.train import _segments
from foveate.experiment.verdict import no_training, short_training
from foveate.metrics.best_weights import LOSS
from foveate.progress import NullReporter
from foveate.settings import Settings
from foveate.tasks.task import Task


class Heard(NullReporter):
    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


def warnings_of(minutes, elapsed, validation, after, model="tiny_cnn", **more):
    heard = Heard()
    rehearsal = Rehearsal(validation, after, images=100)
    settings = Settings(minutes=minutes, size=128, model=model, **more)
    warn_of_short_budget(rehearsal, elapsed, 400, settings, heard)
    return heard.warnings


def test_what_a_budget_cannot_buy_is_said_with_the_minutes_that_would():
    # An epoch takes 12 s: 3 x 1 s for each 100 images.
    assert warnings_of(2, 10, 1, 20) == []
    assert warnings_of(1, 10, 1, 20) == [
        "a budget of 1 min trains about 2 epochs, as all else takes about 36 s; "
        "for 3 epochs give --minutes 2, or --size 96"
    ]
    (line,) = warnings_of(1, 50, 1, 20)  # a smaller size would not bring the time back
    assert line.startswith(
        "a budget of 1 min trains about 0.2 epochs, as all else takes about 76 s; for 3 epochs"
    )
    assert line.endswith("give --minutes 2")


@pytest.mark.parametrize(
    ("task", "name", "weights", "advice"),
    [
        ("classification", "tiny_cnn", None, ", or --size 32"),
        ("detection", "efficientnet_lite0", "included", ", or --size 64"),
        ("classification", "efficientnet_lite0", "included", ""),  # features would be worse
    ],
)
def test_the_size_that_is_advised_is_one_that_the_model_takes(task, name, weights, advice):
    (line,) = warnings_of(1, 10, 9, 20, name, weights=weights, task=task)
    assert line.endswith(f"--minutes 7{advice}")


@pytest.mark.parametrize(("other", "seconds"), [(20, 100), (900, -780)])
def test_what_all_else_takes_is_no_time_for_training(other, seconds):
    assert _segments(Settings(minutes=2), None, other)[1] == seconds


def test_a_model_that_was_hardly_trained_says_so():
    assert short_training({"steps": 1, "epochs": 0.007}) == (
        " It was trained for only 1 step, 0.7% of an epoch."
    )
    assert short_training({"steps": 300, "epochs": 0.5}) == ""
    assert short_training({"steps": 0, "epochs": 0.0}) == ""  # a linear probe, fitted at once


def test_a_model_that_training_did_not_improve_says_so():
    def rows(*losses, first=0):
        steps = range(first, first + len(losses))
        return [
            {"step": step, "epoch": 0.0, "valid_loss": loss, "valid_accuracy": 0.5}
            for step, loss in zip(steps, losses, strict=True)
        ]

    assert "linear probe" in no_training(rows(1.0, 1.1), LOSS)
    assert no_training(rows(1.0, 0.9), LOSS) == ""
    assert no_training(rows(1.0, first=1), LOSS) == ""  # of an epoch that rounds to 0
    assert no_training([], LOSS) == ""


@pytest.mark.parametrize("name", sorted(tasks.all()))
def test_a_task_that_calibrates_nothing_predicts_nothing_for_it(name):
    task = tasks.find(name)(["ant"])
    assert (task.calibration_predictions(10) > 0) == (type(task).calibrate is not Task.calibrate)
