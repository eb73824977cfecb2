"""A training run around the loop: validate, keep the best weights, save, stop in time."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foveate.data.batches import Batches
from foveate.errors import Diverged
from foveate.progress import OnStep
from foveate.training import checkpoint, curves, time_budget
from foveate.training.device import autocast
from foveate.training.loop import Step, steps
from foveate.training.state import AutoSave, Progress, TrainState

BatchStream = Iterable[tuple[tuple[Tensor, ...], Any]]
"""(inputs, target) of each batch."""


class Trainable(Protocol):
    """The methods of a task that training needs."""

    @property
    def curve_metric(self) -> str:
        """Name of the metric that the learning curves show."""

    def loss(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Named scalar losses; `total` is minimised."""
        ...

    def batch_metric(self, output: Any, target: Any, *, quick: bool) -> float:
        """The curve metric of one batch, or of a few of its images; nan if nothing is scored."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        schedule: Progress from 0 to 1 -> factor of the peak learning rate.
        budget: Seconds of training after which the run must end, or None.
        seed: Seed of dropout and the like.
        clip: Largest norm of the gradient, or None.
        accumulate: Batches whose gradients are summed before the weights change.
        amp: dtype of the forward pass, or None for full precision.
        patience: Epochs without a lower validation loss after which the run ends, or None.
        save_seconds: Shortest time between two saves of last.safetensors.
    """

    schedule: Callable[[float], float]
    budget: float | None
    seed: int
    clip: float | None
    accumulate: int
    amp: torch.dtype | None
    patience: int | None
    save_seconds: float


@dataclass(frozen=True)
class TrainResult:
    """How training ended.

    Attributes:
        reason: "finished", "patience" or "interrupted".
        progress: How far the run came.
    """

    reason: str
    progress: Progress


def fit(
    state: TrainState,
    task: Trainable,
    batches: Batches,
    validation: Callable[[], BatchStream],
    config: TrainConfig,
    folder: Path,
    header: dict[str, Any],
    on_step: OnStep = lambda progress, loss: None,
    *,
    start: tuple[float, float] | None = None,
) -> TrainResult:
    """Train to the end; leaves best.safetensors, last.safetensors and curves.csv in a folder.

    The first Ctrl-C or SIGTERM ends the run after the step that is under way, with all of it saved.

    Args:
        state: Where to begin: new, or loaded from last.safetensors.
        task: Gives the loss and the metric of a batch.
        batches: The train split.
        validation: Opens the batches of the validation split, the same each time.
        config: How to train.
        folder: The run folder.
        header: What best.safetensors must carry to be used.
        on_step: Called after each step.
        start: Loss and metric on the train split before the first step, if the weights are worth
            keeping: they are validated too, so the best ones are never worse.

    Raises:
        Diverged: The loss or the gradient is not finite.
        RunError: A file cannot be written.
    """
    progress = state.progress
    # The net that is validated and saved as the best: the EMA, if there is one.
    best_net = copy.deepcopy(state.net) if state.ema is not None else state.net
    autosave = AutoSave(state, folder / "last.safetensors", config.save_seconds)
    began, first_step = time.monotonic() - progress.seconds, progress.step

    def close_epoch(train_loss: float, metric: float, lr: float) -> None:
        if state.ema is not None:
            best_net.load_state_dict(state.ema.state)
        valid = validate(best_net, task, validation(), config.amp)
        state.net.train()
        progress.close_epoch(_curve_row(progress, task, (train_loss, metric), valid, batches, lr))
        curves.write(folder / "curves.csv", progress.rows)
        if progress.best_step == progress.step:
            checkpoint.write(folder / "best.safetensors", best_net.state_dict(), header)

    if first_step == 0:
        if start is not None and not progress.rows:
            close_epoch(*start, 0.0)
        autosave.save()
    budget = None
    if config.budget is not None:
        budget = time_budget.TimeBudget(config.budget, progress.step, progress.seconds)

    with _stop_requested() as stop_requested:
        stream = _steps(state, task, batches, config)
        reason = "finished"
        try:
            while progress.step < progress.total:
                if config.patience and progress.epochs_since_best >= config.patience:
                    reason = "patience"
                    break
                # Gradients that are being summed are not saved: stop and save between two updates.
                if progress.step % config.accumulate == 0:
                    if stop_requested():
                        reason = "interrupted"
                        break
                    if progress.step > first_step:
                        autosave.save_if_due()
                step = next(stream)
                loss = step.losses["total"].item()
                progress.add(loss, _metric(task, step))
                progress.seconds = time.monotonic() - began
                if budget is not None:
                    progress.segments = budget.update(
                        progress.segments, progress.step, progress.seconds
                    )
                if progress.step % batches.per_epoch == 0 or progress.step >= progress.total:
                    metric = progress.epoch_metric
                    close_epoch(
                        progress.epoch_loss, math.nan if metric is None else metric, step.lr
                    )
                on_step(progress, loss)
        except Diverged as error:
            raise _explained(error, state, folder) from None
    autosave.save()
    return TrainResult(reason, progress)


