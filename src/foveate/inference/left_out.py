"""Images for which there is no prediction: unreadable, or the model raised an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foveate import processes
from foveate.data.dataset import Skipped
from foveate.inference.journal import ImageName
from foveate.progress import Reporter
from foveate.wording import count_noun

MAX_FAILURES = 5
"""Images in a row on which the model may raise an error; after that it is not about the images."""


class LeftOut:
    """Images for which there is no prediction, each with the reason.

    Args:
        reporter: Warned of each.

    Attributes:
        skipped: The images.
        records: The same as JSON objects.
    """

    def __init__(self, reporter: Reporter):
        self.reporter = reporter
        self.skipped: list[Skipped] = []
        self.records: list[dict[str, Any]] = []
        self._failures, self._in_a_row = 0, 0
        self._first: tuple[ImageName, Exception] | None = None

    def skip(self, name: ImageName | str, reason: str) -> None:
        """Leave out what cannot be read."""
        fields = name.fields if isinstance(name, ImageName) else {"path": name}
        self.skipped.append(Skipped(str(name), reason))
        self.records.append({**fields, "reason": reason})
        self.reporter.warning(f"skipped {name}: {reason}")

    def fail(self, name: ImageName, error: Exception) -> None:
        """Leave out an image on which the model raised an error, so that the others are not lost.

        Raises:
            Exception: The error, if it came for MAX_FAILURES images in a row.
        """
        self._failures += 1
        self._in_a_row += 1
        self._first = self._first or (name, error)
        self.skip(name, f"the model failed ({type(error).__name__}: {error})")
        if self._in_a_row == MAX_FAILURES:
            raise error

    def gather(self, files: Sequence[Path]) -> None:
        """Add the images that the other ranks have left out; each rank calls this.

        Args:
            files: All images, in their order.
        """
        failure = None
        if self._first is not None:
            name, error = self._first
            failure = f"{name}: {type(error).__name__}: {error}", self._failures
        if processes.size() == 1:
            return
        for text, number in filter(None, processes.gather(failure)):
            if self._first is None:
                self._first = (ImageName(text.partition(": ")[0]), RuntimeError(text))
                self._failures = number
        ranks = processes.gather(list(zip(self.skipped, self.records, strict=True)))
        # Each rank finds that a video cannot be read.
        distinct = {one[0]: one for found in ranks for one in found}
        order = {str(path): place for place, path in enumerate(files)}
        pairs = sorted(distinct.values(), key=lambda one: order.get(one[1]["path"], -1))
        own = set(self.skipped)
        for skipped, _ in pairs:
            if skipped not in own:
                self.reporter.warning(f"skipped {skipped.id}: {skipped.reason}")
        self.skipped = [skipped for skipped, _ in pairs]
        self.records = [record for _, record in pairs]

    def succeed(self) -> None:
        """There is a prediction for an image."""
        self._in_a_row = 0

    def raise_failure(self) -> None:
        """Raise the first error of the model, if there was one: it is a bug, and not forgotten."""
        if self._first is not None:
            name, error = self._first
            failed = count_noun(self._failures, "image")
            error.add_note(
                f"The model failed on {failed} (the first: {name}); the others are done."
            )
            raise error
