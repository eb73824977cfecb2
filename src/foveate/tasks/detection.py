"""Object detection: a box and a class for each object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foveate.annotations import Boxes
from foveate.data.dataset import Dataset, Image, Images
from foveate.data.resizing import letterbox_size
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.metrics import detection as detection_metrics
from foveate.metrics.baselines.boxes import fit_baselines
from foveate.metrics.detection import DetectionMetric
from foveate.metrics.metric import PerImageStats
from foveate.models.backbone import Backbone
from foveate.models.heads.detection import DetectionTarget, DetectorOutput
from foveate.models.model import VisionModel
from foveate.ops.tiles import Tile, tiles, touches_cut
from foveate.report import drawing
from foveate.report.box_panels import box_panels
from foveate.report.panels import Panel
from foveate.settings import Settings
from foveate.tasks.catalog import CATALOG
from foveate.tasks.policies import box_policy
from foveate.tasks.task import BaselinePredictors, ReadImage, Task, count_images, interval
from foveate.tasks.tiled import Tiled
from foveate.training import distributed

BATCH_PIXELS = 20 * 320 * 320
"""Pixels of the images that are predicted at once."""
MIN_SCORE = 0.01
"""Candidates with a lower score are dropped before non-maximum suppression."""
MAX_CANDIDATES = 1500
"""Candidates of an image that non-maximum suppression compares."""
MAX_DETECTIONS = 500
"""Boxes of an image that remain after it."""
NMS_IOU = 0.6
"""Of two boxes of one class with a larger IoU, the one with the higher score remains."""
QUICK_IMAGES = 1
"""Images of a training batch that the curve metric is computed on: all would take a tenth of the
time, and an epoch has many batches."""
DEFAULT_THRESHOLD = 0.3
"""Display threshold of classes that do not occur in the validation split."""


class Detection(Task[Boxes], Tiled[Boxes]):
    """Boxes in one pass of the network (Redmon et al., "You only look once", 2016).

    Attributes:
        thresholds: (K,) display thresholds; chosen on the validation split.
        objects: Mean number of objects in a training image, see `DetectionTarget`.
    """

    name, primary_metric, description = CATALOG["detection"]
    annotation = Boxes
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "ema": 0.998,
        "model": "yolo",
    }
    pretrained_model = "efficientnet_lite0"
    augmentation = staticmethod(box_policy)
    letterbox = True
    single_class_ok = True
    max_default_size = 640

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        objects: float = 1.0,
    ):
        super().__init__(classes)
        self.thresholds = detection_metrics.check_thresholds(
            len(classes), thresholds, DEFAULT_THRESHOLD
        )
        self.objects = objects

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Boxes], settings: Settings, targets: Sequence[Boxes], *, hflip: bool
    ) -> Detection:
        """Count the objects of the train split."""
        counts = [int((~target.ignored).sum()) for target in targets]
        return cls(dataset.classes, objects=max(1.0, round(float(np.mean(counts)), 3)))

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this task."""
        return {"thresholds": self.thresholds.tolist(), "objects": self.objects}

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """The backbone's detection head."""
        return nn.Sequential(backbone, backbone.detector(len(self.classes)))

    def collate(
        self, images: Tensor, targets: Sequence[Boxes], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], DetectionTarget]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), the boxes as tensors."""
        boxes = [torch.from_numpy(target.corners).float() for target in targets]
        classes = [torch.from_numpy(target.classes) for target in targets]
        ignored = [torch.from_numpy(target.ignored) for target in targets]
        return (images,), DetectionTarget(boxes, classes, ignored, self.objects)

    def loss(self, output: DetectorOutput, target: DetectionTarget) -> dict[str, Tensor]:
        """The losses of the detection head."""
        return output.losses(target)

    def batch_metric(
        self, output: DetectorOutput, target: DetectionTarget, *, quick: bool
    ) -> float:
        """mAP50 of the batch, or of its first image."""
        corners, scores = output.candidates()
        count = QUICK_IMAGES if quick else len(scores)
        return detection_metrics.quick_map50(
            suppress(corners[:count], scores[:count]),
            _to_boxes(target)[:count],
            len(self.classes),
        )

    def predict(self, net: VisionModel, images: Images) -> list[Boxes]:
        """All boxes with a score of MIN_SCORE or more; see `confident`."""
        return self._predict(net, images, MIN_SCORE)

    def predict_confident(self, net: VisionModel, images: Images) -> list[Boxes]:
        """The boxes that reach the lowest threshold, some of them below that of their class.

        They are those of `predict`, as a box is suppressed by boxes of higher scores alone. Their
        suppression takes a tenth of the time (benchmarks/README.md).
        """
        return self._predict(net, images, max(MIN_SCORE, float(self.thresholds.min())))

    @torch.no_grad()
    def _predict(self, net: VisionModel, images: Images, min_score: float) -> list[Boxes]:
        net.eval()
        predictions: list[Boxes | None] = [None] * len(images)
        for rows, batch in net.padded_batches(images, BATCH_PIXELS):
            corners, scores = net(batch).candidates()
            for row, boxes in zip(rows, suppress(corners, scores, min_score), strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                content = letterbox_size(*size, net.size)
                inside = boxes.corners.clip(0, [content[1], content[0]] * 2)
                clipped = Boxes(inside, boxes.classes, boxes.scores, size=content)
                predictions[row] = clipped.resize(content, size)
        return [prediction for prediction in predictions if prediction is not None]

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Boxes:
        """Predict from the whole image and from its tiles.

        A box that is cut by the edge of a tile is left to the neighbouring tile.
        """
        from torchvision.ops import batched_nms

        self.check_tile(net, side)
        height, width = image.shape[:2]
        predictions = self.predict(net, [image])
        places = tiles(height, width, side)
        if len(places) > 1:
            for place, boxes in self._predict_crops(net, image, places):
                corners = boxes.corners + [place[0], place[1]] * 2
                is_cut = touches_cut(corners, place, (height, width), 0.01 * side)
                predictions.append(Boxes(corners, boxes.classes, boxes.scores)[~is_cut])
        corners, classes = (
            np.concatenate([getattr(one, name) for one in predictions])
            for name in ("corners", "classes")
        )
        scores = np.concatenate([one.scores for one in predictions if one.scores is not None])
        columns = (torch.from_numpy(values) for values in (corners, scores, classes))
        rows = batched_nms(*columns, NMS_IOU).numpy()
        return Boxes(corners[rows], classes[rows], scores[rows], size=(height, width))

    def _predict_crops(
        self, net: VisionModel, image: Image, places: Sequence[Tile]
    ) -> Iterator[tuple[Tile, Boxes]]:
        """Predict for tiles of one size, a batch of the network at a time."""
        left, top, right, bottom = places[0]
        height, width = net.padded_size((bottom - top, right - left, image.shape[2]))
        batch = max(1, BATCH_PIXELS // (height * width))
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            crops = [image[top:bottom, left:right] for left, top, right, bottom in some]
            yield from zip(some, self.predict(net, crops), strict=True)

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Boxes]) -> None:
        """Choose the threshold of best F1 at an IoU of 0.5 for each class."""
        predictions = distributed.map_shares(partial(self.predict, net), images)
        stats = self.metric().per_image(predictions, targets)
        self.thresholds = detection_metrics.best_thresholds(
            stats, len(self.classes), DEFAULT_THRESHOLD
        )

    # --- measure

    def metric(self) -> DetectionMetric:
        """Average precision as COCO defines it."""
        return DetectionMetric(len(self.classes))

    def baselines(
        self, images: ImageArray, targets: Sequence[Boxes], seed: int
    ) -> BaselinePredictors[Boxes]:
        """The same boxes for all images, and those of the most similar training image."""
        return fit_baselines(images, targets, len(self.classes), seed)

    # --- present

    def confident(self, prediction: Boxes) -> Boxes:
        """The boxes that reach the threshold of their class; all boxes of a target."""
        if prediction.scores is None:
            return prediction
        return prediction[prediction.scores >= self.thresholds[prediction.classes]]

    def to_dict(self, annotation: Boxes) -> dict[str, Any]:
        """Class, corners, score and flags of each confident box."""
        boxes, records = self.confident(annotation), []
        for row, (corners, k) in enumerate(
            zip(boxes.corners.tolist(), boxes.classes.tolist(), strict=True)
        ):
            record: dict[str, Any] = {
                "class": self.classes[k],
                "box": [round(value, 2) for value in corners],
            }
            if boxes.scores is not None:
                record["score"] = round(float(boxes.scores[row]), 6)
            flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
            records.append(record | flags)
        return {"boxes": records}

    def summary(self, annotation: Boxes) -> str:
        """The number of objects of each class."""
        return count_classes(self.confident(annotation), self.classes)

    def draw(self, image: Image, annotation: Boxes) -> Image:
        """Each confident box in the colour of its class, with name and score."""
        boxes = self.confident(annotation)
        captions = [self.classes[k] for k in boxes.classes]
        if boxes.scores is not None:
            captions = [
                f"{name} {score:.0%}" for name, score in zip(captions, boxes.scores, strict=True)
            ]
        colours = [drawing.class_colour(int(k)) for k in boxes.classes]
        return drawing.draw_boxes(image, boxes.corners, colours, captions)

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The mAP50 with its interval."""
        return map50_headline(metrics, split, "box")

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Boxes, Boxes]],
    ) -> list[Panel]:
        """Average precision by class, precision-recall curves, and the kinds of errors."""
        return box_panels(stats, ids, read_image, self.classes, self.thresholds)


