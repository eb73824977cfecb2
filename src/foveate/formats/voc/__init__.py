"""Pascal VOC: an XML file a picture, in Annotations/ beside JPEGImages/, or side by side with the pictures.

M. Everingham et al.: The Pascal Visual Object Classes (VOC) Challenge, IJCV 2010, and its development kit. Pixels are
counted from 1 there, and a box includes its last ones: xmin = 1 and xmax = 10 are the ten pixels at the left edge, for us
from 0 to 10. Many tools count from 0 instead; that shows where a box begins at 0.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes, boxes_of
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.beside import line_stems
from foveate.formats._shared.instances import picture_size, unwritable
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    is_utf8,
    printable,
    read_classes,
    unusable,
)
from foveate.formats._shared.writing import (
    count,
    listed,
    needs_classes,
    new_folder,
    refuse,
    told_besides,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)
from foveate.formats.voc.layout import (
    Place,
    id_of,
    left_over,
    listed_parts,
    namesakes,
    picture_names,
    places,
    xml_files,
)
from foveate.formats.voc.xml import VocFile, parse

NAME = "voc"
SUMMARY = "Annotations/*.xml in the manner of Pascal VOC, beside JPEGImages/ (and ImageSets/Main/train.txt)"
TASKS = ("detection",)

_LOOKED_AT = 5  # XML files, so that a damaged one does not hide what the others are
_ROOT = re.compile(rb"<annotation[\s>]")
_NO_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LIST_WORDS: dict[SplitName, str] = {"train": "train", "valid": "val", "test": "test"}

_Found = dict[str, tuple[VocFile, SplitName | None]]  # by the path of the picture from the root


def sniff(path: Path) -> bool:
    """Whether there are XML files with an <annotation> in them where they are looked for."""
    try:
        return any(
            _is_annotation(Path(file.path))
            for place in places(path)
            for file in xml_files(place.annotations)[:_LOOKED_AT]
        )
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Boxes]:
    """The pictures that have an XML file, with their boxes. Classes are sorted by name, or as in classes.txt.

    A picture is the one that <filename> names or else the XML file's namesake. Parts are those of ImageSets/Main, or
    of folders called train, valid and test. `difficult` is kept; pose, truncated and parts of objects are not.
    Raises DataError, with file and line, for what cannot be understood.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with XML files and pictures is expected, this is a file", where=path
        )
    where = places(path)
    found: _Found = {}
    skipped: list[Skipped] = []
    notes: list[str] = []
    for place in where:
        _add(found, path, place, skipped, notes)
    skipped += left_over(path, where, set(found))
    for id in list(found):
        if reason := unusable(path / id):
            del found[id]
            skipped.append(Skipped(id, reason))
    if not found:
        first = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        raise DataError(
            f"pictures with XML files are expected, found none ({len(skipped):,} skipped{first})",
            where=path,
            remedy=f"Lay it out as {SUMMARY}.",
        )
    classes = _classes(path, found)
    base = _base(found, notes)
    left_out: Counter[str] = Counter()
    for page, _ in found.values():
        left_out.update(page.left_out)
    notes += [f"{what} are not read; there are {number:,}" for what, number in left_out.items()]
    indices = {name: index for index, name in enumerate(classes)}
    samples = [
        Sample(id, FileSource(path / id), _boxes(page, indices, base), None, split)
        for id, (page, split) in sorted(found.items())
    ]
    return Dataset(
        path.name, "detection", classes, samples, tuple(skipped), path, notes=tuple(notes)
    )


def write(dataset: Dataset[Boxes], path: Path) -> None:
    """JPEGImages/, Annotations/, and ImageSets/Main/ if there are parts. Files are copied, pictures in memory become PNG.

    Cannot hold groups, crowds, nor boxes that begin left of or above their picture: those at 0 would make the set look
    as if it were counted from 0.
    """
    samples = list(dataset)
    refuse(path, NAME, unlabelled(dataset, TASKS))
    problems = unwritable(dataset) + told_besides(dataset, "group", "time")
    problems += count(
        "with a crowd", [sample for sample in samples if boxes_of(sample.target).crowd.any()]
    )
    before = [sample for sample in samples if (boxes_of(sample.target).corners[:, :2] < 0).any()]
    problems += count("with a box that begins left of or above its picture", before)
    problems += [f"the class name {name!r}" for name in dataset.classes if not _can_be_text(name)]
    problems += listed(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unpaintable(dataset))
    with new_folder(dataset, path) as folder:
        (folder / "Annotations").mkdir()
        names = line_stems(dataset)
        for sample, (stem, ending) in zip(samples, names, strict=True):
            write_picture(sample, folder / "JPEGImages" / (stem + ending))
            _write_text(
                folder / "Annotations" / f"{stem}.xml", _xml(sample, stem + ending, dataset)
            )
        for split in SPLITS:
            inside = [
                stem
                for sample, (stem, _) in zip(samples, names, strict=True)
                if sample.split == split
            ]
            if inside:
                lists = folder / "ImageSets" / "Main"
                lists.mkdir(parents=True, exist_ok=True)
                _write_text(
                    lists / f"{_LIST_WORDS[split]}.txt", "".join(f"{stem}\n" for stem in inside)
                )
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _is_annotation(file: Path) -> bool:
    if unusable(file):
        return False
    with file.open("rb") as opened:
        return bool(_ROOT.search(opened.read(4096)))


