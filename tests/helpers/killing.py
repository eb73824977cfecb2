"""A training process that is killed, resumed, and compared with an uninterrupted run."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import torch

import foveate as fv
from foveate.training import checkpoint

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


def killed_and_resumed(data: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    unbroken = fv.train(data, out=tmp_path / "unbroken", **settings).path
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr(settings))
    out = tmp_path / "run"
    child = subprocess.run(
        [sys.executable, "-c", script, str(data), str(out)], capture_output=True, text=True
    )
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
