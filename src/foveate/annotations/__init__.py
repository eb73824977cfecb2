"""Annotations: the targets and predictions of every vision problem.

Target and prediction are the same type; a target has no scores. All coordinates are pixels of the
original image: x to the right, y down, counted between pixels, so that the whole image is the box
(0, 0, width, height). Annotations are stored as they were drawn, even where they are wrong (a box
outside the image): the audit reports that. Only what has no meaning at all is refused here.
"""

from __future__ import annotations

from foveate.annotations.annotation import Annotation, Change, Problem
from foveate.annotations.boxes import (
    EDGE_TOLERANCE,
    Boxes,
    boxes_of,
    corners_text,
    duplicate_boxes,
)
from foveate.annotations.captions import Captions, split_words
from foveate.annotations.conversions import CONVERSIONS, Conversion
from foveate.annotations.instances import Instances
from foveate.annotations.label import Label
from foveate.annotations.mask import IGNORE, Mask
from foveate.annotations.shapes import (
    ArrayMask,
    LabelMapShape,
    MaskSource,
    Polygon,
    RunLengths,
    Shape,
)

__all__ = [
    "CONVERSIONS",
    "EDGE_TOLERANCE",
    "IGNORE",
    "Annotation",
    "ArrayMask",
    "Boxes",
    "Captions",
    "Change",
    "Conversion",
    "Instances",
    "Label",
    "LabelMapShape",
    "Mask",
    "MaskSource",
    "Polygon",
    "Problem",
    "RunLengths",
    "Shape",
    "boxes_of",
    "corners_text",
    "duplicate_boxes",
    "split_words",
]
