"""What is in the picture, and where: a box of one class out of K around each thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Boxes
from foveate.data.augment.boxes import BoxAugment
from foveate.data.augment.images import suited
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample, SplitName
from foveate.data.images import inside
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.errors import DataError
from foveate.metrics import detection as detection_metrics
from foveate.metrics.baselines.boxes import fit_baselines
from foveate.metrics.intervals import Score
from foveate.models.backbone import Backbone
from foveate.models.heads.detection import DetectionTarget, DetectorOutput
from foveate.models.model import VisionModel
from foveate.ops.tiles import cut, tiles
from foveate.report import drawing
from foveate.report.box_panels import box_panels
from foveate.report.panels import Panel
from foveate.settings import Settings
from foveate.tasks.task import BaselinePredictors, PerImageStats, Task

PIXELS_AT_ONCE = 20 * 320 * 320
"""Of pictures that are answered at once."""
LEAST_SCORE = 0.01
"""Below it a candidate is not worth ranking."""
CANDIDATES, MOST = 1500, 500
"""Of a picture: how many are compared with each other, and how many boxes are left at most."""
GLANCED = 1
"""Pictures of a train batch that its figure is of: more would take a tenth of the time, and an epoch has many batches."""
OVERLAP = 0.6
"""Of two boxes of a class that overlap by more (IoU), the surer one stays."""
UNSURE = 0.3
"""The score from which on a box is shown, where the validation part has no box of its class to choose by."""


class Detection(Task[Boxes]):
    """Boxes by one pass of the net (Redmon et al., "You only look once", 2016).

    thresholds: K scores from which on a box of that class is shown; chosen on the validation part
    objects: true boxes of a train picture in the mean, see `detector.Truth`
    """

    name = "detection"
    annotation = Boxes
    description = "a box and a class for each thing"
    primary_metric = "map50"
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "average": 0.998,
        "model": "yolo",
    }
    letterbox = True
    single_class_ok = True
    largest = 640

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        objects: float = 1.0,
    ):
        super().__init__(classes)
        self.thresholds = detection_metrics.thresholds(len(classes), thresholds, UNSURE)
        self.objects = objects

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Boxes], settings: Settings, targets: Sequence[Boxes], *, mirror: bool
    ) -> Detection:
        del settings, mirror
        demanded = [int((~target.ignored).sum()) for target in targets]
        return cls(dataset.classes, objects=max(1.0, round(float(np.mean(demanded)), 3)))

    def options(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds.tolist(), "objects": self.objects}

    # --- data

    def check(self, split: SplitName, targets: Sequence[Boxes]) -> None:
        if not any((~target.ignored).any() for target in targets):
            raise DataError(
                f"no picture of the {split} part has a box that is demanded, so nothing can be "
                + ("learnt" if split == "train" else "scored"),
                remedy="Draw boxes, put pictures with boxes into that part, or see what was read: foveate audit DATA.",
            )

    @staticmethod
    def resized(annotation: Boxes, before: tuple[int, int], after: tuple[int, int]) -> Boxes:
        down, across = after[0] / before[0], after[1] / before[1]
        corners = annotation.corners * [across, down, across, down]
        flags = annotation.crowd, annotation.difficult
        return Boxes(corners, annotation.classes, annotation.scores, *flags, size=after)

    @classmethod
    def augmentation(
        cls,
        size: int,
        *,
        hflip_safe: bool | None,
        classes: Sequence[str],
        kind: str,
        epochs: float | None,
    ) -> BoxAugment:
        if kind == "none":
            return BoxAugment()
        flip = suited(
            size, hflip_safe=hflip_safe, classes=tuple(classes), kind=kind, epochs=epochs
        ).flip
        if kind == "strong":
            return BoxAugment(flip, scale=0.8, stretch=0.3, colour=0.3, mosaic=0.8, until=0.85)
        return BoxAugment(flip, scale=0.5, stretch=0.2, colour=0.2, mosaic=0.5, until=0.8)

    def collate(
        self, images: Tensor, targets: Sequence[Boxes], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], DetectionTarget]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), the boxes as tensors."""
        del rng  # nothing is random in a box
        boxes = [torch.from_numpy(target.corners).float() for target in targets]
        classes = [torch.from_numpy(target.classes) for target in targets]
        ignored = [torch.from_numpy(target.ignored) for target in targets]
        return (images,), DetectionTarget(boxes, classes, ignored, self.objects)

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        return nn.Sequential(backbone, backbone.detector(len(self.classes)))

    def loss(self, output: DetectorOutput, target: DetectionTarget) -> dict[str, Tensor]:
        return output.losses(target)

    def batch_metric(
        self, output: DetectorOutput, target: DetectionTarget, *, glance: bool
    ) -> float:
        corners, scores = output.candidates()
        many = GLANCED if glance else len(scores)
        return detection_metrics.quick_map50(
            select(corners[:many], scores[:many]), _known(target)[:many], len(self.classes)
        )

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Boxes]) -> None:
        """Choose for each class the score of best F1 at an IoU of 0.5."""
        self.thresholds = detection_metrics.best_thresholds(
            self.per_image_stats(self.predict(net, images), targets), len(self.classes), UNSURE
        )

    # --- answers

    @torch.no_grad()
    def predict(self, net: VisionModel, images: Images) -> list[Boxes]:
        """All boxes with a score of LEAST_SCORE or more; `shown` are those that are worth a look."""
        net.eval()
        predictions: list[Boxes | None] = [None] * len(images)
        for rows, batch in net.padded_batches(images, PIXELS_AT_ONCE):
            for row, boxes in zip(rows, select(*net(batch).candidates()), strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                fitted = inside(*size, net.size)
                corners = boxes.corners.clip(0, [fitted[1], fitted[0]] * 2)
                own = Boxes(corners, boxes.classes, boxes.scores, size=fitted)
                predictions[row] = self.resized(own, fitted, size)
        return [prediction for prediction in predictions if prediction is not None]

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Boxes:
        """From the picture as a whole and from its tiles; what is cut by the edge of a tile is left to its neighbour."""
        from torchvision.ops import batched_nms

        self.check_tile(net, side)
        height, width = image.shape[:2]
        found = self.predict(net, [image])
        places = tiles(height, width, side)
        if len(places) > 1:
            pieces = [image[top:bottom, left:right] for left, top, right, bottom in places]
            for place, boxes in zip(places, self.predict(net, pieces), strict=True):
                corners = boxes.corners + [place[0], place[1]] * 2
                lost = cut(corners, place, (height, width), 0.01 * side)
                found.append(Boxes(corners, boxes.classes, boxes.scores)[~lost])
        corners, classes = (
            np.concatenate([getattr(one, name) for one in found]) for name in ("corners", "classes")
        )
        scores = np.concatenate([one.scores for one in found if one.scores is not None])
        given = (torch.from_numpy(values) for values in (corners, scores, classes))
        kept = batched_nms(*given, OVERLAP).numpy()
        return Boxes(corners[kept], classes[kept], scores[kept], size=(height, width))

    def confident(self, prediction: Boxes) -> Boxes:
        """The boxes that reach their class's threshold; of a truth all."""
        return (
            prediction
            if prediction.scores is None
            else prediction[prediction.scores >= self.thresholds[prediction.classes]]
        )

    def per_image_stats(self, predicted: Sequence[Boxes], target: Sequence[Boxes]) -> PerImageStats:
        return detection_metrics.per_image_stats(predicted, target)

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return detection_metrics.compute_metrics(stats, len(self.classes))

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        return detection_metrics.Scorer(stats, len(self.classes)).metrics

    def column(self, values: list[Any]) -> NDArray[Any]:
        return detection_metrics.column(values)

    def baselines(
        self, images: Pixels, targets: Sequence[Boxes], seed: int
    ) -> BaselinePredictors[Boxes]:
        return fit_baselines(images, targets, len(self.classes), seed)

    # --- for people

    def to_dict(self, annotation: Boxes) -> dict[str, Any]:
        told = []
        shown = self.confident(annotation)
        for row, (corners, k) in enumerate(
            zip(shown.corners.tolist(), shown.classes.tolist(), strict=True)
        ):
            one: dict[str, Any] = {
                "class": self.classes[k],
                "box": [round(at, 2) for at in corners],
            }
            if shown.scores is not None:
                one["score"] = round(float(shown.scores[row]), 6)
            one |= {flag: True for flag in ("crowd", "difficult") if getattr(shown, flag)[row]}
            told.append(one)
        return {"boxes": told}

    def summary(self, annotation: Boxes) -> str:
        counts = np.bincount(self.confident(annotation).classes, minlength=len(self.classes))
        return (
            ", ".join(
                f"{count} {name}" for name, count in zip(self.classes, counts, strict=True) if count
            )
            or "nothing"
        )

    def draw(self, image: Image, annotation: Boxes) -> Image:
        """Each box that is shown in its class's colour, with its name and score; small pictures are enlarged."""
        shown = self.confident(annotation)
        captions = [self.classes[k] for k in shown.classes]
        if shown.scores is not None:
            captions = [
                f"{name} {score:.0%}" for name, score in zip(captions, shown.scores, strict=True)
            ]
        return drawing.draw_boxes(
            image, shown.corners, [drawing.class_colour(int(k)) for k in shown.classes], captions
        )

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        metric = metrics["map50"]
        images = self.images(metric, split)
        return (
            f"at {metric['value']:.1%} mean average precision on {images} (95% interval {metric['low']:.1%} to "
            f"{metric['high']:.1%}), where a box counts that overlaps a true one by half"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Boxes, Boxes]],
    ) -> list[Panel]:
        del read_pair  # boxes are in the tally
        return box_panels(stats, ids, read_image, self.classes, self.thresholds)

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Boxes]:
        """32 x 32 grey noise with a bright square and a dark bar, each left out now and then."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples = []
        for row, image in enumerate(pixels):
            corners, classes = [], []
            for k, (height, width, value) in enumerate(((8, 8, 240), (14, 6, 0))):
                if row % 5 == 3 + k:
                    continue
                left, top = (
                    16 * (k ^ (row % 2)) + int(rng.choice((1, 5))),
                    int(rng.choice((1, 9, 17))),
                )
                image[top : top + height, left : left + width] = value
                corners.append((left, top, left + width, top + height))
                classes.append(k)
            target = Boxes(np.array(corners, float), np.array(classes, np.int64), size=(32, 32))
            samples.append(Sample(f"example-{row}", ArraySource(pixels, row), target))
        return Dataset("examples", cls.name, ("square", "bar"), samples)


def _known(target: DetectionTarget) -> list[Boxes]:
    """As annotations again, in pixels of the input."""
    rows = zip(target.boxes, target.classes, target.ignored, strict=True)
    return [
        Boxes(box.double().numpy(), k.numpy(), difficult=ignored.numpy())
        for box, k, ignored in rows
    ]


def select(corners: Tensor, scores: Tensor) -> list[Boxes]:
    """(B, A, 4) and (B, A, K) -> the boxes of each picture, surest first: of those of a class that overlap, the surest
    (non-maximum suppression, all classes at once).
    """
    from torchvision.ops import batched_nms

    classes = scores.shape[2]
    best, which = scores.flatten(1).topk(min(CANDIDATES, scores.shape[1] * classes), 1)
    found = []
    for row in range(len(scores)):
        likely = best[row] >= LEAST_SCORE
        score, flat = best[row, likely], which[row, likely]
        k, own = flat % classes, corners[row, flat // classes]
        low = (
            own.min() if len(own) else 0
        )  # classes are told apart by moving boxes, which expects none below 0
        kept = batched_nms(own - low, score, k, OVERLAP)[:MOST]
        found.append(
            Boxes(own[kept].cpu().numpy(), k[kept].cpu().numpy(), score[kept].cpu().numpy())
        )
    return found
