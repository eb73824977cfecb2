"""Lessons in a real browser: they open, a slider changes the figure, and the page has no errors."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from foveate.lessons import site
from helpers.browser import MARKS, chromium

pytestmark = MARKS
TIMEOUT = 240_000
"""Milliseconds that the page may take to train its networks on a busy machine."""


@pytest.fixture(scope="module")
def browser():
    with chromium(
        "--disable-background-networking", "--disable-component-update", "--disable-sync"
    ) as browser:
        yield browser


@contextlib.contextmanager
def served(name: str):
    """Run `foveate lesson NAME`, and yield its address."""
    command = [sys.executable, "-m", "foveate", "lesson", name, "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
            yield address
        finally:
            server.terminate()
            server.wait()
    # marimo's server is a separate process, and must have ended as well.
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=10)


def open_page(browser):
    """Return a page, and the list of errors that occur on it."""
    page, errors = browser.new_page(), []
    page.on("console", lambda entry: errors.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"{request.url}: {request.failure}"))
    return page, errors


@pytest.mark.parametrize("name", ["perceptron", "convolution", "invariance"])
def test_a_live_lesson_moves_with_its_slider(browser, name):
    claims = site.find_lesson(name).path.read_text("utf-8").count("show.claim(")
    with served(name) as address:
        page, errors = open_page(browser)
        page.goto(address)
        page.wait_for_function(
            "count => document.querySelectorAll('.claim').length === count",
            arg=claims,
            timeout=TIMEOUT,
        )
        stage = page.locator(".interactive .stage").first
        before = stage.inner_html()
        page.locator(".interactive [role=slider]").first.press("ArrowRight")
        page.wait_for_function(
            "before => document.querySelector('.interactive .stage').innerHTML !== before",
            arg=before,
            timeout=TIMEOUT,
        )
        assert "<svg" in stage.inner_html()
        assert "raised an exception" not in page.inner_text("body")
        assert errors == []
        page.close()


def test_a_static_page_moves_without_python(browser, small):
    site.write_page(site.find_lesson("second"), small / "second.html")
    page, errors = open_page(browser)
    page.goto((small / "second.html").as_uri())
    stage = page.locator(".stage")
    assert stage.inner_text() == "2b"
    page.locator("input[type=range]").press("ArrowRight")
    assert stage.inner_text() == "4b"
    assert page.locator("output").inner_text() == "4"
    page.get_by_label("a", exact=True).check()
    assert stage.inner_text() == "4a"
    page.get_by_label("b", exact=True).check()
    assert stage.inner_text() == "4b", "the radio button checked last decides"
    assert errors == []
