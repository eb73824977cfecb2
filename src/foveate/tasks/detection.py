"""Object detection: a box and a class for each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foveate import processes
from foveate.annotations import Boxes
from foveate.data.dataset import Dataset, Image, Images
from foveate.data.resizing import letterbox_size
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.metrics import detection as detection_metrics
from foveate.metrics.baselines.boxes import fit_baselines
from foveate.metrics.detection import DetectionMetric
from foveate.models.backbone import Backbone
from foveate.models.heads.detection import DetectionTarget, DetectorOutput
from foveate.models.model import VisionModel
from foveate.settings import Settings
from foveate.tasks.policies import box_policy
from foveate.tasks.presenters.detection import DetectionPresenter
from foveate.tasks.presenters.thresholds import DEFAULT_THRESHOLD
from foveate.tasks.suppression import MAX_CANDIDATES, MAX_DETECTIONS, MIN_SCORE, NMS_IOU
from foveate.tasks.task import BaselinePredictors, Task
from foveate.tasks.tiling import Tiled, check_tile, merge_boxes

BATCH_PIXELS = 20 * 320 * 320
"""Pixels of the images that are predicted at once."""
QUICK_IMAGES = 1
"""Images of a training batch that the curve metric is computed on: all would take a tenth of the
time, and an epoch has many batches."""


class Detection(DetectionPresenter, Task[Boxes], Tiled[Boxes, VisionModel]):
    """Boxes in one pass of the network (Redmon et al., "You only look once", 2016).

    The weights of the highest mAP50 are kept, as the loss is no measure of quality: it asks for
    the IoU of a box as its score, so boxes that are all bad have a low loss (benchmarks/README.md).

    Attributes:
        thresholds: (K,) display thresholds; chosen on the validation split.
        objects: Mean number of objects in a training image, see `DetectionTarget`.
    """

    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "ema": 0.998,
        "model": "yolo",
    }
    pretrained_model = "efficientnet_lite0"
    kept_by = "valid_map50"
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
        super().__init__(classes, thresholds=thresholds)
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
        sizes = [target.size for target in targets]
        return (images,), DetectionTarget(boxes, classes, ignored, self.objects, sizes)

    def loss(self, output: DetectorOutput, target: DetectionTarget) -> dict[str, Tensor]:
        """The losses of the detection head."""
        return output.losses(target)

    def batch_metric(
        self, output: DetectorOutput, target: DetectionTarget, *, quick: bool
    ) -> float:
        """mAP50 of the batch, or of its first image."""
        corners, scores = output.candidates()
        count = QUICK_IMAGES if quick else len(scores)
        predictions = suppress(corners[:count], scores[:count])
        if not quick:  # augmentation leaves no content to clip to
            pairs = zip(predictions, target.sizes, strict=True)
            predictions = [boxes if size is None else clipped(boxes, size) for boxes, size in pairs]
        return detection_metrics.quick_map50(
            predictions, _to_boxes(target)[:count], len(self.classes)
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
                predictions[row] = clipped(boxes, content).resize(content, size)
        return [prediction for prediction in predictions if prediction is not None]

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Boxes:
        """Predict from the whole image and from its tiles."""
        check_tile(net.size, side)
        shape = min(side, image.shape[0]), min(side, image.shape[1]), image.shape[2]
        height, width = net.padded_size(shape)
        batch = max(1, BATCH_PIXELS // (height * width))
        return merge_boxes(partial(self.predict, net), image, side, batch)

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Boxes]) -> None:
        """Choose the threshold of best F1 at an IoU of 0.5 for each class."""
        predictions = processes.map_shares(partial(self.predict, net), images)
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


def _to_boxes(target: DetectionTarget) -> list[Boxes]:
    """The target as annotations, in pixels of the network's input."""
    rows = zip(target.boxes, target.classes, target.ignored, strict=True)
    return [
        Boxes(box.double().numpy(), k.numpy(), difficult=ignored.numpy())
        for box, k, ignored in rows
    ]


def clipped(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Predicted boxes, cut off at the edges of an image of this (height, width)."""
    inside = boxes.corners.clip(0, [size[1], size[0]] * 2)
    return Boxes(inside, boxes.classes, boxes.scores, size=size)


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
