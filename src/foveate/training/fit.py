"""A training run around the loop: validate, keep the best weights, save, stop in time."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveate import processes
from foveate.data.batches import Batches
from foveate.data.prefetch import prefetched
from foveate.data.rng import derive_seed
from foveate.errors import Diverged
from foveate.progress import OnStep
from foveate.training import checkpoint, curves, distributed, time_budget
from foveate.training.finite import FiniteCheck
from foveate.training.loop import Step, steps
from foveate.training.state import AutoSave, Progress, TrainState
from foveate.training.stopping import stop_requests
from foveate.training.validation import BatchStream, Trainable, validate

READ_EVERY = 16
"""Steps of an accelerator between two readings of the loss. A reading waits for the device."""
AHEAD = 2
"""Batches that are prepared ahead for an accelerator. A CPU that trains is no faster by it."""


def computes_at_once(device: torch.device) -> bool:
    """Whether a step is computed when the call returns; accelerators only queue it."""
    return device.type == "cpu"


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        schedule: Progress from 0 to 1 -> factor of the peak learning rate.
        budget: Seconds of training after which the run must end, or None; see `TimeBudget`.
        validation_seconds: Seconds of a validation, as far as they are known.
        seconds_after: Seconds that evaluation and report will take, as far as they are known.
        least_seconds: Seconds of training that the budget never falls below.
        seed: Seed of dropout and the like.
        clip: Largest norm of the gradient, or None.
        accumulate: Batches whose gradients are summed before the weights change.
        amp: dtype of the forward pass, or None for full precision.
        compiled: Whether torch.compile makes the forward and the backward pass faster.
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
    compiled: bool = False
    validation_seconds: float = 0.0
    seconds_after: float = 0.0
    least_seconds: float = 0.0


@dataclass(frozen=True)
class TrainResult:
    """How training ended.

    Attributes:
        reason: "finished", "patience" or "interrupted".
        progress: How far the run came.
        irreproducible: Why the same command may give other bits.
        fitted: Loss and curve metric of the kept weights on train images that are not augmented.
    """

    reason: str
    progress: Progress
    irreproducible: Sequence[str] = ()
    fitted: tuple[float, float] | None = None


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
    Where several processes train together, each calls this, and rank 0 writes.

    Args:
        state: Where to begin: new, or loaded from last.safetensors.
        task: Gives the loss and the metric of a batch.
        batches: The train split, or this process's share of it.
        validation: Opens the batches of the validation split, or this process's share of them, the
            same each time.
        config: How to train.
        folder: The run folder.
        header: What best.safetensors must carry to be used.
        on_step: Called after each step, or after several where a device is not waited for.
        start: Loss and metric on the train split before the first step, if the weights are worth
            keeping: they are validated too, so the best ones are never worse.

    Raises:
        Diverged: The loss or the gradient is not finite.
        RunError: A file cannot be written.
    """
    progress, main = state.progress, processes.is_main()
    # The net that is validated and saved as the best: the EMA, if there is one.
    best_net = copy.deepcopy(state.net) if state.ema is not None else state.net
    autosave = AutoSave(state, folder / "last.safetensors", config.save_seconds)
    began, first_step = time.monotonic() - progress.seconds, progress.step

    def close_epoch(train_loss: float, metric: float, lr: float) -> None:
        if state.ema is not None:
            best_net.load_state_dict(state.ema.state)
        validation_began = time.monotonic()
        valid = validate(best_net, task, validation(), config.amp)
        state.net.train()
        if budget is not None:
            # The same number on all ranks, which must end at the same step.
            budget.add_validation(processes.broadcast(time.monotonic() - validation_began))
        row = _curve_row(progress, task, (train_loss, metric), valid, batches, lr)
        progress.close_epoch(row, task.kept_by)
        if main:
            curves.write(folder / "curves.csv", progress.rows)
            if progress.best_step == progress.step:
                checkpoint.write(folder / "best.safetensors", best_net.state_dict(), header)

    budget = None
    if config.budget is not None:
        budget = time_budget.TimeBudget(
            config.budget,
            progress.step,
            progress.seconds,
            batches.per_epoch,
            config.validation_seconds,
            config.seconds_after,
            config.least_seconds,
        )
    if first_step == 0:
        if start is not None and not progress.rows:
            close_epoch(*start, 0.0)
        if main:
            autosave.save()
    every, ahead = 1, 0
    if not computes_at_once(next(state.net.parameters()).device):
        # Whole updates, after which the state can be saved.
        every = config.accumulate * max(1, READ_EVERY // config.accumulate)
        ahead = AHEAD
    check = FiniteCheck(every)

    with stop_requests() as stop_requested:
        stream = _steps(state, task, batches, config, check, ahead)
        reason, stop = "finished", False
        losses: list[Tensor] = []  # that are not read yet

        def validation_due() -> bool:
            return progress.step >= progress.total or time_budget.validation_due(
                progress.segments, progress.step, batches.per_epoch, progress.validations
            )

        try:
            while progress.step < progress.total:
                if config.patience and progress.epochs_since_best >= config.patience:
                    reason = "patience"
                    break
                # Gradients that are being summed are not saved: stop and save between two updates.
                if progress.step % config.accumulate == 0 and not losses:
                    if stop or (processes.size() == 1 and stop_requested()):
                        reason = "interrupted"
                        break
                    if main and progress.step > first_step:
                        autosave.save_if_due()
                step = next(stream)
                progress.step += 1
                losses.append(step.losses["total"].detach())
                if progress.step % check.every and not validation_due():
                    continue
                check.read()
                seconds = time.monotonic() - began
                reading = _read(task, step, losses, batches, seconds, stop=stop_requested())
                losses.clear()
                progress.add(reading.losses, reading.metric)
                progress.seconds, stop = reading.seconds, reading.stop
                if budget is not None:
                    progress.segments = budget.update(
                        progress.segments, progress.step, progress.seconds, ahead
                    )
                if validation_due():
                    metric = progress.epoch_metric
                    close_epoch(
                        progress.epoch_loss, math.nan if metric is None else metric, step.lr
                    )
                on_step(progress, reading.losses[-1])
        except Diverged as error:
            raise _explained(error, state, folder) from None
        finally:
            stream.close()
    if main:
        autosave.save()
    processes.wait()
    return TrainResult(reason, progress, state.irreproducible)


def _steps(
    state: TrainState,
    task: Trainable,
    batches: Batches,
    config: TrainConfig,
    check: FiniteCheck,
    ahead: int,
) -> Generator[Step]:
    """The loop of this run, from the step that the state has reached."""
    progress, rank = state.progress, processes.rank()

    def progress_at(step: int) -> float:
        return time_budget.progress_at(progress.segments, step)  # they grow while it runs

    forward = distributed.shared(state.net)
    if config.compiled:
        forward = torch.compile(state.net if forward is None else forward)  # type: ignore[assignment]
    yield from steps(
        state.net,
        task.loss,
        prefetched(batches(progress.step, progress_at), ahead),
        state.optimizer,
        lambda step: config.schedule(progress_at(step)),
        start=progress.step,
        seed=derive_seed(config.seed, rank) if rank else config.seed,
        clip=config.clip,
        accumulate=config.accumulate,
        amp=config.amp,
        scaler=state.scaler,
        ema=state.ema,
        forward=forward,
        loss_weight=batches.loss_weight,
        check=check,
    )


@dataclass(frozen=True)
class _Reading:
    """What is read after some steps, equal on all ranks.

    Attributes:
        losses: The loss of each step, over all of its batch.
        metric: The metric of the last step, nan if nothing is scored.
        seconds: Seconds of training on rank 0.
        stop: Whether some rank is asked to stop.
    """

    losses: list[float]
    metric: float
    seconds: float
    stop: bool


def _read(
    task: Trainable,
    last: Step,
    losses: list[Tensor],
    batches: Batches,
    seconds: float,
    *,
    stop: bool,
) -> _Reading:
    """Read the losses of the last steps, and the metric of the last of them."""
    values = torch.stack(losses).tolist()
    with torch.no_grad():
        metric = task.batch_metric(last.output, last.target, quick=True)
    if processes.size() == 1:
        return _Reading(values, metric, seconds, stop)
    first = last.number + 1 - len(values)
    weighted = [value * batches.loss_weight(step) for step, value in enumerate(values, first)]
    ranks = np.array(processes.gather_numbers([*weighted, metric, seconds, float(stop)]))
    scored = ranks[~np.isnan(ranks[:, -3]), -3]
    return _Reading(
        ranks[:, :-3].mean(0).tolist(),
        float(scored.mean()) if len(scored) else math.nan,
        float(ranks[0, -2]),
        bool(ranks[:, -1].any()),
    )


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


def _explained(error: Diverged, state: TrainState, folder: Path) -> Diverged:
    """The error with its likely cause, what is saved, and what to try."""
    lr, progress = max(group["lr"] for group in state.optimizer.param_groups), state.progress
    saved = (
        f"The best weights so far, of step {progress.best_step}, are in "
        f"{folder / 'best.safetensors'}."
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
