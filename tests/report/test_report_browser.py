"""Reports in a real browser: by mouse and keyboard, on a phone, in print, and without scripts."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import test_instance_panels as instance_scenes
from test_box_panels import PREDICTED, TARGETS

from foveate import tasks
from foveate.annotations import Boxes
from foveate.experiment.live_report import LiveReport
from foveate.experiment.verdict import BELIEVE, Doubt, Verdict
from foveate.metrics import detection, instance
from foveate.progress import NullReporter
from foveate.report import data_charts
from foveate.report.box_panels import box_panels
from foveate.report.instance_panels import instance_panels
from foveate.report.overlays import predicted_boxes
from foveate.report.page import render_html
from foveate.report.panels import Chart, Code, ConfusionMatrix, Gallery, GalleryItem, Page, Table
from helpers import report_demo as demo
from helpers.browser import MARKS, chromium, playwright

expect = playwright.expect
pytestmark = MARKS
TIMEOUT = 30_000
WIDTHS = (1280, 390)
CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page from a file; at the end nothing was loaded elsewhere, refused, or wrong."""
    wrong, contexts = [], []

    def opened(page: Page, width: int = 1280, **options):
        path = tmp_path / "page.html"
        path.write_text(render_html(page), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda entry: wrong.append(entry.text) if entry.type == "error" else None)
        tab.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
            ),
        )
        tab.goto(path.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (100, 100, 3), dtype=np.uint8) for _ in range(count)]


def detection_page() -> Page:
    pairs, pixels = [(PREDICTED, TARGETS)] * 3, images(3)
    stats = detection.per_image_stats(*map(list, zip(*pairs, strict=True)))
    panels = box_panels(
        stats, ["a.png", "b.png", "c.png"], lambda row: pixels[row], CLASSES, np.full(2, 0.65)
    )
    return Page("t", "s", "Careful: this is a test.", "v", "careful", panels=panels)


def classification_page() -> Page:
    def item(row: int, cell: tuple[int, int]) -> GalleryItem:
        wrong = cell[0] != cell[1]
        caption = f"{CLASSES[cell[0]]}, predicted as {CLASSES[cell[1]]}"
        names = [CLASSES[k] for k in dict.fromkeys(cell)]
        tone = "bad" if wrong else "good"
        return GalleryItem(images(9)[row], caption, f"{row}.png", tone, (), (), names, [cell])

    mistakes = [item(0, (0, 1)), item(1, (0, 1)), item(2, (1, 0))]
    rows = [["cat", "9", "12.5%"], ["dog", "1,200", "–"], ["bird", "70", "9.5%"]]
    return Page(
        "t", "s", "Believe it: this is a test.", "v", "good",
        panels=[
            ConfusionMatrix("Matrix", "", np.array([[5, 2], [1, 0]]), CLASSES),
            Gallery("Mistakes", "", mistakes, first=2),
            Gallery("Correct", "", [item(3, (0, 0))]),
            Table("Table", "", ["class", "images", "recall"], rows, total=["all", "1,279", "–"],
                  sections=["Mistakes", "", "Matrix"]),
            Code("Code", "", "foveate train data", "All settings", "seed: 0"),
        ],
    )  # fmt: skip


def visible(tab, selector: str) -> int:
    return sum(one.is_visible() for one in tab.locator(selector).all())


# --- sizes


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(open_page, width, scheme):
    pages = (detection_page(), classification_page(), demo.page(), demo.PAGES["hostile"]())
    for page in pages:
        tab = open_page(page, width, color_scheme=scheme)
        assert tab.evaluate("document.documentElement.scrollWidth") == width


