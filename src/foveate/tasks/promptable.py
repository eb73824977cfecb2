"""Point at it, get its mask: a thing of any kind, by clicks, by a box, corrected by more clicks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Boxes, Instances
from foveate.data import label_maps
from foveate.data.augment.masks import MaskAugment, pieces
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample, SplitName
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.errors import DataError
from foveate.metrics import interactive
from foveate.metrics.baselines.clicks import fit_baselines, pointed
from foveate.metrics.detection import column
from foveate.metrics.interactive import CLICKS, InteractiveResult
from foveate.metrics.intervals import Score
from foveate.models.backbone import Backbone
from foveate.models.heads.promptable import DRAWS_PER_OBJECT, MaskPrediction, PromptableHead, prompt_losses
from foveate.models.interactive import InteractivePredictor, NetInteractivePredictor
from foveate.models.model import VisionModel
from foveate.ops.clicks import Click
from foveate.ops.masks import resize_nearest
from foveate.report import drawing
from foveate.report.click_panels import click_panels
from foveate.report.panels import Panel
from foveate.tasks.task import BaselinePredictors, MaskImage, PerImageStats, Task

GRID = 8
"""Clicks a side where nobody points: all that is found is answered."""
SURE = 0.7
"""The estimated IoU from which on such a mask is kept."""
SAME = 0.5
"""The IoU from which on two of them are one thing."""

Prediction = Instances | InteractiveResult


@dataclass(frozen=True)
class PromptedImages(Sequence[Image]):
    """Pictures, each with a person who knows its things and points at them, and at what an answer has wrong."""

    images: Images
    truths: Sequence[Instances]

    def __len__(self) -> int:
        return len(self.truths)

    def __getitem__(self, row: Any) -> Any:
        return self.images[row]


class Promptable(Task[Prediction]):
    """Masks of what is pointed at, whatever it is (Kirillov et al., "Segment anything", 2023). Classes are not learnt; figures can
    be told by them.
    """

    name = "promptable"
    annotation = Instances
    description = "the pixels of what is pointed at"
    primary_metric = "iou_1"
    lower_is_better = raw_metrics = frozenset({"mean_clicks"})
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 8,
        "average": 0.998,
        "model": "tiny_encoder",
    }
    letterbox = True
    single_class_ok = True
    class_aware = False
    largest = 512

    # --- data

    def check(self, split: SplitName, truths: Sequence[Prediction]) -> None:
        if not any(
            (~truth.boxes.ignored).any() for truth in truths if isinstance(truth, Instances)
        ):
            raise DataError(
                f"no picture of the {split} part has a thing to point at, so nothing can be "
                + ("learnt" if split == "train" else "scored"),
                remedy="Outline some, put pictures with things into that part, or see what was read: foveate audit DATA.",
            )

    @staticmethod
    def resized(
        annotation: Prediction, before: tuple[int, int], after: tuple[int, int]
    ) -> Prediction:
        if before == after:
            return annotation
        if isinstance(annotation, InteractiveResult):
            return replace(
                annotation, after=tuple(_stretched(one, before, after) for one in annotation.after)
            )
        return annotation.resize(before, after)

    @classmethod
    def augmentation(
        cls,
        size: int,
        *,
        hflip_safe: bool | None,
        classes: Sequence[str],
        kind: str,
        epochs: float | None,
    ) -> MaskAugment[Instances]:
        del (
            hflip_safe,
            classes,
            epochs,
        )  # what a thing is called is not asked for: it is one in a mirror too
        return MaskAugment(
            Instances.label_map,
            label_maps.paste_instances,
            **pieces(size, kind, flip=kind != "none"),
        )

    def collate(
        self, images: Tensor, truths: Sequence[Prediction], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> (the same, one thing's mask a picture, (B, H, W) bool, draws for the clicks), the masks. Which thing,
        and where it is clicked, is drawn.
        """
        which, draw = rng.uniform(1)[:, 0], rng.uniform(DRAWS_PER_OBJECT)
        targets = np.zeros((len(truths), *images.shape[2:]), bool)
        for target, truth, share in zip(targets, truths, which, strict=True):
            assert isinstance(truth, Instances)
            rows = np.flatnonzero(~truth.boxes.ignored)
            if len(rows):
                height, width = size = truth.image_size
                target[:height, :width] = truth[rows[[int(share * len(rows))]]].masks(size)[0]
        masks = torch.from_numpy(targets)
        return (images, masks, torch.from_numpy(draw)), masks

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        return PromptableHead(backbone)

    def loss(self, output: Sequence[MaskPrediction], target: Tensor) -> dict[str, Tensor]:
        """Rounds of clicks and (B, H, W) bool -> see `prompted.prompt_losses`."""
        losses = prompt_losses(output, target.to(output[0].masks.device))
        return {"total": losses["mask"] + losses["estimate"], **losses}

    @property
    def curve_metric(self) -> str:
        return "last_iou"

    def batch_metric(
        self, output: Sequence[MaskPrediction], target: Tensor, *, glance: bool
    ) -> float:
        """last_iou: mean IoU after the last of training's clicks, which fall anywhere in what is wrong."""
        del glance  # cheap
        known = target.flatten(1).any(1).cpu().numpy()
        found = (output[-1].best() > 0).cpu().numpy()
        return (
            float(interactive.overlaps(found[known], target.cpu().numpy()[known]).mean())
            if known.any()
            else float("nan")
        )

    # --- answers

    def make_prompts(self, images: Images, truths: Sequence[Prediction]) -> Images:
        return PromptedImages(images, [truth for truth in truths if isinstance(truth, Instances)])

    def predict(self, net: VisionModel, images: Images) -> list[Prediction]:
        """What is pointed at, of `asked`; of mere pictures whatever a click on one of a grid's places finds, each thing once."""
        if isinstance(images, PromptedImages):
            return [
                self._pointed(net, image, images.truths[row]) for row, image in enumerate(images)
            ]
        return [everything(NetInteractivePredictor(net, image)) for image in images]

    def set_image(self, net: VisionModel, image: Image) -> InteractivePredictor:
        return NetInteractivePredictor(net, image)

    def _pointed(self, net: VisionModel, image: Image, truth: Instances) -> InteractiveResult:
        """Each thing of the truth, clicked where the last answer was most wrong."""
        predictor, rows = NetInteractivePredictor(net, image), interactive.chosen(truth)
        true = truth[rows].masks((image.shape[0], image.shape[1]))

        def cut(
            clicks: Sequence[Sequence[Click]], earlier: Tensor | None
        ) -> tuple[NDArray[np.bool_], Tensor]:
            prediction = predictor.predict_batch(clicks, [None] * len(clicks), earlier).best()
            return predictor.to_masks(prediction), prediction

        return InteractiveResult(rows, tuple(interactive.rounds(true, cut)))

    def confident(self, prediction: Prediction) -> Instances:
        """The things as they were answered last."""
        return prediction.after[-1] if isinstance(prediction, InteractiveResult) else prediction

    def per_image_stats(
        self, predicted: Sequence[Prediction], truth: Sequence[Prediction]
    ) -> PerImageStats:
        true = [one for one in truth if isinstance(one, Instances)]
        known = [
            prediction
            if isinstance(prediction, InteractiveResult)
            else InteractiveResult(rows := interactive.chosen(own), (own[rows],) * CLICKS)
            for prediction, own in zip(predicted, true, strict=True)
        ]
        return interactive.per_image_stats(known, true, [one.image_size for one in true])

    def column(self, values: list[Any]) -> NDArray[Any]:
        return column(values)

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return interactive.Scorer(stats).metrics()

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        return interactive.Scorer(stats).metrics

    def baselines(
        self, images: Pixels, truths: Sequence[Prediction], seed: int
    ) -> BaselinePredictors[Prediction]:
        rivals = fit_baselines(
            images, [truth for truth in truths if isinstance(truth, Instances)], seed
        )

        def predict_all(asked: Images) -> dict[str, list[Prediction]]:
            assert isinstance(asked, PromptedImages)
            return {
                name: [pointed(cut, *one) for one in zip(asked, asked.truths, strict=True)]
                for name, cut in rivals.items()
            }

        return predict_all

    # --- for people

    def to_dict(self, annotation: Prediction) -> dict[str, Any]:
        """Of each thing its box, pixels and mask, which is COCO's compressed run lengths."""
        return {"things": self.confident(annotation).to_records()}

    def summary(self, annotation: Prediction) -> str:
        instances = self.confident(annotation)
        if len(instances) == 1 and instances.boxes.scores is not None:
            area = int(instances.masks(instances.image_size).sum())
            return f"a thing of {area:,} pixels, IoU estimated at {instances.boxes.scores[0]:.0%}"
        return f"{len(instances)} thing{'' if len(instances) == 1 else 's'}"

    def draw(self, image: Image, annotation: Prediction) -> Image:
        """Each thing in a colour of its own, with an edge."""
        instances = self.confident(annotation)
        return drawing.draw_instances(
            image, instances.label_map(image.shape[:2]), np.arange(len(instances))
        )

    def mask_images(self, prediction: Prediction) -> list[MaskImage]:
        """A picture for each thing, white on black."""
        instances = self.confident(prediction)
        masks = instances.masks(instances.image_size)
        return [
            MaskImage(f"/{number:04d}", mask.astype(np.uint8) * np.uint8(255))
            for number, mask in enumerate(masks, 1)
        ]

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        one, most = metrics["iou_1"], metrics[f"iou_{CLICKS}"]
        return (
            f"at {one['value']:.1%} mean IoU after one click on each thing of {self.images(one, split)} (95% interval "
            f"{one['low']:.1%} to {one['high']:.1%}), and at {most['value']:.1%} after {CLICKS}"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Prediction, Prediction]],
    ) -> list[Panel]:
        return click_panels(stats, ids, read_image, read_pair, self.classes)

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Prediction]:
        """32 x 32 grey noise with a square that is bright within a dark frame, and a dark bar of two parts that do not touch."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples: list[Sample[Prediction]] = []
        for row, image in enumerate(pixels):
            ids = np.zeros((32, 32), np.int32)
            left, top = 16 * (row % 2) + int(rng.choice((1, 4))), int(rng.choice((1, 9, 17)))
            image[top : top + 11, left : left + 11] = 0
            image[top + 3 : top + 8, left + 3 : left + 8] = 240
            ids[top : top + 11, left : left + 11] = 1
            left, top = 16 * (1 - row % 2) + int(rng.choice((1, 5))), int(rng.choice((1, 9, 15)))
            for split in (top, top + 8):
                image[split : split + 6, left : left + 8] = 30
                ids[split : split + 6, left : left + 8] = 2
            truth = Instances.from_label_map(ids, Boxes(np.zeros((2, 4)), np.arange(2)))
            samples.append(Sample(f"example-{row}", ArraySource(pixels, row), truth))
        return Dataset("examples", cls.name, ("square", "bar"), samples)


def _stretched(instances: Instances, before: tuple[int, int], after: tuple[int, int]) -> Instances:
    masks = [resize_nearest(mask.astype(np.uint8), after) > 0 for mask in instances.masks(before)]
    return Instances.from_masks(
        np.stack(masks) if masks else np.zeros((0, *after), bool), instances.boxes.scores
    )


def everything(predictor: InteractivePredictor) -> Instances:
    """Whatever a click on one of a grid's places finds, each thing once, surest first."""
    height, width = predictor.size
    at = [
        ((column + 0.5) * width / GRID, (row + 0.5) * height / GRID)
        for row in range(GRID)
        for column in range(GRID)
    ]
    masks, scores = [], []
    for row in range(0, len(at), GRID):  # a line of the grid at a time, to hold few masks
        prediction = predictor.predict_batch([[(x, y, True)] for x, y in at[row : row + GRID]], [None] * GRID)
        masks.append(predictor.to_masks(prediction.best()))
        scores.append(prediction.iou_logits.max(1).values.sigmoid().cpu().numpy())
    return _once(np.concatenate(masks), np.concatenate(scores).astype(np.float64))


def _once(masks: NDArray[np.bool_], scores: NDArray[np.float64]) -> Instances:
    """The sure ones, surest first, each thing once."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] < SURE or not masks[row].any():
            continue
        same = interactive.overlaps(masks[kept], np.broadcast_to(masks[row], masks[kept].shape))
        if not (same > SAME).any():
            kept.append(int(row))
    return Instances.from_masks(masks[kept], scores[kept])
