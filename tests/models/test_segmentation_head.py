"""Per-pixel logits of every model, and their losses: torch, loops and finite differences."""

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
"""They differ from others of their family in depth only."""
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
def test_every_model_gives_logits_at_the_images_size(name):
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
def test_at_the_smallest_size_the_loss_is_finite_and_every_weight_gets_a_gradient(name, outputs):
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


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 67])
@pytest.mark.parametrize(
    "name", ["unet:4x2", "unet:tiny_encoder", "unet:tiny_cnn", "yolo", "resnet18", "alexnet"]
)
def test_in_training_one_pixel_of_every_four_is_computed_at_a_changing_offset(name, size):
    """For odd sides the last line may differ, where it repeats the one before."""
    torch.manual_seed(0)
    built, images = net(name, size, MIN_OUTPUTS_TO_SUBSAMPLE).eval(), torch.randn(2, 3, size, size)
    with torch.no_grad():
        whole = built(images)
        built.training = True  # but none of its layers
        offsets = set()
        for _ in range(30):
            output = built(images)
            logits, same = align_targets(output, whole)
            assert logits.shape == same.shape
            even = slice(0, size // 2)
            torch.testing.assert_close(logits[..., even, even], same[..., even, even])
            offsets.add(output.offset)
    assert offsets == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("outputs", "predicted"),
    [(MIN_OUTPUTS_TO_SUBSAMPLE - 1, (64, 64)), (MIN_OUTPUTS_TO_SUBSAMPLE, (32, 32))],
)
def test_with_few_outputs_training_computes_all_pixels(outputs, predicted):
    built = net("unet:tiny_cnn", 64, outputs).train()
    logits, _ = align_targets(built(torch.randn(2, 3, 64, 64)), torch.zeros(2, 64, 64))
    assert logits.shape == (2, outputs, *predicted)


def test_an_image_of_one_line_works_in_training():
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
def test_a_model_without_positions_refuses_and_names_models_that_fit(name):
    with pytest.raises(SettingError, match="mlp") as refused:
        net(name, 16)
    assert all(other in refused.value.remedy for other in ("unet", "yolo", "resnet18"))
    assert "mlp" not in refused.value.remedy


# --- the decoder


