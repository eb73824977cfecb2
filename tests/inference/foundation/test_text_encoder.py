"""A frozen CLIP as text encoder: its features, their cache, and runs that use it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.errors import RunError, SettingError
from foveate.models import text_encoder as encoders
from foveate.models.heads.text_conditioning import TextConditioner
from foveate.models.text_encoder import TextEncoder
from foveate.training import checkpoint, fit
from foveate.training.loop import steps
from helpers import tiny_models
from helpers.captions_demo import write_captions
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = {"task": "text_to_image", "epochs": 2, "batch_size": 8, "ema": 0.9}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_captions(tmp_path_factory.mktemp("captioned") / "data")


@pytest.fixture(scope="module")
def encoder_folder(clip, tmp_path_factory):
    """A copy that a test may move."""
    return shutil.copytree(clip[0], tmp_path_factory.mktemp("encoders") / "clip")


@pytest.fixture(scope="module")
def run(data, encoder_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        options = (
            "--batch-size",
            8,
            "--epochs",
            8,
            "--set",
            "ema=0.9",
            "--set",
            f"text_encoder=clip:{encoder_folder}",
        )
        code, _, err = run_cli("train", data, *options, "--out", path)
        assert code == 0, err
    return fv.Run.open(path)


@torch.no_grad()
def test_tokens_equal_the_librarys_and_the_padding_is_zero(clip):
    folder, net = clip
    encoder, texts = TextEncoder.of(f"clip:{folder}"), ["a cat", "", "a black dog there", "a cat"]
    encoded = encoder.read(texts)
    assert encoded.shape == (4, 16, 16)
    assert encoded.dtype == np.float32
    tokenizer = tiny_models.transformers.CLIPTokenizer.from_pretrained(folder)
    for row, text in zip(encoded, texts, strict=True):
        expected = (
            net.text_model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].numpy()
            if text
            else []
        )
        np.testing.assert_allclose(row[: len(expected)], np.reshape(expected, (-1, 16)), atol=1e-5)
        assert not row[len(expected) :].any()
    assert np.array_equal(encoded[0], encoded[3])
    assert encoder.read([""]).shape == (1, 1, 16)
    assert encoder.read([]).shape == (0, 1, 16)


def test_each_text_is_encoded_once_and_to_the_same_bits_in_any_order(clip, monkeypatch):
    texts = [
        f"a {word} {other}" for word in ("cat", "dog") for other in ("above", "below", "there")
    ]
    one, other = TextEncoder.of(f"clip:{clip[0]}"), TextEncoder.of(f"clip:{clip[0]}")
    one.cache(texts)
    other.cache(texts[::-1])
    assert np.array_equal(one.read(texts), other.read(texts))
    monkeypatch.setattr(one.clip, "encode_texts", None)  # would fail
    assert one.read(texts[2:4]).shape == (2, 11, 16)
    monkeypatch.setattr(encoders, "MAX_CACHED_BYTES", 0)
    full = TextEncoder.of(f"clip:{clip[0]}")
    np.testing.assert_allclose(full.read(texts), one.read(texts), atol=1e-5)
    assert not full._cache


def test_captions_that_are_too_long_are_truncated_and_prompts_refused(clip):
    encoder = TextEncoder.of(f"clip:{clip[0]}")
    assert encoder.read(["hello " * 100]).shape == (1, 48, 16)
    with pytest.raises(
        SettingError, match="at most 48 tokens is expected, start and end included, got 502"
    ):
        encoder.check("hello " * 100)
    with pytest.raises(SettingError, match="a text is expected, got none"):
        encoder.check(" ")


def test_padding_changes_nothing_and_the_empty_text_is_trained():
    torch.manual_seed(0)
    prompt = TextConditioner(0, 9, 16)
    for layer in prompt.attention:
        torch.nn.init.normal_(layer.out.weight, std=0.5)
    words = torch.randn(2, 4, 16)
    words[1] = 0
    tokens, mask = prompt(words)
    longer, longer_mask = prompt(torch.cat([words, torch.zeros(2, 5, 16)], 1))
    assert mask.tolist() == [[True] * 4, [True, False, False, False]]
    assert torch.equal(longer_mask[:, :4], mask)
    assert not longer_mask[:, 4:].any()
    torch.testing.assert_close(longer[:, :4][mask], tokens[mask])
    tokens[1, 0].sum().backward()
    assert prompt.embedding.bias.grad.any()


@pytest.mark.slow
def test_words_outside_the_captions_change_the_image(run, encoder_folder, tmp_path):
    assert run.settings.text_encoder == f"clip:{encoder_folder}"
    assert {"likeness", "prompt_accuracy"} <= set(run.results["valid"])
    code, text, err = run_cli(
        "generate", run.path, "a turquoise cat!", "-n", 2, "--steps", 3, "--out", tmp_path / "made"
    )
    assert code == 0, err
    assert "2 images in" in text
    first = run.generate("a turquoise cat", steps=3)[0]
    assert first.shape == (12, 12, 3)
    assert np.array_equal(first, run.generate("a turquoise cat", steps=3)[0])
    task, net = run.load()
    noise = fv.data.rng.SampleRNG(fv.data.rng.sample_keys(["x"]), 0)
    one, other = (
        next(task.generate(net, [text], noise))[-1].astype(int) for text in ("light above", "zebra")
    )
    assert np.abs(one - other).max() > 1  # only the words differ
    assert "at most 48 tokens" in refused(
        "generate", run.path, "word " * 100, "--out", tmp_path / "none"
    )
    assert "a text is expected" in refused("generate", run.path, "", "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_run_contains_no_weight_of_clip_but_its_location(run, encoder_folder):
    tensors, record = checkpoint.read(run.weights)
    assert tensors["body.text.embedding.weight"].shape == (192, 16)
    assert not [name for name in tensors if "token_embedding" in name or "text_model" in name]
    options = record["options"]["text_encoder"]
    assert (options["source"], options["width"], options["max_length"]) == (
        f"clip:{encoder_folder.resolve()}",
        16,
        48,
    )
    assert "words" not in record["options"]


@pytest.mark.slow
def test_a_missing_or_changed_clip_is_refused(run, encoder_folder, tmp_path):
    def message() -> str:
        return refused("generate", run.path, "a cat", "--out", tmp_path / "made")

    away = encoder_folder.with_name("away")
    encoder_folder.rename(away)
    try:
        assert "there is no such folder" in message()
        assert "put the folder back there" in message()
        encoder_folder.mkdir()
        tiny_models.clip(encoder_folder, hidden=24)
        assert "tokens of width 16 are expected, got 24" in message()
        shutil.rmtree(encoder_folder)
        encoder_folder.mkdir()
        tiny_models.clip(encoder_folder, seed=1)
        assert "its weights differ" in message()
        with pytest.raises(RunError, match="not the CLIP that encoded this run's texts"):
            fv.Run.open(run.path).generate("a cat")
    finally:
        shutil.rmtree(encoder_folder, ignore_errors=True)
        away.rename(encoder_folder)


@pytest.mark.slow
def test_stopped_and_resumed_to_the_same_bit(data, clip, tmp_path, monkeypatch):
    hurry(monkeypatch)
    settings = {
        **FEW,
        "save_seconds": 0.0,
        "precision": "bfloat16",
        "text_encoder": f"clip:{clip[0]}",
    }
    unbroken = fv.train(data, out=tmp_path / "unbroken", **settings)

    def broken(*args, **kwargs):
        for step in steps(*args, **kwargs):
            if step.number == 5:
                raise KeyboardInterrupt
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(fit, "steps", broken)
        with pytest.raises(KeyboardInterrupt):
            fv.train(data, out=tmp_path / "run", **settings)
    resumed = fv.resume(tmp_path / "run")
    resumed_state, state = checkpoint.read(resumed.weights)[0], checkpoint.read(unbroken.weights)[0]
    assert resumed_state.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in resumed_state.items())


def test_an_invalid_text_encoder_is_refused_before_any_image_is_read(
    data, colours, clip, sam, tmp_path
):
    for words, message in {
        (
            colours,
            "--set",
            f"text_encoder=clip:{clip[0]}",
            "--task",
            "classification",
        ): "the task classification does not use this setting",
        (data, "--set", "text_encoder=clip:nowhere"): "there is no such folder",
        (
            data,
            "--set",
            f"text_encoder=clip:{sam[0]}",
        ): "a model of type clip is expected, its config.json says 'sam'",
        (data, "--set", f"text_encoder=sam:{sam[0]}"): "clip:DIR is expected, got 'sam:",
        (data, "--set", "text_encoder=bert"): "clip:DIR is expected, got 'bert'",
    }.items():
        assert message in refused("train", *words, "--out", tmp_path / "run"), words
    assert not (tmp_path / "run").exists()
