"""A short time budget trains smaller images, and says so; each task can be measured."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import foveate as fv
from foveate import tasks
from foveate.data import task_views
from foveate.experiment import affordable_size
from foveate.settings import Settings
from helpers.colour_folder import make_folder


@pytest.fixture(scope="module")
def scenes():
    return fv.load("scenes")


def prepared(dataset, name, **settings):
    task = tasks.find(name)
    view = task_views.for_task(dataset, name)
    values = {**task.default_settings, "task": name, "minutes": 1, **settings}
    return task(view.classes), view, Settings.of(**values)


@pytest.mark.parametrize("name", ["detection", "semantic", "instance", "promptable"])
def test_each_task_can_be_measured(scenes, name):
    cost = affordable_size._cost(*prepared(scenes, name), 128)
    assert 0 < cost.forward < 30
    assert 0 < cost.prediction < 30


def test_classes_and_captions_can_be_measured():
    for data, name in (("digits", "classification"), ("duos", "text_to_image")):
        assert affordable_size._cost(*prepared(fv.load(data), name), 32).forward > 0


TRAIN, VALID = 1000, 200
LEFT = 60 - affordable_size.OTHER_SECONDS
NOTHING_LEFT = "resized to 192 px instead of 512: at 512 px, 1 min would train less than a tenth"


@pytest.mark.parametrize(
    ("forward", "prediction", "size", "note"),
    [
        (1e-6, 1e-6, 512, None),  # anything fits
        (LEFT / (6 * 3 * TRAIN + 7 * VALID) * 3.99, 0, 256, "resized to 256 px"),  # a quarter
        (1e-6, LEFT / (2 * VALID) * 3.9, 256, NOTHING_LEFT.replace("192", "256")),
        (1e3, 0, 192, NOTHING_LEFT),  # nothing fits: a third
    ],
)
def test_the_size_is_the_largest_whose_training_and_evaluation_the_budget_affords(
    scenes, monkeypatch, forward, prediction, size, note
):
    cost = affordable_size.Cost(forward, prediction)
    monkeypatch.setattr(affordable_size, "_cost", lambda *_: cost)
    chosen, found = affordable_size.affordable_size(*prepared(scenes, "detection"), 512)
    assert chosen == size
    assert found is None if note is None else note in found
    assert found is None or "--size 512" in found


@pytest.mark.parametrize(
    ("model", "weights", "passes", "validations", "affordable", "size"),
    [
        # The features, half a pass, and a tenth of an epoch, which takes three.
        ("efficientnet_lite0", "included", 0.5 + 0.3, 7.5, 0.99, 128),
        ("efficientnet_lite0", "included", 0.5 + 0.3, 7.5, 1.7, 96),
        ("probe", "included", 0.5, 1.5, 0.99, 128),
        ("probe", "included", 0.5, 1.5, 1.7, 96),
        ("efficientnet_lite0", None, 0.5 + 0.3, 7.5, 0.99, 64),  # random weights need epochs
    ],
)
def test_the_features_of_a_probe_are_worth_the_usual_size(
    tmp_path, monkeypatch, model, weights, passes, validations, affordable, size
):
    data = fv.load(make_folder(tmp_path, each=30, size=128))
    settings = {"model": model, "weights": weights}
    task, data, settings = prepared(data, "classification", **settings)
    train, valid = (share * len(data) for share in settings.fractions[:2])
    cost = affordable_size.Cost(LEFT / (passes * train + validations * valid) * affordable, 0)
    monkeypatch.setattr(affordable_size, "_cost", lambda *_: cost)
    chosen, note = affordable_size.affordable_size(task, data, settings, 128)
    assert chosen == size
    assert ("features" in (note or "")) == (model == "probe" and size < 128)


def test_few_images_are_trained_for_enough_steps(scenes, monkeypatch):
    """Of 32 images in batches of 16, 200 steps take 100 epochs."""
    task, data, settings = prepared(scenes, "detection", batch_size=16)
    few = [one for one in data.samples if one.split == "train"][:32]
    data = replace(data, samples=few + [one for one in data.samples if one.split == "valid"])
    cost = affordable_size.Cost(LEFT / (100 * 3 * len(few) + 7 * VALID) * 3.99, 0)
    monkeypatch.setattr(affordable_size, "_cost", lambda *_: cost)
    assert affordable_size.affordable_size(task, data, settings, 512)[0] == 256


def test_time_that_is_gone_makes_images_smaller(scenes, monkeypatch):
    cost = affordable_size.Cost(LEFT / (6 * 3 * TRAIN + 7 * VALID), 0)
    monkeypatch.setattr(affordable_size, "_cost", lambda *_: cost)
    sizes = [
        affordable_size.affordable_size(*prepared(scenes, "instance"), 512, began=began)[0]
        for began in (None, time.monotonic() - 30)
    ]
    assert sizes[0] == 512 > sizes[1]


def test_images_that_are_small_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(affordable_size, "_cost", lambda *_: pytest.fail("measured"))
    task, data, settings = prepared(fv.load("digits"), "classification")
    assert affordable_size.affordable_size(task, data, settings, 28) == (28, None)
