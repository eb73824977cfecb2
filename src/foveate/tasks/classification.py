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
from foveate.data.rng import Draws
from foveate.data.subset import Pixels
from foveate.errors import SettingError
from foveate.metrics import classification as metrics
from foveate.metrics import label_errors
from foveate.metrics.baselines.classification import fit_baselines
from foveate.models.backbone import Backbone
from foveate.models.model import Vision
from foveate.report import charts, drawing
from foveate.report.panels import Chart, Gallery, Item, Matrix, Panel, Table
from foveate.settings import Settings
from foveate.tasks.task import Rivals, Tally, Task

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
    summary = "one class a picture"
    primary = "accuracy"
    lower_is_better = frozenset({"log_loss", "calibration_error"})
    not_shares = frozenset({"log_loss"})

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
    def configured(
        cls, dataset: Dataset[Label], settings: Settings, truths: Sequence[Label], *, mirror: bool
    ) -> Classification:
        classes, weights = dataset.classes, settings.class_weights
        if weights == "balanced":  # each class counts the same, however many pictures it has
            counts = np.maximum(np.bincount([truth.index for truth in truths], minlength=len(classes)), 1)
            weights = (len(truths) / (len(classes) * counts)).tolist()
        return cls(classes, label_smoothing=settings.label_smoothing, class_weights=weights, mirror=mirror)

    def options(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {
            "label_smoothing": self.label_smoothing,
            "class_weights": weights,
            "mirror": self.mirror,
            "temperature": self.temperature,
        }

    # --- data

    def collate(self, images: Tensor, truths: Sequence[Label], draws: Draws) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), (B,) int64."""
        del draws  # nothing is random in a label
        return (images,), torch.tensor([truth.index for truth in truths], dtype=torch.int64)

    # --- learning

    def net(self, backbone: Backbone) -> nn.Module:
        return nn.Sequential(backbone, LastMap(), backbone.classifier(len(self.classes)))

    def loss(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """(B, K) logits and (B,) int64 -> the mean cross-entropy in nats."""
        if not len(target):
            return {"total": output.sum() * 0}  # a mean over nothing would be NaN
        weights = None if self.class_weights is None else self.class_weights.to(output)
        target = target.to(output.device)
        return {"total": F.cross_entropy(output.float(), target, weights, label_smoothing=self.label_smoothing)}

    def least_loss(self) -> float:
        """The entropy of a smoothed label, in nats."""
        rest = self.label_smoothing / len(self.classes)
        shares = np.array([1 - self.label_smoothing + rest] + [rest] * (len(self.classes) - 1))
        return float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())

    def progress(self, output: Tensor, target: Tensor, *, glance: bool) -> float:
        del glance  # it takes no time
        return (output.argmax(1) == target.to(output.device)).float().mean().item()

    def settle(self, net: Vision, images: Images, truths: Sequence[Label]) -> None:
        """Choose the temperature of lowest log loss: one number, so that it cannot overfit."""
        views = self._logits(net, images)
        rows, labels = torch.arange(len(truths)), torch.tensor([truth.index for truth in truths])

        def log_loss(temperature: float) -> float:
            probability = (views / temperature).softmax(2).mean(0)[rows, labels]
            return -probability.clamp_min(1e-12).log().mean().item()

        tried: list[float] = np.geomspace(0.2, 5, 101).round(4).tolist()
        self.temperature = min(tried, key=log_loss)

    # --- answers

    def predict(self, net: Vision, images: Images) -> list[Label]:
        if not len(images):
            return []
        probabilities = (self._logits(net, images) / self.temperature).softmax(2).mean(0)
        return _labels(probabilities.double().cpu().numpy())

    @torch.no_grad()
    def _logits(self, net: Vision, images: Images) -> Tensor:
        """(V, N, K) logits of V views of each picture: as it is and, where that is told to be fair, mirrored."""
        net.eval()
        chunks = []
        for start in range(0, len(images), BATCH):
            batch = net.batch(images[start : start + BATCH])
            views = [batch, batch.flip(3)] if self.mirror else [batch]
            chunks.append(torch.stack([net(view).float() for view in views]))
        return torch.cat(chunks, 1)

    def tally(self, predicted: Sequence[Label], truth: Sequence[Label]) -> Tally:
        return metrics.tally([self._certain(label) for label in predicted], truth)

    def _certain(self, label: Label) -> Label:
        """A label without scores, as a truth or a yes-or-no model gives it, is one of probability 1."""
        return label if label.scores is not None else Label(label.index, np.eye(len(self.classes))[label.index])

    def figures(self, tally: Tally) -> dict[str, float]:
        return metrics.figures(tally, len(self.classes))

    def suspects(self, predicted: Sequence[Label], truth: Sequence[Label]) -> list[int]:
        scores = np.array([label.scores for label in predicted]).reshape(len(predicted), len(self.classes))
        return label_errors.suspects(scores, np.array([label.index for label in truth], np.int64))

    def baselines(self, images: Pixels, truths: Sequence[Label], seed: int) -> Rivals[Label]:
        labels = np.array([truth.index for truth in truths])
        answer = fit_baselines(images, labels, len(self.classes), seed)
        return lambda pictures: {name: _labels(rows) for name, rows in answer(pictures).items()}

    # --- for people

    def words(self, annotation: Label) -> dict[str, Any]:
        said: dict[str, Any] = {"class": self.classes[annotation.index]}
        if annotation.scores is not None:
            said["probability"] = round(float(annotation.scores[annotation.index]), 6)
            best = np.argsort(-annotation.scores, kind="stable")[:5]
            said["probabilities"] = {self.classes[i]: round(float(annotation.scores[i]), 6) for i in best}
        return said

    def tell(self, annotation: Label) -> str:
        sure = "" if annotation.scores is None else f"  {annotation.scores[annotation.index]:.1%}"
        return f"{self.classes[annotation.index]}{sure}"

    def draw(self, image: Image, annotation: Label) -> Image:
        """A strip under the picture with the class's name in it."""
        return drawing.captioned(image, self.classes[annotation.index])

    def claim(self, figures: Mapping[str, Any], part: str) -> str:
        figure = figures["accuracy"]
        pictures = self.pictures(figure, part)
        return (
            f"right on {figure['value']:.1%} of {pictures} (95% interval {figure['low']:.1%} to {figure['high']:.1%})"
        )

    def panels(
        self,
        tally: Tally,
        ids: Sequence[str],
        picture: Callable[[int], Image | None],
        pair: Callable[[int], tuple[Label, Label]],
    ) -> list[Panel]:
        del pair  # labels are in the tally
        rows = [
            [name, f"{row.n:,}", f"{row.precision:.1%}", f"{row.recall:.1%}", f"{row.f1:.1%}"]
            for name, row in zip(self.classes, metrics.per_class(tally, len(self.classes)), strict=True)
        ]
        return [
            Matrix(
                "What is taken for what",
                "Each row is a true class, each column an answer. A perfect model has all its counts on the diagonal.",
                metrics.confusion(tally, len(self.classes)),
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
                charts.reliability(*metrics.reliability(tally)),
            ),
            self._mistakes(tally, ids, picture),
        ]

    def _mistakes(
        self, tally: Tally, ids: Sequence[str], picture: Callable[[int], Image | None], most: int = 24
    ) -> Gallery:
        wrong = np.flatnonzero(tally["truth"] != tally["predicted"])
        surest = wrong[np.argsort(-tally["confidence"][wrong], kind="stable")][:most]
        items = [
            Item(
                image,
                f"{self.classes[tally['truth'][row]]}, taken for {self.classes[tally['predicted'][row]]}",
                f"{tally['confidence'][row]:.0%} sure · {ids[row]}",
                "bad",
            )
            for row in surest
            if (image := picture(int(row))) is not None
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
    def examples(cls, count: int, rng: np.random.Generator) -> Dataset[Label]:
        """16 x 16 grey noise with a bright square in one of four quarters."""
        pixels = rng.integers(0, 60, (count, 16, 16, 1), dtype=np.uint8)
        quarters = np.arange(count) % 4
        for picture, quarter in zip(pixels, quarters, strict=True):
            top, left = 8 * (quarter // 2), 8 * (quarter % 2)
            picture[top + 1 : top + 7, left + 1 : left + 7] += 150
        samples = [
            Sample(f"example-{i}", ArraySource(pixels, i), Label(int(quarter))) for i, quarter in enumerate(quarters)
        ]
        return Dataset("examples", cls.name, ("top left", "top right", "bottom left", "bottom right"), samples)


def _labels(probabilities: NDArray[np.float64]) -> list[Label]:
    """(N, K) -> the most likely class of each row."""
    return [Label(int(row.argmax()), row / row.sum()) for row in probabilities]


class LastMap(nn.Module):
    """The coarsest of a backbone's feature maps."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        return maps[-1]
