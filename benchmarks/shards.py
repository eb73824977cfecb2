"""The plan of shards with thousands of fake ranks: what it costs, restarts, and stragglers.

    python benchmarks/shards.py [--ranks 1000] [--seeds 5]

Plan: seconds and memory for one rank to compute its own rows of an epoch. No rank sends anything.

Restarts: runs that begin with so many ranks, are killed at random steps and go on with a random
number of ranks; the rows that are learned from twice or never in an epoch are counted.

Stragglers: each rank reads its pieces one after the other, each as slowly as a log-normal factor of
median 1 says, drawn for each piece. Lost is the time that the mean rank waits, as a share of the
epoch, where ranks wait for each other after as many rows as a shard has (almost no prefetch), after
each eighth of their rows (a buffer of that length), and only at the end of the epoch (the least
that any fixed assignment can lose). "Slow machines" draws the factor once for a rank instead: no
buffer helps then, as such a rank is slow in every step.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
from numpy.typing import NDArray

from shard_plan import BUFFER, ShardPlan, shares_of

PER_SHARD = 1000  # rows
BUFFERS = 8  # of a rank's data in an epoch


def plan_of(shards: int, rng: np.random.Generator) -> ShardPlan:
    """Shards whose sizes vary, as those of a crawl do."""
    sizes = rng.integers(PER_SHARD // 2, 3 * PER_SHARD // 2, shards)
    return ShardPlan([f"train-{number:06}.tar" for number in range(shards)], sizes)


def cost(shards: int, ranks: int) -> str:
    plan = plan_of(shards, np.random.default_rng(0))
    began = time.perf_counter()
    plan.pieces(0, 0, ranks // 2, ranks)
    pieces = time.perf_counter() - began
    tracemalloc.start()
    order = plan.order(0, 1, ranks // 2, ranks)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    began = time.perf_counter()
    plan.order(0, 2, ranks // 2, ranks)
    return (
        f"| {shards:,} | {plan.rows:,} | {ranks:,} | {pieces * 1e3:.0f} ms "
        f"| {(time.perf_counter() - began) * 1e3:.0f} ms | {memory / 1e6:.1f} MB | {len(order):,} |"
    )


def restarts(ranks: int, seed: int) -> tuple[int, int, int]:
    """(restarts, rows seen twice or more, rows never seen) in an epoch of a run."""
    rng = np.random.default_rng(seed)
    plan = plan_of(3 * ranks, rng)
    steps = plan.steps(ranks, 64)
    batches = [np.array_split(plan.order(seed, 0, share, ranks), steps) for share in range(ranks)]
    seen, world, count = np.zeros(plan.rows, np.int64), ranks, 0
    for step in range(steps):
        if rng.random() < 0.3:
            world, count = int(rng.integers(1, ranks + 1)), count + 1
        for rank in range(world):
            for share in shares_of(rank, world, ranks):
                seen[batches[share][step]] += 1
    return count, int((seen > 1).sum()), int((seen == 0).sum())


def seconds(
    rows: list[NDArray[np.int64]], spent: list[NDArray[np.float64]], barriers: int
) -> NDArray[np.float64]:
    """(ranks, barriers): how long each rank reads each of `barriers` equal parts of its rows."""
    parts = np.linspace(0, 1, barriers + 1)
    return np.array(
        [
            np.diff(np.interp(parts * own.sum(), np.cumsum([0, *own]), np.cumsum([0, *time])))
            for own, time in zip(rows, spent, strict=True)
        ]
    )


def lost(spent: NDArray[np.float64]) -> float:
    """Share of an epoch that the mean rank waits; spent: (ranks, barriers) seconds."""
    return float(1 - spent.mean(0).sum() / spent.max(0).sum())


def stragglers(shards: int, ranks: int, sigma: float, seed: int) -> tuple[float, ...]:
    plan, rng = plan_of(shards * ranks, np.random.default_rng(seed)), np.random.default_rng(seed)
    rows, spent = [], []
    for rank in range(ranks):
        pieces = plan.pieces(seed, 0, rank, ranks)
        rows.append(np.array([stop - start for _, start, stop in pieces]))
        spent.append(rows[-1] * np.exp(sigma * rng.standard_normal(len(pieces))))
    slow = np.exp(sigma * rng.standard_normal((ranks, 1)))
    return (*(lost(seconds(rows, spent, parts)) for parts in (shards, BUFFERS, 1)), lost(slow))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--ranks", type=int, default=1000)
    options.add_argument("--seeds", type=int, default=5)
    given = options.parse_args()
    print(
        f"| shards | rows | ranks | pieces | order | memory | rows of a rank (buffer {BUFFER:,}) |"
    )
    print("|---|---|---|---|---|---|---|")
    for shards, ranks in ((1000, 8), (100_000, 1000), (100_000, 10_000), (1_000_000, 1000)):
        print(cost(shards, ranks), flush=True)
    done = [restarts(given.ranks, seed) for seed in range(given.seeds)]
    print(
        f"\n{given.seeds} runs of {given.ranks:,} ranks at first, "
        f"{sum(one[0] for one in done)} restarts with another number: "
        f"{sum(one[1] for one in done)} rows read twice, {sum(one[2] for one in done)} never\n"
    )
    print("| shards a rank | sigma | every shard | every eighth | end of epoch | slow machines |")
    print("|---|---|---|---|---|---|")
    for shards in (10, 100):
        for sigma in (0.1, 0.3, 1.0):
            rows = [stragglers(shards, given.ranks, sigma, seed) for seed in range(given.seeds)]
            cells = " | ".join(f"{value:.0%}" for value in np.mean(rows, 0))
            print(f"| {shards} | {sigma} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
