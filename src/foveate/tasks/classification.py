"""What is in the picture: one class out of K."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.errors import SettingError
from foveate.metrics import classification as classification_metrics
from foveate.metrics import label_errors
from foveate.metrics.baselines.classification import fit_baselines
from foveate.models.backbone import Backbone
from foveate.models.model import VisionModel
from foveate.report import charts, drawing
from foveate.report.panels import Chart, Gallery, GalleryItem, ConfusionMatrix, Panel, Table
from foveate.settings import Settings
from foveate.tasks.task import BaselinePredictors, PerImageStats, Task

BATCH = 500
"""Pictures that are answered at once."""


class Classification(Task[Label]):
    """Cross-entropy over K classes.

    label_smoothing: the share of the truth that is spread over all classes (Szegedy et al., 2016)
    class_weights: K factors on the loss, e.g. to weigh rare classes up
    mirror: answer with the mean over the picture and its mirror image, where mirroring keeps the class
    temperature: what logits are divided by before the softmax; chosen on the validation part (Guo et al., 2017)
    """

    name = "classification"
    annotation = Label
    description = "one class a picture"
    primary_metric = "accuracy"
    lower_is_better = frozenset({"log_loss", "calibration_error"})
    raw_metrics = frozenset({"log_loss"})

    def __init__(
        self,
        classes: Sequence[str],
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        mirror: bool = False,
        temperature: float = 1.0,
    ):
        super().__init__(classes)
        if class_weights is not None and len(class_weights) != len(classes):
            raise SettingError(
                f"{len(classes)} class weights are expected, one a class, got {len(class_weights)}",
                where="class_weights",
            )
        self.label_smoothing, self.mirror, self.temperature = label_smoothing, mirror, temperature
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights))

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Label], settings: Settings, targets: Sequence[Label], *, mirror: bool
    ) -> Classification:
        classes, weights = dataset.classes, settings.class_weights
        if weights == "balanced":  # each class counts the same, however many pictures it has
            counts = np.maximum(
                np.bincount([target.index for target in targets], minlength=len(classes)), 1
            )
            weights = (len(targets) / (len(classes) * counts)).tolist()
        return cls(
            classes, label_smoothing=settings.label_smoothing, class_weights=weights, mirror=mirror
        )

    def options(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {
            "label_smoothing": self.label_smoothing,
            "class_weights": weights,
            "mirror": self.mirror,
            "temperature": self.temperature,
        }

    # --- data

    def collate(
        self, images: Tensor, targets: Sequence[Label], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), (B,) int64."""
        del rng  # nothing is random in a label
        return (images,), torch.tensor([target.index for target in targets], dtype=torch.int64)

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        return nn.Sequential(backbone, LastMap(), backbone.classifier(len(self.classes)))

    def loss(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """(B, K) logits and (B,) int64 -> the mean cross-entropy in nats."""
        if not len(target):
            return {"total": output.sum() * 0}  # a mean over nothing would be NaN
        weights = None if self.class_weights is None else self.class_weights.to(output)
        target = target.to(output.device)
        return {
            "total": F.cross_entropy(
                output.float(), target, weights, label_smoothing=self.label_smoothing
            )
        }

    def loss_floor(self) -> float:
        """The entropy of a smoothed label, in nats."""
        rest = self.label_smoothing / len(self.classes)
        shares = np.array([1 - self.label_smoothing + rest] + [rest] * (len(self.classes) - 1))
        return float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())

    def batch_metric(self, output: Tensor, target: Tensor, *, glance: bool) -> float:
        del glance  # it takes no time
        return (output.argmax(1) == target.to(output.device)).float().mean().item()

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Label]) -> None:
        """Choose the temperature of lowest log loss: one number, so that it cannot overfit."""
        views = self._logits(net, images)
        rows, labels = (
            torch.arange(len(targets)),
            torch.tensor([target.index for target in targets]),
        )

        def log_loss(temperature: float) -> float:
            probability = (views / temperature).softmax(2).mean(0)[rows, labels]
            return -probability.clamp_min(1e-12).log().mean().item()

        tried: list[float] = np.geomspace(0.2, 5, 101).round(4).tolist()
        self.temperature = min(tried, key=log_loss)

    # --- answers

    def predict(self, net: VisionModel, images: Images) -> list[Label]:
        if not len(images):
            return []
        probabilities = (self._logits(net, images) / self.temperature).softmax(2).mean(0)
        return _labels(probabilities.double().cpu().numpy())

    @torch.no_grad()
    def _logits(self, net: VisionModel, images: Images) -> Tensor:
        """(V, N, K) logits of V views of each picture: as it is and, where that is told to be fair, mirrored."""
        net.eval()
        chunks = []
        for start in range(0, len(images), BATCH):
            batch = net.batch(images[start : start + BATCH])
            views = [batch, batch.flip(3)] if self.mirror else [batch]
            chunks.append(torch.stack([net(view).float() for view in views]))
        return torch.cat(chunks, 1)

    def per_image_stats(self, predicted: Sequence[Label], target: Sequence[Label]) -> PerImageStats:
        return classification_metrics.per_image_stats(
            [self._certain(label) for label in predicted], target
        )

    def _certain(self, label: Label) -> Label:
        """A label without scores, as a truth or a yes-or-no model gives it, is one of probability 1."""
        return (
            label
            if label.scores is not None
            else Label(label.index, np.eye(len(self.classes))[label.index])
        )

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return classification_metrics.compute_metrics(stats, len(self.classes))

    def label_errors(self, predicted: Sequence[Label], target: Sequence[Label]) -> list[int]:
        scores = np.array([label.scores for label in predicted]).reshape(
            len(predicted), len(self.classes)
        )
        return label_errors.suspects(scores, np.array([label.index for label in target], np.int64))

    def baselines(
        self, images: Pixels, targets: Sequence[Label], seed: int
    ) -> BaselinePredictors[Label]:
        labels = np.array([target.index for target in targets])
        prediction = fit_baselines(images, labels, len(self.classes), seed)
        return lambda images: {name: _labels(rows) for name, rows in prediction(images).items()}

    # --- for people

    def to_dict(self, annotation: Label) -> dict[str, Any]:
        said: dict[str, Any] = {"class": self.classes[annotation.index]}
        if annotation.scores is not None:
            said["probability"] = round(float(annotation.scores[annotation.index]), 6)
            best = np.argsort(-annotation.scores, kind="stable")[:5]
            said["probabilities"] = {
                self.classes[i]: round(float(annotation.scores[i]), 6) for i in best
            }
        return said

    def summary(self, annotation: Label) -> str:
        sure = "" if annotation.scores is None else f"  {annotation.scores[annotation.index]:.1%}"
        return f"{self.classes[annotation.index]}{sure}"

    def draw(self, image: Image, annotation: Label) -> Image:
        """A strip under the picture with the class's name in it."""
        return drawing.add_caption(image, self.classes[annotation.index])

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        metric = metrics["accuracy"]
        images = self.images(metric, split)
        return f"right on {metric['value']:.1%} of {images} (95% interval {metric['low']:.1%} to {metric['high']:.1%})"

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Label, Label]],
    ) -> list[Panel]:
        del read_pair  # labels are in the tally
        rows = [
            [name, f"{row.n:,}", f"{row.precision:.1%}", f"{row.recall:.1%}", f"{row.f1:.1%}"]
            for name, row in zip(
                self.classes,
                classification_metrics.per_class(stats, len(self.classes)),
                strict=True,
            )
        ]
        return [
            ConfusionMatrix(
                "What is taken for what",
                "Each row is a true class, each column an answer. A perfect model has all its counts on the diagonal.",
                classification_metrics.confusion(stats, len(self.classes)),
                self.classes,
            ),
            Table(
                "Class by class",
                "Recall: of this class's pictures, how many were found. Precision: of the answers that name this "
                "class, how many are right.",
                ["class", "pictures", "precision", "recall", "F1"],
                rows,
            ),
            Chart(
                "Does it know when it does not know?",
                "When the model says 80%, it should be right 80% of the time: then the dots lie on the line.",
                charts.reliability(*classification_metrics.reliability(stats)),
            ),
            self._mistakes(stats, ids, read_image),
        ]

    def _mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        most: int = 24,
    ) -> Gallery:
        wrong = np.flatnonzero(stats["truth"] != stats["predicted"])
        surest = wrong[np.argsort(-stats["confidence"][wrong], kind="stable")][:most]
        items = [
            GalleryItem(
                image,
                f"{self.classes[stats['truth'][row]]}, taken for {self.classes[stats['predicted'][row]]}",
                f"{stats['confidence'][row]:.0%} sure · {ids[row]}",
                "bad",
            )
            for row in surest
            if (image := read_image(int(row))) is not None
        ]
        return Gallery(
            "Surest mistakes",
            f"{len(wrong):,} of {len(ids):,} are wrong; these are the wrong answers that the model was surest of. Look "
            "here first for wrong labels, and for what the model cannot see."
            if len(wrong)
            else "There are none.",
            items,
        )

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Label]:
        """16 x 16 grey noise with a bright square in one of four quarters."""
        pixels = rng.integers(0, 60, (count, 16, 16, 1), dtype=np.uint8)
        quarters = np.arange(count) % 4
        for image, quarter in zip(pixels, quarters, strict=True):
            top, left = 8 * (quarter // 2), 8 * (quarter % 2)
            image[top + 1 : top + 7, left + 1 : left + 7] += 150
        samples = [
            Sample(f"example-{i}", ArraySource(pixels, i), Label(int(quarter)))
            for i, quarter in enumerate(quarters)
        ]
        return Dataset(
            "examples", cls.name, ("top left", "top right", "bottom left", "bottom right"), samples
        )


def _labels(probabilities: NDArray[np.float64]) -> list[Label]:
    """(N, K) -> the most likely class of each row."""
    return [Label(int(row.argmax()), row / row.sum()) for row in probabilities]


class LastMap(nn.Module):
    """The coarsest of a backbone's feature maps."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        return maps[-1]
