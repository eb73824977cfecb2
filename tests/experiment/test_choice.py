"""The model that foveate chooses, and the reason that it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate import models
from foveate.annotations import Boxes, Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.experiment import choice
from foveate.settings import Settings
from foveate.tasks import all as all_tasks
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection
from foveate.tasks.semantic import Semantic


def images(side: int, count: int, target) -> Dataset:
    pixels = np.zeros((1, side, side, 3), np.uint8)
    samples = [Sample(f"{row}.png", ArraySource(pixels, 0), target) for row in range(count)]
    task = "classification" if isinstance(target, Label) else "detection"
    return Dataset("x", task, ("a", "b"), samples)


def boxes() -> Boxes:
    return Boxes(np.array([[1.0, 1, 9, 9]]), np.array([0]))


def chosen(task, dataset: Dataset, **settings) -> tuple[str, str]:
    result = choice.with_model(Settings(**settings), task, dataset)
    return result.model, result.model_reason


@pytest.mark.parametrize(("side", "model"), [(63, "tiny_cnn"), (64, "efficientnet_lite0")])
def test_classes_start_from_pretrained_weights_where_images_are_photographs(side, model):
    name, reason = chosen(Classification, images(side, 4, Label(0)))
    assert name == model
    assert f"{side} px" in reason


@pytest.mark.parametrize(("task", "target"), [(Classification, Label(0)), (Detection, boxes())])
@pytest.mark.parametrize("size", [32, 33, 64])
def test_a_model_is_chosen_that_takes_the_size_that_is_asked_for(task, target, size):
    name, _ = chosen(task, images(128, 4, target), size=size)
    model = models.find(name)
    assert size >= model.smallest_size(pretrained=model.own_weights is not None)


@pytest.mark.parametrize(("side", "model"), [(63, "yolo"), (64, "efficientnet_lite0")])
def test_boxes_start_from_pretrained_weights_where_photographs_are_few(side, model):
    assert chosen(Detection, images(side, 4, boxes()))[0] == model


def test_many_boxes_are_learnt_from_random_weights(monkeypatch):
    monkeypatch.setattr(choice, "FEW_BOXES", 3)
    assert chosen(Detection, images(64, 3, boxes()))[0] == "efficientnet_lite0"
    assert chosen(Detection, images(64, 4, boxes())) == (
        "yolo", "4 boxes are enough for random weights",
    )  # fmt: skip


def test_a_short_time_is_spent_on_a_small_net(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    data = images(640, 200, boxes())
    name, reason = chosen(Detection, data, minutes=3)
    assert name == "yolo"
    assert "8 epochs" in reason
    assert "about 3.5" in reason
    assert chosen(Detection, data, minutes=10)[0] == "efficientnet_lite0"
    assert chosen(Detection, data, minutes=3, size=224)[0] == "efficientnet_lite0"
    assert chosen(Detection, data)[0] == "efficientnet_lite0"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert chosen(Detection, data, minutes=10)[0] == "yolo"


@pytest.mark.parametrize(
    ("side", "count", "settings", "model"),
    [
        (128, 4_300, {"minutes": 1}, "probe"),
        (128, 4_300, {"minutes": 3}, "efficientnet_lite0"),
        (128, 4_300, {"minutes": 3, "size": 224}, "probe"),
        (640, 4_300, {"minutes": 3}, "probe"),  # at 224 px
        (64, 4_300, {"minutes": 1}, "probe"),  # at 96 px
        (64, 4_300, {"minutes": 2}, "efficientnet_lite0"),
        (128, 4_300, {"epochs": 1}, "efficientnet_lite0"),
        (128, 4_300, {}, "efficientnet_lite0"),
        (128, 4_300, {"minutes": 1, "lr": 1e-4}, "efficientnet_lite0"),
        (128, 4_300, {"minutes": 1, "augment": "strong"}, "efficientnet_lite0"),
        (128, 4_300, {"minutes": 1, "ema": 0.9}, "efficientnet_lite0"),
        (32, 4_300, {"minutes": 1}, "tiny_cnn"),
    ],
)
def test_a_time_without_an_epoch_of_fine_tuning_is_spent_on_the_probe(
    monkeypatch, side, count, settings, model
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    name, reason = chosen(Classification, images(side, count, Label(0)), **settings)
    assert name == model
    assert ("epoch of fine-tuning" in reason or "epochs of fine-tuning" in reason) == (
        model == "probe"
    )


def test_an_accelerator_has_time_for_fine_tuning(monkeypatch):
    monkeypatch.setattr(choice, "find_device", lambda _: torch.device("cuda"))
    data = images(128, 4_300, Label(0))
    assert chosen(Classification, data, minutes=1)[0] == "efficientnet_lite0"


def test_masks_start_from_random_weights():
    assert chosen(Semantic, images(640, 4, boxes())) == (
        "unet:tiny_encoder", "it is the usual one for semantic",
    )  # fmt: skip


def test_each_task_names_models_that_exist():
    for task in all_tasks().values():
        for name in {task.default_settings["model"], task.pretrained_model} - {None}:
            models.find(name)
        if task.pretrained_model:
            assert models.find(task.pretrained_model).own_weights == models.INCLUDED


def test_a_length_that_is_asked_for_counts_as_time():
    data = images(64, 4, boxes())
    assert chosen(Detection, data, epochs=1)[0] == "yolo"
    assert chosen(Detection, data, epochs=8)[0] == "efficientnet_lite0"


@pytest.mark.parametrize("settings", [{"freeze": True}, {"weights": "download"}])
def test_frozen_or_pretrained_weights_choose_the_net_that_has_them(settings):
    for task in (Classification, Detection, Semantic):
        assert chosen(task, images(32, 4, boxes()), **settings)[0] == "efficientnet_lite0"
