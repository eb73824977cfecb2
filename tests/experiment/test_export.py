"""Exporting a run: what is written, what is refused, and that no difference passes the gate."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.errors import RunError, SettingError
from foveate.experiment.export import export as exporting
from foveate.experiment.export import formats, parity, quantization
from foveate.experiment.export.parity import MAX_INT8_LOSS, Parity
from foveate.inference.exported.model import ExportedModel
from foveate.inference.exported.record import KEY
from foveate.tasks import exported
from foveate.tasks.classification import Classification
from helpers.command_line import refused, run_cli

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "sklearn", "matplotlib", "safetensors"):
    sys.modules[name] = None  # importing it is an error
from foveate.cli.main import main
main()
"""


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
    words = ["predict", str(model), str(image), "--draw", str(tmp_path / "drawn")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    _, expected, _ = run_cli("predict", run.path, image)
    assert done.stdout.splitlines()[0] == expected.splitlines()[0]
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
        assert opened.predict(image)["class"] == run.predict(image)["class"]
        assert opened.runtime == "openvino"


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
    assert name == expected["class"]
    assert float(probability) == pytest.approx(expected["probability"], abs=2e-3)


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


# --- the gate


def test_a_net_that_computes_something_else_is_named_and_not_written(run, tmp_path, monkeypatch):
    def convert_another(net, *, any_size):
        another = copy.deepcopy(net)
        last = [one for one in another.parameters() if one.ndim == 2][-1]
        last.data += 0.05 * last.abs().max()
        return to_onnx(another, any_size=any_size)

    to_onnx = exporting.to_onnx
    monkeypatch.setattr(exporting, "to_onnx", convert_another)
    with pytest.raises(RunError, match="the output logits of the exported net differs") as error:
        exporting.export(run, out=tmp_path / "m.onnx")
    assert "no file was written" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def made_up(before: float, after: float, outputs: float = 0.0) -> Parity:
    metric = {"value": before, "low": before, "high": before, "n": 200}
    other = {**metric, "value": after}
    return Parity(
        200, {"accuracy": metric}, {"accuracy": other}, {}, 1.0, {"logits": outputs}, 1.0, 1.0
    )


TASK = Classification(("a", "b"))


@pytest.mark.parametrize(
    ("before", "after", "int8", "passes"),
    [
        (0.9, 0.9, False, True), (0.9, 0.897, False, True), (0.9, 0.89, False, False),
        (0.9, 0.91, False, False), (0.9, float("nan"), False, False),
        (0.9, 0.891, True, True), (0.9, 0.88, True, False), (0.9, 0.95, True, True),
        (0.9, float("nan"), True, False),
    ],
)  # fmt: skip
def test_the_gate_bounds_the_metric(before, after, int8, passes):
    if passes:
        parity.check(made_up(before, after), TASK, int8=int8)
    else:
        with pytest.raises(RunError, match="no file was written"):
            parity.check(made_up(before, after), TASK, int8=int8)


@pytest.mark.parametrize(
    ("agreement", "int8", "passes"),
    [
        (0.96, False, True), (0.94, False, False), (0.81, True, True), (0.79, True, False),
        (0.0, True, False), (float("nan"), False, False), (float("nan"), True, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", [0.5, float("nan")])
def test_the_gate_bounds_the_agreement(agreement, int8, passes, metric):
    found = dataclasses.replace(made_up(metric, metric), agreement=agreement)
    if passes:
        parity.check(found, TASK, int8=int8)
    else:
        with pytest.raises(RunError, match="predictions of the export agree"):
            parity.check(found, TASK, int8=int8)


def test_a_metric_that_only_one_of_them_has_does_not_pass():
    for before, after in ((float("nan"), 0.5), (0.5, float("nan"))):
        with pytest.raises(RunError, match="no file was written"):
            parity.check(made_up(before, after), TASK, int8=False)


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_differences_of_outputs_keep_what_is_not_finite(run, value):
    _, net = run.load()

    class Other(type(net)):
        def forward(self, images, *others):
            return super().forward(images, *others) + value

    other = copy.deepcopy(net)
    other.__class__ = Other
    images = [np.zeros((20, 20, 3), np.uint8), np.full((9, 30, 3), 200, np.uint8)]
    found = parity.output_differences(net, other, ("logits",), images, letterbox=False)
    assert not found["logits"] <= parity.MAX_OUTPUT_DIFFERENCE


@pytest.mark.parametrize("difference", [0.01, float("nan"), float("inf")])
def test_the_gate_bounds_the_outputs(difference):
    with pytest.raises(RunError, match="the output logits"):
        parity.check(made_up(0.9, 0.9, difference), TASK, int8=False)


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


def test_eight_bits_need_training_images(run, monkeypatch, tmp_path):
    monkeypatch.setattr(quantization, "MIN_IMAGES", 1000)
    text = refused("export", run.path, "--int8", "--out", tmp_path / "m.onnx")
    assert "at least 1000 training images" in text
    assert "without --int8" in text


@pytest.mark.parametrize("task", ["text_to_image", "nothing"])
def test_tasks_without_an_export_are_refused(task):
    with pytest.raises(SettingError, match="cannot be exported"):
        exported.build(task, ("a",), {})


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
        {"format": 2}, {"classes": "ab"}, {"size": 0}, {"size": 10**9}, {"task": "text_to_image"},
        {"options": {"temperature": "hot"}}, {"reading": {"black": 5.0, "white": 1.0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_record_is_one_error(model, tmp_path, colours, change):
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
    assert "--tile" in refused("predict", model, image, "--tile", 64)
    assert "runtime onnx is expected" in refused("predict", model, image, "--runtime", "torch")
    assert "without prompts" in refused("predict", model, image, "--point", "1,1")
    assert "foundation models" in refused("predict", model, image, "--classes", "a,b")
    assert "computes on the CPU" in refused("predict", model, image, "--device", "cuda")
