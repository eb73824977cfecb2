"""The U-Net: the paper's numbers, its names, and outputs aligned with the image."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.backbone import count_parameters
from foveate.models.heads.segmentation import SegmentationModel
from foveate.models.registry import MAX_PARAMETERS, NORMALISED, PLAIN

ENCODERS = [name for name in models.list_models() if name.partition(":")[0] not in ("mlp", "unet")]


def needs(name: str) -> None:
    if "timm:" in name:
        pytest.importorskip("timm")


def built(
    name: str, channels: int = 1, size: int = 16, outputs: int = 2, seed: int = 0
) -> SegmentationModel:
    torch.manual_seed(seed)
    backbone = models.build(name, channels=channels, size=size)
    return SegmentationModel(backbone, backbone.segmenter(outputs)).eval()


def convolutions(net: nn.Module) -> list[nn.Module]:
    return [
        module for module in net.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]


# --- the paper's net


def test_it_has_the_papers_23_convolutional_layers_and_31_million_weights():
    with torch.device("meta"):
        net = built("unet")
    assert net.backbone.channels == (64, 128, 256, 512, 1024)
    assert net.backbone.strides == (1, 2, 4, 8, 16)
    layers = convolutions(net)
    kinds = [(type(layer).__name__, layer.kernel_size[0]) for layer in layers]
    assert len(layers) == 23
    assert {kind: kinds.count(kind) for kind in kinds} == {
        ("Conv2d", 3): 18, ("ConvTranspose2d", 2): 4, ("Conv2d", 1): 1,
    }  # fmt: skip
    down = [
        (1, 64),
        (64, 64),
        (64, 128),
        (128, 128),
        (128, 256),
        (256, 256),
        (256, 512),
        (512, 512),
        (512, 1024),
    ]
    up = [
        (1024, 512),
        (512, 512),
        (512, 256),
        (256, 256),
        (256, 128),
        (128, 128),
        (128, 64),
        (64, 64),
    ]
    threes = [*down, (1024, 1024), *up]
    twos = [(1024, 512), (512, 256), (256, 128), (128, 64)]
    weights = (
        sum(9 * a * b + b for a, b in threes) + sum(4 * a * b + b for a, b in twos) + 64 * 2 + 2
    )
    assert count_parameters(net) == weights == 31_030_658


def test_only_convolutions_have_weights_and_dropout_ends_the_contracting_path():
    net = built("unet:2x2")
    assert sum(len(list(layer.parameters())) for layer in convolutions(net)) == len(
        list(net.parameters())
    )
    images = torch.randn(1, 1, 16, 16)
    net.backbone.dropout = nn.Identity()
    with torch.no_grad():
        plain = net.backbone(images)
        net.backbone.dropout = nn.Threshold(torch.inf, 0.0)  # as if all were dropped
        dropped = net.backbone(images)
    assert not dropped[-1].any()
    assert plain[-1].any()
    assert not torch.equal(plain[0], dropped[0])


def test_its_initial_weights_follow_he():
    """Standard deviation sqrt(2 / fan-in), and no bias."""
    for layer in convolutions(built("unet:32x2").backbone):
        assert not layer.bias.any()
        inputs = layer.weight[0].numel()  # torch's fan-in, also for transposed convolutions
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.15)


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (1, 9), (3, 2), (16, 3), (8, 4)])
def test_the_name_sets_width_and_depth(width, depth):
    for name in (
        (f"unet:{width}x{depth}", f"unet:{width}") if depth == 4 else (f"unet:{width}x{depth}",)
    ):
        model = models.find(name)
        assert model.min_size == 2**depth
        assert model.default_recipe == PLAIN
        assert not model.has_weights
        with torch.device("meta"):
            backbone = models.build(name, channels=5, size=2**depth)
            maps = backbone.eval()(torch.zeros(1, 5, 2**depth, 2**depth))
        assert backbone.channels == tuple(width * 2**level for level in range(depth + 1))
        assert backbone.strides == tuple(2**level for level in range(depth + 1))
        assert [tuple(output.shape[1:]) for output in maps] == [
            (width * 2**level, 2 ** (depth - level), 2 ** (depth - level))
            for level in range(depth + 1)
        ]
        with pytest.raises(SettingError, match=f"at least {2**depth} px"):
            models.build(name, channels=1, size=2**depth - 1)


def test_a_net_that_is_not_refused_has_at_most_max_parameters():
    for width, depth in product((1, 64, 360, 370, 1000, 9999), (1, 4, 6, 9)):
        name = f"unet:{width}x{depth}"
        about = 30 * width**2 * 4**depth  # most of them in the deepest two layers
        with torch.device("meta"):  # needs no memory and no time
            if about > 1.1 * MAX_PARAMETERS:
                with pytest.raises(SettingError, match="at most 1,000,000,000"):
                    models.build(name, channels=3, size=512)
            elif about < 0.9 * MAX_PARAMETERS:
                assert count_parameters(models.build(name, channels=3, size=512)) < MAX_PARAMETERS


# --- names

WRONG = [
    "unet:0", "unet:-1", "unet:16x0", "unet:16x10", "unet:x3", "unet:16x", "unet:16X3",
    "unet: 16", "unet:１６", "unet:16x3\n", "unet:99999", "unet:3.5", "unet:resnet",
    "unet:yolo:x", "unet:mlp", "unet:mlp:30", "unet:unet", "unet:unet:16",
    "unet:unet:resnet18", "unet:tiny_cnn:", "unet::", "unet:*", "unet:../x",
]  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_text_after_the_colon_is_refused_with_valid_ones(name):
    for ask in (models.find, lambda name: models.build(name, channels=3, size=64)):
        with pytest.raises(SettingError) as refused:
            ask(name)
        assert refused.value.where == "model"
        assert all(
            example in refused.value.remedy
            for example in ("unet:16)", "unet:16x3", "unet:resnet18")
        )


def test_a_misspelt_encoder_gets_a_suggestion():
    with pytest.raises(SettingError, match="did you mean 'resnet"):
        models.find("unet:resnet1")


@pytest.mark.parametrize("name", ENCODERS)
def test_with_an_encoder_recipe_weights_and_sizes_are_the_encoders(name):
    needs(name)
    model, inner = models.find(f"unet:{name}"), models.find(name)
    for weights in (False, True):
        assert model.recipe(pretrained=weights) == inner.recipe(pretrained=weights)
        assert model.smallest_size(pretrained=weights) == inner.smallest_size(pretrained=weights)
    assert (model.has_weights, model.min_size) == (inner.has_weights, inner.min_size)
    assert "Ronneberger" in model.paper
    with pytest.raises(SettingError, match=f"at least {inner.min_size} px"):
        models.build(f"unet:{name}", channels=3, size=inner.min_size - 1)


def test_resnet18_as_an_encoder_in_numbers():
    model = models.find("unet:resnet18")
    assert (model.min_size, model.min_size_pretrained, model.has_weights, model.default_recipe) == (
        8,
        65,
        True,
        NORMALISED,
    )
    assert models.find("unet:cnn").default_recipe == PLAIN
    assert models.find("unet:yolo:s").default_recipe.bf16
    assert not models.find("unet:16x3").has_weights


def test_looking_up_one_name_changes_no_other():
    before = models.all(), models.list_models(), models.find("unet")
    models.find("unet:resnet18"), models.find("unet:4x1")
    assert (models.all(), models.list_models(), models.find("unet")) == before
    assert models.find("unet:8x1").min_size == 2
    assert models.find("unet").min_size == models.find("unet:64").min_size == 16


def test_published_weights_are_the_encoders(tmp_path):
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "net.pth")
    options = {"channels": 3, "size": 67, "weights": tmp_path / "net.pth"}
    whole, alone = models.build("unet:resnet18", **options), models.build("resnet18", **options)
    encoder = alone.state_dict()
    assert all(
        torch.equal(value, encoder[name]) for name, value in whole.encoder.state_dict().items()
    )
    assert whole.statistics == alone.statistics
    with pytest.raises(SettingError, match="no published weights"):
        models.build("unet:16x3", **options)
    with pytest.raises(SettingError, match="no published weights"):
        models.build("unet:yolo", **options)


# --- pixels


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["unet:2x3", "unet:tiny_cnn", "unet:yolo", "yolo"])
@torch.no_grad()
def test_the_output_has_exactly_the_images_size(name, channels):
    net = built(name, channels, size=32, outputs=7)
    for shape in ((32, 32), (33, 33), (47, 64), (64, 35), (101, 39), (32, 200)):
        assert net(torch.randn(2, channels, *shape)).shape == (2, 7, *shape)


@pytest.mark.parametrize(
    ("name", "side", "edge"),
    [
        ("unet:2x2", 160, 48),
        ("unet:3x1", 64, 16),
        ("unet:tiny_cnn", 160, 48),
        ("tiny_cnn", 160, 48),
    ],
)
@torch.no_grad()
def test_a_shifted_image_has_a_shifted_output(name, side, edge):
    """Shifted by the coarsest stride; compared away from the edges."""
    net = built(name)
    step = net.backbone.strides[-1]
    image = torch.randn(1, 1, side + step, side + step)
    here, there = net(image[..., :side, :side]), net(image[..., step:, step:])
    stays, moves = (
        prediction[..., edge:-edge, edge:-edge]
        for prediction in (here, there.roll((step, step), (2, 3)))
    )
    torch.testing.assert_close(stays, moves, rtol=1e-4, atol=1e-5)
    assert (stays - there[..., edge:-edge, edge:-edge]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("unet:2x2", 4),
        *(pytest.param("unet:2x2", cut) for cut in (1, 2, 3)),
        ("unet:tiny_cnn", 4),
        *(pytest.param("unet:tiny_cnn", cut) for cut in (1, 2, 3)),
    ],
)
@torch.no_grad()
def test_cropping_the_far_edges_changes_nothing_at_the_near_ones(name, cut):
    """Maps stay aligned for sizes that the strides do not divide."""
    net, image = built(name), torch.randn(1, 1, 128, 128)
    whole, part = net(image), net(image[..., : 128 - cut, : 128 - cut])
    torch.testing.assert_close(part[..., :64, :64], whole[..., :64, :64], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["unet:2x2", "unet:tiny_cnn", "tiny_cnn"])
@torch.no_grad()
def test_weights_round_trip_through_safetensors(name):
    net, other, images = built(name), built(name, seed=1), torch.randn(2, 1, 21, 16)
    assert not torch.allclose(net(images), other(images))
    other.load_state_dict(
        load(save({key: value.contiguous() for key, value in net.state_dict().items()}))
    )
    assert torch.equal(net(images), other(images))
