"""Shards shared among the ranks of a training run, and the order of their rows.

Every rank computes its own rows from (seed, epoch, rank, world): nothing is sent, and nothing must
be saved. The shards are shuffled, laid one after the other, and cut into equal numbers of rows, one
for each rank. So each row is read exactly once an epoch, ranks differ by at most one row, and a
rank opens few shards. At most `world` - 1 cuts lie within a shard, which two ranks then open.

A run that goes on with fewer ranks keeps the shares that it began with, and deals them out anew
(`shares_of`): the batches stay the same, whoever computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.data.rng import epoch_order, sample_keys
from foveate.errors import DataError, SettingError

BUFFER = 8192
"""Rows that are shuffled together: what a rank that reads shards from front to back holds."""


class Piece(NamedTuple):
    """Consecutive rows of a shard.

    Attributes:
        shard: The number of the shard.
        start: The first row in it.
        stop: The row after the last.
    """

    shard: int
    start: int
    stop: int


class ShardPlan:
    """Which rows each rank reads in an epoch, and in which order.

    Args:
        names: K names of shards, each once.
        sizes: K numbers of rows; a shard may be empty.

    Attributes:
        offsets: (K,) int64, the row of each shard's first sample among all rows.
        rows: N, the number of rows in all.

    Raises:
        DataError: If a name is repeated or a size is negative.
    """

    def __init__(self, names: Sequence[str], sizes: Sequence[int]):
        self.names, self.sizes = tuple(names), np.asarray(sizes, np.int64)
        if len(set(self.names)) < len(self.names) or len(self.names) != len(self.sizes):
            raise DataError(
                "a name of its own and a size are expected of each shard, got "
                f"{len(set(self.names)):,} names and {len(self.sizes):,} sizes"
            )
        if len(self.sizes) and self.sizes.min() < 0:
            raise DataError(
                f"a number of rows is expected, got {self.sizes.min()}",
                where=self.names[int(self.sizes.argmin())],
            )
        self.offsets = np.cumsum(self.sizes) - self.sizes
        self.rows = int(self.sizes.sum())
        self._keys = sample_keys(self.names)
        self._last: tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64]] | None = None

    def pieces(self, seed: int, epoch: int, rank: int, world: int) -> list[Piece]:
        """The rows of a rank, as parts of shards in the order in which they are read.

        Args:
            seed: The seed of the run.
            epoch: The epoch.
            rank: The rank, from 0.
            world: The number of ranks.

        Raises:
            SettingError: If there is no such rank.
            DataError: If there are fewer rows than ranks.
        """
        if not 0 <= rank < world:
            raise SettingError(f"a rank from 0 to {world - 1} is expected, got {rank}")
        if self.rows < world:
            raise DataError(
                f"each of {world:,} ranks needs an image to train on, there are {self.rows:,}",
                remedy=f"Start at most {max(1, self.rows):,} ranks, or add images.",
            )
        order, stops = self._shuffled(seed, epoch)
        begin, end = self.rows * rank // world, self.rows * (rank + 1) // world
        first, last = np.searchsorted(stops, [begin, end - 1], side="right")
        pieces = []
        for place in range(int(first), int(last) + 1):
            shard, stop = int(order[place]), int(stops[place])
            start = stop - int(self.sizes[shard])
            if start < stop:
                pieces.append(Piece(shard, max(begin, start) - start, min(end, stop) - start))
        return pieces

    def _shuffled(self, seed: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The shards in the order of an epoch, and the row after the last of each."""
        if self._last is None or self._last[0] != (seed, epoch):
            order = epoch_order(self._keys, seed, epoch)
            self._last = (seed, epoch), order, np.cumsum(self.sizes[order])
        return self._last[1:]

    def order(
        self, seed: int, epoch: int, rank: int, world: int, buffer: int = BUFFER
    ) -> NDArray[np.int64]:
        """Shuffle the rows of a rank for one epoch.

        Shards come in a shuffled order, and `buffer` rows at a time are shuffled together.

        Args:
            seed: The seed of the run.
            epoch: The epoch.
            rank: The rank, from 0.
            world: The number of ranks.
            buffer: Rows that are shuffled together; as many as there are shuffles all of them.

        Returns:
            (n,) int64, rows among all N; the orders of all ranks together are a permutation.
        """
        parts = [
            np.arange(start, stop) + self.offsets[shard]
            for shard, start, stop in self.pieces(seed, epoch, rank, world)
        ]
        rows = np.concatenate(parts)
        for begin in range(0, len(rows), buffer):
            window = rows[begin : begin + buffer]
            rows[begin : begin + buffer] = window[
                epoch_order(window.astype(np.uint64), seed, epoch)
            ]
        return rows

    def steps(self, world: int, batch_size: int) -> int:
        """Number of steps an epoch, the same on all ranks.

        Each rank cuts its order into so many batches (`np.array_split`). Batches then differ by one
        row within a rank and by two among ranks; none is empty, and no row is left out or repeated.

        Args:
            world: The number of ranks.
            batch_size: Approximate number of rows in the batch of a rank.
        """
        return max(1, min(round(self.rows / (world * batch_size)), self.rows // world))

    def weight(self, step: int, rank: int, world: int, steps: int) -> float:
        """Rows of a rank's batch over the mean of all ranks: the weight of its loss.

        Args:
            step: The step in the epoch.
            rank: The rank, from 0.
            world: The number of ranks.
            steps: Steps an epoch.
        """
        rows = np.diff(self.rows * np.arange(world + 1) // world)
        batches = rows // steps + (step < rows % steps)
        return float(batches[rank] * world / batches.sum())


def shard_order(
    names: Sequence[str], sizes: Sequence[int], seed: int, epoch: int, rank: int, world: int
) -> NDArray[np.int64]:
    """Rows that a rank reads in an epoch, (n,) int64 in order; see `ShardPlan.order`."""
    return ShardPlan(names, sizes).order(seed, epoch, rank, world)


def shares_of(rank: int, world: int, shares: int) -> range:
    """The shares that a rank serves after a restart with another number of ranks.

    A run that began with `shares` ranks goes on with `world` of them: rank r takes the batches of
    the former ranks r, r + world, ..., so that each step still learns from the same rows.

    Args:
        rank: The rank, from 0.
        world: The number of ranks now.
        shares: The number of ranks that the run began with.

    Raises:
        SettingError: If there are more ranks than shares, so that one would have no data.
    """
    if not 0 <= rank < world <= shares:
        raise SettingError(
            f"at most {shares:,} ranks are expected, as many as the run began with, got {world:,}",
            remedy=f"Start at most {shares:,} ranks; a number that divides {shares:,} shares best.",
        )
    return range(rank, shares, world)
