"""An answer for each pixel from every model, and how wrong it is: against torch, loops and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate import models
from foveate.annotations import IGNORE
from foveate.errors import SettingError
from foveate.models.heads import segmentation
from foveate.models.heads.segmentation import (
    FINE_WIDTH,
    FOCUS,
    MAX_WIDTH,
    MIN_OUTPUTS_TO_SUBSAMPLE,
    MIN_WIDTH,
    Decoder,
    DecoderHead,
    FinestMapHead,
    SegmentationModel,
    SkipSumHead,
    align_targets,
    pixel_losses,
)

DEEPER = ("vgg13", "vgg16", "vgg19", "resnet34", "resnet101", "resnet152")
"""They differ from others of their family in depth alone."""
MLPS = [name for name in models.list_models() if name.startswith("mlp")]
PLAIN = [name for name in models.list_models() if name not in MLPS]
NAMES = PLAIN + [f"unet:{name}" for name in PLAIN if not name.startswith("unet")]
COMPUTED = [name for name in NAMES if name.removeprefix("unet:") not in DEEPER]


def net(name: str, size: int, outputs: int = 3, channels: int = 3) -> SegmentationModel:
    if "timm:" in name:
        pytest.importorskip("timm")
    backbone = models.build(name, channels=channels, size=size)
    return SegmentationModel(backbone, backbone.segmenter(outputs))


# --- every model


@pytest.mark.parametrize("name", NAMES)
def test_every_model_answers_at_the_pictures_own_size(name):
    smallest = models.find(name).min_size
    for size, channels, outputs in ((smallest, 1, 1), (67, 5, 4), (97, 3, 21)):
        with torch.device("meta"):
            built = net(name, size, outputs, channels).eval()
            assert built(torch.zeros(2, channels, size, size)).shape == (2, outputs, size, size)
            if built.backbone.flexible:
                other = torch.zeros(1, channels, size + 1, 2 * size + 5)
                assert built(other).shape == (1, outputs, size + 1, 2 * size + 5)


@pytest.mark.parametrize("outputs", [3, MIN_OUTPUTS_TO_SUBSAMPLE])
@pytest.mark.parametrize("name", COMPUTED)
def test_at_the_smallest_size_the_loss_is_finite_and_reaches_every_weight(name, outputs):
    torch.manual_seed(0)
    size = models.find(name).min_size
    built = net(name, size, outputs).train()
    target = torch.randint(0, 3, (2, size, size))
    losses = pixel_losses(*align_targets(built(torch.randn(2, 3, size, size)), target))
    sum(losses.values()).backward()
    for weight, parameter in built.named_parameters():
        assert parameter.grad is not None, weight
        assert torch.isfinite(parameter.grad).all(), weight
        assert parameter.grad.abs().sum() > 0, weight


@pytest.mark.parametrize("size", [64, 67])
@pytest.mark.parametrize(
    "name", ["unet:4x2", "unet:tiny_encoder", "unet:tiny_cnn", "yolo", "resnet18", "alexnet"]
)
def test_in_training_one_pixel_of_every_four_is_answered_as_all_are_and_each_in_its_turn(
    name, size
):
    """Of odd sides the last line may come out otherwise, where it is the one before again."""
    torch.manual_seed(0)
    built, images = net(name, size, MIN_OUTPUTS_TO_SUBSAMPLE).eval(), torch.randn(2, 3, size, size)
    with torch.no_grad():
        whole = built(images)
        built.training = True  # and no layer in it
        met = set()
        for _ in range(30):
            thinned = built(images)
            logits, same = align_targets(thinned, whole)
            assert logits.shape == same.shape
            even = slice(0, size // 2)
            torch.testing.assert_close(logits[..., even, even], same[..., even, even])
            met.add(thinned.offset)
    assert met == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("outputs", "predicted"),
    [(MIN_OUTPUTS_TO_SUBSAMPLE - 1, (64, 64)), (MIN_OUTPUTS_TO_SUBSAMPLE, (32, 32))],
)
def test_of_few_outputs_all_pixels_are_answered_for_in_training_too(outputs, predicted):
    built = net("unet:tiny_cnn", 64, outputs).train()
    logits, _ = align_targets(built(torch.randn(2, 3, 64, 64)), torch.zeros(2, 64, 64))
    assert logits.shape == (2, outputs, *predicted)


def test_a_picture_of_one_line_is_answered_in_training_too():
    built = SegmentationModel(
        torch.nn.Sequential(), FinestMapHead(3, MIN_OUTPUTS_TO_SUBSAMPLE)
    ).train()
    built.backbone.forward = lambda images: [images]
    for shape in ((1, 9), (8, 1), (1, 1)):
        for _ in range(9):
            logits, target = align_targets(built(torch.randn(2, 3, *shape)), torch.zeros(2, *shape))
            assert logits.shape[2:] == target.shape[1:]
            assert target.numel()


@pytest.mark.parametrize("name", MLPS)
def test_a_model_without_places_refuses_and_names_those_that_fit(name):
    with pytest.raises(SettingError, match="mlp") as refused:
        net(name, 16)
    assert all(other in refused.value.remedy for other in ("unet", "yolo", "resnet18"))
    assert "mlp" not in refused.value.remedy


# --- the decoder


@pytest.mark.parametrize(
    ("strides", "expected"),
    [
        ((1,), (1,)), ((8,), (2, 4, 8)), ((7,), (2, 4, 7)), ((4, 8, 16, 32), (2, 4, 8, 16, 32)), ((1, 2, 4), (1, 2, 4)),
        ((16, 16, 16), (2, 4, 8, 16)), ((4, 4, 8), (2, 4, 8)), ((2, 4, 8, 16, 32), (2, 4, 8, 16, 32)),
    ],
)  # fmt: skip
def test_its_maps_lead_from_the_coarsest_to_half_the_pictures_size(strides, expected):
    channels = tuple(300 + level for level in range(len(strides)))
    decoder = Decoder(channels, strides)
    assert decoder.strides == expected
    maps = decoder(
        [
            torch.randn(2, width, 56 // stride, 56 // stride)
            for width, stride in zip(channels, strides, strict=True)
        ]
    )
    assert decoder.channels == tuple(found.shape[1] for found in maps)
    assert decoder.channels[-1] == channels[-1]  # the coarsest as it is given
    assert all(MIN_WIDTH <= width <= MAX_WIDTH for width in decoder.channels[:-1])


def test_each_map_that_is_used_makes_a_difference_and_of_one_stride_the_last():
    torch.manual_seed(0)
    head = DecoderHead((4, 4, 6, 8), (2, 4, 4, 8), 2).eval()
    maps = [torch.randn(1, width, side, side) for width, side in ((4, 8), (4, 4), (6, 4), (8, 2))]
    before = head(maps)
    for level in range(4):
        changed = [found + (row == level) for row, found in enumerate(maps)]
        assert torch.equal(head(changed), before) == (level == 1)


@pytest.mark.parametrize(
    ("strides", "few"), [((2, 4, 8, 16, 32), 2), ((2, 4, 8, 16), 1), ((2, 4, 8), 0), ((2,), 0)]
)
def test_the_finest_maps_speak_through_few_numbers_where_much_coarser_ones_say_what_it_is(
    strides, few
):
    """The directions that an answer of 10 classes can take at a pixel, when a map changes."""
    torch.manual_seed(0)
    head = SkipSumHead([12] * len(strides), strides, 10)
    maps = [torch.randn(1, 12, 64 // stride, 64 // stride) for stride in strides]
    for level, stride in enumerate(strides):
        other = [*maps[:level], torch.randn(1, 12, 64 // stride, 64 // stride), *maps[level + 1 :]]
        moved = (head(other) - head(maps))[0].flatten(1)[:, ::7].detach()
        assert torch.linalg.matrix_rank(moved, rtol=1e-4) == min(
            FINE_WIDTH if level < few else 10, (64 // stride) ** 2
        )


def test_what_is_smaller_than_its_picture_is_enlarged_about_the_middle():
    """A ramp stays one: no half of a pixel is lost on the way."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)

    class Given(torch.nn.Module):
        def forward(self, images):
            del images
            return ramp

    found = SegmentationModel(Given(), torch.nn.Identity()).eval()(torch.zeros(1, 3, 16, 32))
    expected = ((torch.arange(32) + 0.5) / 4 - 0.5).clamp(0, 7)
    torch.testing.assert_close(found, expected.expand(1, 1, 16, 32))


