"""The interface that runs and foundation models share."""

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
    """A model that predicts from images."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The path or reference that it was opened with."""

    @property
    @abstractmethod
    def task(self) -> Task[Any]:
        """The task, which draws, summarises and serialises the predictions."""

    @abstractmethod
    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """Predict for images of any size.

        Args:
            images: (H, W, C) uint8 each.
            tile: Side in pixels of the tiles that larger images are cut into; None for no tiles.

        Returns:
            An annotation for each image.

        Raises:
            SettingError: The task cannot predict from tiles.
        """

    @abstractmethod
    def _set_image(self, image: Image) -> InteractivePredictor:
        """Encode an image for prompts; raise SettingError if the task takes none."""

    def predict(
        self,
        images: str | Path | Image | Sequence[str | Path | Image],
        *,
        tile: int | None = None,
    ) -> Any:
        """Predict for an image, or for a list of images.

        Args:
            images: A file or an (H, W, C) uint8 array, or a list of them.
            tile: See `predict_images`.

        Returns:
            A dict of plain values for an image, a list of them for a list.

        Raises:
            BadImage: A file cannot be read.
            SettingError: See `predict_images`.
        """
        if isinstance(images, str | Path) or hasattr(images, "shape"):
            return self.predict([images], tile=tile)[0]  # type: ignore[list-item]
        pixels = [decode(Path(one)) if isinstance(one, str | Path) else one for one in images]
        return [self.task.to_dict(prediction) for prediction in self.predict_images(pixels, tile)]

    def set_image(self, image: str | Path | Image) -> InteractivePredictor:
        """Encode an image once, to segment objects in it by prompts.

        Args:
            image: A file or an (H, W, C) uint8 array.

        Raises:
            BadImage: The file cannot be read.
            SettingError: The task takes no prompts.
        """
        return self._set_image(decode(Path(image)) if isinstance(image, str | Path) else image)
