"""Metrics are written as the field writes them."""

import pytest

from foveate import tasks
from foveate.metrics.names import display_name, title_name


@pytest.mark.parametrize(
    ("name", "within", "first"),
    [
        ("map50", "mAP50", "mAP50"),
        ("map_small", "mAP small", "mAP small"),
        ("boundary_f1", "boundary F1", "Boundary F1"),
        ("miou", "mIoU", "mIoU"),
        ("accuracy", "accuracy", "Accuracy"),
        ("log_loss", "log loss", "Log loss"),
    ],
)
def test_names_are_the_fields_own(name, within, first):
    assert (display_name(name), title_name(name)) == (within, first)


@pytest.mark.parametrize("task", list(tasks.all()))
def test_no_primary_metric_is_shown_as_a_key(task):
    assert "_" not in title_name(tasks.find(task).primary_metric)
    assert title_name(tasks.find(task).primary_metric) != tasks.find(task).primary_metric
