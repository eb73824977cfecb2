"""Words: how captions are cut into them, the closed vocabulary of a data set, and captions for pictures whose class is all
that is told.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.errors import SettingError

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOTHING = 0
"""The number that stands for no word: after a caption's end, and everywhere where nothing is asked for."""
MOST_WORDS = 64
"""In a caption: later ones are not read. What is longer is a text about a picture, not a caption."""


def cut(text: str) -> list[str]:
    """The words of a text, in small letters, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


class Reader(Protocol):
    """What brings words to a net: a vocabulary, or a text encoder (`models.text_encoder`).

    known: words that it tells apart by number, or 0; longest: words or tokens of a text at most; width: numbers that it tells each by, or 0
    """

    @property
    def known(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def width(self) -> int: ...

    def read(self, texts: Sequence[str]) -> NDArray[Any]:
        """(N, L) numbers, or (N, L, width); 0 where there is no word. What cannot be read is left out."""
        ...

    def check(self, text: str) -> None:
        """Raises SettingError for a text of which something would be left out, or that is empty."""
        ...

    def options(self) -> dict[str, Any]:
        """What builds it again, for a run's header."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """All words that a set's captions have. A word's number is its place here, from 1; see NOTHING.

    longest: words in the longest caption
    """

    words: tuple[str, ...]
    longest: int
    width: ClassVar[int] = 0

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """Of these captions, in alphabetical order."""
        cuts = [cut(text)[:MOST_WORDS] for text in texts]
        return cls(tuple(sorted(set(chain.from_iterable(cuts)))), max(map(len, cuts), default=0))

    @property
    def known(self) -> int:
        return len(self.words)

    def options(self) -> dict[str, Any]:
        return {"words": list(self.words), "longest": self.longest}

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, 1)}

    def read(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(N, longest) numbers of the words; unknown ones, and those beyond the longest, are left out."""
        rows = np.full((len(texts), self.longest), NOTHING, np.int64)
        for row, text in zip(rows, texts, strict=True):
            known = [self.numbers[word] for word in cut(text) if word in self.numbers][
                : self.longest
            ]
            row[: len(known)] = known
        return rows

    def decode(self, numbers: Sequence[int]) -> str:
        """The words of these numbers, as a text."""
        return " ".join(self.words[number - 1] for number in numbers if number != NOTHING)

    def check(self, text: str) -> None:
        """Raises SettingError for a prompt without words, with more than are known to belong together, or with unknown ones."""
        found = cut(text)
        if not found:
            raise SettingError(
                "words are expected, got none",
                where="prompt",
                remedy=f"For example: {self._some()}.",
            )
        if len(found) > self.longest:
            raise SettingError(
                f"at most {self.longest} words are expected, as in the captions that were learnt, got {len(found):,}",
                where="prompt",
            )
        if unknown := list(dict.fromkeys(word for word in found if word not in self.numbers)):
            near = dict.fromkeys(
                close
                for word in unknown
                for close in difflib.get_close_matches(word, self.words, n=1)
            )
            raise SettingError(
                f"no caption that was learnt has {' or '.join(map(repr, unknown))} in it",
                where="prompt",
                remedy=(f"Did you mean {', '.join(map(repr, near))}? " if near else "")
                + f"Known words: {self._some()}.",
            )

    def _some(self, most: int = 40) -> str:
        return ", ".join(self.words[:most]) + (", ..." if len(self.words) > most else "")


def numbered(texts: Sequence[str]) -> list[str]:
    """Each text and how often it came before, as what is drawn for it is named: "a cat#0", "a cat#1"."""
    counts: Counter[str] = Counter()
    names = []
    for text in texts:
        names.append(f"{text}#{counts[text]}")
        counts[text] += 1
    return names


def wordings(name: str) -> tuple[str, ...]:
    """Captions for a picture of the class of that name; the first is the plainest."""
    if name.isdigit() and len(name) == 1:
        word = NUMBERS[int(name)]
        return (
            f"the digit {name}",
            f"a handwritten {word}",
            f"the digit {word}",
            f"a {name}",
            word,
        )
    told = " ".join(cut(name)) or name
    return (f"a picture of {told}", f"{'an' if told[0] in 'aeiou' else 'a'} {told}", told)
