"""What an image shows, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation, Change, Problem

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Captions(Annotation):
    """The content of an image in words.

    Attributes:
        texts: One caption or several alternative ones.
    """

    task: ClassVar[str] = "text_to_image"
    default_format: ClassVar[str | None] = "captions"

    texts: tuple[str, ...]

    def present(self) -> tuple[int, ...]:
        """Captions have no classes."""
        return ()

    def problems(self, num_classes: int) -> Iterator[Problem]:
        """Captions without a word."""
        if not self.texts or not all(map(split_words, self.texts)):
            reason = "a caption with words in it is expected, got an empty caption"
            yield Problem("error", "empty caption", reason, "Write one or remove it.")

    def repair(
        self, size: tuple[int, int], class_index: NDArray[np.int64]
    ) -> tuple[Captions, list[Change]]:
        """Drop empty captions."""
        return Captions(tuple(text for text in self.texts if text.strip())), []


def split_words(text: str) -> list[str]:
    """The words of a text, in lower case, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def class_captions(name: str) -> tuple[str, ...]:
    """Alternative captions for an image of the class of this name; the plainest comes first."""
    if name.isdigit() and len(name) == 1:
        word = _DIGITS[int(name)]
        plain = f"the digit {name}", f"a handwritten {word}"
        return (*plain, f"the digit {word}", f"a {name}", word)
    noun = " ".join(split_words(name)) or name
    article = "an" if noun[0] in "aeiou" else "a"
    return (f"a picture of {noun}", f"{article} {noun}", noun)
