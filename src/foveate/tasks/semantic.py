"""Which pixel is what: one class out of K at each pixel of a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import IGNORE, Mask
from foveate.data import label_maps
from foveate.data.augment.images import suited
from foveate.data.augment.masks import MaskAugment, pieces
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample, SplitName
from foveate.data.images import inside
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels
from foveate.errors import DataError, SettingError
from foveate.metrics import semantic as semantic_metrics
from foveate.metrics.baselines.masks import fit_baselines
from foveate.metrics.detection import column
from foveate.metrics.intervals import Score
from foveate.models.backbone import Backbone
from foveate.models.heads.segmentation import SegmentationModel, SubsampledLogits, align_targets, pixel_losses
from foveate.models.model import VisionModel
from foveate.ops.masks import resize_nearest, smallest_dtype
from foveate.ops.tiles import Tile, tiles
from foveate.report import drawing
from foveate.report.mask_panels import mask_panels
from foveate.report.panels import Panel
from foveate.settings import Settings
from foveate.tasks.pixelwise import Pixelwise
from foveate.tasks.task import BaselinePredictors, MaskImage, PerImageStats

LOGITS_AT_ONCE = 2**23
"""Of pictures that are answered at once: pixels times classes."""
VOID = 255
"""Of a label picture: where an answer says nothing."""

Colours = Sequence[tuple[int, int, int]]


class Semantic(Pixelwise[Mask]):
    """A class at each pixel (Long, Shelhamer and Darrell, "Fully convolutional networks", 2015).

    class_weights: K factors on the cross-entropy, e.g. to weigh rare classes up
    colours: of the K classes, as the data has them
    """

    name = "semantic"
    annotation = Mask
    description = "a class for each pixel"
    primary_metric = "miou"
    default_settings: ClassVar[Mapping[str, Any]] = {
        "batch_size": 4,
        "average": 0.999,
        "model": "unet:tiny_encoder",
    }

    def __init__(
        self,
        classes: Sequence[str],
        *,
        class_weights: Sequence[float] | None = None,
        colours: Colours | None = None,
    ):
        super().__init__(classes)
        for name, given in (("class_weights", class_weights), ("colours", colours)):
            if given is not None and len(given) != len(classes):
                raise SettingError(
                    f"{len(classes)} are expected, one a class, got {len(given)}", where=name
                )
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights))
        self.colours: Colours = colours or [drawing.class_colour(k) for k in range(len(classes))]

    @classmethod
    def from_settings(
        cls, dataset: Dataset[Mask], settings: Settings, targets: Sequence[Mask], *, mirror: bool
    ) -> Semantic:
        del mirror
        weights = settings.class_weights
        if weights == "balanced":  # each class counts the same, however many pixels it has
            counts = np.maximum(sum(_counts(truth, len(dataset.classes)) for truth in targets), 1)
            weights = (counts.sum() / (len(counts) * counts)).tolist()
        return cls(dataset.classes, class_weights=weights, colours=dataset.colours)

    def options(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {"class_weights": weights, "colours": [list(colour) for colour in self.colours]}

    # --- data

    def check(self, split: SplitName, targets: Sequence[Mask]) -> None:
        seen = {k for truth in targets for k in truth.present()}
        if not seen:
            raise DataError(
                f"no pixel of the {split} part is labelled, so nothing can be "
                + ("learnt" if split == "train" else "scored"),
                remedy="Label some, put labelled pictures into that part, or see what was read: foveate audit DATA.",
            )
        if split == "train" and len(seen) == 1:
            raise DataError(
                f"all labelled pixels of the train part are {self.classes[seen.pop()]!r}, so there is nothing to tell apart",
                remedy="Put pictures that show another class into the train part.",
            )

    def clean_target(self, truth: Mask, size: tuple[int, int]) -> Mask:
        """Stretched to its picture, and without a class where there is none of that number."""
        values = truth.pixels.read()
        if values.shape == size and values.max(initial=0) < len(self.classes):
            return truth
        stretched = resize_nearest(values, size)
        return Mask.from_array(np.where(stretched < len(self.classes), stretched, IGNORE))

    @staticmethod
    def resized(annotation: Mask, before: tuple[int, int], after: tuple[int, int]) -> Mask:
        del before  # the mask's own
        return Mask.from_array(resize_nearest(annotation.pixels.read(), after))

    @staticmethod
    def windows(truth: Mask, places: Sequence[Tile]) -> list[Mask]:
        values = truth.pixels.read()
        return [
            Mask.from_array(values[top:bottom, left:right]) for left, top, right, bottom in places
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
    ) -> MaskAugment[Mask]:
        flip = suited(
            size, hflip_safe=hflip_safe, classes=tuple(classes), kind=kind, epochs=epochs
        ).flip
        return MaskAugment(_values, label_maps.paste_mask, **pieces(size, kind, flip))

    def collate(
        self, images: Tensor, targets: Sequence[Mask], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), (B, H, W) int64 with IGNORE beyond each picture."""
        del rng  # nothing is random in a mask
        target = np.full((len(targets), *images.shape[2:]), IGNORE, np.int64)
        for canvas, truth in zip(target, targets, strict=True):
            values = truth.pixels.read()
            canvas[: values.shape[0], : values.shape[1]] = values
        return (images,), torch.from_numpy(target)

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        return SegmentationModel(backbone, backbone.segmenter(len(self.classes)))

    def loss(self, output: Tensor | SubsampledLogits, target: Tensor) -> dict[str, Tensor]:
        """(B, K, H, W) logits and (B, H, W) int64 -> see `segmenter.pixel_losses`."""
        logits, true = align_targets(output, target)
        losses = pixel_losses(logits, true, self.class_weights)
        return {"total": losses["focal"] + losses["dice"], **losses}

    def batch_metric(
        self, output: Tensor | SubsampledLogits, target: Tensor, *, glance: bool
    ) -> float:
        """MIoU of the batch, or of its first picture."""
        logits, target = (split[: 1 if glance else None] for split in align_targets(output, target))
        found, target = logits.argmax(1), target.to(logits.device)
        known, classes = target != IGNORE, len(self.classes)
        cells = torch.bincount(target[known] * classes + found[known], minlength=classes**2).view(
            classes, classes
        )
        right, either = cells.diag(), cells.sum(0) + cells.sum(1) - cells.diag()
        return (right[either > 0] / either[either > 0]).mean().item()

    # --- answers

    @torch.no_grad()
    def predict_whole(self, net: VisionModel, images: Images) -> list[Mask]:
        net.eval()
        predictions: list[Mask | None] = [None] * len(images)
        for rows, batch in net.padded_batches(images, LOGITS_AT_ONCE // len(self.classes)):
            found = net(batch).argmax(1).cpu().numpy()
            for row, classes in zip(rows, found, strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                height, width = inside(*size, net.size)
                predictions[row] = Mask.from_array(resize_nearest(classes[:height, :width], size))
        return [prediction for prediction in predictions if prediction is not None]

    @torch.no_grad()
    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> Mask:
        """From overlapping tiles, whose probabilities are blended: the nearer to a tile's edge, the less it counts. Lines of the
        picture that no further tile touches are done with, so that memory holds a strip of probabilities, not a picture.
        """
        self.check_tile(net, side)
        net.eval()
        height, width = image.shape[:2]
        found = np.empty((height, width), np.uint8 if len(self.classes) <= VOID else np.int32)
        strip, start = np.zeros((len(self.classes), 0, width), np.float32), 0
        for top, row in groupby(tiles(height, width, side), key=lambda place: place[1]):
            places = list(row)
            found[start:top] = strip[:, : top - start].argmax(0)
            strip = strip[:, top - start :]
            more = places[0][3] - top - strip.shape[1]
            strip = np.concatenate([strip, np.zeros((len(strip), more, width), np.float32)], 1)
            start = top
            for (left, _, right, _), shares in zip(
                places, self._shares(net, image, places), strict=True
            ):
                strip[:, :, left:right] += shares * _window(shares.shape[1:])
        found[start:] = strip.argmax(0)
        return Mask.from_array(found)

    def _shares(
        self, net: VisionModel, image: Image, places: Sequence[tuple[int, int, int, int]]
    ) -> Iterator[NDArray[np.float32]]:
        """(K, h, w) probabilities of each tile, all of which are of one size."""
        for left, top, right, bottom in places:
            tile = image[top:bottom, left:right]
            ((_, batch),) = net.padded_batches([tile], 1)
            height, width = inside(bottom - top, right - left, net.size)
            shares = net(batch)[:, :, :height, :width].softmax(1)
            if shares.shape[2:] != tile.shape[:2]:
                shares = F.interpolate(shares, size=tile.shape[:2], mode="bilinear")
            yield shares[0].cpu().numpy()

    def per_image_stats(self, predicted: Sequence[Mask], truth: Sequence[Mask]) -> PerImageStats:
        pairs = zip(predicted, truth, strict=True)
        return semantic_metrics.per_image_stats(
            [
                semantic_metrics.row(a.pixels.read(), b.pixels.read(), len(self.classes))
                for a, b in pairs
            ]
        )

    def column(self, values: list[Any]) -> NDArray[Any]:
        return column(values)

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return semantic_metrics.Scorer(stats, len(self.classes)).metrics()

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        return semantic_metrics.Scorer(stats, len(self.classes)).metrics

    def baselines(
        self, images: Pixels, targets: Sequence[Mask], seed: int
    ) -> BaselinePredictors[Mask]:
        return fit_baselines(images, targets, len(self.classes), seed)

    # --- for people

    def to_dict(self, annotation: Mask) -> dict[str, Any]:
        """The share of each class that occurs, and a digest of all pixels."""
        counts = _counts(annotation, len(self.classes))
        shares = {
            self.classes[k]: round(float(counts[k] / counts.sum()), 6)
            for k in np.flatnonzero(counts)
        }
        values = annotation.pixels.read()
        pixels = f"{values.shape}".encode() + smallest_dtype(values).tobytes()
        return {"shares": shares, "pixels": hashlib.blake2b(pixels, digest_size=8).hexdigest()}

    def summary(self, annotation: Mask) -> str:
        counts = _counts(annotation, len(self.classes))
        order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        return (
            ", ".join(f"{counts[k] / counts.sum():.1%} {self.classes[k]}" for k in order)
            or "nothing"
        )

    def draw(self, image: Image, annotation: Mask) -> Image:
        """Each class's colour over its pixels; small pictures are enlarged."""
        return drawing.draw_class_map(image, annotation.pixels.read(), self.colours)

    def mask_images(self, prediction: Mask) -> list[MaskImage]:
        values = prediction.pixels.read()
        if len(self.classes) > VOID:
            return [MaskImage("", values.astype(np.uint16))]
        return [MaskImage("", values.astype(np.uint8), self.colours)]

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        metric = metrics["miou"]
        images = self.images(metric, split)
        return (
            f"at {metric['value']:.1%} mean IoU on {images} (95% interval {metric['low']:.1%} to {metric['high']:.1%}): "
            "of the pixels that are a class or are called so, the share that are both"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Mask, Mask]],
    ) -> list[Panel]:
        return mask_panels(
            semantic_metrics.Scorer(stats, len(self.classes)),
            ids,
            read_image,
            read_pair,
            self.classes,
            self.colours,
        )

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Mask]:
        """32 x 32 grey noise with a bright square and a dark bar, and a corner that nobody labelled."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples = []
        for row, image in enumerate(pixels):
            values = np.zeros((32, 32), np.int32)
            for k, (height, width, value) in enumerate(((10, 10, 240), (14, 8, 0))):
                left, top = (
                    16 * (k ^ (row % 2)) + int(rng.choice((1, 5))),
                    int(rng.choice((1, 9, 17))),
                )
                image[top : top + height, left : left + width] = value
                values[top : top + height, left : left + width] = 1 + k
            values[-2:, -2:] = IGNORE
            samples.append(
                Sample(f"example-{row}", ArraySource(pixels, row), Mask.from_array(values))
            )
        return Dataset("examples", cls.name, ("ground", "square", "bar"), samples)


def _values(truth: Mask) -> NDArray[np.integer]:
    return truth.pixels.read()


def _counts(mask: Mask, classes: int) -> NDArray[np.int64]:
    """(K,) pixels of each class."""
    counts = np.zeros(classes, np.int64)
    for line in np.array_split(mask.pixels.read(), 16):  # counting makes 8 bytes of a pixel
        known = line[(line >= 0) & (line < classes)]
        counts += np.bincount(known, minlength=classes)
    return counts


def _window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(h, w): 1 in the middle, falling to the edges, never 0."""
    down, across = (1 - np.abs(2 * (np.arange(side) + 0.5) / side - 1) for side in shape)
    return (np.multiply.outer(down, across) + 1e-4).astype(np.float32)
