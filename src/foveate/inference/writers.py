"""What is kept of each prediction: its values, its boxes for COCO, drawings and masks."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate import atomic_io, outputs
from foveate.data.dataset import Image
from foveate.errors import StorageError
from foveate.formats._shared.files.written_names import folded
from foveate.formats.coco.writing import to_annotations
from foveate.inference.journal import ImageName
from foveate.tasks.capabilities import CLASSES_IMAGE, WritesMasks, require
from foveate.tasks.presenters.prediction import draw_confident
from foveate.tasks.presenters.presenter import Presenter

FRAMES_FOLDER = "frames.partial"
"""The folder, in that of the drawings, of the drawings of frames."""
_FRAME_QUALITY = 95
_MAX_STEM_BYTES = 200  # of a file name; systems allow 255 in all


@dataclass(frozen=True, slots=True)
class Job:
    """An image to be predicted.

    Attributes:
        name: The image.
        place: Its place in the journal.
        stamp: Size and time of its file.
        stem: What the names of files for it begin with.
    """

    name: ImageName
    place: int
    stamp: list[int]
    stem: str


class PredictionWriter(ABC):
    """Takes predictions one by one."""

    @abstractmethod
    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:
        """Take one prediction.

        Args:
            job: The image, and what the names of files for it begin with.
            image: (H, W, C) uint8.
            prediction: An annotation of the task.

        Returns:
            What the record of the image says about it, as JSON values.
        """

    def is_complete(self, record: Mapping[str, Any]) -> bool:  # noqa: ARG002 - see FolderWriter
        """Whether the files of an earlier record are there."""
        return True


class ValueWriter(PredictionWriter):
    """The prediction as plain values.

    Args:
        task: The task.
    """

    def __init__(self, task: Presenter[Any]):
        self.task = task

    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:  # noqa: ARG002
        """The values of one prediction."""
        return {"values": self.task.to_dict(prediction)}


class TableWriter(PredictionWriter):
    """The prediction as rows of a table, in pixels.

    Args:
        task: The task.
    """

    def __init__(self, task: Presenter[Any]):
        self.task = task

    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:  # noqa: ARG002
        """The rows of one prediction."""
        return {"rows": self.task.table_rows(prediction)}


class CocoWriter(PredictionWriter):
    """Boxes and masks with scores as COCO's JSON has them, without ids.

    Args:
        task: The task.
    """

    def __init__(self, task: Presenter[Any]):
        self.task = task

    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:  # noqa: ARG002
        """The annotations of one image."""
        size = (image.shape[0], image.shape[1])
        annotations = list(to_annotations(self.task.confident(prediction), size))
        return {"size": list(size), "annotations": annotations}


class DrawingWriter(PredictionWriter):
    """Writes a copy of each image with its prediction drawn into it.

    Those of frames go to a folder of their own, for `drawn_videos`.

    Args:
        task: The task.
        folder: A folder that exists.
    """

    def __init__(self, task: Presenter[Any], folder: Path):
        self.task, self.folder = task, folder

    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:
        """Write the drawing of one prediction; an image that is not in memory is drawn smaller."""
        drawn = draw_confident(self.task, image, prediction)
        if job.name.frame is not None:
            _write_frame(drawn, self.folder / FRAMES_FOLDER / f"{job.stem}.jpg")
            return {"frame_drawing": f"{job.stem}.jpg"}
        write_image(drawn, self.folder / f"{job.stem}.png")
        return {"drawing": f"{job.stem}.png"}

    def is_complete(self, record: Mapping[str, Any]) -> bool:
        """Whether the drawing is there."""
        if "frame" in record:
            return Path(self.folder, FRAMES_FOLDER, record["frame_drawing"]).is_file()
        return Path(self.folder, record["drawing"]).is_file()


class MaskWriter(PredictionWriter):
    """Writes the masks of each prediction as label images.

    Args:
        task: The task.
        folder: A folder that exists.
    """

    def __init__(self, task: Presenter[Any], folder: Path):
        self.task, self.folder = task, folder
        self.mask_images = require(task, WritesMasks).mask_images

    def add(self, job: Job, image: Image, prediction: Any) -> dict[str, Any]:  # noqa: ARG002
        """Write the masks of one prediction."""
        files: list[str] = []
        numbers: dict[str, Any] = {}
        for mask in self.mask_images(self.task.confident(prediction)):
            pillow_image = PIL.Image.fromarray(mask.values)
            if mask.palette is not None:
                pillow_image.putpalette([value for colour in mask.palette for value in colour])
            files.append(f"{job.stem}{mask.name}.png")
            _write_png(pillow_image, self.folder / files[-1])
            if mask.numbers is not None:
                numbers = {"numbers": list(mask.numbers)}
        return {"masks": files, **numbers}

    def is_complete(self, record: Mapping[str, Any]) -> bool:
        """Whether the masks are there."""
        return all((self.folder / file).is_file() for file in record["masks"])


class UniqueNames:
    """A distinct file name without suffix for each image, also where case is ignored."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def next(self, name: ImageName) -> str:
        """A name that no other image has."""
        stem = os.fsdecode(os.fsencode(Path(name.path).stem)[:_MAX_STEM_BYTES])
        if stem.startswith("."):  # neither hidden nor "..", which is another folder
            stem = f"_{stem}"
        if name.frame is not None:
            stem += f"-{name.frame:06d}"
        number, unique = 1, stem
        while not self._is_free(unique):
            number += 1
            unique = f"{stem}-{number}"
        self.take(unique)
        return unique

    def _is_free(self, name: str) -> bool:
        """Whether no file of another image can have it: "x-classes" may belong to "x"."""
        related = (name, name + CLASSES_IMAGE, name.removesuffix(CLASSES_IMAGE))
        return not any(folded(one) in self._taken for one in related)

    def take(self, name: str) -> None:
        """Give this name to no image."""
        self._taken.add(folded(name))


def prepare_folder(folder: Path, option: str) -> None:
    """Create a folder, or check that it is empty.

    Args:
        folder: The folder.
        option: The command-line option that names it, for the message.

    Raises:
        RunError: It is not empty or cannot be used.
    """
    outputs.check_folder(folder, option=option)
    make_folder(folder)


def write_image(image: NDArray[np.uint8], path: Path) -> None:
    """Write an image as PNG.

    Args:
        image: (H, W, C) uint8 with one channel, or three or more, of which three are written.
        path: The file.
    """
    _write_png(PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image[..., :3]), path)


def _write_frame(image: NDArray[np.uint8], path: Path) -> None:
    content = io.BytesIO()
    PIL.Image.fromarray(image).save(content, "JPEG", quality=_FRAME_QUALITY, subsampling=0)
    make_folder(path.parent)
    atomic_io.write_bytes(path, content.getvalue())


def _write_png(image: PIL.Image.Image, path: Path) -> None:
    content = io.BytesIO()
    image.save(content, "PNG")
    make_folder(path.parent)
    atomic_io.write_bytes(path, content.getvalue())


def make_folder(folder: Path) -> None:
    """Create a folder that may exist; raise StorageError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"this folder cannot be made ({error.strerror})",
            where=folder,
            cure=atomic_io.storage_cure(error),
        ) from None
