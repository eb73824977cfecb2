"""Every command in README.md and the how-to guides is one that foveate takes as it is written.

The commands are parsed here, with all of their options and values. Those of README.md also run, in
test_readme.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from foveate.cli import main
from foveate.datasets import load
from foveate.experiment import claim
from helpers.documented import commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOUND = [(page, line, words) for page in PAGES for line, words in commands(page)]


@pytest.fixture(autouse=True)
def everything_is_there(monkeypatch):
    """The data and the runs that the pages name are not."""
    monkeypatch.setattr(load, "check_there", lambda data: None)
    monkeypatch.setattr(claim, "settings_file", lambda path: path)


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
