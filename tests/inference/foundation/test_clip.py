"""CLIP: zero-shot classification and text features equal those of the library."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import foveate as fv
from foveate.errors import BadImage
from foveate.inference import foundation
from foveate.inference.foundation import clip as clips
from foveate.models import model_ref
from foveate.models.clip import Clip
from helpers import tiny_models
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = [
    tiny_models.colours(0),
    tiny_models.colours(1, (33, 90, 3)),
    tiny_models.colours(2, (64, 20, 1)),
]


@torch.no_grad()
def direct(folder, net, texts, images=IMAGES):
    """Output of the library for images and texts."""
    tokenizer = tiny_models.transformers.CLIPTokenizer.from_pretrained(folder)
    processor = tiny_models.transformers.CLIPImageProcessor.from_pretrained(folder)
    colour = [np.repeat(image, 3, 2) if image.shape[2] == 1 else image for image in images]
    return net(
        **tokenizer(texts, padding=True, return_tensors="pt"),
        **processor(colour, return_tensors="pt"),
    )


def test_with_one_template_the_scores_equal_the_librarys(clip, monkeypatch):
    folder, net = clip
    monkeypatch.setattr(clips, "TEMPLATES", ("a photo of a {}.",))
    model = foundation.open(f"clip:{folder}", classes=["cat", " dog "])
    expected = direct(
        folder, net, ["a photo of a cat.", "a photo of a dog."]
    ).logits_per_image.softmax(1)
    predictions = model.predict_images(IMAGES)
    torch.testing.assert_close(
        torch.tensor(np.stack([one.scores for one in predictions])).float(), expected
    )
    assert [one.index for one in predictions] == expected.argmax(1).tolist()
    assert model.task.classes == ("cat", "dog")


def test_templates_are_averaged_as_directions(clip):
    folder, net = clip
    model = foundation.open(f"clip:{folder}", classes=["cat", "dog"])
    output = direct(
        folder, net, [one.format(name) for name in ("cat", "dog") for one in clips.TEMPLATES]
    )
    features = torch.nn.functional.normalize(output.text_embeds.reshape(2, -1, 12).mean(1), dim=1)
    expected = (net.logit_scale.exp() * output.image_embeds @ features.T).softmax(1)
    scores = torch.tensor(np.stack([one.scores for one in model.predict_images(IMAGES)])).float()
    torch.testing.assert_close(scores, expected)


@torch.no_grad()
def test_text_features_and_tokens_equal_the_librarys(clip):
    folder, net = clip
    encoder, texts = Clip(folder), ["a cat", "a black dog there", ""]
    output = encoder.encode_texts(texts)
    inputs = tiny_models.transformers.CLIPTokenizer.from_pretrained(folder)(
        texts, padding=True, return_tensors="pt"
    )
    expected = net.text_model(**inputs).last_hidden_state
    torch.testing.assert_close(output.tokens, expected)
    torch.testing.assert_close(output.features, net.get_text_features(**inputs).pooler_output)
    assert output.mask.sum(1).tolist() == [4, 16, 2]
    alone = encoder.encode_texts(texts[:1])
    torch.testing.assert_close(output.tokens[0, :4], alone.tokens[0])
    assert not any(weight.requires_grad for weight in encoder.net.parameters())


def test_a_text_that_is_too_long_is_refused_with_its_length(clip):
    with pytest.raises(
        fv.FoveateError, match=r"at most 48 tokens is expected, start and end included, got 50,002"
    ):
        Clip(clip[0]).encode_texts(["a cat", "hello " * 10_000])


def test_the_commands_predict_and_label_for_training(clip, colours, tmp_path, monkeypatch):
    folder, _ = clip
    name = f"clip:{folder}"
    images = sorted(colours.rglob("*.png"))[:30]
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for number, path in enumerate(images):
        (unlabelled / f"{number}.png").write_bytes(path.read_bytes())
    code, out_text, err = run_cli(
        "predict", name, unlabelled, "--classes", "cat, dog", "--json", tmp_path / "a.json"
    )
    assert code == 0, err
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["classes"] == ["cat", "dog"]
    (first, *_) = written["predictions"]
    assert first["class"] in ("cat", "dog")
    assert first["probability"] >= 0.5
    assert f"{first['path']}  {first['class']}" in out_text
    out = tmp_path / "proposed"
    words = ("--with", name, "--classes", "cat,dog", "--out", out)
    code, _, err = run_cli("label", unlabelled, *words)
    assert code == 0, err
    predictions = {one["path"].rpartition("/")[2]: one["class"] for one in written["predictions"]}
    with out.with_name("proposed.proposals.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["prediction"].split()[0] for row in rows} == predictions
    read = fv.load(out)
    assert {
        sample.source.path.name: read.classes[sample.target.index] for sample in read
    } == predictions
    if len(read.classes) == 2:
        hurry(monkeypatch)
        words = ("--epochs", 1, "--allow-leak", "--allow-errors", "--out", tmp_path / "run")
        code, _, err = run_cli("train", out, *words)
        assert code == 0, err


def test_invalid_class_names_are_refused(clip, tmp_path):
    name = f"clip:{clip[0]}"
    Image.fromarray(IMAGES[0]).save(tmp_path / "x.png")
    for words, message in {
        (): "two or more classes are expected, none of them empty, got none",
        ("--classes", ""): "two or more classes are expected",
        ("--classes", "cat"): "got 'cat'",
        ("--classes", "cat,,dog"): "none of them empty, got 'cat', '', 'dog'",
        ("--classes", "cat,dog, cat"): "each class is expected once, got 'cat' more often",
        ("--classes", "cat," + "d" * 60): "at most 48 tokens is expected",
        ("--classes", "cat,dog", "--point", "3,3"): "without prompts",
        ("--classes", "cat,dog", "--tile", "64"): "classifies whole images",
    }.items():
        assert message in refused("predict", name, tmp_path / "x.png", *words), words
    with pytest.raises(BadImage, match=r"got .*9, 9, 5"):
        foundation.open(name, classes=["a", "b"]).predict([tiny_models.colours(0, (9, 9, 5))])


def test_references_are_recognised_by_their_form(tmp_path):
    assert model_ref.parse("runs/cats") is None
    assert model_ref.parse("clip:some/where") == model_ref.ModelRef("clip", "some/where")
    (tmp_path / "clip:x").mkdir()
    assert model_ref.parse(str(tmp_path / "clip:x")) is None
    assert "no family of foundation models is called 'blip'" in refused(
        "predict", "blip:x", tmp_path
    )
    assert "a folder is expected after clip:" in refused("predict", "clip:", tmp_path)


def test_options_of_foundation_models_are_refused_for_runs(trained, tmp_path):
    assert "finds no objects" in refused("predict", trained.path, tmp_path, "--classes", "a,b")
    assert "--download" in refused("predict", trained.path, tmp_path, "--download")
