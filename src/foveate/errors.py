"""Errors that say what is wrong, where, and what to do about it.

A mistake in what the user gave (a path, an image, a setting) is a `FoveateError`: the command line
prints it as one message and exits with code 2. Any other exception is a bug and keeps its
traceback.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from foveate.wording import escape_controls


class FoveateError(Exception):
    """The user's data or settings cannot be used as they are.

    Its text is safe to print: names from the user's files are in it, and each of its parts is
    written on one line with control characters escaped.

    Args:
        message: What was expected and what was found, in one sentence.
        where: The file, folder or setting.
        line: The line of that file, counted from 1.
        details: Examples or choices, shown on a line each.
        remedy: What to do next, in the imperative.
        options: Options with which the same command goes on: (what one does, the option). Python
            has them as arguments of the same names.
    """

    def __init__(
        self,
        message: str,
        *,
        where: Path | str | None = None,
        line: int | None = None,
        details: Sequence[str] = (),
        remedy: str | None = None,
        options: Sequence[tuple[str, str]] = (),
    ):
        self.message, self.where, self.line, self.remedy = message, where, line, remedy
        self.options = options
        place = "" if where is None else f"{where}:{line}: " if line is not None else f"{where}: "
        lines = [f"{place}{message}", *(f"    {detail}" for detail in details)]
        lines += [f"  → {remedy}"] if remedy else []
        self._lines = lines
        super().__init__(self.with_command())

    def with_command(self, command: Sequence[str] = ()) -> str:
        """The text, with each of the options behind the command that was given.

        Args:
            command: Its words, or none if it is not known.
        """
        ways = []
        for what, option in self.options:
            words = [*_without_option(command, option), *option.split()]
            ways.append(f"  → {what}: {shlex.join(words)}")
        return "\n".join(map(escape_controls, [*self._lines, *ways]))


def _without_option(command: Sequence[str], option: str) -> list[str]:
    """The words of a command without an option and its value, which another one replaces."""
    name, *value = option.split()
    if name not in command:
        return list(command)
    place = command.index(name)
    return [*command[:place], *command[place + 1 + len(value) :]]


class DataError(FoveateError):
    """A dataset that cannot be read, split or trained on."""


class BadImage(FoveateError):
    """An image that cannot be read. Readers count it, list it with the reason, and go on."""


class SettingError(FoveateError):
    """A setting, or a combination of settings, that cannot work."""


class RunError(FoveateError):
    """A run folder that cannot be written, read or resumed."""


class DataChanged(RunError):
    """The data of a run is no longer what it was trained on."""


class StorageError(RunError):
    """A file cannot be written: the disk is full or read-only, or the folder is forbidden.

    Args:
        message: What happened, in one sentence.
        where: The file.
        cure: What removes the cause, in the imperative.
        advice: What is kept, and what to do once the cause is removed.
    """

    def __init__(
        self,
        message: str,
        *,
        where: Path | str,
        cure: str,
        advice: str = "Then give the same command again.",
    ):
        self.cure = cure
        super().__init__(message, where=where, remedy=f"{cure} {advice}")

    def with_advice(self, advice: str) -> StorageError:
        """The same error with the advice of the command in which it happened."""
        assert self.where is not None
        return StorageError(self.message, where=self.where, cure=self.cure, advice=advice)


class Diverged(FoveateError):
    """The loss or the gradient is no longer a finite number."""


class Interrupted(Exception):
    """The user stopped a run, which can be resumed.

    It is not a KeyboardInterrupt: the step that was under way was finished and saved.

    Args:
        path: The run folder.
        step: Steps that are done.
    """

    def __init__(self, path: Path, step: int):
        super().__init__(
            escape_controls(
                f"interrupted at step {step:,}; go on with: foveate train --resume {path}"
            )
        )
        self.path, self.step = path, step


class Cancelled(Exception):
    """The user stopped a command that can only be given again. It says what is kept."""

    def __init__(self, message: str):
        super().__init__(escape_controls(message))
