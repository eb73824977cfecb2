"""What answers for pictures: a run, or a foundation model. Whoever uses one need not know which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foveate.data.dataset import Image, Images
from foveate.data.images import decode
from foveate.models.interactive import InteractivePredictor
from foveate.tasks.task import Task


class Predictor(ABC):
    """A task and what answers it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it was opened by."""

    @property
    @abstractmethod
    def task(self) -> Task[Any]:
        """What kind of answer it gives, and how that is told, drawn and written."""

    @abstractmethod
    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """An annotation for each (H, W, C) uint8 picture of any size. tile: pixels of the squares that larger pictures are
        cut into, where that can be.
        """

    @abstractmethod
    def _set_image(self, image: Image) -> InteractivePredictor:
        """At one picture, to be pointed at. Raises SettingError where there is no use for that."""

    def predict(
        self, what: str | Path | Image | Sequence[str | Path | Image], *, tile: int | None = None
    ) -> Any:
        """The answer for a picture file or array as a dict of plain values, or a list of them for a list.

        Raises BadImage for a file that cannot be read.
        """
        if isinstance(what, str | Path) or hasattr(what, "shape"):
            return self.predict([what], tile=tile)[0]  # type: ignore[list-item]
        images = [decode(Path(one)) if isinstance(one, str | Path) else one for one in what]
        return [self.task.to_dict(prediction) for prediction in self.predict_images(images, tile)]

    def set_image(self, what: str | Path | Image) -> InteractivePredictor:
        """A picture file or array, looked at once, to be pointed at: seer.click(120, 80). Raises SettingError if this task has no use
        for it, BadImage for a file that cannot be read.
        """
        return self._set_image(decode(Path(what)) if isinstance(what, str | Path) else what)
