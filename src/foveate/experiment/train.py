"""Step 5: from prepared data and settings to the weights with the lowest validation loss."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foveate import models, processes
from foveate.data.batches import AugmentPolicy, Batches
from foveate.data.depth import reading_of
from foveate.data.subset import Subset
from foveate.errors import Diverged, SettingError
from foveate.experiment.building import build_net, recipe_of
from foveate.experiment.fitted import measure_fit, own_batches
from foveate.experiment.model_file import header
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.probing import start_from_probe, starts_from_probe
from foveate.experiment.rehearsal import rehearse, warn_of_short_budget
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.smaller_batches import smaller_batches
from foveate.models.features import last_layer
from foveate.models.model import VisionModel
from foveate.progress import Reporter
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.tasks.tiling import Tiled
from foveate.training import device, distributed, helping, reproducibility, time_budget
from foveate.training.ema import ModelEMA
from foveate.training.fit import TrainConfig, TrainResult, fit
from foveate.training.lr_finder import find_lr
from foveate.training.optim import layer_rates, optimizer
from foveate.training.schedule import schedule
from foveate.training.state import Progress, TrainState
from foveate.wording import count_noun

MIN_EPOCHS = 4
"""Epochs without epochs or minutes, however many images there are."""
PROBE_RATE = 0.1
"""Factor of the learning rate for a last layer that begins as the linear probe: larger steps would
undo the fit. Measured with `efficientnet_lite0` (benchmarks/README.md)."""


def learn(
    run: RunFolder,
    prepared: PreparedData,
    reporter: Reporter,
    began: float,
    scoring: float = 0.0,
    *,
    resume: bool,
) -> TrainResult:
    """Train, or resume training; leaves config.yaml with every setting resolved, and the weights.

    Where several processes train together, each of them calls this.

    Args:
        run: The run.
        prepared: Its data.
        reporter: Receives the progress.
        began: time.monotonic() at the start of the command, from which the time budget counts.
        scoring: Seconds that it takes to score the predictions for the validation split.
        resume: Whether to go on from last.safetensors.

    Raises:
        Diverged: Training has diverged.
        RunError: The device has too little memory.
        SettingError: The settings do not fit the data or the net.
    """
    while True:
        try:
            return _learn(run, prepared, reporter, began, scoring, resume=resume)
        except torch.OutOfMemoryError:
            smaller = smaller_batches(run, alone=not resume and processes.size() == 1)
        # Out of the block above, which holds on to the tensors of the steps.
        gc.collect()
        torch.accelerator.memory.empty_cache()
        reporter.warning(
            f"the memory of the device does not hold a batch of {run.settings.batch_size} images: "
            f"training begins again with batches of {smaller['batch_size']}, of which "
            f"{smaller['accumulate']} make a step"
        )
        run.checkpoint.unlink(missing_ok=True)
        run.save_settings(**smaller)


def _learn(
    run: RunFolder,
    prepared: PreparedData,
    reporter: Reporter,
    began: float,
    scoring: float,
    *,
    resume: bool,
) -> TrainResult:
    """Train once; see `learn`."""
    began_on = run.settings.device
    torch_device = device.prepare(run.settings.seed, run.device or began_on)
    moved = []
    if resume and began_on not in (device.AUTO, str(torch_device)):
        moved.append(f"this run began on {began_on} and goes on with {torch_device}")
        reporter.warning(f"{moved[-1]}: it will not end with the same bits")
    run.save_settings(device=str(torch_device))
    settings = _with_precision(_with_length(run.settings, prepared), torch_device)
    policy = augmentation(settings, prepared)
    pixels, targets, ids = prepared.of("train")
    task = type(prepared.task).from_settings(
        prepared.images.dataset, run.settings, targets, hflip=policy.flip
    )
    valid: tuple[Subset, Sequence[Any], Sequence[str]] = prepared.of("valid")
    if isinstance(task, Tiled):
        valid = task.tile_targets(*valid)
    net = build_net(task, settings, pixels, reading_of(prepared.images.dataset))
    net = net.to(torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = None
    if starts_from_probe(settings):
        assert isinstance(task, Classification), "a linear probe tells classes apart"
        net.keeps_statistics = True
        if not processes.is_main():
            start = helping.wait_and_help()
        else:
            with helping.helped():
                start = (
                    None
                    if resume
                    else start_from_probe(
                        task,
                        net,
                        prepared,
                        settings.seed,
                        reporter,
                        alone=settings.model == models.PROBE,
                    )
                )
            processes.broadcast(start)
    distributed.copy_from_main(net)
    assert settings.batch_size is not None, "it is resolved"
    make_batches = partial(
        Batches,
        task,
        pixels,
        targets,
        ids,
        batch_size=min(settings.batch_size, len(ids)),
        seed=settings.seed,
        augment=policy,
        device=torch_device,
    )
    if processes.is_main():
        settings = _with_optimizer(settings, task, net, make_batches(), reporter)
    batches = make_batches(rank=processes.rank(), ranks=processes.size())
    settings = processes.broadcast(settings)
    run.save_settings(
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        precision=settings.precision,
        optimizer=settings.optimizer,
        lr=settings.lr,
        flip=policy.flip,
    )

    amp = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(settings.precision)
    rehearsal = None
    if settings.minutes is not None and settings.model != models.PROBE:
        rehearsal = processes.broadcast(
            rehearse(task, net, prepared, valid, scoring=scoring, began=began, amp=amp)
        )
    elapsed, after = processes.broadcast(
        (0.0 if resume else time.monotonic() - began, rehearsal.after if rehearsal else 0.0)
    )
    segments, budget = _segments(settings, batches, elapsed + after)
    least = time_budget.MIN_TRAINING * 60 * (settings.minutes or 0.0)
    if rehearsal:
        warn_of_short_budget(rehearsal, elapsed, len(ids), run.settings, reporter)
    assert settings.optimizer is not None, "it is resolved"
    assert isinstance(settings.lr, float), "it is resolved"
    state = TrainState(
        net,
        _optimizer(settings, net, settings.lr),
        ModelEMA(net, settings.ema) if settings.ema else None,
        Progress(segments=segments),
        torch.amp.GradScaler(torch_device.type) if settings.precision == "float16" else None,
    )
    if resume:
        state.load(run.checkpoint)
        if state.processes != processes.size():
            before = count_noun(state.processes, "process", "processes")
            moved.append(f"this run began with {before} and goes on with {processes.size()}")
            reporter.warning(f"{moved[-1]}: it will not end with the same bits")
        state.irreproducible += [reason for reason in moved if reason not in state.irreproducible]
    config = TrainConfig(
        schedule=schedule(settings.schedule),
        budget=budget,
        seed=settings.seed,
        clip=settings.clip,
        accumulate=settings.accumulate,
        amp=amp,
        patience=settings.patience,
        save_seconds=settings.save_seconds,
        compiled=settings.compile,
        validation_seconds=rehearsal.validation if rehearsal else 0.0,
        seconds_after=after,
        least_seconds=least,
    )
    shown = None if budget is None else max(budget, least)
    notes = reproducibility.noted(state.irreproducible)
    with notes, reporter.training(batches.per_epoch, task.curve_metric, shown) as on_step:
        result = fit(
            state,
            task,
            batches,
            lambda: own_batches(task, net, valid),
            config,
            run.path,
            header(task, net, run.settings),
            on_step,
            start=start,
        )
    if result.reason != "interrupted":
        if settings.minutes is not None:
            run.save_settings(minutes=None, progress_segments=result.progress.segments)
        _calibrate(run, *valid[:2])
        result = replace(result, fitted=measure_fit(run, prepared))
    processes.wait()
    return result


# --- settings -> concrete


def _with_length(settings: Settings, prepared: PreparedData) -> Settings:
    """With a number of epochs, unless the time is limited, and with a size of the batches."""
    known = settings.epochs, settings.minutes, settings.progress_segments
    recipe = recipe_of(settings)
    batch_size = settings.batch_size or recipe.batch_size
    settings = settings.model_copy(update={"batch_size": batch_size})
    if any(length is not None for length in known) or settings.model == models.PROBE:
        return settings
    epochs = round(recipe.images_seen / len(prepared.splits["train"]))
    epochs = min(recipe.max_epochs, max(MIN_EPOCHS, epochs))
    return settings.model_copy(update={"epochs": epochs})


def _with_precision(settings: Settings, torch_device: torch.device) -> Settings:
    if settings.precision != "auto":
        return settings
    precision = device.fastest_precision(torch_device, on_cpu=recipe_of(settings).bf16)
    return settings.model_copy(update={"precision": precision})


def _with_optimizer(
    settings: Settings, task: Task[Any], net: VisionModel, batches: Batches, reporter: Reporter
) -> Settings:
    """With an optimizer and a learning rate; "find" measures the rate."""
    recipe = recipe_of(settings)
    name, lr = settings.optimizer or recipe.optimizer, settings.lr or recipe.lr
    if lr == "find":
        named = settings.model_copy(update={"optimizer": name})
        lr_range = find_lr(net, task.loss, batches, partial(_optimizer, named), seed=settings.seed)
        lr = lr_range.suggestion
        reporter.info(
            f"learning rate {lr:.2g}, found by a range test of {len(lr_range.rates)} steps"
        )
    return settings.model_copy(update={"optimizer": name, "lr": float(lr)})


def _optimizer(settings: Settings, net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The optimizer; pretrained layers have the rates of the recipe, a fitted one PROBE_RATE."""
    assert settings.optimizer is not None, "it is resolved"
    assert isinstance(net, VisionModel), "a complete net is expected"
    rates: dict[Tensor, float] = {}
    if settings.weights is not None and not settings.freeze:
        rates = layer_rates(net.backbone, recipe_of(settings).rate_decay)
        if starts_from_probe(settings) and (layer := last_layer(net)) is not None:
            rates |= dict.fromkeys(layer.parameters(), PROBE_RATE)
    return optimizer(
        settings.optimizer, net, lr=lr, weight_decay=settings.weight_decay, rates=rates
    )


