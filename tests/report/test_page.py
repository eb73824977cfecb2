"""The page as a whole: well formed, self-contained, safe with any name, reproducible and small."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from foveate.annotations import Boxes
from foveate.errors import RunError
from foveate.report.overlays import predicted_boxes
from foveate.report.page import render_html, write_html
from foveate.report.panels import (
    ConfusionMatrix,
    Gallery,
    GalleryItem,
    Page,
    Table,
    ThresholdCounts,
    Thresholds,
)
from foveate.wording import escape_controls
from helpers import report_demo as demo

VOID = {"meta", "img", "br", "link", "input", "hr"}  # and in SVG those with a slash


class Walk(HTMLParser):
    """Collects elements and texts; fails on a tag that is closed out of order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [data.strip() for name, data in self.texts if name == tag and data.strip()]


@pytest.fixture(scope="module", params=demo.PAGES)
def made(request) -> tuple[Page, str]:
    page = demo.PAGES[request.param]()
    return page, render_html(page)


def test_a_page_is_well_formed_and_accessible(made):
    page, html = made
    walk = Walk(html)
    assert html.startswith("<!doctype html>")
    assert walk.all("html") == [{"lang": "en"}]
    assert walk.text("title") == [page.title]
    assert walk.text("h1") == [page.headline]
    assert walk.text("h2") == [panel.title for panel in page.panels]
    assert [tag for tag, _ in walk.elements if re.fullmatch(r"h\d", tag)] == ["h1"] + ["h2"] * len(
        page.panels
    )
    assert all(image["alt"] for image in walk.all("img"))
    charts = [attrs for attrs in walk.all("div") if attrs.get("role") == "img"]
    assert len(charts) == 2
    assert all(len(attrs["aria-label"]) > 40 for attrs in charts)
    labels = {attrs["aria-labelledby"] for _, attrs in walk.elements if "aria-labelledby" in attrs}
    assert labels <= {attrs["id"] for attrs in walk.all("h2")}


def test_a_page_loads_nothing_and_runs_its_own_script_alone(made):
    walk = Walk(made[1])
    tags = {tag for tag, _ in walk.elements}
    assert tags.isdisjoint({"link", "iframe", "object", "embed", "form", "base"})
    (script,) = [data for tag, data in walk.texts if tag == "script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for attrs in walk.all("meta") if "Content-Security" in str(attrs)]
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert walk.all("script") == [{}]
    for _, attrs in walk.elements:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/"))
    assert not re.search(r"https?:|@import|url\((?!#)", re.sub(r'"data:image[^"]*"', "", made[1]))


def test_ids_are_unique_and_every_reference_has_a_target(made):
    html = made[1]
    ids = [attrs["id"] for _, attrs in Walk(html).elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', html))
    assert references
    assert references <= set(ids)


def test_the_same_chart_twice_has_different_ids():
    page = demo.page()
    test_ids_are_unique_and_every_reference_has_a_target(
        (page, render_html(replace(page, panels=[*page.panels, *page.panels])))
    )


def test_a_page_is_small_and_renders_to_the_same_bytes(made):
    assert len(made[1].encode()) < 1_500_000
    assert render_html(made[0]) == made[1]


def test_the_same_contents_give_the_same_page():
    assert render_html(demo.page()) == render_html(demo.page())


def hostile_item(name: str) -> GalleryItem:
    boxes = Boxes(np.array([[0, 0, 1, 1.0]]), [0], np.array([0.5]))
    layer = predicted_boxes(boxes, (2, 2), [name], np.ones(1, bool))
    pixels = np.zeros((2, 2, 1), np.uint8)
    return GalleryItem(pixels, name, name, "bad", [layer], [name], [f"{name} class"])


def test_any_name_is_escaped():
    name, steps = demo.HOSTILE, np.ones(102, np.int64)
    page = Page(
        title=name,
        subtitle=name,
        headline=name,
        verdict=name,
        tone="good",
        panels=[
            Table(name, name, [name, name], [[name, name]]),
            ConfusionMatrix(name, name, np.eye(2, dtype=np.int64), [name, name]),
            Gallery(name, name, [hostile_item(name), hostile_item("other")], large=True),
            Thresholds(name, name, [ThresholdCounts(name, 0, 1, 0.5, steps, steps)] * 2),
        ],
    )
    walk, shown = Walk(render_html(page)), escape_controls(name)
    assert walk.text("h1") == walk.text("title") == [shown]
    assert walk.text("td")[:2] == [shown, shown]
    assert walk.text("option").count(shown) == 3  # a kind, a class, and a class with a threshold
    assert walk.all("img")[0]["alt"] == shown
    assert f"{shown} 50%" in walk.text("b")
    assert len(walk.all("script")) == 1
    assert "49" not in "".join(
        text for _, text in walk.texts if "{{" in text
    )  # a name is not a template


def test_no_control_character_of_a_name_reaches_the_page():
    name = "a\x1b]0;x\x07\x9b31m\x00\u202eb\r\tc\nd"
    html = render_html(
        Page(name, name, name, name, "good", panels=[Table(name, name, [name], [[name]])])
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)
    assert r"a\x1b]0;x\x07\x9b31m" in html
    Walk(html)


def test_a_name_that_is_not_valid_unicode_can_be_written(tmp_path):
    write_html(replace(demo.page(), subtitle="bad\udcff name"), tmp_path / "report.html")
    assert "bad\\udcff name" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_path_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(RunError, match=r"report\.html"):
        write_html(demo.page(), tmp_path / "missing" / "report.html")


def test_metrics_that_are_not_finite_become_dashes_and_names_do_not():
    table = Table(
        "t", "", ["class", "recall", "f1"], [["nan", "nan%", "NaN"], ["inf", "-inf", "12.5%"]]
    )
    walk = Walk(render_html(Page("t", "", "a", "v", "plain", panels=[table])))
    assert walk.text("td") == ["nan", "–", "–", "inf", "–", "12.5%"]
    for _, html in ((name, render_html(make())) for name, make in demo.PAGES.items()):
        assert not re.search(r">\s*nan%?\s*<", html)
        assert not re.search(r"[:(]\s*nan\b", html)  # no NaN in a style either


def test_an_empty_panel_says_that_it_is_empty():
    html = render_html(
        Page("t", "", "a", "v", "plain", panels=[Table("t", "", ["x"], []), Gallery("g", "", [])])
    )
    assert Walk(html).text("td") == ["none"]
    assert "No images to show." in html


def test_many_classes_are_shown_by_their_most_frequent_confusions():
    def matrix_page(classes: int) -> str:
        counts = np.diag(np.full(classes, 9))
        counts[3, 1], counts[0, 2] = 7, 5
        return render_html(
            Page(
                "t",
                "",
                "a",
                "v",
                "plain",
                panels=[ConfusionMatrix("m", "", counts, [f"c{i}" for i in range(classes)])],
            )
        )

    assert len(Walk(matrix_page(25)).text("td")) == 25 * 25
    walk = Walk(matrix_page(26))
    assert walk.text("td") == ["c3", "c1", "7", "43.8%", "c0", "c2", "5", "35.7%"]
    assert "26 classes" in matrix_page(26)
