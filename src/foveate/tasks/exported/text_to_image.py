"""Text-to-image generation by two graphs: words to a conditioning, and a step of the sampler."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from foveate.data.vocabulary import MAX_WORDS, Vocabulary
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.generating import DEFAULT_STEPS, MAX_GUIDANCE, MAX_STEPS, Generating
from foveate.tasks.presenters.text_to_image import Prediction


class Sampler(Protocol):
    """Leads noise to images; see `inference.exported.sampler`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        ...

    def sample(
        self, noise: NDArray[np.float32], words: NDArray[Any], *, guidance: float, steps: int
    ) -> Iterator[NDArray[np.float32]]:
        """The noise, and the state after each step, (B, C, H, W) normalised."""
        ...

    def to_pixels(self, state: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(B, C, H, W) normalised -> (B, H, W, C)."""
        ...


class ExportedTextToImage(Generating[Sampler], ExportedTask[Prediction]):
    """Images from words of the training captions.

    Attributes:
        reader: The vocabulary of the training captions.
        guidance: Default scale of the guidance.
        steps: Default number of integration steps.
    """

    letterbox = False
    has_decoder = True
    refused_options: ClassVar = {
        "text_encoder": "a CLIP reads the texts of this run, which does not hold its weights"
    }
    outputs: ClassVar = {
        "conditioning": "(N, h, w, D) float32: what the words say about each position. The input "
        "words (N, L) int64 has the numbers of words in options, from 1, and 0 after the last; "
        "all 0 is no text. The decoder takes it with state (N, C, S, S) float32 and time (N,) "
        "from 0 (noise) to 1 (image), and returns the velocity (N, C, S, S). Pixels are state * "
        "std + mean",
    }

    def __init__(
        self,
        classes: Sequence[str],
        *,
        words: Sequence[str] = (),
        max_length: Annotated[int, Interval(ge=0, le=MAX_WORDS)] = 0,
        guidance: Annotated[float, Interval(ge=0, le=MAX_GUIDANCE)] = 2.0,
        steps: Annotated[int, Interval(ge=1, le=MAX_STEPS)] = DEFAULT_STEPS,
    ):
        super().__init__(classes)
        self.reader = Vocabulary(tuple(words), max_length)
        self.guidance, self.steps = guidance, steps

    def _shape(self, net: Sampler) -> tuple[int, int, int]:
        return net.shape

    def _stages(
        self,
        net: Sampler,
        noise: NDArray[np.float32],
        words: NDArray[Any],
        guidance: float,
        steps: int,
        *,
        every: bool,
    ) -> list[NDArray[np.uint8]]:
        states = net.sample(noise, words, guidance=guidance, steps=steps)
        return [net.to_pixels(x) for x in (states if every else deque(states, maxlen=1))]
