"""Exporting a run: what is written, what is refused, and that no difference passes the gate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import foveate as fv
from foveate.errors import SettingError
from foveate.experiment.export import export as exporting
from foveate.experiment.export import formats, quantization
from foveate.experiment.export.parity import MAX_INT8_LOSS
from foveate.inference.exported.model import ExportedModel
from foveate.inference.exported.record import KEY
from foveate.tasks import exported
from helpers.command_line import refused, run_cli, run_without_torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy of the shared run that this file may export."""
    path = tmp_path_factory.mktemp("export") / "run"
    shutil.copytree(trained.path, path)
    return fv.Run.open(path)


@pytest.fixture(scope="module")
def output(run):
    """What the command prints; RUN/model.onnx is there afterwards."""
    code, out, err = run_cli("export", run.path)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def model(run, output):
    assert output
    return run.path / "model.onnx"


def values(path: Path) -> list[dict]:
    return json.loads(path.read_text())["predictions"]


def test_the_command_says_what_it_wrote_and_how_it_compares(run, output):
    assert f"ONNX: {run.path / 'model.onnx'}" in output
    assert "validation accuracy" in output
    assert "agreement with torch    100.0% on" in output
    assert "in torch" in output
    (entry,) = json.loads((run.path / "exports.json").read_text())
    assert entry["file"] == str(run.path / "model.onnx")
    assert entry["megabytes"] == (run.path / "model.onnx").stat().st_size / 1e6
    assert entry["exported"]["accuracy"]["n"] == run.results["valid"]["accuracy"]["n"]
    assert entry["exported"]["accuracy"] == run.results["valid"]["accuracy"]
    assert entry["outputs"]["logits"] < 1e-4
    page = (run.path / "export.html").read_text()
    assert "Ship it" in page
    assert "Sizes, speeds and metrics" in page


def test_predictions_of_the_file_are_those_of_the_run(run, model, colours, tmp_path):
    for source, name in ((run.path, "run"), (model, "file")):
        code, _, err = run_cli("predict", source, colours, "--json", tmp_path / f"{name}.json")
        assert code == 0, err
    pairs = zip(values(tmp_path / "run.json"), values(tmp_path / "file.json"), strict=True)
    for one, other in pairs:
        assert one["path"] == other["path"]
        assert one["class"] == other["class"]
        for name, probability in one["probabilities"].items():
            assert other["probabilities"][name] == pytest.approx(probability, abs=1e-4)


def test_the_file_predicts_where_torch_is_not_installed(run, model, colours, tmp_path):
    image = colours / "red" / "000.png"
    out = ("--draw", tmp_path / "drawn", "--csv", tmp_path / "found.csv")
    found = run_without_torch("predict", model, image, *out)
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 2
    _, expected, _ = run_cli("predict", run.path, image)
    assert found.splitlines()[0] == expected.splitlines()[0]
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["000.png"]


def test_the_file_carries_what_it_needs(run, model):
    opened = ExportedModel.open(model)
    task, net = run.load()
    assert opened.task.name == task.name
    assert opened.task.classes == task.classes
    assert opened.task.temperature == task.temperature
    assert opened.record.size == net.size
    assert opened.record.weights == run.weights_digest()
    assert opened.record.card["valid"]["accuracy"] == run.results["valid"]["accuracy"]
    assert opened.record.card["test"] is None
    assert opened.reading == run.reading
    assert opened.runtime == "onnx"
    assert opened.fingerprint != run.fingerprint


def test_images_of_any_form_are_predicted(model):
    opened = ExportedModel.open(model)
    grey = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)
    one = opened.predict(grey)
    both = opened.predict([grey, np.repeat(grey[..., None], 3, 2)])
    assert both == [one, one]
    assert opened.predict([]) == []
    assert fv.predict(model, grey) == one
    assert isinstance(one, fv.Prediction)
    assert repr(opened).startswith("ExportedModel")
    assert "blue, green, red" in opened._repr_html_()


def test_the_file_of_the_run_is_replaced_and_no_other(run, model):
    before = model.read_bytes()
    model.write_bytes(b"damaged")
    assert exporting.export(run).path == model
    assert model.read_bytes() == before
    text = refused("export", run.path, "--out", model)
    assert "--overwrite" in text


@pytest.mark.parametrize("format", ["openvino", "pt2"])
def test_the_other_formats_pass_the_gate(run, format, tmp_path, colours):
    if format == "openvino":
        pytest.importorskip("openvino")
    out = tmp_path / f"m{formats.SUFFIXES[format]}"
    made = exporting.export(run, format=format, out=out)
    assert made.parity.agreement == 1.0
    assert out.stat().st_size > 0
    words = ["export", run.path, "--format", format, "--out", out]
    assert "--overwrite" in refused(*words)
    assert run_cli(*words, "--overwrite")[0] == 0
    if format == "openvino":
        opened = ExportedModel.open(out)
        image = colours / "red" / "000.png"
        assert opened.predict(image).class_name == run.predict(image).class_name
        assert opened.runtime == "openvino"


