"""Objects of several images are clicked on together: as one image after the other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from foveate import models
from foveate.annotations import Instances
from foveate.models.model import VisionModel
from foveate.models.net_interactive import NetInteractivePredictor
from foveate.tasks import promptable
from foveate.tasks.clicking import segment
from foveate.tasks.prompted import PromptedImages

SIZES = (64, 64), (40, 64), (64, 64), (64, 64), (40, 64), (90, 70)
OBJECTS = 2, 1, 0, 3, 2, 1


def squares(rng, count, size):
    masks = np.zeros((count, *size), bool)
    for mask in masks:
        top, left = rng.integers(0, 20, 2)
        mask[top : top + 15, left : left + 12] = True
    return Instances.from_masks(masks).with_size(size)


@pytest.mark.parametrize("pixels", [1, 3 * 64 * 64, 2**30])
def test_objects_of_several_images_are_clicked_on_together(pixels, monkeypatch):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    targets = [squares(rng, *one) for one in zip(OBJECTS, SIZES, strict=True)]
    task = promptable.Promptable(["ant"])
    body = task.head(models.build("tiny_encoder", channels=3, size=64))
    net = VisionModel(body, size=64, mean=[0.5] * 3, std=[0.2] * 3)
    monkeypatch.setattr(promptable, "BATCH_PIXELS", pixels)
    prompted = PromptedImages(images, targets)
    together = task.predict(net, prompted)
    alone = segment(prompted, partial(NetInteractivePredictor, net))
    for one, other, count, size in zip(together, alone, OBJECTS, SIZES, strict=True):
        assert np.array_equal(one.rows, other.rows)
        assert len(one.after) == len(other.after) == 5
        for own, expected in zip(one.after, other.after, strict=True):
            found = own.masks(size)
            assert found.shape == (count, *size)
            # A pixel whose logit is 0 but for rounding may go either way.
            assert (found != expected.masks(size)).mean() < 1e-3 if count else True
