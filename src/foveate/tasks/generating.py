"""Images from words, whatever computes the net: torch, or an exported file. Without torch."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image, Images
from foveate.data.rng import SampleRNG
from foveate.data.vocabulary import TextReader
from foveate.errors import SettingError
from foveate.metrics.generation import GeneratedImage, image_keys
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.presenters.text_to_image import Prediction, TextToImagePresenter
from foveate.tasks.prompted import CaptionedImages

DEFAULT_STEPS = 20
MAX_STEPS = 1000
"""Most integration steps."""
MAX_GUIDANCE = 20.0
BATCH_SIZE = 64
"""Images that are generated at once."""

N = TypeVar("N")


class Generating(TextToImagePresenter, GeneratesImages[N], Generic[N]):
    """Draws the noise and reads the words from which a net of type N generates images.

    Attributes:
        reader: Turns captions into tokens.
        guidance: Default scale of the guidance.
        steps: Default number of integration steps.
    """

    reader: TextReader
    guidance: float
    steps: int

    @abstractmethod
    def _shape(self, net: N) -> tuple[int, int, int]:
        """(C, H, W) of the images."""

    @abstractmethod
    def _stages(
        self,
        net: N,
        noise: NDArray[np.float32],
        words: NDArray[np.generic],
        guidance: float,
        steps: int,
        *,
        every: bool,
    ) -> list[NDArray[np.uint8]]:
        """(B, H, W, C) images from noise (B, C, H, W): of every stage, or of the last alone."""

    def predict(self, net: N, images: Images) -> list[Prediction]:
        """Generate an image from each caption; from none for images without captions."""
        captioned = isinstance(images, CaptionedImages)
        texts = images.texts if isinstance(images, CaptionedImages) else [""] * len(images)
        generated = self._sample(
            net, texts, SampleRNG(image_keys(images), 0), self.guidance, self.steps, every=False
        )
        reals = images if captioned else [None] * len(images)
        return [
            GeneratedImage(stages[-1], text, real)
            for stages, text, real in zip(generated, texts, reals, strict=True)
        ]

    def generate(
        self,
        net: N,
        texts: Sequence[str],
        rng: SampleRNG,
        *,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        """Generate an image for each text, with all stages."""
        for text in dict.fromkeys(texts):
            self.reader.check(text)
        guidance = self.guidance if guidance is None else guidance
        steps = self.steps if steps is None else steps
        if not 1 <= steps <= MAX_STEPS:
            raise SettingError(f"1 to {MAX_STEPS} steps are expected, got {steps}", where="steps")
        if not (math.isfinite(guidance) and 0 <= guidance <= MAX_GUIDANCE):
            raise SettingError(
                f"a scale from 0 to {MAX_GUIDANCE:g} is expected, got {guidance}", where="guidance"
            )
        return self._sample(net, texts, rng, guidance, steps, every=True)

    def _sample(
        self,
        net: N,
        texts: Sequence[str],
        rng: SampleRNG,
        guidance: float,
        steps: int,
        *,
        every: bool,
    ) -> Iterator[list[Image]]:
        """The stages for each text, from the noise on; see `_stages`."""
        shape = self._shape(net)
        noise = rng.normal(int(np.prod(shape)))
        for start in range(0, len(texts), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            first, words = noise[rows].reshape(-1, *shape), self.reader.read(texts[rows])
            stages = self._stages(net, first, words, guidance, steps, every=every)
            for row in range(len(first)):
                yield [stage[row] for stage in stages]
