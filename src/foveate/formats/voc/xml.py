"""Read one Pascal VOC file with the standard library's expat, with the line of each value.

The files come from strangers. A DOCTYPE is refused, since its entities can expand without end or
name other files; so is deep nesting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_bytes
from foveate.formats._shared.documents.xml_elements import MAX_DEPTH, doctype_error
from foveate.formats._shared.layout import MAX_COORDINATE, unusable_reason
from foveate.regular_file import open_regular

_MAX_BYTES = 20_000_000  # about 50,000 objects
_MAX_SNIFFED_BYTES = 4096
_ROOT = re.compile(rb"<annotation[\s>]")
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,20})["']""")
_MULTIBYTE = ("gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr")  # not in expat
_OBJECT = "annotation/object"
_CORNERS = tuple(f"{_OBJECT}/bndbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax"))
_SIZE = ("annotation/size/height", "annotation/size/width")
_FIELDS = {"annotation/filename", *_SIZE, f"{_OBJECT}/name", f"{_OBJECT}/difficult", *_CORNERS}
_LEFT_OUT = {
    f"{_OBJECT}/part": "object parts (<part>)",
    f"{_OBJECT}/polygon": "polygons (<polygon>)",
}
_NO_BOX = {f"{_OBJECT}/polygon": "<polygon>", f"{_OBJECT}/robndbox": "<robndbox>"}
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
    data = read_bytes(path, _MAX_BYTES)
    encoding = None
    if (declared := _DECLARED.match(data)) and declared[1].decode().lower() in _MULTIBYTE:
        encoding = declared[1].decode()
        data = data.decode(encoding, errors="replace").encode()
    reader = _Reader(path)
    parser = expat.ParserCreate("utf-8" if encoding else None)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    reader.parser = parser
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(
            f"XML is expected, but {expat.ErrorString(error.code)}",
            where=path,
            line=error.lineno,
            remedy=None if _is_utf8(data) else "If its text is not UTF-8, save it as UTF-8.",
        ) from None
    except (LookupError, ValueError) as error:
        raise DataError(
            f"XML is expected, but its encoding is unknown ({error})", where=path, line=1
        ) from None
    finally:
        reader.parser = None  # breaks the reference cycle
    return reader.result


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Reader:
    """expat's handlers: the open elements, the fields of the open object, and the result."""

    def __init__(self, path: Path):
        self.result = VocFile(path)
        self.parser: Any = None  # its type has no public name
        self._open: list[str] = []  # the path of each open element
        self._fields: dict[str, tuple[str, int]] = {}  # by path: text and line
        self._text: list[str] | None = None  # of the open field
        self._line = self._object_line = 0
        self._other_shape = ""  # of the open object

    def start(self, tag: str, _: dict[str, str]) -> None:
        """Handle the start of an element."""
        here = f"{self._open[-1]}/{tag}" if self._open else tag
        self._open.append(here)
        self._text = None
        if here in _FIELDS:
            self._line = self.parser.CurrentLineNumber
            if here in self._fields:
                raise self._error(f"<{tag}> is expected once, got it a second time", self._line)
            self._text = []
        elif here == _OBJECT:
            self._object_line = self.parser.CurrentLineNumber
            self._other_shape = ""
        if here in _NO_BOX:
            self._other_shape = _NO_BOX[here]
        if here in _LEFT_OUT:
            what = _LEFT_OUT[here]
            self.result.left_out[what] = self.result.left_out.get(what, 0) + 1
        elif len(self._open) == 1 and tag != "annotation":
            raise self._error(
                f"an <annotation> is expected, got <{tag[:100]}>", self.parser.CurrentLineNumber
            )
        elif len(self._open) > MAX_DEPTH:
            raise self._error(
                f"elements of at most {MAX_DEPTH} levels are expected",
                self.parser.CurrentLineNumber,
            )

    def text(self, text: str) -> None:
        """Handle text."""
        if self._text is not None:
            self._text.append(text)

    def end(self, _: str) -> None:
        """Handle the end of an element."""
        here = self._open.pop()
        if here in _FIELDS:
            self._fields[here] = ("".join(self._text or ()).strip(), self._line)
            self._text = None
        elif here == _OBJECT:
            self.result.instances.append(self._object())
            for key in [key for key in self._fields if key.startswith(_OBJECT)]:
                del self._fields[key]
        elif here == "annotation":
            self.result.filename = self._fields.get("annotation/filename")
            self.result.size = self._size()

    def doctype(self, *_: object) -> None:
        """Refuse a DOCTYPE."""
        raise doctype_error(self.result.path, self.parser.CurrentLineNumber)

    def _object(self) -> VocObject:
        name, line = self._field(f"{_OBJECT}/name")
        if not name:
            raise self._error("the name of a class is expected, got nothing", line)
        left, top, right, bottom = (self._number(side) for side in _CORNERS)
        return VocObject(name, line, (left, top, right, bottom), self._difficult())

    def _difficult(self) -> bool:
        text, line = self._fields.get(f"{_OBJECT}/difficult", ("0", 0))
        if text.lower() == _UNSPECIFIED:
            what = f"<difficult> {text!r}"
            self.result.left_out[what] = self.result.left_out.get(what, 0) + 1
            return False
        if text.lower() not in _DIFFICULT:
            raise self._error(f"<difficult> is expected to be 0 or 1, got {text[:100]!r}", line)
        return _DIFFICULT[text.lower()]

    def _size(self) -> tuple[int, int] | None:
        """Return (height, width), or None where a tool wrote 0 for an unknown size."""
        height, width = (
            self._number(key) if self._fields.get(key, ("", 0))[0] else 0.0 for key in _SIZE
        )
        for key, value in zip(_SIZE, (height, width), strict=True):
            if value < 0 or value != int(value):
                raise self._error(
                    f"a whole number of pixels is expected, got {value:g}", self._fields[key][1]
                )
        return (int(height), int(width)) if height and width else None

    def _number(self, key: str) -> float:
        text, line = self._field(key)
        try:
            value = float(text if "_" not in text else "nan")  # Python would accept 1_000
        except ValueError:
            value = float("nan")
        if not abs(value) <= MAX_COORDINATE + 1:  # counted from 1; NaN is refused too
            tag = key.rpartition("/")[2]
            raise self._error(
                f"<{tag}> is expected to be a number of pixels, got {text[:100]!r}", line
            )
        return value

    def _field(self, key: str) -> tuple[str, int]:
        if key not in self._fields:
            tag = key.removeprefix(f"{_OBJECT}/").replace("/", "> with <")
            if "bndbox" in tag and self._other_shape:
                raise self._error(
                    f"an <object> is expected to have <{tag}>, this one has only a "
                    f"{self._other_shape}, so the file is not Pascal VOC's",
                    self._object_line,
                    "Export the dataset with boxes as Pascal VOC, or with polygons as COCO.",
                )
            raise self._error(
                f"an <object> is expected to have <{tag}>, this one has none", self._object_line
            )
        return self._fields[key]

    def _error(self, message: str, line: int, remedy: str | None = None) -> DataError:
        return DataError(message, where=self.result.path, line=line, remedy=remedy)
