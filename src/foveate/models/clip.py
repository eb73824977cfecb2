"""CLIP: pictures and texts as points in one space, in which what belongs together is near.

Radford et al., "Learning transferable visual models from natural language supervision", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from foveate.data.dataset import Images
from foveate.errors import SettingError
from foveate.models import hf_folder, model_ref
from foveate.models.colour import colour

_AT_ONCE = 32


@dataclass(frozen=True)
class Texts:
    """What N texts mean.

    features: (N, D) float32, in the space of the pictures; not of unit length
    tokens: (N, L, E) float32, of each token as it stands in its text, the start included
    mask: (N, L) bool, where a text has a token
    """

    features: Tensor
    tokens: Tensor
    mask: Tensor


class Clip:
    """CLIP from a folder of transformers, frozen. Raises SettingError for a folder that holds no such model.

    limit: tokens that a text may have, its start and end included
    """

    def __init__(self, folder: Path):
        told = model_ref.described(folder, "clip")
        transformers = hf_folder.library("transformers", "clip:DIR")
        self.net = hf_folder.net(transformers.CLIPModel, folder, told)
        words = self.net.config.text_config
        self.tokenizer = hf_folder.tokenizer(transformers.CLIPTokenizer, folder, words.vocab_size)
        self.processor = hf_folder.component(transformers.CLIPImageProcessor, folder)
        self.limit: int = words.max_position_embeddings

    @torch.no_grad()
    def images(self, images: Images) -> Tensor:
        """Pictures of any size, (H, W, C) uint8 -> (N, D) float32; not of unit length."""
        chunks = []
        for start in range(0, len(images), _AT_ONCE):
            some = [colour(image) for image in images[start : start + _AT_ONCE]]
            given = self.processor(
                images=some, input_data_format="channels_last", return_tensors="pt"
            )
            chunks.append(self.net.get_image_features(given["pixel_values"]).pooler_output)
        return torch.cat(chunks) if chunks else torch.zeros(0, self.net.config.projection_dim)

    @torch.no_grad()
    def texts(self, texts: Sequence[str], *, whole: bool = True) -> Texts:
        """whole: whether a text that is too long is refused, as by `check`; otherwise its end is not read"""
        if whole:
            self.check(texts)
        with hf_folder.quiet():
            given = self.tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=self.limit,
                return_tensors="pt",
            )
        ids, mask = given["input_ids"], given["attention_mask"]
        found = self.net.get_text_features(input_ids=ids, attention_mask=mask)
        return Texts(found.pooler_output, found.last_hidden_state, mask.bool())

    def check(self, texts: Sequence[str]) -> None:
        """Raises SettingError for a text of more than `limit` tokens: what is cut off would be left out in silence."""
        with hf_folder.quiet():
            counts = [len(ids) for ids in self.tokenizer(list(texts))["input_ids"]]
        for text, count in zip(texts, counts, strict=True):
            if count > self.limit:
                raise SettingError(
                    f"a text of at most {self.limit} tokens is expected, start and end included, got {count:,}: "
                    f"{text[:40]!r}" + ("..." if len(text) > 40 else ""),
                    where="text",
                    remedy="Say it shorter.",
                )
