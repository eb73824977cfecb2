"""The lessons: which there are, how one is opened in the browser, and how they become pages that need no Python.

marimo's own export loads its program from the network, so its pages are blank without one. Ours are what the notebook's cells
gave, in a page of our own; pictures that move bring all their frames (`lessons/drawings.py`).
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

FOLDER = _NOTEBOOKS = Path(__file__).parent / "notebooks"
_TEMPLATES = Path(__file__).parent / "templates"
_TITLE = re.compile(r"Lesson (\d+): (.+)\n\n(.+?)\n*", re.S)
_PATIENCE = 60.0
"""Seconds that marimo's server may take to begin; on busy machines its imports take many."""


@dataclass(frozen=True)
class Lesson:
    """A notebook. number, title, summary: from its docstring, "Lesson 1: TITLE", an empty line, and the summary."""

    name: str
    number: int
    title: str
    summary: str
    path: Path


@cache
def all() -> tuple[Lesson, ...]:
    """Every lesson in its order. No notebook is run for that. Raises DataError for one without its docstring."""
    found = []
    for path in FOLDER.glob("*.py"):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        match = _TITLE.fullmatch(told)
        if match is None:
            raise DataError(
                'a docstring like "Lesson 1: TITLE", an empty line and a summary is expected',
                where=path,
            )
        number, title, summary = match.groups()
        found.append(Lesson(path.stem, int(number), title, " ".join(summary.split()), path))
    return tuple(sorted(found, key=lambda lesson: lesson.number))


def find(name: str) -> Lesson:
    """The lesson of that name. Raises SettingError with what there is."""
    known = {lesson.name: lesson for lesson in all()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    raise SettingError(
        f"no lesson is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        where="lesson",
        remedy=f"Lessons: {', '.join(known)}.",
    )


def _refuse_without_marimo() -> None:
    if importlib.util.find_spec("marimo") is None:
        raise FoveateError(
            "the lessons are marimo notebooks, and marimo is not installed",
            where="lesson",
            remedy='pip install "foveate[lessons]"',
        )


# --- live


def serve(lesson: Lesson, say: Callable[[str], None], *, browser: bool = True) -> None:
    """Open it in the browser, on this machine only (127.0.0.1, a free port), until it is stopped.

    say: is told the address when it can be opened. Raises FoveateError when the server does not begin.
    """
    _refuse_without_marimo()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        "run",
        str(lesson.path),
        "--host=127.0.0.1",
        f"--port={port}",
        "--headless",
        "--no-sandbox",
        "--include-code",
    ]
    # Nothing is asked of the network: no look for a newer version, no check for what the notebook might lack.
    server = subprocess.Popen(
        [sys.executable, "-m", "marimo", "-q", "-y", *words],
        env={**os.environ, "MARIMO_SKIP_UPDATE_CHECK": "1"},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    # Whoever ends us by a signal would leave the server behind: it is a process of its own.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _wait(server, address)
        say(f"{lesson.title}: {address}  (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()
        signal.signal(signal.SIGTERM, before)


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise FoveateError(
        "marimo's server did not begin", where=address, remedy="Look at what it said above."
    )


# --- pages


def write(lesson: Lesson, path: Path) -> None:
    """Run the lesson, and write it as one page that loads nothing. Raises what its claims raise when they do not hold."""
    _refuse_without_marimo()
    atomic_io.write_text(path, _page(lesson, *_run(lesson)[0]))


def write_site(folder: Path, say: Callable[[str], None]) -> None:
    """Every lesson as a page, and index.html before them. say: is told of each page."""
    _refuse_without_marimo()
    folder.mkdir(parents=True, exist_ok=True)
    lessons, cards = all(), []
    for place, lesson in enumerate(lessons):
        outputs, poster = _run(lesson)
        before = lessons[place - 1] if place else None
        after = lessons[place + 1] if place + 1 < len(lessons) else None
        atomic_io.write_text(
            folder / f"{lesson.name}.html",
            _page(lesson, *outputs, home=True, before=before, after=after),
        )
        cards.append((lesson, poster))
        say(f"{folder / lesson.name}.html")
    atomic_io.write_text(
        folder / "index.html", _templates().get_template("index.html").render(cards=cards)
    )
    say(f"{folder / 'index.html'}")


def _run(lesson: Lesson) -> tuple[Sequence[Any], str]:
    """What its cells show, and its poster."""
    spec = importlib.util.spec_from_file_location(f"lesson_{lesson.name}", lesson.path)
    assert spec is not None  # it is a file of Python
    assert spec.loader is not None
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    outputs, names = notebook.app.run()
    if "poster" not in names:
        raise DataError("a picture named `poster` is expected for the index", where=lesson.path)
    return [output for output in outputs if output is not None], names["poster"]


def _page(
    lesson: Lesson,
    *outputs: Any,
    home: bool = False,
    before: Lesson | None = None,
    after: Lesson | None = None,
) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    paint = HtmlFormatter(style="default", cssclass="codehilite")
    dark = HtmlFormatter(style="github-dark", cssclass="codehilite").get_style_defs(".codehilite")
    light = paint.get_style_defs(".codehilite")
    return (
        _templates()
        .get_template("page.html")
        .render(
            lesson=lesson,
            parts=[_html(output, f"m{place}") for place, output in enumerate(outputs)],
            code=highlight(lesson.path.read_text(encoding="utf-8"), PythonLexer(), paint),
            highlighting=_without_ground(light)
            + f"@media (prefers-color-scheme: dark) {{\n{_without_ground(dark)}}}\n",
            home=home,
            before=before,
            after=after,
        )
    )


def _without_ground(css: str) -> str:
    """The page has a ground of its own for code."""
    return "".join(
        f"{line}\n"
        for line in css.splitlines()
        if not re.match(r"\.codehilite \{|pre|td|span", line)
    )


def _html(output: Any, key: str) -> str:
    import marimo as mo

    from foveate.lessons.drawings import Moving

    if isinstance(output, Moving):
        return _moving(output, key)
    return mo.as_html(output).text


def _moving(output: Any, key: str) -> str:
    """Its controls as HTML's own, and all that it can show beside them."""
    positions, frames = output.positions(), output.frames()
    texts = [told for _, told, _, offered in positions if offered]
    closed = [name for name, _, _, offered in positions if not offered]
    radio = [not hasattr(control, "steps") for control in output.controls.values()]
    return (
        _templates()
        .get_template("moving.html")
        .render(
            positions=positions,
            radio=radio,
            key=key,
            plays=not radio[0] and len(texts) == 1 and len(frames) > 4,
            closed=", ".join(closed),
            stage=output.paint(*(control.value for control in output.controls.values())),
            data=json.dumps(
                {"texts": texts, **_packed(frames)}, ensure_ascii=False, separators=(",", ":")
            ).replace("</", "<\\/"),
        )
    )


def _packed(frames: Sequence[str]) -> dict[str, Any]:
    """Frames of HTML, each as numbers of its tags among all that there are: they have most in common (a page has a third to a fifth of the size)."""
    words: dict[str, int] = {}
    rows = [
        [words.setdefault(tag, len(words)) for tag in re.findall(r"^[^<]+|<[^<]*", frame)]
        for frame in frames
    ]
    return {"words": list(words), "frames": rows}


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([_TEMPLATES, _NOTEBOOKS]),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
