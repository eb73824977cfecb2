"""Tasks whose predictions are as large as their image: tiles of large ones, in evaluation too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from foveate.annotations import Annotation
from foveate.data.dataset import Image, Images
from foveate.data.resizing import fit_within
from foveate.data.subset import Subset, TiledSubset
from foveate.models.model import VisionModel
from foveate.ops.tiles import Tile, tiles
from foveate.tasks.task import Task
from foveate.tasks.tiling import MAX_SIDE, Tiled

A = TypeVar("A", bound=Annotation)


class Pixelwise(Task[A], Tiled[A, VisionModel]):
    """Predictions as large as their image, so that a crop of the one fits a crop of the other."""

    letterbox = True
    max_default_size = 512

    @staticmethod
    @abstractmethod
    def crop_target(target: A, crops: Sequence[Tile]) -> list[A]:
        """Crops of a target, each in its own pixels."""

    @abstractmethod
    def predict_whole(self, net: VisionModel, images: Images) -> list[A]:
        """Predict like `predict`, but never in tiles."""

    def tile_targets(
        self, pixels: Subset, targets: Sequence[A], ids: Sequence[str]
    ) -> tuple[Subset, Sequence[A], Sequence[str]]:
        """A split cut into tiles if its images are larger than MAX_SIDE."""
        if max(pixels.shape[1:3]) <= MAX_SIDE:
            return pixels, targets, ids
        shapes = [pixels[row].shape for row in range(len(ids))]
        crops = [tiles(height, width, MAX_SIDE, overlap=0.0) for height, width, _ in shapes]
        places = [(row, tile) for row, each in enumerate(crops) for tile in each]
        tile_ids = [f"{ids[row]} at {left}, {top}" for row, (left, top, _, _) in places]
        cropped = [
            crop
            for target, each in zip(targets, crops, strict=True)
            for crop in self.crop_target(target, each)
        ]
        return TiledSubset(pixels, places, MAX_SIDE), cropped, tile_ids

    def predict(self, net: VisionModel, images: Images) -> list[A]:
        """Predict, from tiles where an image is larger than MAX_SIDE at the training size."""
        large = [max(net.padded_size(image.shape)) > MAX_SIDE for image in images]
        small = [image for image, tiled in zip(images, large, strict=True) if not tiled]
        whole = iter(self.predict_whole(net, small))
        return [
            self._predict_reduced(net, image) if tiled else next(whole)
            for image, tiled in zip(images, large, strict=True)
        ]

    def _predict_reduced(self, net: VisionModel, image: Image) -> A:
        """From tiles of the image at the size that it had in training."""
        small = fit_within(image, net.size, net.channels)
        before, after = (small.shape[0], small.shape[1]), (image.shape[0], image.shape[1])
        return self.resize(self.predict_tiled(net, small, MAX_SIDE), before, after)
