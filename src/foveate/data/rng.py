"""Randomness as a function of (seed, epoch, sample id), and of nothing else.

A generator that is advanced picture by picture gives other numbers as soon as the order, the batch size or the number
of workers changes, and has a state to save. Here every draw is a hash of what it is for, so a run that was killed
and resumed, or cut into other batches, sees the same augmentation of the same picture in the same epoch.

The hash is splitmix64's output function (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014), over arrays of 64-bit counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15


def _mix(counter: Keys) -> Keys:
    with np.errstate(over="ignore"):
        z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def keys(ids: Sequence[str]) -> Keys:
    """(N,) uint64, one key for each sample id."""
    digests = b"".join(
        blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest() for id in ids
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def seed_of(*parts: int) -> int:
    """One 63-bit seed for whatever the integers name, e.g. seed_of(seed, step): near integers give far seeds."""
    state = np.zeros(1, dtype=np.uint64)
    for part in parts:
        with np.errstate(over="ignore"):
            state = _mix(state + np.uint64(_GOLDEN) + np.uint64(part % 2**64))
    return int(state[0] >> np.uint64(1))


class SampleRNG:
    """A stream of draws for a batch of samples: each call gives new numbers, one row a sample.

    keys: (B,) uint64 from `keys`
    seed, epoch: what else the draws depend on
    """

    def __init__(self, keys: Keys, seed: int, epoch: int = 0):
        with np.errstate(over="ignore"):
            self._state = _mix(keys + np.uint64(seed_of(seed, epoch)))
        self._drawn = 0

    def uniform(self, count: int) -> NDArray[np.float32]:
        """(B, count) float32, uniform in [0, 1)."""
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        with np.errstate(over="ignore"):
            bits = _mix(self._state[:, None] + steps * np.uint64(_GOLDEN))
        return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def normal(self, count: int) -> NDArray[np.float32]:
        """(B, count) float32 of mean 0 and deviation 1 (Box and Muller, "A note on the generation of random normal deviates", 1958)."""
        half = (count + 1) // 2
        drawn = self.uniform(2 * half)
        length = np.sqrt(-2 * np.log1p(-drawn[:, :half]))  # of 1 - u: u can be 0
        angle = np.float32(2 * np.pi) * drawn[:, half:]
        return np.concatenate([length * np.cos(angle), length * np.sin(angle)], 1)[:, :count]


def shuffled(keys: Keys, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of one epoch: a permutation of 0..N-1 that depends on the samples, the seed and the epoch."""
    with np.errstate(over="ignore"):
        return np.argsort(_mix(keys + np.uint64(seed_of(seed, epoch, 1))), kind="stable")
