"""What is wrong, where, and what to do about it.

A mistake in what the user gave (a path, a picture, a setting) is a `FoveateError`: the command line prints it as one
clear message and exits with 2. Anything else that escapes is our own bug and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path


class FoveateError(Exception):
    """The user's data or settings cannot be used as they are.

    message: what was expected and what was found instead, in one sentence
    where: the file (or folder, or setting) it was found in
    line: the line of that file, counted from 1
    remedy: what to do next, in the imperative
    """

    def __init__(
        self,
        message: str,
        *,
        where: Path | str | None = None,
        line: int | None = None,
        remedy: str | None = None,
    ):
        self.message, self.where, self.line, self.remedy = message, where, line, remedy
        place = "" if where is None else f"{where}:{line}: " if line is not None else f"{where}: "
        super().__init__(f"{place}{message}" + (f"\n  → {remedy}" if remedy else ""))


class DataError(FoveateError):
    """The data as a whole cannot be read, split or trusted."""


class BadImage(FoveateError):
    """One picture cannot be read. The data's reader counts it, lists it with this reason, and goes on."""


class SettingError(FoveateError):
    """A setting, or a pair of settings, that cannot work."""


class RunError(FoveateError):
    """A run folder that cannot be written, read or continued."""


class Diverged(FoveateError):
    """The loss or the gradient is no longer a finite number."""


class Interrupted(Exception):
    """The user stopped a run that can go on later. path: its folder; step: how far it came.

    No KeyboardInterrupt, which says that work was cut in the middle: this one was brought to a good end.
    """

    def __init__(self, path: Path, step: int):
        super().__init__(f"interrupted at step {step:,}; go on with: foveate train --resume {path}")
        self.path, self.step = path, step
