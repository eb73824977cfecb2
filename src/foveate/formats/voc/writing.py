"""Write samples as Pascal VOC files."""

from __future__ import annotations

import html
import re
from typing import Any

from foveate.annotations import Boxes, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import annotated_size

_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def can_be_text(name: str) -> bool:
    """Return whether a reader gets the name back; XML readers strip it."""
    return bool(name) and name == name.strip() and not _NOT_XML.search(name)


def to_xml(sample: Sample[Boxes], name: str, dataset: Dataset[Any]) -> str:
    """Return the XML of a sample, with pixels counted from 1.

    Args:
        sample: The sample.
        name: The file name of its image.
        dataset: The dataset, for the class names.
    """
    target = boxes_of(sample.target)
    height, width = annotated_size(sample)
    lines = [
        "<annotation>",
        "\t<folder>JPEGImages</folder>",
        f"\t<filename>{html.escape(name, quote=False)}</filename>",
        f"\t<size><width>{width}</width><height>{height}</height></size>",
    ]
    for corners, index, difficult in zip(
        target.corners.tolist(), target.classes, target.difficult, strict=True
    ):
        left, top, right, bottom = corners
        sides = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        corner_tags = "".join(f"<{tag}>{_number(value)}</{tag}>" for tag, value in sides.items())
        lines += [
            "\t<object>",
            f"\t\t<name>{html.escape(dataset.classes[index], quote=False)}</name>",
            f"\t\t<difficult>{int(difficult)}</difficult>",
            f"\t\t<bndbox>{corner_tags}</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
