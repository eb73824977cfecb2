"""The page of the live view in a real browser: words and image go together, to the last one."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from foveate.inference.live_page import LivePage
from helpers.browser import MARKS, chromium

pytestmark = MARKS
GREYS = (40, 200, 90, 150)


def grey(number: int) -> np.ndarray:
    return np.full((90, 120, 3), number, np.uint8)


def shown(tab) -> int:
    """The grey in the middle of the image that a person sees."""
    screenshot = tab.locator("img").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(screenshot)).convert("L")).astype(int)
    return int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2])


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_each_image_is_shown_with_its_own_words(size):
    page = LivePage("runs/cells")
    try:
        with chromium() as browser:
            tab = browser.new_page(viewport={"width": size[0], "height": size[1]})
            tab.goto(page.address, wait_until="commit")
            for number in GREYS:
                page.show(grey(number), f"grey {number}", 25.0)
                tab.locator(".summary", has_text=f"grey {number}").wait_for(timeout=10_000)
                end = time.monotonic() + 10
                while abs(shown(tab) - number) > 3:  # the image may be painted a little later
                    assert time.monotonic() < end, "the image does not follow its words"
            page.finish()
            tab.locator(".state", has_text="the last image").wait_for(timeout=10_000)
            late = browser.new_page()
            late.goto(page.address, wait_until="commit")
            late.locator(".summary", has_text=f"grey {GREYS[-1]}").wait_for(timeout=10_000)
            assert "the last image" in late.locator(".state").inner_text()
            end = time.monotonic() + 10
            while abs(shown(late) - GREYS[-1]) > 3:
                assert time.monotonic() < end, "the last image is not shown"
    finally:
        page.close()
