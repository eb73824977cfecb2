"""The map of a split: every image is on it, every mistake has a ring, the net is not changed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import models
from foveate.data.subset import Subset
from foveate.experiment.mistakes_map import mistakes_map
from foveate.models.model import VisionModel
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection

COUNT = 40


@pytest.fixture(scope="module")
def drawn():
    """A net, what it predicts, and the images that it has seen."""
    torch.manual_seed(0)
    task = Classification(("dark", "bright"))
    head = task.head(models.build("tiny_cnn", channels=1, size=16))
    net = VisionModel(head, size=16, mean=[0.5], std=[0.25])
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 16, 16, 1), np.uint8)
    ids = [f"{row}.png" for row in range(COUNT)]
    prepared = SimpleNamespace(of=lambda split: (Subset(pixels, np.arange(COUNT)), None, ids))
    predicted = np.zeros(COUNT, np.int64)
    predicted[[3, 30]] = 1
    stats = {"target": np.zeros(COUNT, np.int64), "predicted": predicted}
    return task, net, prepared, ids, stats


def test_each_image_has_a_dot_and_each_mistake_a_ring(drawn):
    task, net, prepared, ids, stats = drawn
    before = {name: value.clone() for name, value in net.state_dict().items()}
    (chart,) = mistakes_map(task, net, prepared, "valid", ids[::-1], stats)
    assert "2 images with a ring: predicted wrongly" in chart.plot.alt
    assert f"A map of {COUNT} images" in chart.plot.alt
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training


def test_the_features_of_an_image_are_found_by_its_id(drawn, monkeypatch):
    task, net, prepared, ids, stats = drawn
    seen = []

    def features(_net, images):
        seen.append(images.rows.tolist())
        return np.eye(COUNT, dtype=np.float32)

    monkeypatch.setattr("foveate.experiment.mistakes_map.features", features)
    for order in (1, -1):
        list(mistakes_map(task, net, prepared, "valid", ids[::order], stats))
    assert seen == [list(range(COUNT)), list(range(COUNT))[::-1]]


def test_there_is_no_map_of_few_images_or_of_other_tasks(drawn):
    task, net, prepared, ids, stats = drawn
    few = {name: value[:5] for name, value in stats.items()}
    assert not [*mistakes_map(task, net, prepared, "valid", ids[:5], few)]
    assert not [*mistakes_map(Detection(("a", "b")), net, prepared, "valid", ids, stats)]


def test_the_report_of_a_run_shows_the_map(tmp_path):
    run = fv.train("digits", epochs=1, out=tmp_path / "run")
    page = run.report_path.read_text(encoding="utf-8")
    assert "Map of the images" in page
    assert "predicted wrongly" in page
