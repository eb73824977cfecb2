"""A detection run that is killed resumes to the same bits, with mosaics and an EMA."""

from __future__ import annotations

import pytest

from helpers import boxes_demo
from helpers.killing import killed_and_resumed

SETTINGS = {
    "task": "detection",
    "model": "tiny_cnn",
    "epochs": 4,
    "batch_size": 8,
    "size": 32,
    "ema": 0.9,
    "save_seconds": 0.0,
    "augment": "strong",
}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """Slow: it trains and kills a process. One thread, as the bits depend on their number."""
    data = boxes_demo.write(tmp_path / "data", 30, seed=1, format="voc")
    killed_and_resumed(data, tmp_path, SETTINGS)
