"""A model without a net that finds many boxes in every image, and `foveate predict` with it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes
from foveate.cli import main, predict
from foveate.data.dataset import Image, Images
from foveate.inference.predictor import Predictor
from foveate.models.interactive import InteractivePredictor
from foveate.tasks.detection import Detection


class Crowded(Predictor):
    """Finds `count` boxes in every image."""

    def __init__(self, count: int = 20):
        self.count, self._task = count, Detection(("thing",))

    @property
    def name(self) -> str:
        return "crowded"

    @property
    def task(self) -> Detection:
        return self._task

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:  # noqa: ARG002
        corners = np.tile(np.array([[1.25, 2, 7, 9]]), (self.count, 1))
        return [
            Boxes(corners, np.zeros(self.count, int), np.linspace(0.9, 0.6, self.count))
            for _ in images
        ]

    def _set_image(self, image: Image) -> InteractivePredictor:
        raise NotImplementedError


class Counting(Crowded):
    """Counts the images that it predicts; fails on those whose red first pixel is in `fails_at`."""

    def __init__(self, count: int = 20, *, fails_at: frozenset[int] = frozenset()):
        super().__init__(count)
        self.images, self.fails_at = 0, fails_at

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        for image in images:
            if int(image[0, 0, 0]) in self.fails_at:
                raise ZeroDivisionError("a bug in the net")
        self.images += len(images)
        return super().predict_images(images, tile)


class Killed(Crowded):
    """Its process is killed at the second batch."""

    batches = 0

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        self.batches += 1
        if self.batches == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict_images(images, tile)


RUN = str(Path(__file__).parent)
"""Any place that is there: a run that is not is refused before it is opened."""


def command(*words: object) -> list[str]:
    """`foveate predict RUN` with this model in place of the run."""
    return [sys.executable, str(Path(__file__)), "predict", RUN, *map(str, words)]


if __name__ == "__main__":
    models = {"crowded": Crowded, "killed": Killed}
    model = models[os.environ.get("MODEL", "crowded")]
    predict.open_model = lambda *_: model()  # type: ignore[assignment]
    main.main()
