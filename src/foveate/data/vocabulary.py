"""The closed vocabulary of a dataset's captions, and the interface it shares with text encoders."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.captions import split_words
from foveate.errors import SettingError

PAD_INDEX = 0
"""The index of no word: it fills rows after a caption's end, and stands for an empty prompt."""
MAX_WORDS = 64
"""Words of a caption that are read. A longer text describes more than an image shows."""


class TextReader(Protocol):
    """Turns texts into the input of a network: a vocabulary, or a text encoder.

    Attributes:
        vocabulary_size: Number of words with an index; 0 for a text encoder.
        max_length: Largest number of words or tokens in a text.
        width: Size of a token's embedding; 0 for a vocabulary.
    """

    @property
    def vocabulary_size(self) -> int:
        """Number of words with an index; 0 for a text encoder."""
        ...

    @property
    def max_length(self) -> int:
        """Largest number of words or tokens in a text."""
        ...

    @property
    def width(self) -> int:
        """Size of a token's embedding; 0 for a vocabulary."""
        ...

    def read(self, texts: Sequence[str]) -> NDArray[Any]:
        """Encode N texts as (N, L) indices or (N, L, width) features, zero after the end.

        Unknown words are left out.
        """
        ...

    def check(self, text: str) -> None:
        """Check that a text can be read completely.

        Raises:
            SettingError: If it is empty, or something would be left out.
        """
        ...

    def options(self) -> dict[str, Any]:
        """Return what rebuilds the reader, for the header of a run's weights."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """The words of a dataset's captions. A word's index is its position, counted from 1.

    Attributes:
        words: In alphabetical order.
        max_length: Number of words in the longest caption.
    """

    words: tuple[str, ...]
    max_length: int
    width: ClassVar[int] = 0

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """Collect the words of these captions."""
        captions = [split_words(text)[:MAX_WORDS] for text in texts]
        words = tuple(sorted(set(chain.from_iterable(captions))))
        return cls(words, max(map(len, captions), default=0))

    @property
    def vocabulary_size(self) -> int:
        """Number of words."""
        return len(self.words)

    def options(self) -> dict[str, Any]:
        """Return what rebuilds the vocabulary, for the header of a run's weights."""
        return {"words": list(self.words), "max_length": self.max_length}

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words, 1)}

    def read(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Encode N texts as (N, max_length) int64 word indices.

        Unknown words, and those beyond `max_length`, are left out.
        """
        rows = np.full((len(texts), self.max_length), PAD_INDEX, np.int64)
        for row, text in zip(rows, texts, strict=True):
            indices = [self._index[word] for word in split_words(text) if word in self._index]
            indices = indices[: self.max_length]
            row[: len(indices)] = indices
        return rows

    def decode(self, indices: Sequence[int]) -> str:
        """Return the words of these indices as a text."""
        return " ".join(self.words[index - 1] for index in indices if index != PAD_INDEX)

    def check(self, text: str) -> None:
        """Check that a prompt can be read completely.

        Raises:
            SettingError: If it has no words, more than the longest caption, or unknown ones.
        """
        words = split_words(text)
        if not words:
            raise SettingError(
                "words are expected, got none",
                where="prompt",
                remedy=f"For example: {self._examples()}.",
            )
        if len(words) > self.max_length:
            raise SettingError(
                f"at most {self.max_length} words are expected, as in the training captions, "
                f"got {len(words):,}",
                where="prompt",
            )
        if unknown := list(dict.fromkeys(word for word in words if word not in self._index)):
            similar = dict.fromkeys(
                match
                for word in unknown
                for match in difflib.get_close_matches(word, self.words, n=1)
            )
            suggestion = f"Did you mean {', '.join(map(repr, similar))}? " if similar else ""
            raise SettingError(
                f"no training caption contains {' or '.join(map(repr, unknown))}",
                where="prompt",
                remedy=f"{suggestion}Known words: {self._examples()}.",
            )

    def _examples(self, count: int = 40) -> str:
        return ", ".join(self.words[:count]) + (", ..." if len(self.words) > count else "")


def numbered_ids(texts: Sequence[str]) -> list[str]:
    """Name the images generated for texts by text and repetition: "a cat#0", "a cat#1"."""
    counts: Counter[str] = Counter()
    ids = []
    for text in texts:
        ids.append(f"{text}#{counts[text]}")
        counts[text] += 1
    return ids
