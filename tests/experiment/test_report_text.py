"""What the report says of a run in words is true of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from foveate.experiment.command_line import command_line
from foveate.experiment.report import _data, _reproduction


@pytest.mark.parametrize(
    ("command", "timed"),
    [
        ("foveate train data --minutes 1", True),
        ("foveate train data --minutes=1 --seed 2", True),
        ("foveate train 'unbalanced --epochs 3", False),
        (None, False),
    ],
)
def test_a_command_with_minutes_is_told_from_one_that_repeats_the_run(trained, command, timed):
    segments = [(0, 0.0, trained.results["steps"])]
    settings = {"command": command, "epochs": None, "progress_segments": segments}
    run = SimpleNamespace(settings=trained.settings.model_copy(update=settings))
    panel = _reproduction(run, trained.results)
    assert ("differ each time" in panel.text) == timed
    assert panel.code == (command or command_line(run))
    assert f"progress_segments=[[0, 0.0, {trained.results['steps']}]]" in panel.more


def test_notes_on_the_data_are_no_warnings(trained):
    panels = _data(trained.data | {"notes": ["images are of two sizes"]})
    (notes,) = [panel for panel in panels if panel.title == "Notes on the data"]
    assert [note.tone for note in notes.notes] == ["plain"]
