"""Step 5: from material and settings to the weights of lowest validation loss."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from foveate import models, settings
from foveate.progress import Reporter
from foveate.data.batches import Batches, Policy, in_order
from foveate.errors import Diverged
from foveate.experiment.prepare import PreparedData
from foveate.experiment.run import Run, header
from foveate.models.model import VisionModel, pixel_statistics, published_statistics
from foveate.settings import Settings
from foveate.tasks.task import Task
from foveate.training import checkpoint, device, fit, time_budget
from foveate.training.ema import ModelEMA
from foveate.training.lr_finder import find_lr
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

DEFAULT_PICTURES = 300_000
"""Pictures shown in all where neither epochs nor minutes are given: few epochs of much data, at most 60 of little."""


def learn(
    run: Run, prepared: PreparedData, reporter: Reporter, began: float, again: bool
) -> fit.TrainResult:
    """Train, or go on with training (again); leaves config.yaml with every setting resolved, and the weights.

    began: time.monotonic() when the command began, from which --minutes counts
    """
    wanted = run.settings
    where = device.prepare(wanted.seed)
    recipe = models.find(wanted.model).recipe(
        pretrained=wanted.weights is not None, frozen=wanted.freeze
    )
    half = device.bf16_is_faster(where, on_cpu=recipe.half) if wanted.half is None else wanted.half
    pixels, targets, ids = prepared.of("train")
    epochs = wanted.epochs
    if epochs is None and wanted.minutes is None and wanted.pace is None:
        epochs = min(60, max(4, round(DEFAULT_PICTURES / len(ids))))
    policy = augmentation(run.settings.model_copy(update={"epochs": epochs}), prepared)
    task = type(prepared.task).from_settings(
        prepared.images.dataset, wanted, targets, mirror=policy.flip
    )
    valid = task.cut(*prepared.of("valid"))
    net = _net(task, wanted, pixels).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = Batches(
        task,
        pixels,
        targets,
        ids,
        batch_size=min(wanted.batch_size, len(ids)),
        seed=wanted.seed,
        augment=policy,
    )

    name = wanted.optimizer or recipe.optimizer
    built = partial(optimizer, name, weight_decay=wanted.weight_decay)
    lr = wanted.lr or recipe.lr
    if lr == "find":
        found = find_lr(
            net, task.loss, batches, lambda net, lr: built(net, lr=lr), seed=wanted.seed
        )
        reporter.info(
            f"learning rate {found.suggestion:.2g}, found by a range test of {len(found.rates)} steps"
        )
        lr = found.suggestion
    lr = float(lr)
    budget = None
    if wanted.minutes is not None:
        reserve = min(8.0, 8 * wanted.minutes)  # seconds for the final figures and the report
        budget = max(
            0.0, 60 * wanted.minutes - reserve - (0.0 if again else time.monotonic() - began)
        )
        corners = time_budget.unknown()
    elif wanted.pace is not None:
        corners = wanted.pace
    else:
        corners = time_budget.straight(max(1, round((epochs or 1) * batches.per_epoch)))
    resolved = {"optimizer": name, "lr": lr, "epochs": epochs, "flip": policy.flip, "half": half}
    run.settings = wanted.model_copy(update=resolved)
    settings.write(run.path / "config.yaml", run.settings)

    plan = fit.TrainConfig(
        corners=corners,
        budget=budget,
        schedule=schedule(wanted.schedule),
        seed=wanted.seed,
        clip=wanted.clip,
        accumulate=wanted.accumulate,
        amp=torch.bfloat16 if half else None,
        patience=wanted.patience,
        save_seconds=wanted.save_seconds,
    )
    with reporter.training(batches.per_epoch, task.curve_metric) as tick:
        outcome = fit.fit(
            net,
            task,
            batches,
            lambda: in_order(task, *valid),
            built(net, lr=lr),
            ModelEMA(net, wanted.average) if wanted.average else None,
            plan,
            run.path,
            header(task, net, run.settings),
            resume=again,
            reporter=tick,
        )
    if outcome.reason != "interrupted":
        if wanted.minutes is not None:
            run.settings = run.settings.model_copy(
                update={"minutes": None, "pace": outcome.progress.corners}
            )
            settings.write(run.path / "config.yaml", run.settings)
        _settle(run, *valid[:2])
    return outcome


def augmentation(wanted: Settings, prepared: PreparedData) -> Policy:
    """What is done to train pictures in a run with these settings."""
    return prepared.task.augmentation(
        prepared.images.pixels.shape[1],
        hflip_safe=prepared.images.dataset.hflip_safe if wanted.flip is None else wanted.flip,
        classes=prepared.task.classes,
        kind=wanted.augment,
        epochs=wanted.epochs,
    )


def _net(task: Task[Any], wanted: Settings, pixels: Any) -> VisionModel:
    """The net with its first weights; normalised by the train part, or as its published weights were."""
    size, channels = pixels.shape[1], pixels.shape[3]
    start: models.Weights = None
    if wanted.weights is not None:
        start = "download" if wanted.weights == "download" else Path(wanted.weights)
    backbone = models.build(wanted.model, channels=channels, size=size, weights=start)
    if wanted.freeze:
        backbone.freeze()
    mean, std = (
        published_statistics(channels, backbone.statistics) if start else pixel_statistics(pixels)
    )
    return VisionModel(task.head(backbone), size=size, mean=mean, std=std)


def _settle(run: Run, pixels: Any, targets: Sequence[Any]) -> None:
    """Let the task choose on the validation part what is chosen after training, and keep it with the best weights."""
    if not run.weights.is_file():
        raise Diverged(
            "no validation loss was a finite number, so there are no weights to keep",
            where=run.path,
            remedy="Try a tenth of the learning rate, or --lr find.",
        )
    task, net = run.load()
    task.calibrate(net, pixels, targets)
    checkpoint.write(run.weights, net.state_dict(), header(task, net, run.settings))
