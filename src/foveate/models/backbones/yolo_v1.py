"""The detector that began the family, small: one grid over the picture, a few boxes and one class a cell.

Redmon et al., "You only look once: Unified, real-time object detection", 2016. Faithful in what it answers and how it is
taught (a grid of 7 x 7 cells, 2 boxes a cell, squared errors with the paper's weights, linear outputs, a fully connected
head); the convolutions are fewer, and normalised. Its limits are the grid's: of things whose middles share a cell only one
can be told, and of small things in groups hardly any.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.heads.detection import DetectionTarget
from foveate.models.registry import Model, Recipe, Weights

CELLS, BOXES = 7, 2
"""S and B of the paper."""
PLACE, EMPTY = 5.0, 0.5
"""Weights of the paper's errors: of places, and of confidence where no object is."""
WIDTHS = (16, 32, 64, 128, 256)
HIDDEN = 512


class Darknet(Backbone):
    """channels: of the picture; size: its side in pixels, at least 32. One map."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.LeakyReLU(0.1, inplace=True), nn.MaxPool2d(2)]
            channels = width
        self.features, self.size = nn.Sequential(*layers), size
        self.channels, self.strides = (WIDTHS[-1],), (2 ** len(WIDTHS),)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> one map of stride 32."""
        return [self.features(images)]

    def detector(self, classes: int) -> nn.Module:
        return YoloV1Head(self.channels[-1], self.size, classes)


class YoloV1Head(nn.Module):
    """Two fully connected layers: maps -> `Grid`."""

    def __init__(self, channels: int, size: int, classes: int):
        super().__init__()
        self.size, self.classes = size, classes
        self.hidden = nn.Sequential(
            nn.AdaptiveAvgPool2d(CELLS),
            nn.Flatten(),
            nn.Linear(channels * CELLS**2, HIDDEN),
            nn.LeakyReLU(0.1),
        )
        self.last = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(HIDDEN, CELLS**2 * (5 * BOXES + classes))
        )

    def forward(self, maps: list[Tensor]) -> YoloV1Output:
        raw = (
            self.last(self.hidden(maps[-1]))
            .float()
            .unflatten(1, (CELLS**2, 5 * BOXES + self.classes))
        )
        return YoloV1Output(
            raw[..., : 5 * BOXES].unflatten(2, (BOXES, 5)), raw[..., 5 * BOXES :], self.size
        )


@dataclass(frozen=True)
class YoloV1Output:
    """boxes: (B, S * S, 2, 5) of each cell: the middle's place in the cell, the roots of width and height as shares of the
    picture, and the confidence; classes: (B, S * S, K); size: of the picture in pixels
    """

    boxes: Tensor
    classes: Tensor
    size: int

    def corners(self) -> Tensor:
        """(B, S * S, 2, 4) in pixels of the input."""
        cells = torch.arange(CELLS**2, device=self.boxes.device)
        first = torch.stack([cells % CELLS, cells // CELLS], 1)[:, None]
        middle = (first + self.boxes[..., :2]) * (self.size / CELLS)
        half = self.boxes[..., 2:4].clamp(min=0) ** 2 * self.size / 2
        return torch.cat([middle - half, middle + half], -1)

    def candidates(self) -> tuple[Tensor, Tensor]:
        """The score of a class is the confidence times the class's probability."""
        scores = self.boxes[..., 4:].clamp(0, 1) * self.classes.clamp(0, 1)[:, :, None]
        return self.corners().flatten(1, 2), scores.flatten(1, 2)

    def _cells(self, boxes: Tensor) -> Tensor:
        """(M,) the cell that the middle of each box lies in."""
        at = ((boxes[:, :2] + boxes[:, 2:]) / 2 * (CELLS / self.size)).long().clamp(0, CELLS - 1)
        return at[:, 1] * CELLS + at[:, 0]

    def losses(self, truth: DetectionTarget) -> dict[str, Tensor]:
        """Equation 3 of the paper, for each picture in the mean. Of two objects in a cell the first is taught."""
        from torchvision.ops import box_iou

        corners = self.corners().detach()
        place = confidence = named = self.boxes.sum() * 0
        wanted = torch.zeros_like(self.boxes[..., 4])
        weight = torch.full_like(wanted, EMPTY)
        for row, (boxes, classes, ignored) in enumerate(
            zip(truth.boxes, truth.classes, truth.ignored, strict=True)
        ):
            for cell, _ in _firsts(self._cells(boxes[ignored])):
                weight[row, cell] = 0.0
            boxes, classes = boxes[~ignored].to(self.boxes), classes[~ignored]
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2 * (CELLS / self.size)
            cells = self._cells(boxes)
            at = torch.stack([cells % CELLS, cells // CELLS], 1)
            for cell, group in _firsts(cells):
                overlap = box_iou(corners[row, cell], boxes[group : group + 1])[:, 0]
                which = int(overlap.argmax())
                own = self.boxes[row, cell, which]
                sides = ((boxes[group, 2:] - boxes[group, :2]) / self.size).sqrt()
                place = (
                    place
                    + ((own[:2] - (middle[group] - at[group])) ** 2).sum()
                    + ((own[2:4] - sides) ** 2).sum()
                )
                wanted[row, cell, which], weight[row, cell, which] = overlap[which], 1.0
                target = torch.zeros_like(self.classes[row, cell])
                target[classes[group]] = 1.0
                named = named + ((self.classes[row, cell] - target) ** 2).sum()
        confidence = confidence + (weight * (self.boxes[..., 4] - wanted) ** 2).sum()
        count = max(1, len(self.boxes)) * truth.objects
        losses = {
            "place": PLACE * place / count,
            "confidence": confidence / count,
            "class": named / count,
        }
        return {"total": sum(losses.values(), start=self.boxes.sum() * 0), **losses}


def _firsts(cells: Tensor) -> list[tuple[int, int]]:
    """Each cell that has an object, with the first object in it."""
    found: dict[int, int] = {}
    for row, cell in enumerate(cells.tolist()):
        found.setdefault(cell, row)
    return list(found.items())


def _build(name: str, channels: int, size: int, weights: Weights) -> Darknet:
    del name, weights
    return Darknet(channels, size)


MODELS = (
    Model(
        "yolo-2016",
        "one grid over the picture, as it began; to see its limits",
        "Redmon et al., 2016",
        32,
        _build,
        trained=Recipe("adamw", 1e-3),
    ),
)