def headlines(tmp_path):
    """The longest headline of each task, and of the page of a training in each of its states."""
    for name in tasks.all():
        metrics = defaultdict(lambda: {"value": 0.9999, "low": 0.1, "high": 1.0, "n": 123_456})
        result = tasks.find(name)(CLASSES).headline(metrics, "valid")
        for word in (BELIEVE, "Not yet tested"):
            yield Verdict("this model", result, "", Doubt(word, "", "good")).title
    run = SimpleNamespace(
        report_path=tmp_path / "live.html",
        settings=SimpleNamespace(model="efficientnet_lite0"),
        quoted_path="run",
    )
    row = dict.fromkeys(("valid_loss", "train_loss", "valid_map50", "train_map50"), 0.9999)
    live = LiveReport(run, "data", "map50", "valid_map50", NullReporter())
    progress = SimpleNamespace(rows=[row | {"epoch": 0.22222, "seconds": 9}], step=9, total=9)
    for write in (lambda: live.validated(progress), live.stopped, live.trained, live.stopped):
        write()
        (headline,) = re.findall("<h1>(.*)</h1>", run.report_path.read_text())
        assert "epoch 0.22" in headline
        yield headline


def test_headlines_have_two_lines_at_most(open_page, tmp_path):
    for headline in (*headlines(tmp_path), demo.page().headline):
        tab = open_page(Page("t", "s", headline, "v", "bad"))
        lines = tab.locator("h1").evaluate(
            "one => one.offsetHeight / parseFloat(getComputedStyle(one).lineHeight)"
        )
        assert lines < 2.1, headline


# --- images


def test_an_image_is_opened_large_zoomed_and_closed_by_keyboard(open_page):
    tab = open_page(detection_page())
    opener = tab.get_by_role("button", name=re.compile("^Show large")).first
    opener.focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_be_visible()
    title = dialog.get_by_role("heading").inner_text()
    assert title
    expect(dialog.locator(".aside")).to_contain_text("a.png")
    small = dialog.locator("img").bounding_box()["width"]
    assert small > 300
    tab.keyboard.press("+")
    assert dialog.locator("img").bounding_box()["width"] == pytest.approx(1.5 * small, rel=0.02)
    tab.keyboard.press("0")
    expect(dialog.get_by_text(re.compile(r"^1 of \d+$"))).to_be_visible()
    tab.keyboard.press("ArrowRight")
    expect(dialog.get_by_text(re.compile(r"^2 of \d+$"))).to_be_visible()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert opener.evaluate("one => one === document.activeElement")


def test_outlines_can_be_switched_off(open_page):
    tab = open_page(detection_page())
    section = tab.locator("section", has=tab.get_by_role("heading", name="Images with the most"))
    before = visible(section, "svg.prediction path")
    assert before == 3 * 3  # two of five boxes are below the threshold
    section.get_by_label("predictions").uncheck()
    assert visible(section, "svg.prediction path") == 0
    assert visible(section, "svg.target path") == 3 * len(TARGETS)
    section.get_by_role("button").first.click()
    dialog = tab.get_by_role("dialog")
    assert visible(dialog, "svg.prediction path") == 0
    dialog.get_by_label("predictions").check()
    assert visible(dialog, "svg.prediction path") == 3
    dialog.get_by_label("names").uncheck()
    assert visible(dialog, ".prediction.names b") == 0
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def crowded_page() -> Page:
    """Many boxes with long names, some of them at one place."""
    rng = np.random.default_rng(0)
    low = np.concatenate([rng.uniform(0, 90, (30, 2)), np.full((10, 2), 95.0)])
    boxes = Boxes(np.concatenate([low, low + 12], 1), np.arange(40) % 2, np.linspace(1, 0.2, 40))
    names = ["a long name of a class", "dog"]
    layer = predicted_boxes(boxes, (100, 100), names, np.ones(40, bool))
    item = GalleryItem(images(1)[0].repeat(4, 0).repeat(4, 1), "crowd", layers=[layer])
    return Page("t", "s", "a", "v", "plain", panels=[Gallery("g", "", [item], large=True)])


def shown_names(tab, within: str) -> list[dict]:
    tab.wait_for_timeout(100)  # names are placed after the page is laid out
    names = [one for one in tab.locator(f"{within} .names b").all() if one.is_visible()]
    return [one.bounding_box() for one in names]


