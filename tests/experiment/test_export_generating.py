"""A model that generates images as two files: the images of the run, without torch."""

from __future__ import annotations

import base64
import io
import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import foveate as fv
from foveate.errors import RunError, SettingError
from foveate.experiment.export import parity
from foveate.inference.exported.joining import with_record
from foveate.inference.exported.model import ExportedModel
from foveate.ops.timesteps import shift_timesteps
from foveate.tasks import exported as exported_tasks
from helpers import toy_datasets
from helpers.command_line import hurry, refused, run_cli, run_without_torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

TEXT = "light below"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run of a few steps, and its export."""
    folder = tmp_path_factory.mktemp("generating")
    data = toy_datasets.toy_dataset("text_to_image", 40, np.random.default_rng(0))
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run = fv.train(
            data, task="text_to_image", model="tiny_cnn", out=folder / "run", epochs=1,
            batch_size=8, allow_errors=True,
        )  # fmt: skip
        made = fv.export(run, data=data)
    return run, made


def test_two_files_are_written_and_generate_what_the_run_generates(exported):
    run, made = exported
    decoder = made.path.with_name("model.decoder.onnx")
    assert made.path == run.path / "model.onnx"
    assert decoder.exists()
    assert made.record["pixels"] == {"largest": pytest.approx(0, abs=1), "equal": pytest.approx(1)}
    assert max(made.parity.outputs.values()) < 1e-4
    assert made.parity.outputs.keys() == {"conditioning", "velocity"}
    before, after = (one["likeness"]["value"] for one in (made.parity.torch, made.parity.exported))
    assert after == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"steps": 3}, {"guidance": 1.0}, {"guidance": 4.0}])
def test_the_same_seed_gives_the_same_images_and_stages(exported, options):
    run, made = exported
    model = ExportedModel.open(made.path)
    texts = [TEXT, "dark below", TEXT]
    pairs = zip(*(one.stages(texts, seed=7, **options) for one in (run, model)), strict=True)
    for expected, got in pairs:
        assert len(expected) == len(got) == options.get("steps", run.task.steps) + 1
        np.testing.assert_array_equal(expected[0], got[0])  # the noise
        np.testing.assert_allclose(expected[-1].astype(int), got[-1].astype(int), atol=1)
    one, other = model.generate(TEXT, 2)
    assert (one != other).any()


def test_images_are_generated_where_torch_is_not_installed(exported, tmp_path):
    run, made = exported
    words = [TEXT, "-n", 2, "--seed", 3, "--out"]
    assert run_cli("generate", run.path, *words, tmp_path / "run")[0] == 0
    run_without_torch("generate", made.path, *words, tmp_path / "file")
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "file").iterdir())
    for name in names:
        one, other = (
            np.asarray(Image.open(tmp_path / folder / name)).astype(int)
            for folder in ("run", "file")
        )
        assert np.abs(one - other).max() <= 1


def test_openvino_generates_what_the_run_generates(exported, tmp_path):
    pytest.importorskip("openvino")
    run, _ = exported
    data = toy_datasets.toy_dataset("text_to_image", 40, np.random.default_rng(0))
    made = fv.export(run, format="openvino", out=tmp_path / "m.xml", data=data)
    assert made.record["pixels"] == {"largest": pytest.approx(0, abs=1), "equal": pytest.approx(1)}
    model = ExportedModel.open(made.path)
    assert model.runtime == "openvino"
    (expected,), (got,) = (one.generate(TEXT, 1, seed=3) for one in (run, model))
    assert np.abs(got.astype(int) - expected).max() <= 1
    run_without_torch("generate", made.path, TEXT, "-n", 1, "--out", tmp_path / "out")


def test_it_is_served_as_the_run_is(exported):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    from helpers.served import serving

    run, made = exported
    asked = {"text": TEXT, "seed": 5, "stages": True}
    with serving({"file": made.path, "run": run.path}) as (address, _):
        (described, other) = httpx.get(f"{address}/models").json()
        assert described["generates"]
        assert described["card"] == other["card"] | described["card"]
        strips = []
        for name in ("run", "file"):
            answer = httpx.post(f"{address}/generate?model={name}", json=asked, timeout=60)
            (strip,) = answer.json()["images"]
            files = [io.BytesIO(base64.b64decode(one)) for one in strip]
            strips.append(np.stack([np.asarray(Image.open(one)) for one in files]).astype(int))
        assert np.abs(strips[0] - strips[1]).max() <= 1
        text = "light nowhere"
        answer = httpx.post(f"{address}/generate?model=file", json={"text": text})
        assert answer.status_code == 400
        assert "nowhere" in answer.json()["error"]


def test_the_contract_of_the_documentation_holds(exported):
    """The loop of docs/how-to/deploy.md, by what the metadata says alone."""
    import onnxruntime

    _, made = exported
    encoder, step = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for path in (made.path, made.path.with_name("model.decoder.onnx"))
    )
    record = json.loads(encoder.get_modelmeta().custom_metadata_map["foveate"])
    options = record["options"]
    words = np.zeros((1, options["max_length"]), np.int64)
    for place, word in enumerate(TEXT.split()):
        words[0, place] = 1 + options["words"].index(word)
    with_text, without = (
        encoder.run(["conditioning"], {"words": one})[0] for one in (words, 0 * words)
    )
    side, mean, std = record["size"], record["mean"], record["std"]
    noise = np.random.default_rng(0).standard_normal((1, len(mean), side, side), np.float32)
    state, guidance = noise, np.float32(2)
    times = shift_timesteps(np.linspace(0, 1, 11, dtype=np.float32))
    for now, then in pairwise(times):
        both = [
            step.run(None, {"state": state, "time": np.array([now]), "conditioning": one})[0]
            for one in (with_text, without)
        ]
        state = state + (then - now) * (both[1] + guidance * (both[0] - both[1]))
    sampler = ExportedModel.open(made.path).sampler
    *_, expected = sampler.sample(noise, words, guidance=2.0, steps=10)
    np.testing.assert_allclose(state, expected, atol=1e-4)
    pixels = np.rint(state * np.reshape(std, (-1, 1, 1)) + np.reshape(mean, (-1, 1, 1)))
    np.testing.assert_allclose(
        pixels.clip(0, 255)[0].transpose(1, 2, 0), sampler.to_pixels(expected)[0], atol=1
    )


def test_timesteps_are_those_of_torch():
    for steps in (1, 2, 20, 333):
        numpy = shift_timesteps(np.linspace(0, 1, steps + 1, dtype=np.float32))
        torchs = shift_timesteps(torch.linspace(0, 1, steps + 1))
        np.testing.assert_allclose(numpy, torchs.numpy(), atol=1e-6)


def test_it_predicts_nothing_from_images(exported, tmp_path):
    _, made = exported
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    assert "foveate generate" in refused("predict", made.path, tmp_path / "x.png")
    with pytest.raises(SettingError, match="without prompts"):
        ExportedModel.open(made.path).set_image(np.zeros((8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["", "--steps", 3], "words are expected, got none"),
        (["  ", "--steps", 3], "words are expected, got none"),
        (["purple cow"], "no training caption contains"),
        ([f"{TEXT} " * 50], "at most 2 words are expected"),
        ([TEXT, "--steps", 0], "--steps"),
        ([TEXT, "--steps", 10**9], "--steps"),
        ([TEXT, "--guidance", "nan"], "guidance"),
        ([TEXT, "--download"], "foundation models"),
    ],
)
def test_texts_and_numbers_that_cannot_be_used_are_refused(exported, tmp_path, words, message):
    _, made = exported
    code, _, err = run_cli("generate", made.path, *words, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 10**9}, {"guidance": float("inf")}])
def test_the_same_holds_in_python(exported, options):
    run, made = exported
    for model in (run, ExportedModel.open(made.path)):
        with pytest.raises(SettingError):
            model.stages([TEXT], **options)


def test_a_run_or_file_of_another_task_generates_nothing(trained, tmp_path):
    assert "generates none" in refused("generate", trained.path, TEXT, "--out", tmp_path / "out")


# --- damaged and foreign files


@pytest.fixture
def files(exported, tmp_path):
    _, made = exported
    for name in ("model.onnx", "model.decoder.onnx"):
        shutil.copy(made.path.with_name(name), tmp_path / name)
    return tmp_path / "model.onnx"


def test_the_decoder_must_be_there_whole_and_of_the_same_export(files, tmp_path):
    decoder = files.with_name("model.decoder.onnx")
    content = decoder.read_bytes()
    decoder.write_bytes(content[: len(content) // 2])
    words = [TEXT, "--out", tmp_path / "out"]
    assert "damaged" in refused("generate", files, *words)
    other = onnx.load_from_string(content)
    other.doc_string = "of another export"
    decoder.write_bytes(other.SerializeToString())
    assert "was not exported together" in refused("generate", files, *words)
    decoder.unlink()
    assert "the file of the decoder is missing" in refused("generate", files, *words)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": []}, {"std": [1.0] * 9}, {"channels": 3}, {"options": {"steps": 0}},
        {"options": {"steps": 10**9}}, {"options": {"max_length": 10**9}},
        {"options": {"guidance": -1.0}}, {"options": {"words": 3}}, {"size": 0}, {"size": 16},
        {"options": {"words": ["light"] * 99, "max_length": 2}},
        {"options": {"words": ["light", "below"], "max_length": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_record_is_one_error(files, tmp_path, change):
    content = files.read_bytes()
    record = json.loads(onnx.load_from_string(content).metadata_props[0].value)
    files.write_bytes(with_record(content, record | change))
    assert "damaged" in refused("generate", files, TEXT, "--out", tmp_path / "out")


# --- what is refused at the export


def test_formats_and_options_that_it_cannot_have_are_refused(exported):
    run, _ = exported
    assert "keep 32 bits" in refused("export", run.path, "--int8")
    text = refused("export", run.path, "--format", "pt2")
    assert "models of the task text_to_image are two" in text
    encoder = {"source": "clip:x", "width": 8, "max_length": 9, "digest": "0"}
    with pytest.raises(SettingError, match="a CLIP reads the texts of this run"):
        exported_tasks.build("text_to_image", (), {"text_encoder": encoder, "steps": 2})


def test_images_that_differ_do_not_pass_the_gate(exported):
    import dataclasses

    run, made = exported
    far = dataclasses.replace(made.parity, pixels=parity.Pixels(9, 0.5))
    with pytest.raises(RunError, match="differ from the run's by up to 9 of 255"):
        parity.check(far, run.task, int8=False)
    parity.check(made.parity, run.task, int8=False)
