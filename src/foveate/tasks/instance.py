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
from foveate.data.augment.masks import Warped, pieces
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Part, Sample
from foveate.data.images import inside, reduced
from foveate.data.rng import Draws
from foveate.data.subset import Pixels
from foveate.errors import DataError
from foveate.metrics import detection
from foveate.metrics import instance as metrics
from foveate.metrics.baselines.instances import fit_baselines
from foveate.metrics.intervals import Score
from foveate.metrics.matching import Compared
from foveate.models.backbone import Backbone
from foveate.models.heads.segmentation import Segmentation, Thinned, pixel_losses, seen
from foveate.models.model import Vision
from foveate.ops import centre_voting
from foveate.ops.tiles import Tile, cut, tiles
from foveate.report import drawing
from foveate.report.instance_panels import thing_panels
from foveate.report.panels import Panel
from foveate.tasks.pixelwise import WHOLE, Pixelwise
from foveate.tasks.task import Rivals, Stencil, Tally

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
class Truth:
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
    summary = "a class and the pixels of each thing"
    primary = "map50"
    lower_is_better = frozenset({"count_error"})
    preferred: ClassVar[Mapping[str, Any]] = {"batch_size": 4, "average": 0.999, "model": "unet:pyramid"}
    lone_class = True

    def __init__(self, classes: Sequence[str], *, thresholds: Sequence[float] | None = None, blur: float = 2.0):
        super().__init__(classes)
        self.thresholds = detection.thresholds(len(classes), thresholds, UNSURE)
        self.blur = blur

    @property
    def followed(self) -> str:
        return "pixel_iou"

    def options(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds.tolist(), "blur": self.blur}

    # --- data

    def check(self, part: Part, truths: Sequence[Instances]) -> None:
        if not any((~truth.boxes.spared).any() for truth in truths):
            raise DataError(
                f"no picture of the {part} part has a thing that is demanded, so nothing can be "
                + ("learnt" if part == "train" else "scored"),
                remedy="Outline some, put pictures with things into that part, or see what was read: foveate audit DATA.",
            )

    @staticmethod
    def resized(annotation: Instances, before: tuple[int, int], after: tuple[int, int]) -> Instances:
        return label_maps.resized(annotation, before, after)

    @staticmethod
    def windows(truth: Instances, places: Sequence[Tile]) -> list[Instances]:
        ids, boxes = label_maps.numbers(truth), truth.boxes
        return [
            label_maps.things(label_maps.compact(ids[top:bottom, left:right]), boxes)
            for left, top, right, bottom in places
        ]

    @classmethod
    def augmentation(
        cls, size: int, *, symmetric: bool | None, classes: Sequence[str], kind: str, epochs: float | None
    ) -> Warped[Instances]:
        flip = suited(size, symmetric=symmetric, classes=tuple(classes), kind=kind, epochs=epochs).flip
        return Warped(label_maps.numbers, label_maps.laid, **pieces(size, kind, flip))

    def collate(self, images: Tensor, truths: Sequence[Instances], draws: Draws) -> tuple[tuple[Tensor, ...], Truth]:
        """(B, C, H, W) uint8 -> ((B, C, H, W) uint8,), what is to be learnt at each pixel."""
        del draws  # nothing is random in a mask
        shape = (len(truths), *images.shape[2:])
        classes, shares = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        offsets = np.zeros((shape[0], 2, *shape[1:]), np.float32)
        for row, truth in enumerate(truths):
            ids, boxes = label_maps.numbers(truth), truth.boxes
            height, width = ids.shape
            here = row, slice(0, height), slice(0, width)
            named = np.where(boxes.spared, IGNORE, boxes.classes + 1)
            classes[here] = np.concatenate([[0], named])[ids]
            places, area = centre_voting.middles(ids, len(boxes))
            learnt = np.where(boxes.spared, 0, area)
            offsets[row, :, :height, :width] = centre_voting.offsets(ids, places) / UNIT
            share = np.where(learnt > 0, 1 / np.maximum(area, 1), 0) / max(1, (learnt > 0).sum())
            shares[here] = np.concatenate([[0], share])[ids]
        target = Truth(*(torch.from_numpy(column) for column in (classes, offsets, shares)))
        return (images,), target

    # --- learning

    def net(self, backbone: Backbone) -> nn.Module:
        head = backbone.segmenter(len(self.classes) + 1 + 2)
        return Segmentation(backbone, head)

    def loss(self, output: Tensor | Thinned, target: Truth) -> dict[str, Tensor]:
        """(B, 1 + K + 2, H, W) -> those of the classes (`segmenter.pixel_losses`), and offset: how far votes are off in the mean, in
        UNITs, each thing the same."""
        said, *truths = seen(output, target.classes, target.offsets, target.shares)
        classes, true, shares = (truth.to(said.device) for truth in truths)
        logits, offsets = _parted(said.float())
        losses = pixel_losses(logits, classes)
        away = (offsets - true).square().sum(1).add(1e-6).sqrt()
        each = target.shares.numel() / max(1, shares.numel())  # pixels that one speaks for
        losses["offset"] = each * (away * shares).sum() / max(1, len(said))
        return {"total": torch.stack(list(losses.values())).sum(), **losses}

    def progress(self, output: Tensor | Thinned, target: Truth, *, glance: bool) -> float:
        """pixel_iou: share of the batch's pixels of things, or of its first picture's, that are named right, of those that are or are named so:
        the figure itself would take longer than a step."""
        logits, classes = (part[: 1 if glance else None] for part in seen(output, target.classes))
        found = logits[:, : len(self.classes) + 1].argmax(1)
        true = classes.to(found.device)
        either = ((found > 0) | (true > 0)) & (true != IGNORE)
        return ((found == true) & either).sum().item() / max(1, either.sum().item())

    def settle(self, net: Vision, images: Images, truths: Sequence[Instances]) -> None:
        """Choose the blur that gives the best figure, then for each class the score of best F1 at an IoU of 0.5."""
        pairs: dict[float, list[Compared]] = {blur: [] for blur in BLURS}
        for row, answers in self._found(net, images, BLURS):
            for blur, answer in zip(BLURS, answers, strict=True):
                pairs[blur].append(metrics.compared(answer, truths[row], label_maps.size(truths[row])))
        tallies = {blur: detection.matched(compared, metrics.MOST) for blur, compared in pairs.items()}
        figures = {blur: detection.figures(tally, len(self.classes))[self.primary] for blur, tally in tallies.items()}
        self.blur = max(BLURS, key=lambda blur: np.nan_to_num(figures[blur]))
        self.thresholds = detection.best_thresholds(tallies[self.blur], len(self.classes), UNSURE)

    # --- answers

    def predict_whole(self, net: Vision, images: Images) -> list[Instances]:
        """All things; `shown` are those that are worth a look."""
        found = {row: answer for row, (answer,) in self._found(net, images, [self.blur])}
        return [found[row] for row in range(len(images))]

    @torch.no_grad()
    def _found(self, net: Vision, images: Images, blurs: Sequence[float]) -> Iterator[tuple[int, list[Instances]]]:
        """Each picture's row, in any order, with an answer for each blur: the net is asked once."""
        net.eval()
        for rows, batch in net.canvases(images, PIXELS_AT_ONCE):
            logits, offsets = _parted(net(batch).float())
            parts = (logits.softmax(1), offsets * UNIT)
            for row, *maps in zip(rows, *(part.cpu().numpy() for part in parts), strict=True):
                size = (images[row].shape[0], images[row].shape[1])
                height, width = inside(*size, net.size)
                own = [one[..., :height, :width] for one in maps]
                yield row, [self.resized(_things(own, blur), (height, width), size) for blur in blurs]

    def predict_tiled(self, net: Vision, image: Image, side: int) -> Instances:
        """From overlapping tiles and the picture as a whole (see `rasters.joined`). What is cut by the edge of a tile is left to its
        neighbour, or to the whole."""
        self.check_tile(net, side)
        height, width = image.shape[:2]
        places = tiles(height, width, side)
        seen = []
        for place in places if len(places) > 1 else []:
            left, top, right, bottom = place
            (things,) = self.predict_whole(net, [image[top:bottom, left:right]])
            lost = cut(things.boxes.corners + [left, top] * 2, place, (height, width), 2)
            seen.append((place, things[~lost]))
        whole = reduced(image, min(net.size, WHOLE), net.channels)
        (things,) = self.predict_whole(net, [whole])
        return label_maps.joined(
            seen, self.resized(things, (whole.shape[0], whole.shape[1]), (height, width)), (height, width)
        )

    def shown(self, answer: Instances) -> Instances:
        """The things that reach their class's threshold, each once, as the surest class that does; of a truth all."""
        return answer if answer.boxes.scores is None else answer[metrics.shown(answer, self.thresholds)]

    def tally(self, predicted: Sequence[Instances], truth: Sequence[Instances]) -> Tally:
        pairs = [metrics.compared(*pair, label_maps.size(pair[1])) for pair in zip(predicted, truth, strict=True)]
        return metrics.tally(pairs, [metrics.shown(found, self.thresholds) for found in predicted])

    def column(self, values: list[Any]) -> NDArray[Any]:
        return detection.column(values)

    def figures(self, tally: Tally) -> dict[str, float]:
        return metrics.Scorer(tally, len(self.classes)).figures()

    def scorer(self, tally: Tally) -> Score:
        return metrics.Scorer(tally, len(self.classes)).figures

    def baselines(self, images: Pixels, truths: Sequence[Instances], seed: int) -> Rivals[Instances]:
        return fit_baselines(images, truths, len(self.classes), seed)

    # --- for people

    def words(self, annotation: Instances) -> dict[str, Any]:
        """Of each thing class, box, pixels and mask, which is COCO's compressed run lengths."""
        shown = self.shown(annotation)
        told = zip(shown.boxes.classes.tolist(), label_maps.told(shown), strict=True)
        return {"things": [{"class": self.classes[k], **one} for k, one in told]}

    def tell(self, annotation: Instances) -> str:
        counts = np.bincount(self.shown(annotation).boxes.classes, minlength=len(self.classes))
        return (
            ", ".join(f"{count} {name}" for name, count in zip(self.classes, counts, strict=True) if count) or "nothing"
        )

    def draw(self, image: Image, annotation: Instances) -> Image:
        """Each thing that is shown in its class's colour with an edge, or, where there is one class, in a colour of its own."""
        shown = self.shown(annotation)
        own = shown.boxes.classes if len(self.classes) > 1 else np.arange(len(shown))
        return drawing.things(image, label_maps.numbered(shown, image.shape[:2]), own)

    def stencils(self, answer: Instances) -> list[Stencil]:
        """A picture for each thing, white on black."""
        masks = answer.masks(label_maps.size(answer))
        named = zip(masks, answer.boxes.classes.tolist(), strict=True)
        return [
            Stencil(f"/{number:04d}-{_plain(self.classes[k])}", mask.astype(np.uint8) * np.uint8(255))
            for number, (mask, k) in enumerate(named, 1)
        ]

    def claim(self, figures: Mapping[str, Any], part: str) -> str:
        figure = figures["map50"]
        pictures = self.pictures(figure, part)
        return (
            f"at {figure['value']:.1%} mean average precision on {pictures} (95% interval {figure['low']:.1%} to "
            f"{figure['high']:.1%}), where a mask counts that overlaps a true one by half"
        )

    def panels(
        self,
        tally: Tally,
        ids: Sequence[str],
        picture: Callable[[int], Image | None],
        pair: Callable[[int], tuple[Instances, Instances]],
    ) -> list[Panel]:
        def both(row: int) -> tuple[Instances, Instances]:
            found, true = pair(row)
            return self.shown(found), true

        return thing_panels(tally, ids, picture, both, self.classes, self.thresholds)

    @classmethod
    def examples(cls, count: int, rng: np.random.Generator) -> Dataset[Instances]:
        """32 x 32 grey noise with a bright square and dark bars, two of which touch now and then."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples = []
        for row, picture in enumerate(pixels):
            ids, classes = np.zeros((32, 32), np.int32), []
            for k, (height, width, value) in enumerate(((10, 10, 240), (12, 8, 0))):
                if row % 5 == 3 + k:
                    continue
                left, top = 16 * (k ^ (row % 2)) + int(rng.choice((1, 5))), int(rng.choice((1, 9, 17)))
                picture[top : top + height, left : left + width] = value
                classes.append(k)
                ids[top : top + height, left : left + width] = len(classes)
            boxes = Boxes(np.zeros((len(classes), 4)), np.array(classes, np.int64))
            samples.append(Sample(f"example-{row}", ArraySource(pixels, row), label_maps.things(ids, boxes)))
        return Dataset("examples", cls.name, ("square", "bar"), samples)


def _plain(name: str) -> str:
    """A class's name as part of a file's."""
    return "".join(c if c.isalnum() else "-" for c in name) or "thing"


def _parted(output: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1 + K + 2, H, W) -> logits of the classes, and offsets (B, 2, H, W)."""
    return output[:, :-2], output[:, -2:]


def _things(maps: Sequence[NDArray[np.float32]], blur: float) -> Instances:
    """(1 + K, H, W) probabilities and (2, H, W) pixels to the middle -> things, each as every class that it may be. A score is how
    well the thing's pixels agree on their middle, times how sure they are of the class in the mean."""
    shares, to_middle = maps
    ids, agreed = centre_voting.grouped(to_middle, shares[0] < 0.5, blur)
    count = len(agreed)
    area = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    summed = np.stack([np.bincount(ids.ravel(), share.ravel(), count + 1)[1:] for share in shares[1:]], 1)
    scores = (agreed / np.maximum(area, 1))[:, None] * summed
    found = label_maps.things(ids, Boxes(np.zeros((count, 4)), scores.argmax(1)))
    best = np.arange(scores.shape[1]) == found.boxes.classes[:, None]
    row, k = np.nonzero(best | (scores >= LEAST_SCORE))
    boxes = Boxes(found.boxes.corners[row], k, scores[row, k], size=ids.shape)
    return Instances(boxes, tuple(found.shapes[each] for each in row))
