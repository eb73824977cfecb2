"""Instance segmentation: a class and a mask for each object, also where objects touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foveate import processes
from foveate.annotations import IGNORE, Instances
from foveate.data.dataset import Image, Images
from foveate.data.resizing import fit_within, letterbox_size
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray, part
from foveate.metrics import detection
from foveate.metrics import instance as instance_metrics
from foveate.metrics.baselines.instances import fit_baselines
from foveate.metrics.instance import MAX_PER_CLASS, InstanceMetric
from foveate.metrics.matching import PairwiseOverlaps
from foveate.models.backbone import Backbone
from foveate.models.heads.segmentation import (
    SegmentationModel,
    SubsampledLogits,
    align_targets,
    pixel_losses,
)
from foveate.models.model import VisionModel
from foveate.ops import centre_voting
from foveate.ops.masks import smallest_dtype
from foveate.ops.tiles import Tile
from foveate.tasks.grouping import OFFSET_UNIT, group
from foveate.tasks.pixelwise import Pixelwise
from foveate.tasks.policies import instance_policy
from foveate.tasks.presenters.instance import InstancePresenter
from foveate.tasks.presenters.thresholds import DEFAULT_THRESHOLD
from foveate.tasks.task import BaselinePredictors
from foveate.tasks.tiling import MAX_SIDE, check_tile, merge_instances

BATCH_PIXELS = 2**21
"""Pixels of the images that are predicted at once."""
BLURS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Candidates for the blur of the votes, in pixels; one is chosen on the validation split."""


@dataclass(frozen=True)
class InstanceTarget:
    """The training target of B images.

    Attributes:
        classes: (B, H, W) int64: 0 for background, 1 + class for objects, IGNORE for pixels that
            are not to be learnt.
        offsets: (B, 2, H, W) float32 from a pixel to the centre of its object, in OFFSET_UNITs.
        weights: (B, H, W) float32 of the offsets: each object counts the same, and an image with
            objects counts 1.
    """

    classes: Tensor
    offsets: Tensor
    weights: Tensor