def test_a_program_of_torch_says_how_it_is_opened(run, tmp_path, colours):
    path = exporting.export(run, format="pt2", out=tmp_path / "m.pt2").path
    image = colours / "red" / "000.png"
    for words in (["predict", path, image], ["generate", path, "red", "--out", tmp_path / "out"]):
        assert "torch.export.load('m.pt2').module()" in refused(*words)
    assert "torch.export.load" in refused("watch", path, image)
    assert "there is no such file" in refused("predict", tmp_path / "n.pt2", image)
    module = torch.export.load(path).module()
    pixels = torch.from_numpy(np.array(Image.open(image).resize((run.load()[1].size,) * 2)))
    logits = module(pixels.permute(2, 0, 1)[None])
    assert run.task.classes[int(logits.argmax())] == run.predict(image).class_name


def test_a_command_for_runs_says_what_to_do_with_a_file(model):
    assert "other commands need its run" in refused("export", model)
    assert "other commands need its run" in refused("card", model)


def test_foundation_models_are_not_exported():
    assert "no validation split" in refused("export", "sam:somewhere")


def test_eight_bits_take_less_room_and_pass_the_gate(run, model, tmp_path):
    out = tmp_path / "m.onnx"
    made = exporting.export(run, int8=True, out=out)
    assert out.stat().st_size < 0.8 * model.stat().st_size
    before, after = (one["accuracy"]["value"] for one in (made.parity.torch, made.parity.exported))
    assert after >= before - MAX_INT8_LOSS
    assert made.record["int8"] is True


# --- without foveate

SNIPPETS = ROOT / "docs" / "how-to" / "snippets"


