"""A repaired set: what can be put right is, what cannot is left out, and each step is listed. The original stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Boxes, Captions, Instances, Label, Mask, Polygon
from foveate.audit import LEAK, Audit
from foveate.audit.boxes import SLACK, overlapping
from foveate.data.dataset import Dataset, Image, Sample, Source
from foveate.ops import polygons


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to a sample, and why."""

    id: str
    what: str


@dataclass(frozen=True, slots=True)
class ReencodedSource:
    """A picture as it is read, to be written anew: upright, with the ending that its content has."""

    source: Source

    def read(self) -> Image:
        return self.source.read()


@dataclass(frozen=True, slots=True)
class _Known:
    """A mask whose values that are no class count as not labelled. classes: how many there are."""

    pixels: Any
    classes: int

    def read(self) -> NDArray[np.int32]:
        values = self.pixels.read()
        return np.where(values >= self.classes, np.int32(IGNORE), values)


LEFT_OUT = {
    "no annotation": "it has none",
    "empty caption": "it has an empty caption",
    "mask cannot be read": "its mask cannot be read",
    "mask of another size": "its mask is of another size",
    "annotation of another size": "its annotation is of a picture of another size",
    "same picture, other label": "a copy of it has another label",
}
"""Faults for which a sample is left out."""


def repaired(audit: Audit) -> tuple[Dataset[Any], list[Repair]]:
    """The data without the faults that can be repaired, and what was done.

    Left out: what cannot be read or has no usable truth; copies of a picture within a part, but for one; of a picture in several
    parts, those in train (in valid, if only test is left). Changed: boxes and outlines cut at the edge, corners put in order,
    those without area removed, pixels of unknown classes ignored, names that differ by signs only made one, pictures that
    lie on their side or have a wrong ending drawn anew. Near copies within one part stay: they are warned of, and the split
    keeps them together.
    """
    dataset, repairs = (
        audit.dataset,
        [Repair(s.id, f"left out: {s.reason}") for s in audit.dataset.skipped],
    )
    gone = _gone(audit)
    anew = {
        i for f in audit.findings if f.check in ("wrong ending", "turned by EXIF") for i in f.ids
    }
    index, classes, merged = _merged(dataset)
    repairs += [Repair("", text) for text in merged]
    kept: list[Sample[Any]] = []
    for sample, height, width in zip(dataset, *_sizes(audit), strict=True):
        if isinstance(sample.target, Label) and sample.target.index >= len(index):
            gone[sample.id] = "its class is none of the set's"
        if sample.id in gone:
            repairs.append(Repair(sample.id, f"left out: {gone[sample.id]}"))
            continue
        target, done = _mended(sample.target, (height, width), index)
        repairs += [Repair(sample.id, what) for what in done]
        if sample.id in anew:
            sample = replace(sample, source=ReencodedSource(sample.source))
            repairs.append(
                Repair(sample.id, "the picture was drawn anew, upright, with the right ending")
            )
        kept.append(replace(sample, target=target))
    colours = dataset.colours and tuple(
        dataset.colours[dataset.classes.index(name)] for name in classes
    )
    return replace(dataset, samples=kept, classes=classes, skipped=(), colours=colours), repairs


def _sizes(audit: Audit) -> tuple[list[int], list[int]]:
    return audit.image_stats["height"].tolist(), audit.image_stats["width"].tolist()


def _gone(audit: Audit) -> dict[str, str]:
    """Sample id -> why it is left out."""
    gone: dict[str, str] = {}
    part_of = {sample.id: sample.split for sample in audit.dataset}
    for finding in audit.findings:
        if finding.check in LEFT_OUT:
            gone.update(dict.fromkeys(finding.ids, LEFT_OUT[finding.check]))
        elif finding.check == "same picture twice":
            gone.update(
                dict.fromkeys(finding.ids[1:], f"it is the same picture as {finding.ids[0]}")
            )
        elif finding.check == LEAK:
            kept = "test" if any(part_of[id] == "test" for id in finding.ids) else "valid"
            reason = f"it is, or nearly is, a picture of the {kept} part"
            gone.update(dict.fromkeys((id for id in finding.ids if part_of[id] != kept), reason))
    return gone