@pytest.mark.parametrize(
    ("strides", "expected"),
    [
        ((1,), (1,)), ((8,), (2, 4, 8)), ((7,), (2, 4, 7)), ((4, 8, 16, 32), (2, 4, 8, 16, 32)),
        ((1, 2, 4), (1, 2, 4)), ((16, 16, 16), (2, 4, 8, 16)), ((4, 4, 8), (2, 4, 8)),
        ((2, 4, 8, 16, 32), (2, 4, 8, 16, 32)),
    ],
)  # fmt: skip
def test_its_maps_reach_from_the_coarsest_to_half_the_images_size(strides, expected):
    channels = tuple(300 + level for level in range(len(strides)))
    decoder = Decoder(channels, strides)
    assert decoder.strides == expected
    maps = decoder(
        [
            torch.randn(2, width, 56 // stride, 56 // stride)
            for width, stride in zip(channels, strides, strict=True)
        ]
    )
    assert decoder.channels == tuple(output.shape[1] for output in maps)
    assert decoder.channels[-1] == channels[-1]  # the coarsest is unchanged
    assert all(MIN_WIDTH <= width <= MAX_WIDTH for width in decoder.channels[:-1])


def test_every_map_affects_the_output_except_earlier_ones_of_a_stride():
    torch.manual_seed(0)
    head = DecoderHead((4, 4, 6, 8), (2, 4, 4, 8), 2).eval()
    maps = [torch.randn(1, width, side, side) for width, side in ((4, 8), (4, 4), (6, 4), (8, 2))]
    before = head(maps)
    for level in range(4):
        changed = [output + (row == level) for row, output in enumerate(maps)]
        assert torch.equal(head(changed), before) == (level == 1)


@pytest.mark.parametrize(
    ("strides", "few"), [((2, 4, 8, 16, 32), 2), ((2, 4, 8, 16), 1), ((2, 4, 8), 0), ((2,), 0)]
)
def test_the_finest_maps_have_a_narrow_bottleneck_if_there_are_much_coarser_ones(strides, few):
    """The rank of the change of 10 logits per pixel when one map changes."""
    torch.manual_seed(0)
    head = SkipSumHead([12] * len(strides), strides, 10)
    maps = [torch.randn(1, 12, 64 // stride, 64 // stride) for stride in strides]
    for level, stride in enumerate(strides):
        other = [*maps[:level], torch.randn(1, 12, 64 // stride, 64 // stride), *maps[level + 1 :]]
        moved = (head(other) - head(maps))[0].flatten(1)[:, ::7].detach()
        assert torch.linalg.matrix_rank(moved, rtol=1e-4) == min(
            FINE_WIDTH if level < few else 10, (64 // stride) ** 2
        )


def test_smaller_logits_are_enlarged_about_the_centre():
    """A ramp stays a ramp, without a shift by half a pixel."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)

    class Ramp(torch.nn.Module):
        def forward(self, _images):
            return ramp

    output = SegmentationModel(Ramp(), torch.nn.Identity()).eval()(torch.zeros(1, 3, 16, 32))
    expected = ((torch.arange(32) + 0.5) / 4 - 0.5).clamp(0, 7)
    torch.testing.assert_close(output, expected.expand(1, 1, 16, 32))


# --- losses


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
    """Focal cross-entropy and 1 - Dice, pixel by pixel: the mean over images."""
    entropies, dices = [], []
    for image, true in zip(logits.double().tolist(), target.tolist(), strict=True):
        classes = len(image)
        entropy, pixels = 0.0, 0
        overlap, predicted, area = [0.0] * classes, [0.0] * classes, [0] * classes
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
                overlap[k] += shares[k]
                area[k] += 1
                predicted = [sum(pair) for pair in zip(predicted, shares, strict=True)]
        present = [k for k in range(classes) if area[k]]
        entropies.append(entropy / max(1, pixels))
        dices.append(
            sum(1 - 2 * overlap[k] / (predicted[k] + area[k]) for k in present)
            / max(1, len(present))
        )
    return sum(entropies) / len(entropies), sum(dices) / len(dices)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 4), classes=st.integers(1, 5),
    height=st.integers(1, 6), width=st.integers(1, 6),
    ignored=st.sampled_from([0.0, 0.3, 0.9, 1.0]), weighted=st.booleans(),
)  # fmt: skip
def test_the_losses_equal_a_loop_over_pixels(
    seed, batch, classes, height, width, ignored, weighted
):
    logits, target = example(seed, batch, classes, height, width, ignored)
    weights = [k + 0.5 for k in range(classes)] if weighted else None
    output = pixel_losses(logits, target, None if weights is None else torch.tensor(weights))
    entropy, dice = by_loops(logits, target, weights)
    assert output["focal"].item() == pytest.approx(entropy, rel=1e-5, abs=1e-6)
    assert output["dice"].item() == pytest.approx(dice, rel=1e-5, abs=1e-6)


def test_without_focus_it_is_torchs_cross_entropy_of_each_image(monkeypatch):
    monkeypatch.setattr(segmentation, "FOCUS", 0.0)
    logits, target = example(0)
    each = [
        F.cross_entropy(one[None], true[None], ignore_index=IGNORE)
        for one, true in zip(logits, target, strict=True)
    ]
    assert pixel_losses(logits, target)["focal"].item() == pytest.approx(
        torch.stack(each).mean().item(), rel=1e-6
    )


def test_a_perfect_output_has_no_loss_and_a_wrong_one_the_largest():
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
        for delta in (step, -step):
            moved = logits.detach().double().flatten()
            moved[place] += delta
            ends.append(sum(by_loops(moved.view(logits.shape), target, weights)))
        assert gradient.flatten()[place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7
        )


def test_only_labelled_pixels_have_a_gradient():
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
def test_batching_changes_no_loss(weighted):
    logits, target = example(4, batch=6)
    target[0, 1:], target[1] = IGNORE, IGNORE  # one with few labelled pixels, one with none
    weights = torch.tensor([1.0, 2, 3, 4]) if weighted else None
    whole = pixel_losses(logits, target, weights)
    for size in (1, 2, 4):
        cuts = [
            (some, len(some), true)
            for some, true in zip(logits.split(size), target.split(size), strict=True)
        ]
        batches = [(pixel_losses(some, true, weights), count) for some, count, true in cuts]
        for name, value in whole.items():
            assert sum(
                losses[name].item() * count for losses, count in batches
            ) / 6 == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_without_a_labelled_pixel_loss_and_gradient_are_zero(batch):
    logits = torch.randn(batch, 3, 4, 5, requires_grad=True)
    for weights in (None, torch.ones(3)):
        losses = pixel_losses(logits, torch.full((batch, 4, 5), IGNORE), weights)
        assert [value.item() for value in losses.values()] == [0, 0]
        (gradient,) = torch.autograd.grad(sum(losses.values()), logits)
        assert torch.equal(gradient, torch.zeros_like(logits))


def test_extreme_logits_and_bfloat16_have_finite_losses():
    for kind in (torch.float32, torch.bfloat16):
        logits = (1e4 * torch.randn(2, 3, 4, 5)).to(kind).requires_grad_()
        losses = pixel_losses(logits, torch.randint(0, 3, (2, 4, 5)))
        assert all(
            torch.isfinite(value) and value.dtype == torch.float32 for value in losses.values()
        )
        (gradient,) = torch.autograd.grad(sum(losses.values()), logits)
        assert torch.isfinite(gradient).all()


def test_each_class_counts_the_same_in_dice_however_small():
    """One pixel of class 1 among 99 of class 0, all predicted as 0: one class of two is missed."""
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    target[0, 4, 4] = 1
    logits = torch.zeros(1, 3, 10, 10)
    logits[:, 0] = 60
    assert pixel_losses(logits, target)["dice"].item() == pytest.approx(
        (1 + 1 - 2 * 99 / 199) / 2, rel=1e-6
    )
