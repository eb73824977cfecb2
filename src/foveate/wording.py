"""Wording that messages, reports and commands share."""

from __future__ import annotations

import difflib
import html
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote


def count_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: "1 image", "1,204 images", "2 boxes".

    Args:
        number: How many there are.
        noun: The singular.
        plural: The plural, if it is not the singular with an "s".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Write a share as a percentage: "98.5%"; NaN is a dash.

    Only 1 is "100.0%" and only 0 is "0.0%": a share near them gets up to three decimals, as in
    "99.97%" or "0.004%", then a bound, as in ">99.999%".
    """
    if math.isnan(share):
        return "–"
    if min(abs(share), abs(1 - share)) < _ROUNDING:
        return f"{round(share):.1%}"
    texts = (f"{share:.{decimals}%}" for decimals in (1, 2, 3))
    near = "<0.001%" if share < 0.5 else ">99.999%"
    return next((text for text in texts if float(text[:-1]) not in (0, 100)), near)


_ROUNDING = 1e-9  # of a mean: not a share of images


def short_number(number: float) -> str:
    """Write a number briefly: "12", "62.5"; below 1 with two digits: "0.22", "0.0031".

    Only 0 is "0": of a training that ends within its first epoch, epochs are small.
    """
    below_one = 0 < abs(number) < 1
    decimals = 1 - math.floor(math.log10(abs(number))) if below_one else 1
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: "; did you mean 'cat'?", or "" if none is near."""
    by_folded = {one.casefold(): one for one in sorted(known)}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=3)
    near = [by_folded[match] for match in matches]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


# Control characters (C0, delete, C1), separators of lines and paragraphs, what changes the
# direction of text, and lone surrogates. Joiners and spaces of the world's scripts are not among
# them.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    r"""Write text on one line that a terminal shows as it is: `a\x1b[2Jb`, `a\nb`.

    File names, class names and captions come from anybody, and could otherwise delete what the
    terminal shows, fake lines of output, or have it send commands.
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


MAX_LISTED = 8
MAX_TEXT = 200
"""Characters of a text in `describe_object`: a name of a file can be long, a message longer."""


def list_some(names: Sequence[str]) -> str:
    """The first MAX_LISTED names, separated by commas, with "..." if there are more."""
    return ", ".join([*names[:MAX_LISTED], *["..."] * (len(names) > MAX_LISTED)])


def describe_object(title: str, facts: Mapping[str, str]) -> str:
    """The `repr` of an object: a title and a line for each fact that is not empty."""
    lines = [title, *(f"    {name}: {text}" for name, text in facts.items() if text)]
    return "\n".join(map(_shorten, lines))


def describe_html(title: str, facts: Mapping[str, str], report: Path | None = None) -> str:
    """The same as a table of HTML, with a link to the report if it exists.

    A page that a server sent, as a notebook is, may link to files beside it, not to file://. All of
    it is escaped: names come from the user's files.
    """
    rows = [
        f"<tr><th>{_html(name)}</th><td>{_html(text)}</td></tr>"
        for name, text in facts.items()
        if text
    ]
    if report is not None and report.exists():
        beside = os.path.relpath(report)
        address = report.absolute().as_uri() if beside.startswith("..") else quote(beside)
        rows.append(
            f'<tr><th>report</th><td><a href="{html.escape(address)}">{_html(beside)}</a></td></tr>'
        )
    return f"<table><caption>{_html(title)}</caption>{''.join(rows)}</table>"


def _html(text: str) -> str:
    return html.escape(_shorten(text))


def _shorten(text: str) -> str:
    line = escape_controls(text[: MAX_TEXT + 1])
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 3] + "..."
