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
from foveate.data.resizing import PADDING, fit, fit_within
from foveate.errors import FoveateError, RunError, SettingError
from foveate.inference.exported.interactive import ExportedInteractivePredictor
from foveate.inference.exported.record import ExportRecord
from foveate.inference.exported.runtimes import (
    DECODER_INFIX,
    PROGRAM_SUFFIX,
    REMEDY,
    RUNTIMES,
    Runtime,
    decoder_path,
    is_decoder,
)
from foveate.inference.exported.sampler import ExportedSampler
from foveate.inference.generate import TextPredictor
from foveate.inference.predictor import Predictor
from foveate.tasks import exported
from foveate.tasks.capabilities import GeneratesImages, Interactive, require
from foveate.tasks.clicking import segment
from foveate.tasks.exported.exported_task import ExportedTask, Outputs, WholeTask
from foveate.tasks.generating import Generating
from foveate.tasks.tiling import Tiled
from foveate.wording import describe_html, describe_object, list_some

if TYPE_CHECKING:
    from foveate.models.interactive import InteractivePredictor

_BATCH_PIXELS = 2**21
"""Pixels of the images that are predicted at once."""


class ExportedModel(Predictor, TextPredictor):
    """A model in a file that `foveate export` wrote.

    Args:
        name: Of the file.
        computed: The file, opened.
        decoder: Takes its outputs with prompts or noise, if the task has a decoder.

    Attributes:
        record: What the file says about the model.
        computed: The file, opened.
        decoder: That of its decoder, opened; None without one.

    Raises:
        RunError: The file is damaged, or was not written by foveate.
    """

    def __init__(self, name: str, computed: Runtime, decoder: Runtime | None = None):
        self._name, self.computed, self.decoder = name, computed, decoder
        self._runtimes = (computed.name,)
        if computed.record is None:
            raise RunError(
                "a file that foveate has exported is expected, this one has no record of a model",
                where=name,
                remedy=_remedy(name),
            )
        try:
            self.record = record_io.validated(ExportRecord, record_io.parse_json(computed.record))
            record = self.record
            self._task = exported.build(record.task, tuple(record.classes), record.options)
            self._read_as = ImageReading(**record.reading.model_dump())
        except (ValueError, TypeError, LookupError, FoveateError) as error:
            raise record_io.damaged(Path(name), error, remedy=REMEDY) from None
        if self._task.has_decoder:
            self._check_decoder()
        try:
            self._try_out()
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise record_io.damaged(Path(name), error, remedy=REMEDY) from None

    def _try_out(self) -> None:
        """Compute something small: the record may be of another size, or of other words."""
        task, record = self._task, self.record
        if isinstance(task, Generating):
            if not len(record.mean) == len(record.std) == record.channels:
                raise ValueError(f"{record.channels} values of mean and std are expected")
            last_word = np.full((1, task.reader.max_length), task.reader.vocabulary_size, np.int64)
            noise = np.zeros((1, *self.sampler.shape), np.float32)
            list(self.sampler.sample(noise, last_word, guidance=1, steps=1))
            return
        grey = np.full((record.size, record.size, record.channels), PADDING, np.uint8)
        if isinstance(task, Interactive):
            self._set_image(grey).click(0, 0)
        else:
            self.predict_images([grey])

    def _check_decoder(self) -> None:
        """Raise RunError if the file of the decoder is missing, or was exported with another."""
        path = decoder_path(Path(self._name))
        if self.decoder is None:
            raise RunError(
                "the file of the decoder is missing",
                where=path,
                remedy="Keep both files together. " + REMEDY,
            )
        if hashlib.sha256(self.decoder.content).hexdigest() != self.record.decoder:
            raise RunError(
                f"this decoder was not exported together with {Path(self._name).name}",
                where=path,
                remedy="Copy both files of one export. " + REMEDY,
            )

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether a path has the suffix of an exported file."""
        return Path(path).suffix.lower() in (*RUNTIMES, PROGRAM_SUFFIX)

    @classmethod
    def open(cls, path: str | Path) -> ExportedModel:
        """Open a file.

        Raises:
            RunError: There is none, it is damaged, or was not written by foveate.
            SettingError: It is a net alone, or what computes it is not installed.
        """
        path, suffix = Path(path), Path(path).suffix.lower()
        if not path.exists():
            raise RunError("there is no such file", where=path)
        if suffix == PROGRAM_SUFFIX:
            raise SettingError(
                "a program of torch.export is a net alone: it neither resizes images nor makes "
                "predictions of its outputs, so foveate cannot predict with it",
                where=path,
                remedy=f"Open it in Python: torch.export.load({path.name!r}).module(). To predict "
                "or serve without the run: foveate export RUN --format onnx.",
            )
        try:
            decoder, open_file = decoder_path(path), RUNTIMES[suffix]
            return cls(str(path), open_file(path), open_file(decoder) if decoder.exists() else None)
        except FileNotFoundError as error:  # the weights of OpenVINO, or a file that went just now
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
        decoder = b"" if self.decoder is None else self.decoder.content
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

    @property
    def size(self) -> int:
        """Pixels a side of the training images."""
        return self.record.size

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """An annotation for each image; see `Predictor`."""
        task = self._task
        if tile is not None:
            tiled = require(task, Tiled)
            return [tiled.predict_tiled(self, image, tile) for image in images]
        if isinstance(task, Generating):
            return task.predict(self.sampler, images)
        if not isinstance(task, WholeTask):
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
                batch = np.stack([fitted[row] for row in some])
                outputs = self.computed.run(batch, task.decoded)
                for place, row in enumerate(some):
                    size = (images[row].shape[0], images[row].shape[1])
                    predictions[row] = task.decode(outputs, place, size)
        return predictions

    def _fit(self, image: Image) -> Image:
        """The image at the training size, resized by Pillow as in training."""
        record = self.record
        if self._task.letterbox:
            return fit_within(image, record.size, record.channels)
        return fit(image, record.size, record.channels)

    def _set_image(self, image: Image) -> InteractivePredictor:
        return require(self._task, Interactive).set_image(self, image)

    def encode(self, image: Image) -> InteractivePredictor:
        """Encode an image for prompts, (H, W, C) uint8 of any size; for promptable models."""
        assert self.decoder is not None
        size = (image.shape[0], image.shape[1])
        return ExportedInteractivePredictor(self.decoder, self.outputs_of(image), size)

    def outputs_of(self, image: Image) -> Outputs:
        """The outputs of the file for one image, (H, W, C) uint8 of any size."""
        return self.computed.run(self._fit(image)[None])

    @cached_property
    def sampler(self) -> ExportedSampler:
        """Leads noise to images; of a model that generates them."""
        assert self.decoder is not None
        record = self.record
        return ExportedSampler(self.computed, self.decoder, record.size, record.mean, record.std)

    def _generator(self) -> tuple[GeneratesImages[Any], Any]:
        return require(self._task, GeneratesImages), self.sampler


def _remedy(name: str) -> str:
    """What to do about a file without a record: it may be the decoder of a model."""
    path = Path(name)
    if is_decoder(path):
        model = path.with_name(path.stem.removesuffix(DECODER_INFIX) + path.suffix)
        return f"It is a decoder: name the model, {model}."
    return REMEDY
