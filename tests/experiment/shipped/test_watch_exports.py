"""Exported files are watched: beside their run, far from it, and damaged."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from foveate.audit.representative import features
from foveate.experiment.export import export as exporting
from foveate.experiment.shipped.observed import predicted_rates
from foveate.experiment.shipped.reference import MAX_RECORDED
from foveate.experiment.shipped.watch import (
    CLASSES,
    CONFIDENCE,
    FEATURES,
    STATISTICS,
    watch,
)
from foveate.inference.exported.joining import with_record
from foveate.inference.exported.model import ExportedModel
from helpers.colour_folder import dark_copy
from helpers.command_line import refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_exported_file_is_watched_with_the_run_in_its_folder(run, fresh, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shutil.copytree(run.path, tmp_path / "run")
    code, _, err = run_cli("export", tmp_path / "run")
    assert code == 0, err
    found = watch(tmp_path / "run" / "model.onnx", [fresh])
    assert [one.p for one in found.comparisons] == [
        one.p for one in watch(run.path, [fresh]).comparisons
    ]


def test_an_export_is_compared_by_its_own_predictions(run, fresh, tmp_path, monkeypatch):
    """In its run's folder and far from it: eight bits may have other confidences than the run."""

    def convert_less_confident(net, *, any_size):
        another = copy.deepcopy(net)
        last = [one for one in another.modules() if isinstance(one, torch.nn.Linear)][-1]
        for one in last.parameters():
            one.data *= 0.1
        return to_onnx(another, any_size=any_size)

    to_onnx = exporting.to_onnx
    monkeypatch.setattr(exporting, "to_onnx", convert_less_confident)
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shutil.copytree(run.path, tmp_path / "run")
    code, _, err = run_cli("export", tmp_path / "run", "--int8")
    assert code == 0, err
    path = tmp_path / "run" / "model-int8.onnx"
    model = ExportedModel.open(path)
    near = watch(path, [fresh])
    shutil.copy(path, tmp_path)
    far = watch(tmp_path / path.name, [fresh])
    images = [np.asarray(Image.open(one)) for one in sorted(fresh.rglob("*.png"))]
    own = sorted(one.confidence for one in predicted_rates(model, images))
    for found in (near, far):
        np.testing.assert_allclose(np.sort(found.service.predictions.confidences), own, rtol=1e-5)
        assert found.reference.predictions.confidences.max() < 0.95
        assert CONFIDENCE not in [one.name for one in found.changed]
    assert watch(run.path, [fresh]).reference.predictions.confidences.min() > 0.95
    np.testing.assert_allclose(
        np.sort(far.reference.predictions.confidences),
        np.sort(near.reference.predictions.confidences),
    )
    assert FEATURES in [one.name for one in near.comparisons]


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    """An exported file far from its run."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("alone") / "model.onnx"
    code, _, err = run_cli("export", run.path, "--out", path)
    assert code == 0, err
    return path


def test_an_exported_file_alone_is_watched(run, alone, fresh, tmp_path):
    found = watch(alone, [fresh])
    assert [one.name for one in found.comparisons] == [STATISTICS, CLASSES, CONFIDENCE]
    assert not found.changed
    assert any("an exported file gives none" in text for text in found.missing)
    known, recorded = watch(run.path, [fresh]).reference, found.reference
    np.testing.assert_allclose(features(recorded.image_stats)[:, -7:].mean(0),
                               features(known.image_stats)[:, -7:].mean(0), rtol=0.1)  # fmt: skip
    assert len(recorded.units) <= MAX_RECORDED
    dark = watch(alone, [dark_copy(fresh, tmp_path / "dark", 0.5)])
    assert STATISTICS in [one.name for one in dark.changed]
    assert alone.stat().st_size < 2e6


def test_an_exported_file_and_its_predictions_are_watched(alone, fresh, tmp_path):
    code, _, err = run_cli("predict", alone, fresh, "--json", tmp_path / "found.json")
    assert code == 0, err
    found = watch(alone, [tmp_path / "found.json"])
    assert [one.name for one in found.comparisons] == [CLASSES, CONFIDENCE]


@pytest.mark.parametrize(
    "change",
    [
        {"units": ["a"]}, {"units": [1]}, {"thumbs": ["zz"]}, {"numbers": {}}, {"rates": [{}]},
        {"colours": [[300, 0, 0]]}, {"valid_units": [1.5]}, {"units": [10**30] * 10},
        {"rates": [{"amounts": {"elephant": 1.0}, "objects": None, "confidence": None}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_reference_in_a_file_is_one_error(alone, fresh, tmp_path, change):
    content = alone.read_bytes()
    record = ExportedModel.open(alone).record.model_dump()
    path = tmp_path / "model.onnx"
    path.write_bytes(with_record(content, record | {"watch": record["watch"] | change}))
    assert "damaged" in refused("watch", path, fresh)
    path.write_bytes(with_record(content, record | {"watch": None}))
    assert "Export the run again" in refused("watch", path, fresh)


def test_an_exported_file_takes_no_data(alone, fresh, data):
    assert "--data" in refused("watch", alone, fresh, "--data", data)
