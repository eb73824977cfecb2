"""An exported model as a predictor, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import record_io
from foveate.data.dataset import Image, Images
from foveate.data.image_reading import ImageReading
from foveate.data.resizing import fit, fit_within
from foveate.errors import FoveateError, RunError, SettingError
from foveate.inference.exported.interactive import ExportedInteractivePredictor
from foveate.inference.exported.record import ExportRecord
from foveate.inference.exported.runtimes import (
    DECODER_SUFFIX,
    REMEDY,
    RUNTIMES,
    OnnxRuntime,
    Runtime,
)
from foveate.inference.predictor import Predictor
from foveate.tasks import exported
from foveate.tasks.capabilities import Interactive
from foveate.tasks.clicking import segment
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.wording import describe_html, describe_object, list_some

if TYPE_CHECKING:
    from foveate.models.interactive import InteractivePredictor

_BATCH_PIXELS = 2**21
"""Pixels of the images that are predicted at once."""


class ExportedModel(Predictor):
    """A model in a file that `foveate export` wrote.

    Args:
        name: Of the file.
        computed: The file, opened.
        decoder: Decodes its outputs with prompts, if the task has a decoder.

    Attributes:
        record: What the file says about the model.
        computed: The file, opened.

    Raises:
        RunError: The file is damaged, or was not written by foveate.
    """

    def __init__(self, name: str, computed: Runtime, decoder: OnnxRuntime | None = None):
        self._name, self.computed, self._decoder = name, computed, decoder
        self._runtimes = (computed.name,)
        if computed.record is None:
            raise RunError(
                "a file that foveate has exported is expected, this one has no record of a model",
                where=name,
                remedy=REMEDY,
            )
        try:
            self.record = ExportRecord.model_validate(record_io.parse_json(computed.record))
            record = self.record
            self._task = exported.build(record.task, tuple(record.classes), record.options)
            self._read_as = ImageReading(**record.reading.model_dump())
        except (ValueError, TypeError, LookupError, FoveateError) as error:
            raise record_io.damaged(Path(name), error, remedy=REMEDY) from None
        if self._task.has_decoder and decoder is None:
            raise RunError(
                "the file of the decoder is missing",
                where=Path(name).with_suffix(DECODER_SUFFIX),
                remedy="Keep both files together. " + REMEDY,
            )

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether a path has the suffix of an exported file."""
        return Path(path).suffix.lower() in RUNTIMES

    @classmethod
    def open(cls, path: str | Path) -> ExportedModel:
        """Open a file.

        Raises:
            RunError: There is none, it is damaged, or was not written by foveate.
            SettingError: What computes it is not installed.
        """
        path = Path(path)
        try:
            decoder = path.with_suffix(DECODER_SUFFIX)
            return cls(
                str(path),
                RUNTIMES[path.suffix.lower()](path),
                OnnxRuntime.open(decoder) if decoder.exists() else None,
            )
        except FileNotFoundError as error:
            raise RunError("there is no such file", where=error.filename or path) from None

    def __repr__(self) -> str:
        return describe_object(*self._description())

    def _repr_html_(self) -> str:
        return describe_html(*self._description())

    def _description(self) -> tuple[str, dict[str, str]]:
        """What it is, and how it takes images."""
        record, classes = self.record, self._task.classes
        return f"ExportedModel {self._name!r}", {
            "task": record.task,
            "classes": f"{len(classes):,}: {list_some(classes)}" if classes else "",
            "training size": f"{record.size} px",
            "runtime": self.runtime,
        }

    @property
    def name(self) -> str:
        """The path of its file."""
        return self._name

    @property
    def task(self) -> ExportedTask[Any]:
        """The task, which draws, summarises and serialises the predictions."""
        return self._task

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the file."""
        decoder = b"" if self._decoder is None else self._decoder.content
        return hashlib.sha256(self.computed.content + decoder).hexdigest()

    @property
    def card(self) -> Mapping[str, Any]:
        """How far the run can be trusted, as it was when it was exported."""
        return self.record.card

    @property
    def _own_reading(self) -> ImageReading:
        return self._read_as

    @property
    def channels(self) -> int:
        """Channels of the images that the net takes."""
        return self.record.channels

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """An annotation for each image; see `Predictor`."""
        if tile is not None:
            raise SettingError(
                "an exported model predicts for whole images",
                where="tile",
                remedy="Leave out --tile, or predict with the run.",
            )
        if self._task.has_decoder:
            return segment(images, self._set_image)
        fitted = [self._fit(image) for image in images]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, image in enumerate(fitted):
            by_shape.setdefault(image.shape, []).append(row)
        predictions: list[Any] = [None] * len(fitted)
        for (height, width, _), rows in by_shape.items():
            most = max(1, _BATCH_PIXELS // (height * width))
            for start in range(0, len(rows), most):
                some = rows[start : start + most]
                outputs = self.computed.run(np.stack([fitted[row] for row in some]))
                for place, row in enumerate(some):
                    size = (images[row].shape[0], images[row].shape[1])
                    predictions[row] = self._task.decode(outputs, place, size)
        return predictions

    def _fit(self, image: Image) -> Image:
        """The image at the training size, resized by Pillow as in training."""
        record = self.record
        if self._task.letterbox:
            return fit_within(image, record.size, record.channels)
        return fit(image, record.size, record.channels)

    def _set_image(self, image: Image) -> InteractivePredictor:
        if self._decoder is None:
            raise SettingError(
                f"the task {self._task.name} {Interactive.lacking}",
                where=Interactive.option,
                remedy=Interactive.remedy,
            )
        outputs = self.computed.run(self._fit(image)[None])
        size = (image.shape[0], image.shape[1])
        return ExportedInteractivePredictor(self._decoder, outputs, size)
