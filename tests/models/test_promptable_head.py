"""The promptable head: its prompts, its predictions and its losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate import models
from foveate.errors import SettingError
from foveate.models.heads import promptable
from foveate.models.heads.prompt_losses import prompt_losses
from foveate.models.heads.promptable import (
    CANDIDATES,
    DRAWS_PER_OBJECT,
    NO_CLICK,
    ROUNDS,
    MaskPrediction,
    PromptableHead,
    Prompts,
)
from foveate.models.model import VisionModel
from foveate.models.net_interactive import NetInteractivePredictor

pytestmark = pytest.mark.usefixtures("one_thread")


def built(name: str = "tiny_encoder", size: int = 64, channels: int = 3) -> PromptableHead:
    torch.manual_seed(0)
    return PromptableHead(models.build(name, channels=channels, size=size)).eval()


def prompts(count: int, size: tuple[int, int], **fields: torch.Tensor) -> Prompts:
    plain = {
        "rows": torch.zeros(count, dtype=torch.int64),
        "clicks": torch.full((count, 1, 3), NO_CLICK),
        "boxes": torch.zeros(count, 4),
        "masks": torch.zeros(count, *size),
    }
    return Prompts(**{**plain, **fields})


@pytest.mark.parametrize(
    "name", ["tiny_encoder", "tiny_cnn", "yolo", "resnet18", "unet:4x2", "unet:tiny_cnn"]
)
@pytest.mark.parametrize("size", [(64, 64), (32, 96), (63, 65)])
def test_masks_are_as_large_as_their_image(name, size):
    net = built(name)
    if not net.backbone.flexible and size != (64, 64):
        pytest.skip("this backbone takes images of one size")
    prediction = net.decode(
        net.encode(torch.randn(2, 3, *size)), prompts(3, size, rows=torch.tensor([0, 1, 1]))
    )
    assert prediction.masks.shape == (3, CANDIDATES, *size)
    assert prediction.iou_logits.shape == (3, CANDIDATES)
    assert prediction.best().shape == (3, *size)


def test_the_best_candidate_has_the_highest_estimated_iou():
    masks = torch.arange(2 * 3 * 4.0).view(2, 3, 2, 2)
    best = MaskPrediction(masks, torch.tensor([[0.0, 2, 1], [3, 2, 1]])).best()
    assert torch.equal(best, torch.stack([masks[0, 1], masks[1, 0]]))


def test_each_prompt_is_independent_of_the_batch():
    """Also with padding clicks."""
    net, images = built(), torch.randn(2, 3, 64, 64)
    clicks = torch.tensor([[[10.0, 12, 1], [50, 40, 0]], [[30, 30, 1], [0, 0, NO_CLICK]]])
    together = net.decode(
        net.encode(images), prompts(2, (64, 64), rows=torch.arange(2), clicks=clicks)
    )
    for row, one in enumerate((clicks[:1], clicks[1:, :1])):
        alone = net.decode(net.encode(images[row : row + 1]), prompts(1, (64, 64), clicks=one))
        assert torch.allclose(alone.masks[0], together.masks[row], atol=1e-4)
        assert torch.allclose(alone.iou_logits[0], together.iou_logits[row], atol=1e-4)


@pytest.mark.parametrize("kind", ["clicks inside", "clicks outside", "boxes", "masks"])
def test_every_kind_of_prompt_changes_the_prediction(kind):
    net = built()
    maps = net.encode(torch.randn(1, 3, 64, 64))
    prompt = {
        "clicks inside": {"clicks": torch.tensor([[[20.0, 30, 1]]])},
        "clicks outside": {"clicks": torch.tensor([[[20.0, 30, 0]]])},
        "boxes": {"boxes": torch.tensor([[10.0, 10, 30, 40]])},
        "masks": {"masks": torch.randn(1, 64, 64)},
    }[kind]
    before, after = (net.decode(maps, prompts(1, (64, 64), **one)).masks for one in ({}, prompt))
    assert not torch.allclose(before, after, atol=1e-5)


def test_prompt_maps_have_the_prompts_position():
    prompt = prompts(
        1,
        (64, 32),
        clicks=torch.tensor([[[8.5, 40.5, 1], [20.5, 10.5, 0]]]),
        boxes=torch.tensor([[4.0, 16, 12, 48]]),
    )
    inside, outside, box = promptable.draw_prompts(prompt, (64, 32), (32, 16))
    assert np.unravel_index(inside[0].argmax().item(), (32, 16)) == (20, 4)
    assert np.unravel_index(outside[0].argmax().item(), (32, 16)) == (5, 10)
    assert box[0].nonzero().min(0).values.tolist() == [8, 2]
    assert box[0].nonzero().max(0).values.tolist() == [23, 5]
    assert not promptable.pixel_prompts(torch.zeros(1, 3, 64, 32), prompt)[:, 0].any()
    for shape in ((2, 1), (1, 1)):  # coarser than a click is wide
        assert promptable.draw_prompts(prompt, (64, 32), shape)[0].max() > 0.5


def test_a_sampled_click_is_wrong_and_uniform_among_pixels_deep_enough():
    rng = np.random.default_rng(0)
    wrong = torch.zeros(1, 9, 12, dtype=torch.bool)
    wrong[0, 2:7, 1:6] = wrong[0, 8, 11] = True  # depths 1, 2 and 3, and one of 1
    targets = torch.from_numpy(rng.random((1, 9, 12)) < 0.5)
    many = 6000
    rng = torch.from_numpy(rng.random((many, 2))).float()
    clicks = promptable.sample_clicks(wrong.expand(many, -1, -1), targets.expand(many, -1, -1), rng)
    columns, rows = (clicks[:, :2] - 0.5).long().unbind(1)
    assert wrong[0, rows, columns].all()
    assert torch.equal(clicks[:, 2], targets[0, rows, columns].float())
    counts = torch.zeros(9, 12).index_put((rows, columns), torch.ones(many), accumulate=True) / many
    shares = {
        "edge": 1 / 3 / 26,
        "ring": 1 / 3 / 26 + 1 / 3 / 9,
        "middle": 1 / 3 / 26 + 1 / 3 / 9 + 1 / 3,
    }
    assert counts[4, 3] == pytest.approx(shares["middle"], rel=0.1)
    assert counts[3:6, 2:5].sum() - counts[4, 3] == pytest.approx(8 * shares["ring"], rel=0.1)
    assert counts[8, 11] == pytest.approx(shares["edge"], rel=0.4)


def test_no_click_where_nothing_is_wrong():
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    rng = torch.tensor([[0.0, 0], [0.999, 0.999]])
    assert (promptable.sample_clicks(nothing, nothing, rng)[:, 2] == NO_CLICK).all()


def test_colour_similarity_is_that_of_the_most_similar_click_with_its_label():
    images = torch.zeros(1, 3, 4, 6)
    images[:, :, :, 3:] = 2.0
    clicks = torch.tensor([[[1.5, 0.5, 1], [4.5, 3.5, 0], [0, 0, NO_CLICK]]])
    inside, outside = promptable.colour_similarity(images, clicks)[0]
    far = float(np.exp(-4 / (2 * promptable.COLOUR_SIGMA**2)))
    assert torch.allclose(inside[:, :3], torch.ones(4, 3))
    assert torch.allclose(inside[:, 3:], torch.full((4, 3), far))
    assert torch.allclose(outside, inside.flip(1))
    both = promptable.colour_similarity(images, torch.tensor([[[1.5, 0.5, 1], [4.5, 3.5, 1]]]))[0]
    assert torch.allclose(both[0], torch.ones(4, 6))
    assert not both[1].any()


def test_boxes_enclose_their_objects_up_to_a_tenth():
    targets = torch.zeros(3, 20, 30, dtype=torch.bool)
    targets[0, 4:14, 10:30] = True
    targets[1, 19, 0] = True
    middle = torch.full((3, 4), 0.5)
    assert promptable.jittered_boxes(targets, middle)[0].tolist() == pytest.approx(
        [10, 4, 30, 14], abs=1e-5
    )
    assert promptable.jittered_boxes(targets, middle)[1].tolist() == pytest.approx(
        [0, 19, 1, 20], abs=1e-5
    )
    assert not promptable.jittered_boxes(targets, middle)[2].any()
    off = promptable.jittered_boxes(targets, torch.zeros(3, 4))[0] - torch.tensor([10.0, 4, 30, 14])
    assert off.tolist() == pytest.approx([-2, -1, -2, -1], abs=1e-5)


def test_training_gives_one_prediction_per_round():
    net = built().train()
    targets = torch.zeros(4, 64, 64, dtype=torch.bool)
    targets[:3, 10:30, 20:40] = True
    predictions = net(torch.randn(4, 3, 64, 64), targets, torch.rand(4, DRAWS_PER_OBJECT))
    assert len(predictions) == ROUNDS
    losses = prompt_losses(predictions, targets)
    assert all(torch.isfinite(loss) for loss in losses.values())
    alone = prompt_losses(
        [MaskPrediction(one.masks[3:], one.iou_logits[3:]) for one in predictions], targets[3:]
    )
    assert all(loss == 0 for loss in alone.values())  # an image without an object has no loss


def test_a_perfect_prediction_has_no_loss_and_one_good_candidate_a_small_one():
    targets = torch.zeros(1, 16, 16, dtype=torch.bool)
    targets[0, 4:9, 3:12] = True
    right = torch.where(targets, 20.0, -20.0)
    perfect = MaskPrediction(
        right[:, None].expand(-1, CANDIDATES, -1, -1), torch.full((1, CANDIDATES), 20.0)
    )
    losses = prompt_losses([perfect], targets)
    assert losses["mask"] == pytest.approx(0, abs=1e-4)
    assert losses["estimate"] == pytest.approx(0, abs=1e-6)
    one = MaskPrediction(torch.stack([right, -right, -right], 1), torch.tensor([[20.0, -20, -20]]))
    none = MaskPrediction(torch.stack([-right] * 3, 1), torch.full((1, 3), -20.0))
    losses = [
        prompt_losses([prediction], targets)["mask"].item() for prediction in (perfect, one, none)
    ]
    assert losses[0] < losses[1] < losses[2] / 2
    assert prompt_losses([one], targets)["estimate"] == pytest.approx(0, abs=1e-6)


# --- interactive prediction


def make_predictor(shape: tuple[int, ...] = (40, 56, 3), size: int = 64) -> NetInteractivePredictor:
    net = VisionModel(built(size=size), size=size, mean=[110.0] * 3, std=[60.0] * 3)
    return NetInteractivePredictor(net, np.random.default_rng(0).integers(0, 255, shape, np.uint8))


@pytest.mark.parametrize("shape", [(40, 56, 3), (64, 64, 3), (200, 90, 3), (1, 1, 3), (7, 300, 3)])
def test_masks_are_in_the_images_pixels(shape):
    one = make_predictor(shape)
    mask = one.click(shape[1] - 0.5, 0)
    assert mask.shape == shape[:2]
    assert mask.dtype == bool
    assert 0 < one.predicted_iou < 1
    assert one.box(0, 0, *shape[1::-1]).shape == shape[:2]


def test_prompts_add_up_until_reset():
    one = make_predictor()
    first = one.click(20, 20)
    one.click(5, 5, inside=False)
    one.box(2, 2, 50, 30)
    assert one.clicks == [(20, 20, True), (5, 5, False)]
    one.reset()
    assert not one.clicks
    assert one.prompt_box is None
    assert np.array_equal(one.click(20, 20), first)


def test_several_prompts_at_once_are_one_prediction():
    one = make_predictor()
    together = one.predict([(20, 20, True), (5, 5, False)], (2, 2, 50, 30))
    assert together.shape == one.size


@pytest.mark.parametrize("shape", [(40, 56, 3), (200, 90, 3)])
def test_a_given_mask_can_be_the_start(shape):
    one = make_predictor(shape)
    mask = np.zeros(shape[:2], bool)
    mask[5:20, 10:30] = True
    one.click(1, 1)
    one.set_mask(mask)
    assert not one.clicks
    near = one.to_masks(one.logits)[0]
    # Its edge may differ, as the net sees a smaller image.
    assert (near != mask).sum() <= 2 * (15 + 20)
    one.click(3, 3, inside=False)
    for wrong in (mask[:-1], mask[None], mask.T):
        with pytest.raises(SettingError, match=r"a mask of .* is expected"):
            one.set_mask(wrong)


@pytest.mark.parametrize(
    "at", [(-1, 5), (5, -0.1), (56, 5), (5, 40), (float("nan"), 5), (5, float("inf"))]
)
def test_a_click_outside_the_image_is_refused(at):
    one = make_predictor()
    with pytest.raises(SettingError, match="a pixel of an image of 56 x 40 is expected"):
        one.click(*at)
    assert not one.clicks  # nothing was added


def test_a_pixel_cannot_be_inside_and_outside():
    one = make_predictor()
    one.click(20.2, 20)
    with pytest.raises(SettingError, match="the pixel 20,20 is both inside and outside"):
        one.click(20.7, 20.9, inside=False)
    with pytest.raises(SettingError, match="inside and outside"):
        one.predict([(1, 1, True), (1, 1, False)])
    one.click(20, 20)  # a repetition is no contradiction
    one.reset()
    one.click(20, 20, inside=False)


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (9, 5, 2, 9), (60, 0, 70, 10), (-9, -9, 0, 0), (0, 0, float("nan"), 5)]
)
def test_a_box_without_a_pixel_of_the_image_is_refused(box):
    with pytest.raises(SettingError, match="left, top, right and bottom are expected"):
        make_predictor().box(*box)
