"""For each task, ways to spoil a good sample. A task without an entry here fails its contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foveate.annotations import Boxes, Captions, Instances, Label, Mask

DEFECTS = {
    "classification": {
        "no label": lambda sample, task: replace(sample, target=None),
        "a class that does not exist": lambda sample, task: replace(
            sample, target=Label(len(task.classes))
        ),
    },
    "detection": {
        "no boxes told": lambda sample, task: replace(sample, target=None),
        "a class that does not exist": lambda sample, task: replace(
            sample, target=Boxes(np.array([[1.0, 1, 5, 5]]), np.array([len(task.classes)]))
        ),
    },
    "semantic": {
        "no mask": lambda sample, task: replace(sample, target=None),
        "a class that does not exist": lambda sample, task: replace(
            sample, target=Mask(sample.target.pixels, None, (0, len(task.classes)))
        ),
    },
    "instance": {
        "nothing told": lambda sample, task: replace(sample, target=None),
        "a class that does not exist": lambda sample, task: replace(
            sample,
            target=Instances(
                Boxes(np.array([[1.0, 1, 5, 5]]), np.array([len(task.classes)])), (None,)
            ),
        ),
    },
}
DEFECTS["text_to_image"] = {
    "no caption": lambda sample, task: replace(sample, target=None),
    "an empty caption": lambda sample, task: replace(sample, target=Captions(("",))),
    "a caption without words": lambda sample, task: replace(sample, target=Captions(("...",))),
    "a label": lambda sample, task: replace(sample, target=Label(0)),
}
DEFECTS["promptable"] = DEFECTS["instance"]
