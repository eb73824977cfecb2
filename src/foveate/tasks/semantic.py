"""Semantic segmentation: one class out of K for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Dataset, Image, Images
from foveate.data.resizing import letterbox_size
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.errors import SettingError
from foveate.metrics.baselines.masks import fit_baselines
from foveate.metrics.semantic import SemanticMetric, class_counts
from foveate.models.backbone import Backbone
from foveate.models.heads.segmentation import (
    SegmentationModel,
    SubsampledLogits,
    align_targets,
    pixel_losses,
)
from foveate.models.model import VisionModel
from foveate.ops.masks import resize_nearest
from foveate.ops.tiles import Tile
from foveate.settings import Settings
from foveate.tasks.capabilities import Averaged
from foveate.tasks.pixelwise import Pixelwise
from foveate.tasks.policies import mask_policy
from foveate.tasks.presenters.presenter import Colours
from foveate.tasks.presenters.semantic import SemanticPresenter
from foveate.tasks.task import BaselinePredictors, Task
from foveate.tasks.tiling import MAX_SIDE, blend_classes, check_tile

BATCH_LOGITS = 2**23
"""Pixels times classes of the images that are predicted at once."""


class Semantic(SemanticPresenter, Pixelwise[Mask], Averaged[Mask]):
    """A class for each pixel (Long, Shelhamer and Darrell, "Fully convolutional networks", 2015).

    Attributes:
        class_weights: (K,) factors on the cross-entropy; None for 1.
    """

    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 4,
        "ema": 0.999,
        "model": "unet:tiny_encoder",
    }
    augmentation = staticmethod(mask_policy)

    def __init__(
        self,
        classes: Sequence[str],
        *,
        class_weights: Sequence[float] | None = None,
        colours: Colours | None = None,
    ):
        super().__init__(classes, colours=colours)
        if class_weights is not None and len(class_weights) != len(classes):
            raise SettingError(
                f"{len(classes)} class weights are expected, one a class, got {len(class_weights)}",
                where="class_weights",
            )
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights))

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Mask], settings: Settings, targets: Sequence[Mask], *, hflip: bool
    ) -> Semantic:
        """Compute balanced class weights from the targets, if the settings ask for them."""
        weights = settings.class_weights
        if weights == "balanced":  # each class counts the same, however many pixels it has
            count = len(dataset.classes)
            counts = np.maximum(sum(class_counts(target, count) for target in targets), 1)
            weights = (counts.sum() / (len(counts) * counts)).tolist()
        return cls(dataset.classes, class_weights=weights, colours=dataset.colours)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this task."""
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {"class_weights": weights, "colours": [list(colour) for colour in self.colours]}

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """The backbone's segmentation head: (B, K, H, W) logits."""
        return SegmentationModel(backbone, backbone.segmenter(len(self.classes)))

    def collate(
        self, images: Tensor, targets: Sequence[Mask], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), (B, H, W) int64, IGNORE in the padding."""
        canvas = np.full((len(targets), *images.shape[2:]), IGNORE, np.int64)
        for row, target in zip(canvas, targets, strict=True):
            values = target.pixels.read()
            row[: values.shape[0], : values.shape[1]] = values
        return (images,), torch.from_numpy(canvas)

    def loss(self, output: Tensor | SubsampledLogits, target: Tensor) -> dict[str, Tensor]:
        """(B, K, H, W) logits and (B, H, W) int64 -> the losses of `pixel_losses`."""
        logits, target = align_targets(output, target)
        losses = pixel_losses(logits, target, self.class_weights)
        return {"total": losses["focal"] + losses["dice"], **losses}

    def batch_metric(
        self, output: Tensor | SubsampledLogits, target: Tensor, *, quick: bool
    ) -> float:
        """MIoU of the batch, or of its first image."""
        logits, target = (one[: 1 if quick else None] for one in align_targets(output, target))
        predicted, target = logits.argmax(1), target.to(logits.device)
        known, classes = target != IGNORE, len(self.classes)
        cells = torch.bincount(
            target[known] * classes + predicted[known], minlength=classes**2
        ).view(classes, classes)
        intersection, union = cells.diag(), cells.sum(0) + cells.sum(1) - cells.diag()
        return (intersection[union > 0] / union[union > 0]).mean().item()

    @staticmethod
    def crop_target(target: Mask, crops: Sequence[Tile]) -> list[Mask]:
        """Crops of a mask."""
        values = target.pixels.read()
        return [
            Mask.from_array(values[top:bottom, left:right]) for left, top, right, bottom in crops
        ]

    def predict_whole(self, net: VisionModel, images: Images) -> list[Mask]:
        """The most likely class of each pixel, at the size of each image."""
        return self._predict_scores(net.eval(), images, net)

    def predict_mean(
        self, models: Sequence[tuple[Task[Mask], VisionModel]], images: Images
    ) -> list[Mask]:
        """The most likely class of each pixel by the mean of the models' probabilities."""
        nets = [net.eval() for _, net in models]
        if any(max(nets[0].padded_size(image.shape)) > MAX_SIDE for image in images):
            raise SettingError(
                f"several models predict together for images up to {MAX_SIDE} px at the training "
                "size",
                where="RUN",
                remedy=Averaged.remedy,
            )
        return self._predict_scores(
            nets[0], images, lambda batch: sum(net(batch).softmax(1) for net in nets)
        )

    @torch.no_grad()
    def _predict_scores(
        self, net: VisionModel, images: Images, scores: Callable[[Tensor], Any]
    ) -> list[Mask]:
        """The class of the highest score of each pixel; the net says how images are fitted."""
        predictions: list[Mask | None] = [None] * len(images)
        for rows, batch in net.padded_batches(images, BATCH_LOGITS // len(self.classes)):
            predicted = scores(batch).argmax(1).cpu().numpy()
            for row, classes in zip(rows, predicted, strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                height, width = letterbox_size(*size, net.size)
                predictions[row] = Mask.from_array(resize_nearest(classes[:height, :width], size))
        return [prediction for prediction in predictions if prediction is not None]

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Mask:
        """Blend the probabilities of overlapping tiles, which count less towards their edges."""
        check_tile(net.size, side)
        net.eval()
        tile_probabilities = partial(self._tile_probabilities, net)
        return blend_classes(tile_probabilities, image, side, len(self.classes))

    @torch.no_grad()
    def _tile_probabilities(self, net: VisionModel, tile: Image) -> NDArray[np.float32]:
        """(K, h, w) probabilities of a tile."""
        size = (tile.shape[0], tile.shape[1])
        ((_, batch),) = net.padded_batches([tile], 1)
        height, width = letterbox_size(*size, net.size)
        probabilities = net(batch)[:, :, :height, :width].softmax(1)
        if probabilities.shape[2:] != size:
            probabilities = F.interpolate(probabilities, size=size, mode="bilinear")
        found: NDArray[np.float32] = probabilities[0].cpu().numpy()
        return found

    # --- measure

    def metric(self) -> SemanticMetric:
        """Mean IoU, Dice and the like."""
        return SemanticMetric(self.classes)

    def baselines(
        self, images: ImageArray, targets: Sequence[Mask], seed: int
    ) -> BaselinePredictors[Mask]:
        """The most common class, overall and at each position, and colour alone."""
        return fit_baselines(images, targets, len(self.classes), seed)
