"""The schema of how a model's image files are read, as it is stored with the weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveate.data.image_reading import MAX_PIXELS
from foveate.settings import MAX_VALUE


class ReadingRecord(BaseModel):
    """How the image files of a run are read, see `data.image_reading`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    black: float | None = None
    white: float | None = None
    pages: Literal["first", "max", "bands"] | None = None
    max_pixels: Annotated[int, Field(ge=1, le=MAX_VALUE)] = MAX_PIXELS

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.black is not None and self.white is not None and self.black >= self.white:
            raise ValueError("black below white is expected")
        return self
