"""Wording that messages, reports and commands share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def count_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: "1 image", "1,204 images", "2 boxes".

    Args:
        number: How many there are.
        noun: The singular.
        plural: The plural, if it is not the singular with an "s".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


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
