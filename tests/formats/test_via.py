"""The VGG Image Annotator's files of all versions: what is read, asked about and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings

from foveate import formats
from helpers.damage import FUZZ, other_bytes, other_values, read_or_refused
from helpers.format_reading import boxes, named, refusing, skipped

Record = dict[str, Any]
refused = refusing("via")
A, B = "images/a.png", "images/b.png"


def folder(root: Path, content: Any, name: str = "via.json") -> Path:
    for image in (A, B):
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (20, 10)).save(root / image)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / name).write_text(text, encoding="utf-8")
    return root


def rect(x: float = 1, y: float = 2, w: float = 3, h: float = 4, **attributes: Any) -> Record:
    shape = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
    return {"shape_attributes": shape, "region_attributes": attributes or {"class": "cat"}}


def drawn(name: str, attributes: Record | None = None, **shape: Any) -> Record:
    own = {"class": "dog"} if attributes is None else attributes
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": own}


def entry(name: str, *regions: Record, **file_attributes: Any) -> Record:
    record = {"filename": name, "size": 99, "regions": list(regions)}
    return {f"{name}99": {**record, "file_attributes": file_attributes}}


def test_version_two(tmp_path: Path) -> None:
    export = {**entry("a.png", rect(), rect(5, 5, 2, 2)), **entry("b.png")}
    data = formats.read(folder(tmp_path, export))
    assert (data.format, data.task, data.classes) == ("via", "detection", ("cat",))
    assert boxes(data) == {A: [[1, 2, 4, 6], [5, 5, 7, 7]], B: []}
    project = {"_via_settings": {}, "_via_img_metadata": export, "_via_attributes": {}}
    assert boxes(formats.read(folder(tmp_path, project))) == boxes(data)
    assert boxes(formats.read(tmp_path / "via.json")) == boxes(data)


def test_a_negative_width_stays_as_written_for_the_audit(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, entry("a.png", rect(9, 2, -3, 4))))
    assert boxes(data) == {A: [[9, 2, 6, 6]]}


def test_version_one(tmp_path: Path) -> None:
    record = entry("a.png")["a.png99"]
    data = formats.read(folder(tmp_path, {"a": {**record, "regions": {"0": rect()}}}))
    assert boxes(data) == {A: [[1, 2, 4, 6]]}


def test_version_three(tmp_path: Path) -> None:
    options = {"0": "cat", "1": "dog"}
    content = {
        "project": {"pid": "x"},
        "config": {},
        "attribute": {"1": {"aname": "class", "type": 4, "options": options}},
        "file": {
            "1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "b.png", "type": 2, "loc": 1, "src": ""},
            "3": {"fid": "3", "fname": "c.mp4", "type": 4},
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}, "3": {"fid_list": ["3"]}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 1, 2, 3, 4], "av": {"1": "0"}},
            "2_b": {"vid": "2", "z": [], "xy": [7, 0, 0, 4, 0, 0, 4], "av": {"1": "1"}},
            "3_c": {"vid": "3", "z": [1.5], "xy": [], "av": {"1": "1"}},
        },
    }
    data = formats.read(folder(tmp_path, content))
    assert (data.task, data.classes) == ("instance", ("cat", "dog"))
    assert boxes(data) == {A: [[1, 2, 4, 6]], B: [[0, 0, 4, 4]]}
    assert "files that are no images, left out: 1" in data.notes
    assert "annotations of times or of several files, left out: 1" in data.notes
    content["metadata"]["1_a"]["xy"] = [9, 1]
    refused(folder(tmp_path, content), "a shape from 1 to 7 is expected as xy of metadata 1_a")


HEADER = (
    "filename,file_size,file_attributes,region_count,region_id,"
    "region_shape_attributes,region_attributes\n"
)
RECT = '"{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}"'


def test_csv(tmp_path: Path) -> None:
    text = (
        HEADER
        + f'a.png,9,"{{}}",1,0,{RECT},"{{""class"":""cat""}}"\nb.png,9,"{{}}",0,0,{{}},{{}}\n'
    )
    data = formats.read(folder(tmp_path, text, "via.csv"))
    assert (data.format, boxes(data)) == ("via", {A: [[1, 2, 4, 6]], B: []})
    bad = HEADER + f'a.png,9,"{{}}",1,0,{RECT},"{{""class"":"\n'
    assert refused(folder(tmp_path, bad, "via.csv"), "as region_attributes").line == 2
    bad = HEADER + 'a.png,9,{},1,0,"{""name"":""rect""}","{""class"":""cat""}"\n'
    assert refused(folder(tmp_path, bad, "via.csv"), "numbers are expected as x, y").line == 2


def test_shapes(tmp_path: Path) -> None:
    content = entry(
        "a.png",
        drawn("polygon", all_points_x=[0, 8, 0], all_points_y=[0, 0, 8]),
        drawn("circle", cx=10, cy=5, r=2),
        drawn("ellipse", cx=10, cy=5, rx=4, ry=2, theta=np.pi / 2),
        drawn("point", cx=1, cy=1),
        drawn("polyline", all_points_x=[0, 8], all_points_y=[0, 0]),
        rect(),
    )
    data = formats.read(folder(tmp_path, content))
    assert data.task == "instance"
    expected = [[0, 0, 8, 8], [8, 3, 12, 7], [8, 1, 12, 9], [1, 2, 4, 6]]
    assert np.allclose(boxes(data)[A], expected)
    assert data[0].target.shapes[3] is None
    assert "shapes of type point, left out: 1" in data.notes
    assert "shapes of type polyline, left out: 1" in data.notes


# --- which attribute is the class


@pytest.mark.parametrize(
    ("one", "two", "classes"),
    [
        ({"class": "cat"}, {"class": "dog"}, ["cat", "dog"]),
        ({"animal": "cat"}, {"animal": "dog"}, ["cat", "dog"]),
        ({"animal": "cat", "age": "3"}, {"animal": "dog", "age": ""}, ["cat", "dog"]),
        ({"type": "cat", "size": "3"}, {"type": "dog", "size": "4"}, ["cat", "dog"]),
        ({"class": {"cat": True}}, {"class": {"dog": True, "cat": False}}, ["cat", "dog"]),
        ({"class": 1}, {"class": 2}, ["1", "2"]),
        ({"class": ""}, {"class": ""}, ["object", "object"]),
    ],
)
def test_the_attribute_that_all_regions_have(
    tmp_path: Path, one: Record, two: Record, classes: list[str]
) -> None:
    data = formats.read(folder(tmp_path, entry("a.png", rect(**one), rect(**two))))
    assert named(data)[A] == classes


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ({"animal": "cat", "size": "1"}, {"animal": "dog", "size": "2"}, ["found animal, size"]),
        (
            {"class": "cat"},
            {"class": ""},
            ["a class is expected as 'class' of region 2 of 'a.png'"],
        ),
        ({"class": {"a": True, "b": True}}, {"class": "a"}, ["one class is expected", "got a, b"]),
    ],
)
def test_an_unclear_class_is_asked_about(
    tmp_path: Path, one: Record, two: Record, words: list[str]
) -> None:
    refused(folder(tmp_path, entry("a.png", rect(**one), rect(**two))), *words)


def test_options_have_names(tmp_path: Path) -> None:
    options = {"region": {"class": {"type": "dropdown", "options": {"c": "the cat", "d": ""}}}}
    images = entry("a.png", rect(**{"class": "c"}), rect(**{"class": "d"}))
    project = {"_via_img_metadata": images, "_via_attributes": options}
    assert named(formats.read(folder(tmp_path, project)))[A] == ["the cat", "d"]


def test_attributes_of_files_are_labels(tmp_path: Path) -> None:
    own = {"caption": "", "public_domain": "no"}
    content = {**entry("a.png", quality="good", **own), **entry("b.png", quality="bad", **own)}
    data = formats.read(folder(tmp_path, content))
    assert (data.task, data.classes) == ("classification", ("bad", "good"))


def test_splits_and_missing_images(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder(tmp_path / split, entry("a.png", rect()), "via_region_data.json")
    data = formats.read(tmp_path)
    splits = {sample.id: sample.split for sample in data}
    assert splits == {"train/images/a.png": "train", "val/images/a.png": "valid"}
    content = {**entry("a.png", rect()), **entry("z.png", rect())}
    assert "no such file" in skipped(formats.read(folder(tmp_path / "x", content)))["z.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (entry("a.png", drawn("star")), "a known shape is expected, got 'star'"),
        (entry("a.png", drawn("rect", x=1)), "numbers are expected as x, y, width, height"),
        (entry("a.png", drawn("circle", cx=1, cy=1, r="2")), "numbers are expected as cx, cy, r"),
        (
            entry("a.png", drawn("polygon", all_points_x=[1, 2, 3], all_points_y=[1, 2])),
            "as many x as y",
        ),
        (entry("a.png", drawn("ellipse", cx=1, cy=1, rx=1, ry=1, theta="x")), "as theta"),
        ({"a": {**entry("a.png")["a.png99"], "regions": 5}}, "a list is expected as regions"),
        ({"a": {**entry("a.png")["a.png99"], "filename": 5}}, "a text is expected as filename"),
        ({"a": 5, **entry("a.png", rect())}, "an object is expected as the entry 'a'"),
        ({**entry("a.png", rect()), "b": entry("a.png")["a.png99"]}, "each image is expected once"),
        (entry("a.png"), "annotations are expected, found none"),
    ],
)
def test_files_that_cannot_be_understood(tmp_path: Path, content: Any, words: str) -> None:
    refused(folder(tmp_path, content), words)


def test_other_files_are_refused(tmp_path: Path) -> None:
    refused(folder(tmp_path, "{}"), "a file of the VGG Image Annotator is expected, found none")


GOOD = {
    **entry("a.png", rect(), drawn("polygon", all_points_x=[0, 8, 0], all_points_y=[0, 0, 8])),
    **entry("b.png", drawn("circle", cx=10, cy=5, r=2)),
}


@FUZZ
@given(text=other_bytes(GOOD))
def test_any_bytes_are_data_or_one_error(tmp_path: Path, text: bytes) -> None:
    folder(tmp_path, GOOD)
    (tmp_path / "via.json").write_bytes(text)
    read_or_refused(tmp_path, "via")


@settings(FUZZ, max_examples=400)
@given(text=other_values(GOOD))
def test_any_values_are_data_or_one_error(tmp_path: Path, text: str) -> None:
    read_or_refused(folder(tmp_path, text), "via")