@pytest.mark.parametrize("width", WIDTHS)
def test_names_cover_no_other_and_stay_as_large_when_zoomed(open_page, width):
    tab = open_page(crowded_page(), width)
    tab.get_by_role("button", name=re.compile("^Show large")).first.click()
    heights, counts = set(), []
    for within in ("section", "dialog", "dialog", "dialog"):
        if counts[1:]:
            tab.keyboard.press("+")
            tab.keyboard.press("+")
        boxes = shown_names(tab, within)
        counts.append(len(boxes))
        heights |= {round(box["height"]) for box in boxes}
        image = tab.locator(f"{within} .stage").first.bounding_box()
        assert all(box["x"] + box["width"] <= image["x"] + image["width"] + 1 for box in boxes)
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = [
                    one[side] + one[length] <= other[side] + 0.5
                    or other[side] + other[length] <= one[side] + 0.5
                    for side, length in (("x", "width"), ("y", "height"))
                ]
                assert any(apart)
    assert len(heights) == 1
    assert 1 <= counts[1] < counts[3]  # a zoom makes room for more


def test_on_a_phone_charts_stay_legible_and_what_scrolls_says_so(open_page):
    names = [f"class with a name {k}" for k in range(9)]
    counts = {"train": np.arange(9) + 1}
    text = ["word" * 4] * 4
    page = Page(
        "t", "s", "a", "v", "plain",
        panels=[
            Chart("Chart", "", data_charts.class_counts(names, counts)),
            Table("Table", "", text, [text], 4),
            Table("Narrow", "", ["a", "b"], [["1", "2"]]),
        ],
    )  # fmt: skip
    tab = open_page(page, 390)
    hints = tab.get_by_text("it scrolls sideways")
    expect(hints.nth(1)).to_be_visible()
    assert [one.is_visible() for one in hints.all()] == [True, True, False]
    label = tab.locator(".charts text").first
    assert label.bounding_box()["height"] >= 11
    chart = tab.locator(".charts")
    expect(chart).to_have_class(re.compile("more-right"))
    chart.evaluate("one => one.scrollTo(999, 0)")
    expect(chart).to_have_class(re.compile("more-left"))
    expect(chart).not_to_have_class(re.compile("more-right"))
    wide = open_page(page, 1280)
    assert visible(wide, ".more-note") == 0


# --- filters and the threshold


def test_mistakes_are_filtered_by_kind_and_class(open_page):
    tab = open_page(detection_page())
    section = tab.locator("section", has=tab.get_by_role("heading", name="Mistakes"))
    everything = visible(section, "figure")
    section.get_by_label("kind").select_option("missed")
    shown = visible(section, "figure")
    assert 0 < shown < everything
    expect(section.locator("output")).to_have_text(f"{shown} of {everything}")
    assert all("missed" in text for text in section.locator("figure:visible").all_inner_texts())
    section.get_by_label(re.compile("^class")).select_option("dog")
    assert 0 < visible(section, "figure") < shown
    section.get_by_label("kind").select_option("")
    section.get_by_label(re.compile("^class")).select_option("")
    assert visible(section, "figure") == everything


def test_the_threshold_moves_precision_recall_and_the_boxes(open_page):
    tab = open_page(detection_page())
    tool, rate = tab.locator(".threshold"), lambda name: tab.locator(f"[data-rate={name}]")
    worst = tab.locator("section", has=tab.get_by_role("heading", name="Images with the most"))
    expect(rate("precision")).to_have_text("33.3%")  # as chosen: 1 of 3 boxes, of 4 targets
    expect(rate("recall")).to_have_text("25.0%")
    slider = tool.get_by_role("slider")
    slider.focus()
    tab.keyboard.press("Home")
    expect(rate("precision")).to_have_text("20.0%")
    expect(rate("extra")).to_have_text("12")
    assert visible(worst, "svg.prediction path") == 3 * 5
    tab.keyboard.press("End")
    expect(rate("precision")).to_have_text("–")
    expect(rate("missed")).to_have_text("12")
    assert visible(worst, "svg.prediction path") == 0
    tool.get_by_label("class").select_option("dog")
    slider.focus()
    tab.keyboard.press("Home")
    assert visible(worst, "svg.prediction path") == 3 * 2
    expect(slider).to_have_attribute("aria-valuetext", "0.00")
    tool.get_by_role("button", name="as chosen").click()
    tool.get_by_label("class").select_option("")
    expect(rate("precision")).to_have_text("33.3%")
    assert visible(worst, "svg.prediction path") == 3 * 3


