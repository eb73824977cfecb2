"""The lessons: list them, open one in the browser, and write them as pages that need no Python.

marimo's own export loads its program from the network, so its pages stay blank without one. Our
pages hold the outputs of the notebook's cells in an HTML template, and every frame of each
interactive figure (`lessons/drawings.py`).
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from foveate import atomic_io
from foveate.errors import DataError, FoveateError, SettingError
from foveate.outputs import check_output, html_kind

NOTEBOOKS_DIR = _STYLE_DIR = Path(__file__).parent / "notebooks"
_TEMPLATES_DIR = Path(__file__).parent / "templates"
_PAGE = html_kind("lesson")
_DOCSTRING = re.compile(r"Lesson (\d+): (.+)\n\n(.+?)\n*", re.S)
_START_SECONDS = 60.0
"""How long marimo's server may take to start; its imports are slow on a busy machine."""


@dataclass(frozen=True)
class Lesson:
    """A notebook and what its docstring says: "Lesson 1: TITLE", an empty line, the summary.

    Attributes:
        name: The file's name without its suffix.
        number: The lesson's place in the course.
        title: The lesson's title.
        summary: One sentence or two on one line.
        path: The notebook.
    """

    name: str
    number: int
    title: str
    summary: str
    path: Path


@cache
def list_lessons() -> tuple[Lesson, ...]:
    """Return all lessons in order, without running a notebook.

    Raises:
        DataError: If a notebook's docstring names no number, title and summary.
    """
    lessons = []
    for path in NOTEBOOKS_DIR.glob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        match = _DOCSTRING.fullmatch(docstring)
        if match is None:
            raise DataError(
                'expected a docstring like "Lesson 1: TITLE", an empty line and a summary',
                where=path,
            )
        number, title, summary = match.groups()
        lessons.append(Lesson(path.stem, int(number), title, " ".join(summary.split()), path))
    return tuple(sorted(lessons, key=lambda lesson: lesson.number))


def find_lesson(name: str) -> Lesson:
    """Return the lesson of that name.

    Raises:
        SettingError: If there is none; the message lists the names.
    """
    lessons = {lesson.name: lesson for lesson in list_lessons()}
    if name in lessons:
        return lessons[name]
    close = difflib.get_close_matches(name, lessons, n=1)
    raise SettingError(
        f"no lesson is called {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
        where="lesson",
        remedy=f"Lessons: {', '.join(lessons)}.",
    )


def _require_marimo() -> None:
    if importlib.util.find_spec("marimo") is None:
        raise FoveateError(
            "the lessons are marimo notebooks, and marimo is not installed",
            where="lesson",
            remedy='pip install "foveate[lessons]"',
        )


# --- live


def serve(lesson: Lesson, report: Callable[[str], None], *, browser: bool = True) -> None:
    """Serve a lesson on this machine only (127.0.0.1, a free port) until the user stops it.

    Args:
        lesson: The lesson.
        report: Receives the address as soon as the page can be opened.
        browser: Whether to open the address in the browser.

    Raises:
        FoveateError: If the server does not start.
    """
    _require_marimo()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # No request leaves the machine: no check for updates or missing packages.
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "marimo", "-q", "-y", "run", str(lesson.path)),
            *("--host=127.0.0.1", f"--port={port}"),
            *("--headless", "--no-sandbox", "--include-code"),
        ],
        env={**os.environ, "MARIMO_SKIP_UPDATE_CHECK": "1"},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    # The server is a separate process; it must not survive a signal that ends this one.
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _wait_until_ready(server, address)
        report(f"{lesson.title}: {address}  (press Ctrl-C to stop)")
        if browser:
            webbrowser.open(address)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()
        signal.signal(signal.SIGTERM, previous)


def _wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    started = time.monotonic()
    while time.monotonic() - started < _START_SECONDS and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise FoveateError(
        "marimo's server did not start", where=address, remedy="Read its messages above."
    )


# --- pages


def write_page(lesson: Lesson, path: Path) -> None:
    """Run a lesson and write it as one page that loads nothing.

    Raises:
        AssertionError: If a claim of the lesson does not hold.
        RunError: If there is a file that is no page of a lesson.
    """
    check_output(path, _PAGE, option="--html", overwrite=True)
    _require_marimo()
    atomic_io.write_text(path, _page(lesson, _run(lesson)[0]))


