"""The LR finder, time budgets, checkpoints, precision, and preprocessing with the weights."""

import csv
import shutil
import time

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import models, tasks
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches
from foveate.data.cache import decoding
from foveate.errors import Diverged, RunError
from foveate.experiment import predictions_file
from foveate.metrics.interactive import InteractiveMetric
from foveate.metrics.metric import ragged_column
from foveate.models.model import VisionModel, pixel_statistics
from foveate.training import checkpoint, device, fit, time_budget
from foveate.training.lr_finder import find_lr
from foveate.training.optim import optimizer
from helpers.toy_datasets import toy_dataset


@pytest.fixture(scope="module")
def small():
    """A task, a net and batches on a toy dataset."""
    dataset = toy_dataset("classification", 96, np.random.default_rng(0))
    images = decoding.decode(dataset, 16)
    task = tasks.find("classification")(dataset.classes)
    torch.manual_seed(0)
    net = VisionModel(
        task.head(models.build("tiny_cnn", channels=1, size=16)), size=16, mean=[60.0], std=[60.0]
    )
    targets, ids = [s.target for s in dataset], [s.id for s in dataset]
    batches = Batches(
        task, images.pixels, targets, ids, batch_size=32, seed=0, augment=ImageAugment()
    )
    return task, net, batches


def adam(net, lr=1e-3):
    return optimizer("adamw", net, lr=lr, weight_decay=0.0)


@pytest.mark.slow
def test_the_suggested_rate_lies_below_divergence(small):
    task, net, batches = small
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = find_lr(
        net, task.loss, batches, lambda net, lr: optimizer("sgd", net, lr=lr, weight_decay=0.0)
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert 1e-4 < found.suggestion <= 1
    assert found.rates == sorted(found.rates)
    assert min(found.losses) < 0.7 * found.losses[0]


def test_a_loss_that_is_never_finite_is_refused(small):
    task, net, batches = small

    def hopeless(output, target):
        return {"total": task.loss(output, target)["total"] * float("nan")}

    with pytest.raises(Diverged, match="even at a learning rate"):
        find_lr(net, hopeless, batches, lambda net, lr: adam(net, lr))


@pytest.mark.slow
def test_a_run_of_minutes_ends_in_time_and_can_be_repeated_to_the_bit(colours, tmp_path):
    began = time.monotonic()
    run = fv.train(colours, minutes=0.3, batch_size=8, out=tmp_path / "run")
    assert 0.5 * 18 < time.monotonic() - began < 2 * 18
    assert run.settings.minutes is None
    assert run.settings.progress_segments[-1][2] == run.results["steps"]
    again = fv.train(
        colours,
        progress_segments=run.settings.progress_segments,
        batch_size=8,
        out=tmp_path / "again",
    )
    mine, theirs = (checkpoint.read(one.weights)[0] for one in (run, again))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_the_progress_of_a_step_is_that_of_its_middle():
    assert [time_budget.progress_at(time_budget.straight(4), step) for step in range(4)] == [
        0.125,
        0.375,
        0.625,
        0.875,
    ]
    assert time_budget.progress_at([(0, 0.0, 50), (10, 0.2, 20)], 14) == pytest.approx(
        0.2 + 0.8 * 0.45
    )


def test_checkpoints_round_trip_and_refuse_other_files(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(7)}
    checkpoint.write(path, tensors, {"classes": ["ü", "b"]})
    again, record = checkpoint.read(path)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    assert record["classes"] == ["ü", "b"]
    with pytest.raises(RunError, match="missing"):
        checkpoint.read(tmp_path / "none")
    torch.save(tensors, path)  # a pickle
    with pytest.raises(RunError, match="damaged"):
        checkpoint.read(path)


def test_a_run_that_diverges_names_step_cause_and_good_weights(colours, tmp_path):
    with pytest.raises(Diverged) as stopped:
        fv.train(
            colours,
            model="mlp",
            optimizer="sgd",
            lr=1e6,
            epochs=4,
            batch_size=8,
            out=tmp_path / "run",
        )
    message = str(stopped.value)
    assert "step" in message
    assert "learning rate that is too high" in message
    assert "--lr find" in message
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_patience_stops_early_and_keeps_the_best(tmp_path, colours):
    run = fv.train(
        colours,
        model="mlp",
        lr=0.01,
        epochs=60,
        patience=3,
        batch_size=16,
        schedule="constant",
        out=tmp_path / "run",
    )
    losses = [row["valid_loss"] for row in run.curves]
    assert run.results["ended"] == "patience"
    assert len(losses) < 60
    assert losses.index(min(losses)) == len(losses) - 4
    assert run.results["best_epoch"] == run.curves[losses.index(min(losses))]["epoch"]


def test_predict_gives_the_predictions_that_were_scored(trained, colours):
    """Preprocessing travels with the weights: files and the evaluation agree on each image."""
    ids, stats = trained.read_predictions("valid")
    for id, predicted, confidence in zip(ids, stats["predicted"], stats["confidence"], strict=True):
        prediction = trained.predict(colours / id)
        assert prediction.class_name == trained.data["classes"][predicted]
        assert prediction.score == pytest.approx(confidence, abs=1e-5)
    many = trained.predict([colours / id for id in ids])
    assert [prediction.class_name for prediction in many] == [
        trained.data["classes"][p] for p in stats["predicted"]
    ]


def test_statistics_of_thousands_of_objects_in_an_image_are_read_again(tmp_path):
    limit, path = csv.field_size_limit(), tmp_path / "predictions_valid.csv"
    rows = [[[0, 0.5, 0.6, 0.7, 0.8, 0.9]] * 10_000, []]
    stats = {"objects": ragged_column(rows)}
    predictions_file.write(path, ["a", "b"], [("x", "y")] * 2, stats)
    ids, again = predictions_file.read(path, InteractiveMetric(), 2)
    assert ids == ["a", "b"]
    assert again["objects"].tolist() == rows
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("at_once", [1, 20, 100, 2**22])
def test_pixel_statistics_equal_numpys(at_once, monkeypatch):
    """Also for images so large that few rows of one are counted at once."""
    monkeypatch.setattr("foveate.models.model._PIXELS_PER_BLOCK", at_once)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)
    mean, std = pixel_statistics(pixels)
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)))
    assert pixel_statistics(np.zeros((2, 3, 3, 1), np.uint8)) == ([0.0], [1.0])


