"""What an exported file says about its model, as JSON in its metadata."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from foveate.data.reading_record import ReadingRecord
from foveate.settings import MAX_SIZE

INPUT = "images"
"""Name of the input, (N, H, W, C) uint8."""
KEY = "foveate"
"""The metadata entry that holds the record."""
FORMAT = 3
"""Of exported files; another number cannot be read."""


class ExportRecord(BaseModel):
    """The description of an exported model.

    Attributes:
        format: FORMAT.
        version: Of foveate.
        task: The name of the task.
        classes: The class names.
        options: Of the task, as it was calibrated.
        model: The name of the model.
        size: Pixels a side of the training images.
        channels: Of the images.
        reading: How image files are read.
        weights: The sha256 of the run's weights.
        int8: Whether weights and activations have eight bits.
        mean: Of the pixels of the training images in each channel, from 0 to 255; of models that
            generate images.
        std: Their standard deviation, likewise.
        decoder: The sha256 of the file of the decoder; None without one.
        watch: What `foveate watch` compares images of service with; None if the model generates
            images. See `experiment.shipped.reference`.
        outputs: What each output holds, by its name.
        card: For people: how far to trust the run; see `experiment.card`.
    """

    model_config = ConfigDict(strict=True, extra="allow")

    format: int
    version: str
    task: str
    classes: Annotated[list[str], Field(max_length=1_000_000)]
    options: dict[str, Any]
    model: str
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)]
    channels: Annotated[int, Field(ge=1, le=1000)]
    reading: ReadingRecord = ReadingRecord()
    weights: str
    int8: bool = False
    mean: Annotated[list[float], Field(max_length=1000)] = []
    std: Annotated[list[float], Field(max_length=1000)] = []
    decoder: str | None = None
    watch: dict[str, Any] | None = None
    outputs: dict[str, str]
    card: dict[str, Any]

    @field_validator("format")
    @classmethod
    def _known(cls, value: int) -> int:
        if value != FORMAT:
            raise ValueError(f"this version of foveate reads the format {FORMAT}, got {value}")
        return value
