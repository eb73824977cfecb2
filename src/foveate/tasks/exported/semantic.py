"""Semantic segmentation after the net: logits to a class for each pixel."""

from __future__ import annotations

from typing import ClassVar

from foveate.annotations import Mask
from foveate.ops.masks import resize_nearest
from foveate.tasks.exported.exported_task import Outputs, WholeTask
from foveate.tasks.presenters.semantic import SemanticPresenter


class ExportedSemantic(SemanticPresenter, WholeTask[Mask]):
    """The most likely class of each pixel, at the size of the image."""

    letterbox = True
    net_outputs = ("logits",)
    outputs: ClassVar = {"class_map": "(N, H, W) int32: the class of each pixel"}

    def graph(self) -> str:
        """The class of each pixel; enlarged, each pixel takes the one under its centre."""
        return """
            after (float[N, K, h, w] logits, int64[2] content, int64[2] sides)
                => (int32[N, H, W] class_map) {
              best = ArgMax <axis = 1, keepdims = 0> (logits)
              small = Cast <to = 6> (best)
              exact_content = Cast <to = 11> (content)
              exact_sides = Cast <to = 11> (sides)
              steps = Div (exact_content, exact_sides)
              zero = Constant <value = int64 {0}> ()
              unit = Constant <value = int64 {1}> ()
              half = Constant <value = double {0.5}> ()
              height = Gather (sides, zero)
              width = Gather (sides, unit)
              down = Gather (steps, zero)
              across = Gather (steps, unit)
              row_numbers = Range (zero, height, unit)
              column_numbers = Range (zero, width, unit)
              exact_rows = Cast <to = 11> (row_numbers)
              exact_columns = Cast <to = 11> (column_numbers)
              row_centres = Add (exact_rows, half)
              column_centres = Add (exact_columns, half)
              row_places = Mul (row_centres, down)
              column_places = Mul (column_centres, across)
              rows = Cast <to = 7> (row_places)
              columns = Cast <to = 7> (column_places)
              tall = Gather <axis = 1> (small, rows)
              class_map = Gather <axis = 2> (tall, columns)
            }"""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Mask:
        """The class of each pixel."""
        return Mask.from_array(resize_nearest(outputs["class_map"][row], size))
