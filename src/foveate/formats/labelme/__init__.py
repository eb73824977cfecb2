"""LabelMe: a JSON file beside each image, with the shapes drawn on it.

See github.com/wkentaro/labelme. Files may be in any folders; if all folders are called train, valid
or test, they are the splits:

    images/1.jpg, images/1.json, ...

Polygons with the same label and group_id are one object. The flags "crowd" and "difficult" of a
shape are read; so are the keys "group" and "time" of a file, which LabelMe preserves.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes, Instances, Polygon
from foveate.data.dataset import Dataset, Sample, Skipped, Source, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.json_file import (
    has_keys,
    optional_text,
    read_json,
    read_size,
    required_text,
)
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    has_image_suffix,
    is_hidden,
    is_utf8,
    ordered_classes,
    printable,
    split_of,
    unusable_reason,
)
from foveate.formats._shared.paths import id_inside
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    needs_classes,
    new_folder,
    refuse,
    unsupported_task,
    write_classes,
    write_image,
)
from foveate.formats.labelme.shapes import EmbeddedSource, LabelmeShape, read_shapes
from foveate.formats.labelme.writing import file_content, unsupported_content

NAME = "labelme"
SUMMARY = (
    "LabelMe: a JSON file beside each image (1.jpg, 1.json), also below train/, valid/ and test/"
)
TASKS = ("detection", "instance")

_KEYS = ("shapes", "imagePath")
_MAX_SNIFFED_FILES = 10_000  # keeps sniffing cheap
_MAX_SNIFFED_JSON = 20  # other JSON files


@dataclass(frozen=True, slots=True)
class _LabelmeFile:
    """The content of one file.

    Attributes:
        source: The image.
        size: Height and width of the image in pixels, or None.
        shapes: The objects.
        group: The group, or None.
        time: When the image was taken, or None.
    """

    source: Source
    size: tuple[int, int] | None
    shapes: list[LabelmeShape]
    group: str | None
    time: str | None


def sniff(path: Path) -> bool:
    """Return whether a JSON file below the folder has LabelMe's keys."""
    try:
        opened = 0
        for number, file in enumerate(_files(path, [])):
            if file.suffix.lower() == ".json":
                if has_keys(file, *_KEYS):
                    return True
                opened += 1
            if opened >= _MAX_SNIFFED_JSON or number >= _MAX_SNIFFED_FILES:
                return False
    except OSError:
        pass
    return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per JSON file, its id being the path of its image.

    Classes sorted by name, or as in classes.txt. The task is "instance" if there is any polygon,
    else "detection". If an image is missing, the one embedded in the file is used, if there is one.
    Other missing images, images without a file and other JSON files are skipped and listed.

    Raises:
        DataError: If a file is damaged, or if two belong to one image; the error names the file.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with LabelMe files is expected, this is a file",
            where=path,
            remedy="Give its folder.",
        )
    skipped: list[Skipped] = []
    files = list(_files(path, skipped))
    files_by_id: dict[str, tuple[Path, _LabelmeFile]] = {}
    left_out: Counter[str] = Counter()
    for file in files:
        if file.suffix.lower() == ".json" and (entry := _read_file(file, path, skipped, left_out)):
            id, content = entry
            if id in files_by_id:
                first = files_by_id[id][0].relative_to(path).as_posix()
                raise DataError(
                    f"one JSON file per image is expected, {id!r} has {first} too", where=file
                )
            files_by_id[id] = (file, content)
    skipped_ids = {entry.id for entry in skipped}
    for file in files:
        id = file.relative_to(path).as_posix()
        if has_image_suffix(id) and id not in files_by_id and id not in skipped_ids:
            skipped.append(Skipped(id, "it has no JSON file"))
    present = {shape.label for _, content in files_by_id.values() for shape in content.shapes}
    classes = ordered_classes(present, path)
    if not files_by_id or not classes:
        what = "objects with a label" if files_by_id else "images with a LabelMe file"
        raise DataError(
            f"{what} are expected, found none ({len(skipped):,} skipped{first_reason(skipped)})",
            where=path,
        )
    outlined = any(
        shape.outlines for _, content in files_by_id.values() for shape in content.shapes
    )
    indices = {name: index for index, name in enumerate(classes)}
    splits, notes = _splits_by_folder(files, path)
    notes += [f"{what}: {number:,}" for what, number in sorted(left_out.items())]
    samples = []
    for id, (file, content) in files_by_id.items():
        split = splits.get(file.relative_to(path).parts[0])
        target = _to_target(content, indices, outlined)
        samples.append(Sample(id, content.source, target, content.group, split, content.time))
    task = "instance" if outlined else "detection"
    return Dataset(path.name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """Write images, each with its JSON file, in images/ or in one folder per split.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If only some samples have a split, if there are masks, scores or class colours,
            if a box is not the bounds of its polygon or is inverted, or if no instance has a
            polygon.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    refuse(path, NAME, unsupported_content(dataset))
    folders = [sample.split or "images" for sample in samples]
    with new_folder(dataset, path) as root:
        stems = file_stems(dataset, [(folder,) for folder in folders])
        for sample, folder, (stem, suffix) in zip(samples, folders, stems, strict=True):
            write_image(sample, root / folder / (stem + suffix))
            content = file_content(sample, dataset.classes, stem + suffix)
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
            (root / folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        if needs_classes(dataset):
            write_classes(dataset, root)


def _files(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield the files below a folder, sorted by name; links are followed, each folder once."""

    def skip_closed(error: OSError) -> None:
        place = Path(error.filename).relative_to(root).as_posix()
        skipped.append(Skipped(printable(place) + "/", f"cannot be opened ({error.strerror})"))

    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, root.absolute().parents)}
    for here, folders, names in os.walk(root, onerror=skip_closed, followlinks=True):
        folder = Path(here)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            place = printable(folder.relative_to(root).as_posix())
            skipped.append(Skipped(f"{place}/", "a link to a folder that is read already"))
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(names):
            if is_hidden(name) or (name == CLASSES_FILE and folder == root):
                continue
            id = (folder / name).relative_to(root).as_posix()
            if not is_utf8(id):
                skipped.append(Skipped(printable(id), NOT_UTF8))
            elif name.lower().endswith(".json") or has_image_suffix(name):
                yield folder / name
            else:
                skipped.append(Skipped(id, "it is neither an image nor a JSON file"))


