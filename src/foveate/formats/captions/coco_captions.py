"""Read COCO captions: JSON with images and annotations, each with the id of an image and a caption.

Chen et al., "Microsoft COCO Captions: Data Collection and Evaluation Server", 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import optional_text, required_text
from foveate.formats._shared.documents.json_lists import read_lists
from foveate.formats.captions.rows import CaptionRow


def read_coco(file: Path, split: SplitName | None) -> Iterator[CaptionRow]:
    """Yield one row per image, in the order of the file, with all its captions.

    Args:
        file: The JSON file.
        split: The split that its name or its folder gives, or None.

    Raises:
        DataError: If a record cannot be understood; the error names the line where it is known.
    """
    images: dict[Any, dict[str, Any]] = {}
    texts: dict[Any, list[str]] = {}

    def add_image(record: dict[str, Any]) -> None:
        id = record.get("id")
        if type(id) not in (int, str, float) or id in images:
            raise DataError(f"an id of its own is expected for each image, got {brief(id)}")
        required_text(record.get("file_name"), f"file_name of image {brief(id)}", file)
        images[id] = record

    def add_caption(record: dict[str, Any]) -> None:
        id, what = record.get("image_id"), f"annotation {brief(record.get('id'))}"
        if type(id) not in (int, str, float):
            raise DataError(
                f"the id of an image is expected as image_id of {what}, got {brief(id)}"
            )
        text = required_text(record.get("caption"), f"caption of {what}", file)
        texts.setdefault(id, []).append(text)

    read_lists(file, {"images": add_image, "annotations": add_caption})
    if unknown := [id for id in texts if id not in images]:
        raise DataError(
            f"the image_id of a listed image is expected, got {brief(unknown[0])}", where=file
        )
    for id, record in images.items():
        what = f"image {brief(id)}"
        group, time = (optional_text(record, key, what, file) for key in ("group", "time"))
        captions = tuple(texts.get(id, ()))
        yield CaptionRow(record["file_name"], captions, group, split, time, file, None)
