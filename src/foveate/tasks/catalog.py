"""What `foveate tasks` lists, apart from the tasks themselves, whose files import torch.

A new file in this folder that is not here is imported for the list, which takes seconds.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """The attributes of a `Task` that describe it."""

    name: str
    primary_metric: str
    description: str


CATALOG = {
    one.name: one
    for one in (
        Entry("classification", "accuracy", "one class for each image"),
        Entry("detection", "map50", "a box and a class for each object"),
        Entry("instance", "map50", "a class and a mask for each object"),
        Entry("promptable", "iou_1", "the mask of an object that is clicked on"),
        Entry("semantic", "miou", "a class for each pixel"),
        Entry("text_to_image", "likeness", "an image of a caption"),
    )
}
"""The tasks of this folder, each in a file of its name."""
PIPELINE_TAGS = {
    "classification": "image-classification",
    "detection": "object-detection",
    "instance": "image-segmentation",
    "promptable": "mask-generation",
    "semantic": "image-segmentation",
    "text_to_image": "text-to-image",
}
"""What model hubs call each task."""
WITHOUT_TASK = frozenset(
    {
        "capabilities", "catalog", "clicking", "exported", "generating", "grouping", "options",
        "pixelwise", "policies", "presenters", "prompted", "suppression", "task", "tiling",
    }
)  # fmt: skip
"""Files of this folder in which there is no task."""
