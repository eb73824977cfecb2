"""The evaluator of generated images: a net that learns to read captions off real train images."""

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

from foveate import models, record_io
from foveate.annotations import Captions
from foveate.data.augment.images import default_policy
from foveate.data.batches import Batches
from foveate.data.dataset import Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.data.vocabulary import Vocabulary
from foveate.models import weight_file
from foveate.models.caption_recognizer import FEATURES, CaptionRecognizer
from foveate.models.model import VisionModel, pixel_statistics
from foveate.training import device
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

BATCH_SIZE, LEARNING_RATE = 128, 0.01
MAX_IMAGES_SEEN, MAX_EPOCHS = 51_200, 60
"""Length of its training: few epochs of much data, MAX_EPOCHS of little. With AdamW it takes twice
as long (benchmarks/README.md)."""
MAX_REFERENCES = 20_000
"""Train images that generated ones are compared with, drawn by the seed."""
NEIGHBOURS = 50
_EVAL_BATCH_SIZE = 250


@dataclass
class CaptionEvaluator:
    """Reads captions off images, and finds copies of train images.

    Attributes:
        vocabulary: The words that it knows.
        net: A VisionModel with a CaptionRecognizer in it.
        references: (M, D) float32 features of train images.
    """

    vocabulary: Vocabulary
    net: VisionModel
    references: NDArray[np.float32]

    @torch.no_grad()
    def read(self, images: Images) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read captions.

        Args:
            images: N images.

        Returns:
            (N, L) indices of the words in each image, and its features, (N, D).
        """
        self.net.eval()
        assert isinstance(self.net.body, CaptionRecognizer)
        words = [np.zeros((0, self.vocabulary.max_length), np.int64)]
        features = [np.zeros((0, self.references.shape[1]), np.float32)]
        for start in range(0, len(images), _EVAL_BATCH_SIZE):
            batch = self.net.batch(images[start : start + _EVAL_BATCH_SIZE])
            logits, batch_features = self.net(batch)
            words.append(logits.argmax(2).cpu().numpy())
            features.append(batch_features.float().cpu().numpy())
        return np.concatenate(words), np.concatenate(features)

    def relative_distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distance to the nearest train image, relative to the mean over the 50 nearest.

        Near 0 for a copy, near 1 where no train image stands out (Carlini et al., "Extracting
        training data from diffusion models", 2023).

        Args:
            features: (N, D), from `read`.

        Returns:
            (N,).
        """
        if not len(features):
            return np.zeros(0)
        distances = torch.cdist(torch.from_numpy(features), torch.from_numpy(self.references))
        neighbours = min(NEIGHBOURS, len(self.references))
        nearest = distances.topk(neighbours, largest=False).values.double()
        return (nearest[:, 0] / nearest.mean(1).clamp_min(1e-12)).numpy()

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and a JSON record, from which `from_tensors` rebuilds it."""
        record = {
            "words": list(self.vocabulary.words),
            "max_length": self.vocabulary.max_length,
            "size": self.net.size,
            "channels": self.net.channels,
        }
        references = torch.from_numpy(self.references)
        return {**self.net.state_dict(), "references": references}, record

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], record: dict[str, Any]) -> CaptionEvaluator:
        """Rebuild an evaluator from what `to_tensors` returned.

        Raises:
            ValueError: Tensors and record do not fit together.
        """
        from foveate.training.records import EvaluatorRecord

        described = record_io.validated(EvaluatorRecord, record)
        vocabulary = Vocabulary(tuple(described.words), described.max_length)
        state = {name: value for name, value in tensors.items() if name != "references"}
        references, zeros = tensors.get("references"), [0.0] * described.channels
        if (
            references is None
            or references.dtype != torch.float32
            or references.shape[1:] != (FEATURES,)
        ):
            raise ValueError(f"(M, {FEATURES}) float32 references are expected")
        net = weight_file.filled(
            lambda: _build_net(vocabulary, described.size, zeros, zeros), state
        )
        return cls(vocabulary, net.eval(), references.numpy())


@dataclass
class _ReadingTask:
    """What batches and the loop need of a task: the first caption is to be read."""

    vocabulary: Vocabulary

    def collate(
        self, images: Tensor, targets: Sequence[Captions], _rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        return (images,), torch.from_numpy(encode_captions(self.vocabulary, targets))

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        logits = output[0].float().flatten(0, 1)
        target = target.flatten().to(logits.device)
        return {"total": F.cross_entropy(logits, target, label_smoothing=0.05)}


def encode_captions(vocabulary: Vocabulary, captions: Sequence[Captions]) -> NDArray[np.int64]:
    """(N, L) indices of the words in the first caption of each image."""
    return vocabulary.read([caption.texts[0] for caption in captions])


def train_evaluator(
    pixels: ImageArray, captions: Sequence[Captions], seed: int, device_name: str = device.AUTO
) -> CaptionEvaluator:
    """Train an evaluator.

    Args:
        pixels: (N, S, S, C) uint8 train images.
        captions: Their captions.
        seed: Seed of its weights and batches.
        device_name: The device, see `device.find`.
    """
    vocabulary = Vocabulary.of([caption.texts[0] for caption in captions])
    torch_device = device.prepare(seed, device_name)
    net = _build_net(vocabulary, pixels.shape[1], *pixel_statistics(pixels))
    net = net.to(torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task, ids = _ReadingTask(vocabulary), [str(row) for row in range(len(captions))]
    batches = Batches(
        task,
        pixels,
        captions,
        ids,
        batch_size=min(BATCH_SIZE, len(ids)),
        seed=seed,
        augment=default_policy(pixels.shape[1], hflip_safe=False, classes=()),
    )
    total = max(1, min(MAX_IMAGES_SEEN // BATCH_SIZE, MAX_EPOCHS * batches.per_epoch))
    muon = optimizer("muon", net, lr=LEARNING_RATE, weight_decay=5e-4)
    factor = schedule("one-cycle")
    for _ in steps(
        net,
        task.loss,
        islice(batches(), total),
        muon,
        lambda step: factor((step + 1) / (total + 1)),
    ):
        pass
    rows = np.sort(np.random.default_rng(seed).permutation(len(ids))[:MAX_REFERENCES])
    evaluator = CaptionEvaluator(vocabulary, net.eval(), np.zeros((0, FEATURES), np.float32))
    evaluator.references = evaluator.read([pixels[int(row)] for row in rows])[1]
    return evaluator


def _build_net(
    vocabulary: Vocabulary, size: int, mean: Sequence[float], std: Sequence[float]
) -> VisionModel:
    backbone = models.build("tiny_cnn", channels=len(mean), size=size)
    words, max_length = len(vocabulary.words), vocabulary.max_length
    recognizer = CaptionRecognizer(backbone, words, max_length, size, len(mean))
    return VisionModel(recognizer, size=size, mean=mean, std=std)
