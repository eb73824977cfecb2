"""A training process that is killed with SIGKILL resumes to the bits of an uninterrupted run."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import foveate as fv
from foveate.errors import Interrupted, RunError
from foveate.training import checkpoint
from helpers.interruption import interrupt_at

SETTINGS = {"epochs": 4, "batch_size": 8, "ema": 0.9, "save_seconds": 0.0}
STEPS = 20  # 42 train images in 5 batches an epoch

CHILD = """
    import os, signal, sys
    import foveate as fv

    data, out, where, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "step":
        from foveate.training import fit
        original = fit.steps
        def steps(*args, **kwargs):
            for step in original(*args, **kwargs):
                if step.number == count:
                    die()
                yield step
        fit.steps = steps
    else:  # in the count-th write of last.safetensors: at its bytes or at the rename
        seen = 0
        original = getattr(os, where)
        def deadly(*args, **kwargs):
            global seen
            target = args[1] if where == "replace" else os.readlink(f"/proc/self/fd/{args[0]}")
            if "last.safetensors" in str(target):
                seen += 1
                if seen == count:
                    if where == "fsync":
                        os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
                    die()
            return original(*args, **kwargs)
        setattr(os, where, deadly)
    fv.train(data, out=out, **SETTINGS)
"""


@pytest.fixture(scope="module")
def unbroken(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fv.train(colours, out=tmp_path_factory.mktemp("unbroken") / "run", **SETTINGS).path


def tensors(run: Path, name: str) -> dict[str, torch.Tensor]:
    return checkpoint.read(run / name)[0]


def same_weights(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        mine, its = tensors(one, name), tensors(other, name)
        assert mine.keys() == its.keys()
        for key, value in mine.items():
            assert torch.equal(value, its[key]), f"{name}: {key} differs"


def same_run(one: Path, other: Path) -> None:
    same_weights(one, other)
    mine, its = fv.Run.open(one), fv.Run.open(other)
    assert mine.results["valid"] == its.results["valid"]
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in mine.curves]
    assert strip == [{k: v for k, v in row.items() if k != "seconds"} for row in its.curves]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="finds the file behind a descriptor in /proc"
)
@pytest.mark.parametrize(
    ("where", "count"),
    [("step", 0), ("step", 7), ("step", STEPS - 1), ("fsync", 9), ("replace", 13)],
)
def test_a_killed_run_resumes_to_the_same_bits(where, count, colours, unbroken, tmp_path):
    """Slow: each case starts a process that imports torch, trains and is killed."""
    out = tmp_path / "run"
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr(SETTINGS))
    child = subprocess.run(
        [sys.executable, "-c", script, str(colours), str(out), where, str(count)],
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    step = checkpoint.read(out / "last.safetensors")[1]["progress"]["step"]
    assert step == {"step": count, "fsync": count - 2, "replace": count - 2}[where]
    run = fv.resume(out)
    assert run.results["steps"] == STEPS
    same_run(run.path, unbroken)
    assert not list(out.glob("*.tmp")), "the temporary file of the killed write is still there"


def test_ctrl_c_leaves_a_run_that_resumes(colours, unbroken, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 11)
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match="go on with: foveate train --resume"):
        fv.train(colours, out=out, **SETTINGS)
    monkeypatch.undo()
    assert checkpoint.read(out / "last.safetensors")[1]["progress"]["step"] == 12
    same_run(fv.resume(out).path, unbroken)


def test_a_disk_that_fills_up_loses_nothing(colours, unbroken, tmp_path, monkeypatch):
    """On a disk that is really full the run stops with the reason and its checkpoint survives."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        from foveate.training import fit

        original = fit.steps

        def filling(*args, **kwargs):
            for step in original(*args, **kwargs):
                if step.number == 11:
                    with (
                        (disk / "filler").open("wb", buffering=0) as filler,
                        contextlib.suppress(OSError),
                    ):
                        while True:
                            filler.write(bytes(4096))
                yield step

        monkeypatch.setattr(fit, "steps", filling)
        with pytest.raises(RunError, match="disk is full"):
            fv.train(colours, out=disk / "run", **SETTINGS)
        monkeypatch.undo()
        assert checkpoint.read(disk / "run" / "last.safetensors")[1]["progress"]["step"] == 11
        (disk / "filler").unlink()
        same_run(fv.resume(disk / "run").path, unbroken)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(colours, unbroken, tmp_path):
    same_run(fv.train(colours, out=tmp_path / "again", **SETTINGS).path, unbroken)
    other = fv.train(colours, out=tmp_path / "other", **{**SETTINGS, "seed": 1}).path
    assert not torch.equal(
        tensors(other, "best.safetensors")["body.2.2.weight"],
        tensors(unbroken, "best.safetensors")["body.2.2.weight"],
    )


@pytest.mark.slow
def test_a_kill_between_accumulated_batches_loses_no_gradient(colours, tmp_path, monkeypatch):
    from foveate.training import fit

    settings = {**SETTINGS, "accumulate": 3}
    whole = fv.train(colours, out=tmp_path / "whole", **settings)
    original = fit.steps

    def stopped_at_seven(*args, **kwargs):
        for step in original(*args, **kwargs):
            if step.number == 7:
                raise ZeroDivisionError
            yield step

    monkeypatch.setattr(fit, "steps", stopped_at_seven)
    with pytest.raises(ZeroDivisionError):
        fv.train(colours, out=tmp_path / "run", **settings)
    monkeypatch.undo()
    assert checkpoint.read(tmp_path / "run" / "last.safetensors")[1]["progress"]["step"] == 6
    same_run(fv.resume(tmp_path / "run").path, whole.path)


def test_resuming_a_finished_run_changes_nothing(unbroken, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(unbroken, copy)
    same_run(fv.resume(copy).path, unbroken)


def test_resuming_is_refused_if_the_data_has_changed(folder, tmp_path):
    run = fv.train(folder, out=tmp_path / "run", **SETTINGS)
    (folder / "red" / "000.png").rename(folder / "red" / "new.png")
    with pytest.raises(RunError, match="the data has changed"):
        run.test()
    run.settings.save(run.path / ".unfinished.yaml")
    with pytest.raises(RunError, match="the data has changed"):
        fv.resume(run)
