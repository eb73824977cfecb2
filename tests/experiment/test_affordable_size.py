"""A short time budget trains smaller images, and says so; each task can be measured."""

from __future__ import annotations

import pytest

import foveate as fv
from foveate import tasks
from foveate.data import task_views
from foveate.experiment import affordable_size
from foveate.settings import Settings


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
    seconds = affordable_size._seconds_per_image(*prepared(scenes, name), 128)
    assert 0 < seconds < 30


def test_classes_and_captions_can_be_measured():
    for data, name in (("digits", "classification"), ("duos", "text_to_image")):
        assert affordable_size._seconds_per_image(*prepared(fv.load(data), name), 32) > 0


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        (1e-6, 512),  # anything fits
        (60 * 0.6 / 6 / (1500 * (3 * 0.7 + 0.15)) * 4.001, 224),  # a quarter of the pixels, nearly
        (1e3, 192),  # nothing does: a third
    ],
)
def test_the_size_is_the_largest_that_the_budget_affords(scenes, monkeypatch, seconds, size):
    monkeypatch.setattr(affordable_size, "_seconds_per_image", lambda *_: seconds)
    chosen, note = affordable_size.affordable_size(*prepared(scenes, "detection"), 512)
    assert chosen == size
    if size == 512:
        assert note is None
    else:
        assert f"resized to {size} px instead of 512" in note
        assert "--size 512" in note


def test_images_that_are_small_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(affordable_size, "_seconds_per_image", lambda *_: pytest.fail("measured"))
    task, data, settings = prepared(fv.load("digits"), "classification")
    assert affordable_size.affordable_size(task, data, settings, 28) == (28, None)
