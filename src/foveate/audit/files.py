"""Checks of image files: unreadable ones, wrong extensions, EXIF rotation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset
from foveate.data.images import FileSource
from foveate.ops.orientation import UPRIGHT

MAX_SKIPPED = 0.05
"""Fraction of unusable samples above which the dataset as a whole is in doubt."""

UNUSABLE = "cannot be used"
"""The check of skipped samples."""

_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".mpo"},  # a JPEG followed by another, as stereo cameras write it
    "PNG": {".png"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "DIB": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "PPM": {".pbm", ".pgm", ".pnm", ".ppm"},
}


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Check the files of a dataset.

    Args:
        dataset: The readable samples; the others are in its `skipped`.
        image_stats: (N,) of IMAGE_STATS.
    """
    yield from _skipped(dataset)
    columns = (image_stats[name].tolist() for name in ("format", "orientation"))
    for sample, format, orientation in zip(dataset, *columns, strict=True):
        # The extension of a file in an archive is nobody's concern.
        path = sample.source.path if isinstance(sample.source, FileSource) else None
        if format and path is not None:
            extension = path.suffix.lower()
            if extension not in _EXTENSIONS.get(format, {extension}):
                yield Finding(
                    "warning",
                    "wrong extension",
                    (sample.id,),
                    f"the file is {format}, its extension is {path.suffix or 'missing'}",
                    "Rename it; other programs may refuse it.",
                )
        if orientation in range(2, 9):
            yield Finding(
                "note",
                "rotated by EXIF",
                (sample.id,),
                f"the camera was turned (EXIF orientation {orientation}); foveate rotates the "
                "image upright, other programs may not",
                "Check that boxes and masks were drawn on the upright image.",
            )
        elif orientation != UPRIGHT:
            yield Finding(
                "note",
                "unknown EXIF orientation",
                (sample.id,),
                f"an EXIF orientation from 1 to 8 is expected, got {orientation}; the image is "
                "read as it is stored",
                "Check that it is upright, and remove the tag.",
            )


def _skipped(dataset: Dataset[Any]) -> Iterator[Finding]:
    share = len(dataset.skipped) / max(1, len(dataset) + len(dataset.skipped))
    many = share > MAX_SKIPPED
    for skipped in dataset.skipped:
        yield Finding(
            "error" if many else "warning",
            UNUSABLE,
            (skipped.id,),
            skipped.reason + (f" ({share:.0%} of the dataset cannot be used)" if many else ""),
            "Repair the file or remove it.",
        )
