"""LabelMe: a JSON file beside each picture, with what was drawn on it (github.com/wkentaro/labelme).

    images/1.jpg, images/1.json, ...      in any folders; if all are named train, valid or test, they are the parts

Outlines of one label and one group_id are one thing. The flags "crowd" and "difficult" of a shape are read; so are the
keys "group" and "time" of a file, which LabelMe keeps although it has no use for them.
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

from foveate.annotations import Boxes, Instances, Polygon, boxes_of
from foveate.data.dataset import Dataset, Sample, Skipped, Source, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.instances import picture_size, shapes_of, told_of, unwritable
from foveate.formats._shared.json_file import has_keys, optional_text, read_json, size_in, text_in
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    in_order,
    is_hidden,
    is_named_picture,
    is_utf8,
    part_of,
    printable,
    unusable,
)
from foveate.formats._shared.paths import inside_id
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.writing import (
    count,
    listed,
    needs_classes,
    new_folder,
    part_for_some,
    refuse,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)
from foveate.formats.labelme.shapes import EmbeddedSource, LabelmeShape, shapes_in

NAME = "labelme"
SUMMARY = "LabelMe: a JSON file beside each picture (images/1.jpg, images/1.json), also below train/, valid/ and test/"
TASKS = ("detection", "instance")

_KEYS = ("shapes", "imagePath")
_LOOKED_AT = 10_000  # files in search of one of LabelMe's, so that a guess stays cheap
_OPENED = 20  # of other JSON files on that search
_EXACT = 1e-6  # pixels that the box of an outline may be off by rounding


@dataclass(frozen=True, slots=True)
class _Page:
    """What one file says of its picture."""

    source: Source
    size: tuple[int, int] | None
    shapes: list[LabelmeShape]
    told: tuple[str | None, str | None]


def sniff(path: Path) -> bool:
    """Whether there is a JSON file with LabelMe's keys somewhere below."""
    try:
        opened = 0
        for looked_at, file in enumerate(_files(path, [])):
            if file.suffix.lower() == ".json":
                if has_keys(file, *_KEYS):
                    return True
                opened += 1
            if opened >= _OPENED or looked_at >= _LOOKED_AT:
                return False
    except OSError:
        pass
    return False


def read(path: Path) -> Dataset[Any]:
    """One sample a JSON file, its id being its picture's path from here. Classes sorted by name, or as in classes.txt.

    It is "instance" if there is any outline, else "detection". Where a picture is not there, the one within the file is
    taken, if there is one. Skipped and listed: other missing pictures, those without a file, JSON of another kind.
    Raises DataError, naming the file, for one that is damaged, and for two of one picture.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with LabelMe files is expected, this is a file",
            where=path,
            remedy="Give its folder.",
        )
    skipped: list[Skipped] = []
    files = list(_files(path, skipped))
    pages: dict[str, tuple[Path, _Page]] = {}
    left_out: Counter[str] = Counter()
    for file in files:
        if file.suffix.lower() == ".json" and (found := _read_page(file, path, skipped, left_out)):
            id, page = found
            if id in pages:
                first = pages[id][0].relative_to(path).as_posix()
                raise DataError(
                    f"one file a picture is expected, {id!r} has {first} too", where=file
                )
            pages[id] = (file, page)
    reasons = {one.id for one in skipped}
    for file in files:
        id = file.relative_to(path).as_posix()
        if is_named_picture(id) and id not in pages and id not in reasons:
            skipped.append(Skipped(id, "no JSON file says what is in it"))
    present = {shape.label for _, page in pages.values() for shape in page.shapes}
    classes = in_order(present, path)
    if not pages or not classes:
        first = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        what = "things with a label" if pages else "pictures with a LabelMe file"
        raise DataError(
            f"{what} are expected, found none ({len(skipped):,} skipped{first})", where=path
        )
    outlined = any(shape.outlines for _, page in pages.values() for shape in page.shapes)
    indices = {name: index for index, name in enumerate(classes)}
    splits, notes = _parts(files, path)
    notes += [f"{what}: {number:,}" for what, number in sorted(left_out.items())]
    samples = []
    for id, (file, page) in pages.items():
        group, time = page.told
        split = splits.get(file.relative_to(path).parts[0])
        samples.append(Sample(id, page.source, _truth(page, indices, outlined), group, split, time))
    task = "instance" if outlined else "detection"
    return Dataset(path.name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """Pictures, each with its JSON file, in images/ or in a folder a part. Files are copied, others become PNG.

    Cannot hold parts for some samples only, masks that are no outlines, boxes of outlines that are not their bounds, boxes
    turned inside out, scores, colours of classes, nor things of which none has an outline.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    samples = list(dataset)
    problems = part_for_some(dataset)
    masked = [
        s
        for s in samples
        if any(x is not None and not isinstance(x, Polygon) for x in shapes_of(s.target))
    ]
    problems += count("with masks that are no outlines", masked)
    problems += count(
        "with boxes that are not the bounds of their outlines", [s for s in samples if _differs(s)]
    )
    turned = [
        s
        for s in samples
        if (boxes_of(s.target).corners[:, :2] > boxes_of(s.target).corners[:, 2:]).any()
    ]
    problems += count("with boxes turned inside out", turned)
    problems += listed(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, unwritable(dataset) + problems + unpaintable(dataset))
    places = [sample.split or "images" for sample in samples]
    with new_folder(dataset, path) as folder:
        stems = file_stems(dataset, [(place,) for place in places])
        for sample, place, (stem, ending) in zip(samples, places, stems, strict=True):
            write_picture(sample, folder / place / (stem + ending))
            content = _content(sample, dataset.classes, stem + ending)
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
            (folder / place / f"{stem}.json").write_text(
                text + "\n", encoding="utf-8", newline="\n"
            )
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _files(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """The files below a folder, by name, links followed, each folder once."""

    def closed(error: OSError) -> None:
        place = Path(error.filename).relative_to(root).as_posix()
        skipped.append(Skipped(printable(place) + "/", f"cannot be opened ({error.strerror})"))

    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, root.absolute().parents)}
    for here, folders, names in os.walk(root, onerror=closed, followlinks=True):
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
            elif name.lower().endswith(".json") or is_named_picture(name):
                yield folder / name
            else:
                skipped.append(Skipped(id, "neither a picture nor a JSON file"))


