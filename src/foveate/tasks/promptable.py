"""Promptable segmentation: the mask of any object, from clicks and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foveate.annotations import Instances
from foveate.data.dataset import Image, Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.metrics import interactive
from foveate.metrics.baselines.clicks import fit_baselines, predict_clicks
from foveate.metrics.interactive import InteractiveMetric
from foveate.models.backbone import Backbone
from foveate.models.heads.prompt_losses import prompt_losses
from foveate.models.heads.promptable import DRAWS_PER_OBJECT, MaskPrediction, PromptableHead
from foveate.models.interactive import InteractivePredictor
from foveate.models.model import VisionModel
from foveate.models.net_interactive import NetInteractivePredictor
from foveate.tasks.capabilities import Interactive, PromptedByTargets
from foveate.tasks.clicking import click_on_images, segment
from foveate.tasks.policies import object_policy
from foveate.tasks.presenters.promptable import Prediction, PromptablePresenter
from foveate.tasks.prompted import PromptedImages
from foveate.tasks.task import BaselinePredictors, Task

BATCH_PIXELS = 2**19
"""Pixels of the objects that are clicked on at once, each with an image of its own."""


class Promptable(
    PromptablePresenter,
    Task[Prediction],
    PromptedByTargets[Prediction],
    Interactive[VisionModel],
):
    """Masks from prompts (Kirillov et al., "Segment anything", 2023).

    Classes are not learnt; they only group the metrics.
    """

    curve_metric = "last_iou"
    lower_is_better = raw_metrics = frozenset({"mean_clicks"})
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 8,
        "ema": 0.998,
        "model": "tiny_encoder",
    }
    demo_settings: ClassVar[Mapping[str, Any]] = {"minutes": 5, "augment": "none"}
    augmentation = staticmethod(object_policy)
    letterbox = True
    single_class_ok = True
    overlapping_masks = True
    max_default_size = 512

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """An encoder for images and a decoder for prompts."""
        return PromptableHead(backbone)

    def collate(
        self, images: Tensor, targets: Sequence[Prediction], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Draw one object of each image.

        Returns:
            ((B, C, H, W) uint8 images, (B, H, W) bool masks, (B, D) draws for the clicks), and
            the masks again.
        """
        which, draws = rng.uniform(1)[:, 0], rng.uniform(DRAWS_PER_OBJECT)
        canvas = np.zeros((len(targets), *images.shape[2:]), bool)
        for mask, target, share in zip(canvas, _instances(targets), which, strict=True):
            rows = np.flatnonzero(~target.boxes.ignored)
            if len(rows):
                height, width = size = target.image_size
                mask[:height, :width] = target[rows[[int(share * len(rows))]]].masks(size)[0]
        masks = torch.from_numpy(canvas)
        return (images, masks, torch.from_numpy(draws)), masks

    def loss(self, output: Sequence[MaskPrediction], target: Tensor) -> dict[str, Tensor]:
        """Rounds of clicks and (B, H, W) bool -> the losses of `prompt_losses`."""
        losses = prompt_losses(output, target.to(output[0].masks.device))
        return {"total": losses["mask"] + losses["estimate"], **losses}

    def batch_metric(
        self, output: Sequence[MaskPrediction], target: Tensor, *, quick: bool
    ) -> float:
        """Mean IoU after the last training click, which falls anywhere on the errors."""
        known = target.flatten(1).any(1).cpu().numpy()
        if not known.any():
            return float("nan")
        predicted = (output[-1].best() > 0).cpu().numpy()
        return float(interactive.iou(predicted[known], target.cpu().numpy()[known]).mean())

    def make_prompts(self, images: Images, targets: Sequence[Prediction]) -> Images:
        """The images with the objects to click on."""
        return PromptedImages(images, _instances(targets))

    def predict(self, net: VisionModel, images: Images) -> list[Prediction]:
        """Segment the objects of prompted images by clicks, other images by a grid of clicks."""
        if not isinstance(images, PromptedImages):
            return segment(images, partial(NetInteractivePredictor, net))
        results: dict[int, Prediction] = {}
        for rows in _batches(net, images):
            targets = [images.targets[row] for row in rows]
            counts = [len(interactive.evaluated_rows(target)) for target in targets]
            predictor = NetInteractivePredictor(net, *(images[row] for row in rows))
            predict_batch = partial(
                predictor.predict_batch, images=np.repeat(np.arange(len(rows)), counts)
            )
            found = click_on_images(predictor, predict_batch, targets)
            results.update(zip(rows, found, strict=True))
        return [results[row] for row in range(len(images))]

    def set_image(self, net: VisionModel, image: Image) -> InteractivePredictor:
        """Encode the image."""
        return NetInteractivePredictor(net, image)

    # --- measure

    def metric(self) -> InteractiveMetric:
        """IoU by the number of clicks."""
        return InteractiveMetric()

    def baselines(
        self, images: ImageArray, targets: Sequence[Prediction], seed: int
    ) -> BaselinePredictors[Prediction]:
        """Flood fill, and a disk of the usual size."""
        segmenters = fit_baselines(images, _instances(targets), seed)

        def predict_all(prompted: Images) -> dict[str, list[Prediction]]:
            assert isinstance(prompted, PromptedImages)
            pairs = list(zip(prompted, prompted.targets, strict=True))
            return {
                name: [predict_clicks(segment, *pair) for pair in pairs]
                for name, segment in segmenters.items()
            }

        return predict_all


def _batches(net: VisionModel, images: PromptedImages) -> Iterator[list[int]]:
    """Rows of images of one size, with as many objects together as BATCH_PIXELS allows."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for row in range(len(images)):
        by_size.setdefault(images[row].shape[:2], []).append(row)
    for size, rows in by_size.items():
        height, width = net.padded_size(size)
        batch, objects = list[int](), 0
        for row in rows:
            # An image without objects is encoded too.
            count = max(1, len(interactive.evaluated_rows(images.targets[row])))
            if batch and (objects + count) * height * width > BATCH_PIXELS:
                yield batch
                batch, objects = [], 0
            batch.append(row)
            objects += count
        yield batch


def _instances(targets: Sequence[Prediction]) -> list[Instances]:
    """The targets: predictions are never among them."""
    return [target for target in targets if isinstance(target, Instances)]
