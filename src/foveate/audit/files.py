"""What is wrong with files: what cannot be read, is not what its name says, or lies on its side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset
from foveate.data.images import FileSource

MOST_SKIPPED = 0.05
"""The share of samples that may be unusable; above it the set as a whole is in doubt."""

UNUSABLE = "cannot be used"
"""The check that tells of samples that were skipped."""

_ENDINGS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {
        ".jpg",
        ".jpeg",
        ".mpo",
    },  # a JPEG with a second picture behind it, as stereo cameras write
    "PNG": {".png"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "DIB": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "PPM": {".pbm", ".pgm", ".pnm", ".ppm"},
}


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Findings of the files. dataset: what could be read, the rest in `skipped`; looks: (N,) of LOOK."""
    yield from _skipped(dataset)
    for sample, format, mode, orientation in zip(
        dataset,
        image_stats["format"].tolist(),
        image_stats["mode"].tolist(),
        image_stats["orientation"].tolist(),
        strict=True,
    ):
        path = (
            sample.source.path if isinstance(sample.source, FileSource) else None
        )  # not an archive's
        if (
            format
            and path is not None
            and path.suffix.lower() not in _ENDINGS.get(format, {path.suffix.lower()})
        ):
            yield Finding(
                "warning",
                "wrong ending",
                (sample.id,),
                f"the file is {format}, its ending says {path.suffix or 'nothing'}",
                "Rename it; other programs may refuse it.",
            )
        if orientation != 1:
            yield Finding(
                "note",
                "turned by EXIF",
                (sample.id,),
                f"the camera lay on its side (EXIF orientation {orientation}); foveate turns it upright, others may not",
                "Check that boxes and masks were drawn on the upright picture.",
            )
        if mode.startswith(("I", "F")):
            yield Finding(
                "note",
                "more than 8 bits",
                (sample.id,),
                f"the picture has more than 8 bits a channel ({mode}) and is scaled to 8",
                "Nothing, unless what matters lies in fine differences of grey.",
            )


def _skipped(dataset: Dataset[Any]) -> Iterator[Finding]:
    share = len(dataset.skipped) / max(1, len(dataset) + len(dataset.skipped))
    many = share > MOST_SKIPPED
    for skipped in dataset.skipped:
        yield Finding(
            "error" if many else "warning",
            UNUSABLE,
            (skipped.id,),
            skipped.reason + (f" ({share:.0%} of the set cannot be used)" if many else ""),
            "Repair the file or remove it.",
        )
