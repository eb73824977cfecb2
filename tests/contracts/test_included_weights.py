"""Tasks on the pretrained net that is installed with foveate: what holds for each of them."""

from __future__ import annotations

import copy
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import models, tasks
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import SettingError
from foveate.experiment.model_file import header, load_model
from foveate.models.model import VisionModel, published_statistics
from foveate.settings import Settings
from foveate.tasks.capabilities import with_prompts
from foveate.training import checkpoint
from foveate.training.loop import steps
from foveate.training.optim import layer_rates, optimizer
from helpers import masks_demo
from helpers.command_line import hurry
from helpers.killing import killed_and_resumed
from helpers.toy_datasets import toy_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL, SIZE, N = "efficientnet_lite0", 33, 8
TASKS = ("detection", "instance", "promptable", "semantic")
CASES = [
    *((task, MODEL, channels) for task in TASKS for channels in (1, 3, 16)),
    *((task, f"unet:{MODEL}", 3) for task in TASKS if task != "detection"),
]
"""Task, model, and channels of the images."""


@cache
def pretrained(model: str, channels: int):
    torch.manual_seed(0)
    return models.build(model, channels=channels, size=SIZE, weights=models.INCLUDED)


class Case:
    """A task on a copy of the pretrained net, and N images of so many channels."""

    def __init__(self, name: str, model: str, channels: int):
        dataset = toy_dataset(name, N, np.random.default_rng(0))
        self.model = model
        self.targets = [sample.target for sample in dataset]
        self.ids = [sample.id for sample in dataset]
        self.images = [np.repeat(sample.source.read(), channels, 2) for sample in dataset]
        self.task = tasks.find(name).from_settings(dataset, Settings(), self.targets, hflip=False)
        backbone = copy.deepcopy(pretrained(model, channels))
        mean, std = published_statistics(channels, backbone.statistics)
        torch.manual_seed(1)
        self.net = VisionModel(self.task.head(backbone), size=SIZE, mean=mean, std=std)

    def loss(self):
        inputs, target = self.task.collate(
            torch.from_numpy(np.stack(self.images)).permute(0, 3, 1, 2),
            self.targets,
            SampleRNG(sample_keys(self.ids), seed=0),
        )
        return self.task.loss(self.net.train()(*inputs), target)["total"]

    def predict(self, task, net):
        images = with_prompts(task, self.images[:1], self.targets[:1])
        return [task.to_dict(prediction) for prediction in task.predict(net, images)]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request):
    return Case(*request.param)


def test_the_head_leaves_the_weights_as_published(case):
    published = pretrained(case.model, case.net.channels).state_dict()
    mine = case.net.backbone.state_dict()
    assert mine.keys() == published.keys()
    assert all(torch.equal(mine[key], value) for key, value in published.items())
    assert set(case.net.mean.flatten().tolist()) == {127.5}
    assert set(case.net.std.flatten().tolist()) == {127.5}


def test_every_weight_gets_a_finite_gradient(case):
    loss = case.loss()
    loss.backward()
    assert torch.isfinite(loss)
    for name, weight in case.net.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.any(), name


def test_frozen_layers_stay_as_published_while_the_others_learn(case):
    backbone = case.net.backbone
    backbone.freeze(3)
    before = copy.deepcopy(case.net.state_dict())
    rates = layer_rates(backbone, 0.5)
    built = optimizer("adamw", case.net, lr=0.01, weight_decay=0.1, rates=rates)
    case.loss().backward()
    built.step()
    frozen = {weight for group in backbone.layer_groups()[:3] for weight in group.parameters()}
    for name, weight in case.net.named_parameters():
        assert torch.equal(weight, before[name]) == (weight in frozen), name
    for name, value in backbone.named_buffers():
        if name.removeprefix("encoder.").startswith(("stages.0", "stages.1", "stages.2")):
            assert torch.equal(value, pretrained(case.model, case.net.channels).get_buffer(name))


def test_a_model_file_predicts_without_the_installed_weights(case, tmp_path, monkeypatch):
    def missing():
        raise AssertionError("the installed weights were read again")

    monkeypatch.setattr("foveate.models.backbones.efficientnet_lite._published", missing)
    case.loss()  # moves the running statistics
    settings = Settings(task=case.task.name, model=case.model, weights=models.INCLUDED)
    path = tmp_path / "best.safetensors"
    checkpoint.write(path, case.net.state_dict(), header(case.task, case.net, settings))
    task, loaded = load_model(path)
    assert case.predict(task, loaded) == case.predict(case.task, case.net)


def test_a_u_net_refuses_boxes_before_any_weights_are_trained():
    with pytest.raises(SettingError, match="U-Net"):
        Case("detection", f"unet:{MODEL}", 3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels"), [(name, 3) for name in TASKS] + [("semantic", 16)])
def test_one_batch_can_be_overfitted(name, channels):
    case = Case(name, MODEL, channels)
    batches = Batches(
        case.task, np.stack(case.images), case.targets, case.ids,
        batch_size=N, seed=0, augment=ImageAugment(),
    )  # fmt: skip
    rates = layer_rates(case.net.backbone, 0.7)
    built = optimizer("adamw", case.net, lr=2e-3, weight_decay=0.0, rates=rates)
    losses = [
        step.losses["total"].item()
        for step in steps(
            case.net, case.task.loss, islice(batches(), 80), built, lambda step: 1 - step / 80
        )
    ]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_killed_run_resumes_to_the_same_bits(name, tmp_path, monkeypatch):
    """Slow: it trains and kills a process."""
    hurry(monkeypatch)
    write = masks_demo.write_pairs if name == "semantic" else masks_demo.write_coco
    data = write(tmp_path / "data", 20, shapes=((48, 48),))
    settings = {
        "task": name, "model": MODEL, "epochs": 4, "batch_size": 4, "size": SIZE, "ema": 0.9,
        "save_seconds": 0.0, "augment": "strong",
    }  # fmt: skip
    killed_and_resumed(data, tmp_path, settings)
    run = fv.Run.open(tmp_path / "run")
    assert run.settings.weights == models.INCLUDED
    image = np.zeros((50, 70, 3), np.uint8)
    assert len(fv.predict(run.path, [image])) == 1
