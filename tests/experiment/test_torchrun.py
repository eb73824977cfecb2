"""Training by several processes that torchrun starts: real processes, one of them really killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

import foveate as fv
from foveate.training import checkpoint
from helpers.ranks import run_torchrun, torchrun

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
SETTINGS = [
    "--model",
    "tiny_cnn",
    "--epochs",
    "3",
    "--batch-size",
    "8",
    "--seed",
    "1",
    "--set",
    "save_seconds=0",
]

AFTER_EACH_STEP = """
    import signal
    from foveate.training import fit

    original = fit.steps
    def steps(*args, **kwargs):
        for step in original(*args, **kwargs):
            {action}
            yield step
    fit.steps = steps
"""


def trained(
    folder: Path, change: str, *words: str | Path, restarts: int = 0
) -> subprocess.CompletedProcess[str]:
    """`foveate train ... --out run` as two processes in which some lines of Python run first."""
    script = folder / "script.py"
    begin, end = (
        'import os\nrank = os.environ["RANK"]\n',
        "\nfrom foveate.cli.main import main\nmain()",
    )
    script.write_text(begin + textwrap.dedent(change) + end)
    command = torchrun(2, restarts=restarts)[:-2]
    return subprocess.run(
        [*command, str(script), "train", *map(str, words), "--out", "run"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def weights(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(run / "best.safetensors")[0]


def assert_same_bits(one: Path, two: Path) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture(scope="module")
def pair(colours, tmp_path_factory) -> Path:
    """A run of two processes."""
    folder = tmp_path_factory.mktemp("pair")
    done = run_torchrun(2, "train", colours, *SETTINGS, "--out", "run", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The test split is still locked") == 1  # one process reports
    return folder / "run"


def test_two_processes_train_what_one_does(pair, colours, tmp_path):
    values = {"model": "tiny_cnn", "epochs": 3, "batch_size": 8, "seed": 1}
    alone = fv.train(colours, out=tmp_path / "alone", **values)
    together = fv.Run.open(pair)
    for mine, other in zip(together.curves, alone.curves, strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=0.05)
    assert together.results["hardware"].startswith("2 processes; ")
    assert together.finished
    assert sorted(path.name for path in pair.iterdir()) == sorted(
        path.name for path in alone.path.iterdir()
    )
    done = run_torchrun(2, "test", pair, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(together.ledger.entries) == 1
    again = run_torchrun(2, "test", pair, folder=tmp_path)
    assert "opened once" in again.stdout
    assert fv.Run.open(pair).results["test"]["accuracy"]["n"] == 9


def test_a_worker_that_is_killed_is_started_again_and_the_run_ends_with_the_same_bits(
    pair, colours, tmp_path
):
    action = (
        "if (step.number, rank, os.environ['TORCHELASTIC_RESTART_COUNT']) == (7, '1', '0'): "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    change = AFTER_EACH_STEP.format(action=action)
    done = trained(tmp_path, change, colours, *SETTINGS, restarts=1)
    assert done.returncode == 0, done.stderr
    assert "going on with run" in done.stdout
    assert_same_bits(tmp_path / "run", pair)


def test_a_worker_that_is_killed_ends_the_others_and_one_process_can_go_on(pair, colours, tmp_path):
    action = "if (step.number, rank) == (7, '1'): os.kill(os.getpid(), signal.SIGKILL)"
    began = time.monotonic()
    done = trained(tmp_path, AFTER_EACH_STEP.format(action=action), colours, *SETTINGS)
    assert done.returncode != 0
    assert time.monotonic() - began < 120
    assert "another process of this run has ended" in done.stderr
    progress = checkpoint.read(tmp_path / "run" / "last.safetensors")[1]["progress"]
    assert 6 <= progress["step"] <= 7
    resumed = fv.resume(tmp_path / "run")
    assert resumed.finished
    for mine, other in zip(resumed.curves, fv.Run.open(pair).curves, strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=0.05)


def test_a_stop_that_one_process_is_asked_for_stops_all_of_them_at_one_step(colours, tmp_path):
    action = "if (step.number, rank) == (4, '1'): signal.raise_signal(signal.SIGTERM)"
    done = trained(tmp_path, AFTER_EACH_STEP.format(action=action), colours, *SETTINGS)
    assert "foveate train --resume" in done.stderr
    assert checkpoint.read(tmp_path / "run" / "last.safetensors")[1]["progress"]["step"] == 5
    done = run_torchrun(2, "train", "--resume", "run", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fv.Run.open(tmp_path / "run").finished


def test_a_time_budget_ends_all_processes_at_one_step(colours, tmp_path):
    words = ["--model", "tiny_cnn", "--minutes", "0.15"]
    done = run_torchrun(2, "train", colours, *words, "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = fv.Run.open(tmp_path / "run")
    assert run.results["steps"] == run.settings.progress_segments[-1][2]


def test_other_data_on_one_of_the_machines_is_refused(colours, tmp_path):
    change = """
        from foveate.experiment.prepared_data import PreparedData

        original = PreparedData.fingerprint
        if rank == "1":
            PreparedData.fingerprint = lambda self: original(self)[::-1]
    """
    done = trained(tmp_path, change, colours, *SETTINGS)
    assert done.returncode != 0
    assert "error: " in done.stderr
    assert "the data has changed" in done.stderr


def test_a_batch_smaller_than_the_number_of_processes_is_refused(colours, tmp_path):
    done = run_torchrun(2, "train", colours, "--batch-size", "1", folder=tmp_path)
    assert done.returncode != 0
    assert "each of 2 processes needs an image of every batch" in done.stderr
    assert not any((tmp_path / "runs").glob("*/last.safetensors"))


def test_a_process_that_is_lost_while_it_validates_ends_the_others(colours, tmp_path):
    change = """
        import signal
        from foveate.training import fit

        original = fit.validate
        def validate(*args):
            if rank == "1":
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)
        fit.validate = validate
    """
    began = time.monotonic()
    done = trained(tmp_path, change, colours, *SETTINGS)
    assert done.returncode != 0
    assert time.monotonic() - began < 120
    assert "another process of this run has ended" in done.stderr


def test_a_port_that_is_in_use_is_reported(colours, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ranks = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        done = subprocess.run(
            [sys.executable, "-m", "foveate", "train", str(colours), "--out", "run"],
            cwd=tmp_path, env={**os.environ, **ranks}, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "the processes that torchrun started cannot be connected" in done.stderr
    assert "MASTER_PORT is free" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_a_machine_does_not_see_is_reported(colours, tmp_path):
    change = """
        from foveate import processes

        original = processes.broadcast
        def broadcast(value):
            found = original(value)
            path = isinstance(found, tuple) and isinstance(found[0], str)
            return ("/nowhere/run", *found[1:]) if path and rank == "1" else found
        processes.broadcast = broadcast
    """
    done = trained(tmp_path, change, colours, *SETTINGS)
    assert done.returncode != 0
    assert "rank 1 does not find the run folder" in done.stderr


def test_one_process_under_torchrun_is_one_process(colours, tmp_path):
    done = run_torchrun(1, "train", colours, *SETTINGS, "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    hardware = json.loads((tmp_path / "run" / "results.json").read_text())["hardware"]
    assert "processes" not in hardware
