"""LabelMe files: shapes that are objects, recognition, and writing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Boxes, Instances, Polygon, RunLengths
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import labelme
from foveate.ops import rle
from helpers.format_reading import boxes, named
from helpers.labelme_files import (
    HEIGHT,
    IMAGE,
    SIZE,
    SQUARE,
    TRIANGLE,
    WIDTH,
    Record,
    box,
    lay,
    page,
    read,
    refused,
    shape,
    usual,
)


def outlines(data: Dataset[Any], row: int = 0) -> list[list[Any] | None]:
    """Return the outlines of each object in an image, None for a plain box."""
    return [
        one and [outline.tolist() for outline in one.outlines] for one in data[row].target.shapes
    ]


# --- shapes


def test_polygons_and_rectangles_are_objects(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape(), box(label="ant"))))
    assert (data.task, data.classes, data.name) == ("instance", ("ant", "cat"), tmp_path.name)
    assert (data.notes, data.skipped, data[0].split, data[0].target.boxes.size) == (
        (),
        (),
        None,
        SIZE,
    )
    assert outlines(data) == [[TRIANGLE], None]
    assert boxes(data) == {"a.png": [[2, 3, 20.5, 25], [1, 2, 11, 22]]}
    assert named(data) == {"a.png": ["cat", "ant"]}
    assert data[0].source.read().shape == (HEIGHT, WIDTH, 1)


def test_rectangles_alone_make_a_detection_dataset(tmp_path: Path) -> None:
    corners = [[5, 6], [9, 6], [9, 8], [5, 8]]
    backwards = box(11, 22, 1, 2)
    data = read(
        usual(tmp_path, page(box(), backwards, shape("rectangle", corners), box(-5, 0, 99, 30)))
    )
    assert data.task == "detection"
    assert isinstance(data[0].target, Boxes)
    assert boxes(data) == {"a.png": [[1, 2, 11, 22], [1, 2, 11, 22], [5, 6, 9, 8], [-5, 0, 99, 30]]}


def test_a_circle_becomes_a_polygon(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape("circle", [[20, 15], [23, 19]]))))
    (circle,) = data[0].target.shapes
    assert np.allclose(np.hypot(*(circle.outlines[0] - [20, 15]).T), 5)
    assert np.allclose(boxes(data)["a.png"], [[15, 10, 25, 20]])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = np.hypot(x - 20, y - 15)
    mask = circle.mask(SIZE)
    assert mask[distance < 4.4].all()  # the disk, except for pixels on its edge
    assert not mask[distance > 5.6].any()
    assert data.notes == ("circles, read as polygons of 64 corners: 1",)


def test_a_shape_without_a_type_is_a_polygon_as_in_old_files(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(shape(..., group_id=..., flags=...), version=..., flags=...)))
    assert outlines(data) == [[TRIANGLE]]


def test_other_shapes_are_left_out_and_noted(tmp_path: Path) -> None:
    shape_types = ["point", "line", "linestrip", "points", "mask", "line", "rotation", "x" * 5000]
    left_out = [
        shape(shape_type, [[1, 2]], label="never", mask="iVBOR") for shape_type in shape_types
    ]
    data = read(
        usual(tmp_path, page(*left_out, shape(), shape(points=TRIANGLE[:2]), shape(points=[])))
    )
    assert data.classes == ("cat",)
    assert outlines(data) == [[TRIANGLE]]
    assert "polygons with fewer than three corners, left out: 2" in data.notes
    for shape_type, count in {
        "point": 1,
        "line": 2,
        "linestrip": 1,
        "points": 1,
        "mask": 1,
        "rotation": 1,
    }.items():
        assert f"shapes of type {shape_type!r}, left out: {count}" in data.notes
    assert len(data.notes) == 8
    assert max(map(len, data.notes)) < 100  # even for the type of 5,000 letters


def test_shapes_with_one_label_and_group_are_one_object(tmp_path: Path) -> None:
    shapes = [
        shape(group_id=1),
        shape(points=SQUARE),
        shape(points=SQUARE, group_id=1),
        shape(points=SQUARE, group_id=1, label="ant"),  # another class, another object
        shape(points=SQUARE, group_id=2),
        shape(points=SQUARE, group_id="1"),
        shape(points=SQUARE),
        shape("circle", [[9, 9], [9, 12]], group_id=2),
    ]
    data = read(
        lay(
            usual(tmp_path, page(*shapes)),
            {"b.json": page(shape(group_id=1), path="b.png"), "b.png": IMAGE},
        )
    )
    first, *others = outlines(data)
    assert first == [TRIANGLE, SQUARE]
    assert [len(each or []) for each in others] == [1, 1, 2, 1, 1]
    assert named(data)["a.png"] == ["cat", "cat", "ant", "cat", "cat", "cat"]
    assert boxes(data)["a.png"][0] == [2, 3, 35, 25]
    assert outlines(data, 1) == [[TRIANGLE]]  # groups do not span images


def test_rectangles_are_never_merged(tmp_path: Path) -> None:
    data = read(
        usual(tmp_path, page(box(group_id=1), box(5, 5, 9, 9, group_id=1), shape(group_id=1)))
    )
    assert boxes(data)["a.png"] == [[1, 2, 11, 22], [5, 5, 9, 9], [2, 3, 20.5, 25]]
    assert data.notes == ("rectangles with a group_id, which is not read: 2",)


def test_flags_of_shapes_are_read(tmp_path: Path) -> None:
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
    assert data[0].target.boxes.crowd.tolist() == [True, False, False, True, False]
    assert data[0].target.boxes.difficult.tolist() == [False, True, False, False, True]
    assert data.notes == (
        "descriptions of shapes, not read: 1",
        "flags of images, not read: 1",
        "flags of shapes, not read: 1",
    )


def test_images_without_shapes_are_samples(tmp_path: Path) -> None:
    data = read(lay(usual(tmp_path, page(box())), {"b.json": page(path="b.png"), "b.png": IMAGE}))
    assert named(data) == {"a.png": ["cat"], "b.png": []}
    refused(usual(tmp_path / "none", page()), "objects with a label are expected, found none")
    lay(tmp_path / "none", {"classes.txt": "cat\n"})
    assert named(read(tmp_path / "none")) == {"a.png": []}


@pytest.mark.parametrize(
    "size",
    [
        {},
        {"imageHeight": 30},
        {"imageHeight": None, "imageWidth": None},
        {"imageHeight": 0, "imageWidth": 40},
    ],
)
def test_unknown_sizes_are_none(tmp_path: Path, size: Record) -> None:
    content = page(box(), **{"imageHeight": ..., "imageWidth": ..., **size})
    assert read(usual(tmp_path, content))[0].target.size is None


def test_a_wrong_size_is_left_to_the_audit(tmp_path: Path) -> None:
    assert read(usual(tmp_path, page(box(), imageHeight=300, imageWidth=400.0)))[0].target.size == (
        300,
        400,
    )


def test_classes_are_sorted_or_as_in_classes_txt(tmp_path: Path) -> None:
    usual(
        tmp_path, page(box(label="zebra"), box(label="ant"), box(label="Owl"), box(label="zebra"))
    )
    assert read(tmp_path).classes == ("Owl", "ant", "zebra")
    assert named(read(tmp_path)) == {"a.png": ["zebra", "ant", "Owl", "zebra"]}
    lay(tmp_path, {"classes.txt": "zebra\nunicorn\nant\nOwl\n"})
    assert read(tmp_path).classes == ("zebra", "unicorn", "ant", "Owl")
    assert named(read(tmp_path)) == {"a.png": ["zebra", "ant", "Owl", "zebra"]}
    lay(tmp_path, {"classes.txt": "zebra\nant\n"})
    assert (
        refused(tmp_path, "a name for each class is expected, 'Owl' is missing").where
        == tmp_path / "classes.txt"
    )
    assert "Classes sorted by name, or as in classes.txt" in (labelme.read.__doc__ or "")


# --- recognition


def test_only_labelme_is_recognised(tmp_path: Path) -> None:
    assert not labelme.sniff(
        lay(tmp_path / "a", {"a.json": {"shapes": []}, "b.json": "[]", "c.txt": "shapes imagePath"})
    )
    assert not labelme.sniff(tmp_path / "a" / "a.json")
    roots = (
        usual(tmp_path / "b", page(shape())),
        lay(tmp_path / "c", {"train/a.json": page(box()), "train/a.png": IMAGE}),
        lay(
            tmp_path / "d",
            {
                "cat/a.json": page(box()),
                "dog/a.json": page(box()),
                "cat/a.png": IMAGE,
                "dog/a.png": IMAGE,
            },
        ),
    )
    for root in roots:
        assert [name for name, format in formats.all().items() if format.sniff(root)] == ["labelme"]


def test_other_json_files_are_skipped(tmp_path: Path) -> None:
    for number in range(19):
        lay(tmp_path, {f"{number:02}.json": {"x": number}})
    assert len(read(usual(tmp_path, page(shape()))).skipped) == 19
    lay(tmp_path, {"19.json": {"x": 19}})
    assert not labelme.sniff(tmp_path)  # sniffing opens only so many files
    assert len(formats.read(tmp_path, "labelme")) == 1


def test_a_thousand_files_are_read_in_seconds(tmp_path: Path) -> None:
    content = page(*[shape()] * 20)
    for number in range(1000):
        lay(
            tmp_path,
            {f"{number}.json": {**content, "imagePath": f"{number}.png"}, f"{number}.png": IMAGE},
        )
    begun = time.perf_counter()
    assert sum(len(sample.target) for sample in formats.read(tmp_path, "labelme")) == 20_000
    assert time.perf_counter() - begun < 4


# --- writing


def made(
    target: Boxes | Instances, classes: tuple[str, ...] = ("cat",), **given: Any
) -> Dataset[Any]:
    sample = Sample("s/a", ArraySource(np.zeros((1, *SIZE, 1), np.uint8), 0), target, **given)
    return Dataset(
        "made", "instance" if isinstance(target, Instances) else "detection", classes, [sample]
    )


def test_files_are_written_like_labelme(tmp_path: Path) -> None:
    pieces = Polygon((np.array(TRIANGLE), np.array(SQUARE)))
    corners = np.array([pieces.bounds(), (1, 2, 3, 4)])
    target = Instances(
        Boxes(corners, np.array([1, 0]), crowd=np.array([True, False]), size=SIZE), [pieces, None]
    )
    labelme.write(made(target, ("ant", "cat"), time="9"), tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "images" / "s-a.json").read_text()) == page(
        shape(group_id=1, flags={"crowd": True}),
        shape(points=SQUARE, group_id=1, flags={"crowd": True}),
        box(1, 2, 3, 4, label="ant"),
        path="s-a.png",
        version="5.0.0",
        time="9",
    )


def test_unsupported_content_is_named(tmp_path: Path) -> None:
    corners = np.array([[1.0, 2, 9, 11]])
    row = np.array([0])
    runs = RunLengths(rle.encode(np.ones(SIZE, bool)), SIZE)
    for dataset, words in (
        (
            made(Instances(Boxes(corners, row), [runs])),
            "1 sample with masks instead of polygons (such as 's/a')",
        ),
        (
            made(Instances(Boxes(corners, row), [Polygon((np.array(TRIANGLE),))])),
            "not the bounds of their polygons",
        ),
        (made(Boxes(corners[:, [2, 3, 0, 1]], row)), "inverted boxes"),
        (made(Boxes(corners, row, scores=np.array([0.5]))), "with scores"),
        (made(Boxes(corners, row), ("b\n", "a")), "the class name 'b\\n'"),
    ):
        with pytest.raises(DataError, match="cannot store") as caught:
            labelme.write(dataset, tmp_path / "copy")
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []
