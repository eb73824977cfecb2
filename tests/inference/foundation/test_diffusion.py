"""Stable Diffusion from a folder: the images of diffusers, each a function of seed and number."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from foveate.errors import SettingError
from foveate.inference.foundation import diffusion as diffusions
from foveate.inference.foundation.diffusion import StableDiffusion, generator
from helpers.command_line import refused, run_cli

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(diffusion):
    return StableDiffusion(diffusion[0])


def test_images_equal_those_of_diffusers(diffusion, model):
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        diffusion[0], low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    generated = model.images(["a cat", "a dog"], seed=3, steps=3, guidance=4.0)
    for number, text in enumerate(["a cat", "a dog"]):
        options = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "np"}
        (expected,) = pipeline(text, generator=generator(3, f"{text}#0"), **options).images
        assert generated[number].shape == (16, 16, 3)
        assert generated[number].dtype == np.uint8
        assert np.array_equal(generated[number], np.rint(expected * 255).astype(np.uint8))
        assert generated[number].std() > 5


def test_an_image_depends_on_text_seed_and_number_only(model):
    three = model.images(["a cat"], 3, steps=2)
    assert np.array_equal(model.images(["a cat"], 2, steps=2), three[:2])
    assert not np.array_equal(three[0], three[1])
    assert not np.array_equal(model.images(["a cat"], seed=1, steps=2)[0], three[0])
    others = model.images(["a dog", "a cat", "a cat"], steps=2)
    assert not np.array_equal(others[0], three[0])
    assert np.array_equal(others[1:], three[:2])


def test_the_stages_end_in_the_image(model):
    (stages,) = model.stages(["a cat"], steps=4)
    assert len(stages) == 4
    assert np.array_equal(stages[-1], model.images(["a cat"], steps=4)[0])
    far = [np.abs(stage.astype(int) - stages[-1]).mean() for stage in stages]
    assert far == sorted(far, reverse=True)
    assert far[0] > 1


def test_the_command_writes_images_a_sheet_and_a_strip(diffusion, model, tmp_path):
    out, name = tmp_path / "made", f"diffusion:{diffusion[0]}"
    words = ("-n", 2, "--seed", 1, "--guidance", 4, "--steps", 3)
    code, text, err = run_cli("generate", name, "a red square", "a cat", *words, "--out", out)
    assert code == 0, err
    assert "4 images in" in text
    names = [
        f"{line}-{stem}-000{k}.png"
        for line, stem in (("01", "a-red-square"), ("02", "a-cat"))
        for k in (1, 2)
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "sheet.png", "strip.png"])
    expected = model.images(["a red square", "a cat"], 2, seed=1, guidance=4.0, steps=3)
    for name, image in zip(names, expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(out / name)), image)
    with Image.open(out / "strip.png") as strip:
        assert strip.width > 8 * 90


def test_the_defaults_are_the_models(model, monkeypatch):
    monkeypatch.setattr(diffusions, "STEPS", 2)
    generated = model.images(["a cat"])
    assert np.array_equal(generated, model.images(["a cat"], guidance=7.5, steps=2))
    assert not np.array_equal(generated, model.images(["a cat"], guidance=1.0, steps=2))


def test_the_command_refuses_invalid_texts_options_and_models(diffusion, clip, trained, tmp_path):
    name, out = f"diffusion:{diffusion[0]}", tmp_path / "made"
    for words, message in {
        (name, " "): "prompt: a text is expected, got none",
        (name, "word " * 100): "at most 24 tokens is expected",
        (name, "a cat", "--guidance", "0.5"): "guidance: 1 or more are expected, got 0.5",
        (f"clip:{clip[0]}", "a cat"): "which generates no images",
        ("diffusion:nowhere", "a cat"): "there is no such folder",
        ("diffusion:no/where", "a cat"): "foveate generate diffusion:no/where ... --download",
        (trained.path, "a cat", "--download"): "this option is for foundation models",
    }.items():
        assert message in refused("generate", *words, "--out", out), words
    assert not out.exists()


def test_invalid_arguments_are_refused_before_anything_is_generated(model):
    for arguments, message in {
        (
            ("word " * 10_000,),
            1,
            5,
        ): "at most 24 tokens is expected, start and end included, got 40,002",
        (("a cat",), 0, 5): "count: 1 or more are expected, got 0",
        (("a cat",), 1, 0): "steps: 1 or more are expected, got 0",
    }.items():
        texts, count, steps = arguments
        with pytest.raises(SettingError, match=message):
            model.images(texts, count, steps=steps)


def changed(folder, tmp_path, **entries):
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, **entries}))
    return copy


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"_class_name": "FluxPipeline"},
            "a StableDiffusionPipeline is expected, its model_index.json says 'FluxPipeline'",
        ),
        (
            {"vae": ["os", "system"]},
            "a AutoencoderKL is expected as its vae, its model_index.json says 'system'",
        ),
        (
            {"scheduler": ["diffusers", "FluxPipeline"]},
            "a scheduler of diffusers is expected as its scheduler",
        ),
        (
            {"unet": None},
            "a UNet2DConditionModel is expected as its unet, its model_index.json says None",
        ),
    ],
)
def test_other_components_are_refused_by_name(diffusion, tmp_path, entries, message):
    with pytest.raises(SettingError, match=message):
        StableDiffusion(changed(diffusion[0], tmp_path, **entries))


def test_a_safety_checker_in_the_folder_is_not_loaded(diffusion, tmp_path):
    copy = changed(
        diffusion[0], tmp_path, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"]
    )
    assert StableDiffusion(f"diffusion:{copy}").pipeline.safety_checker is None


def test_missing_and_pickled_components_are_refused(diffusion, tmp_path):
    copy = changed(diffusion[0], tmp_path)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(
        SettingError,
        match=r"unet: its weights are in diffusion_pytorch_model\.bin, a file type that can",
    ):
        StableDiffusion(copy)
    shutil.rmtree(copy / "unet")
    with pytest.raises(SettingError, match="unet: there is no such folder"):
        StableDiffusion(copy)
    with pytest.raises(SettingError, match=r"it has no model_index\.json"):
        StableDiffusion(tmp_path)


def test_a_generator_is_refused_as_a_predictor(diffusion):
    from foveate.inference import foundation

    with pytest.raises(SettingError, match="generates images; it predicts nothing"):
        foundation.open(f"diffusion:{diffusion[0]}")