def _add(found: _Found, root: Path, place: Place, skipped: list[Skipped], notes: list[str]) -> None:
    """Adds the pictures of one place that have an XML file, and what is to be said of them."""
    pages: dict[str, VocFile] = {}
    for file in xml_files(place.annotations):
        stem = Path(file.name).stem
        if not is_utf8(file.name):
            skipped.append(Skipped(printable(id_of(root, file.path)), NOT_UTF8))
        elif stem in pages:
            raise DataError(
                f"one XML file is expected, {pages[stem].path.name} is another", where=file.path
            )
        else:
            pages[stem] = parse(Path(file.path))
    images = picture_names(place.images)
    splits: dict[str, SplitName] = {}
    if place.lists:
        splits, absent = listed_parts(
            place.lists, pages.keys() | {Path(name).stem for name in images}
        )
        skipped += absent
    odd: list[str] = []
    for stem, name in namesakes(place, pages, images).items():
        page = pages[stem]
        written = page.filename[0] if page.filename else ""
        if name is None:
            reason = f"its picture {(written or stem)[:100]!r} is not there"
            skipped.append(Skipped(id_of(root, page.path), reason))
            continue
        id = id_of(root, place.images / name)
        if id in found:
            raise DataError(
                f"one XML file is expected for {id}, {found[id][0].path.name} is another",
                where=page.path,
            )
        found[id] = (page, place.split or splits.get(stem) or splits.get(Path(name).stem))
        if Path(name).stem != stem or written not in ("", name, stem):
            odd.append(f"{page.path.name} names {written[:100]!r} and was taken for {name!r}")
    if odd:
        notes.append(
            f"{len(odd):,} XML files are not called like the <filename> in them (such as {odd[0]})"
        )


def _classes(root: Path, found: _Found) -> tuple[str, ...]:
    """Those of classes.txt, or the ones that occur, by name. Raises DataError if one is missing, or there are none."""
    present = {instance.name for page, _ in found.values() for instance in page.instances}
    classes = read_classes(root) or tuple(sorted(present))
    if present.difference(classes):
        for page, _ in found.values():
            for instance in page.instances:
                if instance.name not in classes:
                    raise DataError(
                        f"one of the classes in {CLASSES_FILE} is expected, got {instance.name[:100]!r}",
                        where=page.path,
                        line=instance.line,
                        remedy=f"Add it to {CLASSES_FILE}, or remove that file to have the classes sorted by name.",
                    )
    if not classes:
        raise DataError(
            "an <object> in some file is expected, found none",
            where=root,
            remedy=f"Name the classes in {CLASSES_FILE} if the pictures are really all empty.",
        )
    return classes


def _base(found: _Found, notes: list[str]) -> int:
    """The number of the first pixel, 1 or 0, in the whole set.

    Tools that count from 0 cut boxes off at 0. A box below 0 shows that nothing was cut off, so 0 tells nothing then.
    """
    begins = [
        (min(instance.corners[:2]), page.path.name)
        for page, _ in found.values()
        for instance in page.instances
    ]
    below = [name for first, name in begins if first < 0]
    zeros = [name for first, name in begins if 0 <= first < 1]
    if below:
        notes.append(
            f"{len(below):,} boxes begin below 0 (such as in {below[0]}); they are read as counted from 1, as Pascal VOC has it"
        )
    elif zeros:
        notes.append(
            f"boxes are read as counted from 0, not from 1 as Pascal VOC has it: {len(zeros):,} begin at 0 (such as in {zeros[0]})"
        )
    return 0 if zeros and not below else 1


def _boxes(page: VocFile, indices: dict[str, int], base: int) -> Boxes:
    corners = np.array([instance.corners for instance in page.instances], float).reshape(-1, 4)
    corners[:, :2] -= base
    classes = np.array([indices[instance.name] for instance in page.instances], np.int64)
    return Boxes(
        corners,
        classes,
        difficult=np.array([t.difficult for t in page.instances], bool),
        size=page.size,
    )


def _can_be_text(name: str) -> bool:
    """Whether a reader finds the name again, which takes spaces at either end for layout."""
    return bool(name) and name == name.strip() and not _NO_XML.search(name)


def _xml(sample: Sample[Boxes], name: str, dataset: Dataset[Any]) -> str:
    target = boxes_of(sample.target)
    height, width = picture_size(sample)
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
        lines += [
            "\t<object>",
            f"\t\t<name>{html.escape(dataset.classes[index], quote=False)}</name>",
            f"\t\t<difficult>{int(difficult)}</difficult>",
            f"\t\t<bndbox>{''.join(f'<{side}>{_number(value)}</{side}>' for side, value in sides.items())}</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
