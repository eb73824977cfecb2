"""Which pixels are of which thing: a class and a mask for each, also where they touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import IGNORE, Boxes, Instances
from foveate.data import label_maps
from foveate.data.augment.images import suited
from foveate.data.augment.masks import MaskAugment, pieces
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample, SplitName
from foveate.data.images import inside, reduced
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.errors import DataError
from foveate.metrics import detection
from foveate.metrics import instance as instance_metrics
from foveate.metrics.baselines.instances import fit_baselines
from foveate.metrics.intervals import Score
from foveate.metrics.matching import PairwiseOverlaps
from foveate.models.backbone import Backbone
from foveate.models.heads.segmentation import SegmentationModel, SubsampledLogits, align_targets, pixel_losses
from foveate.models.model import VisionModel
from foveate.ops import centre_voting
from foveate.ops.masks import smallest_dtype
from foveate.ops.tiles import Tile, cut, tiles
from foveate.report import drawing
from foveate.report.instance_panels import instance_panels
from foveate.report.panels import Panel
from foveate.tasks.pixelwise import WHOLE, Pixelwise
from foveate.tasks.task import BaselinePredictors, MaskImage, PerImageStats

PIXELS_AT_ONCE = 2**21
"""Of pictures that are answered at once."""
UNIT = 8.0
"""Pixels that offsets are counted in, so that a net's first answers are of the right order."""
BLURS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Pixels that votes are spread over: those that are tried on the validation part."""
LEAST_SCORE = 0.01
"""A thing is told as each class that reaches it, as detectors do: it may be a 3, or less likely an 8. It is shown once."""
UNSURE = 0.3
"""The score from which on a thing is shown, where the validation part has none of its class to choose by."""


@dataclass(frozen=True)
class InstanceTarget:
    """What a net is taught, of B pictures of (H, W).

    classes: (B, H, W) int64, 0 where no thing is, 1 + its class where one is, IGNORE where that is not to be learnt
    offsets: (B, 2, H, W) in UNITs to the middle of a pixel's thing
    shares: (B, H, W) what an offset counts: each thing the same, and 1 in all in a picture with things
    """

    classes: Tensor
    offsets: Tensor
    shares: Tensor


class Instance(Pixelwise[Instances]):
    """Things told apart by their middles, which their pixels vote for, on a U-Net (see `ops.centres`).

    thresholds: K scores from which on a thing of that class is shown; blur: pixels that votes are spread over. Both are chosen
    on the validation part
    """

    name = "instance"
    annotation = Instances
    description = "a class and the pixels of each thing"
    primary_metric = "map50"
    lower_is_better = frozenset({"count_error"})
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 4,
        "average": 0.999,
        "model": "unet:tiny_encoder",
    }
    single_class_ok = True

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        blur: float = 2.0,
    ):
        super().__init__(classes)
        self.thresholds = detection.thresholds(len(classes), thresholds, UNSURE)
        self.blur = blur

    @property
    def curve_metric(self) -> str:
        return "pixel_iou"

    def options(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds.tolist(), "blur": self.blur}

    # --- data

    def check(self, split: SplitName, targets: Sequence[Instances]) -> None:
        if not any((~truth.boxes.ignored).any() for truth in targets):
            raise DataError(
                f"no picture of the {split} part has a thing that is demanded, so nothing can be "
                + ("learnt" if split == "train" else "scored"),
                remedy="Outline some, put pictures with things into that part, or see what was read: foveate audit DATA.",
            )

    @staticmethod
    def resized(
        annotation: Instances, before: tuple[int, int], after: tuple[int, int]
    ) -> Instances:
        return annotation.resize(before, after)

    @staticmethod
    def windows(truth: Instances, places: Sequence[Tile]) -> list[Instances]:
        ids, boxes = truth.label_map(), truth.boxes
        return [
            Instances.from_label_map(smallest_dtype(ids[top:bottom, left:right]), boxes)
            for left, top, right, bottom in places
        ]

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
        flip = suited(
            size, hflip_safe=hflip_safe, classes=tuple(classes), kind=kind, epochs=epochs
        ).flip
        return MaskAugment(
            Instances.label_map, label_maps.paste_instances, **pieces(size, kind, flip)
        )

    def collate(
        self, images: Tensor, targets: Sequence[Instances], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], InstanceTarget]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), what is to be learnt at each pixel."""
        del rng  # nothing is random in a mask
        shape = (len(targets), *images.shape[2:])
        classes, shares = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        offsets = np.zeros((shape[0], 2, *shape[1:]), np.float32)
        for row, truth in enumerate(targets):
            ids, boxes = truth.label_map(), truth.boxes
            height, width = ids.shape
            here = row, slice(0, height), slice(0, width)
            named = np.where(boxes.ignored, IGNORE, boxes.classes + 1)
            classes[here] = np.concatenate([[0], named])[ids]
            places, area = centre_voting.middles(ids, len(boxes))
            learnt = np.where(boxes.ignored, 0, area)
            offsets[row, :, :height, :width] = centre_voting.offsets(ids, places) / UNIT
            share = np.where(learnt > 0, 1 / np.maximum(area, 1), 0) / max(1, (learnt > 0).sum())
            shares[here] = np.concatenate([[0], share])[ids]
        target = InstanceTarget(
            *(torch.from_numpy(column) for column in (classes, offsets, shares))
        )
        return (images,), target

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        head = backbone.segmenter(len(self.classes) + 1 + 2)
        return SegmentationModel(backbone, head)

    def loss(self, output: Tensor | SubsampledLogits, target: InstanceTarget) -> dict[str, Tensor]:
        """(B, 1 + K + 2, H, W) -> those of the classes (`segmenter.pixel_losses`), and offset: how far votes are off in the mean, in
        UNITs, each thing the same.
        """
        said, *targets = align_targets(output, target.classes, target.offsets, target.shares)
        classes, true, shares = (truth.to(said.device) for truth in targets)
        logits, offsets = _parted(said.float())
        losses = pixel_losses(logits, classes)
        away = (offsets - true).square().sum(1).add(1e-6).sqrt()
        each = target.shares.numel() / max(1, shares.numel())  # pixels that one speaks for
        losses["offset"] = each * (away * shares).sum() / max(1, len(said))
        return {"total": torch.stack(list(losses.values())).sum(), **losses}

    def batch_metric(
        self, output: Tensor | SubsampledLogits, target: InstanceTarget, *, glance: bool
    ) -> float:
        """pixel_iou: share of the batch's pixels of things, or of its first picture's, that are named right, of those that are or are named so:
        the figure itself would take longer than a step.
        """
        logits, classes = (split[: 1 if glance else None] for split in align_targets(output, target.classes))
        found = logits[:, : len(self.classes) + 1].argmax(1)
        true = classes.to(found.device)
        either = ((found > 0) | (true > 0)) & (true != IGNORE)
        return ((found == true) & either).sum().item() / max(1, either.sum().item())

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Instances]) -> None:
        """Choose the blur that gives the best figure, then for each class the score of best F1 at an IoU of 0.5."""
        pairs: dict[float, list[PairwiseOverlaps]] = {blur: [] for blur in BLURS}
        for row, predictions in self._found(net, images, BLURS):
            for blur, prediction in zip(BLURS, predictions, strict=True):
                pairs[blur].append(
                    instance_metrics.compared(prediction, targets[row], targets[row].image_size)
                )
        tallies = {
            blur: detection.matched(compared, instance_metrics.MOST)
            for blur, compared in pairs.items()
        }
        metrics = {
            blur: detection.compute_metrics(stats, len(self.classes))[self.primary_metric]
            for blur, stats in tallies.items()
        }
        self.blur = max(BLURS, key=lambda blur: np.nan_to_num(metrics[blur]))
        self.thresholds = detection.best_thresholds(tallies[self.blur], len(self.classes), UNSURE)

    # --- answers

    def predict_whole(self, net: VisionModel, images: Images) -> list[Instances]:
        """All things; `shown` are those that are worth a look."""
        found = {row: prediction for row, (prediction,) in self._found(net, images, [self.blur])}
        return [found[row] for row in range(len(images))]

    @torch.no_grad()
    def _found(
        self, net: VisionModel, images: Images, blurs: Sequence[float]
    ) -> Iterator[tuple[int, list[Instances]]]:
        """Each picture's row, in any order, with an answer for each blur: the net is asked once."""
        net.eval()
        for rows, batch in net.padded_batches(images, PIXELS_AT_ONCE):
            logits, offsets = _parted(net(batch).float())
            splits = (logits.softmax(1), offsets * UNIT)
            for row, *maps in zip(rows, *(split.cpu().numpy() for split in splits), strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                height, width = inside(*size, net.size)
                own = [one[..., :height, :width] for one in maps]
                yield (
                    row,
                    [self.resized(_things(own, blur), (height, width), size) for blur in blurs],
                )

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Instances:
        """From overlapping tiles and the picture as a whole (see `rasters.joined`). What is cut by the edge of a tile is left to its
        neighbour, or to the whole.
        """
        self.check_tile(net, side)
        height, width = image.shape[:2]
        places = tiles(height, width, side)
        seen = []
        for place in places if len(places) > 1 else []:
            left, top, right, bottom = place
            (instances,) = self.predict_whole(net, [image[top:bottom, left:right]])
            lost = cut(instances.boxes.corners + [left, top] * 2, place, (height, width), 2)
            seen.append((place, instances[~lost]))
        whole = reduced(image, min(net.size, WHOLE), net.channels)
        (instances,) = self.predict_whole(net, [whole])
        return label_maps.merge_tiles(
            seen,
            self.resized(instances, (whole.shape[0], whole.shape[1]), (height, width)),
            (height, width),
        )

    def confident(self, prediction: Instances) -> Instances:
        """The things that reach their class's threshold, each once, as the surest class that does; of a truth all."""
        return (
            prediction
            if prediction.boxes.scores is None
            else prediction[instance_metrics.shown(prediction, self.thresholds)]
        )

    def per_image_stats(
        self, predicted: Sequence[Instances], truth: Sequence[Instances]
    ) -> PerImageStats:
        pairs = [
            instance_metrics.compared(*read_pair, read_pair[1].image_size)
            for read_pair in zip(predicted, truth, strict=True)
        ]
        return instance_metrics.per_image_stats(
            pairs, [instance_metrics.shown(found, self.thresholds) for found in predicted]
        )

    def column(self, values: list[Any]) -> NDArray[Any]:
        return detection.column(values)

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return instance_metrics.Scorer(stats, len(self.classes)).metrics()

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        return instance_metrics.Scorer(stats, len(self.classes)).metrics

    def baselines(
        self, images: Pixels, targets: Sequence[Instances], seed: int
    ) -> BaselinePredictors[Instances]:
        return fit_baselines(images, targets, len(self.classes), seed)

    # --- for people

    def to_dict(self, annotation: Instances) -> dict[str, Any]:
        """Of each thing class, box, pixels and mask, which is COCO's compressed run lengths."""
        shown = self.confident(annotation)
        told = zip(shown.boxes.classes.tolist(), shown.to_records(), strict=True)
        return {"things": [{"class": self.classes[k], **one} for k, one in told]}

    def summary(self, annotation: Instances) -> str:
        counts = np.bincount(self.confident(annotation).boxes.classes, minlength=len(self.classes))
        return (
            ", ".join(
                f"{count} {name}" for name, count in zip(self.classes, counts, strict=True) if count
            )
            or "nothing"
        )

    def draw(self, image: Image, annotation: Instances) -> Image:
        """Each thing that is shown in its class's colour with an edge, or, where there is one class, in a colour of its own."""
        shown = self.confident(annotation)
        own = shown.boxes.classes if len(self.classes) > 1 else np.arange(len(shown))
        return drawing.draw_instances(image, shown.label_map(image.shape[:2]), own)

    def mask_images(self, prediction: Instances) -> list[MaskImage]:
        """A picture for each thing, white on black."""
        masks = prediction.masks(prediction.image_size)
        named = zip(masks, prediction.boxes.classes.tolist(), strict=True)
        return [
            MaskImage(
                f"/{number:04d}-{_plain(self.classes[k])}", mask.astype(np.uint8) * np.uint8(255)
            )
            for number, (mask, k) in enumerate(named, 1)
        ]

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        metric = metrics["map50"]
        images = self.images(metric, split)
        return (
            f"at {metric['value']:.1%} mean average precision on {images} (95% interval {metric['low']:.1%} to "
            f"{metric['high']:.1%}), where a mask counts that overlaps a true one by half"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Instances, Instances]],
    ) -> list[Panel]:
        def both(row: int) -> tuple[Instances, Instances]:
            found, true = read_pair(row)
            return self.confident(found), true

        return instance_panels(stats, ids, read_image, both, self.classes, self.thresholds)

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Instances]:
        """32 x 32 grey noise with a bright square and dark bars, two of which touch now and then."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples = []
        for row, image in enumerate(pixels):
            ids, classes = np.zeros((32, 32), np.int32), []
            for k, (height, width, value) in enumerate(((10, 10, 240), (12, 8, 0))):
                if row % 5 == 3 + k:
                    continue
                left, top = (
                    16 * (k ^ (row % 2)) + int(rng.choice((1, 5))),
                    int(rng.choice((1, 9, 17))),
                )
                image[top : top + height, left : left + width] = value
                classes.append(k)
                ids[top : top + height, left : left + width] = len(classes)
            boxes = Boxes(np.zeros((len(classes), 4)), np.array(classes, np.int64))
            samples.append(
                Sample(
                    f"example-{row}", ArraySource(pixels, row), Instances.from_label_map(ids, boxes)
                )
            )
        return Dataset("examples", cls.name, ("square", "bar"), samples)


def _plain(name: str) -> str:
    """A class's name as part of a file's."""
    return "".join(c if c.isalnum() else "-" for c in name) or "thing"


def _parted(output: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1 + K + 2, H, W) -> logits of the classes, and offsets (B, 2, H, W)."""
    return output[:, :-2], output[:, -2:]


def _things(maps: Sequence[NDArray[np.float32]], blur: float) -> Instances:
    """(1 + K, H, W) probabilities and (2, H, W) pixels to the middle -> things, each as every class that it may be. A score is how
    well the thing's pixels agree on their middle, times how sure they are of the class in the mean.
    """
    shares, to_middle = maps
    ids, agreed = centre_voting.grouped(to_middle, shares[0] < 0.5, blur)
    count = len(agreed)
    area = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    summed = np.stack(
        [np.bincount(ids.ravel(), share.ravel(), count + 1)[1:] for share in shares[1:]], 1
    )
    scores = (agreed / np.maximum(area, 1))[:, None] * summed
    found = Instances.from_label_map(ids, Boxes(np.zeros((count, 4)), scores.argmax(1)))
    best = np.arange(scores.shape[1]) == found.boxes.classes[:, None]
    row, k = np.nonzero(best | (scores >= LEAST_SCORE))
    boxes = Boxes(found.boxes.corners[row], k, scores[row, k], size=ids.shape)
    return Instances(boxes, tuple(found.shapes[each] for each in row))
