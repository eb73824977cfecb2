"""Every lesson runs as a script and proves its claims; and what `foveate lesson` says and writes."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import foveate
from foveate.lessons import site
from helpers.command_line import refused, run_cli

LIMIT = 30
"""Seconds of processor that a lesson may take, alone."""
SHARED = 1.5
"""What a second of work counts where other tests share the core's units."""

SMALL = '''"""Lesson {number}: Lesson {name}

What {name} shows.
"""

import marimo

app = marimo.App()

with app.setup:
    import marimo as mo

    from foveate.lessons import _pictures as show


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
    show.Moving(lambda number, letter: f"<b>{{number}}{{letter}}</b>", {{"number": one, "letter": two}}, offered={offered})
    return (poster,)
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the lessons `first` and `second`, which take no time."""
    folder = tmp_path / "lessons"
    folder.mkdir()
    for number, name in ((2, "second"), (1, "first")):
        (folder / f"{name}.py").write_text(
            SMALL.format(number=number, name=name, offered=number), "utf-8"
        )
    monkeypatch.setattr(site, "FOLDER", folder)
    site.all.cache_clear()
    yield tmp_path
    site.all.cache_clear()


@pytest.mark.slow  # trains what it talks of
@pytest.mark.parametrize("lesson", site.all(), ids=lambda lesson: lesson.name)
def test_a_lesson_proves_its_claims_within_its_time(lesson):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, lesson.path], capture_output=True, text=True, timeout=20 * LIMIT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-3000:]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SHARED * LIMIT


@pytest.mark.parametrize("lesson", site.all(), ids=lambda lesson: lesson.name)
def test_a_lesson_claims_something_and_can_be_moved(lesson):
    nodes = list(ast.walk(ast.parse(lesson.path.read_text("utf-8"))))
    called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    assert sum(isinstance(node, ast.Assert) and node.msg is not None for node in nodes) >= 3
    assert "show.slider" in called
    assert "show.Moving" in called
    assert "show.claim" in called
    assert len(lesson.title) <= 40
    assert len(lesson.summary) <= 120


def test_lessons_are_numbered_without_gaps_that_two_share():
    numbers = [lesson.number for lesson in site.all()]
    assert len(set(numbers)) == len(numbers)
    assert {"perceptron", "convolution", "invariance"} <= {lesson.name for lesson in site.all()}


def test_foveate_itself_needs_no_lesson():
    root = Path(foveate.__file__).parent
    for path in root.rglob("*.py"):
        if path.parent.name != "lessons" and path.name != "teaching.py":
            assert "foveate.lessons" not in path.read_text("utf-8"), path


def test_they_are_listed():
    code, out, _ = run_cli("lesson")
    assert code == 0
    assert all(lesson.name in out for lesson in site.all())


def test_an_unknown_one_is_refused_with_the_nearest():
    assert "did you mean 'perceptron'" in refused("lesson", "perceptorn")


def test_options_that_cannot_go_together_are_refused(tmp_path):
    assert "--site" in refused("lesson", "perceptron", "--site", tmp_path)
    assert "name is expected" in refused("lesson", "--html", tmp_path / "x.html")


def test_without_marimo_the_extra_is_told(monkeypatch, tmp_path):
    find = site.importlib.util.find_spec
    monkeypatch.setattr(
        site.importlib.util, "find_spec", lambda name: None if name == "marimo" else find(name)
    )
    for words in (
        ["perceptron"],
        ["perceptron", "--html", tmp_path / "x.html"],
        ["--site", tmp_path / "site"],
    ):
        assert 'pip install "foveate[lessons]"' in refused("lesson", *words)
    assert not list(tmp_path.iterdir())


def test_one_without_its_docstring_is_refused(small):
    (small / "lessons" / "first.py").write_text("import marimo\n")
    assert "Lesson 1: TITLE" in refused("lesson")


def test_a_page_brings_every_position_and_loads_nothing(small):
    code, _, err = run_cli("lesson", "second", "--html", small / "page.html")
    assert code == 0, err
    page = (small / "page.html").read_text("utf-8")
    for frame in ("1a", "1b", "2a", "2b", "4a", "4b"):
        assert f'"<b>{frame}"' in page
    assert '<div class="stage"><b>2b</b></div>' in page
    assert re.search(r"<h1[^>]*>second</h1>", page)
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)|url\((?!#|["']?data:)|@import""", page)


def test_a_page_brings_only_the_positions_that_it_offers(small):
    run_cli("lesson", "first", "--html", small / "page.html")
    page = (small / "page.html").read_text("utf-8")
    assert '"<b>4b"' in page
    assert "<b>4a" not in page
    assert "The live lesson moves more: letter" in page


def test_the_site_leads_from_lesson_to_lesson(small):
    code, out, err = run_cli("lesson", "--site", small / "site")
    assert code == 0, err
    index, first, second = (
        (small / "site" / f"{name}.html").read_text("utf-8")
        for name in ("index", "first", "second")
    )
    assert index.index("1. Lesson first") < index.index("2. Lesson second")
    assert "a poster of first" in index
    assert 'href="second.html"' in first
    assert 'href="first.html"' in second
    assert 'href="index.html"' in second
    assert "index.html" in out


def test_a_claim_that_does_not_hold_leaves_no_page(small):
    path = small / "lessons" / "first.py"
    path.write_text(
        path.read_text("utf-8").replace(
            "    poster =", "    assert 1 == 2, 'what is claimed'\n    poster ="
        )
    )
    with pytest.raises(AssertionError, match="what is claimed"):
        site.write(site.find("first"), small / "page.html")
    assert not (small / "page.html").exists()


def test_a_line_of_code_that_is_not_there_is_not_shown():
    from foveate.lessons import drawings as show
    from foveate.training import loop

    assert "backward()" in show.line_of(loop.steps, ".backward()")
    with pytest.raises(ValueError, match="is not in the source"):
        show.line_of(loop.steps, "no such line")
