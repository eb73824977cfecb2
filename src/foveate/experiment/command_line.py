"""The command line that repeats a run."""

from __future__ import annotations

import shlex

from foveate import models, tasks
from foveate.experiment.run_folder import RunFolder
from foveate.settings import RECORDED, Settings

_OPTIONS = (
    "task",
    "model",
    "size",
    "epochs",
    "lr",
    "seed",
    "batch_size",
    "root",
    "device",
    "group_by",
    "time_by",
    "fold",
    "split",
    "rare_classes",
)
_SWITCHES = ("allow_leak", "drop_leaks", "allow_skipped", "allow_errors")


def command_line(run: RunFolder) -> str:
    """The foveate train command with the model and every setting that is not a default."""
    defaults = Settings.of(**tasks.find(run.settings.task).default_settings)
    usual = defaults.model_dump(mode="json")
    changed = {
        name: value
        for name, value in run.settings.model_dump(mode="json").items()
        if name == "model" or (value != usual[name] and name not in RECORDED)
    }
    if changed.get("device") == "cpu":
        del changed["device"]  # what most machines have
    words = ["foveate", "train", changed.pop("data", "")]
    if "data_format" in changed:
        words += ["--format", changed.pop("data_format")]
    for name in _OPTIONS:
        if name in changed:
            words += [f"--{name.replace('_', '-')}", f"{changed.pop(name)}"]
    for name in _SWITCHES:
        if changed.pop(name, False):
            words.append(f"--{name.replace('_', '-')}")
    if (weights := changed.pop("weights", None)) not in (None, models.INCLUDED):
        words += ["--pretrained"] if weights == "download" else ["--weights", weights]
    if (flip := changed.pop("flip", None)) is not None:
        words.append("--flip" if flip else "--no-flip")
    for name, value in changed.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)