def _steps(
    state: TrainState, task: Trainable, batches: Batches, config: TrainConfig
) -> Iterator[Step]:
    """The loop of this run, from the step that the state has reached."""
    progress = state.progress

    def progress_at(step: int) -> float:
        return time_budget.progress_at(progress.segments, step)  # they grow while it runs

    return steps(
        state.net,
        task.loss,
        batches(progress.step, progress_at),
        state.optimizer,
        lambda step: config.schedule(progress_at(step)),
        start=progress.step,
        seed=config.seed,
        clip=config.clip,
        accumulate=config.accumulate,
        amp=config.amp,
        ema=state.ema,
    )


@torch.no_grad()
def _metric(task: Trainable, step: Step) -> float:
    return task.batch_metric(step.output, step.target, quick=True)


def _curve_row(
    progress: Progress,
    task: Trainable,
    train: tuple[float, float],
    valid: tuple[float, float],
    batches: Batches,
    lr: float,
) -> curves.CurveRow:
    """The row of curves.csv for the epoch that ends at this step."""
    return {
        "step": progress.step,
        "epoch": round(progress.step / batches.per_epoch, 3),
        "train_loss": train[0],
        "valid_loss": valid[0],
        f"train_{task.curve_metric}": train[1],
        f"valid_{task.curve_metric}": valid[1],
        "lr": lr,
        "seconds": round(progress.seconds, 3),
    }


@torch.no_grad()
def validate(
    net: nn.Module, task: Trainable, batches: BatchStream, amp: torch.dtype | None = None
) -> tuple[float, float]:
    """Mean loss and metric over batches, each image with the same weight.

    Args:
        net: The net; it is left in evaluation mode.
        task: Gives the loss and the metric of a batch.
        batches: The validation split.
        amp: dtype of the forward pass, or None for full precision.

    Returns:
        (loss, metric); nan where there is nothing to score.
    """
    net.eval()
    device = next(net.parameters()).device
    loss_sum = metric_sum = 0.0
    images = scored = 0
    for inputs, target in batches:
        size = len(inputs[0])
        with autocast(device, amp):
            output = net(*(tensor.to(device) for tensor in inputs))
            loss_sum += task.loss(output, target)["total"].item() * size
        images += size
        metric = task.batch_metric(output, target, quick=False)
        if not math.isnan(metric):
            metric_sum += metric * size
            scored += size
    loss = loss_sum / images if images else math.nan
    return loss, metric_sum / scored if scored else math.nan


def _explained(error: Diverged, state: TrainState, folder: Path) -> Diverged:
    """The error with its likely cause, what is saved, and what to try."""
    lr, progress = max(group["lr"] for group in state.optimizer.param_groups), state.progress
    saved = (
        f"The best weights so far (step {progress.best_step}, validation loss "
        f"{progress.best_loss:.4g}) are in {folder / 'best.safetensors'}."
        if progress.best_step > 0
        else "It came before the first validation, so there are no good weights yet."
    )
    return Diverged(
        f"{error.message}: training has diverged. The likely cause is a learning rate that is too "
        f"high (it was {lr:.3g}). {saved}",
        where=folder,
        remedy=f"Try --lr {lr / 10:.2g}, or --lr find to have it measured; "
        "--set clip=1 limits rare large gradients.",
    )


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came: asked between steps, when the state can be saved.

    The second signal takes effect at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    requested = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(*_: object) -> None:
        requested.set()
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield requested.is_set
    finally:
        restore()
