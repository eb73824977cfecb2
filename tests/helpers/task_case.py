"""A task with examples and an untrained net, for the laws that hold for every task."""

from __future__ import annotations

import numpy as np
import torch

from foveate import models, tasks
from foveate.data.cache import decoding
from foveate.data.natural_size import natural_size
from foveate.data.rng import SampleRNG, sample_keys
from foveate.models.model import VisionModel, pixel_statistics
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator, with_prompts
from helpers.toy_datasets import toy_dataset

N = 24
"""Examples of each task."""


class Case:
    """A task with a set of examples and an untrained net that fits both."""

    def __init__(self, name: str):
        kind = tasks.find(name)
        dataset = toy_dataset(name, N, np.random.default_rng(0))
        size = natural_size(dataset)
        self.decoded = decoding.decode(dataset, size)
        self.dataset = self.decoded.dataset
        self.targets = [sample.target for sample in dataset]
        self.task = kind.from_settings(dataset, Settings(), self.targets, hflip=False)
        if isinstance(self.task, HasEvaluator):
            self.task.load_evaluator(
                *self.task.fit_evaluator(self.decoded.pixels, self.targets, seed=0)
            )
        self.images = [sample.source.read() for sample in dataset]
        self.ids = [sample.id for sample in dataset]
        self.size = size

    def net(self) -> VisionModel:
        torch.manual_seed(0)
        pixels = self.decoded.pixels
        backbone = models.build("tiny_cnn", channels=pixels.shape[3], size=self.size)
        mean, std = pixel_statistics(pixels)
        return VisionModel(self.task.head(backbone), size=self.size, mean=mean, std=std)

    def predictions(self, net: VisionModel, rows: slice = slice(None)):
        """To what is asked where predictions are scored."""
        return self.task.predict(
            net, with_prompts(self.task, self.images[rows], self.targets[rows])
        )

    def batch(self, rows: slice = slice(None)):
        ids = self.ids[rows]
        images = torch.from_numpy(self.decoded.pixels[rows]).permute(0, 3, 1, 2)
        return self.task.collate(images, self.targets[rows], SampleRNG(sample_keys(ids), seed=0))
