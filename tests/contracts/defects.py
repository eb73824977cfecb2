"""For each task, ways to spoil a good sample. A task without an entry here fails its contract."""

from __future__ import annotations

from dataclasses import replace

from foveate.annotations import Label

DEFECTS = {
    "classification": {
        "no label": lambda sample, task: replace(sample, truth=None),
        "a class that does not exist": lambda sample, task: replace(sample, truth=Label(len(task.classes))),
    },
}
