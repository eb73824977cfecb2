"""A training run around the loop: validate, keep the best weights, save what is needed to go on, stop in time."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foveate.data.batches import Batches
from foveate.errors import Diverged
from foveate.training import checkpoint, curves, time_budget
from foveate.training.ema import ModelEMA
from foveate.training.loop import steps


class Trainable(Protocol):
    """The part of a task that training needs."""

    @property
    def curve_metric(self) -> str: ...

    def loss(self, output: Any, target: Any) -> dict[str, Tensor]: ...
    def batch_metric(self, output: Any, target: Any, *, glance: bool) -> float: ...


@dataclass
class TrainState:
    """All that a run carries from step to step beside tensors; saved with them, so that a resumed run goes on exactly."""

    step: int = 0
    rows: list[curves.CurveRow] = field(default_factory=list)
    best_loss: float = math.inf
    best_step: int = -1
    loss_sum: float = 0.0  # of the epoch that is under way
    figure_sum: float = 0.0
    batches: int = 0
    figured: int = 0  # of these, batches in which there was something to be scored
    seconds: float = 0.0
    corners: time_budget.Segments = field(default_factory=list)

    @property
    def total(self) -> int:
        """Steps in all, as far as it is known."""
        return self.corners[-1][2]

    @property
    def epoch_metric(self) -> float | None:
        """Mean training metric of the epoch that is under way."""
        return self.figure_sum / self.figured if self.figured else None

    @property
    def since_best(self) -> int:
        """Validations since the lowest validation loss."""
        return sum(row["step"] > self.best_step for row in self.rows) if self.rows else 0


@dataclass(frozen=True)
class TrainConfig:
    """What a run is to do.

    corners: how it progresses (see `pace`); budget: seconds of training after which it must end, or None
    schedule: progress -> learning rate factor; the rest as in `Settings`
    """

    corners: time_budget.Segments
    budget: float | None
    schedule: Callable[[float], float]
    seed: int
    clip: float | None
    accumulate: int
    amp: torch.dtype | None
    patience: int | None
    save_seconds: float


@dataclass(frozen=True)
class TrainResult:
    """How training ended: "finished", "patience" or "interrupted"."""

    reason: str
    progress: TrainState


def fit(
    net: nn.Module,
    task: Trainable,
    batches: Batches,
    validation: Callable[[], Iterable[tuple[tuple[Tensor, ...], Any]]],
    optimizer: torch.optim.Optimizer,
    average: ModelEMA | None,
    plan: TrainConfig,
    folder: Path,
    header: dict[str, Any],
    *,
    resume: bool = False,
    reporter: Callable[[TrainState, float], None] = lambda progress, loss: None,
) -> TrainResult:
    """Train as planned; leaves best.safetensors, last.safetensors and curves.csv in `folder`.

    header: what best.safetensors must carry to be used; watch is called after each step with the live figures.
    A first Ctrl-C (or SIGTERM) ends the run at the next step's end with everything saved.
    """
    progress = TrainState(corners=plan.corners)
    if resume:
        tensors, record = checkpoint.read(folder / "last.safetensors")
        checkpoint.restore_training_state(tensors, record, net, optimizer, average)
        progress = TrainState(**record["progress"])
    judged = (
        copy.deepcopy(net) if average is not None else net
    )  # whose loss is validated and whose weights are kept
    progress.corners = [(int(step), done, int(total)) for step, done, total in progress.corners]
    first = progress.step
    began, saved = time.monotonic() - progress.seconds, time.monotonic()
    if not resume:
        _save(folder, net, optimizer, average, progress)
    stopwatch = (
        None
        if plan.budget is None
        else time_budget.TimeBudget(plan.budget, progress.step, progress.seconds)
    )

    def how_far(step: int) -> float:
        return time_budget.progress(progress.corners, step)

    with _stop_asked() as stop_asked:
        stream = steps(
            net,
            task.loss,
            batches(progress.step, how_far),
            optimizer,
            lambda step: plan.schedule(how_far(step)),
            start=progress.step,
            seed=plan.seed,
            clip=plan.clip,
            accumulate=plan.accumulate,
            amp=plan.amp,
            average=average,
        )
        reason = "finished"
        try:
            while progress.step < progress.total:
                if plan.patience and progress.since_best >= plan.patience:
                    reason = "patience"
                    break
                # Between batches whose gradients are being summed there is nothing that could be gone on from.
                whole = progress.step % plan.accumulate == 0
                if whole and stop_asked():
                    reason = "interrupted"
                    break
                if (
                    whole
                    and time.monotonic() - saved >= plan.save_seconds
                    and progress.step > first
                ):
                    _save(folder, net, optimizer, average, progress)
                    saved = time.monotonic()
                step = next(stream)
                loss = step.losses["total"].item()
                progress.step = step.number + 1
                progress.loss_sum += loss
                progress.batches += 1
                with torch.no_grad():
                    metric = task.batch_metric(step.output, step.target, glance=True)
                if not math.isnan(metric):
                    progress.figure_sum += metric
                    progress.figured += 1
                progress.seconds = time.monotonic() - began
                if stopwatch is not None:
                    progress.corners = stopwatch.corrected(
                        progress.corners, progress.step, progress.seconds
                    )
                if progress.step % batches.per_epoch == 0 or progress.step >= progress.total:
                    if average is not None:
                        judged.load_state_dict(average.state)
                    _close_epoch(
                        progress, judged, task, validation(), batches.per_epoch, step.lr, plan.amp
                    )
                    net.train()
                    curves.write(folder / "curves.csv", progress.rows)
                    if progress.best_step == progress.step:
                        checkpoint.write(folder / "best.safetensors", judged.state_dict(), header)
                reporter(progress, loss)
        except Diverged as error:
            raise _explained(error, optimizer, progress, folder) from None
    _save(folder, net, optimizer, average, progress)
    return TrainResult(reason, progress)


def _close_epoch(
    progress: TrainState,
    net: nn.Module,
    task: Trainable,
    validation: Iterable[tuple[tuple[Tensor, ...], Any]],
    per_epoch: int,
    lr: float,
    amp: torch.dtype | None,
) -> None:
    valid_loss, valid_figure = validate(net, task, validation, amp)
    if valid_loss < progress.best_loss:
        progress.best_loss, progress.best_step = valid_loss, progress.step
    progress.rows.append(
        {
            "step": progress.step,
            "epoch": round(progress.step / per_epoch, 3),
            "train_loss": progress.loss_sum / progress.batches,
            "valid_loss": valid_loss,
            f"train_{task.curve_metric}": progress.figure_sum / progress.figured
            if progress.figured
            else math.nan,
            f"valid_{task.curve_metric}": valid_figure,
            "lr": lr,
            "seconds": round(progress.seconds, 3),
        }
    )
    progress.loss_sum = progress.figure_sum = 0.0
    progress.batches = progress.figured = 0


@torch.no_grad()
def validate(
    net: nn.Module,
    task: Trainable,
    batches: Iterable[tuple[tuple[Tensor, ...], Any]],
    amp: torch.dtype | None = None,
) -> tuple[float, float]:
    """Mean loss and primary figure over the validation part, each picture counting the same. amp: as in `loop.steps`."""
    net.eval()
    device = next(net.parameters()).device
    loss = metric = 0.0
    count = figured = 0
    for inputs, target in batches:
        with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
            output = net(*(part.to(device) for part in inputs))
            size = len(inputs[0])
            loss += task.loss(output, target)["total"].item() * size
        count += size
        reached = task.batch_metric(output, target, glance=False)
        if not math.isnan(reached):
            metric += reached * size
            figured += size
    return loss / count if count else math.nan, metric / figured if figured else math.nan


def _save(
    folder: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ModelEMA | None,
    progress: TrainState,
) -> None:
    tensors, record = checkpoint.training_state(net, optimizer, average)
    record["progress"] = vars(progress)
    checkpoint.write(folder / "last.safetensors", tensors, record)


def _explained(
    error: Diverged, optimizer: torch.optim.Optimizer, progress: TrainState, folder: Path
) -> Diverged:
    lr = max(group["lr"] for group in optimizer.param_groups)
    kept = (
        f"The best weights so far (step {progress.best_step}, validation loss {progress.best_loss:.4g}) are kept in "
        f"{folder / 'best.safetensors'}."
        if progress.best_step > 0
        else "It came before the first validation, so there are no good weights yet."
    )
    return Diverged(
        f"{error.message}: training has diverged. The likely cause is a learning rate that is too high (it was {lr:.3g}). {kept}",
        where=folder,
        remedy=f"Try --lr {lr / 10:.2g}, or --lr find to have it measured; --set clip=1 tames rare large gradients.",
    )


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question that the loop asks between steps, when its state is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(*_: object) -> None:
        asked.set()
        for number, handler in before.items():  # a second one takes effect at once
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
