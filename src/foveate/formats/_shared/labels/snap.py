"""Tell the real values of label images from those that a lossy file or a resampling made up.

JPEG lets values ring around the real ones, and resampling and anti-aliasing blend them at edges.
The real ones fill even regions, the others do not: see `stats`. Every other pixel then takes
the class of the real value that is nearest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.formats._shared.labels.stats import LEAST_SOLID, ValueCounts

_LEAST_SHARE = 1e-5  # of the pixels in even regions, for a real value
_RINGING = 12  # how far JPEG moves the value of a whole region, in the worst quality
_FAR = 100  # from the only real value; halfway to another one, at least
_SHIFTED = 10  # likewise a conversion of colours
_AMBIGUOUS = 0.15  # share of even regions whose values lie too close to each other
_NOTABLE = 0.01
_FLAT_BLOCKS = 0.75  # per pixel at an edge: so many lossy WebP turns almost black
_MADE_UP = 12  # so many values without even regions are made up, if they are also
_BETWEEN_BLACK_AND_WHITE = 4  # so many are, if only black and white fill even regions
_MADE_UP_RATIO, _MADE_UP_SHARE = 3, 0.3  # 3 times as many as real ones, in 30% of pixels or less
_MAX_REAL = 64
_PHOTO_SHARE = 0.5
_WHITISH, _WHITE = 200, 255
_ROUND = (0, 64, 128, 192, 255)  # what tools write, and JPEG misses by a little


@dataclass(frozen=True, slots=True)
class RealValues:
    """The values that stand for classes.

    Attributes:
        values: The values or colours that are real, ascending.
        shifted: Colours that stand for a colour of the class table close to them.
        moved: How many pixels have another value.
        nearest: Whether these take the class of the nearest value.
    """

    values: tuple[int, ...]
    shifted: dict[int, int]
    moved: int
    nearest: bool


def real_values(
    pooled: ValueCounts, known: Collection[int], *, in_colour: bool, lossy: bool, where: Path
) -> RealValues | None:
    """Find the real values of a set of label images.

    Args:
        pooled: The values of all images.
        known: The values of the class table, () without one.
        in_colour: Whether the values are colours.
        lossy: Whether a file has a lossy compression.
        where: The first such file, for messages.

    Returns:
        The real values, or None if all values are to be taken as they are.

    Raises:
        DataError: If the files are lossy and the values lie too close to each other.
    """
    if lossy:
        _refuse_close(list(known), in_colour, where)
    if set(pooled.values.tolist()) <= set(known):
        return None
    candidates = _even_values(pooled)
    if len(candidates) > 8 * _MAX_REAL:
        return None
    real, merged = _merge(candidates, known, in_colour)
    real += _thin(pooled, [*real, *known], in_colour)
    made_up = np.isin(pooled.values, [*real, *known], invert=True)
    if not (lossy or _looks_made_up(pooled, made_up)):
        shifted = _shifted(pooled, candidates, known) if in_colour else {}
        return RealValues(tuple(known), shifted, 0, nearest=False) if shifted else None
    merged = {value: centre for value, centre in merged.items() if centre not in known}
    both = _black_and_white([*real, *known], candidates, in_colour)
    if both:
        merged = _without_flat_blocks(pooled, dict(candidates), merged, in_colour)
    if mixed := _mixed(candidates, merged, single=len(real) + len(known) == 1):
        if not lossy:
            return None
        one, other = (_shown(value, in_colour) for value in mixed)
        raise _too_close(one, other, where, table=_table_of_two(in_colour) if both else None)
    if not (real or known) or len(real) > _MAX_REAL or _is_photo(pooled, real, known, in_colour):
        return None
    moved = int(pooled.counts[made_up].sum())
    if not known:
        real = sorted({_rounded(value, in_colour) for value in real})
    return RealValues(tuple(sorted({*real, *known})), {}, moved, nearest=True)


def distances(
    values: NDArray[np.int32], others: NDArray[np.int32], *, in_colour: bool
) -> NDArray[np.int32]:
    """Return the (M, N) squared distances between values, or between colours in RGB."""
    if not in_colour:
        difference = values[:, None].astype(np.int64) - others[None]
        squared: NDArray[np.int32] = np.minimum(difference**2, 2**31 - 1).astype(np.int32)
        return squared
    total = np.zeros((len(values), len(others)), np.int32)
    for shift in (16, 8, 0):
        total += ((values[:, None] >> shift & 255) - (others[None] >> shift & 255)) ** 2
    return total


def _even_values(pooled: ValueCounts) -> list[tuple[int, int]]:
    """Return (value, solid pixels) of the values that fill even regions, the largest first."""
    least = max(LEAST_SOLID, _LEAST_SHARE * float(pooled.solid.sum()))
    order = np.argsort(-pooled.solid, kind="stable")
    rows = order[: int((pooled.solid >= least).sum())]
    return list(zip(pooled.values[rows].tolist(), pooled.solid[rows].tolist(), strict=True))


def _thin(pooled: ValueCounts, real: list[int], in_colour: bool) -> list[int]:
    """Return the value of objects that are too thin for even regions, if there is one real value.

    Such are the vessels in an image of the eye.
    """
    if len(real) != 1:
        return []
    apart = [_apart(real[0], value, in_colour) for value in pooled.values.tolist()]
    counts = np.where(np.array(apart) > _FAR, pooled.counts, 0)
    if counts.sum() < max(LEAST_SOLID, _LEAST_SHARE * pooled.pixels):
        return []
    if not in_colour and pooled.values[counts > 0].max() >= _WHITISH:
        return [_WHITE]
    return [int(pooled.values[counts.argmax()])]


def _mixed(
    candidates: list[tuple[int, int]], merged: dict[int, int], single: bool
) -> tuple[int, int] | None:
    """Return two values that both fill even regions and lie too close to each other."""
    others = sum(solid for _, solid in candidates[1:])
    least = 0 if single else _NOTABLE * candidates[0][1] if candidates else 0
    for value, solid in candidates:
        if value in merged and solid > max(_AMBIGUOUS * others, least):
            return value, merged[value]
    return None


def _black_and_white(real: list[int], candidates: list[tuple[int, int]], in_colour: bool) -> bool:
    """Return whether black and white fill even regions, and no other real value."""
    even = dict(candidates)
    black, white = 0, 0xFFFFFF if in_colour else _WHITE
    near = [_apart(value, end, in_colour) <= _RINGING for value in real for end in (black, white)]
    return len(real) == 2 and sorted(near) == [False, False, True, True] and set(real) <= set(even)


def _without_flat_blocks(
    pooled: ValueCounts, even: dict[int, int], merged: dict[int, int], in_colour: bool
) -> dict[int, int]:
    """Leave out the values close to black or white that are too rare to be a class.

    Lossy WebP turns whole blocks near an edge from black into almost black, and in small masks
    these are many. Where 0, 1 and 255 are classes, the even regions of 1 are large beside the
    pixels at edges, or than 255.
    """
    ends = set(merged.values())
    exact = pooled.counts[np.isin(pooled.values, [one for one in even if one not in merged])]
    at_edges = pooled.pixels - int(exact.sum()) - sum(even[value] for value in merged)
    other_end = {
        end: sum(
            count
            for value, count in zip(pooled.values.tolist(), pooled.counts.tolist(), strict=True)
            if _apart(value, end, in_colour) > _FAR
        )
        for end in ends
    }
    return {
        value: end
        for value, end in merged.items()
        if even[value] > min(_FLAT_BLOCKS * at_edges, other_end[end])
    }


def _merge(
    candidates: list[tuple[int, int]], known: Collection[int], in_colour: bool
) -> tuple[list[int], dict[int, int]]:
    """Return the values apart from each other, and of each one left out the one it belongs to.

    Values with larger even regions come first, the values of the class table before all.
    """
    real: list[int] = []
    merged: dict[int, int] = {}
    for value, _ in candidates:
        if value in known:
            continue
        centre = next(
            (one for one in (*known, *real) if _apart(one, value, in_colour) <= _RINGING), None
        )
        if centre is None:
            real.append(value)
        else:
            merged[value] = centre
    return real, merged


def _apart(one: int, other: int, in_colour: bool) -> int:
    """Return the difference of two values, or the largest of the three bands."""
    if not in_colour:
        return abs(one - other)
    return max(abs((one >> shift & 255) - (other >> shift & 255)) for shift in (16, 8, 0))


def _refuse_close(known: list[int], in_colour: bool, where: Path) -> None:
    """Raise DataError if two values of the table are closer than JPEG keeps apart."""
    for row, one in enumerate(known):
        for other in known[:row]:
            if _apart(one, other, in_colour) <= _RINGING // 2:
                raise _too_close(_shown(one, in_colour), _shown(other, in_colour), where)


def _too_close(one: str, other: str, where: Path, table: str | None = None) -> DataError:
    only = f" If black and white are the only classes, say so in {table}." if table else ""
    return DataError(
        f"values that differ clearly are expected in a label image with lossy compression, but "
        f"{one} and {other} are so close that the compression mixes them up",
        where=where,
        remedy="Export the label images without loss, as PNG, from the tool that made them." + only,
    )


def _table_of_two(in_colour: bool) -> str:
    """Return what a class table of black and white is."""
    lines = (
        "'name,r,g,b', 'background,0,0,0' and 'object,255,255,255'"
        if in_colour
        else "'value,name', '0,background' and '255,object'"
    )
    return f"a file classes.csv beside the folders, with the lines {lines}"


def _looks_made_up(pooled: ValueCounts, made_up: NDArray[np.bool_]) -> bool:
    number, real = int(made_up.sum()), int((~made_up).sum())
    # Blends of black and white are also bright; the numbers of thin classes are small.
    is_bright = bool(number) and int(pooled.values[made_up].max()) > _WHITE // 2
    is_binary = is_bright and pooled.values[~made_up].tolist() == [0, _WHITE]
    least = _BETWEEN_BLACK_AND_WHITE if is_binary else max(_MADE_UP, _MADE_UP_RATIO * real)
    return (
        real >= 2
        and number >= least
        and int(pooled.counts[made_up].sum()) <= _MADE_UP_SHARE * pooled.pixels
    )


def _shifted(
    pooled: ValueCounts, candidates: list[tuple[int, int]], known: Collection[int]
) -> dict[int, int]:
    """Return the colours close to a single colour of the table, which itself does not occur."""
    absent = [colour for colour in known if colour not in set(pooled.values.tolist())]
    shifted: dict[int, int] = {}
    for value, _ in candidates:
        near = [colour for colour in known if _apart(value, colour, True) <= _SHIFTED]
        if value not in known and len(near) == 1 and near[0] in absent:
            shifted[value] = near[0]
    return shifted


def _is_photo(
    pooled: ValueCounts, real: list[int], known: Collection[int], in_colour: bool
) -> bool:
    """Return whether most pixels are far from all real values."""
    centres = np.array([*real, *known], np.int32)
    near = np.zeros(len(pooled.values), bool)
    for start in range(0, len(near), 65536):
        chunk = slice(start, start + 65536)
        apart = distances(pooled.values[chunk], centres, in_colour=in_colour).min(1)
        near[chunk] = apart <= 3 * (2 * _RINGING) ** 2
    return bool(pooled.counts[near].sum() < _PHOTO_SHARE * pooled.pixels)


def _rounded(value: int, in_colour: bool) -> int:
    """Return what a tool probably wrote."""
    if not in_colour:
        return _nearest_of((0, _WHITE), value, 8)
    red, green, blue = (_nearest_of(_ROUND, value >> shift & 255, 4) for shift in (16, 8, 0))
    return red << 16 | green << 8 | blue


def _nearest_of(usual: tuple[int, ...], value: int, most: int) -> int:
    return next((one for one in usual if abs(one - value) <= most), value)


def _shown(value: int, in_colour: bool) -> str:
    return f"#{value:06x}" if in_colour else str(value)
