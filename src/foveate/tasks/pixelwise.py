"""What problems have in common whose answer says something of each pixel: a large picture is learnt and answered in pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from foveate.data.dataset import Image, Images
from foveate.data.images import reduced
from foveate.data.subset import Subset, TiledSubset
from foveate.errors import SettingError
from foveate.models.model import VisionModel
from foveate.ops.tiles import Tile, tiles
from foveate.tasks.task import Task

A = TypeVar("A")

WHOLE = 2048
"""Pixels a side of what a net is shown at once: its maps of that take a gigabyte or more. See benchmarks/README.md."""


class Pixelwise(Task[A]):
    """Answers that are as large as their picture, so that a piece of the one belongs to a piece of the other."""

    letterbox = True
    largest = 512

    @staticmethod
    @abstractmethod
    def windows(target: A, places: Sequence[Tile]) -> list[A]:
        """What of a truth lies in each of some tiles of its picture, in the tile's own pixels."""

    @abstractmethod
    def predict_whole(self, net: VisionModel, images: Images) -> list[A]:
        """As `predict`, each picture at once."""

    def cut(
        self, pixels: Subset, targets: Sequence[A], ids: Sequence[str]
    ) -> tuple[Subset, Sequence[A], Sequence[str]]:
        if max(pixels.shape[1:3]) <= WHOLE:
            return pixels, targets, ids
        sizes = [pixels[row].shape for row in range(len(ids))]
        own = [tiles(height, width, WHOLE, overlap=0.0) for height, width, _ in sizes]
        places = [(row, tile) for row, each in enumerate(own) for tile in each]
        named = [f"{ids[row]} at {left}, {top}" for row, (left, top, _, _) in places]
        cut = [
            piece
            for target, each in zip(targets, own, strict=True)
            for piece in self.windows(target, each)
        ]
        return TiledSubset(pixels, places, WHOLE), cut, named

    def predict(self, net: VisionModel, images: Images) -> list[A]:
        """Pictures that are too large to be shown at once are answered from tiles."""
        large = [max(net.padded_size(image.shape)) > WHOLE for image in images]
        small = [image for image, tiled in zip(images, large, strict=True) if not tiled]
        whole = iter(self.predict_whole(net, small))
        return [
            self._tiled(net, one) if tiled else next(whole)
            for one, tiled in zip(images, large, strict=True)
        ]

    def _tiled(self, net: VisionModel, image: Image) -> A:
        """At the size that training saw it at."""
        shown = reduced(image, net.size, net.channels)
        height, width, _ = shown.shape
        return self.resized(
            self.predict_tiled(net, shown, WHOLE), (height, width), (image.shape[0], image.shape[1])
        )

    @staticmethod
    def check_tile(net: VisionModel, side: int) -> None:
        least = min(net.size, WHOLE) // 4
        if side < least:
            raise SettingError(
                f"tiles of at least {least} px are expected, got {side}", where="tile"
            )
