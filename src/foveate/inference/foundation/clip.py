"""CLIP as a classifier: a picture is asked which of some words it is nearest to, without any training.

Radford et al., "Learning transferable visual models from natural language supervision", 2021; the net is in `models.clip`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.annotations import Label
from foveate.data.dataset import Image, Images
from foveate.errors import SettingError
from foveate.inference.predictor import Predictor
from foveate.models.clip import Clip
from foveate.models.interactive import InteractivePredictor
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


class ZeroShot(Predictor):
    """Which of some words a picture is nearest to. Each class is the mean of what it means in several sentences, all of unit length, so
    that no single wording decides; the scale that CLIP has learnt makes probabilities of the angles.
    """

    def __init__(self, name: str, clip: Clip, classes: Sequence[str]):
        self.told, self.clip, self.asked = name, clip, Classification(classes)
        self.classes = torch.stack([self._meaning(one) for one in classes])

    def _meaning(self, name: str) -> Tensor:
        """(D,) of unit length."""
        meant = F.normalize(
            self.clip.texts([sentence.format(name) for sentence in TEMPLATES]).features, dim=1
        )
        return F.normalize(meant.mean(0), dim=0)

    @property
    def name(self) -> str:
        return self.told

    @property
    def task(self) -> Classification:
        return self.asked

    @torch.no_grad()
    def predict_images(self, images: Images, tile: int | None = None) -> list[Label]:
        if tile is not None:
            raise SettingError(
                "clip answers for whole pictures", where="tile", remedy="Leave out --tile."
            )
        near = F.normalize(self.clip.images(images), dim=1) @ self.classes.T
        scores = (near * self.clip.net.logit_scale.exp()).double().softmax(1).numpy()
        return [Label(int(np.argmax(row)), row) for row in scores]

    def _set_image(self, image: Image) -> InteractivePredictor:
        del image
        raise SettingError(
            "clip answers for pictures, without prompts",
            where="point or box",
            remedy="Leave them out, or use sam:DIR.",
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
        raise SettingError(
            f"each class is expected once, got {twice[0]!r} more often", where="classes"
        )
    return names