def test_normalisation_comes_from_the_train_split_alone(trained):
    """Weights carry the mean of train pixels, not of all pixels."""
    from foveate.experiment.prepare import reopen
    from foveate.progress import NullReporter

    prepared = reopen(trained, NullReporter())
    _, net = trained.load()
    mean, std = pixel_statistics(prepared.of("train")[0])
    np.testing.assert_allclose(net.mean.flatten().numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(net.std.flatten().numpy(), std, rtol=1e-5)
    assert not np.allclose(mean, pixel_statistics(prepared.images.pixels)[0], rtol=1e-4)


@pytest.mark.parametrize("avx512", [True, False])
@pytest.mark.parametrize("amx", [True, False])
def test_the_processor_decides_whether_a_cpu_trains_in_bfloat16(amx, avx512, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    cpu = torch.device("cpu")
    fast = device.fastest_precision(cpu, on_cpu=True)
    assert fast == ("bfloat16" if amx or avx512 else "float32")
    assert device.fastest_precision(cpu, on_cpu=False) == "float32"


def test_the_precision_is_recorded_once_it_is_chosen(trained):
    assert trained.settings.precision == "float32"  # `tiny_cnn` does not gain by bfloat16


def test_a_device_that_is_not_waited_for_takes_the_same_steps(
    trained, colours, tmp_path, monkeypatch
):
    monkeypatch.setattr(fit, "computes_at_once", lambda device: False)
    settings = trained.settings
    later = fv.train(
        colours, out=tmp_path / "run", epochs=settings.epochs, model=settings.model,
        seed=settings.seed, lr=settings.lr, batch_size=settings.batch_size,
    )  # fmt: skip
    mine, theirs = (checkpoint.read(run.weights)[0] for run in (later, trained))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    for row, other in zip(later.curves, trained.curves, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"])


@pytest.mark.slow
def test_compiled_steps_train_the_same_model(colours, tmp_path):
    if shutil.which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    runs = [
        fv.train(
            colours, out=tmp_path / str(compiled), epochs=2, model="cnn", compile=compiled, seed=1
        )
        for compiled in (False, True)
    ]
    plain, compiled = (run.curves[-1] for run in runs)
    assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"class_weights": "balanced"},
        {"class_weights": [1.0, 2.0, 3.0], "label_smoothing": 0.2},
        {"ema": 0.95, "clip": 1.0, "accumulate": 2},
        {"schedule": "cosine", "optimizer": "sgd", "lr": 0.05},
        {"lr": "find", "model": "cnn"},
        {"augment": "strong", "flip": False, "optimizer": "adam"},
        {"size": 40, "model": "resnet18", "epochs": 1},
        {"precision": "bfloat16"},
        {"precision": "float16", "clip": 1.0, "optimizer": "muon"},
        {"precision": "float16", "accumulate": 2, "optimizer": "adamw"},
    ],
)
def test_every_setting_trains_and_predicts(settings, colours, tmp_path):
    run = fv.train(colours, out=tmp_path / "run", **{"epochs": 2, "batch_size": 16, **settings})
    assert run.predict(colours / "red" / "000.png").class_name in ("blue", "green", "red")
    assert isinstance(run.settings.lr, float)
