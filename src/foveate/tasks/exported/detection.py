"""Detection after the net: candidates to boxes, by non-maximum suppression."""

from __future__ import annotations

from typing import ClassVar

from foveate.annotations import Boxes
from foveate.data.dataset import Image
from foveate.tasks.exported.exported_task import ExportedNet, Outputs, WholeTask
from foveate.tasks.presenters.detection import DetectionPresenter
from foveate.tasks.suppression import MAX_CANDIDATES, MAX_DETECTIONS, MIN_SCORE, NMS_IOU
from foveate.tasks.tiling import Tiled, check_tile, merge_boxes

TILES_AT_ONCE = 8
"""Tiles that are cut out of an image before they are predicted."""


class ExportedDetection(DetectionPresenter, WholeTask[Boxes], Tiled[Boxes, ExportedNet]):
    """Boxes in the pixels of the images."""

    letterbox = True
    net_outputs = ("corners", "candidate_scores")
    outputs: ClassVar = {
        "boxes": "(M, 4) float32: left, top, right and bottom, in pixels of the image as given",
        "scores": "(M,) float32 from 0 to 1, falling within each image",
        "classes": "(M,) int64",
        "image_rows": "(M,) int64: which image of the batch each box is in",
        "confident": "(M,) bool: whether the score reaches the threshold of its class; boxes that "
        f"do not are returned down to a score of {MIN_SCORE}, and can be dropped",
    }

    def graph(self) -> str:
        """The best candidates of each image, without those that overlap a better one."""
        thresholds = ", ".join(f"{value!r}" for value in self.thresholds.tolist())
        classes = len(self.classes)
        # NonMaxSuppression compares boxes of one class: others are moved away, as in torchvision.
        return f"""
            after (float[N, A, 4] corners, float[N, A, K] candidate_scores,
                   int64[2] content, int64[2] sides)
                => (float[M, 4] boxes, float[M] scores, int64[M] classes, int64[M] image_rows,
                    bool[M] confident) {{
              rows = Constant <value_ints = [0, -1]> ()
              flat = Reshape (candidate_scores, rows)
              count = Shape <start = 1> (flat)
              most = Constant <value_ints = [{MAX_CANDIDATES}]> ()
              taken = Min (count, most)
              top, which = TopK <axis = 1> (flat, taken)
              number = Constant <value = int64 {{{classes}}}> ()
              class_of = Mod (which, number)
              point = Div (which, number)
              last = Constant <value_ints = [2]> ()
              point_column = Unsqueeze (point, last)
              four = Constant <value_ints = [1, 1, 4]> ()
              points = Expand (point_column, four)
              best = GatherElements <axis = 1> (corners, points)
              low = ReduceMin <keepdims = 0> (best)
              high = ReduceMax <keepdims = 0> (best)
              extent = Sub (high, low)
              one = Constant <value = float {{1.0}}> ()
              apart = Add (extent, one)
              class_float = Cast <to = 1> (class_of)
              shift = Mul (class_float, apart)
              shift_column = Unsqueeze (shift, last)
              from_zero = Sub (best, low)
              moved = Add (from_zero, shift_column)
              middle = Constant <value_ints = [1]> ()
              one_class = Unsqueeze (top, middle)
              kept_most = Constant <value = int64 {{{MAX_DETECTIONS}}}> ()
              iou = Constant <value = float {{{NMS_IOU!r}}}> ()
              min_score = Constant <value = float {{{MIN_SCORE!r}}}> ()
              kept = NonMaxSuppression (moved, one_class, kept_most, iou, min_score)
              first = Constant <value = int64 {{0}}> ()
              image_rows = Gather <axis = 1> (kept, first)
              columns = Constant <value_ints = [0, 2]> ()
              places = Gather <axis = 1> (kept, columns)
              scores = GatherND (top, places)
              classes = GatherND (class_of, places)
              inside = GatherND (best, places)
              content_float = Cast <to = 1> (content)
              sides_float = Cast <to = 1> (sides)
              across_down = Constant <value_ints = [1, 0, 1, 0]> ()
              limits = Gather (content_float, across_down)
              targets = Gather (sides_float, across_down)
              zero = Constant <value = float {{0.0}}> ()
              not_below = Max (inside, zero)
              clipped = Min (not_below, limits)
              scale = Div (targets, limits)
              boxes = Mul (clipped, scale)
              thresholds = Constant <value = float[{classes}] {{{thresholds}}}> ()
              threshold = Gather (thresholds, classes)
              confident = GreaterOrEqual (scores, threshold)
            }}"""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Boxes:
        """The boxes of an image, by falling score."""
        own = outputs["image_rows"] == row
        height, width = (int(side) for side in outputs["content"])
        boxes = outputs["boxes"][own].clip(0, [width, height] * 2)
        classes, scores = outputs["classes"][own], outputs["scores"][own]
        return Boxes(boxes, classes, scores, size=(height, width)).resize((height, width), size)

    def predict_tiled(self, net: ExportedNet, image: Image, side: int) -> Boxes:
        """Predict from the whole image and from its tiles."""
        check_tile(net.size, side)
        return merge_boxes(net.predict_images, image, side, TILES_AT_ONCE)
