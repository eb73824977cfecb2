"""The examples in a page of the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_SYNOPSIS = re.compile(r"\[-|\[[A-Z]|\.\.\.|\||…")
"""A line that names what may be left out is a synopsis, no command."""


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The line and the words of each command in a block of code, from the subcommand on."""
    for first, language, block in _blocks(page):
        if language == "python":
            continue
        joined, begun = "", first
        for number, line in enumerate(block, first):
            begun = begun if joined else number
            joined += line.strip().removeprefix("$ ")
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            words, joined = _words(joined), ""
            if words[:1] == ["foveate"] and len(words) > 1:
                yield begun, words[1:]


def python(page: Path) -> Iterator[tuple[int, str]]:
    """The first line and the text of each block of Python."""
    for first, language, block in _blocks(page):
        if language == "python":
            yield first, "\n".join(block)


def _blocks(page: Path) -> Iterator[tuple[int, str, list[str]]]:
    """The number of its first line, the language and the lines of each block of code."""
    block: list[str] | None = None
    first, language = 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.lstrip().startswith("```"):
            if block is not None:
                block.append(line)
        elif block is None:
            block, first, language = [], number + 1, line.strip().removeprefix("```")
        else:
            yield first, language, block
            block = None


def _words(text: str) -> list[str]:
    if "foveate" not in text or _SYNOPSIS.search(text.split("  #")[0]):
        return []
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # Python or the output of a command
        return []
    if "torchrun" in words[:1] and "foveate" in words:
        words = words[words.index("foveate") :]
    return words
