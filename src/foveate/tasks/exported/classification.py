"""Classification after the net: logits to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from foveate.annotations import Label
from foveate.tasks.exported.exported_task import Outputs, WholeTask
from foveate.tasks.presenters.classification import ClassificationPresenter


class ExportedClassification(ClassificationPresenter, WholeTask[Label]):
    """Calibrated probabilities, the mean over an image and its mirror image.

    Attributes:
        temperature: Divides the logits before the softmax.
    """

    letterbox = False
    net_outputs = ("logits",)
    outputs: ClassVar = {"probabilities": "(N, K) float32 of the K classes"}

    def __init__(
        self,
        classes: Sequence[str],
        *,
        hflip: bool = False,
        temperature: Annotated[float, Gt(0)] = 1.0,
    ):
        super().__init__(classes)
        self.mirrored, self.temperature = hflip, temperature

    def graph(self) -> str:
        """Softmax of the scaled logits, and their mean over the views of an image."""
        views = 2 if self.mirrored else 1
        return f"""
            after (float[V, K] logits) => (float[N, K] probabilities) {{
              temperature = Constant <value = float {{{self.temperature!r}}}> ()
              scaled = Div (logits, temperature)
              each = Softmax <axis = 1> (scaled)
              shape = Constant <value_ints = [{views}, -1, {len(self.classes)}]> ()
              views = Reshape (each, shape)
              axes = Constant <value_ints = [0]> ()
              probabilities = ReduceMean <keepdims = 0> (views, axes)
            }}"""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Label:
        """The most likely class with all probabilities."""
        probabilities = outputs["probabilities"][row].astype(np.float64)
        return Label(int(probabilities.argmax()), probabilities / probabilities.sum())
