"""Semantic segmentation after the net: logits to a class for each pixel."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Mask
from foveate.data.dataset import Image
from foveate.ops.masks import resize_bilinear, resize_nearest
from foveate.tasks.exported.exported_task import ExportedNet, Outputs, WholeTask
from foveate.tasks.presenters.semantic import SemanticPresenter
from foveate.tasks.tiling import Tiled, blend_classes, check_tile


class ExportedSemantic(SemanticPresenter, WholeTask[Mask], Tiled[Mask, ExportedNet]):
    """The most likely class of each pixel, at the size of the image."""

    letterbox = True
    net_outputs = ("logits",)
    decoded = ("class_map",)
    outputs: ClassVar = {
        "class_map": "(N, H, W) int32: the class of each pixel",
        "class_logits": "(N, K, h, w) float32: logits of the K classes at the training size, "
        "from which overlapping tiles of a large image are blended",
    }

    def graph(self) -> str:
        """The class of each pixel; enlarged, each pixel takes the one under its centre."""
        return """
            after (float[N, K, h, w] logits, int64[2] content, int64[2] sides)
                => (int32[N, H, W] class_map, float[N, K, c, d] class_logits) {
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
              starts = Constant <value_ints = [0, 0]> ()
              both = Constant <value_ints = [2, 3]> ()
              class_logits = Slice (logits, starts, content, both)
            }"""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Mask:
        """The class of each pixel."""
        return Mask.from_array(resize_nearest(outputs["class_map"][row], size))

    def predict_tiled(self, net: ExportedNet, image: Image, side: int) -> Mask:
        """Blend the probabilities of overlapping tiles, which count less towards their edges."""
        check_tile(net.size, side)

        def probabilities(tile: Image) -> NDArray[np.float32]:
            logits = net.outputs_of(tile)["class_logits"][0]
            powers = np.exp(logits - logits.max(0))
            return resize_bilinear(powers / powers.sum(0), (tile.shape[0], tile.shape[1]))

        return blend_classes(probabilities, image, side, len(self.classes))
