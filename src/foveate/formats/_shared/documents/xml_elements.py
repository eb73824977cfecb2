"""Read XML of any size from strangers, one element below the root at a time, with its lines.

A DOCTYPE is refused, since its entities can expand without end or name other files; so is deep
nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from foveate.errors import DataError
from foveate.regular_file import open_regular

MAX_DEPTH = 16
"""Levels of elements in a file."""

_CHUNK = 1 << 20  # bytes
_MAX_TEXT = 100_000  # characters that are kept of the text of one element


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


def read_children(path: Path, root: str) -> Iterator[Element]:
    """Yield the elements below the root of a file.

    Args:
        path: The file.
        root: The tag that the root must have.

    Raises:
        DataError: If it is not such a file; the error names the line.
        OSError: If it cannot be opened.
    """
    reader = _Reader(path, root)
    with open_regular(path) as file:
        try:
            while chunk := file.read(_CHUNK):
                reader.parser.Parse(chunk, False)
                yield from reader.take()
            reader.parser.Parse(b"", True)
            yield from reader.take()
        except expat.ExpatError as error:
            raise DataError(
                f"XML is expected, but {expat.ErrorString(error.code)}",
                where=path,
                line=error.lineno,
                remedy="If the file is cut short, copy or export it again.",
            ) from None
        except (LookupError, ValueError) as error:
            raise DataError(
                f"XML is expected, but its encoding is unknown ({error})", where=path, line=1
            ) from None
        finally:
            reader.close()


def doctype_error(path: Path, line: int) -> DataError:
    """Return the error for a file with a DOCTYPE."""
    return DataError(
        "XML without a DOCTYPE is expected, since its entities can expand without end "
        "or name other files",
        where=path,
        line=line,
        remedy="Remove the DOCTYPE from the file.",
    )


class _Reader:
    """expat's handlers: the open elements, and those that are complete."""

    def __init__(self, path: Path, root: str):
        self._path, self._root = path, root
        self._open: list[Element] = []
        self._complete: list[Element] = []
        self.parser: Any = expat.ParserCreate()
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
            raise self._error(f"a <{self._root}> is expected, got <{tag[:100]}>", line)
        if len(self._open) == MAX_DEPTH:
            raise self._error(f"elements of at most {MAX_DEPTH} levels are expected", line)
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
        raise doctype_error(self._path, self.parser.CurrentLineNumber)

    def _error(self, message: str, line: int) -> DataError:
        return DataError(message, where=self._path, line=line)