# --- the confusion matrix, tables, sections


def test_a_cell_of_the_matrix_shows_its_images(open_page):
    tab = open_page(classification_page())
    tab.get_by_role("button", name="target cat, predicted dog: 2 of 7. Show 2 images").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("cat, predicted as dog")
    expect(dialog.get_by_text("1 of 2")).to_be_visible()
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name=re.compile("target cat, predicted cat")).click()
    expect(dialog.locator(".aside")).to_contain_text("3.png")
    tab.keyboard.press("Escape")
    assert tab.locator(".matrix button").count() == 3  # the fourth has no image


def test_a_cell_says_of_how_many_images_it_shows_some(open_page):
    page = classification_page()
    matrix = replace(page.panels[0], counts=np.array([[5, 1021], [1, 0]]))
    tab = open_page(replace(page, panels=[matrix, *page.panels[1:]]))
    tab.get_by_role("button", name=re.compile("Show 2 of 1,021 images")).click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.locator(".aside")).to_contain_text("shown on this page: 2 of 1,021 images")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name=re.compile("target dog, predicted cat")).click()
    expect(dialog.locator(".aside")).to_have_text("2.png")
    tab.keyboard.press("Escape")
    pixels = replace(matrix, counted="pixel")
    tab = open_page(replace(page, panels=[pixels, *page.panels[1:]]))
    assert tab.get_by_role("button", name=re.compile("Show 2 images")).count() == 1


@pytest.mark.parametrize(
    "names", [["cat", "dog", "rose", "tulip", "iris"], ["7", "8", "9", "a", "b"]]
)
def test_all_columns_of_a_matrix_are_named_the_same_way(open_page, names):
    matrix = ConfusionMatrix("Matrix", "", np.eye(len(names), dtype=np.int64), names)
    tab = open_page(Page("t", "s", "a", "v", "plain", panels=[matrix]))
    spans = tab.locator(".matrix thead th[scope=col] span")
    modes = spans.evaluate_all("all => all.map((one) => getComputedStyle(one).writingMode)")
    assert modes == [("vertical-rl" if "tulip" in names else "horizontal-tb")] * len(names)


