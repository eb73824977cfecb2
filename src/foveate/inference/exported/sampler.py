"""Flow matching with an exported model: Euler steps in NumPy; see `models.heads.flow_matching`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.inference.exported.runtimes import Runtime
from foveate.ops.timesteps import shift_timesteps


@dataclass(frozen=True)
class ExportedSampler:
    """Leads noise to images.

    Attributes:
        encoder: Words to a conditioning.
        step: State, time and conditioning to a velocity.
        size: Pixels a side of the images.
        mean: (C,) of the pixels of the training images, from 0 to 255.
        std: (C,) likewise.
    """

    encoder: Runtime
    step: Runtime
    size: int
    mean: Sequence[float]
    std: Sequence[float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return len(self.mean), self.size, self.size

    def conditioning(self, words: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the words (N, L) say about each position, (N, h, w, D)."""
        found: NDArray[np.float32] = self.encoder.compute({"words": words})["conditioning"]
        return found

    def velocity(
        self, state: NDArray[np.float32], time: np.float32, conditioning: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The velocity (N, C, S, S) at a state of that shape, all at one time from 0 to 1."""
        times = np.full(len(state), time, np.float32)
        inputs = {"state": state, "time": times, "conditioning": conditioning}
        found: NDArray[np.float32] = self.step.compute(inputs)["velocity"]
        return found

    def sample(
        self, noise: NDArray[np.float32], words: NDArray[Any], *, guidance: float, steps: int
    ) -> Iterator[NDArray[np.float32]]:
        """Generate images from noise with Euler steps.

        Args:
            noise: (B, C, S, S) standard normal.
            words: (B, L) int64.
            guidance: Scale of classifier-free guidance; 1 is none.
            steps: Number of steps.

        Yields:
            (B, C, S, S) normalised: the noise, and the state after each step.
        """
        x, conditional = noise, self.conditioning(words)
        free = None if guidance == 1 else self.conditioning(np.zeros_like(words))
        yield x
        for now, then in pairwise(shift_timesteps(np.linspace(0, 1, steps + 1, dtype=np.float32))):
            velocity = self.velocity(x, now, conditional)
            if free is not None:
                without = self.velocity(x, now, free)
                velocity = without + np.float32(guidance) * (velocity - without)
            x = x + (then - now) * velocity
            yield x

    def to_pixels(self, state: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Undo the normalisation, (B, C, S, S) float -> (B, S, S, C)."""
        std, mean = (np.array(one, np.float32)[:, None, None] for one in (self.std, self.mean))
        pixels: NDArray[np.uint8] = np.rint(state * std + mean).clip(0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
