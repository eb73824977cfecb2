"""CVAT's XML 1.1, "CVAT for images" and "CVAT for video": annotations.xml with its images.

Boxes, polygons, ellipses and masks are objects, tags are labels of images; `shapes` reads them, and
`video` the tracks of a video, whose frames lie beside the file as frame_000000.png and so on. If a
file has both objects and tags, the task says which are read. The attribute subset is the split.
The names of CVAT's export formats are those of github.com/cvat-ai/cvat.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.annotations import Boxes, Instances, Label
from foveate.data.dataset import Dataset, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.xml_elements import Element, read_children
from foveate.formats._shared.drawn import DrawnImage, Export, counted, dataset_of, require_files
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.layout import split_of, unusable_reason, visible
from foveate.formats.cvat.shapes import number, read_shapes
from foveate.formats.cvat.video import Video, images_of
from foveate.regular_file import open_regular

NAME = "cvat"
SUMMARY = "CVAT's XML 1.1 for images or for video: annotations.xml and images/"
TASKS = (Boxes.task, Instances.task, Label.task)

_ROOT = "annotations"
_START = 4096  # bytes that tell what a file is
_SIGN = re.compile(rb"<annotations\s*>\s*(<version>|<meta>|<image\s|<track\s)")
_MAX_FILES = 100


@dataclass
class _File:
    """The content of one file.

    Attributes:
        path: The file.
        split: The split whose folder it lies in, or None.
        classes: The labels of the project, in CVAT's order.
        images: The images.
        video: The tracks, if there are any.
    """

    path: Path
    split: SplitName | None
    classes: list[str] = field(default_factory=list)
    images: list[DrawnImage] = field(default_factory=list)
    video: Video | None = None


def sniff(path: Path) -> bool:
    """Return whether an XML file begins like CVAT's."""
    try:
        return bool(_files(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per image, its id being the path of the image.

    Classes are in CVAT's order, or as in classes.txt. The task is "instance" if anything but boxes
    is drawn, else "detection"; "classification" if there are tags only. Missing images are skipped
    and listed.

    Raises:
        DataError: If a file cannot be understood; the error names the line. If there are both
            objects and tags.
    """
    return read_task(path, None)


def read_task(path: Path, task: str | None) -> Dataset[Any]:
    """Read the annotations for one task; see `read`."""
    files = _files(path)
    require_files(files, "an XML file of CVAT", path, SUMMARY)
    finder = ImageFinder(path if path.is_dir() else path.parent)
    left_out: Counter[str] = Counter()
    contents = [_read_file(file, split, finder, left_out) for file, split in files]
    images: dict[str, DrawnImage] = {}
    notes: list[str] = []
    is_one_video = sum(content.video is not None for content in contents) == 1
    for content in contents:
        if content.video:
            group = None if is_one_video else content.video.name
            content.images += images_of(content.video, finder, group, notes)
        for image in content.images:
            if image.id in images:
                first = images[image.id]
                raise DataError(
                    f"each image is expected once, {image.id!r} is on line {first.line} of "
                    f"{first.where.name}, too",
                    where=content.path,
                    line=image.line,
                )
            image.split = image.split or content.split
            images[image.id] = image
    notes += counted(left_out)
    classes = tuple(dict.fromkeys(name for content in contents for name in content.classes))
    export = Export(list(images.values()), classes, notes=tuple(notes))
    return dataset_of(export, finder, path, task)


def _files(path: Path) -> list[tuple[Path, SplitName | None]]:
    """Return CVAT's files at a path, each with the split whose folder it lies in."""
    if not path.is_dir():
        is_one = path.suffix.lower() == ".xml" and _is_cvat(path)
        return [(path, None)] if is_one else []
    folders, files = visible(path)
    found = [(Path(file.path), None) for file in files if file.name.lower().endswith(".xml")]
    candidates: list[tuple[Path, SplitName | None]] = [*found[:_MAX_FILES]]
    for folder in folders[:_MAX_FILES]:
        file = Path(folder.path, "annotations.xml")
        if file.is_file():
            candidates.append((file, split_of(folder.name)))
    return [(file, split) for file, split in candidates if _is_cvat(file)]


def _is_cvat(file: Path) -> bool:
    if unusable_reason(file):
        return False
    with open_regular(file) as opened:
        return bool(_SIGN.search(opened.read(_START).replace(b"\0", b"")))  # UTF-16 has them


def _read_file(
    file: Path, split: SplitName | None, finder: ImageFinder, left_out: Counter[str]
) -> _File:
    content = _File(file, split)
    for element in read_children(file, _ROOT):
        if element.tag == "meta":
            content.classes += _labels(element)
            content.video = Video.from_meta(element, file, content.video)
        elif element.tag == "image":
            content.images.append(_image(element, file, finder, left_out))
        elif element.tag == "track":
            content.video = content.video or Video(file, file.parent.name)
            content.video.add(element, left_out)
    if content.video and not content.video.tracks:
        content.video = None
    return content


def _labels(meta: Element) -> list[str]:
    """Return the names of the labels of a task, a project or a job."""
    names = []
    for child in meta.children:
        for labels in child.children:
            if labels.tag == "labels":
                names += [name for one in labels.children if (name := one.text_of("name"))]
    return names


def _image(element: Element, file: Path, finder: ImageFinder, left_out: Counter[str]) -> DrawnImage:
    name = element.attributes.get("name")
    if name is None:
        raise DataError("an <image> with a name is expected", where=file, line=element.line)
    id = finder.find(name, folder=file.parent, where=file, line=element.line)
    size = None
    if "width" in element.attributes and "height" in element.attributes:
        width, height = (number(element, key, file) for key in ("width", "height"))
        if width < 0 or height < 0 or width % 1 or height % 1:
            raise DataError(
                f"whole numbers of pixels are expected as width and height, got {width:g} and "
                f"{height:g}",
                where=file,
                line=element.line,
            )
        size = (int(height), int(width)) if width and height else None
    image = DrawnImage(id, file, element.line, size)
    image.objects, image.labels = read_shapes(element.children, size, file, left_out)
    subset = element.attributes.get("subset", "")
    image.split = split_of(subset)
    if subset and not image.split and subset.casefold() != "default":
        left_out[f"images of the subset {subset!r}, which names no split"] += 1
    return image
