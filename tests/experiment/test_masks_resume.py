"""Runs on masks that are killed resume to the same bits, with strong augmentation and an EMA."""

from __future__ import annotations

import pytest

from helpers import masks_demo
from helpers.command_line import hurry
from helpers.killing import killed_and_resumed

WRITERS = {"semantic": masks_demo.write_pairs, "instance": masks_demo.write_coco}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("task", WRITERS)
def test_a_killed_run_resumes_to_the_same_bits(task, tmp_path, monkeypatch):
    """Slow: it trains and kills a process. One thread, as the bits depend on their number."""
    hurry(monkeypatch)
    settings = {
        "task": task,
        "model": "tiny_cnn",
        "epochs": 4,
        "batch_size": 4,
        "size": 32,
        "ema": 0.9,
    }
    data = WRITERS[task](tmp_path / "data", 20, shapes=((48, 48),))
    killed_and_resumed(data, tmp_path, {**settings, "save_seconds": 0.0, "augment": "strong"})
