"""Read XML of any size from strangers, one element below the root at a time, with its lines.

A DOCTYPE is refused, since its entities can expand without end or name other files; so is deep
nesting.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from foveate.errors import DataError
from foveate.regular_file import open_regular

_MAX_DEPTH = 16  # levels of elements in a file
_CHUNK = 1 << 20  # bytes
_MAX_TEXT = 100_000  # characters that are kept of the text of one element
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,20})["']""")
_MULTIBYTE = ("gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr")  # not in expat


@dataclass(slots=True)
class Element:
    """An element with all in it.

    Attributes:
        tag: Its name.
        attributes: Its attributes.
        line: The line where it begins.
        children: The elements in it.
        text: The text in it, without that of its children.
    """

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def text_of(self, *tags: str) -> str | None:
        """Return the text of the first element at a path of tags below this one, or None."""
        for child in self.children:
            if child.tag == tags[0]:
                return child.text.strip() if len(tags) == 1 else child.text_of(*tags[1:])
        return None


def read_children(path: Path, root: str, max_bytes: int | None = None) -> Iterator[Element]:
    """Yield the elements below the root of a file.

    Args:
        path: The file.
        root: The tag that the root must have.
        max_bytes: The size of the largest file that is read, in bytes; None for any.

    Raises:
        DataError: If it is not such a file; the error names the line.
        OSError: If it cannot be opened.
    """
    with open_regular(path) as file:
        chunk, size = file.read(_CHUNK), 0
        encoding = _multibyte_encoding(chunk)
        decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        reader = _Reader(path, root, "utf-8" if encoding else None)
        try:
            while chunk:
                size += len(chunk)
                if max_bytes is not None and size > max_bytes:
                    raise DataError(
                        f"a file of at most {max_bytes:,} bytes is expected, this one is larger",
                        where=path,
                    )
                reader.parser.Parse(decoder.decode(chunk).encode() if decoder else chunk, False)
                yield from reader.take()
                chunk = file.read(_CHUNK)
            reader.parser.Parse(b"", True)
            yield from reader.take()
        except expat.ExpatError as error:
            raise DataError(
                f"XML is expected, but {expat.ErrorString(error.code)}",
                where=path,
                line=error.lineno,
                remedy="If the file is cut short, copy or export it again; if its text is not "
                "UTF-8, save it as UTF-8.",
            ) from None
        except (LookupError, ValueError) as error:
            raise DataError(
                f"XML is expected, but its encoding is unknown ({error})", where=path, line=1
            ) from None
        finally:
            reader.close()


def _multibyte_encoding(start: bytes) -> str | None:
    """Return the encoding that a file declares, if it is one that expat does not know."""
    declared = _DECLARED.match(start)
    name = declared[1].decode() if declared else ""
    return name if name.lower() in _MULTIBYTE else None


class _Reader:
    """expat's handlers: the open elements, and those that are complete."""

    def __init__(self, path: Path, root: str, encoding: str | None):
        self._path, self._root = path, root
        self._open: list[Element] = []
        self._complete: list[Element] = []
        self.parser: Any = expat.ParserCreate(encoding)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def take(self) -> list[Element]:
        """Return the elements below the root that are complete, each once."""
        complete, self._complete = self._complete, []
        return complete

    def close(self) -> None:
        """Break the reference cycle."""
        self.parser = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if not self._open and tag != self._root:
            raise self._error(f"an <{self._root}> is expected, got <{tag[:100]}>", line)
        if len(self._open) == _MAX_DEPTH:
            raise self._error(f"elements of at most {_MAX_DEPTH} levels are expected", line)
        self._open.append(Element(tag, attributes, line))

    def _text(self, text: str) -> None:
        if len(self._open[-1].text) < _MAX_TEXT:
            self._open[-1].text += text

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            self._open[0].text = ""
            self._complete.append(element)
        elif self._open:
            self._open[-1].children.append(element)

    def _doctype(self, *_: object) -> None:
        raise DataError(
            "XML without a DOCTYPE is expected, since its entities can expand without end "
            "or name other files",
            where=self._path,
            line=self.parser.CurrentLineNumber,
            remedy="Remove the DOCTYPE from the file.",
        )

    def _error(self, message: str, line: int) -> DataError:
        return DataError(message, where=self._path, line=line)
