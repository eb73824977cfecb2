"""A promptable model as two files: clicks give the masks of the run, without torch."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.errors import RunError, SettingError
from foveate.experiment.export import export as exporting
from foveate.experiment.export import parity, quantization
from foveate.inference.exported.model import ExportedModel
from helpers import toy_datasets
from helpers.command_line import hurry, refused, run_cli, run_without_torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def toy_data():
    return toy_datasets.toy_dataset("promptable", 24, np.random.default_rng(0))


@pytest.fixture(scope="module", autouse=True)
def converted_once():
    """Each net is converted once: it takes half a minute."""

    def once(convert):
        done = {}

        def converted(net, **options):
            key = b"".join(one.numpy().tobytes() for one in net.state_dict().values())
            if key not in done:
                done[key] = convert(net, **options)
            return done[key]

        return converted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("to_onnx", "decoder_to_onnx"):
            patch.setattr(exporting, name, once(getattr(exporting, name)))
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run of a few steps, and its export."""
    folder = tmp_path_factory.mktemp("promptable")
    data = toy_data()
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run = fv.train(data, model="tiny_cnn", out=folder / "run", epochs=2, batch_size=8, size=32)
        made = fv.export(run, data=data)
    return run, made


@pytest.fixture
def image(tmp_path):
    data = toy_data()
    pixels = data.samples[0].source.read()
    path = tmp_path / "image.png"
    wide = np.kron(pixels, np.ones((2, 3, 1), np.uint8))  # of another size and aspect
    Image.fromarray(wide[..., 0] if wide.shape[2] == 1 else wide).save(path)
    return path


def test_two_files_are_written_and_agree_with_the_run(exported):
    run, made = exported
    assert made.path == run.path / "model.onnx"
    assert made.path.with_name("model.decoder.onnx").exists()
    assert made.parity.agreement > 0.999
    assert {"candidates", "iou_logits"} < made.parity.outputs.keys()
    assert max(made.parity.outputs.values()) < 1e-4
    assert made.parity.exported["iou_1"]["value"] == pytest.approx(
        made.parity.torch["iou_1"]["value"], abs=1e-3
    )


def test_clicks_boxes_and_corrections_give_the_masks_of_the_run(exported, image):
    run, made = exported
    check_prompts(run, ExportedModel.open(made.path), image)


