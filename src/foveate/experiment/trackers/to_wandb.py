"""Weights & Biases: offline in RUN/wandb, unless WANDB_API_KEY or WANDB_MODE says otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate.experiment.trackers.tracker import Tracker

PROJECT = "foveate"
"""Where runs are listed, unless WANDB_PROJECT names another."""


class WandB(Tracker):
    """One run of Weights & Biases.

    Args:
        run: Of wandb.
        where: Its address, or the command that uploads it.
    """

    def __init__(self, run: Any, where: str):
        self._run, self.record, self.where = run, {"id": run.id}, where

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        self._run.log(dict(values), step=step)

    def finish(self, files: Sequence[Path]) -> None:
        """Keep the files, and end the run."""
        for path in files:
            self._run.save(
                str(path.absolute()), base_path=str(path.absolute().parent), policy="now"
            )
        self._run.finish()

    def stop(self) -> None:
        """End this process's part of the run."""
        self._run.finish()


def open_tracker(
    run: Path, config: Mapping[str, Any], recorded: Mapping[str, str] | None, step: int
) -> WandB:
    """Open the recorded run, or begin one."""
    del step  # values of steps that are logged already are left out by wandb
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    asked = os.environ.get("WANDB_MODE")
    mode: Any = asked or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    begun = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=run.name,
        id=recorded["id"] if recorded else secrets.token_hex(4),
        resume="allow",
        dir=str(run.absolute()),
        config=dict(config),
        mode=mode,
        settings=wandb.Settings(silent=True, console="off", init_timeout=30),
    )
    where = begun.url if mode == "online" else f"offline; to upload: wandb sync {begun.dir}/.."
    return WandB(begun, str(where))