def _read_page(
    file: Path, root: Path, skipped: list[Skipped], left_out: Counter[str]
) -> tuple[str, _Page] | None:
    """The picture's id and what the file says of it; None, and a line in `skipped`, where there is no such picture."""
    content = read_json(file)
    if not isinstance(content, dict) or "shapes" not in content:
        skipped.append(
            Skipped(file.relative_to(root).as_posix(), "JSON of another kind: it has no shapes")
        )
        return None
    written = text_in(content.get("imagePath"), "imagePath", file)
    id = os.path.normpath(
        file.parent.relative_to(root) / inside_id(file.parent, written, where=file, root=root)
    )
    source: Source = FileSource(root / id)
    if reason := unusable(root / id):
        if not isinstance(content.get("imageData"), str):
            skipped.append(Skipped(id, reason))
            return None
        source = EmbeddedSource(file)
        left_out["pictures that are not there and are taken from their JSON file"] += 1
    size = size_in(content, "imageHeight", "imageWidth", "the picture", file)
    told = (
        optional_text(content, "group", "the picture", file),
        optional_text(content, "time", "the picture", file),
    )
    return id, _Page(source, size, shapes_in(content, file, left_out), told)


def _truth(page: _Page, indices: dict[str, int], outlined: bool) -> Boxes | Instances:
    boxes = Boxes(
        np.array([shape.corners for shape in page.shapes], np.float64).reshape(-1, 4),
        np.array([indices[shape.label] for shape in page.shapes], np.int64),
        crowd=np.array([shape.crowd for shape in page.shapes], bool),
        difficult=np.array([shape.difficult for shape in page.shapes], bool),
        size=page.size,
    )
    shapes = tuple(
        Polygon(tuple(shape.outlines)) if shape.outlines else None for shape in page.shapes
    )
    return Instances(boxes, shapes) if outlined else boxes


def _parts(files: list[Path], root: Path) -> tuple[dict[str, SplitName | None], list[str]]:
    """The part that each folder in `root` means, and notes: none at all, unless all of them do."""
    tops = sorted({file.relative_to(root).parts[0] for file in files if file.parent != root})
    named, others = [top for top in tops if part_of(top)], [top for top in tops if not part_of(top)]
    if named and others:
        return {}, [
            f"not taken for parts, as not all folders are some: {', '.join(named)} (beside {others[0]})"
        ]
    return {top: part_of(top) for top in named}, []


def _differs(sample: Sample[Any]) -> bool:
    pairs = zip(shapes_of(sample.target), boxes_of(sample.target).corners, strict=True)
    return any(
        isinstance(shape, Polygon) and (abs(shape.bounds() - box) > _EXACT).any()
        for shape, box in pairs
    )


def _content(sample: Sample[Any], classes: tuple[str, ...], name: str) -> dict[str, Any]:
    boxes = boxes_of(sample.target)
    drawn: list[dict[str, Any]] = []
    for row, shape in enumerate(shapes_of(sample.target)):
        outlines = (
            [outline.tolist() for outline in shape.outlines] if isinstance(shape, Polygon) else []
        )
        flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
        for points in outlines or [boxes.corners[row].reshape(2, 2).tolist()]:
            drawn.append(
                {
                    "label": classes[boxes.classes[row]],
                    "points": points,
                    "group_id": row + 1 if len(outlines) > 1 else None,
                    "shape_type": "polygon" if outlines else "rectangle",
                    "flags": flags,
                }
            )
    height, width = picture_size(sample)
    about: dict[str, Any] = {
        "version": "5.0.0",
        "flags": {},
        "shapes": drawn,
        "imagePath": name,
        "imageData": None,
    }
    return {**about, "imageHeight": height, "imageWidth": width, **told_of(sample)}
