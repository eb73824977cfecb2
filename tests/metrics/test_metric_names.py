"""Metrics are written as the field writes them."""

import pytest

from foveate import tasks
from foveate.metrics.definitions import definition, definition_of_column
from foveate.metrics.generation import METRICS
from foveate.metrics.names import display_name, title_name, with_article


@pytest.mark.parametrize(
    ("name", "within", "first"),
    [
        ("map50", "mAP50", "mAP50"),
        ("map_small", "mAP small", "mAP small"),
        ("boundary_f1", "boundary F1", "Boundary F1"),
        ("miou", "mIoU", "mIoU"),
        ("accuracy", "accuracy", "Accuracy"),
        ("log_loss", "log loss", "Log loss"),
        ("iou_1", "IoU after 1 click", "IoU after 1 click"),
        ("iou_5", "IoU after 5 clicks", "IoU after 5 clicks"),
    ],
)
def test_names_are_the_fields_own(name, within, first):
    assert (display_name(name), title_name(name)) == (within, first)


@pytest.mark.parametrize("task", list(tasks.all()))
def test_no_primary_metric_is_shown_as_a_key(task):
    assert "_" not in title_name(tasks.find(task).primary_metric)
    assert title_name(tasks.find(task).primary_metric) != tasks.find(task).primary_metric


@pytest.mark.parametrize("task", [one for one in tasks.all() if one != "text_to_image"])
def test_every_metric_of_a_task_is_defined(task):
    metric = tasks.find(task)(["cat", "dog"]).metric()
    stats = {name: metric.to_column([]) for name in metric.columns()}
    names = metric.scorer(stats).metrics()
    assert names
    for name in names:
        assert definition(name).endswith("."), name


def test_every_metric_of_generated_images_is_defined():
    assert all(definition(name) for name in METRICS)


def test_columns_are_defined_by_their_titles_and_unknown_names_are_not():
    assert "0.5" in definition_of_column("AP50")
    assert definition_of_column("boundary F1") == definition("boundary_f1")
    assert definition_of_column("class") == definition("my_own_metric") == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map50", "an mAP50"),
        ("miou", "an mIoU"),
        ("iou_1", "an IoU after 1 click"),
        ("f1", "an F1"),
        ("pq", "a PQ"),
        ("accuracy", "an accuracy"),
        ("recall", "a recall"),
        ("boundary_f1", "a boundary F1"),
    ],
)
def test_a_name_has_the_article_of_how_it_is_said(name, text):
    assert with_article(name) == text
