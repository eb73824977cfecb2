"""A detection run that is killed and goes on: the same bits, with mosaics and averaged weights."""

from __future__ import annotations

import pytest

from helpers import boxes_demo
from helpers.killing import killed_and_resumed

SETTINGS = {
    "task": "detection", "model": "tiny_cnn", "epochs": 4, "batch_size": 8, "size": 32, "ema": 0.9, "save_seconds": 0.0,
    "augment": "strong",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    """Slow: a process of its own is trained and killed. Four pictures in five are put together out of four. One thread, as
    the bits depend on how many there are."""
    data = boxes_demo.write(tmp_path / "data", 30, seed=1, format="voc")
    killed_and_resumed(data, tmp_path, SETTINGS)
