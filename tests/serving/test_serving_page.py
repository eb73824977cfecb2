"""The page in a real browser: by mouse, by keyboard, on a phone, with no request elsewhere."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers.browser import MARKS, chromium, playwright
from helpers.served import png_bytes, serving
from helpers.toy_datasets import toy_dataset

expect = playwright.expect
pytestmark = MARKS
TIMEOUT = 30_000
DONE = re.compile(r"\(\d+ ms\)$")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def browser():
    with chromium(*CAMERA) as browser:
        yield browser


@pytest.fixture
def open_page(browser, server):
    """Opens the page with one model chosen; at the end nothing was wrong or loaded elsewhere."""
    wrong, contexts = [], []

    def watch(request):
        if not request.url.startswith((server[0], "data:", "blob:")):
            wrong.append(request.url)

    def complain(entry):
        expected = ("status of 400", "status of 404")  # what is refused, or dropped, in these tests
        if entry.type == "error" and not any(one in entry.text for one in expected):
            wrong.append(entry.text)

    def opened(model, width=1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        page.on("request", watch)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", complain)
        page.goto(server[0])
        page.get_by_label("Model", exact=True).select_option(model)
        expect(page.get_by_role("heading", level=1)).to_have_text(model)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def example(task: str, row: int = 1) -> dict:
    samples = toy_dataset(task, 20, np.random.default_rng(3)).samples
    content = png_bytes(samples[row].source.read())
    return {"name": "example.png", "mimeType": "image/png", "buffer": content}


def choose(page, task: str, row: int = 1) -> None:
    page.get_by_label("Choose an image").set_input_files(example(task, row))
    expect(page.get_by_role("status")).to_have_text(DONE)


def colours(page) -> int:
    """The number of colours on the canvas."""
    return page.evaluate(
        "() => { const c = document.getElementById('canvas'); const p = new Uint32Array("
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
        " return new Set(p).size; }"
    )


@pytest.mark.parametrize("task", ["classification", "detection", "instance", "semantic"])
def test_an_image_is_answered_in_place(open_page, server, task):
    page, predictor = open_page(task), server[1].models[task].predictor
    predicted = (predictor.predict(example(task, row)["buffer"]).to_dict() for row in range(20))
    row = next(row for row, values in enumerate(predicted) if any(values.values()))
    choose(page, task, row)
    canvas = page.locator("canvas")
    expect(canvas).to_be_visible()
    expect(canvas).to_have_attribute("role", "img")
    expect(canvas).to_have_attribute("aria-label", re.compile("^example.png, with "))
    rows = page.locator("#list li")
    assert rows.count() >= 1
    classes = server[1].models[task].task.classes
    assert any(name in rows.first.inner_text() for name in classes)
    expect(rows.first).to_contain_text(re.compile(r"\d+\.\d%"))
    if task != "classification":
        marked = colours(page)
        page.locator("#threshold").evaluate(
            "one => { one.value = 1; one.dispatchEvent(new Event('input')); }"
        )
        if task != "semantic":
            expect(page.locator("#summary")).to_have_text("0 objects")
            assert colours(page) < marked


def test_the_slider_hides_what_is_less_confident(open_page):
    page = open_page("detection")
    choose(page, "detection")
    scores = [float(text.rstrip("%")) for text in page.locator("#list .share").all_inner_texts()]
    slider = page.get_by_label("Confidence from")
    slider.focus()
    for _ in range(int(min(scores)) + 1):
        page.keyboard.press("ArrowRight")
    kept = sum(score >= int(min(scores)) + 1 for score in scores)
    expect(page.locator("#list .share")).to_have_count(kept)
    expect(page.locator("#list")).to_contain_text("below this confidence")


def test_a_click_cuts_out(open_page):
    page = open_page("promptable")
    choose(page, "promptable")
    expect(page.locator("#summary")).to_have_text("Click on an object.")
    before = colours(page)
    page.locator("canvas").click()
    expect(page.locator("#summary")).to_have_text(re.compile(r"An object of [\d,]+ pixels"))
    expect(page.get_by_role("status")).to_contain_text("after 1 click")
    assert colours(page) > before
    page.get_by_label("on the background").check()
    page.locator("canvas").click(position={"x": 20, "y": 20})
    expect(page.get_by_role("status")).to_contain_text("after 2 clicks")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("after 1 click")
    page.get_by_role("button", name="Another object").click()
    expect(page.locator("#summary")).to_have_text("Click on an object.")
    page.get_by_role("button", name="Find all objects").click()
    expect(page.locator("#summary")).to_have_text(re.compile(r"\d+ objects?"))
    page.locator("canvas").click()  # and on to the next object
    expect(page.get_by_role("status")).to_contain_text("after 1 click")


def test_an_image_that_the_server_dropped_is_encoded_again(open_page, server):
    page = open_page("promptable")
    choose(page, "promptable")
    expect(page.locator("#summary")).to_have_text("Click on an object.")
    page.locator("canvas").click()
    expect(page.get_by_role("status")).to_contain_text("after 1 click")
    server[1].models["promptable"]._sessions.clear()
    page.locator("canvas").click(position={"x": 20, "y": 20})
    expect(page.get_by_role("status")).to_contain_text("after 2 clicks")
    expect(page.get_by_role("alert")).to_have_text("")


def test_clicks_by_keyboard_alone(open_page):
    page = open_page("promptable")
    choose(page, "promptable")
    page.get_by_label("Choose an image").focus()
    for _ in range(3):  # the file, the camera, the image
        if page.evaluate("document.activeElement.id") == "canvas":
            break
        page.keyboard.press("Tab")
    expect(page.locator("canvas")).to_be_focused()
    expect(page.locator("canvas")).to_have_attribute("role", "application")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status")).to_have_text("Column 17, row 16")
    page.keyboard.press("Shift+ArrowUp")
    expect(page.get_by_role("status")).to_have_text("Column 17, row 15")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("after 1 click")
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("o")
    expect(page.get_by_role("status")).to_contain_text("after 2 clicks")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("status")).to_contain_text("after 1 click")


def test_words_become_an_image_step_by_step(open_page):
    page = open_page("text_to_image")
    expect(page.get_by_label("Choose an image")).to_be_hidden()
    page.get_by_label("What to show").fill("light below")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("From noise to “light below” in 20 steps")
    expect(page.locator("#step-value")).to_have_text("20 of 20")
    last = page.locator("canvas").screenshot()
    page.get_by_label("Step").focus()
    page.keyboard.press("Home")
    expect(page.locator("#step-value")).to_have_text("0 of 20")
    assert page.locator("canvas").screenshot() != last
    page.get_by_label("What to show").fill("purple below")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("purple")


def test_motion_is_left_out_where_it_is_not_wanted(open_page):
    page = open_page("text_to_image", reduced_motion="reduce")
    page.get_by_label("What to show").fill("light below")
    page.keyboard.press("Enter")
    expect(page.locator("#step-value")).to_have_text("20 of 20")


def test_an_image_can_be_pasted_and_dropped(open_page):
    page = open_page("classification")
    script = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "given.png", {type: "image/png"}));
        const options = {bubbles: true, cancelable: true};
        document.dispatchEvent(kind === "paste"
            ? new ClipboardEvent("paste", {...options, clipboardData: data})
            : new DragEvent("drop", {...options, dataTransfer: data}));
    }"""
    content = list(example("classification")["buffer"])
    for kind, name in (("paste", "the pasted image"), ("drop", "given.png")):
        page.evaluate(script, [kind, content])
        expect(page.get_by_role("status")).to_contain_text(f"{name}: the class")


