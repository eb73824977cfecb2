"""The flow-matching model: shapes, conditioning, and sampling along known flows."""

from __future__ import annotations

import pytest
import torch

from foveate import models
from foveate.models.heads.flow_matching import FlowMatchingModel, sample, to_pixels
from foveate.models.model import VisionModel

pytestmark = pytest.mark.usefixtures("one_thread")


def built(name: str = "patch_resnet", size: int = 16, channels: int = 3) -> FlowMatchingModel:
    torch.manual_seed(0)
    model = FlowMatchingModel(models.build(name, channels=channels, size=size), 7, 5)
    for weight in model.parameters():  # weights that start at zero would hide every input
        if weight.ndim > 1 and not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    return model.eval()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("patch_resnet", 16), ("patch_resnet", 29), ("patch_resnet", 65), ("tiny_cnn", 28),
        ("tiny_cnn", 33), ("tiny_encoder", 64), ("resnet18", 45), ("unet:8x2", 19), ("mlp", 12),
    ],
)  # fmt: skip
def test_any_backbone_predicts_a_velocity_for_each_pixel(name, size, channels):
    model = built(name, size, channels)
    x = torch.randn(2, channels, size, size)
    layout = model.spatial_conditioning(torch.zeros(2, 5, dtype=torch.int64), x.shape[2:])
    output = model.velocity(x, torch.tensor([0.0, 1.0]), layout)
    assert output.shape == x.shape
    assert output.dtype == torch.float32
    assert torch.isfinite(output).all()


def test_timestep_words_and_their_order_change_the_velocity():
    model, x = built(), torch.randn(1, 3, 16, 16)

    def velocity(t: float, *words: int) -> torch.Tensor:
        return model.velocity(
            x, torch.tensor([t]), model.spatial_conditioning(torch.tensor([words]), x.shape[2:])
        )

    first = velocity(0.5, 1, 2, 3, 0, 0)
    for other in (
        velocity(0.6, 1, 2, 3, 0, 0),
        velocity(0.5, 1, 2, 4, 0, 0),
        velocity(0.5, 3, 2, 1, 0, 0),
        velocity(0.5, 0, 0, 0, 0, 0),
    ):
        assert not torch.allclose(first, other, atol=1e-4)


def test_the_target_is_the_straight_line_from_noise_to_image():
    model = built()
    images, noise = torch.randn(2, 2, 3, 16, 16).unbind(0)
    inputs = []
    model.velocity = lambda x, t, conditioning: inputs.append(x) or x  # type: ignore[method-assign]
    _, true = model(images, noise, torch.tensor([0.0, 0.25]), torch.zeros(2, 5, dtype=torch.int64))
    assert torch.equal(true, images - noise)
    assert torch.equal(inputs[0][0], noise[0])
    assert torch.allclose(inputs[0][1], noise[1] + 0.25 * true[1], atol=1e-6)


def flow(velocity) -> VisionModel:
    net = VisionModel(built(), size=16, mean=[100.0] * 3, std=[50.0] * 3)
    net.body.velocity = velocity
    net.body.spatial_conditioning = lambda words, size: words
    return net


def test_euler_steps_follow_a_straight_flow_to_its_end():
    start, goal = torch.randn(2, 4, 3, 16, 16).unbind(0)
    words = torch.ones(4, 5, dtype=torch.int64)
    for steps in (1, 7, 20):
        *_, end = sample(
            flow(lambda x, t, conditioning: goal - start), start, words, guidance=1.0, steps=steps
        )
        assert torch.allclose(end, goal, atol=1e-5)


def test_more_steps_approximate_a_curved_flow_better():
    """dx/dt = x has the solution x e^t; Euler's error falls as 1/steps."""
    start, words = torch.ones(1, 3, 16, 16), torch.ones(1, 5, dtype=torch.int64)
    ends = [
        list(sample(flow(lambda x, t, conditioning: x), start, words, guidance=1.0, steps=n))[-1][
            0, 0, 0, 0
        ]
        for n in (40, 80, 160)
    ]
    errors = [float(torch.e - end) for end in ends]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.15)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.1)


def test_guidance_extrapolates_towards_the_prompt():
    start, words = torch.zeros(1, 3, 16, 16), torch.ones(1, 5, dtype=torch.int64)

    def velocity(x, _t, words):
        return torch.full_like(x, 2.0 if words.any() else 0.5)

    for guidance, expected in ((0.0, 0.5), (1.0, 2.0), (3.0, 5.0)):
        *_, end = sample(flow(velocity), start, words, guidance=guidance, steps=4)
        assert torch.allclose(end, torch.full_like(end, expected))


def test_pixels_are_bytes():
    net = flow(lambda x, t, conditioning: x)
    output = to_pixels(net, torch.tensor([-9.0, 0.0, 0.5, 9.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2))
    assert output.shape == (4, 2, 2, 3)
    assert output[:, 0, 0, 0].tolist() == [0, 100, 125, 255]
