"""CLIP as a classifier without training: an image gets the class whose name is most similar.

Radford et al., "Learning transferable visual models from natural language supervision", 2021; the
net is in `models.clip`.
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
"""The customary template, and the seven that CLIP's authors chose for ImageNet
(notebooks/Prompt_Engineering_for_ImageNet.ipynb)."""


class ClipPredictor(Predictor):
    """Zero-shot classification.

    The feature of a class is the mean over the templates, so that no single wording decides.

    Args:
        name: "clip:DIR".
        clip: The model.
        classes: Names of the classes.
    """

    def __init__(self, name: str, clip: Clip, classes: Sequence[str]):
        self._name, self.clip, self._task = name, clip, Classification(classes)
        self.class_features = torch.stack([self._encode_class(one) for one in classes])

    def _encode_class(self, name: str) -> Tensor:
        """(D,) of unit length."""
        texts = [template.format(name) for template in TEMPLATES]
        features = F.normalize(self.clip.encode_texts(texts).features, dim=1)
        return F.normalize(features.mean(0), dim=0)

    @property
    def name(self) -> str:
        """The reference that it was opened with."""
        return self._name

    @property
    def task(self) -> Classification:
        """Classification of the given classes."""
        return self._task

    @torch.no_grad()
    def predict_images(self, images: Images, tile: int | None = None) -> list[Label]:
        """Classify images of any size.

        Raises:
            SettingError: A tile size is given.
        """
        if tile is not None:
            raise SettingError(
                "clip classifies whole images", where="tile", remedy="Leave out --tile."
            )
        similarity = F.normalize(self.clip.encode_images(images), dim=1) @ self.class_features.T
        logits = similarity * self.clip.net.logit_scale.exp()
        scores = logits.double().softmax(1).numpy()
        return [Label(int(np.argmax(row)), row) for row in scores]

    def _set_image(self, image: Image) -> InteractivePredictor:  # noqa: ARG002 - see Predictor
        raise SettingError(
            "clip classifies whole images, without prompts",
            where="point or box",
            remedy="Leave them out, or use sam:DIR.",
        )


def check_classes(classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the class names without surrounding spaces.

    Raises:
        SettingError: There are fewer than two, one is empty, or one occurs twice.
    """
    names = tuple(one.strip() for one in classes or ())
    if len([name for name in names if name]) < 2 or not all(names):
        raise SettingError(
            "two or more classes are expected, none of them empty, got "
            + (", ".join(repr(name) for name in names) or "none"),
            where="classes",
            remedy='Name them: --classes "cat,dog".',
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingError(
            f"each class is expected once, got {repeated[0]!r} more often", where="classes"
        )
    return names