class Instance(InstancePresenter, Pixelwise[Instances]):
    """Objects separated by their centres, which their pixels vote for (see `ops.centre_voting`).

    Attributes:
        thresholds: (K,) display thresholds; chosen on the validation split.
        blur: Pixels that votes are spread over; chosen on the validation split.
    """

    curve_metric = "pixel_iou"
    lower_is_better = frozenset({"count_error"})
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 4,
        "ema": 0.999,
        "model": "unet:tiny_encoder",
    }
    augmentation = staticmethod(instance_policy)
    single_class_ok = True

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        blur: float = 2.0,
    ):
        super().__init__(classes, thresholds=thresholds)
        self.blur = blur

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this task."""
        return {"thresholds": self.thresholds.tolist(), "blur": self.blur}

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """The segmentation head: logits of background and K classes, and two offsets."""
        return SegmentationModel(backbone, backbone.segmenter(len(self.classes) + 1 + 2))

    def collate(
        self, images: Tensor, targets: Sequence[Instances], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], InstanceTarget]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), classes and offsets of each pixel."""
        shape = (len(targets), *images.shape[2:])
        classes, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        offsets = np.zeros((shape[0], 2, *shape[1:]), np.float32)
        for row, target in enumerate(targets):
            ids, boxes = target.label_map(), target.boxes
            height, width = ids.shape
            content = row, slice(0, height), slice(0, width)
            class_of = np.where(boxes.ignored, IGNORE, boxes.classes + 1)
            classes[content] = np.concatenate([[0], class_of])[ids]
            centres, area = centre_voting.centres(ids, len(boxes))
            learnt = np.where(boxes.ignored, 0, area)
            offsets[row, :, :height, :width] = (
                centre_voting.centre_offsets(ids, centres) / OFFSET_UNIT
            )
            weight = np.where(learnt > 0, 1 / np.maximum(area, 1), 0) / max(1, (learnt > 0).sum())
            weights[content] = np.concatenate([[0], weight])[ids]
        columns = (torch.from_numpy(column) for column in (classes, offsets, weights))
        return (images,), InstanceTarget(*columns)

    def loss(self, output: Tensor | SubsampledLogits, target: InstanceTarget) -> dict[str, Tensor]:
        """The losses of `pixel_losses`, and `offset`: the mean error of the votes.

        Args:
            output: (B, 1 + K + 2, H, W).
            target: Its target; the offset loss is in OFFSET_UNITs, each object counts the same.
        """
        aligned = align_targets(output, target.classes, target.offsets, target.weights)
        output, classes, true_offsets, weights = (one.to(aligned[0].device) for one in aligned)
        logits, offsets = _split_output(output.float())
        losses = pixel_losses(logits, classes)
        distance = (offsets - true_offsets).square().sum(1).add(1e-6).sqrt()
        # The pixels that one pixel of a subsampled output stands for.
        factor = target.weights.numel() / max(1, weights.numel())
        losses["offset"] = factor * (distance * weights).sum() / max(1, len(output))
        return {"total": torch.stack(list(losses.values())).sum(), **losses}

    def batch_metric(
        self, output: Tensor | SubsampledLogits, target: InstanceTarget, *, quick: bool
    ) -> float:
        """Pixel IoU of the batch or of its first image, as mAP would take longer than a step.

        Of the pixels of objects, true or predicted, it is the share with the right class.
        """
        logits, classes = (
            one[: 1 if quick else None] for one in align_targets(output, target.classes)
        )
        predicted = logits[:, : len(self.classes) + 1].argmax(1)
        true = classes.to(predicted.device)
        union = ((predicted > 0) | (true > 0)) & (true != IGNORE)
        share: float = ((predicted == true) & union).sum().item() / max(1, union.sum().item())
        return share

    @staticmethod
    def crop_target(target: Instances, crops: Sequence[Tile]) -> list[Instances]:
        """Crops of the label map."""
        ids = target.label_map()
        return [
            Instances.from_label_map(smallest_dtype(ids[top:bottom, left:right]), target.boxes)
            for left, top, right, bottom in crops
        ]

    def predict_whole(self, net: VisionModel, images: Images) -> list[Instances]:
        """All objects with a score of MIN_SCORE or more; see `confident`."""
        predictions = {row: one for row, (one,) in self._predictions(net, images, [self.blur])}
        return [predictions[row] for row in range(len(images))]

    @torch.no_grad()
    def _predictions(
        self, net: VisionModel, images: Images, blurs: Sequence[float]
    ) -> Iterator[tuple[int, list[Instances]]]:
        """Each image's row, in any order, and its prediction for each blur."""
        net.eval()
        for rows, batch in net.padded_batches(images, BATCH_PIXELS):
            logits, offsets = _split_output(net(batch).float())
            outputs = (logits.softmax(1), offsets * OFFSET_UNIT)
            arrays = (output.cpu().numpy() for output in outputs)
            for row, *maps in zip(rows, *arrays, strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                height, width = letterbox_size(*size, net.size)
                content = [one[..., :height, :width] for one in maps]
                yield (
                    row,
                    [
                        group(content[0], content[1], blur).resize((height, width), size)
                        for blur in blurs
                    ],
                )

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Instances:
        """Merge the predictions for overlapping tiles with that for the whole image."""
        check_tile(net.size, side)
        small = fit_within(image, min(net.size, MAX_SIDE), net.channels)
        return merge_instances(lambda one: self.predict_whole(net, [one])[0], image, small, side)

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Instances]) -> None:
        """Choose the blur of the best mAP50, then for each class the threshold of the best F1."""

        def overlaps(rows: range) -> list[list[PairwiseOverlaps]]:
            """Compute the overlaps of some images with their targets for each blur."""
            some, found = part(images, rows), {}
            for row, predictions in self._predictions(net, some, BLURS):
                target = targets[rows[row]]
                found[row] = [instance_metrics.mask_overlaps(one, target) for one in predictions]
            return [found[row] for row in range(len(rows))]

        by_image = processes.map_shares(overlaps, range(len(images)))
        stats = {
            blur: detection.match_all([one[index] for one in by_image], MAX_PER_CLASS)
            for index, blur in enumerate(BLURS)
        }
        metrics = {
            blur: detection.compute_metrics(one, len(self.classes))[self.primary_metric]
            for blur, one in stats.items()
        }
        self.blur = max(BLURS, key=lambda blur: np.nan_to_num(metrics[blur]))
        chosen = stats[self.blur]
        self.thresholds = detection.best_thresholds(chosen, len(self.classes), DEFAULT_THRESHOLD)

    def calibration_predictions(self, images: int) -> int:
        """The net predicts once; what groups its pixels runs for each blur, and takes as long."""
        return images * len(BLURS) // 2

    # --- measure

    def metric(self) -> InstanceMetric:
        """Average precision of masks, panoptic quality and counts."""
        return InstanceMetric(len(self.classes), self.thresholds)

    def baselines(
        self, images: ImageArray, targets: Sequence[Instances], seed: int
    ) -> BaselinePredictors[Instances]:
        """A brightness threshold, and filled boxes of the detection baselines."""
        return fit_baselines(images, targets, len(self.classes), seed)


def _split_output(output: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1 + K + 2, H, W) -> logits (B, 1 + K, H, W), offsets (B, 2, H, W)."""
    return output[:, :-2], output[:, -2:]
