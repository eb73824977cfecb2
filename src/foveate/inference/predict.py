"""Answers for pictures, folders of pictures and videos: told, written and drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL.Image

from foveate import atomic_io
from foveate.annotations import Boxes, Captions, Instances, Mask
from foveate.data import video
from foveate.data.dataset import Image, Skipped
from foveate.data.images import PICTURE_SUFFIXES, decode
from foveate.errors import BadImage, FoveateError, RunError, SettingError
from foveate.formats.coco.writing import to_annotations
from foveate.inference.predictor import Predictor
from foveate.models.interactive import Box
from foveate.ops.clicks import Click
from foveate.progress import NullReporter, Reporter
from foveate.tasks.task import Task

T = TypeVar("T")

_AT_ONCE, _BYTES_AT_ONCE = 64, 1 << 28


@dataclass(frozen=True)
class Outputs:
    """What is left beside what is said.

    json_file: all answers; coco_file: boxes, and masks as run lengths, as COCO has them, with scores; drawn: a folder for each picture with its answer
    in it; masks: a folder for label pictures. Folders must not exist or be empty
    """

    json_file: Path | None = None
    coco_file: Path | None = None
    drawn: Path | None = None
    masks: Path | None = None


@dataclass(frozen=True)
class Prompt:
    """What is pointed at, in pixels of each picture: clicks as (x, y, inside), and left, top, right, bottom."""

    clicks: Sequence[Click] = ()
    box: Box | None = None


@dataclass(frozen=True)
class Answers:
    """count: of the pictures that were answered; skipped: what could not be read."""

    count: int
    skipped: list[Skipped]


def predict_paths(
    model: Predictor,
    paths: Sequence[Path],
    outputs: Outputs = Outputs(),
    *,
    tile: int | None = None,
    prompt: Prompt | None = None,
    reporter: Reporter | None = None,
) -> Answers:
    """Answer for each picture, and say so as soon as it is known; a folder means all pictures and videos in it, a video all
    its frames. What can't be read is skipped, and told. tile: pixels of the squares that larger pictures are cut into.
    prompt: what is asked for in each, where not everything is.
    """
    if prompt is not None and tile is not None:
        raise SettingError(
            "one of a tile's side and a prompt is expected, got both", where="--tile"
        )
    reporter = reporter or NullReporter()
    task = model.task
    _check(task, outputs)
    for folder, option in ((outputs.drawn, "--draw"), (outputs.masks, "--masks")):
        if folder is not None:
            make_ready(folder, option)
    records: list[dict[str, Any]] = []
    coco = _Coco(task) if outputs.coco_file is not None else None
    skipped: list[Skipped] = []
    names = _Names()

    def skip(name: str, error: BadImage) -> None:
        skipped.append(Skipped(name, error.message))
        reporter.warning(f"skipped {name}: {error.message}")

    for waiting in at_once(_pictures(paths, skip)):
        images = [image for _, image in waiting]
        predictions = (
            model.predict_images(images, tile)
            if prompt is None
            else [_pointed(model, image, prompt) for image in images]
        )
        for (name, image), prediction in zip(waiting, predictions, strict=True):
            record = {"path": name, **task.to_dict(prediction)}
            reporter.info(f"{name}  {task.summary(prediction)}")
            if coco is not None:
                coco.add(name, image, prediction)
            stem = names.of(name)
            if outputs.drawn is not None:
                record["drawn"] = f"{stem}.png"
                write_picture(
                    task.draw(image, task.confident(prediction)), outputs.drawn / record["drawn"]
                )
            if outputs.masks is not None:
                record["masks"] = _stencilled(task, prediction, outputs.masks, stem)
            records.append(record)
    if outputs.json_file is not None:
        told = [{"path": one.id, "reason": one.reason} for one in skipped]
        atomic_io.write_json(
            outputs.json_file,
            {"run": model.name, "classes": task.classes, "answers": records, "skipped": told},
        )
    if coco is not None and outputs.coco_file is not None:
        atomic_io.write_json(outputs.coco_file, coco.content())
    return Answers(len(records), skipped)


def at_once(images: Iterable[tuple[T, Image]]) -> Iterator[list[tuple[T, Image]]]:
    """As many at a time as are answered together, large ones fewer, so that they fit into memory."""
    waiting: list[tuple[T, Image]] = []
    for one in images:
        waiting.append(one)
        if len(waiting) == _AT_ONCE or sum(image.nbytes for _, image in waiting) > _BYTES_AT_ONCE:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _pointed(model: Predictor, image: Image, prompt: Prompt) -> Instances:
    predictor = model._set_image(image)
    mask = predictor.point(prompt.clicks, prompt.box)
    return Instances.from_masks(mask[None], np.array([predictor.sure]))


def refuse_from_words(task: Task[Any]) -> None:
    """Raises SettingError for a task whose questions are words: it has no answer for a picture."""
    if task.annotation is Captions:
        raise SettingError(
            f"the task {task.name} makes pictures from words, and answers for none",
            where="RUN",
            remedy="Use: foveate generate RUN WORDS --out DIR.",
        )


def _check(task: Task[Any], outputs: Outputs) -> None:
    """Raises SettingError for what this task's answers cannot be written as, before any is given."""
    refuse_from_words(task)
    kind = task.annotation
    for wanted, option, kinds in (
        (outputs.coco_file, "--coco", (Boxes, Instances)),
        (outputs.masks, "--masks", (Mask, Instances)),
    ):
        if wanted is not None and kind not in kinds:
            what = "boxes" if option == "--coco" else "masks"
            raise SettingError(
                f"the task {task.name} answers without {what}",
                where=option,
                remedy="Use --json instead.",
            )
    if outputs.masks is not None and outputs.masks == outputs.drawn:
        raise SettingError("two folders are expected, got one for both", where="--masks and --draw")


