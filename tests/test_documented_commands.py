"""Every command in README.md and the how-to guides is one that foveate takes as it is written.

The commands are parsed, with all of their options and values, and not run: most of them train for
minutes or need data of the reader's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from foveate.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SYNOPSIS = re.compile(r"\[-|\[[A-Z]|\.\.\.|\||…")
"""A line that names what may be left out is a synopsis, no command."""


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The line and the words of each command in a block of code, from the subcommand on."""
    fenced, joined, first = False, "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if not fenced:
            continue
        first = first if joined else number
        joined += line.strip().removeprefix("$ ")
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        text, joined = joined, ""
        if "foveate" not in text or SYNOPSIS.search(text.split("  #")[0]):
            continue
        try:
            words = shlex.split(text, comments=True)
        except ValueError:  # Python or the output of a command
            continue
        if "torchrun" in words[:1] and "foveate" in words:
            words = words[words.index("foveate") :]
        if words[:1] == ["foveate"] and len(words) > 1:
            yield first, words[1:]


FOUND = [(page, line, words) for page in PAGES for line, words in commands(page)]


def test_commands_are_found():
    """The test below tests something: many commands, of most kinds."""
    readme = [words for page, _, words in FOUND if page.name == "README.md"]
    assert len(readme) > 35
    assert {"train", "test", "predict", "export", "audit", "tune", "label", "generate"} <= {
        words[0] for words in readme
    }


def test_a_command_that_foveate_does_not_take_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```\nfoveate train flowers/ --epoch 3  # wrong\nfoveate trian x\n```\n")
    for (line, words), error in zip(commands(page), ("No such option", "no such"), strict=True):
        with pytest.raises(Exception, match=error):
            test_a_documented_command_is_understood(page, line, words)


@pytest.mark.parametrize(
    ("page", "line", "words"),
    FOUND,
    ids=[f"{page.name}-{line}" for page, line, _ in FOUND],
)
def test_a_documented_command_is_understood(page, line, words):
    group = typer.main.get_command(main.app)
    if words[0].startswith("-"):
        group.make_context("foveate", words, resilient_parsing=True)
        return
    assert words[0] in group.commands, f"{page}:{line}: there is no such command"
    group.commands[words[0]].make_context(words[0], words[1:])
