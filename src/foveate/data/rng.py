"""Random numbers as a pure function of (seed, epoch, sample id).

A generator that advances image by image gives other numbers as soon as the order, the batch size
or the number of workers changes, and its state must be saved. Here every number is a hash of what
it is drawn for. A run that is killed and resumed, or cut into other batches, therefore sees the
same augmentation of the same image in the same epoch.

The hash is the output function of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014), over arrays of 64-bit counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def _mix(counter: Keys) -> Keys:
    """Scramble 64-bit counters: the output function of splitmix64."""
    with np.errstate(over="ignore"):
        z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def sample_keys(ids: Sequence[str]) -> Keys:
    """Hash sample ids.

    Args:
        ids: N sample ids.

    Returns:
        (N,) uint64, one key for each id.
    """
    digests = b"".join(
        blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest() for id in ids
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def derive_seed(*values: int) -> int:
    """Derive a 63-bit seed from integers, e.g. `derive_seed(seed, step)`.

    Neighbouring integers give unrelated seeds.
    """
    state = np.zeros(1, dtype=np.uint64)
    for value in values:
        with np.errstate(over="ignore"):
            state = _mix(state + np.uint64(_GOLDEN_GAMMA) + np.uint64(value % 2**64))
    return int(state[0] >> np.uint64(1))


class SampleRNG:
    """A random stream for each sample of a batch. Each call returns new numbers, a row a sample.

    Args:
        keys: (B,) uint64 from `sample_keys`.
        seed: The seed of the run.
        epoch: The epoch, so that each epoch draws other numbers.

    Attributes:
        alternating: (B,) a fair draw for each sample in the first epoch, and its opposite in every
            second one.
    """

    def __init__(self, keys: Keys, seed: int, epoch: int = 0):
        with np.errstate(over="ignore"):
            self._state = _mix(keys + np.uint64(derive_seed(seed, epoch)))
            fair = _mix(keys + np.uint64(derive_seed(seed))) & np.uint64(1)
        self.alternating: NDArray[np.bool_] = (fair + np.uint64(epoch % 2)) % 2 == 1
        self._drawn = 0

    def first(self, count: int) -> Self:
        """The streams of the first samples, as far as they are drawn."""
        part = copy(self)
        part._state, part.alternating = self._state[:count], self.alternating[:count]
        return part

    def uniform(self, count: int) -> NDArray[np.float32]:
        """Draw (B, count) float32, uniform in [0, 1)."""
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        with np.errstate(over="ignore"):
            bits = _mix(self._state[:, None] + steps * np.uint64(_GOLDEN_GAMMA))
        return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def normal(self, count: int) -> NDArray[np.float32]:
        """Draw (B, count) float32 with mean 0 and standard deviation 1.

        Box and Muller, "A note on the generation of random normal deviates", 1958.
        """
        half = (count + 1) // 2
        uniform = self.uniform(2 * half)
        radius = np.sqrt(-2 * np.log1p(-uniform[:, :half]))  # log of 1 - u, because u can be 0
        angle = np.float32(2 * np.pi) * uniform[:, half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :count]


def epoch_order(keys: Keys, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffle the samples for one epoch.

    Args:
        keys: (N,) uint64 from `sample_keys`.
        seed: The seed of the run.
        epoch: The epoch.

    Returns:
        (N,) int64, a permutation of 0..N-1.
    """
    with np.errstate(over="ignore"):
        return np.argsort(_mix(keys + np.uint64(derive_seed(seed, epoch, 1))), kind="stable")
