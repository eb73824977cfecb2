"""Captions and generated images as text, values, drawings and a headline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from foveate.annotations import Captions
from foveate.data.dataset import Image
from foveate.data.resizing import fit
from foveate.metrics.generation import GeneratedImage
from foveate.metrics.metric import PerImageStats
from foveate.report import drawing
from foveate.report.generation_panels import generation_panels
from foveate.report.panels import Panel
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.presenter import Presenter, ReadImage, count_images
from foveate.wording import percent

Prediction = Captions | GeneratedImage


class TextToImagePresenter(Presenter[Prediction]):
    """Presents captions and generated images."""

    name, primary_metric, description = CATALOG["text_to_image"]
    class_aware = False
    annotation = Captions

    def to_dict(self, annotation: Prediction) -> dict[str, Any]:
        """The captions, or the caption and a digest of the generated image."""
        if isinstance(annotation, Captions):
            return {"texts": list(annotation.texts)}
        digest = blake2b(annotation.image.tobytes(), digest_size=8).hexdigest()
        return {"text": annotation.text, "image": digest}

    def summary(self, annotation: Prediction) -> str:
        """The caption."""
        is_target = isinstance(annotation, Captions)
        return (annotation.texts[0] if is_target else annotation.text) or "no caption"  # type: ignore[union-attr]

    def draw(self, image: Image, annotation: Prediction) -> Image:
        """The image, beside it the generated one if there is one, and the caption below."""
        if isinstance(annotation, GeneratedImage):
            generated = fit(annotation.image, max(image.shape[:2]), image.shape[2])
            padded = np.zeros((len(generated), image.shape[1], image.shape[2]), np.uint8)
            padded[: len(image)] = image
            image = np.concatenate([padded, generated], 1)
        return drawing.add_caption(image, self.summary(annotation))

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The likeness, and the accuracy of the captions."""
        likeness, accuracy = metrics["likeness"], metrics["prompt_accuracy"]
        return (
            f"reaches a likeness of {percent(likeness['value'])} on "
            f"{count_images(likeness, split)}; "
            f"its own match {percent(accuracy['value'])} of captions"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Prediction, Prediction]],
    ) -> list[Panel]:
        """Examples beside real images, and the accuracy of each word."""
        return generation_panels(stats, ids, read_image, read_pair, self._words)

    def _words(self, tokens: Sequence[int]) -> str:
        """The words of these tokens, as the evaluator numbers them; empty without one."""
        return ""
