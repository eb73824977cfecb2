"""YOLO datasets: lines, recognition, and writing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import Boxes, Instances, Polygon, RunLengths
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import yolo
from foveate.ops import rle
from helpers.yolo_files import IMAGE, LINE, LINE_BOX, NAMES, lay, make_image, refused, usual

# --- lines


def test_boxes_are_read(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, LINE + "\r\n  0 0 0 1e-1\t.2\r\n" + "1.0 0.5 0.5 1 1"))
    assert (data.task, data.classes, data.name, data.origin) == (
        "detection",
        ("cat", "dog"),
        tmp_path.name,
        tmp_path,
    )
    target = data[0].target
    assert target.corners.tolist() == [[15, 5, 25, 15], [-2, -2, 2, 2], [0, 0, 40, 20]]
    assert target.classes.tolist() == [1, 0, 1]
    assert target.size == (20, 40)
    assert (data.notes, data.skipped) == ((), ())


def test_polygons_are_read(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, "1 0 0 0.5 0 0.25 0.5\n" + LINE))
    assert data.task == "instance"
    triangle, none = data[0].target.shapes
    assert triangle.outlines[0].tolist() == [[0, 0], [20, 0], [10, 10]]
    assert none is None
    assert data[0].target.boxes.corners.tolist() == [[0, 0, 20, 10], list(LINE_BOX)]
    assert data.notes == ("1 of 2 objects with a box only, without a polygon",)
    lay(tmp_path, {"images/b.png": IMAGE, "labels/b.txt": LINE, "images/c.png": IMAGE})
    assert all(isinstance(sample.target, Instances) for sample in formats.read(tmp_path))


@pytest.mark.parametrize(("orientation", "box"), [(1, [15, 5, 25, 15]), (6, [7.5, 10, 12.5, 30])])
def test_coordinates_are_fractions_of_the_upright_image(
    tmp_path: Path, orientation: int, box: list[float]
) -> None:
    lay(usual(tmp_path), {"images/b.jpg": make_image("jpeg", orientation), "labels/b.txt": LINE})
    sample = formats.read(tmp_path)[1]
    assert sample.target.corners.tolist() == [box]
    assert sample.target.size == sample.source.read().shape[:2]


def test_wrong_boxes_are_left_to_the_audit(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, "0 0.5 0.5 2 2\n0 0.5 0.5 -0.5 0.1\n0 -3 0.5 0 0\n"))
    assert data[0].target.corners.tolist() == [
        [-20, -10, 60, 30],
        [30, 9, 10, 11],
        [-120, 10, -120, 10],
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("2 0.5 0.5 0.1 0.1", 1, ["a class number from 0 to 1 is expected, got 2", "data.yaml"]),
        (LINE + "\n-1 0.5 0.5 0.1 0.1", 3, ["got -1"]),
        ("0.5 0.5 0.5 0.1 0.1", 1, ["whole number, got 0.5"]),
        ("cat 0.5 0.5 0.1 0.1", 1, ["numbers are expected", "'cat 0.5"]),
        (LINE + "0 0.5 nan 0.1 0.1", 2, ["numbers are expected"]),
        (LINE + "0 0.5 inf 0.1 0.1", 2, ["numbers are expected"]),
        (LINE + "0 0.5 1e10 0.1 0.1", 2, ["numbers are expected"]),
        ("0 0.5 0_1 0.1 0.1", 1, ["numbers are expected"]),
        ("0,0.5,0.5,0.1,0.1", 1, ["numbers are expected"]),
        ("0 0.5 0.5 0.1", 1, ["class cx cy w h", "got 4 numbers"]),
        ("0 0.5 0.5 0.1 0.1 0.9", 1, ["a sixth", "confidence", "predictions"]),
        ("0 0 0 1 0 1 1 0.9", 1, ["x3 y3", "got 8 numbers"]),
        (
            LINE * 2 + "0 320 240 100 50\n0 100 90 12 40\n0 9 9 9 9\n",
            3,
            ["these are pixels", "Divide"],
        ),
        (LINE.encode() + b"\xff", 2, ["UTF-8"]),
        (LINE.encode("utf-16"), 1, ["UTF-8"]),
        (IMAGE, 1, ["UTF-8"]),
    ],
)
def test_wrong_lines_are_named_by_file_and_line(
    tmp_path: Path, text: str | bytes, line: int, words: list[str]
) -> None:
    error = refused(usual(tmp_path, text), *words)
    assert (error.where, error.line) == (tmp_path / "labels" / "a.txt", line)


# --- recognition


@pytest.mark.parametrize(
    "files",
    [
        {"images/train/a.png": IMAGE, "labels/train/a.txt": LINE},
        {"train/images/a.png": IMAGE, "train/labels/a.txt": LINE, "README.roboflow.txt": "x"},
        {"images/a.png": IMAGE, "labels/a.txt": LINE},
        {"a.png": IMAGE, "a.txt": LINE, "obj.names": "cat\n"},
        {"train/a.png": IMAGE, "train/a.txt": LINE, "train/_darknet.labels": "cat\n"},
        {"data.yaml": NAMES, "somewhere/images/a.png": IMAGE, "somewhere/labels/a.txt": ""},
    ],
)
def test_yolo_layouts_are_recognised(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    lay(tmp_path, files)
    assert [name for name, format in formats.all().items() if format.sniff(tmp_path)] == ["yolo"]


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.png": IMAGE, "labels/a.png": IMAGE},
        {"a.png": IMAGE, "a.txt": "a red 3"},
        {"images/a.png": IMAGE, "labels/a.txt": "Car 0.00 0 -1.57 614 181 727 284"},
        {"a.png": IMAGE, "poses.txt": "1 0 0 0 0 1 0 0"},
        {
            "cat/a.png": IMAGE,
            "dog/b.png": IMAGE,
            "classes.txt": "cat\ndog\n",
            "config.yaml": "epochs: 3\n",
        },
        {"images/a.png": IMAGE, "labels/a.txt": ""},
        {"notes.yaml": "x: 1\n"},
    ],
)
def test_other_layouts_are_not_recognised(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert not yolo.sniff(lay(tmp_path, files))


# --- writing


def made(
    target: Boxes | Instances, classes: tuple[str, ...] = ("cat",), **given: Any
) -> Dataset[Any]:
    source = ArraySource(np.zeros((1, 20, 40, 1), np.uint8), 0)
    task = "instance" if isinstance(target, Instances) else "detection"
    return Dataset("made", task, classes, [Sample("a", source, target, **given)])


def boxes(*corners: tuple[float, ...], **given: Any) -> Boxes:
    return Boxes(np.array(corners, float).reshape(-1, 4), np.zeros(len(corners), int), **given)


TRIANGLE = np.array([(1.0, 2), (9, 2), (4, 11)])
RUNS = RunLengths(rle.encode(np.eye(20, 40, dtype=bool)), (20, 40))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (made(boxes((1, 2, 3, 4)), group="g"), "1 sample with a group (such as 'a')"),
        (made(boxes((1, 2, 3, 4), crowd=np.array([True]))), "with a crowd"),
        (made(boxes((1, 2, 3, 4), difficult=np.array([True]))), "with a difficult box"),
        (made(boxes((1, 2, 3, 4), scores=np.array([0.5]))), "with scores"),
        (made(boxes((100, 100, 900, 900))), "mostly outside the image"),
        (made(boxes((1, 2, 3, 2e9))), "beyond 1,000,000,000"),
        (made(boxes((1, 2, 3, 4)), classes=("",)), "the class name ''"),
        (made(boxes((1, 2, 3, 4)), classes=("a", "a")), "two classes with the name 'a'"),
        (
            made(boxes((1, 2, 3, 4)), classes=("cat", "x" * 500_001)),
            "class names of more than 500,000 bytes",
        ),
        (made(Instances(boxes((0, 0, 20, 20)), [RUNS])), "with a pixel mask"),
        (
            made(Instances(boxes((1, 2, 9, 11)), [Polygon((TRIANGLE, TRIANGLE))])),
            "a polygon of several outlines",
        ),
        (
            made(Instances(boxes((1, 2, 9, 12)), [Polygon((TRIANGLE,))])),
            "a box that is not the bounds of its polygon",
        ),
        (made(Instances(boxes((1, 2, 9, 12)), [None])), "instances without any shape"),
    ],
)
def test_unsupported_content_is_named(tmp_path: Path, dataset: Dataset[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        yolo.write(dataset, tmp_path / "copy")
    assert words in str(caught.value)
    assert "cannot store" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_partial_splits_are_refused(tmp_path: Path) -> None:
    one = made(boxes((1, 2, 3, 4)))
    two = replace(one, samples=[one[0], replace(one[0], id="b", split="train")])
    with pytest.raises(
        DataError, match=r"1 sample without a split, while others have one \(such as 'a'\)"
    ):
        yolo.write(two, tmp_path / "copy")


def test_files_are_written_as_in_yolo(tmp_path: Path) -> None:
    one = made(
        boxes((10, 5, 30, 15)),
        classes=("no", "0", " ü: #", "x\ny", "a" * 200 + " b"),
        split="valid",
    )
    empty = replace(one[0], id="images/train/b.jpg", split="train", target=boxes())
    yolo.write(replace(one, samples=[one[0], empty]), tmp_path / "copy")
    found = {
        str(path.relative_to(tmp_path / "copy"))
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
    }
    assert found == {
        "data.yaml",
        *(f"images/{x}.png" for x in ("val/a", "train/b")),
        "labels/val/a.txt",
        "labels/train/b.txt",
    }
    assert (tmp_path / "copy" / "labels" / "val" / "a.txt").read_text() == "0 0.5 0.5 0.5 0.5\n"
    description = yaml.safe_load((tmp_path / "copy" / "data.yaml").read_text())
    assert description == {
        "train": "images/train",
        "val": "images/val",
        "nc": 5,
        "names": dict(enumerate(one.classes)),
    }
    assert formats.read(tmp_path / "copy").classes == one.classes


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    corners=st.lists(st.tuples(*[st.floats(-10, 45)] * 4), min_size=1, max_size=5),
    number=st.integers(0, 10**9),
)
def test_boxes_survive_a_round_trip(
    tmp_path: Path, corners: list[tuple[float, ...]], number: int
) -> None:
    dataset = made(boxes(*corners))
    if not any((box[0] + box[2]) / 2 > 40 for box in corners):
        dataset = made(boxes(*corners, (1, 1, 2, 2), (1, 1, 2, 2)))
    path = tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}"
    try:
        yolo.write(dataset, path)
    except DataError as error:
        refusal = error.message
    else:
        refusal = ""
    if refusal:
        assert "would be read as pixels" in refusal
        return
    back = formats.read(path)[0].target
    assert np.abs(back.corners - dataset[0].target.corners).max() < 1e-9
