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


def test_the_criterion_in_words():
    assert criterion("valid_loss") == "lowest validation loss"
    assert criterion("valid_map50") == "highest validation mAP50"
