"""For each task, ways to spoil a good sample. A task without an entry here fails its contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foveate.annotations import Boxes, Label

DEFECTS = {
    "classification": {
        "no label": lambda sample, task: replace(sample, truth=None),
        "a class that does not exist": lambda sample, task: replace(sample, truth=Label(len(task.classes))),
    },
    "detection": {
        "no boxes told": lambda sample, task: replace(sample, truth=None),
        "a class that does not exist": lambda sample, task: replace(
            sample, truth=Boxes(np.array([[1.0, 1, 5, 5]]), np.array([len(task.classes)]))
        ),
    },
}
