"""LabelMe files: shapes that are objects, recognition, and writing."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
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
    packed,
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


def test_shapes_without_an_area_are_left_out_and_noted(tmp_path: Path) -> None:
    shape_types = ["point", "line", "linestrip", "points", "line"]
    left_out = [shape(shape_type, [[1, 2]], label="never") for shape_type in shape_types]
    data = read(
        usual(tmp_path, page(*left_out, shape(), shape(points=TRIANGLE[:2]), shape(points=[])))
    )
    assert data.classes == ("cat",)
    assert outlines(data) == [[TRIANGLE]]
    assert data.notes == (
        "polygons with fewer than three corners, left out: 2",
        "shapes of type 'line', left out: 2",
        "shapes of type 'linestrip', left out: 1",
        "shapes of type 'point', left out: 1",
        "shapes of type 'points', left out: 1",
    )


@pytest.mark.parametrize("shape_type", ["ellipse", "cuboid", "x" * 5000])
def test_unknown_shapes_are_asked_about(tmp_path: Path, shape_type: str) -> None:
    """An object that is left out would become background."""
    content = page(shape(), shape(shape_type, SQUARE))
    error = refused(
        usual(tmp_path, content), "is expected as shape_type of shape 2", "as a polygon"
    )
    assert error.where == tmp_path / "a.json"
    assert len(error.message) < 250


# --- masks


def mask(pixels: object, left: float, top: float, **more: object) -> Record:
    """Return a mask as LabelMe's AI tools write it: its points are the first and last pixel."""
    array = np.asarray(pixels, np.uint8)
    height, width = array.shape
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, "PNG")
    points = [[left, top], [left + width - 1, top + height - 1]]
    return {**shape("mask", points), "mask": packed(buffer.getvalue()), **more}


RING = np.ones((6, 9), np.uint8)
RING[2:4, 3:6] = 0


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_placed_at_its_box(tmp_path: Path, value: int) -> None:
    data = read(usual(tmp_path, page(mask(RING * value, 20, 11), box())))
    assert data.task == "instance"
    one, none = data[0].target.shapes
    expected = np.zeros(SIZE, bool)
    expected[11:17, 20:29] = RING
    assert isinstance(one, RunLengths)
    np.testing.assert_array_equal(one.mask(SIZE), expected)
    assert none is None
    assert boxes(data) == {"a.png": [[20, 11, 29, 17], [1, 2, 11, 22]]}
    assert data.notes == ()


def test_a_mask_is_clipped_to_the_image(tmp_path: Path) -> None:
    data = read(usual(tmp_path, page(mask(RING, -4, 27), mask(RING, 90, 90), box())))
    expected = np.zeros(SIZE, bool)
    expected[27:30, :5] = RING[:3, 4:]
    np.testing.assert_array_equal(data[0].target.shapes[0].mask(SIZE), expected)
    assert len(data[0].target) == 2
    assert data.notes == ("masks without a pixel in the image, left out: 1",)


def test_masks_and_polygons_of_one_group_are_one_object(tmp_path: Path) -> None:
    shapes = [mask(RING, 1, 1, group_id=1), shape(points=SQUARE, group_id=1), mask(RING, 3, 3)]
    data = read(usual(tmp_path, page(*shapes, mask(RING, 5, 1, group_id=1))))
    first, second = data[0].target.shapes
    expected = Polygon((np.array(SQUARE),)).mask(SIZE)
    expected[1:7, 1:10] |= RING == 1
    expected[1:7, 5:14] |= RING == 1
    np.testing.assert_array_equal(first.mask(SIZE), expected)
    assert second.mask(SIZE).sum() == RING.sum()


@pytest.mark.parametrize("inside", [False, True])
def test_the_size_for_a_mask_is_measured_where_the_file_lacks_it(
    tmp_path: Path, inside: bool
) -> None:
    content = page(mask(RING, 1, 1), imageHeight=..., imageWidth=...)
    if inside:
        lay(tmp_path, {"a.json": {**content, "imageData": packed(IMAGE)}})
    else:
        usual(tmp_path, content)
    assert read(tmp_path)[0].target.shapes[0].size == SIZE
    lay(tmp_path, {"a.png": b"no image", "a.json": content})
    refused(tmp_path, "an image is expected, to place a mask in it")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (mask(RING, 1, 1, mask=5), "an image in base64 is expected as mask of shape 2"),
        (mask(RING, 1, 1, mask=None), "an image in base64 is expected as mask of shape 2"),
        (mask(RING, 1, 1, mask="iVBOR"), "an image in base64 is expected as mask of shape 2"),
        (mask(RING, 1, 1, mask=packed(IMAGE)), "a mask of 9 x 6 pixels is expected"),
        (mask(RING, 1, 1, points=[[1, 1]]), "two opposite corners are expected as points"),
        (mask(RING, 1, 1, points=[[9, 9], [1, 1]]), "pixels is expected"),
    ],
)
def test_wrong_masks_are_refused(tmp_path: Path, wrong: Record, words: str) -> None:
    assert refused(usual(tmp_path, page(shape(), wrong)), words).where == tmp_path / "a.json"


