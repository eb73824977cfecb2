"""The settings as keywords of the functions beside `foveate.train`: type checkers know them.

A test holds names and types to those of `Settings`, which say what each one means.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class TrialKeywords(TypedDict, total=False):
    """Every setting but `minutes`, which is the time of a whole study in `tune`."""

    task: str | None
    model: str
    epochs: float | None
    size: int | None
    batch_size: int | None
    lr: float | Literal["find"] | None
    weights: str | None
    freeze: bool
    augment: Literal["auto", "none", "strong"]
    flip: bool | None
    seed: int
    device: str
    root: str | None
    data_format: str | None
    text_encoder: str | None
    black: float | None
    white: float | None
    pages: Literal["first", "max", "bands"] | None
    max_pixels: int
    split_seed: int | None
    progress_segments: list[tuple[int, float, int]] | None
    optimizer: Literal["sgd", "adam", "adamw", "muon"] | None
    schedule: Literal["one-cycle", "cosine", "constant"]
    weight_decay: float
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    compile: bool
    clip: float | None
    accumulate: int
    ema: float | None
    patience: int | None
    label_smoothing: float
    class_weights: Literal["balanced"] | list[float] | None
    fractions: tuple[float, float, float]
    group_by: str | None
    time_by: str | None
    fold: str | None
    split: str | None
    allow_leak: bool
    drop_leaks: bool
    rare_classes: Literal["refuse", "train", "merge", "drop"]
    allow_skipped: bool
    allow_errors: bool
    log: Literal["tensorboard", "mlflow", "wandb"] | None
    save_seconds: float


class SettingKeywords(TrialKeywords, total=False):
    """Every setting of `foveate.train`."""

    minutes: float | None
