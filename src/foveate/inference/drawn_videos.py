"""Videos with their predictions drawn, made of the drawings of their frames.

Frames are drawn one by one into a folder of their own, so that a command that was stopped goes on,
and several processes share a video. When all are there, each video is written. They go when all
other files are written, too: until then, a command that was stopped needs them.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from foveate import atomic_io
from foveate.data import video
from foveate.data.dataset import Image
from foveate.inference.journal import ImageName
from foveate.inference.result_files import ReadRecords
from foveate.inference.writers import FRAMES_FOLDER, UniqueNames


def write_videos(folder: Path, records: ReadRecords) -> dict[str, str]:
    """Write DIR/film.mp4 for each video among the records, from the drawings of its frames.

    Args:
        folder: The folder of drawings.
        records: The records of all images and frames; the frames of a video follow each other.

    Returns:
        Path of a video -> name of its drawing.

    Raises:
        StorageError: A video cannot be written.
    """
    frames_folder = folder / FRAMES_FOLDER
    names, unique = dict[str, str](), UniqueNames()
    frames = (record for record in records() if "frame" in record)
    for path, own in itertools.groupby(frames, lambda record: str(record["path"])):
        names[path] = f"{unique.next(ImageName(path))}.mp4"
        drawn = frames_folder / "video.mp4"
        drawings = (frames_folder / record["frame_drawing"] for record in own)
        video.write(drawn, map(_read, drawings), video.frame_rate(Path(path)))
        with drawn.open("rb") as source, atomic_io.new_file(folder / names[path]) as file:
            shutil.copyfileobj(source, file)
    return names


def remove_frames(folder: Path) -> None:
    """Remove the drawings of frames, if there are any.

    Args:
        folder: The folder of drawings.
    """
    frames_folder = folder / FRAMES_FOLDER
    if frames_folder.is_dir():
        shutil.rmtree(frames_folder)


def with_names(records: ReadRecords, names: dict[str, str]) -> ReadRecords:
    """The records with the video that each frame is drawn in, as its drawing."""

    def read() -> Iterator[dict[str, Any]]:
        for record in records():
            drawn = names.get(record["path"]) if "frame" in record else None
            yield record if drawn is None else {**record, "drawing": drawn}

    return read


def _read(path: Path) -> Image:
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
