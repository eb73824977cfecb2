"""Two tiny lessons that run in no time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.lessons import site

NOTEBOOK = '''"""Lesson {number}: Lesson {name}

What {name} shows.
"""

import marimo

app = marimo.App()

with app.setup:
    import marimo as mo

    from foveate.lessons import drawings as show


@app.cell
def _():
    mo.md("# {name}")
    return


@app.cell
def _():
    one, two = show.slider([1, 2, 4], 2), mo.ui.radio(["a", "b"], value="b")
    return one, two


@app.cell
def _(one, two):
    poster = f"<i>a poster of {name}</i>"
    show.InteractiveFigure(
        lambda number, letter: f"<b>{{number}}{{letter}}</b>",
        {{"number": one, "letter": two}},
        static_controls={number},
    )
    return (poster,)
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose `lessons` are `first`, with one static control, and `second`, with two."""
    folder = tmp_path / "lessons"
    folder.mkdir()
    for number, name in ((2, "second"), (1, "first")):
        (folder / f"{name}.py").write_text(NOTEBOOK.format(number=number, name=name), "utf-8")
    monkeypatch.setattr(site, "NOTEBOOKS_DIR", folder)
    site.list_lessons.cache_clear()
    yield tmp_path
    site.list_lessons.cache_clear()
