"""What one picture looks like, in a few numbers: all that the audit needs to know of it, taken while it is decoded anyway."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.dataset import Image, Source
from foveate.data.images import FileInfo

THUMB = 32
"""Pixels a side of the small grey picture that near-duplicates are told by."""
SMALL = 64
"""Pixels a side up to which many pictures of one shape are looked at together."""
_LARGEST = 512  # pixels of the longer side that sharpness is measured at: blur that can't be seen there does no harm

IMAGE_STATS = np.dtype(
    [
        ("height", np.int32),
        ("width", np.int32),
        ("channels", np.int32),
        ("brightness", np.float32),  # mean grey value, 0 to 255
        ("contrast", np.float32),  # standard deviation of the grey values
        ("dark", np.float32),  # share of pixels that are 5 or darker
        ("bright", np.float32),  # share of pixels that are 250 or brighter
        ("sharpness", np.float32),  # standard deviation of the Laplacian over the contrast
        ("colour", np.uint8, 3),  # mean red, green and blue
        ("format", "U8"),  # of the file, as Pillow calls it; empty for a picture in memory
        ("mode", "U8"),
        ("orientation", np.int8),  # EXIF's, 1 is upright
        ("thumb", np.uint8, (THUMB, THUMB)),
    ]
)
"""One row a picture, in an array of this type."""


NO_FILE = FileInfo("", "")
"""Of a picture that lies in memory."""


def examine(source: Source) -> tuple[Image, FileInfo]:
    """The picture, and what its file says of itself, if it is one. Raises BadImage."""
    if (examined := getattr(source, "examine", None)) is not None:
        image, facts = examined()
        return image, facts
    return source.read(), NO_FILE


def content(image: Image) -> str:
    """A hash of a picture's shape and pixels: equal hashes are the same picture."""
    digest = blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def look(image: Image, facts: FileInfo = NO_FILE) -> NDArray[Any]:
    """(H, W, C) uint8 -> its row, a scalar array of LOOK."""
    if max(image.shape[:2]) <= SMALL:
        row = look_alike(image[None]).reshape(())
    else:
        row = np.zeros((), IMAGE_STATS)
        row["height"], row["width"], row["channels"] = image.shape
        grey = _grey(image)
        row["thumb"] = _thumb(grey)
        row["colour"] = _mean_colour(image[None])[0]
        if max(grey.size) > _LARGEST:
            grey.thumbnail((_LARGEST, _LARGEST), PIL.Image.Resampling.BOX)
        _measure(row[None], np.asarray(grey)[None])
    row["format"], row["mode"], row["orientation"] = facts.format, facts.mode, facts.orientation
    return row


def look_alike(images: NDArray[np.uint8]) -> NDArray[Any]:
    """(N, H, W, C) uint8 with sides up to SMALL -> (N,) of LOOK, the same as one by one, in a tenth of the time."""
    count, height, width, channels = images.shape
    rows = np.zeros(count, IMAGE_STATS)
    rows["height"], rows["width"], rows["channels"], rows["orientation"] = (
        height,
        width,
        channels,
        1,
    )
    if images.size:
        tall = _grey(
            images.reshape(count * height, width, channels)
        )  # to Pillow they are one picture
        levels = np.asarray(tall).reshape(count, height, width)
        for row, image in zip(rows, levels, strict=True):
            row["thumb"] = _thumb(PIL.Image.fromarray(image))
        rows["colour"] = _mean_colour(images)
        _measure(rows, levels)
    return rows


def _grey(image: Image) -> PIL.Image.Image:
    """By ITU-R BT.601 where there are three channels, else the first one."""
    if image.shape[2] == 3:
        return PIL.Image.fromarray(image).convert("L")
    return PIL.Image.fromarray(np.ascontiguousarray(image[..., 0]))


def _thumb(grey: PIL.Image.Image) -> NDArray[np.uint8]:
    """Antialiased by area, so that two sizes of one picture come out alike."""
    return np.asarray(grey.resize((THUMB, THUMB), PIL.Image.Resampling.BOX, reducing_gap=2))


def _mean_colour(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, H, W, C) -> (N, 3), whole numbers."""
    count, height, width, channels = images.shape
    columns = images.reshape(count, height, -1).sum(
        1, dtype=np.uint32
    )  # long rows first: 20 times as fast
    total = columns.reshape(count, width, channels).sum(1, dtype=np.int64)
    return np.rint(total[:, [0, 1, 2] if channels == 3 else [0, 0, 0]] / (height * width))


def _measure(rows: NDArray[Any], levels: NDArray[np.uint8]) -> None:
    """Set what is told by the grey values, (N, H, W), in (N,) of LOOK. Sums are of whole numbers, so exact."""
    flat = levels.reshape(len(levels), -1)
    rows["brightness"], contrast = _mean_and_deviation(flat)
    rows["contrast"] = contrast
    rows["dark"], rows["bright"] = (flat <= 5).mean(1), (flat >= 250).mean(1)
    if (
        min(levels.shape[1:]) >= 3
    ):  # the four-neighbour Laplacian (Pech-Pacheco et al., "Diatom autofocusing", 2000)
        g = levels.astype(np.int16)
        edges = (
            4 * g[:, 1:-1, 1:-1]
            - g[:, :-2, 1:-1]
            - g[:, 2:, 1:-1]
            - g[:, 1:-1, :-2]
            - g[:, 1:-1, 2:]
        )
        _, deviation = _mean_and_deviation(edges.reshape(len(edges), -1))
        np.divide(
            deviation, contrast, out=rows["sharpness"], where=contrast > 0, casting="same_kind"
        )


def _mean_and_deviation(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each row of (N, M) whole numbers."""
    wide = values.astype(np.int32)
    count, total = wide.shape[1], wide.sum(1, dtype=np.int64)
    squares = np.einsum("nm,nm->n", wide, wide, dtype=np.int64, casting="same_kind")
    return total / count, np.sqrt(count * squares - total**2) / count


class ImageStatsCollector:
    """Looks at pictures one after the other, which costs much less for small ones if it is done together."""

    def __init__(self) -> None:
        self._rows: list[NDArray[Any] | None] = []
        self._facts: list[FileInfo] = []
        self._small: dict[tuple[int, ...], list[tuple[int, Image]]] = {}

    def add(self, image: Image, facts: FileInfo) -> None:
        small = max(image.shape[:2]) <= SMALL
        if small:
            self._small.setdefault(image.shape, []).append((len(self._rows), image))
        self._rows.append(None if small else look(image, facts))
        self._facts.append(facts)

    def rows(self) -> NDArray[Any]:
        """(N,) of LOOK, in the order in which the pictures came."""
        rows = np.zeros(len(self._rows), IMAGE_STATS)
        for place, row in enumerate(self._rows):
            if row is not None:
                rows[place] = row
        for alike in self._small.values():
            rows[[place for place, _ in alike]] = look_alike(
                np.stack([image for _, image in alike])
            )
        for name in ("format", "mode", "orientation"):
            rows[name] = [getattr(facts, name) for facts in self._facts]
        return rows