def map50_headline(metrics: Mapping[str, Any], split: str, shape: str) -> str:
    """The mAP50 with its interval; shape: "box" or "mask"."""
    map50 = metrics["map50"]
    return (
        f"reaches a mean average precision of {map50['value']:.1%} on "
        f"{count_images(map50, split)} {interval(map50)}, where a {shape} counts as correct if "
        f"its IoU with a true {shape} is 50% or more"
    )


def count_classes(boxes: Boxes, classes: Sequence[str]) -> str:
    """The number of objects of each class: "2 cat, 1 dog"."""
    counts = np.bincount(boxes.classes, minlength=len(classes))
    named = zip(classes, counts, strict=True)
    return ", ".join(f"{count} {name}" for name, count in named if count) or "nothing"


def _to_boxes(target: DetectionTarget) -> list[Boxes]:
    """The target as annotations, in pixels of the network's input."""
    rows = zip(target.boxes, target.classes, target.ignored, strict=True)
    return [
        Boxes(box.double().numpy(), k.numpy(), difficult=ignored.numpy())
        for box, k, ignored in rows
    ]


def suppress(corners: Tensor, scores: Tensor, min_score: float = MIN_SCORE) -> list[Boxes]:
    """Non-maximum suppression within each class.

    Args:
        corners: (B, A, 4) candidates.
        scores: (B, A, K) scores of each class.
        min_score: Candidates with a lower score are dropped first.

    Returns:
        The remaining boxes of each image by falling score.
    """
    from torchvision.ops import batched_nms

    classes = scores.shape[2]
    predictions = []
    for row, flat in enumerate(scores.flatten(1)):
        likely = (flat >= min_score).nonzero()[:, 0]
        score, order = flat[likely].topk(min(MAX_CANDIDATES, len(likely)))
        which = likely[order]
        k, boxes = which % classes, corners[row, which // classes]
        # batched_nms separates the classes by moving their boxes, which expects none below 0.
        low = boxes.min() if len(boxes) else 0
        kept = batched_nms(boxes - low, score, k, NMS_IOU)[:MAX_DETECTIONS]
        predictions.append(
            Boxes(boxes[kept].cpu().numpy(), k[kept].cpu().numpy(), score[kept].cpu().numpy())
        )
    return predictions
