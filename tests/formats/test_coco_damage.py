"""Damaged or forged COCO files give data or one error that names the place."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings

from foveate.errors import FoveateError
from foveate.formats import coco
from helpers.coco_files import (
    SIZE,
    SQUARE,
    TRIANGLE,
    Record,
    blobs,
    category,
    document,
    image,
    lay,
    make_object,
    read,
    refused,
    runs,
    usual,
)
from helpers.damage import FUZZ, other_bytes, other_values, read_or_refused

# --- damaged and forged files


def raw(*annotation: str) -> str:
    """Return a file with an annotation on line 3 that gets these keys, written by hand."""
    usual = '"id": 7, "image_id": 1, "category_id": 1'
    rest = f'"images": [{json.dumps(image())}], "categories": [{json.dumps(category())}]'
    return f'{{\n"annotations": [\n{{{", ".join((usual, *annotation))}}}],\n{rest}}}'


BOX = '"bbox": [1, 2, 3, 4]'
NUMBERS = "finite numbers up to 1,000,000,000 are expected as its "
LONG = "9" * 400


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (raw('"bbox": [1, 2, NaN, 4]'), 3, ["numbers are expected, got NaN"]),
        (raw('"bbox": [1, 2, -Infinity, 4]'), 3, ["numbers are expected, got -Infinity"]),
        (raw('"bbox": [1, 2, 1e999, 4]'), None, ["annotation 7", NUMBERS + "bbox"]),
        (raw('"bbox": [1, 2, 3, -1e12]'), None, ["annotation 7", NUMBERS + "bbox"]),
        (raw(f'"bbox": [1, 2, 3, {LONG}]'), 3, ["annotation 7", NUMBERS + "bbox"]),
        (raw(f'"bbox": [1, 2, 3, {LONG * 20}]'), None, ["a number in it cannot be read"]),
        (
            raw('"bbox": [1, 2, "3", 4]'),
            3,
            ["annotation 7: four numbers are expected as its bbox, got [1, 2, '3', 4]"],
        ),
        (raw('"bbox": [1, 2, true, 4]'), 3, ["annotation 7: four numbers", "True"]),
        (raw('"bbox": [1, 2, null, 4]'), 3, ["annotation 7: four numbers", "None"]),
        (raw('"bbox": [1, 2, [3], 4]'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": [1, 2, 3]'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": {"x": 1}'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": false'), 3, ["annotation 7: four numbers"]),
        (raw(), None, ["annotation 7: a bbox, or a segmentation", "classes of whole images"]),
        (raw('"segments_info": []'), None, ["annotation 7: a bbox", "panoptic", "instances_"]),
        (raw('"caption": "a cat"'), None, ["annotation 7: a bbox", "captions"]),
        (raw('"keypoints": [1, 2, 2]'), None, ["annotation 7: a bbox", "keypoints alone"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, NaN, 5, 6]]'), 3, ["got NaN"]),
        (
            raw(BOX, '"segmentation": [[1, 2, 3, 1e999, 5, 6]]'),
            None,
            ["annotation 7", NUMBERS + "segmentation"],
        ),
        (
            raw(BOX, '"segmentation": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 1e10]]'),
            None,
            ["annotation 7", NUMBERS],
        ),
        (
            raw(BOX, f'"segmentation": [[1, 2, 3, {LONG}, 5, 6]]'),
            3,
            ["annotation 7", NUMBERS + "segmentation"],
        ),
        (
            raw(BOX, '"segmentation": [[1, 2, 3, 4, 5, 6, 7]]'),
            3,
            ["annotation 7: a list of polygons"],
        ),
        (
            raw(BOX, '"segmentation": [[1, 2], [3, 4]]'),
            3,
            ["annotation 7: a list of polygons"],
        ),
        (
            raw(BOX, '"segmentation": [[1, 2, 3, "4", 5, 6]]'),
            3,
            ["annotation 7: a list of polygons"],
        ),
        (
            raw(BOX, '"segmentation": [[1, 2, 3, true, 5, 6]]'),
            3,
            ["annotation 7: a list of polygons"],
        ),
        (
            raw(BOX, '"segmentation": [1, 2, 3, 4, 5, 6, 7]'),
            3,
            ["annotation 7: a list of polygons"],
        ),
        (raw(BOX, '"segmentation": "polygon"'), 3, ["annotation 7: a list of polygons"]),
        (raw(BOX, '"segmentation": 0'), 3, ["annotation 7: a list of polygons"]),
        (raw(BOX, '"iscrowd": 2'), 3, ["annotation 7: 0 or 1 is expected as iscrowd, got 2"]),
        (raw(BOX, '"iscrowd": "1"'), 3, ["annotation 7: 0 or 1 is expected as iscrowd, got '1'"]),
        (raw(BOX, '"score": 0.5'), 3, ["annotation 7 has a score"]),
        (
            raw(BOX, '"bbox": [5, 6, 7, 8]'),
            3,
            ["each key of an object is expected once, found 'bbox' twice"],
        ),
        (raw(BOX, '"a": ' + "[" * 100_000), None, ["nested too deeply"]),
        (raw(BOX, '"a": ' + '{"a":' * 100_000), None, ["nested too deeply"]),
        (raw(BOX)[:-1], 4, ["JSON is expected", "expecting ',' or '}'", "cut short"]),
        (raw(BOX)[:60], 3, ["JSON is expected", "cut short"]),
        (raw(BOX) + "x", 4, ["JSON is expected", "expecting nothing more"]),
        (raw(BOX).replace("],\n", ",],\n"), 3, ["JSON is expected", "expecting a value"]),
        (
            raw(BOX).replace('"cat"', '"c\nat"'),
            4,
            ["JSON is expected", "invalid control character"],
        ),
        (raw(BOX).replace("categories", "images"), 4, ["the key 'images' is expected once"]),
        (raw(BOX).replace("categories", "classes"), None, ["it has no 'categories'"]),
        ("", None, ["the file is empty"]),
        ("{}", None, ["it has no 'images' and no 'annotations' and no 'categories'"]),
        (
            "[]",
            None,
            ["an object with images, annotations, categories is expected, got something else"],
        ),
        ("\n\nnull", None, ["got something else"]),
        ("\n\nnul", 3, ["JSON is expected"]),
        ('{"images": 5}', 1, ["a list is expected under 'images'"]),
        ('{"images": {}}', 1, ["a list is expected under 'images'"]),
        ('{"images": [5]}', 1, ["a list of objects is expected under 'images'"]),
    ],
)
def test_wrong_values_are_named_by_file_and_line(
    tmp_path: Path, text: str, line: int | None, words: list[str]
) -> None:
    error = refused(usual(tmp_path, text), *words)
    assert (error.where, error.line) == (tmp_path / "instances.json", line)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    "wrong", [{"bbox": [1e12, 2, 3, 4]}, {"segmentation": [[1e12, *SQUARE[1:]], TRIANGLE]}]
)
def test_the_wrong_annotation_of_several_is_named(tmp_path: Path, wrong: Record) -> None:
    around = [make_object(id, segmentation=[SQUARE, TRIANGLE]) for id in (5, 6, 8)]
    bad = make_object(7, **{"segmentation": [SQUARE], **wrong})
    refused(usual(tmp_path, document(*around[:2], bad, around[2])), "annotation 7", NUMBERS)


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"images": []}, None, ["something is expected under 'images', the list is empty"]),
        ({"categories": []}, None, ["something is expected under 'categories'"]),
        ({"images": [{**image(), "id": True}]}, 2, ["expected as id of an image record, got True"]),
        ({"images": [{**image(), "id": 1.5}]}, 2, ["expected as id of an image record, got 1.5"]),
        ({"images": [image([1])]}, 2, ["expected as id of an image record, got [1]"]),
        ({"images": [{"file_name": "a.png"}]}, 1, ["expected as id of an image record, got None"]),
        ({"images": [image(1, 5)]}, 2, ["a text is expected as file_name of image 1, got 5"]),
        ({"images": [{"id": 1}]}, 2, ["a text is expected as file_name of image 1, got None"]),
        (
            {"images": [image(1, width=-3)]},
            2,
            ["a whole number of pixels is expected as width of image 1, got -3"],
        ),
        ({"images": [image(1, height=2.5)]}, 2, ["height of image 1, got 2.5"]),
        ({"images": [image(1, height="30")]}, 2, ["height of image 1, got '30'"]),
        ({"images": [image(1, height=True)]}, 2, ["height of image 1, got True"]),
        ({"images": [image(1, height=10**30)]}, 2, ["height of image 1"]),
        ({"images": [image(1, group=[])]}, 2, ["a text is expected as group of image 1"]),
        (
            {"categories": [category(1.5)]},
            4,
            ["a number or a text is expected as id of a category, got 1.5"],
        ),
        ({"categories": [category(True)]}, 4, ["id of a category, got True"]),
        (
            {"categories": [category(1, None)]},
            4,
            ["a text is expected as name of category 1, got None"],
        ),
        ({"categories": [category(1, "\ud800")]}, 4, ["a text is expected as name of category 1"]),
    ],
)
def test_wrong_records_are_named(
    tmp_path: Path, changes: Record, line: int | None, words: list[str]
) -> None:
    error = refused(usual(tmp_path, {**document(make_object()), **changes}), *words)
    assert (error.where, error.line) == (tmp_path / "instances.json", line)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({}, "height and width are expected as the size"),
        ({"size": [*SIZE]}, "a text or a list of whole numbers is expected as the counts"),
        ({"size": [30], "counts": [1200]}, "height and width are expected"),
        ({"size": [30.0, 40.0], "counts": [1200]}, "height and width are expected"),
        ({"size": [True, True], "counts": [1]}, "height and width are expected"),
        ({"size": ["30", "40"], "counts": [1200]}, "height and width are expected"),
        ({"size": [*SIZE], "counts": [1199]}, "sum to 30 x 40 pixels"),
        ({"size": [*SIZE], "counts": [1201]}, "sum to 30 x 40 pixels"),
        ({"size": [*SIZE], "counts": []}, "sum to 30 x 40 pixels"),
        ({"size": [*SIZE], "counts": [-5, 1205]}, "sum to 30 x 40 pixels"),
        ({"size": [*SIZE], "counts": [2**63, 2**63, 1200]}, "run lengths"),
        ({"size": [*SIZE], "counts": [10**400]}, "run lengths"),
        ({"size": [*SIZE], "counts": [1200.0]}, "whole numbers"),
        ({"size": [*SIZE], "counts": [True, 1199]}, "whole numbers"),
        ({"size": [*SIZE], "counts": ["1200"]}, "whole numbers"),
        ({"size": [*SIZE], "counts": ""}, "sum to 30 x 40 pixels"),
        ({"size": [*SIZE], "counts": "`U1!"}, "compressed run lengths are expected"),
        ({"size": [*SIZE], "counts": "`U"}, "cut short"),
        ({"size": [*SIZE], "counts": "o" * 99 + "0"}, "too long"),
        ({"size": [*SIZE], "counts": "é€"}, "run lengths"),
        ({"size": [-30, -40], "counts": [1200]}, "height and width are expected"),
        ({"size": [2**30, 2**30], "counts": [2**60]}, "height and width are expected"),
        ({"size": [10**400, 1], "counts": [10**400]}, "run lengths"),
        (
            {"size": [40, 30], "counts": [1200]},
            "run lengths of 40 x 30 pixels are expected, as its image has, got 30 x 40",
        ),
        ({"size": [2**20, 2**19], "counts": [0, 2**39]}, "as its image has, got 524288 x 1048576"),
    ],
)
def test_invalid_run_lengths_are_refused(tmp_path: Path, segmentation: Record, words: str) -> None:
    tracemalloc.start()
    error = refused(
        usual(tmp_path, document(make_object(), make_object(7, segmentation=segmentation))),
        "annotation 7: ",
        words,
    )
    assert tracemalloc.get_traced_memory()[1] < 2e6  # bytes: no array of the announced size
    tracemalloc.stop()
    assert error.where == tmp_path / "instances.json"


def test_an_absurd_size_costs_nothing_while_it_is_read(tmp_path: Path) -> None:
    segmentation = {"size": [2**20, 2**19], "counts": [5, 2**39 - 5]}
    content = document(
        make_object(bbox=None, segmentation=segmentation), images=[{"id": 1, "file_name": "a.png"}]
    )
    tracemalloc.start()
    target = read(usual(tmp_path, content))[0].target
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert target.boxes.corners.tolist() == [[0, 0, 2**19, 2**20]]
    with pytest.raises(FoveateError, match="as its image has"):
        target.shapes[0].mask(SIZE)


def test_only_utf8_is_read(tmp_path: Path) -> None:
    text = raw(BOX).replace('"cat"', '"né"')
    assert read(usual(tmp_path / "bom", b"\xef\xbb\xbf" + text.encode())).classes == ("né",)
    error = refused(
        usual(tmp_path / "latin", text.encode("latin-1")),
        "JSON in UTF-8 is expected",
        "Save the file as UTF-8",
    )
    assert error.line == 4
    refused(usual(tmp_path / "utf16", text.encode("utf-16")), "JSON in UTF-8 is expected")


def test_other_files_are_refused(tmp_path: Path) -> None:
    refused(
        lay(tmp_path / "a", {"a.txt": "x"}),
        "a JSON file with images, annotations, categories is expected, found none",
    )
    os.mkfifo(tmp_path / "instances.json")
    assert not coco.sniff(tmp_path)
    refused(tmp_path, "instances.json", "this is a folder or a device")


# --- fuzzing

GOOD = document(
    make_object(segmentation=[TRIANGLE, SQUARE], iscrowd=0),
    make_object(2, image_id=2, segmentation={"size": [*SIZE], "counts": [5, 1195]}, iscrowd=1),
    make_object(3, image_id=2, category_id=4, segmentation=runs(blobs(1), True)),
    images=[image(1, "a.png", group="g"), image(2, "b.png", time="9")],
    categories=[category(), category(4, "dog")],
)


def data_or_one_error(root: Path) -> None:
    data = read_or_refused(root, "coco")
    if data is not None:
        assert 1 <= len(data) <= 2
        assert all(note.isprintable() for note in data.notes)


@FUZZ
@given(text=other_bytes(GOOD))
def test_any_bytes_are_data_or_one_error(tmp_path: Path, text: bytes) -> None:
    data_or_one_error(usual(tmp_path, text, "a.png", "b.png"))


@settings(FUZZ, max_examples=400)
@given(text=other_values(GOOD))
def test_any_values_are_data_or_one_error(tmp_path: Path, text: str) -> None:
    data_or_one_error(usual(tmp_path, text, "a.png", "b.png"))