# --- how wrong an answer is


def example(
    seed: int,
    batch: int = 3,
    classes: int = 4,
    height: int = 5,
    width: int = 7,
    ignored: float = 0.3,
):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (batch, classes, height, width)).astype(np.float32))
    target = torch.from_numpy(rng.integers(0, classes, (batch, height, width)))
    target[torch.from_numpy(rng.random((batch, height, width)) < ignored)] = IGNORE
    return logits, target


def by_loops(logits, target, weights=None):
    """Focal cross-entropy and 1 - Dice in plain numbers, pixel by pixel: the mean over pictures."""
    entropies, dices = [], []
    for image, true in zip(logits.double().tolist(), target.tolist(), strict=True):
        classes = len(image)
        entropy, pixels = 0.0, 0
        both, given, there = [0.0] * classes, [0.0] * classes, [0] * classes
        for row, labels in enumerate(true):
            for column, k in enumerate(labels):
                if k == IGNORE:
                    continue
                powers = [math.exp(image[j][row][column]) for j in range(classes)]
                shares = [power / sum(powers) for power in powers]
                entropy -= (
                    (1 - shares[k]) ** FOCUS
                    * math.log(shares[k])
                    * (1 if weights is None else weights[k])
                )
                pixels += 1
                both[k] += shares[k]
                there[k] += 1
                given = [sum(pair) for pair in zip(given, shares, strict=True)]
        shown = [k for k in range(classes) if there[k]]
        entropies.append(entropy / max(1, pixels))
        dices.append(
            sum(1 - 2 * both[k] / (given[k] + there[k]) for k in shown) / max(1, len(shown))
        )
    return sum(entropies) / len(entropies), sum(dices) / len(dices)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 4), classes=st.integers(1, 5), height=st.integers(1, 6),
    width=st.integers(1, 6), ignored=st.sampled_from([0.0, 0.3, 0.9, 1.0]), weighted=st.booleans(),
)  # fmt: skip
def test_equal_to_a_loop_over_pixels(seed, batch, classes, height, width, ignored, weighted):
    logits, target = example(seed, batch, classes, height, width, ignored)
    weights = [k + 0.5 for k in range(classes)] if weighted else None
    found = pixel_losses(logits, target, None if weights is None else torch.tensor(weights))
    entropy, dice = by_loops(logits, target, weights)
    assert found["focal"].item() == pytest.approx(entropy, rel=1e-5, abs=1e-6)
    assert found["dice"].item() == pytest.approx(dice, rel=1e-5, abs=1e-6)