def check_prompts(run, model, image):
    """Whether both answer the same prompts with the same masks."""
    predictors = [one.set_image(image) for one in (run, model)]
    height, width = predictors[0].size
    for prompt in (
        lambda one: one.click(width / 2, height / 2),
        lambda one: one.click(1, 1, inside=False),
        lambda one: one.box(2, 2, width / 2, height / 2),
    ):
        masks = [prompt(one) for one in predictors]
        assert (masks[0] != masks[1]).mean() < 1e-3
        assert predictors[1].predicted_iou == pytest.approx(predictors[0].predicted_iou, abs=1e-4)
    start = np.zeros((height, width), bool)
    start[: height // 2] = True
    for one in predictors:
        one.set_mask(start)
    masks = [one.click(3, 3) for one in predictors]
    assert (masks[0] != masks[1]).mean() < 1e-3


def test_it_is_prompted_where_torch_is_not_installed(exported, image, tmp_path):
    run, made = exported
    words = [image, "--point", "9,9", "--json"]
    assert run_cli("predict", run.path, *words, tmp_path / "run.json")[0] == 0
    run_without_torch("predict", made.path, *words, tmp_path / "file.json")
    one, other = (
        json.loads((tmp_path / f"{name}.json").read_text())["predictions"][0]["instances"][0]
        for name in ("run", "file")
    )
    assert other["score"] == pytest.approx(one["score"], abs=1e-4)
    assert other["box"] == one["box"]


def test_openvino_computes_both_halves_where_torch_is_not_installed(exported, image, tmp_path):
    pytest.importorskip("openvino")
    run, _ = exported
    path = tmp_path / "m.xml"
    made = fv.export(run, format="openvino", out=path, data=toy_data())
    names = ["m.bin", "m.decoder.bin", "m.decoder.xml", "m.xml"]
    assert sorted(one.name for one in tmp_path.glob("m.*")) == names
    assert made.parity.agreement > 0.999
    assert {"candidates", "iou_logits"} < made.parity.outputs.keys()
    assert max(made.parity.outputs.values()) < 1e-4
    model = ExportedModel.open(path)
    assert model.runtime == "openvino"
    check_prompts(run, model, image)
    assert len(model.predict(image).boxes) == len(run.predict(image).boxes)
    out = tmp_path / "found.json"
    run_without_torch("predict", path, image, "--point", "9,9", "--json", out)
    (found,) = json.loads(out.read_text())["predictions"][0]["instances"]
    expected = run.set_image(image)
    expected.click(9, 9)
    assert found["score"] == pytest.approx(expected.predicted_iou, abs=1e-4)
    decoder = tmp_path / "m.decoder.xml"
    assert f"name the model, {path}" in refused("predict", decoder, image)
    weights = decoder.with_suffix(".bin")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    assert "was not exported together with m.xml" in refused("predict", path, image)
    weights.unlink()
    assert "there is no such file" in refused("predict", path, image)
    decoder.unlink()
    assert "the file of the decoder is missing" in refused("predict", path, image)
    weights.write_bytes(b"mine")
    words = ("export", run.path, "--format", "openvino", "--out", path, "--overwrite")
    assert weights.name in refused(*words)


def test_images_without_prompts_are_segmented_by_a_grid(exported, image):
    run, made = exported
    expected, got = run.predict(image), ExportedModel.open(made.path).predict(image)
    assert len(got.boxes) == len(expected.boxes)


def test_the_decoder_must_be_there(exported, tmp_path):
    _, made = exported
    alone = tmp_path / "model.onnx"
    alone.write_bytes(made.path.read_bytes())
    with pytest.raises(RunError, match="the file of the decoder is missing"):
        ExportedModel.open(alone)


def test_a_decoder_that_computes_something_else_does_not_pass(exported, tmp_path, monkeypatch):
    run, _ = exported

    def convert_another(net):
        another = copy.deepcopy(net)
        for one in another.body.parameters():
            one.data *= 1.02
        return decoder_to_onnx(another)

    decoder_to_onnx = exporting.decoder_to_onnx
    monkeypatch.setattr(exporting, "decoder_to_onnx", convert_another)
    with pytest.raises(RunError, match=r"the output (candidates|iou_logits) of the exported net"):
        fv.export(run, out=tmp_path / "m.onnx", data=toy_data())
    assert list(tmp_path.iterdir()) == []


def test_without_objects_to_click_on_nothing_is_compared_or_calibrated(
    exported, tmp_path, monkeypatch
):
    run, _ = exported
    monkeypatch.setattr(quantization, "has_objects", lambda target: False)
    with pytest.raises(SettingError, match="at least 16 training images with objects"):
        fv.export(run, int8=True, out=tmp_path / "m.onnx", data=toy_data())
    monkeypatch.setattr(parity, "has_objects", lambda target: False)
    with pytest.raises(RunError, match="no validation image has an object to click on"):
        fv.export(run, out=tmp_path / "m.onnx", data=toy_data())
    assert list(tmp_path.iterdir()) == []


def test_one_program_cannot_hold_both_halves(exported):
    run, _ = exported
    text = refused("export", run.path, "--format", "pt2")
    assert "models of the task promptable are two" in text


def test_eight_bits_pass_the_gate(exported, image, tmp_path):
    run, made = exported
    data = toy_data()
    path, decoder = tmp_path / "m.onnx", tmp_path / "m.decoder.onnx"
    other = fv.export(run, int8=True, out=path, data=data)
    assert other.parity.agreement > 0.8
    assert decoder.stat().st_size < made.path.with_name("model.decoder.onnx").stat().st_size
    masks = [one.set_image(image).click(9, 9) for one in (run, ExportedModel.open(path))]
    assert (masks[0] != masks[1]).mean() < 0.2
    again = ["export", run.path, "--int8", "--out", path]
    assert "--overwrite" in refused(*again)
    path.unlink()  # the decoder of an earlier export is not replaced either
    assert decoder.name in refused(*again)
