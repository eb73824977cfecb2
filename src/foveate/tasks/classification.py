"""Image classification: one class out of K for the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate import processes
from foveate.annotations import Label
from foveate.data.dataset import Dataset, Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.errors import SettingError
from foveate.metrics.baselines.classification import fit_baselines
from foveate.metrics.classification import ClassificationMetric
from foveate.models.backbone import Backbone
from foveate.models.model import VisionModel
from foveate.models.search import AUGMENT, SearchRange, SearchSpace
from foveate.settings import Settings
from foveate.tasks.capabilities import Averaged
from foveate.tasks.presenters.classification import ClassificationPresenter
from foveate.tasks.task import BaselinePredictors, Task


class Classification(ClassificationPresenter, Task[Label], Averaged[Label]):
    """Cross-entropy over K classes.

    Attributes:
        label_smoothing: Share of each target that is spread over all classes (Szegedy et al.,
            2016).
        class_weights: (K,) factors on the loss, e.g. to weigh rare classes up; None for 1.
        hflip: Whether predictions are averaged over the image and its mirror image.
        temperature: Divides the logits before the softmax; chosen on the validation split (Guo et
            al., 2017).
    """

    search_space: ClassVar[SearchSpace] = {
        "augment": AUGMENT,
        "label_smoothing": SearchRange(0.0, 0.3),
    }
    default_settings: ClassVar[Mapping[str, Any]] = {"model": "tiny_cnn"}
    demo_data: ClassVar[str] = "colour-digits"
    # Chosen on the validation split: about a minute, of which half is training.
    demo_settings: ClassVar[Mapping[str, Any]] = {"epochs": 12}
    pretrained_model = "efficientnet_lite0"
    lower_is_better = frozenset({"log_loss", "calibration_error"})
    raw_metrics = frozenset({"log_loss"})

    def __init__(
        self,
        classes: Sequence[str],
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        hflip: bool = False,
        temperature: Annotated[float, Gt(0)] = 1.0,
    ):
        super().__init__(classes)
        if class_weights is not None and len(class_weights) != len(classes):
            raise SettingError(
                f"{len(classes)} class weights are expected, one a class, got {len(class_weights)}",
                where="class_weights",
            )
        self.label_smoothing, self.hflip, self.temperature = label_smoothing, hflip, temperature
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights))
        self.loss_floor = smoothed_entropy(label_smoothing, len(classes))

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Label], settings: Settings, targets: Sequence[Label], *, hflip: bool
    ) -> Classification:
        """Compute balanced class weights from the targets, if the settings ask for them."""
        classes, weights = dataset.classes, settings.class_weights
        if weights == "balanced":  # each class counts the same, however many images it has
            counts = np.maximum(
                np.bincount([target.index for target in targets], minlength=len(classes)), 1
            )
            weights = (len(targets) / (len(classes) * counts)).tolist()
        smoothing = settings.label_smoothing
        return cls(classes, label_smoothing=smoothing, class_weights=weights, hflip=hflip)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this task."""
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {
            "label_smoothing": self.label_smoothing,
            "class_weights": weights,
            "hflip": self.hflip,
            "temperature": self.temperature,
        }

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """The classifier on the last feature map: (B, K) logits."""
        return nn.Sequential(backbone, LastMap(), backbone.classifier(len(self.classes)))

    def collate(
        self, images: Tensor, targets: Sequence[Label], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), (B,) int64 classes."""
        return (images,), torch.tensor([target.index for target in targets], dtype=torch.int64)

    def loss(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """(B, K) logits and (B,) int64 -> the mean cross-entropy in nats."""
        if not len(target):
            return {"total": output.sum() * 0}  # a mean over nothing would be NaN
        weights = None if self.class_weights is None else self.class_weights.to(output.device)
        target = target.to(output.device)
        # Not divided by the weights of the batch: each image counts the same in every batch.
        reduction, count = ("mean", 1) if weights is None else ("sum", len(target))
        total = F.cross_entropy(
            output.float(),
            target,
            weights,
            label_smoothing=self.label_smoothing,
            reduction=reduction,
        )
        return {"total": total / count}

    def batch_metric(self, output: Tensor, target: Tensor, *, quick: bool) -> float:
        """Accuracy."""
        return (output.argmax(1) == target.to(output.device)).float().mean().item()

    def validation_batch(self, net: VisionModel) -> int:
        """As many as are fastest: loss and accuracy are means over images."""
        return net.images_at_once

    def predict(self, net: VisionModel, images: Images) -> list[Label]:
        """The most likely class of each image with all probabilities."""
        if not len(images):
            return []
        probabilities = (self._logits(net, images) / self.temperature).softmax(2).mean(0)
        return labels_of(probabilities.double().numpy())

    def predict_mean(
        self, models: Sequence[tuple[Task[Label], VisionModel]], images: Images
    ) -> list[Label]:
        """The most likely class of each image by the mean of the models' probabilities."""
        if not len(images):
            return []
        scores = [[label.scores for label in task.predict(net, images)] for task, net in models]
        return labels_of(np.mean(np.array(scores, np.float64), axis=0))

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Label]) -> None:
        """Choose the temperature of lowest log loss: one number, so it hardly overfits."""
        by_image = processes.map_shares(lambda some: self._logits(net, some).unbind(1), images)
        views = torch.stack(list(by_image), 1)
        rows = torch.arange(len(targets))
        labels = torch.tensor([target.index for target in targets])

        def log_loss(temperature: float) -> float:
            probability = (views / temperature).softmax(2).mean(0)[rows, labels]
            return -probability.clamp_min(1e-12).log().mean().item()

        candidates: list[float] = np.geomspace(0.2, 5, 101).round(4).tolist()
        self.temperature = min(candidates, key=log_loss)

    @torch.no_grad()
    def _logits(self, net: VisionModel, images: Images) -> Tensor:
        """(V, N, K) logits of each image and, with `hflip`, of its mirror image, on the CPU."""
        net.eval()
        chunks = []
        for start in range(0, len(images), net.images_at_once):
            batch = net.batch(images[start : start + net.images_at_once])
            views = [batch, batch.flip(3)] if self.hflip else [batch]
            chunks.append(torch.stack([net(view).float() for view in views]).cpu())
        return torch.cat(chunks, 1)

    # --- measure

    def metric(self) -> ClassificationMetric:
        """Accuracy, log loss, calibration error and the like."""
        return ClassificationMetric(len(self.classes))

    def baselines(
        self, images: ImageArray, targets: Sequence[Label], seed: int
    ) -> BaselinePredictors[Label]:
        """Guessing, the majority class, nearest neighbour and logistic regression."""
        labels = np.array([target.index for target in targets])
        predict = fit_baselines(images, labels, len(self.classes), seed)
        return lambda images: {name: labels_of(rows) for name, rows in predict(images).items()}


def smoothed_entropy(label_smoothing: float, classes: int) -> float:
    """The entropy of a smoothed label, in nats: the lowest loss that can be reached."""
    rest = label_smoothing / classes if classes else 0.0
    shares = np.array([1 - label_smoothing + rest] + [rest] * (classes - 1))
    return float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())


def labels_of(probabilities: NDArray[np.float64]) -> list[Label]:
    """(N, K) -> the most likely class of each row."""
    return [Label(int(row.argmax()), row / row.sum()) for row in probabilities]


class LastMap(nn.Module):
    """Selects the coarsest of a backbone's feature maps."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the last map."""
        return maps[-1]