def test_the_python_of_the_documentation_predicts_the_same(run, model, colours):
    image = colours / "red" / "000.png"
    done = subprocess.run(
        [sys.executable, SNIPPETS / "predict.py", model, image], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    name, probability = done.stdout.split()
    expected = run.predict(image)
    assert name == expected.class_name
    assert float(probability) == pytest.approx(expected.score, abs=2e-3)


def test_the_javascript_of_the_documentation_predicts_the_same(model, tmp_path):
    modules = Path(os.environ.get("FOVEATE_TEST_NODE_MODULES", ROOT / "build/node/node_modules"))
    if shutil.which("node") is None or not (modules / "onnxruntime-web").is_dir():
        pytest.skip("Node.js or onnxruntime-web is not installed: see .ci/run")
    (tmp_path / "node_modules").symlink_to(modules)
    shutil.copy(SNIPPETS / "predict.mjs", tmp_path)
    (tmp_path / "try.mjs").write_text(
        """
        import { readFile } from "node:fs/promises";
        import { open, predict } from "./predict.mjs";
        const session = await open(new Uint8Array(await readFile(process.argv[2])));
        const rgba = new Uint8Array(await readFile(process.argv[3]));
        const found = await predict(session, rgba, 20, 30);
        console.log(JSON.stringify(Array.from(found.probabilities.data)));
        """
    )
    rgba = np.random.default_rng(0).integers(0, 256, (30, 20, 4), dtype=np.uint8)
    (tmp_path / "rgba").write_bytes(rgba.tobytes())
    words = ["node", tmp_path / "try.mjs", model, tmp_path / "rgba"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = ExportedModel.open(model).computed.run(rgba[None, ..., :3])["probabilities"][0]
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-4)


# --- what is refused


def test_an_interrupted_or_damaged_run_is_not_exported(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    (path / ".unfinished.yaml").write_text("task: classification\n")
    assert "Finish it first: foveate train --resume" in refused("export", path)
    (path / ".unfinished.yaml").unlink()
    weights = (path / "best.safetensors").read_bytes()
    (path / "best.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "damaged" in refused("export", path, "--overwrite")


def test_outputs_are_checked_before_anything_is_computed(run, model, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "to_onnx", None)
    assert "a file .onnx is expected" in refused("export", run.path, "--out", tmp_path / "m.xml")
    assert "Create the folder first" in refused("export", run.path, "--out", tmp_path / "a/m.onnx")
    foreign = tmp_path / "mine.onnx"
    foreign.write_text("not a model")
    assert "mine.onnx" in refused("export", run.path, "--out", foreign, "--overwrite")
    shutil.copy(model, tmp_path / "old.onnx")
    assert "--overwrite" in refused("export", run.path, "--out", tmp_path / "old.onnx")
    assert foreign.read_text() == "not a model"


def test_files_beside_the_export_are_not_replaced_either(run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "to_onnx", None)
    for name, out in (("m.pbtxt", "m.onnx"), ("w.bin", "w.xml")):
        (tmp_path / name).write_text("mine")
        form = "onnx" if out.endswith("onnx") else "openvino"
        words = ["--format", form, "--out", tmp_path / out, "--overwrite"]
        assert name in refused("export", run.path, *words)
        assert (tmp_path / name).read_text() == "mine"


def test_a_configuration_for_triton_lies_beside_the_file(model):
    text = model.with_suffix(".pbtxt").read_text()
    assert text.startswith('backend: "onnxruntime"\nmax_batch_size: 0\n')
    assert 'input [{ name: "images", data_type: TYPE_UINT8, dims: [ -1, -1, -1, 3 ] }]' in text
    assert 'output [{ name: "probabilities", data_type: TYPE_FP32, dims: [ -1, -1 ] }]' in text


def test_unknown_formats_are_refused(run):
    assert "onnx, openvino, pt2 are the formats" in refused(
        "export", run.path, "--format", "tflite"
    )
    assert "keeps 32 bits" in refused("export", run.path, "--format", "pt2", "--int8")
    text = refused("export", run.path, "--format", "executorch")
    assert "executorch is no format" in text
    assert "Use --format onnx" in text


def test_eight_bits_need_training_images(run, monkeypatch, tmp_path):
    monkeypatch.setattr(quantization, "MIN_IMAGES", 1000)
    text = refused("export", run.path, "--int8", "--out", tmp_path / "m.onnx")
    assert "at least 1000 training images" in text
    assert "without --int8" in text


def test_tasks_without_an_export_are_refused():
    with pytest.raises(SettingError, match="cannot be exported"):
        exported.build("nothing", ("a",), {})


# --- files that are no exports


def with_record(model: Path, path: Path, record: object) -> Path:
    """The same model with another record."""
    proto = onnx.load(model)
    text = record if isinstance(record, str) else json.dumps(record)
    onnx.helper.set_model_props(proto, {} if record is None else {KEY: text})
    path.write_bytes(proto.SerializeToString())
    return path


def record_of(model: Path) -> dict:
    return json.loads({one.key: one.value for one in onnx.load(model).metadata_props}[KEY])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 4}, {"classes": "ab"}, {"size": 0}, {"size": 10**9}, {"task": "text_to_image"},
        {"options": {"temperature": "hot"}}, {"reading": {"black": 5.0, "white": 1.0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_record_is_one_error(model, tmp_path, colours, change):
    path = with_record(model, tmp_path / "m.onnx", record_of(model) | change)
    assert "damaged" in refused("predict", path, colours)


def test_a_file_of_another_version_says_so(model, tmp_path, colours):
    path = with_record(model, tmp_path / "m.onnx", record_of(model) | {"format": 1})
    assert "this version of foveate reads the format 3, got 1" in refused("predict", path, colours)


@pytest.mark.parametrize("change", [{"channels": 1}, {"channels": 5}], ids=str)
def test_a_record_that_does_not_fit_its_net_is_one_error(model, tmp_path, colours, change):
    path = with_record(model, tmp_path / "m.onnx", record_of(model) | change)
    assert "damaged" in refused("predict", path, colours)


@pytest.mark.parametrize("record", ["{", "[]", "1" * 10_000, '{"a":' * 100])
def test_a_record_that_is_none_is_one_error(model, tmp_path, colours, record):
    path = with_record(model, tmp_path / "m.onnx", record)
    assert "damaged" in refused("predict", path, colours)


def test_foreign_cut_and_missing_files_are_one_error(model, tmp_path, colours):
    path = tmp_path / "m.onnx"
    assert "there is no such file" in refused("predict", path, colours)
    with_record(model, path, None)
    assert "no record of a model" in refused("predict", path, colours)
    content = model.read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2], content[100:]):
        path.write_bytes(damaged)
        assert "damaged" in refused("predict", path, colours)
    path.unlink()
    path.mkdir()
    refused("predict", path, colours)


def test_options_that_an_exported_file_lacks_are_refused(model, colours):
    image = colours / "red" / "000.png"
    assert "predicts for whole images" in refused("predict", model, image, "--tile", 64)
    assert "runtime onnx is expected" in refused("predict", model, image, "--runtime", "torch")
    assert "without prompts" in refused("predict", model, image, "--point", "1,1")
    assert "finds no objects" in refused("predict", model, image, "--classes", "a,b")
    assert "computes on the CPU" in refused("predict", model, image, "--device", "cuda")
