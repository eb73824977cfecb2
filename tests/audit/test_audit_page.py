"""The page of an audit: it shows the data whether or not anything is wrong, and its faults."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Boxes, Label
from foveate.audit import report
from foveate.audit.data_panels import MAX_EXAMPLES, MAX_OF_CLASS, data_panels
from foveate.audit.feature_space import FeatureSpace
from foveate.audit.finding import Finding
from foveate.audit.neighbour_panel import MAX_QUERIES
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.experiment.audit import audit
from foveate.report.page import render_html
from foveate.report.panels import Gallery, Page
from helpers.toy_datasets import toy_dataset

CLASSES = ("cat", "dog", "bird")


def dataset(count: int = 90, classes=CLASSES, split=None) -> Dataset:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)
    samples = [
        Sample(f"{row}.png", ArraySource(pixels, row), Label(row % len(classes)), None,
               split(row) if split else None)
        for row in range(count)
    ]  # fmt: skip
    return Dataset("pets", "classification", classes, samples)


def page(data: Dataset, tmp_path) -> str:
    result = audit(data)
    report.write_page(result.audit, None, None, tmp_path / "audit.html")
    return (tmp_path / "audit.html").read_text("utf-8")


def panels_of(data: Dataset, space=None, seed: int = 0) -> dict:
    result = audit(data).audit
    panels = data_panels(data, result.image_stats, space, lambda row: data[row].source.read(), seed)
    return {panel.title: panel for panel in panels}


def test_sound_data_is_shown_as_well(tmp_path):
    html = page(dataset(240), tmp_path)
    assert re.findall(r"<h1>(.*?)</h1>", html) == ["No fault in 240 images."]
    assert "Every check passed." in html
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", html)
    assert titles == [
        "Findings", "Images of each class", "Classes", "Sizes and brightness", "Examples",
        "Near neighbours",
    ]  # fmt: skip
    assert "with several classes" not in html
    assert "in each split" not in html
    assert len(re.findall("<figure", html)) == MAX_OF_CLASS * len(CLASSES) + MAX_QUERIES


def test_images_are_counted_by_class_and_split():
    splits = ("train", "train", "valid", "test", None, "train")
    panels = panels_of(dataset(60, split=lambda row: splits[row // 10]))
    table = panels["Classes and splits"]
    assert table.header == ["class", "train", "valid", "test", "no split", "all"]
    assert table.rows[0] == ["cat", "10", "3", "4", "3", "20"]
    assert table.total == ["all images", "30", "10", "10", "10", "60"]
    assert "20 of cat" in panels["Images of each class"].plot.alt
    without = panels_of(dataset(60))["Classes"]
    assert (without.header, without.rows[0]) == (["class", "images"], ["cat", "20"])


def test_an_image_with_several_classes_counts_once_as_an_image():
    data = toy_dataset("detection", 30, np.random.default_rng(0))
    panels = panels_of(data)
    table = panels["Classes"]
    assert "with several classes" in panels["Images of each class"].text
    of_classes = sum(int(row[-1]) for row in table.rows)
    assert of_classes == sum(len(sample.target.present()) for sample in data)
    assert table.total[-1] == "30"
    objects = sum(len(sample.target) for sample in data)
    chart = panels["Sizes, brightness and objects"]
    assert f"{objects:,} objects in 30 images" in chart.text
    assert len(chart.plot.svgs) == 4


def test_examples_are_drawn_by_seed_and_of_each_class():
    items = panels_of(dataset())["Examples"].items
    assert [item.caption for item in items] == [one for one in CLASSES for _ in range(MAX_OF_CLASS)]
    again, other = panels_of(dataset())["Examples"], panels_of(dataset(), seed=1)["Examples"]
    ids = [item.detail for item in items]
    assert ids == [item.detail for item in again.items]
    assert ids != [item.detail for item in other.items]
    many = panels_of(dataset(400, [f"class {k}" for k in range(200)]))["Examples"]
    assert len(many.items) == MAX_EXAMPLES


@pytest.mark.parametrize("task", ["detection", "instance", "semantic"])
def test_examples_have_their_labels_drawn(task):
    data = toy_dataset(task, 20, np.random.default_rng(0))
    gallery = panels_of(data)["Examples"]
    assert gallery.large
    by_id = {sample.id: sample for sample in data}
    for item in gallery.items:
        (layer,) = item.layers
        target = by_id[item.detail].target
        if (boxes := target.as_boxes()) is not None:
            assert len(layer.shapes) == len(boxes)
        else:
            assert np.array_equal(layer.filling[..., 3] > 0, target.class_map() >= 0)


def test_faulty_boxes_are_drawn_as_far_as_they_can_be(tmp_path):
    corners = np.array([[2, 2, 9, 9], [9, 1, 5, 5], [-40, 3, 900, 30], [5, 5, 5, 5.0]])
    boxes = Boxes(corners, [0, 0, 1, 7])
    data = dataset(20)
    samples = [Sample("faulty.png", data[0].source, boxes), *data.samples[1:]]
    samples = [Sample(one.id, one.source, boxes) for one in samples]
    html = page(Dataset("pets", "detection", CLASSES, samples), tmp_path)
    assert "M2 2H9V9H2Z" in html
    assert "M-40 3H900V30H-40Z" in html
    assert "M5 5H5V5H5Z" not in html  # its class has no name


def test_findings_lead_to_their_sections_with_sign_colour_and_word(tmp_path):
    data = dataset(60, split=lambda row: ("train", "test")[row // 30])
    copies = [*data.samples[:59], Sample("copy.png", data[0].source, Label(0), None, "test")]
    html = page(Dataset("pets", "classification", CLASSES, copies), tmp_path)
    (link,) = re.findall(r'<td><a href="#(s\d+)">leak between splits</a></td>', html)
    assert f'<h2 id="{link}">Leak between splits</h2>' in html
    sign = '<span class="sign" aria-hidden="true"><i>✕</i></span>'
    assert f'<span class="tag bad">{sign}error</span>' in html


def findings_page(severity: str, data: Dataset, tmp_path) -> tuple[list[str], str]:
    """The lines for the terminal and the page of two findings, one of which is of two images."""
    concerned = ((), ("0.png", "1.png"))
    found = [Finding(severity, "copies", ids, "they are equal", "Keep one.") for ids in concerned]
    sound = audit(data).audit
    one = replace(sound, findings=tuple(found))
    report.write_page(one, None, None, tmp_path / "audit.html")
    return list(report.summary_lines(one)), (tmp_path / "audit.html").read_text("utf-8")


def test_findings_and_the_images_that_they_concern_are_counted_apart(tmp_path):
    lines, html = findings_page("error", dataset(240), tmp_path)
    assert lines[1:] == [
        "",
        "  2 errors in 2 images     copies: Keep one.",
        f"{'':27}e.g. they are equal",
        "",
        "2 errors in 240 images.",
    ]
    assert "<td>2 in 2 images</td>" in html


def test_notes_are_not_called_no_fault(tmp_path):
    lines, html = findings_page("note", dataset(240), tmp_path)
    assert lines[-1] == "2 notes in 240 images."
    assert "No error and no warning. A model can be trained on it." in html


def test_no_fault_comes_after_one_blank_line():
    lines = list(report.summary_lines(audit(dataset(240)).audit))
    assert lines == [
        "pets: 240 images of 3 classes, for classification",
        "",
        "No fault in 240 images.",
    ]


def test_near_neighbours_stand_beside_an_image():
    data = dataset(40)
    points = np.repeat(np.arange(10, dtype=np.float32), 4)[:, None] * 100
    points = points + np.tile(np.arange(4, dtype=np.float32), 10)[:, None]
    space = FeatureSpace.of(points, data, np.arange(40), None, 0)
    gallery = panels_of(data, space)["Near neighbours"]
    assert isinstance(gallery, Gallery)
    for item in gallery.items:
        rows = [int(id.removesuffix(".png")) for id in item.detail.split(" · ")]
        assert sorted(rows) == [rows[0] // 4 * 4 + step for step in range(4)]
        names = [CLASSES[row % 3] for row in rows]
        assert item.caption == f"{names[0]}, beside {', '.join(names[1:])}"


def test_near_neighbours_are_shown_without_features_as_well():
    """By thumbnails: each image has three darker and brighter versions of itself."""
    rng = np.random.default_rng(0)
    shown = np.repeat(rng.integers(60, 160, (10, 6, 8, 3)), 4, 0).repeat(4, 1).repeat(4, 2)
    pixels = (shown + 15 * np.arange(40).reshape(-1, 1, 1, 1) % 60).astype(np.uint8)
    samples = [Sample(f"{row}.png", ArraySource(pixels, row), Label(row % 3)) for row in range(40)]
    gallery = panels_of(Dataset("pets", "classification", CLASSES, samples))["Near neighbours"]
    assert "small grey thumbnails" in gallery.text
    assert "wrong label" in gallery.text
    assert len(gallery.items) == MAX_QUERIES
    for item in gallery.items:
        rows = [int(id.removesuffix(".png")) for id in item.detail.split(" · ")]
        assert sorted(rows) == [rows[0] // 4 * 4 + step for step in range(4)]
    bare = Dataset("bare", "classification", (), [Sample(one.id, one.source) for one in samples])
    gallery = panels_of(bare)["Near neighbours"]
    assert "class" not in gallery.text + gallery.items[0].caption
    assert "Near neighbours" not in panels_of(dataset(3))


def test_the_neighbours_of_images_with_several_classes_are_kept_apart():
    data = toy_dataset("detection", 30, np.random.default_rng(0))
    captions = [item.caption for item in panels_of(data)["Near neighbours"].items]
    assert any("; " in caption for caption in captions)
    assert all(" beside " in caption for caption in captions if caption)


def test_data_without_images_or_classes_has_a_page():
    none = Dataset("none", "classification", (), [])
    assert data_panels(none, np.zeros(0), None, lambda row: None) == []
    data = dataset(12)
    bare = [Sample(one.id, one.source) for one in data]
    panels = panels_of(Dataset("bare", "classification", (), bare))
    assert [item.caption for item in panels["Examples"].items] == ["no class"] * 12
    render_html(Page("t", "", "h", "v", "plain", panels=list(panels.values())))
