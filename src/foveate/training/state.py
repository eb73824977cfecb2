"""The state of a training run, saved so that it resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveate import processes, record_io
from foveate.metrics.best_weights import best_row
from foveate.models import weight_file
from foveate.training import checkpoint, curves, time_budget
from foveate.training.ema import ModelEMA
from foveate.training.optim import state_names

MAX_SAVE_SHARE = 0.03
"""Largest share of the training time that goes into saving checkpoints."""


@dataclass
class Progress:
    """How far a run has come: everything that a checkpoint holds beside tensors.

    Attributes:
        step: Steps that are done.
        rows: The learning curves so far.
        best_step: The step with the best weights; -1 before the first validation.
        loss_sum: Sum of the training losses of the epoch that is under way.
        loss_batches: Batches in that sum.
        metric_sum: Sum of the training metric of that epoch.
        metric_batches: Batches in that sum: those that had something to score.
        seconds: Seconds of training, validation included.
        segments: The run's progress as a function of the step (see `time_budget`).
    """

    step: int = 0
    rows: list[curves.CurveRow] = field(default_factory=list)
    best_step: int = -1
    loss_sum: float = 0.0
    loss_batches: int = 0
    metric_sum: float = 0.0
    metric_batches: int = 0
    seconds: float = 0.0
    segments: time_budget.Segments = field(default_factory=list)

    @property
    def total(self) -> int:
        """Steps in all, as far as it is known."""
        return self.segments[-1][2]

    @property
    def validations(self) -> int:
        """Validations after the first step."""
        before = 1 if self.rows and self.rows[0]["step"] == 0 else 0
        return len(self.rows) - before

    @property
    def epoch_loss(self) -> float:
        """Mean training loss of the epoch that is under way."""
        return self.loss_sum / self.loss_batches

    @property
    def epoch_metric(self) -> float | None:
        """Mean training metric of the epoch that is under way; None where nothing was scored."""
        return self.metric_sum / self.metric_batches if self.metric_batches else None

    @property
    def epochs_since_best(self) -> float:
        """Epochs since the best weights."""
        best = next((row["epoch"] for row in self.rows if row["step"] == self.best_step), 0.0)
        return round(self.rows[-1]["epoch"] - best, 3) if self.rows else 0.0

    def add(self, losses: Sequence[float], metric: float) -> None:
        """Add the losses of steps that are done, and the metric of the last; nan for none."""
        for loss in losses:
            self.loss_sum += loss
        self.loss_batches += len(losses)
        if not math.isnan(metric):
            self.metric_sum += metric
            self.metric_batches += 1

    def close_epoch(self, row: curves.CurveRow, kept_by: str) -> None:
        """Add a row to the learning curves and begin the sums of the next epoch.

        Args:
            row: The row of this step.
            kept_by: The column that decides whether its weights are the best so far.
        """
        self.rows.append(row)
        best = best_row(self.rows, kept_by)
        if best is not None:
            self.best_step = self.rows[best]["step"]
        self.loss_sum = self.metric_sum = 0.0
        self.loss_batches = self.metric_batches = 0


@dataclass
class TrainState:
    """All that a training run carries from step to step.

    Attributes:
        net: The net, on its device.
        optimizer: The optimizer over its parameters.
        ema: Moving average of its weights, or None.
        progress: How far the run has come.
        scaler: Scales the loss in float16, or None.
        processes: How many processes saved it.
        irreproducible: Why the same command may give other bits; see `reproducibility`.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    ema: ModelEMA | None
    progress: Progress
    scaler: torch.amp.GradScaler | None = None
    processes: int = field(default_factory=processes.size)
    irreproducible: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything that `load` needs into one file."""
        names: dict[Tensor, str] = {value: name for name, value in self.net.named_parameters()}
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                tensors[f"optimizer.{names[parameter]}.{key}"] = torch.as_tensor(value)
        if self.ema is not None:
            tensors |= {f"ema.{name}": value for name, value in self.ema.state.items()}
        record = {
            "ema_updates": self.ema.updates if self.ema is not None else 0,
            "progress": asdict(self.progress),
            "loss_scale": None if self.scaler is None else self._loss_scale(),
            "processes": processes.size(),
            "irreproducible": self.irreproducible,
        }
        checkpoint.write(path, tensors, record)

    def _loss_scale(self) -> list[float]:
        """The factor of the loss in float16, and the steps since it changed."""
        assert self.scaler is not None, "asked for where there is one"
        values = self.scaler.state_dict()
        return [values["scale"], values["_growth_tracker"]]

    def load(self, path: Path) -> None:
        """Take back what `save` wrote, in place.

        Raises:
            RunError: The file is missing or damaged.
        """
        tensors, record = checkpoint.read(path)
        try:
            self._restore(tensors, record)
        except ValueError as error:
            raise record_io.damaged(path, error) from None

    def _restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Take everything back once all of it fits; ValueError if it does not."""
        from foveate.training.records import StateRecord

        record_io.validated(StateRecord, record)
        parts: dict[str, dict[str, Tensor]] = {"net": {}, "ema": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if part not in parts:
                raise ValueError(f"tensor {name} is unknown")
            parts[part][rest] = value
        ema = {} if self.ema is None else self.ema.state
        for part, expected in (("net", self.net.state_dict()), ("ema", ema)):
            if reason := weight_file.mismatch(expected, parts[part]):
                raise ValueError(f"in the {part}, {reason}")
        state = self._optimizer_state(parts["optimizer"])

        self.net.load_state_dict(parts["net"])
        for weight, values in state.items():
            self.optimizer.state[weight].update(values)
        if self.ema is not None:
            for name, value in parts["ema"].items():
                self.ema.state[name].copy_(value)
            self.ema.updates = record["ema_updates"]
        if self.scaler is not None and record.get("loss_scale") is not None:
            scale, steps = record["loss_scale"]
            saved: dict[str, Any] = {"scale": scale, "_growth_tracker": int(steps)}
            self.scaler.load_state_dict(self.scaler.state_dict() | saved)
        self.processes = record.get("processes", 1)
        self.irreproducible[:] = record.get("irreproducible", [])
        self.progress = Progress(**record["progress"])
        self.progress.segments = [
            (int(step), done, int(total)) for step, done, total in self.progress.segments
        ]

    def _optimizer_state(self, tensors: dict[str, Tensor]) -> dict[Tensor, dict[str, Tensor]]:
        """What the optimizer kept for each weight; ValueError if it cannot be."""
        parameters: dict[str, Tensor] = dict(self.net.named_parameters())
        names = state_names(self.optimizer)
        state: dict[Tensor, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            parameter, _, key = name.rpartition(".")
            weight = parameters.get(parameter)
            shape = () if key == "step" or weight is None else weight.shape
            if weight is None or value.shape != shape or not value.is_floating_point():
                raise ValueError(f"the optimizer has no {name} of shape {tuple(value.shape)}")
            if key == "step":
                value = value.to(weight.device)  # fused optimizers count on the device
            else:
                # In the weight's memory format, as the uninterrupted run has it.
                value = torch.empty_like(weight, memory_format=torch.preserve_format).copy_(value)
            state.setdefault(weight, {})[key] = value
        for weight, values in state.items():
            if values.keys() != names.get(weight):
                raise ValueError(f"the optimizer has other values than {', '.join(sorted(values))}")
        return state


class AutoSave:
    """Saves a state now and then: not more often than asked for, and for little of the time.

    Args:
        state: What is saved.
        path: Where to.
        min_seconds: Shortest time between two saves. 0 saves whenever it is asked, at any cost.
    """

    def __init__(self, state: TrainState, path: Path, min_seconds: float):
        self.state, self.path, self.min_seconds = state, path, min_seconds
        self.saved_at, self.duration = time.monotonic(), 0.0

    def save(self) -> None:
        """Save now, and measure how long it takes."""
        began = time.monotonic()
        self.state.save(self.path)
        self.saved_at = time.monotonic()
        self.duration = self.saved_at - began

    def save_if_due(self) -> None:
        """Save if enough time has passed, measured by what the last save took."""
        interval = max(self.min_seconds, self.duration / MAX_SAVE_SHARE) if self.min_seconds else 0
        if time.monotonic() - self.saved_at >= interval:
            self.save()
