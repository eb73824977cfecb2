"""Large images, cut into tiles: for prediction, and for evaluation where the network needs it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from foveate.annotations import Annotation
from foveate.data.dataset import Image, Images
from foveate.data.resizing import fit_within
from foveate.data.subset import Subset, TiledSubset
from foveate.errors import SettingError
from foveate.models.model import VisionModel
from foveate.ops.tiles import Tile, tiles
from foveate.tasks.capabilities import Capability
from foveate.tasks.task import Task

A = TypeVar("A", bound=Annotation)

MAX_SIDE = 2048
"""Pixels a side that a network sees at once: its feature maps of that take a gigabyte or more. See
benchmarks/README.md."""


class Tiled(Capability, Generic[A]):
    """Images larger than the training size can be predicted from overlapping tiles."""

    lacking = "predicts for whole images"
    option = "tile"
    remedy = "Leave out --tile."

    @abstractmethod
    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> A:
        """Predict for one image from overlapping tiles of `side` pixels.

        Args:
            net: The network.
            image: (H, W, C) uint8; or a large image that gives the pixels of its slices, see
                `data.windows`.
            side: Of the tiles.
        """

    @staticmethod
    def check_tile(net: VisionModel, side: int) -> None:
        """Raise SettingError for tiles that show too little."""
        smallest = min(net.size, MAX_SIDE) // 4
        if side < smallest:
            raise SettingError(
                f"tiles of at least {smallest} px are expected, got {side}", where="tile"
            )

    def tile_targets(
        self, pixels: Subset, targets: Sequence[A], ids: Sequence[str]
    ) -> tuple[Subset, Sequence[A], Sequence[str]]:
        """A split cut into tiles if its images are too large for the network to validate on."""
        return pixels, targets, ids


class Pixelwise(Task[A], Tiled[A]):
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
