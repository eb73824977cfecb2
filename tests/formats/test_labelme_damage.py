"""Damaged or forged LabelMe files give data or one error that names the place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from foveate.errors import BadImage
from helpers.damage import FUZZ, other_bytes, other_values, read_or_refused
from helpers.labelme_files import (
    IMAGE,
    SQUARE,
    TRIANGLE,
    Record,
    box,
    lay,
    packed,
    page,
    read,
    refused,
    shape,
    usual,
)

# --- damaged and forged files

GOOD_TEXT = json.dumps(page(shape()), indent=2)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, ["a JSON file is expected, but the file is empty"]),
        (GOOD_TEXT[:-1], GOOD_TEXT.count("\n") + 1, ["JSON is expected", "cut short"]),
        (GOOD_TEXT[:60], 6, ["JSON is expected", "cut short"]),
        (GOOD_TEXT + "}", GOOD_TEXT.count("\n") + 1, ["JSON is expected", "extra data"]),
        (GOOD_TEXT.replace("20.5", "NaN"), 13, ["numbers are expected, got NaN"]),
        (GOOD_TEXT.replace("20.5", "9" * 5000), None, ["a number in it cannot be read"]),
        (
            GOOD_TEXT.replace('"flags"', '"shapes"'),
            None,
            ["each key of an object is expected once, found 'shapes'"],
        ),
        ('{"shapes": ' + "[" * 100_000, None, ["nested too deeply"]),
        (GOOD_TEXT.replace("cat", "né").encode("latin-1"), 6, ["JSON in UTF-8 is expected"]),
        (GOOD_TEXT.encode("utf-16"), 1, ["JSON in UTF-8 is expected"]),
    ],
)
def test_damaged_files_are_named_with_the_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: list[str]
) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": text, "b.png": IMAGE})
    error = refused(tmp_path, *words)
    assert (error.where, error.line) == (tmp_path / "b.json", line)


POINTS = "a list of x and y, finite and up to 1,000,000,000, is expected as points of shape 2"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (shape(points=[[1, 2], [3, 4], [5]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, 6, 7]]), POINTS),
        (shape(points=[[1, 2], [3, 4], 5]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, "6"]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, True]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, None]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, 1e999]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, -1e10]]), POINTS),
        (shape(points=[[1, 2], [3, 4], [5, 10**400]]), POINTS),
        (shape(points=[1, 2, 3, 4, 5, 6]), POINTS),
        (shape(points={"x": 1}), POINTS),
        (shape(points=None), POINTS),
        (shape(points=...), POINTS),
        (
            shape("rectangle", [[1, 2]]),
            "two opposite corners are expected as points of shape 2, a rectangle",
        ),
        (shape("rectangle", []), "two opposite corners are expected"),
        (shape("rectangle", [[1, 2], [3, 4], [5, 6]]), "two opposite corners are expected"),
        (shape("rectangle", [[1, 2], [3, 2], [4, 5], [1, 5]]), "two opposite corners are expected"),
        (
            shape("circle", [[1, 2]]),
            "the centre and a point on the circle are expected as points of shape 2, a circle",
        ),
        (shape("circle", TRIANGLE), "the centre and a point on the circle are expected"),
        (shape(None), "a text is expected as shape_type of shape 2, got None"),
        (shape(label=None), "a text is expected as label of shape 2, got None"),
        (shape(label=5), "a text is expected as label of shape 2, got 5"),
        (shape(label="\ud800"), "a text is expected as label of shape 2"),
        (shape(label=...), "a text is expected as label of shape 2"),
        (shape(group_id=1.5), "a number, a text or null is expected as group_id of shape 2"),
        (shape(group_id=True), "a number, a text or null is expected as group_id of shape 2"),
        (shape(group_id=[]), "a number, a text or null is expected as group_id of shape 2"),
        ("cat", "an object is expected as shape 2"),
    ],
)
def test_wrong_shapes_are_named(tmp_path: Path, wrong: Any, words: str) -> None:
    text = json.dumps(page(shape(), wrong)).replace("Infinity", "1e999")
    assert refused(usual(tmp_path, text), words).where == tmp_path / "a.json"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": {}}, "a list is expected as shapes"),
        ({"shapes": None}, "a list is expected as shapes"),
        (
            {"imageHeight": -3},
            "a whole number of pixels is expected as imageHeight of the image, got -3",
        ),
        ({"imageWidth": 2.5}, "imageWidth of the image, got 2.5"),
        ({"imageWidth": "40"}, "imageWidth of the image, got '40'"),
        ({"imageWidth": True}, "imageWidth of the image, got True"),
        ({"imageWidth": 10**30}, "imageWidth of the image"),
        ({"group": []}, "a text is expected as group of the image"),
        ({"time": 1.5}, "a text is expected as time of the image"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, changes: Record, words: str) -> None:
    assert (
        refused(usual(tmp_path, {**page(shape()), **changes}), words).where == tmp_path / "a.json"
    )


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    assert read(
        usual(tmp_path, b"\xef\xbb\xbf" + GOOD_TEXT.replace("cat", "né").encode())
    ).classes == ("né",)


def test_other_files_are_refused(tmp_path: Path) -> None:
    refused(
        lay(tmp_path / "x", {"a.txt": "x"}),
        "images with a LabelMe file are expected, found none (1 skipped; a.txt:",
    )
    refused(usual(tmp_path / "y", page(shape())) / "a.json", "this is a file", "Give its folder")
    os.mkfifo(tmp_path / "y" / "pipe.json")
    refused(tmp_path / "y", "pipe.json", "this is a folder or a device")


# --- fuzzing

GOOD = page(
    shape(group_id=1, flags={"crowd": True}),
    shape(points=SQUARE, group_id=1),
    box(label="dog"),
    shape("circle", [[9, 9], [9, 12]]),
    shape("point", [[1, 2]]),
    shape("mask", [[0, 0], [39, 29]], mask=packed(IMAGE)),
    imageData=packed(IMAGE),
    group="g",
)


def data_or_one_error(root: Path, content: str | bytes) -> None:
    """The image may be embedded or lie beside the file."""
    lay(root, {"a.json": content, "b.json": page(box(), path="b.png"), "b.png": IMAGE})
    data = read_or_refused(root, "labelme")
    if data is None:
        return
    assert len(data) + len(data.skipped) == 2
    for sample in data:
        try:
            assert sample.source.read().dtype == np.uint8
        except BadImage:
            continue


@FUZZ
@given(text=other_bytes(GOOD))
def test_any_bytes_are_data_or_one_error(tmp_path: Path, text: bytes) -> None:
    data_or_one_error(tmp_path, text)


@settings(FUZZ, max_examples=400)
@given(text=other_values(GOOD))
def test_any_values_are_data_or_one_error(tmp_path: Path, text: str) -> None:
    data_or_one_error(tmp_path, text)