def test_a_photograph_of_the_camera_is_answered(open_page):
    page = open_page("classification", permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    shoot = page.get_by_role("button", name="Take the photograph")
    expect(shoot).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("the photograph: the class")
    expect(shoot).to_be_hidden()


def test_what_is_no_image_is_said(open_page):
    page = open_page("classification")
    page.get_by_label("Choose an image").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    expect(page.get_by_role("alert")).to_contain_text("this is none or is damaged")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_cut_off_and_all_can_be_pressed(open_page, width, scheme):
    for task in ("detection", "promptable", "text_to_image"):
        page = open_page(task, width, color_scheme=scheme, has_touch=width < 500)
        if task != "text_to_image":
            choose(page, task)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for button in page.locator("button:visible, label.button:visible, select:visible").all():
            assert button.bounding_box()["height"] >= 44


def test_everything_has_a_name_for_a_screen_reader(open_page):
    page = open_page("promptable")
    choose(page, "promptable")
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('input, select, button, canvas, video')]"
        ".filter((one) => !one.labels?.length && !one.getAttribute('aria-label')"
        " && !one.textContent.trim()).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    expect(page.get_by_role("region", name="Can I believe it?")).to_contain_text("Its limits")
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, scheme):
    """Contrast of 4.5 at least, as WCAG 2 asks of text."""
    page = open_page("detection", color_scheme=scheme)
    choose(page, "detection")
    low = page.evaluate(
        """() => {
        const parts = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = (text) => { const [r, g, b] = parts(text).map((v) => { v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (one) => { for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (!/, 0\\)$/.test(colour)) return colour; } return "rgb(255, 255, 255)"; };
        const low = [];
        for (const one of document.querySelectorAll("main *")) {
            const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
            if (!own || !one.checkVisibility() || one.closest(".hidden")) continue;
            const both = [getComputedStyle(one).color, ground(one)].map(light);
            const pair = both.sort((a, b) => b - a);
            const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
            if (contrast < 4.5) low.push(one.textContent.slice(0, 40) + " " + contrast.toFixed(2));
        }
        return low; }"""
    )
    assert low == []


def test_a_server_with_a_token_asks_for_it(browser, runs):
    token = "a-token-of-some-length"
    with serving({"m": runs["classification"]}, token=token) as (address, _):
        page = browser.new_page()
        page.goto(address)
        field = page.get_by_label("This server asks for its token")
        expect(field).to_be_focused()
        field.fill("another")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the token of the server.")
        field.fill(token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("m")
        expect(field).to_be_hidden()
        choose(page, "classification")
        page.close()


def test_the_page_for_programs_lists_what_is_answered(browser, server):
    page = browser.new_page()
    page.goto(f"{server[0]}/docs")
    for path in ("POST /predict", "POST /v2/models/{name}/infer", "GET /metrics"):
        expect(page.locator("summary", has_text=path)).to_be_visible()
    page.locator("summary", has_text="POST /predict").click()
    expect(page.locator("details[open]")).to_contain_text("curl --data-binary @image.png")
    page.close()
