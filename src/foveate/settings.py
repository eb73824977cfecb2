"""Everything that can be set for a run, with its default: the contents of config.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from foveate import atomic_io, record_io
from foveate.errors import RunError, SettingError
from foveate.wording import did_you_mean
from foveate.yaml_text import parse_yaml

FORMAT = 2
"""Format of the run folder, raised whenever runs of another foveate can no longer be continued."""
MAX_SIZE = 16384
"""Largest side in pixels that images are trained at: a validation image is predicted as a whole."""
MAX_STEPS = 10**9
RECORDED = ("format", "model_reason", "command")
"""Settings that foveate writes itself."""
MAX_VALUE = 10**12
"""Largest black, white or number of pixels that can be set."""

_MAX_BYTES = 1_000_000  # of config.yaml
_EXPECTED_SEGMENTS = (
    "a list of [step, progress, total] is expected, with rising steps from 0 on, progress from 0 "
    f"to 1, and totals above their step and up to {MAX_STEPS:,}"
)


class Settings(BaseModel):
    """All settings of a run. None stands for a choice by data and model, recorded once it is made.

    Unknown names are refused, so that a typing error cannot pass in silence. `foveate settings`
    lists the docstrings.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    format: Literal[2] = 2
    """Format of the run folder."""
    data: str = ""
    """The dataset: a path or a name."""
    root: str | None = None
    """Folder in which known datasets are looked for first."""
    data_format: str | None = None
    """Format of the data, where it cannot be recognised."""
    task: str = "classification"
    """A name that `foveate tasks` lists."""
    model: str = "auto"
    """A name that `foveate models` lists; auto: chosen by the task, the images and the time, see
    `experiment.choice`."""
    model_reason: str | None = None
    """Why foveate chose the model, where the user left that to it."""
    command: str | None = None
    """The command that began the run, as it was typed; foveate records it."""
    weights: str | None = None
    """Pretrained weights to start from: a local file, "download", the folder of a hf: model, or
    "included" for those that are installed with foveate."""
    freeze: bool = False
    """Whether the pretrained weights stay as they are and the head alone is trained."""
    text_encoder: str | None = None
    """clip:DIR, a CLIP text encoder, frozen, instead of a vocabulary; for text_to_image."""
    size: int | None = Field(None, ge=1, le=MAX_SIZE)
    """Side of the images in pixels."""
    black: float | None = Field(None, ge=-MAX_VALUE, le=MAX_VALUE)
    """The value that is black in images with more than 8 bits a channel; None measures it."""
    white: float | None = Field(None, ge=-MAX_VALUE, le=MAX_VALUE)
    """The value that is white in them."""
    pages: Literal["first", "max", "bands"] | None = None
    """What is made of the pages of a TIFF and the frames of a DICOM file: the first one, the
    maximum of all, or a band of each. None: the first one, and the audit reports the others."""
    max_pixels: int = Field(89_478_485, ge=1, le=MAX_VALUE)
    """Largest number of pixels that an image file may have."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all that is random: same seed, same machine, same numbers."""
    split_seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the split, where another seed trains on the same split; None: `seed`."""
    device: str = Field("auto", pattern=r"^[a-z]{1,20}(:[0-9]{1,3})?$")
    """What computes: "cpu", "cuda", "cuda:1", "mps" or "xpu"; "auto" is the best of the machine."""

    epochs: float | None = Field(None, gt=0, le=1_000_000)
    """Passes over the train split; None: as the time budget or the model's recipe says."""
    minutes: float | None = Field(None, gt=0, le=525_600)
    """Time budget, counted from the start of the command."""
    progress_segments: list[tuple[int, float, int]] | None = None
    """What a run of so many minutes made of its schedule; it repeats that run to the bit.
    See `training.time_budget`."""
    batch_size: int | None = Field(None, ge=1, le=1_000_000)
    """Images in a batch; None: as many as suit the model."""
    optimizer: Literal["sgd", "adam", "adamw", "muon"] | None = None
    """None: the one of the model's recipe."""
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    """How the learning rate changes over the steps."""
    lr: Annotated[float, Field(gt=0, le=1_000_000_000)] | Literal["find"] | None = None
    """Peak learning rate; "find" measures it; None: that of the model's recipe."""
    weight_decay: float = Field(5e-4, ge=0, le=1000)
    """How much the optimizer shrinks the weights."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the forward pass in training; weights and predictions are float32. auto: bfloat16 where
    the hardware multiplies it faster, and float16 on GPUs that have it alone."""
    compile: bool = False
    """Whether torch.compile makes the training steps faster; it takes a minute to begin, and a C++
    compiler."""
    clip: float | None = Field(None, gt=0, le=1_000_000_000)
    """Largest norm of the gradient."""
    accumulate: int = Field(1, ge=1, le=10_000)
    """Batches whose gradients are summed before the weights change."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the exponential moving average of the weights; None: no average."""
    patience: int | None = Field(None, ge=1, le=1_000_000)
    """Stop after so many epochs without a lower validation loss."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    class_weights: (
        Literal["balanced"] | list[Annotated[float, Field(ge=0, le=1_000_000)]] | None
    ) = None
    """Weights of the classes in the loss, in their order; "balanced": rare classes count more."""

    augment: Literal["auto", "none", "strong"] = "auto"
    """How strongly training images are changed at random."""
    flip: bool | None = None
    """Whether a mirrored image is still a good example of its class."""
    fractions: tuple[
        Annotated[float, Field(gt=0, lt=1)],
        Annotated[float, Field(gt=0, lt=1)],
        Annotated[float, Field(gt=0, lt=1)],
    ] = (0.7, 0.15, 0.15)
    """Shares of train, valid and test, where the data brings no split."""
    group_by: str | None = None
    """What stays in one split: "folder:N", or a regular expression on the sample's id."""
    time_by: str | None = None
    """Split by time: "exif", "data" (a field of the data), or a regular expression on the id."""
    fold: str | None = Field(None, pattern=r"^[1-9][0-9]{0,5}/[1-9][0-9]{0,5}$")
    """I/K: the I-th of K equal folds is the test split, the next one the validation split."""
    split: str | None = None
    """A split.csv to use."""
    allow_leak: bool = False
    """Whether to train although the splits share images."""
    drop_leaks: bool = False
    """Whether to leave train and valid images out that belong with images of a later split."""
    rare_classes: Literal["refuse", "train", "merge", "drop"] = "refuse"
    """Classes with fewer images than splits: "train" has them in train alone, "merge" makes one
    class of them, "drop" leaves them and their images out."""
    allow_skipped: bool = False
    """Whether to train although many images are unreadable."""
    allow_errors: bool = False
    """Whether to train although the audit finds errors."""
    log: Literal["tensorboard", "mlflow", "wandb"] | None = None
    """A tracker that gets curves, settings and report too. It writes on this machine, unless it is
    set up otherwise (MLFLOW_TRACKING_URI, WANDB_API_KEY)."""
    save_seconds: float = Field(10.0, ge=0, le=86_400)
    """Shortest time between two checkpoints: about what a kill loses. Large checkpoints are saved
    less often, so that saving takes a few percent of the time; 0 saves after every step."""

    @field_validator("progress_segments")
    @classmethod
    def _segments_rise(
        cls, segments: list[tuple[int, float, int]] | None
    ) -> list[tuple[int, float, int]] | None:
        if segments is not None:
            check_segments(segments)
        return segments

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        lengths = (self.epochs, self.minutes, self.progress_segments)
        if sum(length is not None for length in lengths) > 1:
            raise ValueError("give epochs or minutes, not both")
        if self.black is not None and self.white is not None and self.black >= self.white:
            raise ValueError(f"black below white is expected, got {self.black:g}, {self.white:g}")
        if self.fold is not None:
            tested, count = map(int, self.fold.split("/"))
            if not (count >= 3 and tested <= count):
                raise ValueError(
                    f"fold is expected to be I/K with K of 3 or more and I up to K, got {self.fold}"
                )
        if self.allow_leak and self.drop_leaks:
            raise ValueError("give allow_leak or drop_leaks, not both")
        if self.fold is not None and self.rare_classes == "train":
            raise ValueError("rare_classes of folds can be merge or drop: folds test every image")
        if sum(choice is not None for choice in (self.fold, self.time_by, self.split)) > 1:
            raise ValueError("give one of fold, time_by and split")
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"fractions are expected to sum to 1, got {self.fractions}")
        return self

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Validate settings.

        Raises:
            SettingError: A name is unknown, or a value cannot work; with the range that can.
        """
        check_setting_names(values)
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingError(_message(error)) from None

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the config.yaml of a run.

        Raises:
            RunError: The file is missing or damaged, or of another format.
        """
        try:
            values = parse_yaml(record_io.read_text(path, _MAX_BYTES))
            if not isinstance(values, dict) or type(version := values.get("format")) is not int:
                raise ValueError("settings and their format are expected")
            if version == FORMAT and (last := list(cls.model_fields)[-1]) not in values:
                raise ValueError(f"its end is missing: {last} is expected")
        except FileNotFoundError:
            raise RunError(
                "this is not a run: it has no config.yaml",
                where=path.parent,
                remedy="Name a folder that foveate train wrote.",
            ) from None
        # Dates such as 2001-99-99 and numbers of thousands of digits raise Python's own errors.
        except (yaml.YAMLError, ValueError, ArithmeticError, TypeError, LookupError) as error:
            line = getattr(getattr(error, "problem_mark", None), "line", None)
            reason = getattr(error, "problem", None) or error
            raise record_io.damaged(path, reason, line=None if line is None else line + 1) from None
        if version != FORMAT:
            raise RunError(
                f"this run has format {version}; this foveate reads format {FORMAT}",
                where=path.parent,
                remedy="Upgrade foveate: pip install --upgrade foveate."
                if version > FORMAT
                else "It is from an older foveate: train again into another --out.",
            )
        try:
            return cls.of(**{str(name): value for name, value in values.items()})
        except SettingError as error:
            raise record_io.damaged(path, error.message) from None

    def save(self, path: Path) -> None:
        """Write config.yaml, whole or not at all."""
        atomic_io.write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """The contents of config.yaml."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def check_segments(segments: Sequence[tuple[int, float, int]]) -> None:
    """Check the progress of a run, as `training.time_budget` records it.

    Raises:
        ValueError: It does not rise from 0 to 1.
    """
    steps = [step for step, _, _ in segments]
    if (
        not segments
        or segments[0][:2] != (0, 0.0)
        or any(after <= before for before, after in pairwise(steps))
        or any(not (0 <= done <= 1 and total <= MAX_STEPS) for _, done, total in segments)
        or any(total <= step for step, _, total in segments[:-1])
        or segments[-1][2] < segments[-1][0]
    ):
        raise ValueError(_EXPECTED_SEGMENTS)


_EXPECTED_TEXTS = {
    "device": "auto, cpu, cuda, cuda:1, mps or xpu is expected",
    "fold": "I/K is expected, such as 2/5",
}


def check_setting_names(names: Iterable[str]) -> None:
    """Raise SettingError for a name that is no setting; it names the nearest."""
    for name in names:
        if name not in Settings.model_fields:
            others = [known for known in Settings.model_fields if known not in RECORDED]
            raise SettingError(
                f"there is no setting {name!r}{did_you_mean(name, others)}",
                remedy=f"Settings: {', '.join(others)}. Their meaning: foveate settings",
            )


def check_given(names: Iterable[str]) -> None:
    """Raise SettingError for a name that is no setting, or that foveate itself records."""
    for name in names:
        check_setting_names([name])
        if name in RECORDED:
            raise SettingError("it is recorded by foveate and cannot be given", where=name)


def _message(error: ValidationError) -> str:
    """The first problem, with the setting's name and the values that it takes."""
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if not name:
        return problem["msg"].removeprefix("Value error, ")
    if name == "progress_segments":
        message = _EXPECTED_SEGMENTS
    elif problem["type"] == "string_pattern_mismatch":
        message = _EXPECTED_TEXTS[name]
    else:
        message = f"{describe_values(name)} is expected"
    return f"{name}: {message}, got {problem['input']!r}"


def describe_values(name: str) -> str:
    """Describe in words what a setting can be, beside None: "an integer from 1 up to 10"."""
    return _describe(Settings.model_json_schema()["properties"][name])


def _describe(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_describe(one) for one in schema["anyOf"] if one["type"] != "null")
    if words := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return " or ".join(map(repr, words))
    if schema["type"] == "array":
        if "prefixItems" in schema:  # so many, with a default
            items, example = schema["prefixItems"], list(schema["default"])
            return f"a list of {len(items)}, such as {example}, each {_describe(items[0])}"
        items = schema["items"]
        if items["type"] == "array":
            return "a list of lists"
        return f"a list, such as [1, 2.5], each {_describe(items)}"
    bounds = [f"{word} {schema[key]:,}" for key, word in _BOUNDS.items() if key in schema]
    joined = " and " if any(key.startswith("exclusive") for key in schema) else " "
    return f"{_TYPES[schema['type']]} {joined.join(bounds)}".rstrip()


_TYPES = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
}
_BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "up to",
    "exclusiveMaximum": "below",
}
