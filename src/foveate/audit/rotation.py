"""Annotations of images with an EXIF rotation: drawn on the pixels as shown, or as stored.

Annotation tools differ in whether they turn such an image upright. Its size and the positions of
its boxes, outlines and masks can tell: what leaves the image in one reading and fits in the other.
Images whose recorded sizes are of one kind were annotated in one way, so that a box that decides
for one image decides for all of them, unless another contradicts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset, Sample
from foveate.ops.orientation import SIDEWAYS, UPRIGHT
from foveate.wording import count_noun

AS_STORED = "annotation of the image as stored"
"""The check of annotations that have to be turned upright with their images."""
SIZE_AS_STORED = "size of the image as stored"
"""The check of upright annotations that record the size of the image before it is turned."""

_ORIENTATIONS = range(2, 9)


@dataclass(frozen=True, slots=True)
class _Rotated:
    """A sample whose image is turned upright.

    Attributes:
        row: Its row in the dataset.
        sample: The sample.
        target: Its target.
        orientation: EXIF orientation, 2 to 8.
        upright: (height, width) of the image as shown.
    """

    row: int
    sample: Sample[Any]
    target: Any
    orientation: int
    upright: tuple[int, int]

    @property
    def stored(self) -> tuple[int, int]:
        """(height, width) of the image as stored."""
        return self.upright[::-1] if self.orientation in SIDEWAYS else self.upright

    @property
    def size(self) -> str:
        """Which size its annotation records."""
        boxes = self.target.as_boxes()
        size = None if boxes is None else boxes.size
        names = {None: "none", self.upright: "upright", self.stored: "stored"}
        return "either" if self.stored == self.upright else names.get(size, "another")


def find(dataset: Dataset[Any], image_stats: NDArray[Any]) -> tuple[Finding, ...]:
    """Find annotations that were drawn on images as stored, where sizes and positions tell.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.

    Returns:
        A finding for each annotation to turn, and for each that records the size as stored.
    """
    groups: dict[str, list[_Rotated]] = defaultdict(list)
    for one in _rotated(dataset, image_stats):
        groups[one.size].append(one)
    unknown = groups.pop("either", [])  # square, or turned by 180 degrees: sizes tell nothing
    findings: list[Finding] = []
    decisions: set[bool] = set()
    deciding = 0
    for size, members in groups.items():
        votes = [(one, *_fits(one)) for one in members]
        only_stored = [one for one, stored, upright in votes if stored and not upright]
        only_upright = [one for one, stored, upright in votes if upright and not stored]
        deciding += len(only_stored)
        if only_stored and only_upright:
            turned, kept = only_stored, only_upright
        else:
            turned = [one for one, stored, _ in votes if stored and only_stored]
            kept = [one for one, _, upright in votes if upright and only_upright]
        decisions |= {True} if only_stored else set()
        decisions |= {False} if only_upright else set()
        findings += [_as_stored(one, len(only_stored)) for one in turned]
        findings += [_size_as_stored(one) for one in kept if size == "stored"]
    if decisions == {True}:
        findings += [_as_stored(one, deciding) for one in unknown]
    return tuple(findings)


def turned(
    dataset: Dataset[Any], image_stats: NDArray[Any], findings: tuple[Finding, ...]
) -> Dataset[Any]:
    """Return the dataset with the annotations of these findings as they should be."""
    checks = {id: finding.check for finding in findings for id in finding.ids}
    samples = list(dataset)
    for one in _rotated(dataset, image_stats):
        check = checks.get(one.sample.id)
        target = one.target
        if check == AS_STORED:
            target = target.turned(one.orientation, one.stored)
        elif check == SIZE_AS_STORED:
            target = target.with_size(one.upright)
        samples[one.row] = replace(one.sample, target=target)
    return replace(dataset, samples=samples)


def _rotated(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[_Rotated]:
    columns = (image_stats[name].tolist() for name in ("orientation", "height", "width"))
    for row, (orientation, height, width) in enumerate(zip(*columns, strict=True)):
        if orientation != UPRIGHT and orientation in _ORIENTATIONS:
            target = dataset[row].target
            if target is not None and (target.has_boxes or target.per_pixel):
                yield _Rotated(row, dataset[row], target, orientation, (height, width))


def _fits(one: _Rotated) -> tuple[bool, bool]:
    """Whether the annotation fits the image as stored, and as shown."""
    return one.target.fits(one.stored), one.target.fits(one.upright)


def _as_stored(one: _Rotated, deciding: int) -> Finding:
    height, width = one.stored
    reason = (
        f"EXIF orientation {one.orientation} turns the image upright, but its annotation is of the "
        f"pixels as stored ({width} x {height}); {count_noun(deciding, 'annotation')} of such "
        "images would leave the upright image"
    )
    remedy = "foveate audit DATA --fix DST turns the annotations as well."
    return Finding("error", AS_STORED, (one.sample.id,), reason, remedy)


def _size_as_stored(one: _Rotated) -> Finding:
    reason = (
        f"its annotation fits the upright image of {one.upright[1]} x {one.upright[0]} px, but "
        f"records the size as stored ({one.stored[1]} x {one.stored[0]})"
    )
    remedy = "foveate audit DATA --fix DST corrects the sizes."
    return Finding("error", SIZE_AS_STORED, (one.sample.id,), reason, remedy)
