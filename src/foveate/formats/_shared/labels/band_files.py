"""An image whose bands lie in files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.data.dataset import Image
from foveate.data.image_reading import DEFAULT_READING, DeepPixels, ImageReading
from foveate.data.images import FileSource
from foveate.errors import BadImage


@dataclass(frozen=True, slots=True)
class BandFiles:
    """Image files of one size, stacked as the bands of one image (a `Source`).

    Attributes:
        paths: The files, in the order of the bands.
        reading: How each is read, see `FileSource`.
    """

    paths: tuple[Path, ...]
    reading: ImageReading = DEFAULT_READING

    def read(self) -> Image:
        """Decode the image.

        Returns:
            (H, W, C) uint8, C being the sum over the files.

        Raises:
            BadImage: If a file cannot be read, or has another size than the first one.
        """
        bands = [file.read() for file in self._files()]
        self._require_one_size([band.shape[:2] for band in bands])
        return np.concatenate(bands, 2)

    def deep_pixels(self) -> DeepPixels | None:
        """Decode the image without scaling it to 8 bits; None if no file has more bits.

        Raises:
            BadImage: As `read` does.
        """
        deep = [file.deep_pixels() for file in self._files()]
        found = [one for one in deep if one is not None]
        if not found:
            return None
        values = [
            file.read() if one is None else one.values
            for file, one in zip(self._files(), deep, strict=True)
        ]
        self._require_one_size([band.shape[:2] for band in values])
        return DeepPixels(np.concatenate(values, 2), found[0].declared, found[0].binding)

    def _files(self) -> tuple[FileSource, ...]:
        return tuple(FileSource(path, self.reading) for path in self.paths)

    def _require_one_size(self, sizes: list[tuple[int, ...]]) -> None:
        for path, (height, width) in zip(self.paths, sizes, strict=True):
            if (height, width) != sizes[0]:
                raise BadImage(
                    f"a band of {sizes[0][1]} x {sizes[0][0]} pixels is expected like the first "
                    f"one, got {width} x {height}",
                    where=path,
                )
