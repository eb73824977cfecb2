"""Read one Pascal VOC file, with the line of each value."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.documents.xml_elements import Element, read_children
from foveate.formats._shared.layout import MAX_COORDINATE, unusable_reason
from foveate.regular_file import open_regular

_MAX_BYTES = 20_000_000  # about 50,000 objects
_MAX_SNIFFED_BYTES = 4096
_ROOT = re.compile(rb"<annotation[\s>]")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SIZE = ("height", "width")
_LEFT_OUT = {"part": "object parts (<part>)", "polygon": "polygons (<polygon>)"}
_OTHER_SHAPES = ("polygon", "robndbox")
_DIFFICULT = {"0": False, "1": True, "": False, "false": False, "true": True}
_UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True)
class VocObject:
    """An object of a file.

    Attributes:
        name: Its class.
        line: The line of the class.
        corners: xmin, ymin, xmax and ymax as written.
        difficult: Whether it is marked as difficult.
    """

    name: str
    line: int
    corners: tuple[float, float, float, float]
    difficult: bool


@dataclass(slots=True)
class VocFile:
    """The content of one file.

    Attributes:
        path: The file.
        filename: The name of the image and its line, or None.
        size: Height and width of the image in pixels, or None.
        instances: The objects.
        left_out: How many elements of each type are not read.
    """

    path: Path
    filename: tuple[str, int] | None = None
    size: tuple[int, int] | None = None
    instances: list[VocObject] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def is_annotation(path: Path) -> bool:
    """Return whether a file begins like an annotation; it is not parsed, and this never raises."""
    if unusable_reason(path):
        return False
    try:
        with open_regular(path) as file:
            start = file.read(_MAX_SNIFFED_BYTES)
    except OSError:
        return False
    return bool(_ROOT.search(start.replace(b"\0", b"")))  # UTF-16 has them


def parse(path: Path) -> VocFile:
    """Read a file.

    Raises:
        DataError: If it is not XML, not an annotation, or has a bad value; the error names the
            line.
    """
    reader = _Reader(VocFile(path))
    for element in read_children(path, "annotation", _MAX_BYTES):
        reader.add(element)
    return reader.result


class _Reader:
    """Reads the elements of a file one by one."""

    def __init__(self, result: VocFile):
        self.result = result
        self._own: dict[str, Element] = {}  # the elements of the file that occur once

    def add(self, element: Element) -> None:
        """Read an element below the root."""
        if element.tag == "object":
            self.result.instances.append(self._object(element))
        elif element.tag == "filename":
            self._take(self._own, [element], ("filename",))
            self.result.filename = element.text.strip(), element.line
        elif element.tag == "size":
            self._take(self._own, element.children, _SIZE)
            self.result.size = self._size()

    def _object(self, element: Element) -> VocObject:
        fields: dict[str, Element] = {}
        self._take(fields, element.children, ("name", "difficult"))
        for child in element.children:
            if child.tag == "bndbox":
                self._take(fields, child.children, _CORNERS)
            elif child.tag in _LEFT_OUT:
                self._leave_out(_LEFT_OUT[child.tag])
        if "name" not in fields:
            raise self._error(
                "an <object> is expected to have <name>, this one has none", element.line
            )
        name = fields["name"]
        if not name.text.strip():
            raise self._error("the name of a class is expected, got nothing", name.line)
        if lacking := [side for side in _CORNERS if side not in fields]:
            raise self._without_box(element, lacking[0])
        left, top, right, bottom = (self._number(fields[side]) for side in _CORNERS)
        difficult = self._difficult(fields.get("difficult"))
        return VocObject(name.text.strip(), name.line, (left, top, right, bottom), difficult)

    def _take(
        self, fields: dict[str, Element], elements: list[Element], tags: Container[str]
    ) -> None:
        """Add the elements of some tags to `fields`, each once."""
        for element in elements:
            if element.tag in tags and fields.setdefault(element.tag, element) is not element:
                raise self._error(
                    f"<{element.tag}> is expected once, got it a second time", element.line
                )

    def _leave_out(self, what: str) -> None:
        self.result.left_out[what] = self.result.left_out.get(what, 0) + 1

    def _difficult(self, element: Element | None) -> bool:
        text = element.text.strip() if element else "0"
        if element is None or text.lower() in _DIFFICULT:
            return _DIFFICULT[text.lower()]
        if text.lower() == _UNSPECIFIED:
            self._leave_out(f"<difficult> {text!r}")
            return False
        raise self._error(f"<difficult> is expected to be 0 or 1, got {text[:100]!r}", element.line)

    def _size(self) -> tuple[int, int] | None:
        """Return (height, width), or None where a tool wrote 0 for an unknown size."""
        sides = []
        for tag in _SIZE:
            side = self._own.get(tag)
            value = self._number(side) if side and side.text.strip() else 0.0
            if side and (value < 0 or value != int(value)):
                raise self._error(f"a whole number of pixels is expected, got {value:g}", side.line)
            sides.append(int(value))
        return (sides[0], sides[1]) if all(sides) else None

    def _number(self, element: Element) -> float:
        text = element.text.strip()
        try:
            value = float(text if "_" not in text else "nan")  # Python would accept 1_000
        except ValueError:
            value = float("nan")
        if not abs(value) <= MAX_COORDINATE + 1:  # counted from 1; NaN is refused too
            raise self._error(
                f"<{element.tag}> is expected to be a number of pixels, got {text[:100]!r}",
                element.line,
            )
        return value

    def _without_box(self, element: Element, side: str) -> DataError:
        needed = f"an <object> is expected to have <bndbox> with <{side}>"
        shapes = [child.tag for child in element.children if child.tag in _OTHER_SHAPES]
        if not shapes:
            return self._error(f"{needed}, this one has none", element.line)
        return self._error(
            f"{needed}, this one has only a <{shapes[-1]}>, so the file is not Pascal VOC's",
            element.line,
            "Export the dataset with boxes as Pascal VOC, or with polygons as COCO.",
        )

    def _error(self, message: str, line: int, remedy: str | None = None) -> DataError:
        return DataError(message, where=self.result.path, line=line, remedy=remedy)
