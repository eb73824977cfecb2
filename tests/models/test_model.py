"""What goes into a net: resized and normalised pixels, whatever the faster way there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from foveate.data.resizing import fit_within, pad
from foveate.models.backbone import Backbone
from foveate.models.model import VisionModel


class Plain(Backbone):
    """A backbone that takes images of any size."""

    flexible = True
    strides, channels = (4,), (1,)


def build(channels: int, size: int) -> VisionModel:
    mean, std = ([base + 0.3 * k for k in range(channels)] for base in (110.5, 60.7))
    return VisionModel(nn.Sequential(Plain()), size=size, mean=mean, std=std)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (6, 9), (9, 6), (17, 8), (8, 17), (40, 30)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_images_are_resized_as_in_training_whatever_their_scale(channels, shape, factor):
    rng = np.random.default_rng(0)
    height, width = (factor * side for side in shape)
    net = build(channels, max(shape))
    noise = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    noise.flags.writeable = False
    for image in (noise, noise // 128 * 255, noise[::-1]):
        ((_, batch),) = net.padded_batches([image], 1)
        expected = pad(fit_within(image, net.size, channels), batch.shape[2], batch.shape[3])
        assert np.array_equal(batch[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_memory_formats_change_no_bit_of_normalised_images(channels):
    net = build(channels, 8)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (2, channels, 7, 5), dtype=np.uint8))
    expected = (images.float() - net.mean) / net.std
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given = images.clone(memory_format=memory_format)
        assert torch.equal(net.normalise(given), expected)
        assert net.normalise(given).is_contiguous(memory_format=memory_format)
        assert torch.equal(given, images)
        as_float = given.float()
        assert torch.equal(net.normalise(as_float), expected)
        assert torch.equal(as_float, images.float())
