"""Lessons in a real browser: they open, a slider moves the picture, nothing goes wrong on the page."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from foveate.lessons import site

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,  # a browser and marimo's server are started
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"
    ),
]
WAIT = 240_000
"""Milliseconds: the page waits for training, which on busy machines takes long."""


@pytest.fixture(scope="module")
def browser():
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless", *quiet, "--disable-sync", "--no-first-run"],
        )
        yield opened
        opened.close()


@contextlib.contextmanager
def served(name: str):
    """The address of `foveate lesson NAME`."""
    words = [sys.executable, "-m", "foveate", "lesson", name, "--no-open"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
            yield address
        finally:
            server.terminate()
            server.wait()
    with pytest.raises(
        urllib.error.URLError
    ):  # marimo's server, a process of its own, has ended with it
        urllib.request.urlopen(address, timeout=10)


def watched(browser):
    """A page, and what went wrong on it."""
    page, wrong = browser.new_page(), []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"{request.url}: {request.failure}"))
    return page, wrong


@pytest.mark.parametrize("name", ["perceptron", "convolution", "invariance"])
def test_a_live_lesson_moves_with_its_slider(browser, name):
    claims = site.find(name).path.read_text("utf-8").count("show.claim(")
    with served(name) as address:
        page, wrong = watched(browser)
        page.goto(address)
        page.wait_for_function(
            "count => document.querySelectorAll('.claim').length === count",
            arg=claims,
            timeout=WAIT,
        )
        stage = page.locator(".moving .stage").first
        before = stage.inner_html()
        page.locator(".moving [role=slider]").first.press("ArrowRight")
        page.wait_for_function(
            "before => document.querySelector('.moving .stage').innerHTML !== before",
            arg=before,
            timeout=WAIT,
        )
        assert "<svg" in stage.inner_html()
        assert "raised an exception" not in page.inner_text("body")
        assert wrong == []
        page.close()


def test_a_page_moves_without_python(browser, tmp_path: Path, monkeypatch):
    from test_lessons import SMALL

    (tmp_path / "tiny.py").write_text(SMALL.format(number=1, name="tiny", offered=2), "utf-8")
    monkeypatch.setattr(site, "FOLDER", tmp_path)
    site.all.cache_clear()
    site.write(site.find("tiny"), tmp_path / "tiny.html")
    site.all.cache_clear()
    page, wrong = watched(browser)
    page.goto((tmp_path / "tiny.html").as_uri())
    stage = page.locator(".stage")
    assert stage.inner_text() == "2b"
    page.locator("input[type=range]").press("ArrowRight")
    assert stage.inner_text() == "4b"
    assert page.locator("output").inner_text() == "4"
    page.get_by_label("a", exact=True).check()
    assert stage.inner_text() == "4a"
    page.get_by_label("b", exact=True).check()
    assert stage.inner_text() == "4b", "a radio leaves its place to the one that is chosen after it"
    assert wrong == []
