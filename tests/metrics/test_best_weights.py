"""Which weights of a run are kept."""

from __future__ import annotations

import math

import pytest

from foveate.metrics.best_weights import best_row, criterion

NAN, INF = math.nan, math.inf


def rows(losses, metrics):
    return [
        {"valid_loss": loss, "valid_map50": metric}
        for loss, metric in zip(losses, metrics, strict=True)
    ]


@pytest.mark.parametrize(
    ("losses", "metrics", "by_loss", "by_metric"),
    [
        ([], [], None, None),
        ([1.0], [0.0], 0, 0),
        ([1.0, 2.0, 3.0], [0.0, 0.5, 0.4], 0, 1),
        ([3.0, 1.0, 2.0], [0.5, 0.5, 0.5], 1, 1),  # equal metrics: the lowest loss
        ([1.0, 1.0], [0.5, 0.5], 0, 0),  # equal rows: the first
        ([2.0, 1.0, 3.0], [NAN, NAN, NAN], 1, 1),  # nothing to score
        ([2.0, 1.0, 3.0], [0.1, NAN, 0.0], 1, 0),
        ([NAN, 2.0, INF], [0.9, 0.1, 0.9], 1, 1),  # a broken net is never the best
        ([NAN, INF], [0.9, 0.9], None, None),
    ],
)
def test_the_best_row(losses, metrics, by_loss, by_metric):
    assert best_row(rows(losses, metrics)) == by_loss
    assert best_row(rows(losses, metrics), "valid_map50") == by_metric


@pytest.mark.parametrize(
    ("losses", "metrics", "best"),
    [
        ([1.0, 0.9, 0.8], [0.7, 0.6, 0.6], 0),  # the loss falls, and fewer images are right
        ([1.0, 0.9, 0.8], [0.7, 0.7, 0.6], 1),
        ([1.0, 0.9, 0.8], [0.7, 0.6, 0.8], 2),
        ([1.0, 1.1, 1.2], [0.7, 0.8, 0.9], 0),  # the loss decides
        ([NAN, 0.9, 0.8], [0.7, 0.6, 0.6], 2),  # a broken start is no measure
        ([1.0, 0.9, 0.8], [NAN, 0.6, 0.5], 2),
    ],
)
def test_fine_tuned_weights_are_not_below_the_start(losses, metrics, best):
    curves = [row | {"step": step} for step, row in enumerate(rows(losses, metrics))]
    assert best_row(curves) == best


def test_the_criterion_in_words():
    falling = rows([1.0, 0.9], [0.7, 0.6])
    assert criterion("valid_loss", falling) == "lowest validation loss"
    assert criterion("valid_map50", falling) == "highest validation mAP50"
    started = [row | {"step": step} for step, row in enumerate(falling)]
    assert criterion("valid_loss", started) == (
        "lowest validation loss among those whose mAP50 is no lower than before training"
    )
