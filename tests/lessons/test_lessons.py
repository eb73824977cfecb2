"""Every lesson runs and proves its claims; and what `foveate lesson` prints and writes."""

from __future__ import annotations

import ast
import multiprocessing
import re
import runpy
import traceback
from pathlib import Path

import pytest

import foveate
from foveate.lessons import site
from helpers.command_line import refused, run_cli

TIMEOUT = 600
"""Seconds after which a lesson counts as hung. Alone on a machine each takes less than 30."""


def run_notebook(path: Path) -> str | None:
    """Run a notebook as a script; return the traceback if it fails."""
    try:
        runpy.run_path(str(path), run_name="__main__")
    except BaseException:
        return traceback.format_exc()
    return None


@pytest.fixture(scope="module")
def notebook_process():
    """A separate process that runs one notebook after the other, and imports torch only once."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.mark.slow  # each lesson trains its networks
@pytest.mark.parametrize("lesson", site.list_lessons(), ids=lambda lesson: lesson.name)
def test_a_lesson_proves_its_claims(lesson, notebook_process):
    result = notebook_process.apply_async(run_notebook, (lesson.path,))
    try:
        error = result.get(TIMEOUT)
    except multiprocessing.TimeoutError:
        notebook_process.terminate()  # else the lessons after it would wait as well
        raise
    assert error is None, error[-3000:]


@pytest.mark.parametrize("lesson", site.list_lessons(), ids=lambda lesson: lesson.name)
def test_a_lesson_makes_claims_and_is_interactive(lesson):
    nodes = list(ast.walk(ast.parse(lesson.path.read_text("utf-8"))))
    called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    assert sum(isinstance(node, ast.Assert) and node.msg is not None for node in nodes) >= 3
    assert "show.slider" in called
    assert "show.InteractiveFigure" in called
    assert "show.claim" in called
    assert len(lesson.title) <= 40
    assert len(lesson.summary) <= 120


def test_no_two_lessons_share_a_number():
    numbers = [lesson.number for lesson in site.list_lessons()]
    assert len(set(numbers)) == len(numbers)
    names = {lesson.name for lesson in site.list_lessons()}
    assert {"perceptron", "convolution", "invariance"} <= names


def test_only_the_lesson_command_imports_the_lessons():
    root = Path(foveate.__file__).parent
    allowed = root / "cli" / "lessons.py"
    for path in root.rglob("*.py"):
        if path != allowed and not path.is_relative_to(root / "lessons"):
            assert "foveate.lessons" not in path.read_text("utf-8"), path


def test_lessons_are_listed():
    code, out, _ = run_cli("lesson")
    assert code == 0
    assert all(lesson.name in out for lesson in site.list_lessons())


def test_an_unknown_lesson_is_refused_with_the_closest_name():
    assert "did you mean 'perceptron'" in refused("lesson", "perceptorn")


def test_options_that_exclude_each_other_are_refused(tmp_path):
    assert "--site" in refused("lesson", "perceptron", "--site", tmp_path)
    assert "needs the name of a lesson" in refused("lesson", "--html", tmp_path / "x.html")


def test_without_marimo_the_message_names_the_extra(monkeypatch, tmp_path):
    find = site.importlib.util.find_spec
    monkeypatch.setattr(
        site.importlib.util, "find_spec", lambda name: None if name == "marimo" else find(name)
    )
    for arguments in (
        ["perceptron"],
        ["perceptron", "--html", tmp_path / "x.html"],
        ["--site", tmp_path / "site"],
    ):
        assert 'pip install "foveate[lessons]"' in refused("lesson", *arguments)
    assert not list(tmp_path.iterdir())


def test_a_notebook_without_a_docstring_is_refused(small):
    (small / "lessons" / "first.py").write_text("import marimo\n")
    assert "Lesson 1: TITLE" in refused("lesson")


def test_a_page_contains_every_position_and_loads_nothing(small):
    code, _, err = run_cli("lesson", "second", "--html", small / "page.html")
    assert code == 0, err
    page = (small / "page.html").read_text("utf-8")
    for frame in ("1a", "1b", "2a", "2b", "4a", "4b"):
        assert f'"<b>{frame}"' in page
    assert '<div class="stage"><b>2b</b></div>' in page
    assert re.search(r"<h1[^>]*>second</h1>", page)
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)|url\((?!#|["']?data:)|@import""", page)


def test_a_page_contains_only_the_positions_of_its_static_controls(small):
    run_cli("lesson", "first", "--html", small / "page.html")
    page = (small / "page.html").read_text("utf-8")
    assert '"<b>4b"' in page
    assert "<b>4a" not in page
    assert "Only in the live lesson: letter" in page


def test_the_site_links_each_lesson_to_the_next(small):
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
            "    poster =", "    assert 1 == 2, 'the claim'\n    poster ="
        )
    )
    with pytest.raises(AssertionError, match="the claim"):
        site.write_page(site.find_lesson("first"), small / "page.html")
    assert not (small / "page.html").exists()


def test_a_source_line_that_does_not_exist_is_refused():
    from foveate.lessons import drawings as show
    from foveate.training import loop

    assert "backward()" in show.source_line(loop.steps, ".backward()")
    with pytest.raises(ValueError, match="is not in the source"):
        show.source_line(loop.steps, "no such line")
