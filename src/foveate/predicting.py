"""Answers for pictures, folders of pictures and videos: told, written and drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import files
from foveate.annotations import Boxes, Instances, boxes_of
from foveate.console import Silent, Watch
from foveate.data import video
from foveate.data.dataset import Image, Skipped
from foveate.data.pictures import PICTURE_SUFFIXES, decode
from foveate.errors import BadPicture, FoveateError, RunError, SettingError
from foveate.run import Run
from foveate.tasks.task import Task

_AT_ONCE, _BYTES_AT_ONCE = 64, 1 << 28


@dataclass(frozen=True)
class Outputs:
    """What is left beside what is said.

    json_file: all answers; coco_file: boxes as COCO has them, with scores; drawn: a folder for each picture with its answer
    in it, which must not exist or be empty
    """

    json_file: Path | None = None
    coco_file: Path | None = None
    drawn: Path | None = None


@dataclass(frozen=True)
class Answers:
    """count: of the pictures that were answered; skipped: what could not be read."""

    count: int
    skipped: list[Skipped]


def predict_paths(
    run: Run, paths: Sequence[Path], outputs: Outputs = Outputs(), *, tile: int | None = None, watch: Watch | None = None
) -> Answers:  # fmt: skip
    """Answer for each picture, and say so as soon as it is known; a folder means all pictures and videos in it, a video all
    its frames. What can't be read is skipped, and told. tile: pixels of the squares that larger pictures are cut into.
    """
    watch = watch or Silent()
    task, _ = run.load()
    _make_ready(outputs)
    records: list[dict[str, Any]] = []
    coco = _Coco(task) if outputs.coco_file is not None else None
    skipped: list[Skipped] = []
    waiting: list[tuple[str, Image]] = []
    names: set[str] = set()

    def flush() -> None:
        for (name, image), answer in zip(waiting, run.answer([image for _, image in waiting], tile), strict=True):
            record = {"path": name, **task.words(answer)}
            watch.say(f"{name}  {task.tell(answer)}")
            if coco is not None:
                coco.add(name, image, answer)
            if outputs.drawn is not None:
                record["drawn"] = _draw(outputs.drawn, name, task.draw(image, task.shown(answer)), names)
            records.append(record)
        waiting.clear()

    def skip(name: str, error: BadPicture) -> None:
        skipped.append(Skipped(name, error.message))
        watch.warn(f"skipped {name}: {error.message}")

    for name, image in _pictures(paths, skip):
        waiting.append((name, image))
        if len(waiting) == _AT_ONCE or sum(image.nbytes for _, image in waiting) > _BYTES_AT_ONCE:
            flush()
    if waiting:
        flush()
    if outputs.json_file is not None:
        told = [{"path": one.id, "reason": one.reason} for one in skipped]
        files.write_json(outputs.json_file, {"run": str(run.path), "answers": records, "skipped": told})
    if coco is not None and outputs.coco_file is not None:
        files.write_json(outputs.coco_file, coco.content())
    return Answers(len(records), skipped)


def _make_ready(outputs: Outputs) -> None:
    if outputs.drawn is None:
        return
    try:
        outputs.drawn.mkdir(parents=True, exist_ok=True)
        taken = any(outputs.drawn.iterdir())
    except OSError as error:
        raise RunError(f"this folder cannot be used ({error.strerror})", where=outputs.drawn) from None
    if taken:
        raise RunError(
            "this folder is not empty, and pictures in it could be overwritten",
            where=outputs.drawn,
            remedy="Name a new folder with --draw.",
        )


def _pictures(paths: Sequence[Path], skip: Callable[[str, BadPicture], None]) -> Iterator[tuple[str, Image]]:
    """Each picture with its name; that of a frame tells its video and its number, from 0."""
    for path in _files(paths):
        try:
            if path.suffix.lower() not in video.VIDEO_SUFFIXES:
                yield str(path), decode(path)
                continue
            for number, frame in enumerate(video.frames(path)):
                yield f"{path}#{number:06d}", frame
        except BadPicture as error:
            skip(str(path), error)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path  # a path that does not exist is told by decode
            continue
        found = [
            Path(folder) / name
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in PICTURE_SUFFIXES | video.VIDEO_SUFFIXES and not name.startswith(".")
        ]
        if not found:
            raise FoveateError("there are no pictures in this folder", where=path)
        yield from sorted(found)


def _draw(folder: Path, name: str, image: Image, taken: set[str]) -> str:
    """Write a picture under a name of its own; returns it."""
    from PIL import Image as Pillow

    path, _, frame = name.partition("#")
    stem = f"{Path(path).stem}-{frame}" if frame else Path(path).stem
    number, unique = 1, stem
    while unique in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique)
    out = io.BytesIO()
    Pillow.fromarray(image).save(out, "PNG")
    files.write_bytes(folder / f"{unique}.png", out.getvalue())
    return f"{unique}.png"


class _Coco:
    """Answers as the content of a COCO file: its annotations, each with its score."""

    def __init__(self, task: Task[Any]):
        self.task = task
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, image: Image, answer: Any) -> None:
        shown = self.task.shown(answer)
        if not isinstance(shown, Boxes | Instances):
            raise SettingError(
                f"the task {self.task.name} answers without boxes", where="--coco", remedy="Use --json instead."
            )
        height, width = image.shape[:2]
        self.images.append({"id": len(self.images) + 1, "file_name": name, "width": width, "height": height})
        boxes = boxes_of(shown)
        scores = [1.0] * len(boxes) if boxes.scores is None else boxes.scores.tolist()
        for (left, top, right, bottom), k, score in zip(
            boxes.corners.tolist(), boxes.classes.tolist(), scores, strict=True
        ):
            wide, high = right - left, bottom - top
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": len(self.images),
                    "category_id": k + 1,
                    "bbox": [round(at, 2) for at in (left, top, wide, high)],
                    "area": round(wide * high, 2),
                    "iscrowd": 0,
                    "score": round(score, 6),
                }
            )

    def content(self) -> dict[str, Any]:
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(self.task.classes)]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}