def make_ready(folder: Path, option: str) -> None:
    """A new folder, or an empty one. Raises RunError where it is not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise RunError(f"this folder cannot be used ({error.strerror})", where=folder) from None
    if taken:
        raise RunError(
            "this folder is not empty, and pictures in it could be overwritten",
            where=folder,
            remedy=f"Name a new folder with {option}.",
        )


def _pictures(
    paths: Sequence[Path], skip: Callable[[str, BadImage], None]
) -> Iterator[tuple[str, Image]]:
    """Each picture with its name; that of a frame tells its video and its number, from 0."""
    for path in picture_files(paths):
        try:
            if path.suffix.lower() not in video.VIDEO_SUFFIXES:
                yield str(path), decode(path)
                continue
            for number, frame in enumerate(video.frames(path)):
                yield f"{path}#{number:06d}", frame
        except BadImage as error:
            skip(str(path), error)


def picture_files(paths: Sequence[Path]) -> Iterator[Path]:
    """These files, and all pictures and videos in these folders. Raises FoveateError for a folder without any."""
    for path in paths:
        if not path.is_dir():
            yield path  # a path that does not exist is told by decode
            continue
        found = [
            Path(folder) / name
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in PICTURE_SUFFIXES | video.VIDEO_SUFFIXES
            and not name.startswith(".")
        ]
        if not found:
            raise FoveateError("there are no pictures in this folder", where=path)
        yield from sorted(found)


class _Names:
    """A file's name for each picture, without ending, each given once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def of(self, name: str) -> str:
        path, _, frame = name.partition("#")
        stem = f"{Path(path).stem}-{frame}" if frame else Path(path).stem
        number, unique = 1, stem
        while unique in self.taken:
            number += 1
            unique = f"{stem}-{number}"
        self.taken.add(unique)
        return unique


def _stencilled(task: Task[Any], prediction: Any, folder: Path, stem: str) -> list[str]:
    """Write an answer's label pictures; returns their names."""
    written = []
    for stencil in task.mask_images(task.confident(prediction)):
        image = PIL.Image.fromarray(stencil.values)
        if stencil.palette is not None:
            image.putpalette([part for colour in stencil.palette for part in colour])
        written.append(f"{stem}{stencil.name}.png")
        _write(image, folder / written[-1])
    return written


def write_picture(image: Image, path: Path) -> None:
    """(H, W, C) uint8 of one channel or three, as PNG."""
    _write(PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image[..., :3]), path)


def _write(image: PIL.Image.Image, path: Path) -> None:
    out = io.BytesIO()
    image.save(out, "PNG")
    path.parent.mkdir(exist_ok=True)
    atomic_io.write_bytes(path, out.getvalue())


class _Coco:
    """Answers as the content of a COCO file."""

    def __init__(self, task: Task[Any]):
        self.task = task
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, image: Image, prediction: Any) -> None:
        height, width = image.shape[:2]
        self.images.append(
            {"id": len(self.images) + 1, "file_name": name, "width": width, "height": height}
        )
        for instance in to_annotations(self.task.confident(prediction), (height, width)):
            self.annotations.append(
                {"id": len(self.annotations) + 1, "image_id": len(self.images), **instance}
            )

    def content(self) -> dict[str, Any]:
        categories = [
            {"id": index + 1, "name": name} for index, name in enumerate(self.task.classes)
        ]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}