def test_without_focus_it_is_torchs_cross_entropy_of_each_picture(monkeypatch):
    monkeypatch.setattr(segmentation, "FOCUS", 0.0)
    logits, target = example(0)
    each = [
        F.cross_entropy(one[None], true[None], ignore_index=IGNORE)
        for one, true in zip(logits, target, strict=True)
    ]
    assert pixel_losses(logits, target)["focal"].item() == pytest.approx(
        torch.stack(each).mean().item(), rel=1e-6
    )


def test_what_is_right_costs_nothing_and_what_is_wrong_everything():
    _, target = example(1, ignored=0.0)
    right = 60.0 * F.one_hot(target, 4).movedim(-1, 1)
    assert sum(pixel_losses(right, target).values()).item() == pytest.approx(0, abs=1e-6)
    wrong = pixel_losses(right.roll(1, 1), target)
    assert wrong["dice"].item() == pytest.approx(1, abs=1e-6)
    assert wrong["focal"].item() == pytest.approx(60, rel=1e-6)


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0, 0.0]])
def test_the_gradient_by_finite_differences(weights):
    logits, target = example(2, batch=2, height=3, width=3)
    logits.requires_grad_()
    total = sum(
        pixel_losses(logits, target, None if weights is None else torch.tensor(weights)).values()
    )
    (gradient,) = torch.autograd.grad(total, logits)
    step = 1e-5  # in the loop's doubles
    for place in range(0, logits.numel(), 5):
        ends = []
        for way in (step, -step):
            moved = logits.detach().double().flatten()
            moved[place] += way
            ends.append(sum(by_loops(moved.view(logits.shape), target, weights)))
        assert gradient.flatten()[place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7
        )


