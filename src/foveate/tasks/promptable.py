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
from foveate.data.augment.masks import Warped, pieces
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Part, Sample
from foveate.data.rng import Draws
from foveate.data.subset import Pixels
from foveate.errors import DataError
from foveate.metrics import interactive
from foveate.metrics.baselines.clicks import fit_baselines, pointed
from foveate.metrics.detection import column
from foveate.metrics.interactive import CLICKS, Pointed
from foveate.metrics.intervals import Score
from foveate.models.backbone import Backbone
from foveate.models.heads.promptable import DRAWS, Prompted, Round, prompt_losses
from foveate.models.interactive import NetSeer, Seer
from foveate.models.model import Vision
from foveate.ops.clicks import Click
from foveate.report import drawing
from foveate.report.click_panels import point_panels
from foveate.report.panels import Panel
from foveate.tasks.task import Rivals, Stencil, Tally, Task

GRID = 8
"""Clicks a side where nobody points: all that is found is answered."""
SURE = 0.7
"""The estimated IoU from which on such a mask is kept."""
SAME = 0.5
"""The IoU from which on two of them are one thing."""

Answer = Instances | Pointed


@dataclass(frozen=True)
class Asked(Sequence[Image]):
    """Pictures, each with a person who knows its things and points at them, and at what an answer has wrong."""

    images: Images
    truths: Sequence[Instances]

    def __len__(self) -> int:
        return len(self.truths)

    def __getitem__(self, row: Any) -> Any:
        return self.images[row]


