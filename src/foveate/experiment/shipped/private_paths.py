"""Paths of the user's machine, which a text that others read need not name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

import markupsafe

from foveate.experiment.run_folder import RunFolder
from foveate.wording import escape_controls


@dataclass(frozen=True)
class PrivatePaths:
    """Whole paths, and what stands for each of them.

    Attributes:
        names: (path, name) pairs, the longest path first.
    """

    names: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, run: RunFolder, others: Iterable[str] = ()) -> PrivatePaths:
        """Those that the record of a run holds: each becomes its last part, the home folder "~".

        Args:
            run: The run.
            others: More paths.
        """
        settings = run.settings
        texts = [
            run.data["origin"], settings.data, settings.root, settings.split, settings.weights,
            settings.model.partition(":")[2], (settings.text_encoder or "").partition(":")[2],
            str(run.path), str(run.path.absolute()), str(run.path.resolve()),
            *_words(settings.command or ""), *others,
        ]  # fmt: skip
        names = {text: PurePath(text).name for text in texts if text and Path(text).is_absolute()}
        home = str(Path.home())
        names |= {home: "~"} if len(home) > 1 else {}
        longest = sorted(names.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        return cls(tuple((path, name) for path, name in longest if name))

    def hide(self, text: str) -> str:
        """A text without these paths."""
        for path, name in self.names:
            text = _replaced(text, path, name)
        return text

    def hide_in_html(self, page: str) -> str:
        """A page without them, as they are or quoted as words of a command."""
        for path, name in self.names:
            for form in (str, shlex.quote):
                page = _replaced(page, _escaped(form(path)), _escaped(form(name)))
        return page


def _words(command: str) -> list[str]:
    """The words of a command, and what they give their options: --set weights=/a/b."""
    words = shlex.split(command)
    return [part for word in words for part in (word, word.rpartition("=")[2])]


def _replaced(text: str, path: str, name: str) -> str:
    """A text with a whole path replaced; images in a page hold any letters, also a short path."""
    pattern = rf"(?<![\w+/.-]){re.escape(path)}(?![\w+=-]|\.\w)"
    return re.sub(pattern, lambda _: name, text)


def _escaped(text: str) -> str:
    """Text as it stands in a page."""
    return str(markupsafe.escape(escape_controls(text)))
