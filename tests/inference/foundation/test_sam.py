"""SAM and SAM 2: the library's masks, from Python and from the command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import foveate as fv
from foveate.inference import foundation
from foveate.ops import rle
from foveate.tasks import clicking
from helpers import tiny_models
from helpers.command_line import refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGE = tiny_models.colours()


@pytest.fixture(params=["sam", "sam2"])
def known(request):
    """Its reference, the library's net and its processor."""
    folder, net = request.getfixturevalue(request.param)
    kind = "SamProcessor" if request.param == "sam" else "Sam2Processor"
    images = getattr(
        tiny_models.transformers, kind.replace("Processor", "ImageProcessor")
    ).from_pretrained(folder)
    return f"{request.param}:{folder}", net, getattr(tiny_models.transformers, kind)(images)


@torch.no_grad()
def direct(net, processor, **prompts):
    """The library's masks (3, H, W) and estimated IoUs, the best first."""
    inputs = processor(images=IMAGE, return_tensors="pt", **prompts)
    keys = ("pixel_values", "input_labels")
    arguments = {key: value for key, value in inputs.items() if key in keys}
    for key in ("input_points", "input_boxes"):
        if key in inputs:
            arguments[key] = inputs[key].float()
    output = net(**arguments, multimask_output=True)
    sizes = [inputs["original_sizes"]] + (
        [inputs["reshaped_input_sizes"]] if "reshaped_input_sizes" in inputs else []
    )
    (masks,) = processor.image_processor.post_process_masks([output.pred_masks[0]], *sizes)
    order = output.iou_scores[0, 0].sort(descending=True).indices
    return masks[0][order].numpy(), output.iou_scores[0, 0][order]


def test_clicks_and_boxes_give_the_librarys_masks(known):
    name, net, processor = known
    predictor = foundation.open(name).set_image(IMAGE)
    masks, estimates = direct(
        net, processor, input_points=[[[[30, 20], [5, 7]]]], input_labels=[[[1, 0]]]
    )
    prediction = predictor.predict_batch([[(30, 20, True), (5, 7, False)]], [None])
    output = np.stack([predictor.to_masks(prediction.masks[:, number])[0] for number in range(3)])
    assert output.shape == (3, 40, 56)
    assert 0 < output.mean() < 1
    assert np.array_equal(output, masks)
    torch.testing.assert_close(
        prediction.iou_logits[0].sigmoid(), estimates.clamp(1e-6, 1 - 1e-6), atol=1e-5, rtol=1e-5
    )
    assert np.array_equal(predictor.predict([(30, 20, True), (5, 7, False)]), masks[0])
    predictor.reset()
    masks, _ = direct(net, processor, input_boxes=[[[3.0, 4.0, 40.0, 30.0]]])
    assert np.array_equal(predictor.box(3, 4, 40, 30), masks[0])


def test_the_last_prediction_is_an_input_of_the_next(known):
    name, net, processor = known
    predictor = foundation.open(name).set_image(IMAGE)
    predictor.click(30, 20)
    earlier = predictor.logits
    inputs = processor(
        images=IMAGE,
        input_points=[[[[30, 20], [5, 7]]]],
        input_labels=[[[1, 0]]],
        return_tensors="pt",
    )
    with torch.no_grad():
        output = net(
            pixel_values=inputs["pixel_values"],
            input_points=inputs["input_points"].float(),
            input_labels=inputs["input_labels"],
            input_masks=earlier[:, None],
        )
    predictor.click(5, 7, inside=False)
    torch.testing.assert_close(
        predictor.logits[0], output.pred_masks[0, 0, output.iou_scores[0, 0].argmax()]
    )
    mask = np.zeros(IMAGE.shape[:2], bool)
    mask[10:20, 10:30] = True
    predictor.set_mask(mask)
    inside = predictor.to_masks(predictor.logits)[0]
    assert (inside & mask).sum() > 0.7 * (inside | mask).sum()
    with pytest.raises(fv.FoveateError, match="a mask of 56 x 40 pixels is expected"):
        predictor.set_mask(mask[:10])


