"""The frames of a video file, decoded by OpenCV (pip install 'foveate[video]')."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from foveate.data.dataset import Image
from foveate.errors import BadImage, SettingError

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


def frames(path: Path) -> Iterator[Image]:
    """Each frame in order, (H, W, 3) uint8. Raises BadImage for what is no video, and at the place where one breaks off;
    SettingError where OpenCV is not installed.
    """
    for name, silent in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ.setdefault(name, silent)  # what is damaged is told by us, in one line
    try:
        import cv2
    except ImportError:
        raise SettingError(
            "videos are read with OpenCV, which is not installed",
            where=path,
            remedy="pip install 'foveate[video]'",
        ) from None
    if not path.is_file():
        raise BadImage("a video is expected, but there is no such file", where=path)
    video = cv2.VideoCapture(str(path))
    try:
        announced = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        read = 0
        while video.isOpened():
            there, frame = video.read()
            if not there:
                break
            read += 1
            yield np.ascontiguousarray(frame[..., ::-1])
        if not read:
            raise BadImage("a video is expected, this is none or is damaged", where=path)
        if read < announced:
            raise BadImage(
                f"the video breaks off after {read:,} of {announced:,} frames", where=path
            )
    finally:
        video.release()
