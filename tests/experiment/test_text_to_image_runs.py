"""Images from text: train on labels and on captions, test, generate, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.data.rng import SampleRNG, sample_keys
from helpers.captions_demo import write_captions
from helpers.command_line import hurry, refused, run_cli
from helpers.killing import killed_and_resumed

pytestmark = [
    pytest.mark.slow,  # trains generators and evaluators
    pytest.mark.usefixtures("one_thread"),
]

FEW = {"task": "text_to_image", "epochs": 4, "batch_size": 8, "ema": 0.9}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_captions(tmp_path_factory.mktemp("captioned") / "data")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> fv.Run:
    path = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        code, said, err = run_cli("train", data, "--epochs", 60, "--batch-size", 8, "--out", path)
        assert code == 0, err
        assert "an evaluator learns to recognise the captions of the training images" in said
        assert "baselines, validation likeness: noise" in said
        code, said, err = run_cli("test", path)
        assert code == 0, err
        assert "its own match" in said
    return fv.Run.open(path)


def test_captions_select_the_task_and_metrics_have_intervals_and_baselines(run):
    assert run.settings.task == "text_to_image"
    assert run.settings.model == "patch_resnet"
    for split in ("valid", "test"):
        metrics = run.results[split]
        assert {
            "likeness",
            "prompt_accuracy",
            "real_accuracy",
            "real_likeness",
            "diversity",
            "copies",
        } <= set(metrics)
        assert (
            metrics["likeness"]["low"]
            <= metrics["likeness"]["value"]
            <= metrics["likeness"]["high"]
        )
        assert metrics["prompt_accuracy"]["value"] > 0.8
        baselines = run.results["baseline"][split]
        assert set(baselines) == {"noise", "mean image", "mean of the same words"}
        assert baselines["noise"]["likeness"]["value"] < metrics["likeness"]["value"]
    page = run.report_path.read_text()
    for title in (
        "Generated images",
        "Hardest words",
        "Images that do not match their prompt",
        "Closest to a training image",
    ):
        assert title in page
    assert "Learning curves" in page
    assert "explained variance" in page


def test_generate_writes_images_a_contact_sheet_and_a_strip(run, tmp_path):
    out = tmp_path / "made"
    code, said, err = run_cli(
        "generate",
        run.path,
        "light below",
        "Dark below!",
        "-n",
        3,
        "--seed",
        1,
        "--steps",
        5,
        "--out",
        out,
    )
    assert code == 0, err
    assert "6 images in" in said
    names = [
        f"{line}-{words}-000{k}.png"
        for line, words in (("01", "light-below"), ("02", "dark-below"))
        for k in (1, 2, 3)
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "sheet.png", "strip.png"])
    images = [np.asarray(Image.open(out / name)) for name in names]
    assert {image.shape for image in images} == {(12, 12, 3)}
    assert all(image[8:].mean() > image[:4].mean() for image in images[:3])
    assert all(image[8:].mean() < image[:4].mean() for image in images[3:])
    with Image.open(out / "strip.png") as strip, Image.open(out / "sheet.png") as sheet:
        assert strip.width > 8 * 90
        assert sheet.height > 2 * 90


def test_python_gives_the_same_images_in_any_batch(run, tmp_path):
    run_cli("generate", run.path, "light below", "-n", 2, "--seed", 7, "--out", tmp_path / "made")
    first, second = run.generate("light below", 2, seed=7)
    assert np.array_equal(
        first, np.asarray(Image.open(tmp_path / "made" / "01-light-below-0001.png"))
    )
    assert np.array_equal(
        second, np.asarray(Image.open(tmp_path / "made" / "01-light-below-0002.png"))
    )
    assert not np.array_equal(first, second)
    (alone,) = run.generate("light below", seed=7)
    assert np.abs(alone.astype(int) - first).max() <= 1  # another batch may round otherwise
    assert not np.array_equal(first, run.generate("light below", seed=8)[0])
    assert not np.array_equal(
        first, run.generate("light below", seed=7, guidance=1.0 + run.load()[0].guidance)[0]
    )


def test_stages_lead_from_noise_to_the_image(run):
    (stages,) = run.stages(["light above"], steps=6)
    assert len(stages) == 7
    noise = SampleRNG(sample_keys(["light above#0"]), 0).normal(3 * 12 * 12).reshape(3, 12, 12)
    _, net = run.load()
    expected = noise * net.std[0].numpy() + net.mean[0].numpy()
    assert np.abs(stages[0].transpose(2, 0, 1) - expected.clip(0, 255)).max() <= 0.5 + 1e-3
    assert np.array_equal(stages[-1], run.generate("light above", steps=6)[0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("gren light",), "no training caption contains 'gren'"),
        (("ligt above",), "Did you mean 'light'?"),
        (("",), "words are expected, got none"),
        (
            ("light " * 10_000,),
            "at most 2 words are expected, as in the training captions, got 10,000",
        ),
        (("light above", "--steps", "0"), "--steps"),
        (("light above", "-n", "0"), "-n"),
    ],
)
def test_senseless_prompts_are_refused(run, tmp_path, words, told):
    out = tmp_path / "made"
    code, _, err = run_cli("generate", run.path, *words, "--out", out)
    assert code == 2
    assert told in err
    assert "Traceback" not in err
    assert not out.exists()


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    error = refused("generate", run.path, "light above", "--out", tmp_path)
    assert "a new or empty folder is expected" in error


def test_a_run_of_another_task_generates_no_images(trained, tmp_path):
    error = refused("generate", trained.path, "red", "--out", tmp_path / "made")
    assert "the task classification predicts from images and generates none" in error
    assert "--task text_to_image" in error


def test_the_run_refuses_to_predict_from_images(run, data, tmp_path):
    for words in (
        ("predict", run.path, data / "00.png"),
        ("label", data, "--with", run.path, "--out", tmp_path / "new"),
    ):
        error = refused(*words)
        assert "generates images; it predicts nothing from them" in error
        assert "foveate generate" in error
    assert not (tmp_path / "new").exists()


def test_class_names_become_captions(colours, tmp_path, monkeypatch):
    hurry(monkeypatch)
    run = fv.train(colours, out=tmp_path / "run", **{**FEW, "epochs": 1})
    (image,) = run.generate("a picture of red", steps=2)
    assert image.shape == (16, 16, 3)
    assert run.data["classes"] == []


def test_images_are_mirrored_only_if_the_user_says_so(data, tmp_path, monkeypatch):
    hurry(monkeypatch)
    run = fv.train(data, out=tmp_path / "run", **{**FEW, "epochs": 1})
    assert run.settings.flip is False


def test_a_killed_run_resumes_to_the_same_bits(data, tmp_path, monkeypatch):
    hurry(monkeypatch)
    settings = {**FEW, "precision": "bfloat16"}
    killed_and_resumed(data, tmp_path, {**settings, "save_seconds": 0.0})


def test_a_missing_evaluator_is_trained_again(data, tmp_path, monkeypatch):
    hurry(monkeypatch)
    run = fv.train(data, out=tmp_path / "run", **{**FEW, "epochs": 1})
    before = run.evaluator_path.read_bytes()
    run.evaluator_path.unlink()
    assert run_cli("test", run.path)[0] == 0
    assert run.evaluator_path.read_bytes() == before
