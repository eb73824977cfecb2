"""Everything that can be set for a run, with its default; what `config.yaml` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foveate import atomic_io
from foveate.errors import FoveateError, RunError, SettingError

FORMAT = 1
"""Of the run folder; raised whenever an older foveate could not continue what this one writes."""
LARGEST = 16384
"""Pixels a side of the pictures that can be trained on: a validation picture is answered as a whole."""


class Settings(BaseModel):
    """All settings of a run. None means: chosen from the data and the model, and written down once it is.

    Unknown names are refused, so a typing error can't pass in silence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: int = FORMAT
    data: str = ""
    root: str | None = None
    """Where named data sets are looked for first."""
    data_format: str | None = None
    """What the data is, where that cannot be told by looking."""
    task: str = "classification"
    model: str = "tiny_cnn"
    weights: str | None = None
    """Published weights to start from: a local file, "download", or the folder of a model hf:DIR."""
    freeze: bool = False
    """Whether these weights stay as they are, and only what is on them is trained: a linear probe, for classes."""
    text_encoder: str | None = None
    """clip:DIR, a folder of CLIP that reads the words, frozen, in place of a vocabulary of the captions; for text_to_image."""
    size: int | None = Field(None, ge=1, le=LARGEST)
    """Side of the pictures in pixels."""
    seed: int = Field(0, ge=0, lt=2**63)

    epochs: float | None = Field(None, gt=0)
    minutes: float | None = Field(None, gt=0)
    """A time budget from the start of the command. While it lasts the schedule is fitted to it; then `pace` says how."""
    pace: list[tuple[int, float, int]] | None = None
    """The corners (see `training.pace`) of a run that was made by minutes, with which it can be repeated to the bit."""
    batch_size: int = Field(128, ge=1)
    optimizer: Literal["sgd", "adam", "adamw", "muon"] | None = None
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    lr: float | Literal["find"] | None = Field(None)
    weight_decay: float = Field(5e-4, ge=0)
    half: bool | None = None
    """Whether to train in bfloat16, with weights and answers in float32; None: where it is measured to pay."""
    clip: float | None = Field(None, gt=0)
    accumulate: int = Field(1, ge=1)
    average: float | None = Field(None, gt=0, lt=1)
    """Decay of the running average of the weights; None: no average."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a lower validation loss."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    class_weights: Literal["balanced"] | list[float] | None = None

    augment: Literal["auto", "none", "strong"] = "auto"
    flip: bool | None = None
    """Whether a mirrored picture is still a good example of its class."""
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Shares of train, valid and test where the data brings no split."""
    group_by: str | None = None
    """What stays together: "folder:N", or a regular expression on the sample's id."""
    time_by: str | None = None
    """Split by time: "exif", "data" (as the data tells it), or a regular expression on the sample's id."""
    fold: str | None = Field(None, pattern=r"^[1-9][0-9]*/[1-9][0-9]*$")
    """I/K: the I-th of K equal parts is the test part, the next one the valid part."""
    split: str | None = None
    """A split.csv to use."""
    allow_leak: bool = False
    allow_skipped: bool = False
    allow_errors: bool = False
    save_seconds: float = Field(10.0, ge=0)
    """A kill loses at most so much work."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(given is not None for given in (self.epochs, self.minutes, self.pace)) > 1:
            raise ValueError("give epochs or minutes, not both")
        if self.fold is not None:
            tested, count = map(int, self.fold.split("/"))
            if not (count >= 3 and tested <= count):
                raise ValueError(
                    f"fold is expected to be I/K with K of 3 or more and I up to K, got {self.fold}"
                )
        if sum(given is not None for given in (self.fold, self.time_by, self.split)) > 1:
            raise ValueError("give one of fold, time_by and split")
        if isinstance(self.lr, float) and self.lr <= 0:
            raise ValueError("lr is expected to be above 0")
        if any(share <= 0 for share in self.fractions) or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(
                f"fractions are expected to be above 0 and to sum to 1, got {self.fractions}"
            )
        return self

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Validated settings. Raises SettingError in the user's words."""
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingError(*_first(error)) from None

    def to_yaml(self) -> str:
        """As config.yaml holds it."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _first(error: ValidationError) -> tuple[str]:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"][:1])
    if problem["type"] == "extra_forbidden":
        return (f"there is no setting {name!r}; there are: {', '.join(Settings.model_fields)}",)
    what = problem["msg"].removeprefix("Value error, ")
    return (f"{name}: {what}, got {problem['input']!r}" if name else what,)


def read(path: Path) -> Settings:
    """The settings of a run. Raises RunError where there are none, or they are from a newer foveate."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        newer = int(given.get("format", 0)) > FORMAT
    except FileNotFoundError:
        raise RunError(
            "this is no run: it has no config.yaml",
            where=path.parent,
            remedy="Name a folder that foveate train wrote.",
        ) from None
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"this file cannot be read ({error})", where=path) from None
    if newer:
        raise RunError(
            f"this run has format {given['format']}; this foveate reads up to {FORMAT}",
            where=path.parent,
            remedy="Upgrade foveate: pip install --upgrade foveate.",
        )
    try:
        return Settings.of(**given)
    except FoveateError as error:
        raise RunError(error.message, where=path) from None


def write(path: Path, settings: Settings) -> None:
    """config.yaml, whole or not at all."""
    atomic_io.write_text(path, settings.to_yaml())