def _read_file(
    file: Path, root: Path, skipped: list[Skipped], left_out: Counter[str]
) -> tuple[str, _LabelmeFile] | None:
    """Return the id of the image and the content of the file, or None with a line in `skipped`."""
    content = read_json(file)
    if not isinstance(content, dict) or "shapes" not in content:
        skipped.append(
            Skipped(file.relative_to(root).as_posix(), "another JSON file: it has no shapes")
        )
        return None
    written = required_text(content.get("imagePath"), "imagePath", file)
    id = os.path.normpath(
        file.parent.relative_to(root) / id_inside(file.parent, written, where=file, root=root)
    )
    source: Source = FileSource(root / id)
    if reason := unusable_reason(root / id):
        if not isinstance(content.get("imageData"), str):
            skipped.append(Skipped(id, reason))
            return None
        source = EmbeddedSource(file)
        left_out["missing images, read from their JSON file"] += 1
    size = read_size(content, "imageHeight", "imageWidth", "the image", file)
    group, time = (optional_text(content, key, "the image", file) for key in ("group", "time"))
    shapes = read_shapes(content, file, left_out)
    return id, _LabelmeFile(source, size, shapes, group, time)


def _to_target(content: _LabelmeFile, indices: dict[str, int], outlined: bool) -> Boxes | Instances:
    boxes = Boxes(
        np.array([shape.corners for shape in content.shapes], np.float64).reshape(-1, 4),
        np.array([indices[shape.label] for shape in content.shapes], np.int64),
        crowd=np.array([shape.crowd for shape in content.shapes], bool),
        difficult=np.array([shape.difficult for shape in content.shapes], bool),
        size=content.size,
    )
    shapes = tuple(
        Polygon(tuple(shape.outlines)) if shape.outlines else None for shape in content.shapes
    )
    return Instances(boxes, shapes) if outlined else boxes


def _splits_by_folder(
    files: list[Path], root: Path
) -> tuple[dict[str, SplitName | None], list[str]]:
    """Return the split of each folder in `root` if all folders are splits, and notes."""
    tops = sorted({file.relative_to(root).parts[0] for file in files if file.parent != root})
    named = [top for top in tops if split_of(top)]
    others = [top for top in tops if not split_of(top)]
    if named and others:
        return {}, [
            f"not read as splits, since not all folders are splits: {', '.join(named)} "
            f"(beside {others[0]})"
        ]
    return {top: split_of(top) for top in named}, []
