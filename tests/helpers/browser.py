"""A real browser for tests, which are skipped where there is none."""

from __future__ import annotations

import contextlib
import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MARKS = [
    pytest.mark.slow,  # starts a browser
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"
    ),
]


@contextlib.contextmanager
def chromium(*flags: str):
    """Start Chromium without a window, with further flags."""
    usual = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*usual, *flags])
        yield browser
        browser.close()