class Promptable(Task[Answer]):
    """Masks of what is pointed at, whatever it is (Kirillov et al., "Segment anything", 2023). Classes are not learnt; figures can
    be told by them."""

    name = "promptable"
    summary = "the pixels of what is pointed at"
    primary = "iou_1"
    lower_is_better = not_shares = frozenset({"mean_clicks"})
    preferred: ClassVar[Mapping[str, Any]] = {"batch_size": 8, "average": 0.998, "model": "pyramid"}
    letterbox = True
    lone_class = True
    names_classes = False
    largest = 512

    # --- data

    def check(self, part: Part, truths: Sequence[Answer]) -> None:
        if not any((~truth.boxes.spared).any() for truth in truths if isinstance(truth, Instances)):
            raise DataError(
                f"no picture of the {part} part has a thing to point at, so nothing can be "
                + ("learnt" if part == "train" else "scored"),
                remedy="Outline some, put pictures with things into that part, or see what was read: foveate audit DATA.",
            )

    @staticmethod
    def resized(annotation: Answer, before: tuple[int, int], after: tuple[int, int]) -> Answer:
        if before == after:
            return annotation
        if isinstance(annotation, Pointed):
            return replace(annotation, after=tuple(_stretched(one, before, after) for one in annotation.after))
        return label_maps.resized(annotation, before, after)

    @classmethod
    def augmentation(
        cls, size: int, *, symmetric: bool | None, classes: Sequence[str], kind: str, epochs: float | None
    ) -> Warped[Instances]:
        del symmetric, classes, epochs  # what a thing is called is not asked for: it is one in a mirror too
        return Warped(label_maps.numbers, label_maps.laid, **pieces(size, kind, flip=kind != "none"))

    def collate(self, images: Tensor, truths: Sequence[Answer], draws: Draws) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> (the same, one thing's mask a picture, (B, H, W) bool, draws for the clicks), the masks. Which thing,
        and where it is clicked, is drawn."""
        which, draw = draws.uniform(1)[:, 0], draws.uniform(DRAWS)
        targets = np.zeros((len(truths), *images.shape[2:]), bool)
        for target, truth, share in zip(targets, truths, which, strict=True):
            assert isinstance(truth, Instances)
            rows = np.flatnonzero(~truth.boxes.spared)
            if len(rows):
                height, width = size = label_maps.size(truth)
                target[:height, :width] = truth[rows[[int(share * len(rows))]]].masks(size)[0]
        masks = torch.from_numpy(targets)
        return (images, masks, torch.from_numpy(draw)), masks

    # --- learning

    def net(self, backbone: Backbone) -> nn.Module:
        return Prompted(backbone)

    def loss(self, output: Sequence[Round], target: Tensor) -> dict[str, Tensor]:
        """Rounds of clicks and (B, H, W) bool -> see `prompted.prompt_losses`."""
        losses = prompt_losses(output, target.to(output[0].masks.device))
        return {"total": losses["mask"] + losses["estimate"], **losses}

    @property
    def followed(self) -> str:
        return "last_iou"

    def progress(self, output: Sequence[Round], target: Tensor, *, glance: bool) -> float:
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

    def asked(self, images: Images, truths: Sequence[Answer]) -> Images:
        return Asked(images, [truth for truth in truths if isinstance(truth, Instances)])

    def predict(self, net: Vision, images: Images) -> list[Answer]:
        """What is pointed at, of `asked`; of mere pictures whatever a click on one of a grid's places finds, each thing once."""
        if isinstance(images, Asked):
            return [self._pointed(net, image, images.truths[row]) for row, image in enumerate(images)]
        return [everything(NetSeer(net, image)) for image in images]

    def on(self, net: Vision, image: Image) -> Seer:
        return NetSeer(net, image)

    def _pointed(self, net: Vision, image: Image, truth: Instances) -> Pointed:
        """Each thing of the truth, clicked where the last answer was most wrong."""
        seer, rows = NetSeer(net, image), interactive.chosen(truth)
        true = truth[rows].masks((image.shape[0], image.shape[1]))

        def cut(clicks: Sequence[Sequence[Click]], earlier: Tensor | None) -> tuple[NDArray[np.bool_], Tensor]:
            answer = seer.ask(clicks, [None] * len(clicks), earlier).best()
            return seer.masks(answer), answer

        return Pointed(rows, tuple(interactive.rounds(true, cut)))

    def shown(self, answer: Answer) -> Instances:
        """The things as they were answered last."""
        return answer.after[-1] if isinstance(answer, Pointed) else answer

    def tally(self, predicted: Sequence[Answer], truth: Sequence[Answer]) -> Tally:
        true = [one for one in truth if isinstance(one, Instances)]
        known = [
            answer if isinstance(answer, Pointed) else Pointed(rows := interactive.chosen(own), (own[rows],) * CLICKS)
            for answer, own in zip(predicted, true, strict=True)
        ]
        return interactive.tally(known, true, [label_maps.size(one) for one in true])

    def column(self, values: list[Any]) -> NDArray[Any]:
        return column(values)

    def figures(self, tally: Tally) -> dict[str, float]:
        return interactive.Scorer(tally).figures()

    def scorer(self, tally: Tally) -> Score:
        return interactive.Scorer(tally).figures

    def baselines(self, images: Pixels, truths: Sequence[Answer], seed: int) -> Rivals[Answer]:
        rivals = fit_baselines(images, [truth for truth in truths if isinstance(truth, Instances)], seed)

        def answers(asked: Images) -> dict[str, list[Answer]]:
            assert isinstance(asked, Asked)
            return {
                name: [pointed(cut, *one) for one in zip(asked, asked.truths, strict=True)]
                for name, cut in rivals.items()
            }

        return answers

    # --- for people

    def words(self, annotation: Answer) -> dict[str, Any]:
        """Of each thing its box, pixels and mask, which is COCO's compressed run lengths."""
        return {"things": label_maps.told(self.shown(annotation))}

    def tell(self, annotation: Answer) -> str:
        things = self.shown(annotation)
        if len(things) == 1 and things.boxes.scores is not None:
            area = int(things.masks(label_maps.size(things)).sum())
            return f"a thing of {area:,} pixels, IoU estimated at {things.boxes.scores[0]:.0%}"
        return f"{len(things)} thing{'' if len(things) == 1 else 's'}"

    def draw(self, image: Image, annotation: Answer) -> Image:
        """Each thing in a colour of its own, with an edge."""
        things = self.shown(annotation)
        return drawing.things(image, label_maps.numbered(things, image.shape[:2]), np.arange(len(things)))

    def stencils(self, answer: Answer) -> list[Stencil]:
        """A picture for each thing, white on black."""
        things = self.shown(answer)
        masks = things.masks(label_maps.size(things))
        return [
            Stencil(f"/{number:04d}", mask.astype(np.uint8) * np.uint8(255)) for number, mask in enumerate(masks, 1)
        ]

    def claim(self, figures: Mapping[str, Any], part: str) -> str:
        one, most = figures["iou_1"], figures[f"iou_{CLICKS}"]
        return (
            f"at {one['value']:.1%} mean IoU after one click on each thing of {self.pictures(one, part)} (95% interval "
            f"{one['low']:.1%} to {one['high']:.1%}), and at {most['value']:.1%} after {CLICKS}"
        )

    def panels(
        self,
        tally: Tally,
        ids: Sequence[str],
        picture: Callable[[int], Image | None],
        pair: Callable[[int], tuple[Answer, Answer]],
    ) -> list[Panel]:
        return point_panels(tally, ids, picture, pair, self.classes)

    @classmethod
    def examples(cls, count: int, rng: np.random.Generator) -> Dataset[Answer]:
        """32 x 32 grey noise with a square that is bright within a dark frame, and a dark bar of two parts that do not touch."""
        pixels = rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)
        samples: list[Sample[Answer]] = []
        for row, picture in enumerate(pixels):
            ids = np.zeros((32, 32), np.int32)
            left, top = 16 * (row % 2) + int(rng.choice((1, 4))), int(rng.choice((1, 9, 17)))
            picture[top : top + 11, left : left + 11] = 0
            picture[top + 3 : top + 8, left + 3 : left + 8] = 240
            ids[top : top + 11, left : left + 11] = 1
            left, top = 16 * (1 - row % 2) + int(rng.choice((1, 5))), int(rng.choice((1, 9, 15)))
            for part in (top, top + 8):
                picture[part : part + 6, left : left + 8] = 30
                ids[part : part + 6, left : left + 8] = 2
            truth = label_maps.things(ids, Boxes(np.zeros((2, 4)), np.arange(2)))
            samples.append(Sample(f"example-{row}", ArraySource(pixels, row), truth))
        return Dataset("examples", cls.name, ("square", "bar"), samples)


def _stretched(things: Instances, before: tuple[int, int], after: tuple[int, int]) -> Instances:
    masks = [label_maps.nearest(mask.astype(np.uint8), after) > 0 for mask in things.masks(before)]
    return label_maps.layered(np.stack(masks) if masks else np.zeros((0, *after), bool), things.boxes.scores)


def everything(seer: Seer) -> Instances:
    """Whatever a click on one of a grid's places finds, each thing once, surest first."""
    height, width = seer.size
    at = [((column + 0.5) * width / GRID, (row + 0.5) * height / GRID) for row in range(GRID) for column in range(GRID)]
    masks, scores = [], []
    for row in range(0, len(at), GRID):  # a line of the grid at a time, to hold few masks
        answer = seer.ask([[(x, y, True)] for x, y in at[row : row + GRID]], [None] * GRID)
        masks.append(seer.masks(answer.best()))
        scores.append(answer.sure.max(1).values.sigmoid().cpu().numpy())
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
    return label_maps.layered(masks[kept], scores[kept])
