"""CLIP: pictures and texts as points in one space, in which what belongs together is near.

Radford et al., "Learning transferable visual models from natural language supervision", 2021. So a picture can be asked which of
some words it is nearest to, without any training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.annotations import Label
from foveate.answering import Answering
from foveate.data.dataset import Image, Images
from foveate.errors import SettingError
from foveate.foundation import reference
from foveate.foundation.colour import colour
from foveate.models import folders
from foveate.models.seer import Seer
from foveate.tasks.classification import Classification

TEMPLATES = (
    "a photo of a {}.",
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The usual one, and the seven that CLIP's authors chose for ImageNet (notebooks/Prompt_Engineering_for_ImageNet.ipynb)."""
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
        told = reference.described(folder, "clip")
        transformers = folders.library("transformers", "clip:DIR")
        self.net = folders.net(transformers.CLIPModel, folder, told)
        words = self.net.config.text_config
        self.tokenizer = folders.tokenizer(transformers.CLIPTokenizer, folder, words.vocab_size)
        self.processor = folders.part(transformers.CLIPImageProcessor, folder)
        self.limit: int = words.max_position_embeddings

    @torch.no_grad()
    def pictures(self, images: Images) -> Tensor:
        """Pictures of any size, (H, W, C) uint8 -> (N, D) float32; not of unit length."""
        chunks = []
        for start in range(0, len(images), _AT_ONCE):
            some = [colour(image) for image in images[start : start + _AT_ONCE]]
            given = self.processor(images=some, input_data_format="channels_last", return_tensors="pt")
            chunks.append(self.net.get_image_features(given["pixel_values"]).pooler_output)
        return torch.cat(chunks) if chunks else torch.zeros(0, self.net.config.projection_dim)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Texts:
        """Raises SettingError for a text of more than `limit` tokens: what is cut off would be left out in silence."""
        with folders.quiet():
            counts = [len(ids) for ids in self.tokenizer(list(texts))["input_ids"]]
        for text, count in zip(texts, counts, strict=True):
            if count > self.limit:
                raise SettingError(
                    f"a text of at most {self.limit} tokens is expected, start and end included, got {count:,}: "
                    f"{text[:40]!r}" + ("..." if len(text) > 40 else ""),
                    where="text",
                    remedy="Say it shorter.",
                )
        given = self.tokenizer(list(texts), padding=True, return_tensors="pt")
        ids, mask = given["input_ids"], given["attention_mask"]
        found = self.net.get_text_features(input_ids=ids, attention_mask=mask)
        return Texts(found.pooler_output, found.last_hidden_state, mask.bool())


class ZeroShot(Answering):
    """Which of some words a picture is nearest to. Each class is the mean of what it means in several sentences, all of unit length, so
    that no single wording decides; the scale that CLIP has learnt makes probabilities of the angles."""

    def __init__(self, name: str, clip: Clip, classes: Sequence[str]):
        self.told, self.clip, self.asked = name, clip, Classification(classes)
        self.classes = torch.stack([self._meaning(one) for one in classes])

    def _meaning(self, name: str) -> Tensor:
        """(D,) of unit length."""
        meant = F.normalize(self.clip.texts([sentence.format(name) for sentence in TEMPLATES]).features, dim=1)
        return F.normalize(meant.mean(0), dim=0)

    @property
    def name(self) -> str:
        return self.told

    @property
    def task(self) -> Classification:
        return self.asked

    @torch.no_grad()
    def answer(self, images: Images, tile: int | None = None) -> list[Label]:
        if tile is not None:
            raise SettingError("clip answers for whole pictures", where="tile", remedy="Leave out --tile.")
        near = F.normalize(self.clip.pictures(images), dim=1) @ self.classes.T
        scores = (near * self.clip.net.logit_scale.exp()).double().softmax(1).numpy()
        return [Label(int(np.argmax(row)), row) for row in scores]

    def look(self, image: Image) -> Seer:
        del image
        raise SettingError(
            "clip answers for pictures, without prompts", where="point or box", remedy="Leave them out, or use sam:DIR."
        )


def checked(classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of classes without spaces around them. Raises SettingError where they can't be told apart."""
    names = tuple(one.strip() for one in classes or ())
    if len([name for name in names if name]) < 2 or not all(names):
        raise SettingError(
            "two or more classes are expected, none of them empty, got "
            + (", ".join(repr(name) for name in names) or "none"),
            where="classes",
            remedy='Say which: --classes "cat,dog".',
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(f"each class is expected once, got {twice[0]!r} more often", where="classes")
    return names
