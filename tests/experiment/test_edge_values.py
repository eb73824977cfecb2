"""Values at the end of their range are shown as bounds; those that do not exist are refused."""

from __future__ import annotations

import math

import pytest

import foveate as fv
from foveate.errors import DataError
from foveate.experiment import evaluate
from foveate.experiment.report import metric_card
from foveate.tasks.classification import Classification
from helpers.command_line import hurry


@pytest.mark.parametrize(
    ("value", "low", "high", "value_text", "interval"),
    [
        (0.0, 0.0, 0.029, "0.0%", "at most 2.9%"),
        (1.0, 0.97, 1.0, "100.0%", "at least 97.0%"),
        (0.5, 0.4, 0.6, "50.0%", "40.0% to 60.0%"),
        (0.5, 0.5, 0.5, "50.0%", "50.0% to 50.0%"),
        (0.5, None, None, "50.0%", ""),
    ],
)
def test_a_value_at_an_end_of_its_interval_is_a_bound(value, low, high, value_text, interval):
    metric = {"value": value, "low": low, "high": high, "n": 100}
    card = metric_card("calibration_error", metric, Classification(["ant", "bee"]))
    assert (card.value, card.detail) == (value_text, interval)


def test_a_validation_split_on_which_nothing_can_be_scored_is_refused_before_training(
    colours, tmp_path, monkeypatch
):
    class Unknown(evaluate.Scored):
        def __init__(self, *scored):
            super().__init__(*scored)
            self.samples.value["accuracy"] = math.nan

    hurry(monkeypatch)
    monkeypatch.setattr(evaluate, "Scored", Unknown)
    with pytest.raises(DataError, match=r"accuracy has no value on \d+ images of the valid split"):
        fv.train(colours, model="tiny_cnn", epochs=1, out=tmp_path / "run", size=16)
    assert not (tmp_path / "run").exists()