def test_a_batch_of_prompts_gives_the_same_masks_as_single_prompts(known):
    predictor = foundation.open(known[0]).set_image(IMAGE)
    clicks, boxes = (
        [[(3, 3, True)], [], [(9, 9, True), (1, 1, False)], [(20, 5, True)]],
        [None, (1, 1, 9, 9), None, None],
    )
    together = predictor.predict_batch(clicks, boxes)
    for row in range(4):
        alone = predictor.predict_batch(clicks[row : row + 1], boxes[row : row + 1])
        torch.testing.assert_close(together.masks[row], alone.masks[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            together.iou_logits[row], alone.iou_logits[0], atol=1e-4, rtol=1e-4
        )


def test_the_command_takes_prompts_and_writes_predictions(known, tmp_path):
    name = known[0]
    Image.fromarray(IMAGE).save(tmp_path / "x.png")
    outputs = (
        "--json",
        tmp_path / "a.json",
        "--draw",
        tmp_path / "drawn",
        "--masks",
        tmp_path / "masks",
    )
    words = ("--point", "30,20", "--outside", "5,7", "--box", "3,4,50,30")
    code, text, err = run_cli("predict", name, tmp_path / "x.png", *words, *outputs)
    assert code == 0, err
    assert "estimated IoU" in text
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["run"] == name
    ((instance,),) = [one["instances"] for one in written["predictions"]]
    mask = (
        foundation.open(name)
        .set_image(tmp_path / "x.png")
        .predict([(30, 20, True), (5, 7, False)], (3, 4, 50, 30))
    )
    runs = rle.from_coco_string(instance["mask"], (40, 56))
    assert np.array_equal(rle.decode(runs, (40, 56)), mask)
    (mask_file,) = (tmp_path / "masks").rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(mask_file)) > 0, mask)
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 1


def test_without_a_prompt_a_grid_of_clicks_proposes_labels(known, tmp_path, monkeypatch):
    monkeypatch.setattr(clicking, "MIN_IOU", 0.0)  # random weights give low scores
    monkeypatch.setattr(clicking, "GRID", 3)
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for number in range(2):
        Image.fromarray(tiny_models.colours(number, (30, 40, 1))[..., 0]).save(
            unlabelled / f"{number}.png"
        )
    words = ("--with", known[0], "--out", tmp_path / "proposed")
    code, text, err = run_cli("label", unlabelled, *words)
    assert code == 0, err
    assert "2 images labelled" in text
    assert (
        (tmp_path / "proposed.proposals.csv").read_text().startswith("id,confidence,prediction\n")
    )
    read = fv.load(tmp_path / "proposed", format="coco")
    assert read.classes == ("object",)
    predictions = foundation.open(known[0]).predict(sorted(unlabelled.glob("*.png")))
    assert [len(sample.target) for sample in read] == [
        len(prediction.boxes) for prediction in predictions
    ]


def test_invalid_prompts_are_refused(known, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "x.png")
    for words, message in {
        ("--point", "56,3"): "a pixel of an image of 56 x 40 is expected, got 56,3",
        ("--box", "60,3,70,9"): "left, top, right and bottom are expected",
        ("--point", "5,5", "--outside", "5.5,5"): "the pixel 5,5 is both inside and outside",
        ("--classes", "cat,dog"): "finds objects without naming them",
        ("--tile", "64"): "segments whole images",
    }.items():
        assert message in refused("predict", known[0], tmp_path / "x.png", *words), words


def test_the_image_model_is_loaded_from_a_video_model(sam2, tmp_path):
    """SAM 2 is published with a memory of earlier frames, which is not loaded."""
    shutil.copytree(sam2[0], tmp_path / "video")
    path = tmp_path / "video" / "config.json"
    config = json.loads(path.read_text())
    more = {"model_type": "sam2_video", "num_maskmem": 7, "memory_attention_hidden_size": 32}
    path.write_text(json.dumps({**config, **more}))
    state = load_file(sam2[0] / "model.safetensors")
    save_file(
        {**state, "memory_attention.layer_norm.weight": torch.ones(32)},
        tmp_path / "video" / "model.safetensors",
    )
    output = [
        foundation.open(f"sam2:{at}").set_image(IMAGE).click(30, 20)
        for at in (sam2[0], tmp_path / "video")
    ]
    assert np.array_equal(*output)


def test_a_processor_of_another_size_is_refused(tmp_path):
    tiny_models.sam(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"longest_edge": 64', '"longest_edge": 96'))
    with pytest.raises(
        fv.FoveateError, match=r"do not describe a model that works .*larger than the image"
    ):
        foundation.open(f"sam:{tmp_path}")