def test_a_pixel_that_nobody_labelled_teaches_nothing_and_others_do():
    logits, target = example(3)
    gradient = torch.autograd.grad(
        sum(pixel_losses(logits.requires_grad_(), target).values()), logits
    )[0].movedim(1, -1)
    assert not gradient[target == IGNORE].any()
    assert (gradient[target != IGNORE].abs().sum(-1) > 0).all()
    changed = logits.detach().movedim(1, -1).clone()
    changed[target == IGNORE] = 50.0
    before, after = pixel_losses(logits, target), pixel_losses(changed.movedim(-1, 1), target)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("weighted", [False, True])
def test_how_pictures_are_cut_into_batches_changes_nothing(weighted):
    logits, target = example(4, batch=6)
    target[0, 1:], target[1] = IGNORE, IGNORE  # one with few labelled pixels, one with none
    weights = torch.tensor([1.0, 2, 3, 4]) if weighted else None
    whole = pixel_losses(logits, target, weights)
    for size in (1, 2, 4):
        cuts = [
            (some, len(some), true)
            for some, true in zip(logits.split(size), target.split(size), strict=True)
        ]
        parts = [(pixel_losses(some, true, weights), count) for some, count, true in cuts]
        for name, value in whole.items():
            assert sum(part[name].item() * count for part, count in parts) / 6 == pytest.approx(
                value.item(), rel=1e-5
            )


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_without_a_labelled_pixel_the_loss_is_nothing_and_can_be_led_back(batch):
    logits = torch.randn(batch, 3, 4, 5, requires_grad=True)
    for weights in (None, torch.ones(3)):
        losses = pixel_losses(logits, torch.full((batch, 4, 5), IGNORE), weights)
        assert [value.item() for value in losses.values()] == [0, 0]
        (gradient,) = torch.autograd.grad(sum(losses.values()), logits)
        assert torch.equal(gradient, torch.zeros_like(logits))


def test_very_sure_answers_and_half_precision_are_finite():
    for kind in (torch.float32, torch.bfloat16):
        logits = (1e4 * torch.randn(2, 3, 4, 5)).to(kind).requires_grad_()
        losses = pixel_losses(logits, torch.randint(0, 3, (2, 4, 5)))
        assert all(
            torch.isfinite(value) and value.dtype == torch.float32 for value in losses.values()
        )
        (gradient,) = torch.autograd.grad(sum(losses.values()), logits)
        assert torch.isfinite(gradient).all()


def test_each_thing_shown_counts_the_same_in_dice_however_small():
    """One pixel of class 1 among 99 of class 0, all said to be 0: half of what is shown is missed."""
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    target[0, 4, 4] = 1
    logits = torch.zeros(1, 3, 10, 10)
    logits[:, 0] = 60
    assert pixel_losses(logits, target)["dice"].item() == pytest.approx(
        (1 + 1 - 2 * 99 / 199) / 2, rel=1e-6
    )
