"""Words as a frozen CLIP understands them: for nets that are to know words which none of their captions had.

The text tower of Radford et al., 2021 (`models.clip`) gives each token some numbers, as it stands in its text; so do Rombach et al., 2022,
read prompts. It is no part of the net that learns, nor of its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.errors import RunError, SettingError
from foveate.models import model_ref
from foveate.models.clip import Clip

MOST_KEPT = 2 * 2**30
"""Bytes of features that are kept: CLIP's of some 60,000 captions. Further ones are made whenever they are asked for."""
_AT_ONCE = 32


class TextEncoder:
    """Reads words for a net, as `data.words.Vocabulary` does. CLIP is loaded when it is first needed.

    place: "clip:DIR"; width: E, numbers of a token; longest: tokens of a text, its start and end included; digest: of CLIP's text tower
    """

    known: ClassVar[int] = 0

    def __init__(self, place: str, width: int, longest: int, digest: str):
        self.place, self.width, self.longest, self.digest = place, width, longest, digest
        self._clip: Clip | None = None
        self._kept: dict[str, NDArray[np.float32]] = {}
        self._bytes = 0

    @classmethod
    def of(cls, place: str) -> TextEncoder:
        """Raises SettingError for what is no CLIP's folder."""
        clip = _opened(place)
        made = cls(
            _whole(place), clip.net.config.text_config.hidden_size, clip.limit, _digest(clip)
        )
        made._clip = clip
        return made

    def options(self) -> dict[str, Any]:
        told = {
            "place": self.place,
            "width": self.width,
            "longest": self.longest,
            "digest": self.digest,
        }
        return {"text_encoder": told}

    @property
    def clip(self) -> Clip:
        """Raises RunError where it has gone, or is another one."""
        if self._clip is None:
            try:
                clip = _opened(self.place)
            except SettingError as error:
                raise RunError(
                    f"the CLIP that reads this run's words is not there ({error.message})",
                    where=self.place,
                    remedy="Its weights are no part of the run: put the folder back there.",
                ) from None
            width = clip.net.config.text_config.hidden_size
            if _digest(clip) != self.digest:
                raise RunError(
                    "this is not the CLIP that read this run's words: "
                    + (
                        "its weights are others"
                        if width == self.width
                        else f"{self.width} numbers a token are expected, got {width}"
                    ),
                    where=self.place,
                    remedy="Put the one of training back there, or train again.",
                )
            self._clip = clip
        return self._clip

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, L, E) what each token means, zeros after a text's end; L as the longest of these needs. A text without words is all zeros;
        what is too long is read to CLIP's limit.
        """
        found = self._features(texts)
        rows = np.zeros(
            (len(texts), max(1, *map(len, found.values())) if found else 1, self.width), np.float32
        )
        for row, text in zip(rows, texts, strict=True):
            if text in found:
                row[: len(found[text])] = found[text]
        return rows

    def keep(self, texts: Sequence[str]) -> None:
        """Read these once and for all, as far as there is room for them."""
        texts = _ordered(texts)
        for start in range(0, len(texts), _AT_ONCE):
            self._features(texts[start : start + _AT_ONCE])

    def check(self, text: str) -> None:
        """Raises SettingError for a prompt without words, or of more tokens than CLIP reads."""
        if not text.strip():
            raise SettingError(
                "words are expected, got none", where="prompt", remedy="For example: a red square."
            )
        self.clip.check([text])

    def _features(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Of each text that has words, (its tokens, E). Others are read together in an order of their own, so that which bits they are does
        not depend on that of the data.
        """
        found = {text: self._kept[text] for text in texts if text in self._kept}
        missing = _ordered([text for text in texts if text not in found])
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            given = self.clip.texts(some, whole=False)
            for text, tokens, there in zip(
                some, given.tokens.numpy(), given.mask.numpy(), strict=True
            ):
                found[text] = tokens[there]
                if self._bytes < MOST_KEPT:
                    self._kept[text] = found[text]
                    self._bytes += found[text].nbytes
        return found


def check(place: str) -> None:
    """Raises SettingError if this is not "clip:DIR" of a folder that is there and describes a CLIP. Loads nothing."""
    model_ref.described(model_ref.folder(_meant(place), download=False), "clip")


def _ordered(texts: Sequence[str]) -> list[str]:
    """Those with words, each once, of like lengths side by side."""
    return sorted({text for text in texts if text.strip()}, key=lambda text: (len(text), text))


def _meant(place: str) -> model_ref.Reference:
    meant = model_ref.parse(place)
    if meant is None or meant.family != "clip":
        raise SettingError(f"clip:DIR is expected, got {place!r}", where="text_encoder")
    return meant


def _whole(place: str) -> str:
    """The same, told so that it does not depend on where one stands."""
    folder = Path(_meant(place).place).expanduser()
    return f"clip:{folder.resolve()}" if folder.exists() else place  # else a name on the hub


def _opened(place: str) -> Clip:
    clip = Clip(model_ref.folder(_meant(place), download=False))
    del clip.net.vision_model  # half of its weights or more
    return clip


def _digest(clip: Clip) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(clip.net.text_model.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
