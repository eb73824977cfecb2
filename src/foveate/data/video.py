"""The frames of a video file, decoded by OpenCV (pip install 'foveate[video]')."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from foveate.data.dataset import Image
from foveate.errors import BadImage, SettingError
from foveate.regular_file import open_regular

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


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
    # Damage is reported below in one line, so OpenCV and FFmpeg need not log it.
    for name, silent in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ.setdefault(name, silent)
    try:
        import cv2
    except ImportError:
        raise SettingError(
            "videos are read with OpenCV, which is not installed",
            where=path,
            remedy="pip install 'foveate[video]'",
        ) from None
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
