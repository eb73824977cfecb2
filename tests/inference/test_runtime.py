"""The runtime that a run is predicted with: what is chosen, refused, kept and converted again."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import models
from foveate.errors import SettingError
from foveate.inference import onnx_model
from foveate.inference.onnx_model import check_installed, open_onnx
from foveate.models.fused import fused
from foveate.models.model import VisionModel
from foveate.tasks.classification import Classification
from helpers import crowded
from helpers.command_line import refused

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnx"


def tiny(seed: int = 0) -> VisionModel:
    """A net that is converted in a second."""
    torch.manual_seed(seed)
    task = Classification(("a", "b"))
    backbone = models.build("mlp:4", channels=1, size=4)
    return fused(VisionModel(task.head(backbone), size=4, mean=[110.0], std=[60.0]))


def images() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (5, 1, 4, 4), dtype=np.uint8))


def test_a_run_is_computed_by_torch_and_other_names_are_refused(trained):
    run = fv.Run(trained.path, trained.settings)
    assert run.runtime == "torch"
    with pytest.raises(SettingError, match="torch or onnx is expected, got 'tensorflow'"):
        run.runtime = "tensorflow"
    assert run.runtime == "torch"


def test_a_foundation_model_has_no_other_runtime():
    with pytest.raises(SettingError, match="the runtime torch is expected, got 'onnx'"):
        crowded.Crowded(2).runtime = "onnx"


def test_the_command_refuses_an_unknown_runtime(trained, colours):
    text = refused("predict", trained.path, colours / "red", "--runtime", "tensorflow")
    assert "torch or onnx is expected" in text


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx", "onnxscript"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingError, match=missing) as refused:
        check_installed() if missing == "onnxruntime" else open_onnx(
            tiny(), "digest", any_size=False
        )
    assert "pip install 'foveate[export]'" in refused.value.remedy


def test_a_net_that_cannot_be_converted_is_refused_in_one_sentence(monkeypatch):
    def fail(*_arguments, **_options):
        raise torch.onnx.OnnxExporterError("no decomposition\nof this layer")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(SettingError, match="cannot be converted to ONNX") as refused:
        open_onnx(tiny(), "digest", any_size=False)
    assert "no decomposition" in refused.value.message
    assert "of this layer" not in refused.value.message
    assert refused.value.remedy == "Use the runtime torch."


@pytest.fixture
def converted(cache):
    """A net, and its file in the cache."""
    net = tiny()
    open_onnx(net, "digest", any_size=False)
    (path,) = cache.iterdir()
    return net, path


def same(net: VisionModel, other: VisionModel) -> bool:
    with torch.no_grad():
        return torch.allclose(net(images()), other(images()), atol=1e-4)


@pytest.mark.slow
def test_a_file_is_converted_once_and_again_if_it_is_damaged_or_of_another_net(
    converted, cache, monkeypatch
):
    net, path = converted
    conversions = []
    convert = onnx_model.to_onnx
    monkeypatch.setattr(
        onnx_model, "to_onnx", lambda net, **size: conversions.append(net) or convert(net, **size)
    )
    assert same(net, open_onnx(net, "digest", any_size=False))
    assert not conversions
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert same(net, open_onnx(net, "digest", any_size=False))
    other = tiny(seed=1)
    assert not same(net, other)
    assert same(other, open_onnx(other, "digest", any_size=False))
    assert len(conversions) == 2
    assert list(cache.iterdir()) == [path]


@pytest.mark.slow
def test_without_a_cache_a_net_is_converted_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "file"))
    net = tiny()
    assert same(net, open_onnx(net, "digest", any_size=False))


@pytest.mark.slow
def test_the_cache_keeps_the_newest_files(converted, cache, monkeypatch):
    net, path = converted
    monkeypatch.setattr(onnx_model, "_MAX_FILES", 1)
    content = path.read_bytes()
    monkeypatch.setattr(onnx_model, "to_onnx", lambda net, any_size: content)
    open_onnx(net, "another", any_size=False)
    (left,) = cache.iterdir()
    assert left.name != path.name


@pytest.mark.slow
def test_a_converted_net_stays_in_evaluation_mode(converted):
    net, _ = converted
    model = open_onnx(net, "digest", any_size=False)
    assert not model.train().training
    assert not any(module.training for module in model.modules())


@pytest.mark.slow
def test_a_run_gives_the_same_predictions_by_both_runtimes(trained, colours):
    paths = sorted(colours.rglob("*.png"))[::7]
    run = fv.Run(trained.path, trained.settings)
    expected = run.predict(paths)
    run.runtime = "onnx"
    for one, other in zip(expected, run.predict(paths), strict=True):
        assert one.class_name == other.class_name
        assert one.score == pytest.approx(other.score, abs=1e-4)