def write_site(folder: Path, report: Callable[[str], None]) -> None:
    """Write every lesson as a page, and an index.

    Args:
        folder: Created if missing.
        report: Receives the path of each page that is written.
    """
    _require_marimo()
    folder.mkdir(parents=True, exist_ok=True)
    lessons, cards = list_lessons(), []
    for name in ("index", *(lesson.name for lesson in lessons)):
        check_output(folder / f"{name}.html", _PAGE, option="--site", overwrite=True)
    for index, lesson in enumerate(lessons):
        outputs, poster = _run(lesson)
        page = _page(
            lesson,
            outputs,
            in_site=True,
            previous=lessons[index - 1] if index else None,
            following=lessons[index + 1] if index + 1 < len(lessons) else None,
        )
        path = folder / f"{lesson.name}.html"
        atomic_io.write_text(path, page)
        cards.append((lesson, poster))
        report(str(path))
    atomic_io.write_text(
        folder / "index.html", _templates().get_template("index.html").render(cards=cards)
    )
    report(str(folder / "index.html"))


def _run(lesson: Lesson) -> tuple[Sequence[Any], str]:
    """Return the outputs of the lesson's cells, and its poster."""
    spec = importlib.util.spec_from_file_location(f"lesson_{lesson.name}", lesson.path)
    assert spec is not None  # the path is a Python file
    assert spec.loader is not None
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    outputs, names = notebook.app.run()
    if "poster" not in names:
        raise DataError(
            "expected a cell that defines `poster`, the figure for the index", where=lesson.path
        )
    return [output for output in outputs if output is not None], names["poster"]


def _page(
    lesson: Lesson,
    outputs: Sequence[Any],
    *,
    in_site: bool = False,
    previous: Lesson | None = None,
    following: Lesson | None = None,
) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    formatter = HtmlFormatter(style="default", cssclass="codehilite")
    dark = HtmlFormatter(style="github-dark", cssclass="codehilite")
    light_css, dark_css = (
        _without_background(style.get_style_defs(".codehilite")) for style in (formatter, dark)
    )
    page: str = (
        _templates()
        .get_template("page.html")
        .render(
            lesson=lesson,
            sections=[_html(output, f"m{index}") for index, output in enumerate(outputs)],
            code=highlight(lesson.path.read_text(encoding="utf-8"), PythonLexer(), formatter),
            highlighting=f"{light_css}@media (prefers-color-scheme: dark) {{\n{dark_css}}}\n",
            in_site=in_site,
            previous=previous,
            following=following,
        )
    )
    return page


def _without_background(css: str) -> str:
    """Drop the rules that would override the page's background for code."""
    return "".join(
        f"{line}\n"
        for line in css.splitlines()
        if not re.match(r"\.codehilite \{|pre|td|span", line)
    )


def _html(output: Any, key: str) -> str:
    import marimo as mo

    from foveate.lessons.drawings import InteractiveFigure

    if isinstance(output, InteractiveFigure):
        return _interactive_html(output, key)
    return mo.as_html(output).text


def _interactive_html(figure: Any, key: str) -> str:
    """Return the controls as plain HTML inputs, with all frames as JSON."""
    states, frames = figure.states(), figure.frames()
    static = [state for state in states if state.is_static]
    data = {"texts": [state.options for state in static], **_compressed(frames)}
    html: str = (
        _templates()
        .get_template("interactive.html")
        .render(
            controls=static,
            key=key,
            can_play=len(static) == 1 and not static[0].is_radio and len(frames) > 4,
            live_only=", ".join(state.name for state in states if not state.is_static),
            stage=figure.current(),
            data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
        )
    )
    return html


def _compressed(frames: Sequence[str]) -> dict[str, Any]:
    """Store each distinct tag once, and each frame as the indices of its tags.

    Frames share most of their tags, so a page shrinks to a third or less.
    """
    tags: dict[str, int] = {}
    rows = [
        [tags.setdefault(tag, len(tags)) for tag in re.findall(r"^[^<]+|<[^<]*", frame)]
        for frame in frames
    ]
    return {"tags": list(tags), "frames": rows}


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([_TEMPLATES_DIR, _STYLE_DIR]),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
