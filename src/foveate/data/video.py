"""The frames of video files, read and written with OpenCV (pip install 'foveate[video]')."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.dataset import Image
from foveate.errors import BadImage, SettingError, StorageError
from foveate.regular_file import open_regular

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
DEFAULT_RATE = 25.0
"""Frames per second of a video that does not say."""
_H264 = ("avc1",) if sys.platform in ("darwin", "win32") else ()  # their systems encode it
_CODECS = (*_H264, "mp4v")  # MPEG-4 part 2


def import_opencv(where: Path | str) -> Any:
    """OpenCV, which logs nothing: what is wrong is reported in one line.

    Raises:
        SettingError: It is not installed.
    """
    for name, silent in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ.setdefault(name, silent)
    try:
        import cv2
    except ImportError:
        raise SettingError(
            "videos are read with OpenCV, which is not installed",
            where=where,
            remedy="pip install 'foveate[video]'",
        ) from None
    return cv2


def frames(path: Path) -> Iterator[Image]:
    """Decode a video.

    Args:
        path: The video file.

    Yields:
        Each frame in order, (H, W, 3) uint8.

    Raises:
        BadImage: If the file is no video, or where it breaks off.
        SettingError: If OpenCV is not installed.
    """
    cv2 = import_opencv(path)
    try:
        open_regular(path).close()
    except FileNotFoundError:
        raise BadImage("a video is expected, but there is no such file", where=path) from None
    except OSError as error:
        raise BadImage(f"the file cannot be opened ({error.strerror})", where=path) from None
    video = cv2.VideoCapture(str(path))
    try:
        announced = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        count = 0
        while video.isOpened():
            decoded, frame = video.read()
            if not decoded:
                break
            count += 1
            yield np.ascontiguousarray(frame[..., ::-1])
        if not count:
            raise BadImage("a video is expected, this is none or is damaged", where=path)
        if count < announced:
            raise BadImage(
                f"the video breaks off after {count:,} of {announced:,} frames", where=path
            )
    finally:
        video.release()


def frame_rate(path: Path) -> float:
    """Frames per second of a video file, as it says; DEFAULT_RATE if it does not."""
    cv2 = import_opencv(path)
    video = cv2.VideoCapture(str(path))
    try:
        rate = float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()
    return rate if math.isfinite(rate) and 0 < rate <= 1000 else DEFAULT_RATE


def write(path: Path, images: Iterable[Image], rate: float) -> None:
    """Write an MP4 file. Its codec is H.264 on macOS and Windows, MPEG-4 part 2 elsewhere.

    Args:
        path: The file, with the suffix .mp4.
        images: One image or more, (H, W, 3) uint8; they are resized to the size of the first.
        rate: Frames per second.

    Raises:
        StorageError: The file cannot be written.
    """
    cv2 = import_opencv(path)
    writer, size, count = None, (0, 0), 0
    try:
        for image in images:
            if writer is None:
                size = (image.shape[1], image.shape[0])
                writer = _open_writer(cv2, path, size, rate)
            bgr = np.ascontiguousarray(image[..., ::-1])
            writer.write(bgr if (bgr.shape[1], bgr.shape[0]) == size else cv2.resize(bgr, size))
            count += 1
    finally:
        if writer is not None:
            writer.release()
    # OpenCV does not say if the disk is full: count what has arrived.
    video = cv2.VideoCapture(str(path))
    written = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    if written != count:
        raise StorageError(
            f"this video cannot be written: {written:,} of {count:,} frames have arrived",
            where=path,
            cure="Free some space on its disk.",
        )


def _open_writer(cv2: Any, path: Path, size: tuple[int, int], rate: float) -> Any:
    for codec in _CODECS:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
        if writer.isOpened():
            return writer
        writer.release()
    raise StorageError(
        f"OpenCV cannot write a video of {size[0]} x {size[1]} px here",
        where=path,
        cure="Install the package opencv-python-headless, which can.",
    )
