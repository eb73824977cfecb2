"""List what shards cannot store, and read the image bytes that go into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.layout import MAX_COORDINATE, is_utf8
from foveate.formats._shared.writing import (
    count_problem,
    unlistable_names,
    unsavable_images,
    unsupported_fields,
    write_image,
)
from foveate.formats.webdataset.annotations import Annotation
from foveate.formats.webdataset.shards import MemberSource


def unsupported_content(dataset: Dataset[Any]) -> list[str]:
    """List what shards cannot store."""
    samples = list(dataset)
    problems = unsupported_fields(dataset, "group", "time")
    problems += count_problem(
        "with text that is not valid Unicode",
        [s for s in samples if not all(map(is_utf8, _texts(s)))],
    )
    problems += count_problem(
        "with scores", [s for s in samples if s.target is not None and _has_scores(s.target)]
    )
    problems += count_problem(
        "with a number beyond 1,000,000,000", [s for s in samples if not _in_range(s)]
    )
    problems += ["the colours of the classes"] if dataset.colours else []
    problems += [
        f"the class name {name!r}, which is not UTF-8"
        for name in dataset.classes
        if not is_utf8(name)
    ]
    repeated = {name for name in dataset.classes if dataset.classes.count(name) > 1}
    problems += [f"two classes with the name {name!r}" for name in sorted(repeated)]
    unpacked = replace(
        dataset, samples=[s for s in samples if not isinstance(s.source, MemberSource)]
    )
    return problems + unlistable_names(dataset.classes) + unsavable_images(unpacked)


def image_bytes(sample: Sample[Any], suffix: str, folder: Path) -> tuple[str, bytes]:
    """Return the file suffix and the bytes of a sample's image.

    Args:
        sample: The sample.
        suffix: The suffix for an image that is not in a shard already.
        folder: A folder for a temporary file.
    """
    if isinstance(sample.source, MemberSource):
        return sample.source.suffix, sample.source.data()
    file = folder / f"image{suffix}"
    write_image(sample, file)
    data = file.read_bytes()
    file.unlink()
    return suffix, data


def _texts(sample: Sample[Any]) -> tuple[str, ...]:
    return getattr(sample.target, "texts", ())


def _in_range(sample: Sample[Any]) -> bool:
    """Return whether readers accept all numbers of an annotation."""
    boxes = sample.target and sample.target.as_boxes()
    if boxes is None:
        return True
    return bool((np.abs(boxes.corners) <= MAX_COORDINATE).all()) and (
        boxes.size is None or 0 < min(boxes.size) <= max(boxes.size) <= MAX_COORDINATE
    )


def _has_scores(target: Annotation) -> bool:
    return getattr(target, "scores", None) is not None