def _segments(
    settings: Settings, batches: Batches, other: float
) -> tuple[time_budget.Segments, float | None]:
    """Progress by step, and the seconds of a time budget that are left for training.

    `other` are the seconds before and after training; if they take longer, less than 0 are left.
    """
    if settings.model == models.PROBE:
        return time_budget.straight(0), None
    if settings.minutes is not None:
        return time_budget.unknown(), 60 * settings.minutes - other
    segments = settings.progress_segments or time_budget.straight(
        max(1, round((settings.epochs or 1) * batches.per_epoch))
    )
    if settings.accumulate > segments[-1][2]:
        raise SettingError(
            f"accumulate is expected to be at most the {segments[-1][2]:,} batches of this run, "
            f"got {settings.accumulate:,}: the weights would never change"
        )
    return segments, None


# --- building


def augmentation(settings: Settings, prepared: PreparedData) -> AugmentPolicy:
    """The augmentation of train images in a run with these settings."""
    return prepared.task.augmentation(
        prepared.images.pixels.shape[1],
        hflip_safe=prepared.images.dataset.hflip_safe if settings.flip is None else settings.flip,
        classes=prepared.task.classes,
        kind=settings.augment,
        epochs=settings.epochs,
    )


def _calibrate(run: RunFolder, images: Any, targets: Sequence[Any]) -> None:
    """Let the task choose thresholds and the like on the validation split; saves the model.

    Every rank predicts its share of the images, and all of them choose the same.
    """
    if not run.weights.is_file():
        raise Diverged(
            "no validation loss was a finite number, so there are no weights to keep",
            where=run.path,
            remedy="Try a tenth of the learning rate, or --lr find.",
        )
    task, net = run.load()
    task.calibrate(net, images, targets)
    if processes.is_main():
        run.save_model(task, net)