def test_tables_are_sorted_by_a_column_with_dashes_and_the_total_last(open_page):
    tab = open_page(classification_page())
    table = tab.locator("table:not(.matrix)")

    def order(button: str) -> list[str]:
        table.get_by_role("button", name=button).click()
        return [row.split("\t")[0] for row in table.locator("tbody tr").all_inner_texts()]

    assert order("images") == ["dog", "bird", "cat"]
    expect(table.get_by_role("columnheader", name="images")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert order("images") == ["cat", "bird", "dog"]
    assert order("recall") == ["cat", "bird", "dog"]
    assert order("recall") == ["bird", "cat", "dog"]
    assert order("class") == ["bird", "cat", "dog"]
    expect(table.locator("tfoot td").first).to_have_text("all")


def test_names_that_begin_with_digits_are_sorted_as_names(open_page):
    names = ["2021 b.png", "2021 a.png", "10.png", "9.png", "-3.png", "cat"]
    table = Table("Files", "", ["file", "pixels"], [[name, "1"] for name in names])
    tab = open_page(Page("t", "s", "a", "v", "plain", panels=[table]))
    tab.get_by_role("button", name="file").click()
    cells = tab.locator("tbody td:first-child").all_inner_texts()
    assert cells == ["-3.png", "9.png", "10.png", "2021 a.png", "2021 b.png", "cat"]


def test_the_rows_of_a_wide_table_stay_short_on_a_phone(open_page):
    """Its text is not squeezed into a column of single words: the table is scrolled instead."""
    text = "boxes of the most similar image, by a rough interval, as few images decide it"
    header = [f"column {k}" for k in range(7)]
    rows = [["runs/first-of-all", *["1,195,047"] * 3, text, text, "locked"]] * 2
    tab = open_page(
        Page("t", "", "h", "", "plain", panels=[Table("Wide", "", header, rows, 7)]), width=390
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    for row in tab.locator("tbody tr").all():
        assert row.bounding_box()["height"] < 110


def test_sections_are_reached_by_links(open_page):
    tab = open_page(classification_page(), 390)
    tab.get_by_role("navigation").get_by_role("link", name="Code").click()
    expect(tab.get_by_role("heading", name="Code")).to_be_in_viewport()
    tab.get_by_role("link", name="cat").click()
    expect(tab.get_by_role("heading", name="Mistakes")).to_be_in_viewport()


# --- without scripts, and in print


def test_without_scripts_all_contents_are_there_and_nothing_that_does_not_work(open_page):
    for page in (detection_page(), classification_page()):
        tab = open_page(page, java_script_enabled=False)
        assert tab.locator("button:visible, input:visible, select:visible").count() == 0
        for panel in page.panels:
            expect(tab.get_by_role("heading", name=panel.title, exact=True)).to_be_visible()
    tab.get_by_text("1 more image").click()
    expect(tab.locator("figure:visible")).to_have_count(4)
    assert tab.locator("table:not(.matrix) tbody tr").count() == 3


def test_print_shows_images_and_outlines_and_folds_settings_away(open_page):
    tab = open_page(classification_page())
    tab.emulate_media(media="print")
    assert tab.locator(".tools:visible, nav:visible").count() == 0
    assert visible(tab, "figure") >= 3
    expect(tab.get_by_text("foveate train data")).to_be_visible()
    expect(tab.get_by_text("seed: 0")).to_be_hidden()
    tab.get_by_text("All settings").click()
    expect(tab.get_by_text("seed: 0")).to_be_visible()


def test_names_that_attack_do_nothing(open_page):
    code = "document.title = 'attacked'"
    attack = f'"><img src=x onerror="{code}"><script>{code}</script>'
    stats, pixels = detection.per_image_stats([PREDICTED], [TARGETS]), images(1)[0]
    panels = box_panels(stats, [attack], lambda row: pixels, (attack, "dog"), np.full(2, 0.1))
    tab = open_page(Page("t", attack, attack, attack, "bad", panels=panels))
    shown = tab.locator("img").count()
    tab.get_by_role("button", name=re.compile('^Show large: "><img')).first.click()
    expect(tab.get_by_role("dialog").get_by_role("heading")).to_contain_text("<script>")
    assert tab.locator("img").count() == shown + 1
    assert tab.title() == "t"


@pytest.mark.parametrize(("count", "large", "pages"), [(35, False, 2), (10, True, 3)])
def test_a_gallery_in_print_fills_its_pages(open_page, count, large, pages):
    items = [
        GalleryItem(image, f"image {row}", "detail") for row, image in enumerate(images(count))
    ]
    gallery = Gallery("Images", "", items, large, first=count)
    tab = open_page(Page("t", "s", "a", "v", "plain", panels=[gallery]))
    tab.emulate_media(media="print")
    pdf = tab.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == pages


def test_the_threshold_moves_masks_as_it_moves_boxes(open_page):
    pairs, thresholds = [(instance_scenes.PREDICTED, instance_scenes.TARGETS)], np.full(2, 0.75)
    rows = [instance.is_confident(pairs[0][0], thresholds)]
    overlaps = [instance.mask_overlaps(*pairs[0], instance_scenes.SIZE)]
    stats = instance.per_image_stats(overlaps, rows)
    pixels = np.zeros((*instance_scenes.SIZE, 3), np.uint8)
    panels = instance_panels(
        stats, ["a.png"], lambda row: pixels, lambda row: pairs[row], CLASSES, thresholds
    )
    tab = open_page(Page("t", "s", "a", "v", "plain", panels=panels))
    worst = tab.locator("section", has=tab.get_by_role("heading", name="Images with the most"))
    rate = lambda name: tab.locator(f"[data-rate={name}]")  # noqa: E731
    expect(rate("precision")).to_have_text("100.0%")
    assert visible(worst, "svg.prediction path") == 2
    tab.get_by_role("slider").focus()
    tab.keyboard.press("Home")
    expect(rate("precision")).to_have_text("66.7%")
    expect(rate("recall")).to_have_text("66.7%")
    assert visible(worst, "svg.prediction path") == 3
    assert worst.get_by_label(re.compile("^class")).count() == 0  # one class is mistaken
