"""LabelMe files as people have them: which shapes are things, which picture is meant, what is left out and told."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import boxes, named, refusing, skipped

from foveate.annotations import Boxes, Instances, Polygon, RunLengths, boxes_of
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import labelme
from foveate.errors import BadPicture, DataError
from foveate.ops import rle

Record = dict[str, Any]
HEIGHT, WIDTH = SIZE = (30, 40)
TRIANGLE = [[2.0, 3.0], [20.5, 3.0], [8.0, 25.0]]
SQUARE = [[25.0, 5.0], [35.0, 5.0], [35.0, 15.0], [25.0, 15.0]]


def png(grey: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (WIDTH, HEIGHT), grey).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()


def shape(kind: str | None = "polygon", points: object = TRIANGLE, label: object = "cat", **more: object) -> Record:
    """A shape. A key of the value `...` is left out."""
    record = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}
    return {key: value for key, value in record.items() if value is not ...}


def box(*corners: float, label: str = "cat", **more: object) -> Record:
    left, top, right, bottom = corners or (1, 2, 11, 22)
    return shape("rectangle", [[left, top], [right, bottom]], label, **more)


def page(*shapes: Record, path: object = "a.png", **more: object) -> Record:
    """What LabelMe 5 writes."""
    about = {"version": "5.0.1", "flags": {}, "shapes": list(shapes), "imagePath": path, "imageData": None}
    record = {**about, "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}
    return {key: value for key, value in record.items() if value is not ...}


def lay(root: Path, files: dict[str, Record | str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content, indent=2)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, content: Record | str | bytes) -> Path:
    """A set of one picture."""
    return lay(root, {"a.json": content, "a.png": PICTURE})


def read(path: Path) -> Dataset[Any]:
    data = formats.read(path)
    assert data.format == "labelme"
    return data


def outlines(data: Dataset[Any], row: int = 0) -> list[list[Any] | None]:
    """The outlines of each thing in a picture, None where there is only a box."""
    return [one and [outline.tolist() for outline in one.outlines] for one in data[row].truth.shapes]


refused = refusing("labelme")


# --- which shapes are things ------------------------------------------------------------------------------------------


def test_a_polygon_is_a_thing_and_so_is_a_rectangle(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape(), box(label="ant"))))
    assert (data.task, data.classes, data.name) == ("instance", ("ant", "cat"), tmp_path.name)
    assert (data.notes, data.skipped, data[0].part, data[0].truth.boxes.size) == ((), (), None, SIZE)
    assert outlines(data) == [[TRIANGLE], None]
    assert boxes(data) == {"a.png": [[2, 3, 20.5, 25], [1, 2, 11, 22]]}
    assert named(data) == {"a.png": ["cat", "ant"]}
    assert data[0].source.read().shape == (HEIGHT, WIDTH, 1)


def test_rectangles_alone_are_for_detection(tmp_path: Path) -> None:
    corners = [[5, 6], [9, 6], [9, 8], [5, 8]]
    backwards = box(11, 22, 1, 2)
    data = read(usual(tmp_path, page(box(), backwards, shape("rectangle", corners), box(-5, 0, 99, 30))))
    assert data.task == "detection"
    assert isinstance(data[0].truth, Boxes)
    assert boxes(data) == {"a.png": [[1, 2, 11, 22], [1, 2, 11, 22], [5, 6, 9, 8], [-5, 0, 99, 30]]}


def test_a_circle_is_a_polygon(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape("circle", [[20, 15], [23, 19]]))))
    (circle,) = data[0].truth.shapes
    assert np.allclose(np.hypot(*(circle.outlines[0] - [20, 15]).T), 5)
    assert np.allclose(boxes(data)["a.png"], [[15, 10, 25, 20]])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = np.hypot(x - 20, y - 15)
    mask = circle.mask(SIZE)
    assert mask[distance < 4.4].all()  # but for the pixels on the line, it is the disk
    assert not mask[distance > 5.6].any()
    assert data.notes == ("circles that are read as polygons of 64 corners: 1",)


def test_a_shape_without_a_kind_is_a_polygon_as_in_old_files(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape(..., group_id=..., flags=...), version=..., flags=...)))
    assert outlines(data) == [[TRIANGLE]]


def test_what_is_no_region_is_left_out_and_told(tmp_path: Path) -> None:
    kinds = ["point", "line", "linestrip", "points", "mask", "line", "rotation", "x" * 5000]
    left_out = [shape(kind, [[1, 2]], label="never", mask="iVBOR") for kind in kinds]
    data = read(usual(tmp_path, page(*left_out, shape(), shape(points=TRIANGLE[:2]), shape(points=[]))))
    assert data.classes == ("cat",)
    assert outlines(data) == [[TRIANGLE]]
    assert "polygons of fewer than three corners that are left out: 2" in data.notes
    for kind, count in {"point": 1, "line": 2, "linestrip": 1, "points": 1, "mask": 1, "rotation": 1}.items():
        assert f"shapes of the kind {kind!r} that are left out: {count}" in data.notes
    assert len(data.notes) == 8
    assert max(map(len, data.notes)) < 100  # of the kind of 5,000 letters as well


def test_pieces_of_one_label_and_group_are_one_thing(tmp_path: Path) -> None:
    shapes = [
        shape(group_id=1),
        shape(points=SQUARE),
        shape(points=SQUARE, group_id=1),
        shape(points=SQUARE, group_id=1, label="ant"),  # what is of another class is another thing
        shape(points=SQUARE, group_id=2),
        shape(points=SQUARE, group_id="1"),
        shape(points=SQUARE),
        shape("circle", [[9, 9], [9, 12]], group_id=2),
    ]
    data = read(
        lay(usual(tmp_path, page(*shapes)), {"b.json": page(shape(group_id=1), path="b.png"), "b.png": PICTURE})
    )
    first, *others = outlines(data)
    assert first == [TRIANGLE, SQUARE]
    assert [len(each or []) for each in others] == [1, 1, 2, 1, 1]
    assert named(data)["a.png"] == ["cat", "cat", "ant", "cat", "cat", "cat"]
    assert boxes(data)["a.png"][0] == [2, 3, 35, 25]
    assert outlines(data, 1) == [[TRIANGLE]]  # a group is one of its picture


def test_rectangles_have_no_pieces(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(box(group_id=1), box(5, 5, 9, 9, group_id=1), shape(group_id=1))))
    assert boxes(data)["a.png"] == [[1, 2, 11, 22], [5, 5, 9, 9], [2, 3, 20.5, 25]]
    assert data.notes == ("rectangles with a group_id, which is not read: 2",)


def test_flags_of_shapes(tmp_path: Path) -> None:
    shapes = [
        shape(flags={"crowd": True, "difficult": False}),
        box(flags={"difficult": True, "blurred": True, "tall": False}, description="by the door"),
        shape(flags=None),
        shape(group_id=3, description=""),
        shape(group_id=3, flags={"crowd": True}),
        shape(group_id=4, flags={"difficult": True}),
        shape(group_id=4),
    ]
    data = read(usual(tmp_path, page(*shapes, flags={"night": True, "day": False})))
    assert data[0].truth.boxes.crowd.tolist() == [True, False, False, True, False]
    assert data[0].truth.boxes.difficult.tolist() == [False, True, False, False, True]
    assert data.notes == (
        "descriptions of shapes that are not read: 1",
        "flags of pictures that are not read: 1",
        "flags of shapes that are not read: 1",
    )


def test_pictures_on_which_nothing_was_drawn_are_samples(tmp_path: Path) -> None:
    data = read(lay(usual(tmp_path, page(box())), {"b.json": page(path="b.png"), "b.png": PICTURE}))
    assert named(data) == {"a.png": ["cat"], "b.png": []}
    refused(usual(tmp_path / "none", page()), "things with a label are expected, found none")
    lay(tmp_path / "none", {"classes.txt": "cat\n"})
    assert named(read(tmp_path / "none")) == {"a.png": []}


@pytest.mark.parametrize(
    "size", [{}, {"imageHeight": 30}, {"imageHeight": None, "imageWidth": None}, {"imageHeight": 0, "imageWidth": 40}]
)
def test_sizes_that_nobody_knows(tmp_path: Path, size: Record) -> None:
    content = page(box(), **{"imageHeight": ..., "imageWidth": ..., **size})
    assert read(usual(tmp_path, content))[0].truth.size is None


def test_a_wrong_size_is_kept_for_the_audit(tmp_path: Path) -> None:
    assert read(usual(tmp_path, page(box(), imageHeight=300, imageWidth=400.0)))[0].truth.size == (300, 400)


def test_the_order_of_classes(tmp_path: Path) -> None:
    usual(tmp_path, page(box(label="zebra"), box(label="ant"), box(label="Owl"), box(label="zebra")))
    assert read(tmp_path).classes == ("Owl", "ant", "zebra")
    assert named(read(tmp_path)) == {"a.png": ["zebra", "ant", "Owl", "zebra"]}
    lay(tmp_path, {"classes.txt": "zebra\nunicorn\nant\nOwl\n"})
    assert read(tmp_path).classes == ("zebra", "unicorn", "ant", "Owl")
    assert named(read(tmp_path)) == {"a.png": ["zebra", "ant", "Owl", "zebra"]}
    lay(tmp_path, {"classes.txt": "zebra\nant\n"})
    assert refused(tmp_path, "a name for each class is expected, 'Owl' is missing").where == tmp_path / "classes.txt"
    assert "Classes sorted by name, or as in classes.txt" in (labelme.read.__doc__ or "")


# --- which pictures, in which part ------------------------------------------------------------------------------------


def test_folders_may_say_the_part(tmp_path: Path) -> None:
    for folder in ("train", "Val/deep", "test/images"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    data = read(tmp_path)
    assert {sample.id: sample.part for sample in data} == {
        "train/a.png": "train",
        "Val/deep/a.png": "valid",
        "test/images/a.png": "test",
    }
    assert (data.skipped, data.notes) == ((), ())


def test_where_not_all_folders_are_parts_none_is(tmp_path: Path) -> None:
    for folder in ("train", "harbour", "test"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    data = read(tmp_path)
    assert [(sample.id, sample.part) for sample in data] == [
        ("harbour/a.png", None),
        ("test/a.png", None),
        ("train/a.png", None),
    ]
    assert data.notes == ("not taken for parts, as not all folders are some: test, train (beside harbour)",)
    for folder in ("one", "two"):
        lay(tmp_path / "others", {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    assert (len(read(tmp_path / "others")), read(tmp_path / "others").notes) == (2, ())


@pytest.mark.parametrize(
    "path", ["../images/a.png", "..\\images\\a.png", "./../images//a.png", "../json/../images/a.png"]
)
def test_pictures_in_a_folder_beside(tmp_path: Path, path: str) -> None:
    data = read(lay(tmp_path, {"json/a.json": page(shape(), path=path), "images/a.png": PICTURE}))
    assert [sample.id for sample in data] == ["images/a.png"]
    assert data.skipped == ()


@pytest.mark.parametrize(
    "path", ["../secret.png", "..\\secret.png", "/etc/x.png", "C:\\x.png", "x/../../secret.png", "", ".", "a\0", "\ud800", None, 5]
)  # fmt: skip
def test_what_is_no_path_within_the_data_is_refused(tmp_path: Path, path: object) -> None:
    lay(tmp_path, {"secret.png": PICTURE})
    error = refused(usual(tmp_path / "set", page(shape(), path=path)), " is expected")
    assert error.where == tmp_path / "set" / "a.json"


def test_a_link_is_followed_and_a_folder_read_once(tmp_path: Path) -> None:
    usual(tmp_path / "set" / "in", page(shape()))
    usual(tmp_path / "elsewhere", page(shape()))
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "up").symlink_to(tmp_path)
    (tmp_path / "set" / "same").symlink_to(tmp_path / "set" / "in")
    data = formats.read(tmp_path / "set", "labelme")
    assert [sample.id for sample in data] == ["in/a.png", "link/a.png"]
    assert skipped(data) == dict.fromkeys(("circle/", "up/", "same/"), "a link to a folder that is read already")


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, page(shape())),
        {
            "alone.png": PICTURE,
            "gone.json": page(shape(label="ghost"), path="gone.png"),
            "empty.json": page(shape(), path="empty.png"),
            "empty.png": b"",
            "long.json": page(shape(), path="x" * 300),
            "other.json": {"images": []},
            "list.json": "[1, 2]",
            "notes.txt": "x",
            ".hidden.json": "x",
            "sub/classes.txt": "x",
        },
    )
    odd = os.fsdecode(b"\xff")
    lay(tmp_path, {f"{odd}.json": "", f"{odd}.png": PICTURE})
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["a.png"]
    assert data.classes == ("cat",)
    assert skipped(data) == {
        "alone.png": "no JSON file says what is in it",
        "gone.png": "there is no such file",
        "empty.png": "the file is empty (0 bytes)",
        "x" * 300: "the file cannot be opened (File name too long)",
        "other.json": "JSON of another kind: it has no shapes",
        "list.json": "JSON of another kind: it has no shapes",
        "notes.txt": "neither a picture nor a JSON file",
        "sub/classes.txt": "neither a picture nor a JSON file",
        "\\udcff.json": "the name is expected to be valid UTF-8, this one is not",
        "\\udcff.png": "the name is expected to be valid UTF-8, this one is not",
    }


def test_two_files_of_one_picture_are_refused(tmp_path: Path) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(box(), path="./a.png")})
    error = refused(tmp_path, "one file a picture is expected, 'a.png' has a.json too")
    assert error.where == tmp_path / "b.json"


def test_groups_and_times(tmp_path: Path) -> None:
    lay(usual(tmp_path, page(shape(), group="p 1", time=9)), {"b.json": page(shape(), path="b.png"), "b.png": PICTURE})
    assert [(sample.group, sample.time) for sample in read(tmp_path)] == [("p 1", "9"), (None, None)]


# --- the picture within the file --------------------------------------------------------------------------------------


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_the_picture_within_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "a.json": page(shape(), imageData=packed(png(9))),
            "a.png": PICTURE,
            "b.json": page(shape(), path="photos\\b.png", imageData=packed(png(7))),
            "c.json": page(shape(), path="c.png", imageData=packed(png(5))),
            "c.png": b"",
        },
    )
    data = read(tmp_path)
    assert {sample.id: int(sample.source.read().max()) for sample in data} == {
        "a.png": 0,
        "photos/b.png": 7,
        "c.png": 5,
    }
    assert data.notes == ("pictures that are not there and are taken from their JSON file: 2",)
    assert data.skipped == ()
    assert data[1].source.examine()[0].shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    "inner", ["", "!!!", "é", "AAA", packed(b"no picture"), packed(PICTURE[:40]), packed(PICTURE)[:-40]]
)
def test_what_is_no_picture_within_is_a_bad_picture(tmp_path: Path, inner: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=inner)}))
    with pytest.raises(BadPicture) as caught:
        data[0].source.read()
    assert caught.value.where == tmp_path / "a.json"


@pytest.mark.parametrize("content", ["[]", "{}", '{"imageData": null}', '{"imageData": 5}', "{", ""])
def test_a_file_that_was_changed_since_is_a_bad_picture(tmp_path: Path, content: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=packed(PICTURE))}))
    lay(tmp_path, {"a.json": content})
    with pytest.raises(BadPicture, match="a picture in base64 is expected as imageData"):
        data[0].source.read()
    (tmp_path / "a.json").unlink()
    with pytest.raises(BadPicture, match="there is no such file"):
        data[0].source.read()


@pytest.mark.parametrize("inner", [None, 5, [], ...])
def test_what_is_neither_there_nor_within_is_skipped(tmp_path: Path, inner: object) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(shape(), path="b.png", imageData=inner)})
    assert skipped(read(tmp_path)) == {"b.png": "there is no such file"}


# --- files that are damaged, or lie -----------------------------------------------------------------------------------

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
        (GOOD_TEXT.replace('"flags"', '"shapes"'), None, ["each key of an object is expected once, 'shapes'"]),
        ('{"shapes": ' + "[" * 100_000, None, ["nested too deep"]),
        (GOOD_TEXT.replace("cat", "né").encode("latin-1"), 6, ["JSON in UTF-8 is expected"]),
        (GOOD_TEXT.encode("utf-16"), 1, ["JSON in UTF-8 is expected"]),
    ],
)  # fmt: skip
def test_damaged_files_are_named_with_the_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: list[str]
) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": text, "b.png": PICTURE})
    error = refused(tmp_path, *words)
    assert (error.where, error.line) == (tmp_path / "b.json", line)


POINTS = "a list of x and y, numbers that a picture can have, is expected as points of shape 2"


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
        (shape("rectangle", [[1, 2]]), "two opposite corners are expected as points of shape 2, a rectangle"),
        (shape("rectangle", []), "two opposite corners are expected"),
        (shape("rectangle", [[1, 2], [3, 4], [5, 6]]), "two opposite corners are expected"),
        (shape("rectangle", [[1, 2], [3, 2], [4, 5], [1, 5]]), "two opposite corners are expected"),
        (shape("circle", [[1, 2]]), "the middle and a point on the line are expected as points of shape 2, a circle"),
        (shape("circle", TRIANGLE), "the middle and a point on the line are expected"),
        (shape(None), "a text is expected as shape_type of shape 2, got None"),
        (shape(label=None), "a text is expected as label of shape 2, got None"),
        (shape(label=5), "a text is expected as label of shape 2, got 5"),
        (shape(label="\ud800"), "a text is expected as label of shape 2"),
        (shape(label=...), "a text is expected as label of shape 2"),
        (shape(group_id=1.5), "a number or nothing is expected as group_id of shape 2"),
        (shape(group_id=True), "a number or nothing is expected as group_id of shape 2"),
        (shape(group_id=[]), "a number or nothing is expected as group_id of shape 2"),
        ("cat", "an object is expected as shape 2"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_named(tmp_path: Path, wrong: Any, words: str) -> None:
    text = json.dumps(page(shape(), wrong)).replace("Infinity", "1e999")
    assert refused(usual(tmp_path, text), words).where == tmp_path / "a.json"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": {}}, "a list is expected as shapes"),
        ({"shapes": None}, "a list is expected as shapes"),
        ({"imageHeight": -3}, "a whole number of pixels is expected as imageHeight of the picture, got -3"),
        ({"imageWidth": 2.5}, "imageWidth of the picture, got 2.5"),
        ({"imageWidth": "40"}, "imageWidth of the picture, got '40'"),
        ({"imageWidth": True}, "imageWidth of the picture, got True"),
        ({"imageWidth": 10**30}, "imageWidth of the picture"),
        ({"group": []}, "a text is expected as group of the picture"),
        ({"time": 1.5}, "a text is expected as time of the picture"),
    ],
)  # fmt: skip
def test_wrong_pages_are_named(tmp_path: Path, changes: Record, words: str) -> None:
    assert refused(usual(tmp_path, {**page(shape()), **changes}), words).where == tmp_path / "a.json"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert read(usual(tmp_path, b"\xef\xbb\xbf" + GOOD_TEXT.replace("cat", "né").encode())).classes == ("né",)


def test_files_that_are_none(tmp_path: Path) -> None:
    refused(
        lay(tmp_path / "x", {"a.txt": "x"}), "pictures with a LabelMe file are expected, found none (1 skipped; a.txt:"
    )
    refused(usual(tmp_path / "y", page(shape())) / "a.json", "this is a file", "Give its folder")
    os.mkfifo(tmp_path / "y" / "pipe.json")
    refused(tmp_path / "y", "pipe.json", "this is a folder or a device")


# --- recognising it ---------------------------------------------------------------------------------------------------


def test_only_labelme_is_recognised(tmp_path: Path) -> None:
    assert not labelme.sniff(
        lay(tmp_path / "a", {"a.json": {"shapes": []}, "b.json": "[]", "c.txt": "shapes imagePath"})
    )
    assert not labelme.sniff(tmp_path / "a" / "a.json")
    roots = (
        usual(tmp_path / "b", page(shape())),
        lay(tmp_path / "c", {"train/a.json": page(box()), "train/a.png": PICTURE}),
        lay(
            tmp_path / "d",
            {"cat/a.json": page(box()), "dog/a.json": page(box()), "cat/a.png": PICTURE, "dog/a.png": PICTURE},
        ),
    )
    for root in roots:
        assert [name for name, format in formats.all().items() if format.sniff(root)] == ["labelme"]


def test_foreign_json_beside_is_passed_over(tmp_path: Path) -> None:
    for number in range(19):
        lay(tmp_path, {f"{number:02}.json": {"x": number}})
    assert len(read(usual(tmp_path, page(shape()))).skipped) == 19
    lay(tmp_path, {"19.json": {"x": 19}})
    assert not labelme.sniff(tmp_path)  # a guess looks at so many and no more
    assert len(formats.read(tmp_path, "labelme")) == 1


def test_a_thousand_files_are_read_in_seconds(tmp_path: Path) -> None:
    content = page(*[shape()] * 20)
    for number in range(1000):
        lay(tmp_path, {f"{number}.json": {**content, "imagePath": f"{number}.png"}, f"{number}.png": PICTURE})
    begun = time.perf_counter()
    assert sum(len(sample.truth) for sample in formats.read(tmp_path, "labelme")) == 20_000
    assert time.perf_counter() - begun < 4


# --- writing ----------------------------------------------------------------------------------------------------------


def made(truth: Boxes | Instances, classes: tuple[str, ...] = ("cat",), **given: Any) -> Dataset[Any]:
    sample = Sample("s/a", ArraySource(np.zeros((1, *SIZE, 1), np.uint8), 0), truth, **given)
    return Dataset("made", "instance" if isinstance(truth, Instances) else "detection", classes, [sample])


def test_what_is_written_is_what_labelme_writes(tmp_path: Path) -> None:
    pieces = Polygon((np.array(TRIANGLE), np.array(SQUARE)))
    corners = np.array([pieces.bounds(), (1, 2, 3, 4)])
    truth = Instances(Boxes(corners, np.array([1, 0]), crowd=np.array([True, False]), size=SIZE), [pieces, None])
    labelme.write(made(truth, ("ant", "cat"), time="9"), tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "images" / "s-a.json").read_text()) == page(
        shape(group_id=1, flags={"crowd": True}),
        shape(points=SQUARE, group_id=1, flags={"crowd": True}),
        box(1, 2, 3, 4, label="ant"),
        path="s-a.png",
        version="5.0.0",
        time="9",
    )


def test_what_cannot_be_held_is_named(tmp_path: Path) -> None:
    corners = np.array([[1.0, 2, 9, 11]])
    row = np.array([0])
    runs = RunLengths(rle.encode(np.ones(SIZE, bool)), SIZE)
    for dataset, words in (
        (made(Instances(Boxes(corners, row), [runs])), "1 samples with masks that are no outlines (such as 's/a')"),
        (made(Instances(Boxes(corners, row), [Polygon((np.array(TRIANGLE),))])), "not the bounds of their outlines"),
        (made(Boxes(corners[:, [2, 3, 0, 1]], row)), "boxes turned inside out"),
        (made(Boxes(corners, row, scores=np.array([0.5]))), "with scores"),
        (made(Boxes(corners, row), ("b\n", "a")), "the class name 'b\\n'"),
    ):
        with pytest.raises(DataError, match="cannot hold") as caught:
            labelme.write(dataset, tmp_path / "copy")
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# --- any file is data or one error ------------------------------------------------------------------------------------

GOOD = page(
    shape(group_id=1, flags={"crowd": True}),
    shape(points=SQUARE, group_id=1),
    box(label="dog"),
    shape("circle", [[9, 9], [9, 12]]),
    shape("point", [[1, 2]]),
    imageData=packed(PICTURE),
    group="g",
)
TEXT = json.dumps(GOOD, indent=1).encode()


def data_or_one_error(root: Path, content: str | bytes) -> None:
    """The picture may be taken from the file itself or lie beside it."""
    lay(root, {"a.json": content, "b.json": page(box(), path="b.png"), "b.png": PICTURE})
    blamed = None
    try:
        data = formats.read(root, "labelme")
    except DataError as error:
        blamed = error
    if blamed is not None:
        assert str(root) in str(blamed.where)
        assert len(str(blamed)) < 3000
        return
    assert len(data) + len(data.skipped) == 2
    for sample in data:
        truth = boxes_of(sample.truth)
        assert np.isfinite(truth.corners).all()
        assert all(0 <= k < len(data.classes) for k in truth.classes)
        try:
            assert sample.source.read().dtype == np.uint8
        except BadPicture:
            continue


PIECES = st.sampled_from(
    [b"NaN", b"1e999", b"-", b'"', b"[", b"{", b"]", b"}", b",", b"\\u", b"\xff", b"\0", b"null", b"true", b"AAAA"]
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(TEXT)), st.integers(0, 40), PIECES | st.binary(max_size=4)), min_size=1, max_size=4
    )
)
def test_any_bytes_are_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, bytes]]) -> None:
    text = TEXT
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    data_or_one_error(tmp_path, text)


ODD = st.sampled_from(
    [
        2**31,
        2**63,
        10**400,
        -1,
        1e308,
        True,
        "",
        "\ud800",
        "b.png",
        "../a.png",
        "a\0",
        "polygon",
        "mask",
        [],
        {},
        [[]],
        [None],
    ]
)
VALUES = st.recursive(
    ODD | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["label", "points", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(the list or object, its index or key) of all that is within a value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []:
        yield value, key
        yield from places(value[key])


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=3))
def test_any_values_are_data_or_one_error(tmp_path: Path, changes: list[tuple[int, Any]]) -> None:
    content = copy.deepcopy(GOOD)
    for where, value in changes:
        all_places = list(places(content))
        inside, key = all_places[where % len(all_places)]
        inside[key] = copy.deepcopy(value)  # hypothesis gives the same list again
    data_or_one_error(tmp_path, json.dumps(content).replace("Infinity", "1e999"))
