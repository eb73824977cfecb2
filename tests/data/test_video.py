"""What is no video file is refused before OpenCV opens it, which would wait for a pipe."""

import os

import pytest

from foveate.data.video import frames
from foveate.errors import BadImage


def test_what_is_no_file_is_refused_at_once(tmp_path):
    pytest.importorskip("cv2")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name, words in (
        ("pipe.mp4", "a folder or a device"),
        ("folder.mp4", "a folder or a device"),
        ("loop.mp4", "cannot be opened"),
        ("none.mp4", "no such file"),
    ):
        with pytest.raises(BadImage, match=words):
            next(frames(tmp_path / name))
