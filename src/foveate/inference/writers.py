"""Where predictions are written: JSON, COCO, drawings and masks."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate import atomic_io, outputs
from foveate.data.dataset import Image, Skipped
from foveate.errors import StorageError
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
        """Write the end of the file, if the predictions share one.

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


PREDICTIONS = outputs.json_kind("predictions")
"""The file of `JsonWriter`."""
COCO_PREDICTIONS = outputs.FileKind(
    "COCO predictions",
    re.compile(rb'\s*\{\s*"info":\s*\{\s*"contributor":\s*"foveate predict"'),
)
"""The file of `CocoWriter`."""


class CocoWriter(PredictionWriter):
    """Writes boxes and masks with scores as COCO's JSON, while they come.

    Args:
        task: The task.
        file: The file, open for writing.
        model: Name of the model.
    """

    def __init__(self, task: Task[Any], file: IO[bytes], model: str):
        self.task = task
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(task.classes)]
        info = {"contributor": "foveate predict", "description": f"Predictions of {model}"}
        self.annotations = _JsonList(file, {"info": info, "categories": categories}, "annotations")
        self.images: list[tuple[str, int, int]] = []  # COCO has one list after the other

    def add(self, name: str, image: Image, prediction: Any) -> None:
        """Write the annotations of one image."""
        height, width = image.shape[:2]
        self.images.append((name, width, height))
        for annotation in to_annotations(self.task.confident(prediction), (height, width)):
            ids = {"id": self.annotations.count + 1, "image_id": len(self.images)}
            self.annotations.add({**ids, **annotation})

    def close(self, skipped: Sequence[Skipped]) -> None:  # noqa: ARG002 - see PredictionWriter
        """Write the images."""
        images = [
            {"id": index + 1, "file_name": name, "width": width, "height": height}
            for index, (name, width, height) in enumerate(self.images)
        ]
        self.annotations.close({"images": images})


class JsonWriter(PredictionWriter):
    """Writes predictions as JSON, while they come, with the names of their drawings and masks.

    Args:
        task: The task.
        file: The file, open for writing.
        model: Name of the model.
        drawings: The writer of drawings, to which a prediction was added before.
        masks: The writer of masks, likewise.
    """

    def __init__(
        self,
        task: Task[Any],
        file: IO[bytes],
        model: str,
        drawings: DrawingWriter | None = None,
        masks: MaskWriter | None = None,
    ):
        self.task, self.drawings, self.masks = task, drawings, masks
        head = {"foveate": PREDICTIONS.name, "run": model, "classes": task.classes}
        self.predictions = _JsonList(file, head, "predictions")

    def add(self, name: str, image: Image, prediction: Any) -> None:  # noqa: ARG002 - see base
        """Write one prediction."""
        record = {"path": name, **self.task.to_dict(prediction)}
        if self.drawings is not None:
            record["drawing"] = self.drawings.last_file
        if self.masks is not None:
            record["masks"] = self.masks.last_files
        self.predictions.add(record)

    def close(self, skipped: Sequence[Skipped]) -> None:
        """Write the skipped images."""
        self.predictions.close(
            {"skipped": [{"path": one.id, "reason": one.reason} for one in skipped]}
        )


class _JsonList:
    """A list in a JSON object whose items are written one by one, so that none is kept.

    The layout is that of `atomic_io.write_json`.

    Args:
        file: The file, open for writing.
        head: What stands in the object before the list.
        key: The key of the list.
    """

    def __init__(self, file: IO[bytes], head: dict[str, Any], key: str):
        self.file, self.count = file, 0
        file.write(atomic_io.json_bytes(head).removesuffix(b"\n}") + b',\n "%b": [' % key.encode())

    def add(self, item: Any) -> None:
        self.file.write(
            (b"," if self.count else b"") + b"\n  " + atomic_io.json_bytes(item, depth=2)
        )
        self.count += 1

    def close(self, tail: dict[str, Any]) -> None:
        """End the list and the object, with what follows in it."""
        end = b"\n ]," if self.count else b"],"
        self.file.write(end + atomic_io.json_bytes(tail).removeprefix(b"{") + b"\n")


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


def prepare_folder(folder: Path, option: str, data: Iterable[Path] = ()) -> None:
    """Create a folder, or check that it is empty.

    Args:
        folder: The folder.
        option: The command-line option that names it, for the message.
        data: Folders in which nothing is written.

    Raises:
        RunError: It is not empty or cannot be used.
    """
    outputs.check_folder(folder, option=option, data=data)
    _make_folder(folder)


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
    _make_folder(path.parent)
    atomic_io.write_bytes(path, content.getvalue())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"this folder cannot be made ({error.strerror})",
            where=folder,
            cure=atomic_io.storage_cure(error),
        ) from None
