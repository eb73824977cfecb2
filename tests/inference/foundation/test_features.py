"""ViT and DINOv2 from a folder as backbones: their features, linear probes and fine-tuning."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import foveate as fv
from foveate import models, tasks
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import SettingError
from foveate.models.model import VisionModel
from foveate.training import checkpoint
from helpers import tiny_models
from helpers.command_line import hurry, refused, run_cli
from helpers.toy_datasets import toy_dataset

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov2_with_registers"])
@torch.no_grad()
def test_maps_contain_the_librarys_tokens(kind, tmp_path):
    net = tiny_models.vit(tmp_path, kind)
    net = net.vit if kind == "vit" else net
    backbone = models.build(f"hf:{tmp_path}", channels=3, size=32, weights=tmp_path).eval()
    images = torch.randn(2, 3, 32, 32)
    expected = net(images).last_hidden_state
    (output,) = backbone(images)
    assert backbone.channels == (32,)
    assert backbone.strides == (8,)
    assert output.shape == (2, 32, 4, 4)
    others = 3 if kind == "dinov2_with_registers" else 1
    torch.testing.assert_close(
        output[:, :16].flatten(2).transpose(1, 2), expected[:, others:], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(output[:, 16:, 1, 2], expected[:, 0], atol=1e-5, rtol=1e-5)
    (other,) = backbone(torch.randn(1, 3, 50, 24))  # of another size and aspect
    assert other.shape == (1, 32, 6, 3)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov2_with_registers"])
def test_every_weight_gets_a_gradient_unless_frozen(kind, tmp_path):
    tiny_models.vit(tmp_path, kind)
    backbone = models.build(f"hf:{tmp_path}", channels=1, size=32, weights=tmp_path)
    backbone(torch.randn(2, 1, 32, 32))[0].square().sum().backward()
    moved = {name for name, weight in backbone.named_parameters() if weight.grad is not None}
    assert {name for name, _ in backbone.named_parameters()} - moved <= {
        "net.embeddings.mask_token"
    }
    backbone.freeze()
    assert not any(module.training for module in backbone.train().modules())
    assert not any(weight.requires_grad for weight in backbone.parameters())


def trained(data, model, out, **given):
    return fv.train(data, model=model, size=32, epochs=2, batch_size=16, out=out, **given)


def weights(run):
    return {
        key: value
        for key, value in checkpoint.read(run.weights)[0].items()
        if key.startswith("body.0.")
    }


def test_a_linear_probe_keeps_the_features_and_no_longer_needs_the_folder(
    vit, colours, tmp_path, monkeypatch
):
    hurry(monkeypatch)
    folder = tmp_path / "dir"
    shutil.copytree(vit[0], folder)
    words = (
        "--model",
        f"hf:{folder}",
        "--set",
        "freeze=true",
        "--size",
        32,
        "--epochs",
        2,
        "--batch-size",
        16,
    )
    code, _, err = run_cli("train", colours, *words, "--out", tmp_path / "run")
    assert code == 0, err
    run = fv.Run.open(tmp_path / "run")
    assert run.settings.weights == str(folder)
    state = {
        f"body.0.net.{key.removeprefix('vit.')}": value
        for key, value in vit[1].state_dict().items()
    }
    backbone = weights(run)
    assert backbone
    for key, value in backbone.items():
        assert torch.equal(value, state[key]), key
    shutil.rmtree(folder)
    run = fv.Run.open(tmp_path / "run")
    assert 0 <= run.test()["accuracy"]["value"] <= 1
    assert run.predict(np.zeros((20, 20, 3), np.uint8)).class_name in ("blue", "green", "red")
    message = refused("train", colours, *words, "--out", tmp_path / "again")
    assert "dir: there is no such folder" in message


def test_fine_tuning_starts_from_the_weights_and_changes_them(vit, colours, tmp_path, monkeypatch):
    hurry(monkeypatch)
    run = trained(colours, f"hf:{vit[0]}", tmp_path / "run", lr=1e-5)
    state = {
        f"body.0.net.{key.removeprefix('vit.')}": value
        for key, value in vit[1].state_dict().items()
    }
    moved = [not torch.equal(value, state[key]) for key, value in weights(run).items()]
    assert sum(moved) > len(moved) / 2
    for key, value in weights(run).items():
        torch.testing.assert_close(value, state[key], atol=1e-3, rtol=0)


def test_other_pretrained_backbones_can_be_frozen_too(colours, tmp_path, monkeypatch):
    """The running statistics of their normalisation layers stay as well."""
    timm = pytest.importorskip("timm")
    hurry(monkeypatch)
    torch.manual_seed(0)
    net = timm.create_model("test_resnet")
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path)
    run = trained(colours, "timm:test_resnet", tmp_path / "run", weights=str(path), freeze=True)
    for key, value in weights(run).items():
        assert torch.equal(value, net.state_dict()[key.removeprefix("body.0.net.")]), key


def test_freezing_a_u_net_freezes_its_encoder_only(vit):
    net = models.build(f"unet:hf:{vit[0]}", channels=3, size=32, weights=vit[0])
    net.freeze()
    net.train()
    assert not any(weight.requires_grad for weight in net.encoder.parameters())
    assert all(weight.requires_grad for weight in net.decoder.parameters())
    assert net.decoder.training
    assert not net.encoder.training
    name = models.self_contained_name(f"unet:hf:{vit[0]}")
    assert str(vit[0]) not in name
    again = models.build(name, channels=3, size=32)
    assert {key: value.shape for key, value in again.state_dict().items()} == {
        key: value.shape for key, value in net.state_dict().items()
    }


@pytest.mark.parametrize(
    "name", sorted({"detection", "instance", "promptable", "semantic"} & set(tasks.all()))
)
def test_every_task_trains_its_head_on_a_frozen_backbone(name, vit):
    """One step on a batch: the head gets gradients, the backbone none."""
    dataset = toy_dataset(name, 8, np.random.default_rng(0))
    task = tasks.find(name)(dataset.classes)
    backbone = models.build(f"hf:{vit[0]}", channels=1, size=32, weights=vit[0])
    backbone.freeze()
    net = VisionModel(task.head(backbone), size=32, mean=[120.0], std=[60.0])
    pixels = np.stack([sample.source.read() for sample in dataset])
    inputs, target = task.collate(
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        [sample.target for sample in dataset],
        SampleRNG(sample_keys([sample.id for sample in dataset]), seed=0),
    )
    loss = task.loss(net.train()(*inputs), target)["total"]
    loss.backward()
    assert torch.isfinite(loss)
    moved = [
        weight
        for weight in net.parameters()
        if weight.grad is not None and weight.grad.abs().sum() > 0
    ]
    assert moved
    assert not {id(weight) for weight in moved} & {id(weight) for weight in backbone.parameters()}


def test_random_weights_cannot_be_frozen(colours, tmp_path):
    message = refused(
        *(
            "train",
            colours,
            "--model",
            "tiny_cnn",
            "--set",
            "freeze=true",
            "--out",
            tmp_path / "run",
        )
    )
    assert "freezing needs published weights, but tiny_cnn starts from random ones" in message
    assert not (tmp_path / "run").exists()


def test_folders_without_a_backbone_are_refused(clip, vit, tmp_path):
    for name, message in {
        f"hf:{clip[0]}": r"type vit, dinov2, dinov2_with_registers is expected, got 'clip'",
        f"hf:{tmp_path}": r"it has no config\.json",
        "hf:/nowhere": "there is no such folder",
        "hf:": "a folder is expected after hf:",
        'hf:{"model_type"': "this description of a net cannot be read",
        'hf:{"model_type":"vit","hidden_size":"x"}': "describes no net",
    }.items():
        with pytest.raises(SettingError, match=message):
            models.find(name)
    with pytest.raises(SettingError, match=r"at least 8 px, got 7"):
        models.build(f"hf:{vit[0]}", channels=3, size=7)
    with pytest.raises(SettingError, match="got 5 channels"):
        models.build(f"hf:{vit[0]}", channels=5, size=32)
    with pytest.raises(SettingError, match="holds its own weights, got download as well"):
        models.initial_weights(f"hf:{vit[0]}", "download", frozen=False)


def test_images_are_normalised_as_in_the_folders_preprocessor(vit, tmp_path):
    assert models.build(f"hf:{vit[0]}", channels=3, size=32).statistics == ((0.5,) * 3, (0.5,) * 3)
    shutil.copytree(vit[0], tmp_path / "copy")
    config = '{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}'
    (tmp_path / "copy" / "preprocessor_config.json").write_text(config)
    assert models.build(f"hf:{tmp_path / 'copy'}", channels=3, size=32).statistics == (
        (0.1, 0.2, 0.3),
        (0.4, 0.5, 0.6),
    )
