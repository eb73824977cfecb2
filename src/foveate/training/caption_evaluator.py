"""The referee of pictures that are made from words: a net that learns to read real train pictures, apart from what is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate import models
from foveate.annotations import Captions
from foveate.data.augment.images import suited
from foveate.data.batches import Batches
from foveate.data.dataset import Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.data.vocabulary import Vocabulary
from foveate.models.caption_recognizer import FEATURES, CaptionRecognizer
from foveate.models.model import VisionModel, pixel_statistics
from foveate.training import device
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

BATCH = 128
SHOWN = 100_000
"""Pictures that it learns from: few epochs of much data, at most EPOCHS of little."""
EPOCHS = 60
KNOWN = 20_000
"""Train pictures that others are compared with, at most: the first of a drawn order."""
NEIGHBOURS = 50
_AT_ONCE = 250


@dataclass
class CaptionEvaluator:
    """net: a Vision with a Reader in it; known: (M, D) features of train pictures"""

    vocabulary: Vocabulary
    net: VisionModel
    known: NDArray[np.float32]

    @torch.no_grad()
    def read(self, images: Images) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The numbers of the words read in each picture, (N, L), and its features, (N, D)."""
        self.net.eval()
        assert isinstance(self.net.body, CaptionRecognizer)
        words = [np.zeros((0, self.vocabulary.longest), np.int64)]
        features = [np.zeros((0, self.known.shape[1]), np.float32)]
        for start in range(0, len(images), _AT_ONCE):
            logits, found = self.net(self.net.batch(images[start : start + _AT_ONCE]))
            words.append(logits.argmax(2).cpu().numpy())
            features.append(found.float().cpu().numpy())
        return np.concatenate(words), np.concatenate(features)

    def nearness(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How near each of (N, D) is to its nearest train picture, as a share of the mean over its 50 nearest: near 0 for a copy, near
        1 where none stands out (Carlini et al., "Extracting training data from diffusion models", 2023). (N,)
        """
        if not len(features):
            return np.zeros(0)
        distances = torch.cdist(torch.from_numpy(features), torch.from_numpy(self.known))
        nearest = distances.topk(min(NEIGHBOURS, len(self.known)), largest=False).values.double()
        return (nearest[:, 0] / nearest.mean(1).clamp_min(1e-12)).numpy()

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and a record as JSON, which `again` takes."""
        record = {
            "words": list(self.vocabulary.words),
            "longest": self.vocabulary.longest,
            "size": self.net.size,
            "channels": self.net.channels,
        }
        return {**self.net.state_dict(), "known": torch.from_numpy(self.known)}, record

    @classmethod
    def again(cls, tensors: dict[str, Tensor], record: dict[str, Any]) -> CaptionEvaluator:
        """What `kept` gave."""
        vocabulary = Vocabulary(tuple(record["words"]), record["longest"])
        zeros = [0.0] * record["channels"]
        net = _net(vocabulary, record["size"], zeros, zeros)
        net.load_state_dict({name: value for name, value in tensors.items() if name != "known"})
        return cls(vocabulary, net.eval(), tensors["known"].numpy())


@dataclass
class _Reading:
    """What batches and the loop need of a task: the first wording is what is to be read."""

    vocabulary: Vocabulary

    def collate(
        self, images: Tensor, targets: Sequence[Captions], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        del rng
        return (images,), torch.from_numpy(told(self.vocabulary, targets))

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        logits = output[0].float().flatten(0, 1)
        return {
            "total": F.cross_entropy(
                logits, target.flatten().to(logits.device), label_smoothing=0.05
            )
        }


def told(vocabulary: Vocabulary, captions: Sequence[Captions]) -> NDArray[np.int64]:
    """(N, L) numbers of the words of each picture's first wording."""
    return vocabulary.read([caption.texts[0] for caption in captions])


def taught(pixels: Pixels, captions: Sequence[Captions], seed: int) -> CaptionEvaluator:
    """A referee that learnt from (N, S, S, C) uint8 train pictures and their captions."""
    vocabulary = Vocabulary.of([caption.texts[0] for caption in captions])
    where = device.prepare(seed)
    net = _net(vocabulary, pixels.shape[1], *pixel_statistics(pixels))
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task, ids = _Reading(vocabulary), [str(row) for row in range(len(captions))]
    policy = suited(pixels.shape[1], hflip_safe=False, classes=())
    batches = Batches(
        task, pixels, captions, ids, batch_size=min(BATCH, len(ids)), seed=seed, augment=policy
    )
    total = max(1, min(SHOWN // BATCH, EPOCHS * batches.per_epoch))
    built, factor = optimizer("adamw", net, lr=3e-3, weight_decay=5e-4), schedule("one-cycle")
    for _ in steps(
        net,
        task.loss,
        islice(batches(), total),
        built,
        lambda step: factor((step + 1) / (total + 1)),
    ):
        pass
    some = np.sort(np.random.default_rng(seed).permutation(len(ids))[:KNOWN])
    referee = CaptionEvaluator(vocabulary, net.eval(), np.zeros((0, FEATURES), np.float32))
    referee.known = referee.read([pixels[int(row)] for row in some])[1]
    return referee


def _net(
    vocabulary: Vocabulary, size: int, mean: Sequence[float], std: Sequence[float]
) -> VisionModel:
    backbone = models.build("tiny_cnn", channels=len(mean), size=size)
    reader = CaptionRecognizer(backbone, len(vocabulary.words), vocabulary.longest, size, len(mean))
    return VisionModel(reader, size=size, mean=mean, std=std)
