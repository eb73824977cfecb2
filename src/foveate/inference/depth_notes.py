"""What is odd in the depth of images, compared with those that a model was trained on."""

from __future__ import annotations

from foveate import processes
from foveate.data.image_reading import ImageReading
from foveate.data.images import FileInfo
from foveate.progress import Reporter
from foveate.wording import count_noun

_MAX_CLIPPED = 0.05  # of the values of an image


class DepthNotes:
    """Counts images that a model's black and white do not fit.

    Args:
        reading: How the images are read.
    """

    def __init__(self, reading: ImageReading):
        self._reading = reading
        self._of_8_bits = self._clipped = 0

    def add(self, info: FileInfo) -> None:
        """Add an image."""
        if self._reading.points is not None:
            self._of_8_bits += not info.deep
            self._clipped += info.clipped > _MAX_CLIPPED

    def gather(self) -> None:
        """Add what the other ranks have counted; each rank calls this."""
        counts = processes.gather((self._of_8_bits, self._clipped))
        self._of_8_bits, self._clipped = (sum(column) for column in zip(*counts, strict=True))

    def report(self, reporter: Reporter) -> None:
        """Warn of each kind in one line."""
        if self._reading.points is None:
            return
        black, white = self._reading.points
        if self._of_8_bits:
            reporter.warning(
                f"{count_noun(self._of_8_bits, 'image')} of 8 bits, taken as they are: the model "
                f"reads images with more than 8 bits, from {black:,.6g} (black) to "
                f"{white:,.6g} (white)"
            )
        if self._clipped:
            reporter.warning(
                f"{count_noun(self._clipped, 'image')} with more than {_MAX_CLIPPED:.0%} of the "
                f"values outside of {black:,.6g} (black) to {white:,.6g} (white), clipped: is this "
                "the same camera and export?"
            )