def _merged(dataset: Dataset[Any]) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """(K,) the new index of each class, the names that are left, and what was done."""
    first: dict[str, str] = {}
    for name in dataset.classes:
        first.setdefault("".join(c for c in name.casefold() if c.isalnum()) or name, name)
    left = tuple(first.values())
    named = [
        first["".join(c for c in name.casefold() if c.isalnum()) or name]
        for name in dataset.classes
    ]
    told = [
        f"class {old!r} became {new!r}"
        for old, new in zip(dataset.classes, named, strict=True)
        if old != new
    ]
    return np.array([left.index(name) for name in named], np.int64), left, told


def _mended(target: Any, size: tuple[int, int], index: NDArray[np.int64]) -> tuple[Any, list[str]]:
    match target:
        case Label():
            return Label(int(index[target.index])), []
        case Boxes():
            corners, kept, done = _boxes(target, size, len(index))
            boxes = replace(target, corners=corners)[kept]
            return replace(boxes, classes=index[boxes.classes]), done
        case Instances():
            return _things(target, size, index)
        case Mask():
            values = target.pixels.read()
            done = (
                ["pixels of an unknown class: not labelled"] if (values >= len(index)).any() else []
            )
            merged = len(index) != index.max(initial=-1) + 1
            if not (done or merged):
                return target, []
            pixels: Any = _Known(target.pixels, len(index))
            return Mask(_Renamed(pixels, index) if merged else pixels), done
        case Captions():
            return Captions(tuple(text for text in target.texts if text.strip())), []
    return target, []


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A mask with other class indices."""

    pixels: Any
    index: NDArray[np.int64]

    def read(self) -> NDArray[np.int32]:
        values = self.pixels.read()
        return np.where(values >= 0, self.index[np.maximum(values, 0)], IGNORE).astype(np.int32)


def _boxes(
    target: Boxes, size: tuple[int, int], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """The corners put right, which boxes are left, and what was done."""
    corners, done = target.corners.copy(), []
    ordered = np.concatenate(
        [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1
    )
    done += [
        f"box {row + 1}: corners put in order"
        for row in np.flatnonzero((ordered != corners).any(1))
    ]
    cut = np.clip(ordered, 0, [size[1], size[0], size[1], size[0]])
    far = np.abs(cut - ordered).max(1, initial=0) > SLACK
    done += [f"box {row + 1}: cut at the picture's edge" for row in np.flatnonzero(far)]
    corners = np.where(far[:, None], cut, ordered)
    kept = (corners[:, 2:] > corners[:, :2]).all(1)
    done += [
        f"box {row + 1}: removed, it has no area in the picture" for row in np.flatnonzero(~kept)
    ]
    unknown = kept & (target.classes >= classes)
    done += [
        f"box {row + 1}: removed, its class is none of the set's" for row in np.flatnonzero(unknown)
    ]
    kept &= ~unknown
    rows = np.flatnonzero(kept & ~target.crowd)
    for one, other in overlapping(corners[rows]):
        if (
            kept[rows[one]]
            and kept[rows[other]]
            and target.classes[rows[one]] == target.classes[rows[other]]
        ):
            kept[rows[other]] = False
            done.append(f"box {rows[other] + 1}: removed, it lies on box {rows[one] + 1}")
    return corners, kept, done


def _things(
    target: Instances, size: tuple[int, int], index: NDArray[np.int64]
) -> tuple[Instances, list[str]]:
    corners, kept, done = _boxes(target.boxes, size, len(index))
    shapes = list(target.shapes)
    for row, shape in enumerate(shapes):
        if isinstance(shape, Polygon):
            cut = tuple(np.clip(outline, 0, [size[1], size[0]]) for outline in shape.outlines)
            moved = (
                max(np.abs(a - b).max() for a, b in zip(cut, shape.outlines, strict=True)) > SLACK
            )
            outlines = tuple(o for o in (cut if moved else shape.outlines) if polygons.area(o) > 0)
            if moved and outlines:
                shapes[row] = Polygon(outlines)
                corners[row] = shapes[row].bounds()  # type: ignore[union-attr]
                done.append(f"thing {row + 1}: its outline was cut at the picture's edge")
            empty = not outlines
        else:
            empty = shape is not None and shape.bounds() == (0, 0, 0, 0)
        if empty and kept[row]:
            kept[row] = False
            done.append(f"thing {row + 1}: removed, it has no area")
    boxes = replace(target.boxes, corners=corners)
    left: Sequence[int] = np.flatnonzero(kept).tolist()
    boxes = boxes[kept]
    return Instances(
        replace(boxes, classes=index[boxes.classes]), tuple(shapes[row] for row in left)
    ), done
