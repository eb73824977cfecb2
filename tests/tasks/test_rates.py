"""Rates: a prediction of every task in a few numbers, from the values that its file has."""

from __future__ import annotations

import json

import numpy as np
import pytest

from foveate import tasks
from foveate.tasks.capabilities import GeneratesImages, Interactive
from helpers.task_case import Case


@pytest.mark.parametrize("name", sorted(tasks.all()))
def test_every_task_that_predicts_alone_has_rates(name):
    case = Case(name)
    if isinstance(case.task, Interactive | GeneratesImages):
        pytest.skip("it predicts nothing from images alone")
    predictions = case.predictions(case.net(), slice(0, 4))
    for annotation in [*case.targets, *predictions]:
        values = json.loads(json.dumps(case.task.to_dict(annotation)))
        rates = case.task.rates({"probability": 1.0, **values})
        assert rates is not None
        assert set(rates.amounts) <= set(case.task.classes)
        assert all(amount > 0 for amount in rates.amounts.values())
        assert rates.confidence is None or 0 <= rates.confidence <= 1
        if rates.objects is not None:
            assert rates.objects == sum(rates.amounts.values())
        else:
            assert sum(rates.amounts.values()) == pytest.approx(1, abs=1e-4)


def test_rates_of_objects_are_their_number_and_mean_score():
    task = tasks.find("detection")(("a", "b"))
    boxes = [{"class": "a", "score": 0.5}, {"class": "a", "score": 0.7}, {"class": "b", "score": 1}]
    rates = task.rates({"boxes": boxes})
    assert (rates.amounts, rates.objects) == ({"a": 2.0, "b": 1.0}, 3)
    assert rates.confidence == pytest.approx(np.mean([0.5, 0.7, 1]))
    assert task.rates({"boxes": []}).confidence is None
