"""A whole run on a device: trained, tested, reported, resumed and used there.

The device is pretended, see `helpers.pretended_device`; it computes as the CPU does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import tasks
from foveate.errors import Interrupted, SettingError
from foveate.progress import NullReporter
from foveate.tasks.classification import Classification
from foveate.training import checkpoint, device, fit
from helpers.interruption import interrupt_at
from helpers.pretended_device import DEVICE, PretendedDevice, allow_fused
from helpers.toy_datasets import toy_dataset

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def accelerator(monkeypatch):
    """A machine whose best device is pretended."""
    allow_fused(monkeypatch)
    monkeypatch.setattr(device, "available", lambda: [str(DEVICE), "cpu"])
    monkeypatch.setattr(fit, "AHEAD", 0)  # the mode below is one of this thread
    with PretendedDevice():
        yield


class Messages(NullReporter):
    def __init__(self):
        self.warnings = []

    def warning(self, message):
        self.warnings.append(message)


def assert_same(one: fv.Run, two: fv.Run) -> None:
    first, second = (checkpoint.read(run.weights)[0] for run in (one, two))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.usefixtures("accelerator")
def test_a_classifier_is_trained_and_used_there(tmp_path, colours: Path):
    settings = {"epochs": 2, "model": "tiny_cnn", "seed": 1}
    there = fv.train(colours, out=tmp_path / "there", **settings)
    here = fv.train(colours, out=tmp_path / "here", device="cpu", **settings)
    assert there.results["hardware"].startswith("meta; ")
    assert not here.results["hardware"].startswith("meta")
    assert there.load()[1].mean.device == DEVICE
    assert here.load()[1].mean.device == torch.device("cpu")
    assert_same(there, here)
    assert there.test() == here.test()
    image = colours / "red" / "000.png"
    assert there.predict(image) == here.predict(image)
    here.device = "meta"
    assert here.load()[1].mean.device == DEVICE


@pytest.mark.slow
@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("name", sorted(tasks.all()))
def test_each_task_is_trained_and_tested_there(name, tmp_path):
    data = toy_dataset(name, 60, np.random.default_rng(0))
    settings = {"task": name, "epochs": 1, "allow_errors": True, "allow_leak": True}
    # torch enlarges maps of a subclass in another order. What rounding changes grows with each
    # step, and Muon and Adam make whole steps of gradients that are next to nothing.
    settings |= {"optimizer": "sgd", "lr": 0.001, "precision": "float32", "batch_size": 32}
    there = fv.train(data, out=tmp_path / "there", **settings)
    here = fv.train(data, out=tmp_path / "here", device="cpu", **settings)
    first, second = (checkpoint.read(run.path / "last.safetensors")[0] for run in (there, here))
    for tensor, value in first.items():
        if tensor.startswith("net."):
            torch.testing.assert_close(value, second[tensor], rtol=0.001, atol=0.001)
    losses = [[row["valid_loss"] for row in run.curves] for run in (there, here)]
    np.testing.assert_allclose(*losses, rtol=0.001)
    assert there.test().keys() == here.test().keys()
    assert there.report_path.stat().st_size > 10_000


@pytest.mark.usefixtures("accelerator")
def test_an_interrupted_run_resumes_there(tmp_path, colours: Path, monkeypatch):
    settings = {"epochs": 2, "model": "tiny_cnn", "save_seconds": 0}
    straight = fv.train(colours, out=tmp_path / "straight", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0)
        with pytest.raises(Interrupted):
            fv.train(colours, out=tmp_path / "run", **settings)
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    assert_same(straight, fv.resume(tmp_path / "run"))

    monkeypatch.setattr(device, "available", lambda: ["cpu"])  # another machine
    with pytest.raises(SettingError, match="no device 'meta'"):
        fv.resume(tmp_path / "moved")
    messages = Messages()
    moved = fv.resume(tmp_path / "moved", device="cpu", reporter=messages)
    assert messages.warnings == [
        "this run began on meta and goes on with cpu: it will not end with the same bits"
    ]
    assert moved.finished
    assert moved.settings.device == "cpu"
    assert moved.load()[1].mean.device == torch.device("cpu")
    assert_same(straight, moved)  # the pretended device computes as the CPU does


@pytest.mark.usefixtures("accelerator")
def test_a_run_records_whether_it_can_be_repeated_to_the_bit(tmp_path, colours: Path, monkeypatch):
    settings = {"epochs": 2, "model": "tiny_cnn", "save_seconds": 0}
    here = fv.train(colours, out=tmp_path / "here", device="cpu", **settings)
    assert here.results["reproducible"] == {"to_the_bit": True, "reasons": []}
    there = fv.train(colours, out=tmp_path / "there", **settings)
    assert there.results["reproducible"]["to_the_bit"] is None  # torch checks no such device

    loss = Classification.loss

    def with_put(self, *args):
        torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))
        return loss(self, *args)

    monkeypatch.setattr(Classification, "loss", with_put)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0)
        with pytest.raises(Interrupted):
            fv.train(colours, out=tmp_path / "run", **settings)
    monkeypatch.setattr(Classification, "loss", loss)
    run = fv.resume(tmp_path / "run", device="cpu")
    reasons = run.results["reproducible"]["reasons"]
    assert run.results["reproducible"]["to_the_bit"] is False
    assert reasons == [
        "put_ has no deterministic version on this device",
        "this run began on meta and goes on with cpu",
    ]
    assert reasons[0] in run.report_path.read_text()


def test_a_device_that_is_not_here_is_refused_before_data_is_read(tmp_path):
    with pytest.raises(SettingError, match=r"no device 'cuda:7'; it has: .*cpu") as refused:
        fv.train(tmp_path / "nothing", device="cuda:7")
    assert "--device auto" in refused.value.remedy
    with pytest.raises(SettingError, match="no device 'tpu'"):
        fv.train(tmp_path / "nothing", device="tpu")
    with pytest.raises(SettingError, match="device: auto, cpu, cuda, cuda:1, mps or xpu is exp"):
        fv.train(tmp_path / "nothing", device="GPU 1")


def test_onnx_runtime_computes_on_no_other_device(trained):
    pytest.importorskip("onnxruntime")
    run = fv.Run.open(trained.path)
    run.runtime, run.device = "onnx", "cuda"
    with pytest.raises(SettingError, match=r"no device 'cuda'|computes on the CPU"):
        run.predict(np.zeros((16, 16, 3), np.uint8))


def test_a_run_of_another_machine_is_used_with_what_is_here(trained, tmp_path):
    moved = shutil.copytree(trained.path, tmp_path / "moved")
    text = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(text.replace("device: cpu", "device: cuda:7"))
    run = fv.Run.open(moved)
    assert run.settings.device == "cuda:7"
    assert run.load()[1].mean.device == torch.device("cpu")
    run.device = "cuda:7"
    with pytest.raises(SettingError, match="no device"):
        run.load()
