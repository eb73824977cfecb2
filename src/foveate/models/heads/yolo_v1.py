"""The head of YOLO v1: one grid over the image, a few boxes and one class per cell.

Redmon et al., "You only look once: Unified, real-time object detection", 2016. Output and loss are
the paper's: a grid of 7x7 cells, 2 boxes per cell, squared errors with the paper's weights, linear
outputs and a fully connected head. Its limits are the grid's: of objects whose centres share a
cell it can predict only one, and of small objects in groups hardly any.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foveate.models.heads.detection import DetectionTarget

CELLS, BOXES = 7, 2
"""The paper's S and B."""
COORD_WEIGHT, NO_OBJECT_WEIGHT = 5.0, 0.5
"""The paper's loss weights for coordinates, and for confidence where there is no object."""
HIDDEN = 512


class YoloV1Head(nn.Module):
    """Two fully connected layers.

    Args:
        channels: Channels of the last map.
        size: Side of the images in pixels.
        classes: Number of classes.
    """

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
        """Predict boxes and classes from the last map."""
        raw = self.last(self.hidden(maps[-1])).float()
        cells = raw.unflatten(1, (CELLS**2, 5 * BOXES + self.classes))
        boxes = cells[..., : 5 * BOXES].unflatten(2, (BOXES, 5))
        return YoloV1Output(boxes, cells[..., 5 * BOXES :], self.size)


@dataclass(frozen=True)
class YoloV1Output:
    """Raw output of the head.

    Attributes:
        boxes: (B, S * S, 2, 5): the centre's position in its cell, the square roots of width and
            height as fractions of the image, and the confidence.
        classes: (B, S * S, K) class probabilities.
        size: Side of the images in pixels.
    """

    boxes: Tensor
    classes: Tensor
    size: int

    def corners(self) -> Tensor:
        """Return the boxes' corners, (B, S * S, 2, 4) in pixels of the input."""
        cells = torch.arange(CELLS**2, device=self.boxes.device)
        first = torch.stack([cells % CELLS, cells // CELLS], 1)[:, None]
        centre = (first + self.boxes[..., :2]) * (self.size / CELLS)
        half = self.boxes[..., 2:4].clamp(min=0) ** 2 * self.size / 2
        return torch.cat([centre - half, centre + half], -1)

    def candidates(self) -> tuple[Tensor, Tensor]:
        """Return corners and scores; a score is confidence times class probability."""
        scores = self.boxes[..., 4:].clamp(0, 1) * self.classes.clamp(0, 1)[:, :, None]
        return self.corners().flatten(1, 2), scores.flatten(1, 2)

    def _cells(self, boxes: Tensor) -> Tensor:
        """Cell of each box's centre, (M, 4) -> (M,)."""
        grid = ((boxes[:, :2] + boxes[:, 2:]) / 2 * (CELLS / self.size)).long()
        grid = grid.clamp(0, CELLS - 1)
        return grid[:, 1] * CELLS + grid[:, 0]

    def losses(self, target: DetectionTarget) -> dict[str, Tensor]:
        """Compute equation 3 of the paper, as the mean over images.

        Of several objects in one cell, only the first counts.

        Returns:
            Scalar losses "place", "confidence" and "class", and their sum as "total".
        """
        from torchvision.ops import box_iou

        corners = self.corners().detach()
        place = confidence = label = self.boxes.sum() * 0
        target_confidence = torch.zeros_like(self.boxes[..., 4])
        weight = torch.full_like(target_confidence, NO_OBJECT_WEIGHT)
        for row, (boxes, classes, ignored) in enumerate(
            zip(target.boxes, target.classes, target.ignored, strict=True)
        ):
            for cell, _ in _first_objects(self._cells(boxes[ignored])):
                weight[row, cell] = 0.0
            boxes, classes = boxes[~ignored].to(self.boxes), classes[~ignored]
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2 * (CELLS / self.size)
            cells = self._cells(boxes)
            origin = torch.stack([cells % CELLS, cells // CELLS], 1)
            for cell, index in _first_objects(cells):
                iou = box_iou(corners[row, cell], boxes[index : index + 1])[:, 0]
                best = int(iou.argmax())
                predicted = self.boxes[row, cell, best]
                sides = ((boxes[index, 2:] - boxes[index, :2]) / self.size).sqrt()
                place = (
                    place
                    + ((predicted[:2] - (centre[index] - origin[index])) ** 2).sum()
                    + ((predicted[2:4] - sides) ** 2).sum()
                )
                target_confidence[row, cell, best], weight[row, cell, best] = iou[best], 1.0
                one_hot = torch.zeros_like(self.classes[row, cell])
                one_hot[classes[index]] = 1.0
                label = label + ((self.classes[row, cell] - one_hot) ** 2).sum()
        confidence = confidence + (weight * (self.boxes[..., 4] - target_confidence) ** 2).sum()
        count = max(1, len(self.boxes)) * target.objects
        losses = {
            "place": COORD_WEIGHT * place / count,
            "confidence": confidence / count,
            "class": label / count,
        }
        return {"total": sum(losses.values(), start=self.boxes.sum() * 0), **losses}


def _first_objects(cells: Tensor) -> list[tuple[int, int]]:
    """Each cell that contains an object, with the index of its first object."""
    first: dict[int, int] = {}
    for index, cell in enumerate(cells.tolist()):
        first.setdefault(cell, index)
    return list(first.items())
