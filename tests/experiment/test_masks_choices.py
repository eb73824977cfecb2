"""Masks of every kind, with other models and sizes, train and predict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import foveate as fv
from helpers import masks_demo
from helpers.command_line import hurry, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def short(tmp_path, monkeypatch) -> Callable[..., fv.Run]:
    """Train one epoch and predict; returns the run."""
    hurry(monkeypatch)

    def run(data: Path, *words: object) -> fv.Run:
        code, _, err = run_cli(
            "train", data, "--epochs", 1, "--batch-size", 4, *words, "--out", tmp_path / "run"
        )
        assert code == 0, err
        first = next(path for path in sorted(data.rglob("*.png")) if path.parent.name == "images")
        out = tmp_path / "masks", tmp_path / "drawn"
        code, said, err = run_cli(
            "predict", tmp_path / "run", first, "--masks", out[0], "--draw", out[1]
        )
        assert code == 0, err
        assert f"{first}  " in said
        return fv.Run.open(tmp_path / "run")

    return run


PLAIN = ("--model", "unet:4x2", "--size", 32)
CHOICES = {
    "classes": ("pairs", PLAIN),
    "classes, an encoder": ("pairs", ("--model", "unet:resnet18", "--size", 32)),
    "classes, balanced": ("pairs", (*PLAIN, "--set", "class_weights=balanced")),
    "16 bits of grey, an odd size": ("grey", ("--model", "unet:4x2", "--size", 37)),
    "outlines": ("coco", PLAIN),
    "a mask a thing, an odd size": (
        "cells",
        ("--model", "tiny_cnn", "--size", 33, "--set", "augment=strong"),
    ),
    "outlines as classes": ("coco", (*PLAIN, "--task", "semantic")),
}
WRITERS = {
    "pairs": masks_demo.write_pairs,
    "grey": partial(masks_demo.write_pairs, grey16=True),
    "coco": masks_demo.write_coco,
    "cells": masks_demo.write_cells,
}


@pytest.mark.parametrize(
    "choice",
    [pytest.param(name, marks=pytest.mark.slow) if "encoder" in name else name for name in CHOICES],
)
def test_other_data_models_and_sizes_train_and_predict(choice, short, tmp_path):
    """Slow with a ResNet encoder: 14 million weights are written several times."""
    kind, words = CHOICES[choice]
    run = short(WRITERS[kind](tmp_path / "data", 10, shapes=masks_demo.SQUARE), *words)
    semantic = kind in ("pairs", "grey") or "--task" in words
    assert run.settings.task == ("semantic" if semantic else "instance")
    assert run.load()[1].channels == (1 if kind == "grey" else 3)
    for name in (
        ("miou", "dice", "pixel_accuracy", "boundary_f1") if semantic else ("map50", "map", "pq")
    ):
        assert 0 <= run.results["valid"][name]["value"] <= 1
    if "--task" in words:
        assert run.data["classes"] == ["background", "square", "bar"]


@pytest.mark.parametrize("kind", ["pairs", "coco"])
def test_images_that_are_not_square_train_and_predict(kind, short, tmp_path):
    short(WRITERS[kind](tmp_path / "data", 10), *PLAIN)
