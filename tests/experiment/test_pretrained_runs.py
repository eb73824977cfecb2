"""Runs that start from the included weights: chosen, started from the probe, resumed, tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import foveate as fv
from foveate import models
from foveate.data.cache import arrays
from foveate.data.dataset import Dataset
from foveate.data.image_reading import DEFAULT_READING
from foveate.datasets.load import load
from foveate.errors import Interrupted, SettingError
from foveate.experiment import building, choice, probing, train
from foveate.experiment.command_line import command_line
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection
from foveate.training import checkpoint
from helpers import boxes_demo as coco
from helpers.interruption import interrupt_at


def stripes(folder: Path, side: int, count: int = 24, noise: float = 60.0) -> Path:
    """Write images of two classes: stripes across or down, under noise."""
    rng = np.random.default_rng(0)
    for name in ("across", "down"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            wave = 128 + 100 * np.sin(np.arange(side) / rng.uniform(1.5, 3) + rng.uniform(0, 6))
            image = np.tile(wave, (side, 1)) + noise * rng.normal(size=(side, side))
            image = np.clip(image if name == "down" else image.T, 0, 255).astype(np.uint8)
            PIL.Image.fromarray(image).convert("RGB").save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return stripes(tmp_path_factory.mktemp("data") / "photographs", 64)


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory) -> fv.Run:
    return fv.train(photographs, out=tmp_path_factory.mktemp("runs") / "run", epochs=2)


def test_photographs_start_from_pretrained_weights_and_the_record_says_why(run):
    assert run.settings.model == "efficientnet_lite0"
    assert run.settings.weights == "included"
    assert "64 px" in run.settings.model_reason
    assert run.settings.size == 96
    assert "--model efficientnet_lite0" in command_line(run)
    assert "model_reason" not in command_line(run)


def test_the_probe_is_a_baseline_and_the_first_point_of_the_curves(run):
    values = run.results["baseline"]["valid"]
    assert (
        values["linear probe"]["accuracy"]["value"] > values["majority class"]["accuracy"]["value"]
    )
    first = run.curves[0]
    assert first["step"] == 0
    assert first["train_accuracy"] > 0.8
    assert min(row["valid_loss"] for row in run.curves) <= first["valid_loss"]
    assert len(run.curves) == 3


def test_fine_tuning_that_only_makes_the_net_worse_is_diagnosed_so(photographs, tmp_path):
    run = fv.train(photographs, out=tmp_path / "run", epochs=4, lr=0.1)
    assert run.curves[0]["valid_loss"] == min(row["valid_loss"] for row in run.curves)
    assert [found["name"] for found in run.results["verdicts"]] == ["worse from the start"]


def test_fine_tuning_changes_weights_and_keeps_the_running_statistics(run):
    last, _ = checkpoint.read(run.path / "last.safetensors")
    included = models.build("efficientnet_lite0", channels=3, size=96, weights="included")
    pairs = [
        (name, value, last[f"net.body.0.{name}"]) for name, value in included.state_dict().items()
    ]
    assert any("running_mean" in name for name, _, _ in pairs)
    for name, before, after in pairs:
        if "running" in name or "batches" in name:
            assert torch.equal(before, after), name
    assert not all(torch.equal(before, after) for _, before, after in pairs)


@pytest.mark.parametrize(("channels", "frozen"), [(1, True), (3, True), (4, False), (16, False)])
def test_the_first_layers_stay_as_published_unless_their_filters_are_a_guess(channels, frozen):
    settings = Settings.of(model=probing.MODEL, weights="included", task="detection")
    pixels = np.zeros((1, 64, 64, channels), np.uint8)
    net = building.build_net(Detection(("a", "b")), settings, pixels, DEFAULT_READING)
    for number, group in enumerate(net.backbone.layer_groups()):
        learns = not (frozen and number < 3)
        assert all(weight.requires_grad == learns for weight in group.parameters())


@pytest.mark.parametrize(
    ("task", "freeze", "factor"),
    [(Classification, False, 0.1), (Classification, True, 1.0), (Detection, False, 1.0)],
)
def test_the_fitted_layer_moves_slowly_beside_layers_that_learn(task, freeze, factor):
    settings = Settings.of(
        model=probing.MODEL, weights="included", optimizer="adamw", freeze=freeze, task=task.name
    )
    net = probing.included_net(3, 64, task(("across", "down")).head)
    net.backbone.freeze(None if freeze else 0)
    rates = {
        weight: group["peak_lr"]
        for group in train._optimizer(settings, net, 0.01).param_groups
        for weight in group["params"]
    }
    assert max(rates.values()) == 0.01
    *_, last = net.parameters()
    assert rates[last] == pytest.approx(0.01 * factor)


def test_the_command_of_a_probe_has_no_epochs_and_its_net_predicts_as_the_baseline(
    photographs, run, tmp_path
):
    probe = fv.train(photographs, out=tmp_path / "probe", model="probe")
    assert [row["step"] for row in probe.curves] == [0]
    assert probe.results["steps"] == 0
    assert probe.finished
    assert "linear probe" not in probe.results["baseline"]["valid"]
    assert (
        probe.results["valid"]["accuracy"]["value"]
        == run.results["baseline"]["valid"]["linear probe"]["accuracy"]["value"]
    )
    assert 0.4 < probe.test()["accuracy"]["value"] <= 1
    assert fv.resume(probe).results["steps"] == 0


def test_small_images_start_from_random_weights(tmp_path):
    data = load(stripes(tmp_path / "small", 28, 4))
    settings = choice.with_model(Settings(), Classification, data)
    assert settings.model == "tiny_cnn"
    assert "28 px" in settings.model_reason


def test_an_interrupted_fine_tuning_resumes_to_the_same_bits(
    photographs, run, tmp_path, monkeypatch
):
    interrupt_at(monkeypatch, 0)
    with pytest.raises(Interrupted):
        fv.train(photographs, out=tmp_path / "run", epochs=2, save_seconds=0)
    monkeypatch.undo()
    again = fv.resume(tmp_path / "run")
    for name in ("best", "last"):
        one, _ = checkpoint.read(run.path / f"{name}.safetensors")
        two, _ = checkpoint.read(again.path / f"{name}.safetensors")
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name


@pytest.mark.usefixtures("run")
def test_features_are_computed_once(photographs, tmp_path, monkeypatch):
    def features(*_args, **_kwargs):
        raise AssertionError("features are in the cache")

    monkeypatch.setattr(probing, "features", features)
    fv.train(photographs, out=tmp_path / "again", model="probe")
    monkeypatch.setattr(arrays, "load", lambda key, shape: None)
    with pytest.raises(AssertionError, match="in the cache"):
        fv.train(photographs, out=tmp_path / "anew", model="probe")


def test_a_probe_takes_no_epochs(photographs, tmp_path):
    with pytest.raises(SettingError, match="fitted at once"):
        fv.train(photographs, out=tmp_path / "run", model="probe", epochs=3)


def test_a_probe_classifies_whole_images_only(tmp_path):
    data = coco.write(tmp_path / "data", 12)
    with pytest.raises(SettingError, match="classification") as refused:
        fv.train(data, out=tmp_path / "run", model="probe")
    assert "efficientnet_lite0" in refused.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("side", [9, 33])
def test_images_of_few_pixels_are_enlarged(tmp_path, side):
    data = stripes(tmp_path / "data", side, 6)
    run = fv.train(data, out=tmp_path / "run", model="efficientnet_lite0", epochs=1)
    assert run.settings.size == 96


def test_the_natural_size_of_an_empty_dataset_is_no_error():
    empty: Dataset = Dataset("x", "classification", ("a", "b"), [])
    assert choice.with_model(Settings(), Classification, empty).model == "tiny_cnn"


def test_fine_tuning_starts_from_some_of_many_images_and_a_probe_from_all(
    photographs, tmp_path, monkeypatch
):
    counts, original = [], probing.fit_probe

    def fit_probe(seen, *others):
        counts.append(len(seen[1]))
        return original(seen, *others)

    monkeypatch.setattr(probing, "fit_probe", fit_probe)
    monkeypatch.setattr(probing, "MAX_BASELINE_IMAGES", 10)
    fv.train(photographs, out=tmp_path / "tuned", epochs=1)
    assert counts[-1] == 10
    fv.train(photographs, out=tmp_path / "probe", model="probe")
    assert counts[-1] > 10
