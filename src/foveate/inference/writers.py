"""Where predictions are written: JSON, COCO, drawings and masks."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate import atomic_io
from foveate.data.dataset import Image, Skipped
from foveate.errors import RunError
from foveate.formats.coco.writing import to_annotations
from foveate.tasks.capabilities import WritesMasks, require
from foveate.tasks.task import Task


class PredictionWriter(ABC):
    """Takes predictions one by one."""

    @abstractmethod
    def add(self, name: str, image: Image, prediction: Any) -> None:
        """Take one prediction.

        Args:
            name: Path of the image; a video frame has its number after "#".
            image: (H, W, C) uint8.
            prediction: An annotation of the task.
        """

    def close(self, skipped: Sequence[Skipped]) -> None:  # noqa: B027 - optional
        """Write the file, if the predictions share one.

        Args:
            skipped: Images that could not be read.
        """


class DrawingWriter(PredictionWriter):
    """Writes a copy of each image with its prediction drawn into it.

    Args:
        task: The task.
        folder: A new or empty folder.

    Attributes:
        last_file: Name of the last file.
    """

    def __init__(self, task: Task[Any], folder: Path):
        self.task, self.folder = task, folder
        self.names = _UniqueNames()
        self.last_file = ""
        prepare_folder(folder, "--draw")

    def add(self, name: str, image: Image, prediction: Any) -> None:
        """Write the drawing of one prediction."""
        self.last_file = f"{self.names.next(name)}.png"
        drawing = self.task.draw(image, self.task.confident(prediction))
        write_image(drawing, self.folder / self.last_file)


class MaskWriter(PredictionWriter):
    """Writes the masks of each prediction as label images.

    Args:
        task: The task.
        folder: A new or empty folder.

    Attributes:
        last_files: Names of the last prediction's files.
    """

    def __init__(self, task: Task[Any], folder: Path):
        self.task, self.folder = task, folder
        self.mask_images = require(task, WritesMasks).mask_images
        self.names = _UniqueNames()
        self.last_files: list[str] = []
        prepare_folder(folder, "--masks")

    def add(self, name: str, image: Image, prediction: Any) -> None:  # noqa: ARG002 - see base
        """Write the masks of one prediction."""
        stem = self.names.next(name)
        self.last_files = []
        for mask in self.mask_images(self.task.confident(prediction)):
            picture = PIL.Image.fromarray(mask.values)
            if mask.palette is not None:
                picture.putpalette([value for colour in mask.palette for value in colour])
            self.last_files.append(f"{stem}{mask.name}.png")
            _write_png(picture, self.folder / self.last_files[-1])


class CocoWriter(PredictionWriter):
    """Writes boxes and masks with scores into one COCO file.

    Args:
        task: The task.
        path: The file.
    """

    def __init__(self, task: Task[Any], path: Path):
        self.task, self.path = task, path
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, image: Image, prediction: Any) -> None:
        """Take one prediction; the file is written by `close`."""
        height, width = image.shape[:2]
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for annotation in to_annotations(self.task.confident(prediction), (height, width)):
            number = len(self.annotations) + 1
            self.annotations.append({"id": number, "image_id": image_id, **annotation})

    def close(self, skipped: Sequence[Skipped]) -> None:  # noqa: ARG002 - see PredictionWriter
        """Write the file."""
        categories = [
            {"id": index + 1, "name": name} for index, name in enumerate(self.task.classes)
        ]
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }
        atomic_io.write_json(self.path, content)


class JsonWriter(PredictionWriter):
    """Writes all predictions into one JSON file, with the names of their drawings and masks.

    Args:
        task: The task.
        path: The file.
        model: Name of the model.
        drawings: The writer of drawings, to which a prediction was added before.
        masks: The writer of masks, likewise.
    """

    def __init__(
        self,
        task: Task[Any],
        path: Path,
        model: str,
        drawings: DrawingWriter | None = None,
        masks: MaskWriter | None = None,
    ):
        self.task, self.path, self.model = task, path, model
        self.drawings, self.masks = drawings, masks
        self.records: list[dict[str, Any]] = []

    def add(self, name: str, image: Image, prediction: Any) -> None:  # noqa: ARG002 - see base
        """Take one prediction; the file is written by `close`."""
        record = {"path": name, **self.task.to_dict(prediction)}
        if self.drawings is not None:
            record["drawing"] = self.drawings.last_file
        if self.masks is not None:
            record["masks"] = self.masks.last_files
        self.records.append(record)

    def close(self, skipped: Sequence[Skipped]) -> None:
        """Write the file."""
        content = {
            "run": self.model,
            "classes": self.task.classes,
            "predictions": self.records,
            "skipped": [{"path": one.id, "reason": one.reason} for one in skipped],
        }
        atomic_io.write_json(self.path, content)


class _UniqueNames:
    """A distinct file name without suffix for each image."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def next(self, name: str) -> str:
        path, _, frame = name.partition("#")
        stem = f"{Path(path).stem}-{frame}" if frame else Path(path).stem
        number, unique = 1, stem
        while unique in self.taken:
            number += 1
            unique = f"{stem}-{number}"
        self.taken.add(unique)
        return unique


def prepare_folder(folder: Path, option: str) -> None:
    """Create a folder, or check that it is empty.

    Args:
        folder: The folder.
        option: The command-line option that names it, for the message.

    Raises:
        RunError: It is not empty or cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise RunError(f"this folder cannot be used ({error.strerror})", where=folder) from None
    if occupied:
        raise RunError(
            "this folder is not empty, and images in it could be overwritten",
            where=folder,
            remedy=f"Name a new folder with {option}.",
        )


def write_image(image: NDArray[np.uint8], path: Path) -> None:
    """Write an image as PNG.

    Args:
        image: (H, W, C) uint8 with one channel, or three or more, of which three are written.
        path: The file.
    """
    _write_png(PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image[..., :3]), path)


def _write_png(image: PIL.Image.Image, path: Path) -> None:
    content = io.BytesIO()
    image.save(content, "PNG")
    path.parent.mkdir(exist_ok=True)
    atomic_io.write_bytes(path, content.getvalue())
