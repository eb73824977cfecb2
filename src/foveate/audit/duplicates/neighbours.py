"""Approximate nearest neighbours among unit vectors: an inverted file.

The points are divided into cells around k-means centres. A query is compared with the points of the
cells whose centres are nearest to it; the centres are searched in the same way (Jegou et al.,
"Product quantization for nearest neighbor search", 2011). The comparisons are products of matrices,
so millions of queries take a fraction of the time that a tree needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.audit.duplicates.chunks import in_chunks

_EXACT = 512  # points up to which all are compared
_EXACT_CENTRES = 128  # the same for centres of cells, which each query is compared with
_MAX_CELL_SIZE = 128  # points a cell on average; fewer if there are fewer points than its square
_MAX_PER_CELL = 2048  # a fuller cell is cut, lest many equal points be compared pair by pair
_SAMPLES_PER_CELL = 24  # points that a centre is computed from
_ROUNDS = 5  # of k-means
_CELLS = 3  # that a query is compared with
_NOT_FOUND = -2.0  # below any cosine


class Index:
    """Unit vectors, in cells.

    Args:
        points: (N, D) float32 unit vectors.
        exact: Number of points up to which all are in one cell.
    """

    def __init__(self, points: NDArray[np.float32], exact: int = _EXACT) -> None:
        self._centres: Index | None = None
        cell = np.zeros(len(points), np.int64)
        if len(points) > exact:
            centres = _centres(points)
            cell = Index(centres, _EXACT_CENTRES).nearest(points)[0][:, 0]
            cell, of_centre = _cut(cell)
            self._centres = Index(centres[of_centre], _EXACT_CENTRES)
        self._order = np.argsort(cell, kind="stable")
        self._starts = np.searchsorted(cell[self._order], np.arange(cell.max(initial=0) + 2))
        self._place = np.empty(len(points), np.int64)
        self._place[self._order] = np.arange(len(points))
        self._points = points[self._order]

    @property
    def chunk(self) -> int:
        """Number of queries that are best searched at once: enough for each cell."""
        return min(max(256 * len(self._starts), 2**15), 2**20)

    def nearest(
        self,
        queries: NDArray[np.float32],
        own: NDArray[np.int64] | None = None,
        count: int = 1,
        cells: int = _CELLS,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest points of each query.

        Args:
            queries: (Q, D) float32 unit vectors.
            own: (Q,) the point that each query must not find.
            count: Points to find for each query.
            cells: Cells to look through.

        Returns:
            (Q, count) rows, and (Q, count) their cosines with the query, in any order. Where fewer
            were found, the cosine is below -1 and the row means nothing.
        """
        rows = np.empty((len(queries), count), np.int64)
        cosines = np.empty((len(queries), count), np.float32)
        own = np.full(len(queries), -1) if own is None else own

        def search(chunk: slice) -> None:
            rows[chunk], cosines[chunk] = self._search(queries[chunk], own[chunk], count, cells)

        in_chunks(search, len(queries), self.chunk)
        return rows, cosines

    def _search(
        self, queries: NDArray[np.float32], own: NDArray[np.int64], count: int, cells: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        near = np.zeros((len(queries), 1), np.int64)
        if self._centres is not None:
            nowhere = np.full(len(queries), -1)
            near = self._centres._search(queries, nowhere, cells, _CELLS)[0]
        found, cosines = zip(
            *(self._in_cells(queries, own, cell, count) for cell in near.T), strict=True
        )
        every, values = np.concatenate(found, 1), np.concatenate(cosines, 1)
        best = _largest(values, count)
        return np.take_along_axis(every, best, 1), np.take_along_axis(values, best, 1)

    def _in_cells(
        self,
        queries: NDArray[np.float32],
        own: NDArray[np.int64],
        cell: NDArray[np.int64],
        count: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest points of each query in one cell each, see `nearest`."""
        order = np.argsort(cell, kind="stable")
        bounds = np.searchsorted(cell[order], np.arange(len(self._starts)))
        queries = queries.take(order, 0)
        place = np.where(own < 0, -1, self._place[own])[order]
        rows = np.zeros((len(queries), count), np.int64)
        cosines = np.full(rows.shape, _NOT_FOUND, np.float32)
        for number in np.flatnonzero(np.diff(bounds)):
            some = slice(bounds[number], bounds[number + 1])
            start, stop = self._starts[number], self._starts[number + 1]
            inside = np.flatnonzero((place[some] >= start) & (place[some] < stop))
            values = queries[some] @ self._points[start:stop].T
            values[inside, place[some][inside] - start] = _NOT_FOUND
            best = _largest(values, count)
            rows[some, : best.shape[1]] = start + best
            cosines[some, : best.shape[1]] = np.take_along_axis(values, best, 1)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self._order.take(rows).take(back, 0), cosines.take(back, 0)


def _centres(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, D) centres of cells, by k-means over some of the points."""
    count = len(points) // min(int(len(points) ** 0.5), _MAX_CELL_SIZE)
    chosen = np.random.default_rng(0).permutation(len(points))[: count * _SAMPLES_PER_CELL]
    sample = points[chosen]
    centres = sample[:count].copy()
    for _ in range(_ROUNDS):
        cell = Index(centres, _EXACT_CENTRES).nearest(sample)[0][:, 0]
        order = np.argsort(cell, kind="stable")
        filled, starts = np.unique(cell[order], return_index=True)
        centres[filled] = np.add.reduceat(sample[order], starts, 0)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
    return centres


def _cut(cell: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number cells anew, without the empty ones and with the fullest cut; and the old numbers."""
    order = np.argsort(cell, kind="stable")
    rank = np.empty_like(cell)
    rank[order] = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order])
    pieces = len(cell) // _MAX_PER_CELL + 1
    keys, new = np.unique(cell * pieces + rank // _MAX_PER_CELL, return_inverse=True)
    return new.astype(np.int64), keys // pieces


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Columns of the largest values of each row, (Q, count) or as many as there are."""
    rows, columns = np.arange(len(values)), values.shape[1]
    if count >= columns:
        return np.broadcast_to(np.arange(columns), values.shape)
    if count > 3:
        several: NDArray[np.int64] = np.argpartition(values, -count, axis=1)[:, -count:]
        return several
    # Few searches for the largest are twice as fast as a partition.
    found, taken = [values.argmax(1)], []
    while len(found) < count:
        taken.append(values[rows, found[-1]])
        values[rows, found[-1]] = _NOT_FOUND - 1
        found.append(values.argmax(1))
    for column, value in zip(found, taken, strict=False):
        values[rows, column] = value
    return np.stack(found, 1)
