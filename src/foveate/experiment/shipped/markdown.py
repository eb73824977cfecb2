"""Markdown made of texts that anybody may have written: file names, class names, notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from foveate.wording import escape_controls

_SPECIAL = re.compile(r"[\\`*_{}\[\]#|~$!]")
_LIST_ITEM = re.compile(r"\s*([-+]|\d+[.)])(\s|$)|\s*-{2,}")  # at the beginning of a line
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def escape(text: str) -> str:
    """A text on one line that Markdown shows as it is: no link, no HTML, no cell of a table."""
    text = _SPECIAL.sub(lambda match: "\\" + match[0], escape_controls(text))
    text = re.sub("[&<>@]", lambda match: _ENTITIES[match[0]], text)
    text = text.replace("://", "&#58;//").replace("www.", "www&#46;")  # would become links
    return "&#8203;" + text if _LIST_ITEM.match(text) else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is aligned to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    cells = [list(map(escape, row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *cells])


def bullets(texts: Sequence[str]) -> str:
    """A list of texts, which are escaped."""
    return "\n".join(f"- {escape(text)}" for text in texts)


def code(lines: Sequence[str]) -> str:
    """Commands, shown verbatim."""
    text = "\n".join(map(escape_controls, lines))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def front_matter(values: Mapping[str, Any]) -> str:
    """The YAML at the beginning of a model card."""
    text = yaml.safe_dump(_printable(values), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n"


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, Mapping):
        return {key: _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
