"""A run in float16 that is killed resumes to the same bits, with the scale of its loss."""

from __future__ import annotations

import pytest

from foveate.training import checkpoint
from helpers.killing import killed_and_resumed


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_resumes_to_the_same_bits(colours, tmp_path):
    # Few convolutions: a processor without float16 takes seconds for each.
    settings = {"model": "mlp:8", "epochs": 4, "batch_size": 8, "precision": "float16"}
    killed_and_resumed(colours, tmp_path, {**settings, "save_seconds": 0.0})
    scale, steps = checkpoint.read(tmp_path / "run" / "last.safetensors")[1]["loss_scale"]
    assert scale >= 2
    assert steps > 5