def test_a_forged_size_costs_no_memory(tmp_path: Path) -> None:
    huge = {"imageHeight": 10**9, "imageWidth": 10**9}
    refused(usual(tmp_path, page(mask(RING, 1, 1), **huge)), "an image of at most 500,000,000")
    large = {"imageHeight": 20_000, "imageWidth": 20_000}
    data = read(usual(tmp_path, page(mask(RING, 1, 1), **large)))
    assert boxes(data) == {"a.png": [[1, 1, 10, 7]]}


# --- X-AnyLabeling


@pytest.mark.parametrize("shape_type", ["rotation", "oriented_rectangle", "quadrilateral"])
def test_shapes_of_four_corners_are_polygons(tmp_path: Path, shape_type: str) -> None:
    turned = shape(shape_type, SQUARE, direction=0.3)
    data = read(usual(tmp_path, page(turned)))
    assert outlines(data) == [[SQUARE]]
    noted = "rotated rectangles, read as polygons of four corners: 1"
    assert data.notes == (() if shape_type == "quadrilateral" else (noted,))
    refused(usual(tmp_path / "b", page(shape(shape_type, TRIANGLE))), "four corners are expected")


def test_the_fields_of_x_anylabeling(tmp_path: Path) -> None:
    about = {"score": None, "difficult": True, "attributes": {}, "kie_linking": []}
    shapes = [
        box(**about),
        box(**{**about, "difficult": False, "score": 0.5, "attributes": {"colour": "red"}}),
    ]
    data = read(usual(tmp_path, page(*shapes, version="2.4.4", text="", description="")))
    assert data[0].target.difficult.tolist() == [True, False]
    assert data.notes == (
        "attributes of shapes, not read: 1",
        "scores of shapes, not read: they look like predictions: 1",
    )


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
    flagged = page(shape("point", [[1, 2]]), flags={"night": True})
    refused(
        usual(tmp_path / "flags", flagged),
        "flags of images, not read: 1",
        "type 'point', left out: 1",
    )
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
    begun = time.process_time()
    assert sum(len(sample.target) for sample in formats.read(tmp_path, "labelme")) == 20_000
    assert time.process_time() - begun < 4


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


def test_masks_survive_a_round_trip(tmp_path: Path) -> None:
    pixels = np.zeros(SIZE, bool)
    pixels[11:17, 20:29] = RING
    pixels[29, 39] = True
    mask = RunLengths(rle.encode(pixels), SIZE)
    corners = np.array([[20.0, 11, 40, 30], [1, 2, 3, 4]])
    target = Instances(Boxes(corners, np.array([0, 1]), size=SIZE), [mask, None])
    labelme.write(made(target, ("ant", "cat")), tmp_path / "copy")
    data = read(tmp_path / "copy")
    back, none = data[0].target.shapes
    np.testing.assert_array_equal(back.mask(SIZE), pixels)
    assert none is None
    assert boxes(data) == {"images/s-a.png": corners.tolist()}


def test_unsupported_content_is_named(tmp_path: Path) -> None:
    corners = np.array([[1.0, 2, 9, 11]])
    row = np.array([0])
    runs = RunLengths(rle.encode(np.ones(SIZE, bool)), SIZE)
    empty = RunLengths(rle.encode(np.zeros(SIZE, bool)), SIZE)
    for dataset, words in (
        (
            made(Instances(Boxes(corners, row), [runs])),
            "1 sample with boxes that are not the bounds of their polygons or masks",
        ),
        (
            made(Instances(Boxes(np.array([[0.0, 0, 40, 30]]), row, size=(60, 80)), [runs])),
            "1 sample with masks of another size than the image's (such as 's/a')",
        ),
        (
            made(Instances(Boxes(np.zeros((1, 4)), row), [empty])),
            "1 sample with boxes that are not the bounds",
        ),
        (
            made(Instances(Boxes(corners, row), [Polygon((np.array(TRIANGLE),))])),
            "not the bounds of their polygons or masks",
        ),
        (made(Boxes(corners[:, [2, 3, 0, 1]], row)), "inverted boxes"),
        (made(Boxes(corners, row, scores=np.array([0.5]))), "with scores"),
        (made(Boxes(corners, row), ("b\n", "a")), "the class name 'b\\n'"),
    ):
        with pytest.raises(DataError, match="cannot store") as caught:
            labelme.write(dataset, tmp_path / "copy")
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []
