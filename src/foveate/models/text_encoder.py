"""A frozen CLIP as text encoder: a net can then understand words that none of its captions had.

CLIP's text tower (Radford et al., 2021; `models.clip`) gives contextual tokens, as Rombach et al.,
2022, use them for prompts. Its weights are not part of the trained net.
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

MAX_CACHED_BYTES = 2 * 2**30
"""Size of the cache of features: about 60,000 captions. Others are computed at each use."""
_BATCH_SIZE = 32


class TextEncoder:
    """Encodes texts for a net, as `data.vocabulary.Vocabulary` does; CLIP is loaded at first use.

    Args:
        source: "clip:DIR".
        width: E, the width of a token.
        max_length: Largest number of tokens in a text, including start and end.
        digest: Digest of the weights of CLIP's text tower.
    """

    vocabulary_size: ClassVar[int] = 0

    def __init__(self, source: str, width: int, max_length: int, digest: str):
        if [type(one) for one in (source, width, max_length, digest)] != [str, int, int, str]:
            raise TypeError("a text encoder has a source, a width, a length and a digest")
        self.source, self.width, self.max_length, self.digest = source, width, max_length, digest
        self._clip: Clip | None = None
        self._cache: dict[str, NDArray[np.float32]] = {}
        self._cached_bytes = 0

    @classmethod
    def of(cls, source: str) -> TextEncoder:
        """Load the CLIP of this reference.

        Raises:
            SettingError: There is no such model.
        """
        clip = _load(source)
        width = clip.net.config.text_config.hidden_size
        encoder = cls(_absolute(source), width, clip.max_tokens, _digest(clip))
        encoder._clip = clip
        return encoder

    def options(self) -> dict[str, Any]:
        """Return what rebuilds it, for the header of a run's weights."""
        options = {
            "source": self.source,
            "width": self.width,
            "max_length": self.max_length,
            "digest": self.digest,
        }
        return {"text_encoder": options}

    @property
    def clip(self) -> Clip:
        """CLIP, loaded at first use.

        Raises:
            RunError: It was moved, or its weights have changed.
        """
        if self._clip is None:
            try:
                clip = _load(self.source)
            except SettingError as error:
                raise RunError(
                    f"the CLIP that encodes this run's texts is missing ({error.message})",
                    where=self.source,
                    remedy="The run does not contain its weights: put the folder back there.",
                ) from None
            width = clip.net.config.text_config.hidden_size
            if _digest(clip) != self.digest:
                difference = (
                    "its weights differ"
                    if width == self.width
                    else f"tokens of width {self.width} are expected, got {width}"
                )
                raise RunError(
                    f"this is not the CLIP that encoded this run's texts: {difference}",
                    where=self.source,
                    remedy="Put the one used in training back there, or train again.",
                )
            self._clip = clip
        return self._clip

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts; those that are too long are truncated.

        Returns:
            (N, L, E) tokens, with zeros after a text's end; L is that of the longest text. An
            empty text is all zeros.
        """
        features = self._features(texts)
        max_length = max(1, *map(len, features.values())) if features else 1
        rows = np.zeros((len(texts), max_length, self.width), np.float32)
        for row, text in zip(rows, texts, strict=True):
            if text in features:
                row[: len(features[text])] = features[text]
        return rows

    def cache(self, texts: Sequence[str]) -> None:
        """Encode these texts and cache them, up to MAX_CACHED_BYTES."""
        texts = _ordered(texts)
        for start in range(0, len(texts), _BATCH_SIZE):
            self._features(texts[start : start + _BATCH_SIZE])

    def check(self, text: str) -> None:
        """Check a prompt.

        Raises:
            SettingError: It is empty, or longer than CLIP reads.
        """
        if not text.strip():
            raise SettingError(
                "a text is expected, got none", where="prompt", remedy="For example: a red square."
            )
        self.clip.check([text])

    def _features(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """(tokens, E) of each text that is not empty.

        Texts are batched in an order of their own, so that the bits do not depend on the order of
        the data.
        """
        features = {text: self._cache[text] for text in texts if text in self._cache}
        missing = _ordered([text for text in texts if text not in features])
        for start in range(0, len(missing), _BATCH_SIZE):
            some = missing[start : start + _BATCH_SIZE]
            encoded = self.clip.encode_texts(some, truncate=True)
            for text, tokens, mask in zip(
                some, encoded.tokens.numpy(), encoded.mask.numpy(), strict=True
            ):
                features[text] = tokens[mask]
                if self._cached_bytes < MAX_CACHED_BYTES:
                    self._cache[text] = features[text]
                    self._cached_bytes += features[text].nbytes
        return features


def check(source: str) -> None:
    """Check that a reference names a CLIP, without loading it.

    Raises:
        SettingError: It is not "clip:DIR", or the folder is missing or describes another model.
    """
    model_ref.read_config(model_ref.find_folder(_parse(source), download=False), "clip")


def _ordered(texts: Sequence[str]) -> list[str]:
    """Distinct texts that are not empty, by length and then by name."""
    return sorted({text for text in texts if text.strip()}, key=lambda text: (len(text), text))


def _parse(source: str) -> model_ref.ModelRef:
    ref = model_ref.parse(source)
    if ref is None or ref.family != "clip":
        raise SettingError(f"clip:DIR is expected, got {source!r}", where="text_encoder")
    return ref


def _absolute(source: str) -> str:
    """The reference with an absolute path; a name on the hub is unchanged."""
    folder = Path(_parse(source).location).expanduser()
    return f"clip:{folder.resolve()}" if folder.exists() else source


def _load(source: str) -> Clip:
    clip = Clip(model_ref.find_folder(_parse(source), download=False))
    del clip.net.vision_model  # half of its weights or more
    return clip


def _digest(clip: Clip) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(clip.net.text_model.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
