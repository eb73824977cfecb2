"""A detection run that is killed and goes on: the same bits, with mosaics and averaged weights."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import boxes_demo
import foveate as fv
from foveate.training import checkpoint

SETTINGS = {
    "task": "detection", "model": "quick", "epochs": 4, "batch_size": 8, "size": 32, "average": 0.9, "save_seconds": 0.0,
    "augment": "strong",
}  # fmt: skip
CHILD = """
    import os, signal, sys
    import torch
    import foveate as fv
    from foveate.training import fit

    torch.set_num_threads(1)
    original = fit.steps
    def steps(*args, **kwargs):
        for step in original(*args, **kwargs):
            if step.number == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            yield step
    fit.steps = steps
    fv.train(sys.argv[1], out=sys.argv[2], **SETTINGS)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    """Slow: a process of its own is trained and killed. Four pictures in five are put together out of four. One thread, as
    the bits depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        killed_and_resumed(tmp_path)
    finally:
        torch.set_num_threads(threads)


def killed_and_resumed(tmp_path: Path) -> None:
    data = boxes_demo.write(tmp_path / "data", 30, seed=1, format="voc")
    unbroken = fv.train(data, out=tmp_path / "unbroken", **SETTINGS).path
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr(SETTINGS))
    out = tmp_path / "run"
    child = subprocess.run([sys.executable, "-c", script, str(data), str(out)], capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert checkpoint.read(out / "last.safetensors")[1]["progress"]["step"] == 5
    assert not (out / "results.json").exists()
    fv.resume(out)
    for name in ("best.safetensors", "last.safetensors"):
        (mine, header), (its, other) = (checkpoint.read(path / name) for path in (out, unbroken))
        assert mine.keys() == its.keys()
        assert all(torch.equal(value, its[key]) for key, value in mine.items()), name
        assert header.get("options") == other.get("options")
    assert fv.Run.open(out).results["valid"] == fv.Run.open(unbroken).results["valid"]
