"""The interface that runs and foundation models share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from foveate.data.dataset import Image, Images
from foveate.data.image_reading import DEFAULT_READING, ImageReading
from foveate.data.windows import open_windows
from foveate.errors import SettingError
from foveate.inference.inputs import ImageInput, batches, is_single, to_image
from foveate.inference.runtimes import check_installed
from foveate.tasks.capabilities import FindsObjects, require
from foveate.tasks.presenters.prediction import Prediction
from foveate.tasks.presenters.presenter import Presenter

if TYPE_CHECKING:
    from foveate.models.interactive import InteractivePredictor


class Predictor(ABC):
    """A model that predicts from images."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The path or reference that it was opened with."""

    @property
    @abstractmethod
    def task(self) -> Presenter[Any]:
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

    def predict_confident(self, images: Images, tile: int | None = None) -> list[Any]:
        """Predict like `predict_images`, but perhaps without what `task.confident` leaves out."""
        return self.predict_images(images, tile)

    @abstractmethod
    def _set_image(self, image: Image) -> InteractivePredictor:
        """Encode an image for prompts; raise SettingError if the task takes none."""

    @property
    def caution(self) -> str | None:
        """A sentence for whoever uses the predictions, if the model is known to be poor."""
        return None

    @property
    def fingerprint(self) -> str:
        """A text that changes when the model predicts something else."""
        return self.name

    _reading: ImageReading | None = None

    @property
    def reading(self) -> ImageReading:
        """How image files are read: which values are black and white, what pages become.

        A run reads them as it did in training, unless this is set.
        """
        return self._reading or self._own_reading

    @reading.setter
    def reading(self, reading: ImageReading) -> None:
        self._reading = reading

    @property
    def _own_reading(self) -> ImageReading:
        return DEFAULT_READING

    _runtimes: tuple[str, ...] = ("torch",)
    _runtime: str | None = None

    @property
    def runtime(self) -> str:
        """What computes the net: "torch", or "onnx" (ONNX Runtime, on the CPU); the first for runs.

        Both give the same predictions but for rounding. Setting it raises SettingError for
        another value, and if ONNX Runtime is not installed.
        """
        return self._runtime or self._runtimes[0]

    @runtime.setter
    def runtime(self, runtime: str) -> None:
        if runtime not in self._runtimes:
            raise SettingError(
                f"the runtime {' or '.join(self._runtimes)} is expected, got {runtime!r}",
                where="runtime",
            )
        if runtime == "onnx":
            check_installed()
        self._runtime = runtime

    @property
    def device(self) -> str | None:
        """What computes the net: for a run any device, for foundation models the CPU."""
        return "cpu"

    @device.setter
    def device(self, name: str | None) -> None:
        if name not in (None, "auto", "cpu"):
            raise SettingError(
                f"{self.name} computes on the CPU alone, got the device {name!r}", where="device"
            )

    @property
    def channels(self) -> int | None:
        """Channels of the images that the model takes, if it takes other than grey and colour."""
        return None

    @property
    def locked_images(self) -> Mapping[str, Set[str]]:
        """The images of a test split that was not opened yet.

        File name without suffix -> hashes of the images of that name; see `content_hash`.
        """
        return {}

    @property
    def card(self) -> Mapping[str, Any]:
        """How far the model can be trusted, as JSON values; see `experiment.card`. May be empty."""
        return {}

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: ImageInput,
        *,
        tile: int | None = None,
        conf: float | None = None,
        classes: Sequence[str] | None = None,
    ) -> Prediction[Any]: ...
    @overload
    def predict(
        self,
        images: Iterable[ImageInput],
        *,
        tile: int | None = None,
        conf: float | None = None,
        classes: Sequence[str] | None = None,
    ) -> list[Prediction[Any]]: ...
    def predict(
        self,
        images: ImageInput | Iterable[ImageInput],
        *,
        tile: int | None = None,
        conf: float | None = None,
        classes: Sequence[str] | None = None,
    ) -> Prediction[Any] | list[Prediction[Any]]:
        """Predict for an image, or for several images.

        Args:
            images: An image as `inputs.to_image` takes it: a path, the bytes of an image file, a
                Pillow image, an array (H, W, C) or a tensor (C, H, W); or a list of these.
            tile: See `predict_images`.
            conf: Confidence threshold of objects, from 0 to 1; None for the calibrated ones.
            classes: Names of the classes whose objects are wanted; None for all.

        Returns:
            A prediction for an image, a list of them for several. The task decides on its fields:
            see `tasks.presenters`.

        Raises:
            BadImage: An image cannot be read, or could be read in two ways.
            SettingError: See `predict_images` and `restrict`.
        """
        task = restrict(self.task, conf, classes)
        if is_single(images):
            return self._predict([("image", images)], tile, task)[0]
        if not isinstance(images, Iterable):
            to_image(images)  # tells what is expected
        named = ((f"images[{index}]", image) for index, image in enumerate(images))  # type: ignore[arg-type]
        return self._predict(named, tile, task)

    def _predict(
        self, images: Iterable[tuple[str, Any]], tile: int | None, task: Presenter[Any]
    ) -> list[Prediction[Any]]:
        # A model may leave out what is below its own thresholds.
        predict = self.predict_confident if task is self.task else self.predict_images
        pixels = ((source, self._pixels(source, where, tile)) for where, source in images)
        return [
            self._as_object(task, source, image, annotation, tile)
            for batch in batches(pixels)
            for (source, image), annotation in zip(
                batch, predict([image for _, image in batch], tile), strict=True
            )
        ]

    def _as_object(
        self, task: Presenter[Any], source: Any, image: Image, annotation: Any, tile: int | None
    ) -> Prediction[Any]:
        """A prediction with its image: that of a file is read again once it is drawn."""
        size, path, read = (image.shape[0], image.shape[1]), None, lambda: image
        if isinstance(source, str | PathLike):
            path = os.fsdecode(source)
            read = partial(self._pixels, path, path, tile)
        return task.prediction_type(task, annotation, size, read, path)

    def _pixels(self, image: Any, where: str, tile: int | None) -> Image:
        """An image in memory; or a large TIFF from which tiles are cut when they are predicted."""
        if tile is not None and isinstance(image, str | PathLike):
            large = open_windows(Path(os.fsdecode(image)), self.reading)
            if large is not None:
                return cast(Image, large)
        return to_image(image, self.channels, where, self.reading)

    def set_image(self, image: ImageInput) -> InteractivePredictor:
        """Encode an image once, to segment objects in it by prompts.

        Args:
            image: An image as `predict` takes it.

        Raises:
            BadImage: The image cannot be read, or could be read in two ways.
            SettingError: The task takes no prompts.
        """
        return self._set_image(to_image(image, self.channels, reading=self.reading))


def restrict(
    task: Presenter[Any], conf: float | None, classes: Sequence[str] | None
) -> Presenter[Any]:
    """The task as it presents only some objects; see `FindsObjects`.

    Raises:
        SettingError: The task finds no objects, a class is unknown, or `conf` is no score.
    """
    if conf is None and classes is None:
        return task
    if conf is not None and not 0 <= conf <= 1:
        raise SettingError(f"a score from 0 to 1 is expected, got {conf}", where="conf")
    return require(task, FindsObjects).restricted(conf, classes)
