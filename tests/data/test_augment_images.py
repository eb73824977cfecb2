import numpy as np
import pytest
import torch

from foveate.data.augment.images import ImageAugment, default_policy
from foveate.data.rng import SampleRNG, sample_keys

IDS = [f"{i}" for i in range(64)]


def make_images(size=12, channels=3):
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (64, size, size, channels), dtype=np.uint8)
    )


EVERY = {
    "flip": ImageAugment(flip=True),
    "shift": ImageAugment(shift=2),
    "zoom": ImageAugment(scale_jitter=0.3),
    "colour": ImageAugment(colour=0.3),
    "erase": ImageAugment(erase=1.0),
    "all": ImageAugment(shift=1, flip=True, scale_jitter=0.2, colour=0.2, erase=0.5),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_same_kind_out_source_untouched_and_each_image_by_its_own_draws(name, channels):
    images = make_images(channels=channels)
    kept = images.clone()
    out = EVERY[name](images, SampleRNG(sample_keys(IDS), 0))
    assert out.shape == images.shape
    assert out.dtype == torch.uint8
    assert torch.equal(images, kept)
    assert not torch.equal(out, images)
    one = EVERY[name](images[7:8], SampleRNG(sample_keys(IDS[7:8]), 0))
    assert torch.equal(one[0], out[7])


def test_nothing_is_done_unless_asked():
    images = make_images()
    assert ImageAugment()(images, SampleRNG(sample_keys(IDS), 0)) is images


def test_a_flip_is_the_image_or_its_mirror_about_half_the_time():
    images = make_images()
    out = ImageAugment(flip=True)(images, SampleRNG(sample_keys(IDS), 0))
    mirrored = [torch.equal(o, i.flip(1)) for o, i in zip(out, images, strict=True)]
    same = [torch.equal(o, i) for o, i in zip(out, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_each_image_is_mirrored_in_every_second_epoch():
    images, policy, keys = make_images(), ImageAugment(flip=True), sample_keys(IDS)
    epochs = [policy(images, SampleRNG(keys, 5, epoch)) for epoch in range(4)]
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[3])
    assert torch.equal(epochs[0], epochs[1].flip(2))
    assert not torch.equal(epochs[0], policy(images, SampleRNG(keys, 6, 0)))


def test_a_shift_moves_by_whole_pixels_and_repeats_the_edge():
    images = make_images(channels=1)
    out = ImageAugment(shift=2)(images, SampleRNG(sample_keys(IDS), 0))
    padded = np.pad(images.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    places = set()
    for image, source in zip(out.numpy(), padded, strict=True):
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(image, source[y : y + 12, x : x + 12])
        ]
        assert found
        places.add(found[0])
    assert len(places) > 15  # of 25


def test_a_zoom_shows_a_split_of_the_image():
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).view(1, 1, 64, 1).expand(64, 64, 64, 1)
    out = ImageAugment(scale_jitter=0.5)(ramp, SampleRNG(sample_keys(IDS), 0)).float()
    seen = (out[:, 0, -1, 0] - out[:, 0, 0, 0]) / 252
    assert seen.min() > 0.45
    assert seen.max() <= 1.0
    assert seen.max() - seen.min() > 0.3


def test_erasing_paints_one_box_over_the_stated_share():
    images = make_images(size=20)
    out = ImageAugment(erase=0.5)(images, SampleRNG(sample_keys(IDS), 0))
    changed = (out != images).any(3)
    touched = changed.flatten(1).any(1)
    assert 16 < touched.sum() < 48
    assert changed[touched].float().mean((1, 2)).max() < 0.3


@pytest.mark.parametrize(
    ("classes", "hflip_safe", "flip"),
    [
        (("cat", "dog"), None, True),
        (("0", "1", "10"), None, False),
        (("a", "b"), None, False),
        (("left turn", "right turn"), None, False),
        (("left_hand", "other"), None, False),
        (("cat", "dog"), False, False),
        (("0", "1"), True, True),
    ],
)
def test_mirroring_suits_the_data(classes, hflip_safe, flip):
    assert default_policy(32, hflip_safe=hflip_safe, classes=classes).flip is flip


def test_small_images_are_shifted_and_large_ones_zoomed():
    small, large = (default_policy(size, hflip_safe=True, classes=("a", "b")) for size in (28, 128))
    assert small.shift == 1
    assert small.scale_jitter == 0
    assert large.shift == 0
    assert large.scale_jitter > 0
    assert default_policy(28, hflip_safe=True, classes=("a", "b"), kind="none") == ImageAugment()
    assert default_policy(28, hflip_safe=True, classes=("a", "b"), kind="strong").erase > 0
    assert default_policy(28, hflip_safe=True, classes=("a", "b"), epochs=4) == ImageAugment(
        flip=True
    )
    assert default_policy(28, hflip_safe=True, classes=("a", "b"), epochs=8).shift == 1
