"""The frames of a camera, read with OpenCV: always the newest one, so that none is late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from foveate.data.dataset import Image
from foveate.data.video import import_opencv
from foveate.errors import SettingError

_FIRST_SECONDS = 15.0
"""A camera that has given no frame by then gives none."""


def frames(number: int) -> Iterator[Image]:
    """Read a camera until it is unplugged or the caller stops.

    A thread reads all frames, and each that nobody took before the next one came is dropped.

    Args:
        number: Of the camera, from 0 on.

    Yields:
        The newest frame, each once, (H, W, 3) uint8.

    Raises:
        SettingError: OpenCV is not installed, or there is no such camera, or it gives no frames.
    """
    camera = open_capture(number)
    if not camera.isOpened():
        camera.release()
        raise SettingError(
            f"a camera is expected, number {number} cannot be opened",
            where=str(number),
            remedy="Cameras are numbered from 0. Plug it in, close other programs that use it, and "
            "allow this terminal to use cameras.",
        )
    reader = _Reader(camera)
    count = 0
    try:
        while (frame := reader.newest()) is not None:
            count += 1
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        reader.close()
    what = "gives no frames" if not count else f"gave no more frames after {count:,}"
    raise SettingError(
        f"the camera {what}", where=str(number), remedy="Plug it in again, or try another number."
    )


def open_capture(number: int) -> Any:
    """OpenCV's view of a camera."""
    return import_opencv(str(number)).VideoCapture(number)


class _Reader:
    """A thread that reads a camera, and the newest frame."""

    def __init__(self, camera: Any):
        self._camera = camera
        self._news = threading.Condition()
        self._frame: Any = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        decoded = True
        while decoded and not self._closed:
            decoded, frame = self._camera.read()
            with self._news:
                if decoded:
                    self._frame = frame
                self._ended = not decoded
                self._news.notify()

    def newest(self) -> Any:
        """Wait for a frame that was not taken yet; None if there will be none."""
        with self._news:
            self._news.wait_for(lambda: self._frame is not None or self._ended, _FIRST_SECONDS)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._thread.join(_FIRST_SECONDS)
        self._camera.release()
