"""Several models predict together where their task has a mean; other tasks say what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate import models, tasks
from foveate.errors import SettingError
from foveate.experiment.trials.cross_validate import cross_validate
from foveate.models.model import VisionModel
from foveate.tasks.capabilities import Averaged, require

CLASSES = ("one", "two", "three")


def build(name: str, seed: int) -> tuple:
    torch.manual_seed(seed)
    task = tasks.find(name)(CLASSES)
    model = task.default_settings["model"]
    backbone = models.build(model, channels=3, size=64)
    zeros, ones = [0.0] * 3, [1.0] * 3
    return task, VisionModel(task.head(backbone), size=64, mean=zeros, std=ones).eval()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, width, 3), dtype=np.uint8) for width in (64, 40)]


def test_labels_are_those_of_the_mean_probability(images):
    each = [build("classification", seed) for seed in range(3)]
    each[1][0].temperature = 0.5  # each fold is calibrated for itself
    mean = require(each[0][0], Averaged).predict_mean(each, images)
    scores = np.mean([[one.scores for one in task.predict(net, images)] for task, net in each], 0)
    np.testing.assert_allclose([label.scores for label in mean], scores)
    assert [label.index for label in mean] == scores.argmax(1).tolist()
    assert each[0][0].predict_mean(each, []) == []


def test_one_model_alone_has_its_own_mean(images):
    for name in ("classification", "semantic"):
        task, net = build(name, 0)
        alone, mean = task.predict(net, images), task.predict_mean([(task, net)], images)
        assert [task.to_dict(one) for one in alone] == [task.to_dict(one) for one in mean]


def test_pixels_have_the_class_of_the_mean_probability(images):
    each = [build("semantic", seed) for seed in range(2)]
    (mask, _) = each[0][0].predict_mean(each, images)
    batch = torch.from_numpy(images[0]).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = sum(net(batch).softmax(1) for _, net in each).argmax(1)[0].numpy()
    np.testing.assert_array_equal(mask.pixels.read(), expected)


@pytest.mark.parametrize("name", sorted(set(tasks.all()) - {"classification", "semantic"}))
def test_other_tasks_say_what_to_do_instead(name):
    with pytest.raises(SettingError, match="Name the run of one fold"):
        require(tasks.find(name)(CLASSES), Averaged)


def test_a_task_with_an_evaluator_of_its_own_is_not_folded(tmp_path):
    with pytest.raises(SettingError, match="the folds share no metric"):
        cross_validate("duos", task="text_to_image", folds=3, out=tmp_path / "cv")
