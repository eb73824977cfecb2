"""COCO files as other tools write them: ids, bboxes, polygons, names, categories and folders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate.annotations import boxes_of
from foveate.data.dataset import Dataset
from foveate.formats import coco
from helpers.coco_files import (
    IMAGE,
    SQUARE,
    TRIANGLE,
    Record,
    category,
    document,
    image,
    lay,
    make_object,
    read,
    refused,
    usual,
)
from helpers.format_reading import boxes, named, skipped

# --- ids


@pytest.mark.parametrize(
    ("image_ids", "category_ids"),
    [
        ((0, 1), (0, 1)),
        ((0.0, 1.0), (0.0, 1.0)),  # from a table of floats
        (("x", "y"), ("cat", "dog")),
        ((3, 4), ("10", "11")),
    ],
)
def test_ids_are_numbers_or_texts(
    tmp_path: Path, image_ids: tuple[Any, Any], category_ids: tuple[Any, Any]
) -> None:
    objects = [make_object(i, image_ids[i], category_ids[1 - i]) for i in range(2)]
    content = document(
        *objects,
        images=[image(image_ids[0]), image(image_ids[1], "b.png")],
        categories=[category(category_ids[0]), category(category_ids[1], "dog")],
    )
    data = read(usual(tmp_path, content, "a.png", "b.png"))
    assert named(data) == {"images/a.png": ["dog"], "images/b.png": ["cat"]}
    assert (data.classes, data.notes) == (("cat", "dog"), ())


def test_numbers_as_text_are_matched_with_numbers_and_noted(tmp_path: Path) -> None:
    content = document(
        make_object(1, "1", "2"),
        make_object(2, 1, 2),
        images=[image(1)],
        categories=[category(2), category(10, "dog")],
    )
    data = read(usual(tmp_path, content))
    assert named(data) == {"images/a.png": ["cat", "cat"]}
    assert data.notes == tuple(
        f"instances.json: 1 {what}_id written as text where the {what} has a number, or the other "
        "way round"
        for what in ("category", "image")
    )


def test_categories_with_ids_as_text_are_ordered_by_number(tmp_path: Path) -> None:
    ids = [category("10", "ten"), category("9", "nine"), category("1", 1)]
    assert read(usual(tmp_path, document(categories=ids))).classes == ("1", "nine", "ten")
    ids = [category("b", "second"), category("a", "first")]
    assert read(usual(tmp_path, document(categories=ids))).classes == ("second", "first")


# --- bboxes


BOXES = [(100, 60, 240, 160), (120, 30, 260, 150), (150, 20, 280, 190), (5, 5, 40, 30)]


def wide(*bboxes: Any, **more: list[Any]) -> Record:
    """Return a file with an object a box, in one image of 300 x 200 pixels."""
    objects = [
        make_object(i, bbox=list(bbox), **{key: values[i] for key, values in more.items()})
        for i, bbox in enumerate(bboxes)
    ]
    return document(*objects, images=[image(1, width=300, height=200)])


def areas() -> list[int]:
    return [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in BOXES]


def polygons() -> list[list[list[float]]]:
    return [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in BOXES]


def sized(box: tuple[int, int, int, int]) -> list[int]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"area": areas()}, "4 of 4 areas fit only that"),
        ({"segmentation": polygons()}, "4 of 4 segmentations fit only that"),
        ({}, "otherwise 3 of 4 boxes would end far outside of the image, as corners none does"),
    ],
)
def test_corners_are_told_from_sizes_by_what_else_the_file_says(
    tmp_path: Path, more: dict[str, list[Any]], words: str
) -> None:
    data = read(usual(tmp_path / "corners", wide(*BOXES, **more)))
    assert boxes(data) == {"images/a.png": [[*map(float, box)] for box in BOXES]}
    (note,) = data.notes
    assert note.startswith("instances.json: the bboxes are read as corners (left, top, right, ")
    assert words in note
    usual_file = usual(tmp_path / "sizes", wide(*map(sized, BOXES), **more))
    data = read(usual_file)
    assert boxes(data) == {"images/a.png": [[*map(float, box)] for box in BOXES]}
    assert data.notes == ()


def test_some_wrong_boxes_among_sizes_are_left_to_the_audit(tmp_path: Path) -> None:
    bboxes = [[200, 100, 20, 10], [100, 60, 290, 190], [10, 10, 350, 250]]
    data = read(usual(tmp_path, wide(*bboxes)))
    assert boxes(data)["images/a.png"][1] == [100, 60, 390, 250]
    assert data.notes == ()


def test_bboxes_that_nothing_tells_apart_are_asked_about(tmp_path: Path) -> None:
    error = refused(
        usual(tmp_path, wide((100, 60, 250, 180), (150, 20, 280, 190))),
        "the bboxes can be read as left, top, width and height, with which 2 of 2 boxes would end",
        "or as corners (left, top, right, bottom)",
        "Add the `area` of each annotation",
    )
    assert error.where == tmp_path / "instances.json"
    mixed = [*BOXES[:2], *map(sized, BOXES[2:])]
    refused(usual(tmp_path, wide(*mixed, area=areas())), "one kind of bbox", "2 fit", "and 2 only")


def test_fractions_of_the_sides_are_read_in_pixels(tmp_path: Path) -> None:
    shares = [[x / 300, y / 200, w / 300, h / 200] for x, y, w, h in map(sized, BOXES)]
    data = read(usual(tmp_path, wide(*shares, area=areas())))
    np.testing.assert_allclose(boxes_of(data[0].target).corners, BOXES)
    assert "16 numbers is above 1" in data.notes[0]
    corners = [[x1 / 300, y1 / 200, x2 / 300, y2 / 200] for x1, y1, x2, y2 in BOXES]
    data = read(usual(tmp_path, wide(*corners, area=areas())))
    np.testing.assert_allclose(boxes_of(data[0].target).corners, BOXES)
    assert len(data.notes) == 2
    content = wide(*shares)
    del content["images"][0]["width"]
    refused(usual(tmp_path, content), "look like fractions", "Add width and height")


def test_whole_pixels_are_no_fractions(tmp_path: Path) -> None:
    data = read(usual(tmp_path, wide((0, 0, 1, 1), (1, 0, 1, 1))))
    assert boxes(data) == {"images/a.png": [[0, 0, 1, 1], [1, 0, 2, 1]]}
    assert data.notes == ()


def test_an_image_with_an_object_without_a_place_is_skipped(tmp_path: Path) -> None:
    content = document(
        make_object(1),
        make_object(2, 2, bbox=None),
        make_object(3, 2, bbox=...),
        images=[image(1), image(2, "b.png")],
    )
    data = read(usual(tmp_path, content, "a.png", "b.png"))
    assert named(data) == {"images/a.png": ["cat"]}
    assert skipped(data) == {"images/b.png": "annotation 2 has neither a bbox nor a shape"}
    assert data.notes == (
        "instances.json: 2 annotations with neither a bbox nor a shape (such as annotation 2)",
    )


def test_flags_of_other_tools_are_read_or_noted(tmp_path: Path) -> None:
    content = document(
        make_object(1, iscrowd=None, ignore=0, score=None),
        make_object(2, ignore=1),
        make_object(3, attributes={"rotation": 30.5, "occluded": False}),
        make_object(4, attributes={"rotation": 0.0}),
    )
    data = read(usual(tmp_path, content))
    target = boxes_of(data[0].target)
    assert target.difficult.tolist() == [False, True, False, False]
    assert not target.crowd.any()
    assert data.notes == (
        "instances.json: 1 annotation with a rotation, which is not read: the boxes are upright "
        "(such as annotation 3)",
        "instances.json: 1 annotation with ignore, read as difficult (such as annotation 2)",
        "instances.json: keys of annotations not read: 'attributes', 'score'",
    )


# --- polygons


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        [SQUARE[i : i + 2] for i in range(0, 8, 2)],
        [[SQUARE[i : i + 2] for i in range(0, 8, 2)]],
    ],
)
def test_a_polygon_in_other_brackets_is_read(tmp_path: Path, segmentation: Any) -> None:
    content = document(make_object(5, segmentation=segmentation))
    data = read(usual(tmp_path, content))
    (outline,) = data[0].target.shapes[0].outlines
    assert outline.ravel().tolist() == SQUARE
    (note,) = data.notes
    assert "1 annotation with a polygon that is not a list of outlines" in note
    assert "(such as annotation 5)" in note


def test_short_outlines_beside_a_polygon_are_left_out(tmp_path: Path) -> None:
    data = read(usual(tmp_path, document(make_object(segmentation=[TRIANGLE, [1, 2, 3, 4]]))))
    assert len(data[0].target.shapes[0].outlines) == 1


# --- names of images


@pytest.mark.parametrize(
    "name",
    [
        "images\\1/0a1b2c3d-{}",
        "..\\..\\label-studio\\media\\upload\\4\\0a1b2c3d-{}",
        "/data/upload/1/0a1b2c3d-{}",
        "data/local-files/?d=set%2F0a1b2c3d-{}",
        "https://app.org/storage/0a1b2c3d-{}?sig=a%2Fb",
        "C:\\Users\\x\\0a1b2c3d-{}",
        "/home/somebody/set/images/0a1b2c3d-{}",
        "0a1b2c3d-{}",
        "ffffffff-0a1b2c3d-{}",
    ],
)
@pytest.mark.parametrize("file", ["result.json", "export/labels.json", "annotations/any.json"])
def test_images_are_found_however_a_tool_writes_their_names(
    tmp_path: Path, name: str, file: str
) -> None:
    names = [f"shot%20{i}.png" if "%" in name else f"shot {i}.png" for i in range(3)]
    content = document(
        *(make_object(i, i) for i in range(3)),
        images=[image(i, name.format(one)) for i, one in enumerate(names)],
    )
    lay(tmp_path, {f"images/0a1b2c3d-shot {i}.png": IMAGE for i in range(3)})
    lay(tmp_path, {file: content})
    data = read(tmp_path)
    assert named(data) == {f"images/0a1b2c3d-shot {i}.png": ["cat"] for i in range(3)}
    assert data.skipped == ()
    assert len(data.notes) == (name != "0a1b2c3d-{}")
    assert all("3 images " in note for note in data.notes)


def test_a_full_path_that_still_holds_needs_no_note(tmp_path: Path) -> None:
    content = document(make_object(), images=[image(1, f"{tmp_path}/images/a.png")])
    for path in (usual(tmp_path, content), tmp_path / "instances.json"):
        data = read(path)
        assert named(data) == {"images/a.png": ["cat"]}
        assert data.notes == ()


def test_full_paths_do_not_mix_splits_up(tmp_path: Path) -> None:
    """The last parts are the same in both splits, and one image of valid is missing."""
    for split, count in (("train", 3), ("valid", 2)):
        images = [image(i, f"/home/x/{i}.png") for i in range(3)]
        lay(tmp_path, {f"annotations/{split}.json": document(make_object(1, 0), images=images)})
        lay(tmp_path, {f"{split}/{i}.png": IMAGE for i in range(count)})
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        f"{split}/{i}.png": split for split, n in (("train", 3), ("valid", 2)) for i in range(n)
    }
    (reason,) = skipped(data).values()
    assert "train/2.png has its name, but lies in another folder" in reason


@pytest.mark.parametrize("name", ["{}.png", "/home/x/{}.png", "C:\\set\\{}.png"])
def test_images_of_the_same_names_in_two_folders_are_asked_about(tmp_path: Path, name: str) -> None:
    content = document(make_object(1, 0), images=[image(i, name.format(i)) for i in range(2)])
    lay(tmp_path, {"x.json": content})
    lay(tmp_path, {f"{folder}/{i}.png": IMAGE for folder in ("left", "right") for i in range(2)})
    error = refused(tmp_path, "left/ and right/ both have images of these names", "file_name")
    assert error.where == tmp_path / "x.json"
    lay(tmp_path, {f"images/{i}.png": IMAGE for i in range(2)})  # named like images
    assert set(named(read(tmp_path))) == {"images/0.png", "images/1.png"}
    lay(tmp_path, {f"{i}.png": IMAGE for i in range(2)})  # beside the file
    assert set(named(read(tmp_path))) == {"0.png", "1.png"}


def test_if_no_image_is_found_the_error_shows_what_is_written_and_what_is_there(
    tmp_path: Path,
) -> None:
    content = document(make_object(), images=[image(1, "/home/x/gone.png")])
    refused(
        usual(tmp_path, content, "b.png"),
        "found none that can be used (1 skipped; home/x/gone.png: there is no such file)",
        "written: '/home/x/gone.png'",
        "below the folder 1 image lies, such as images/b.png",
    )


# --- splits


def test_splits_in_the_paths_of_all_images_are_honoured(tmp_path: Path) -> None:
    names = ["train/0.png", "train/1.png", "val/2.png", "test/3.png"]
    content = document(make_object(1, 0), images=[image(i, name) for i, name in enumerate(names)])
    lay(tmp_path, {"labels.json": content, **dict.fromkeys(names, IMAGE)})
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == dict(
        zip(names, ["train", "train", "valid", "test"], strict=True)
    )
    assert data.notes == (
        "the splits are those of the folders in the paths: train/ (2), val/ (1), test/ (1)",
    )


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        ("annotations/train.json", "annotations/dev.json"),
        ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
        ("train.json", "eval.json"),
        ("train/_annotations.coco.json", "valid/_annotations.coco.json"),
        ("training/labels.json", "evaluation/labels.json"),
        ("train/annotations/x.json", "dev/annotations/x.json"),
        ("coco/train_set.json", "coco/valid_set.json"),
    ],
)
@pytest.mark.parametrize("place", ["{}/{}.png", "images/{}/{}.png", "{}2017/{}.png"])
def test_annotation_files_lie_anywhere_and_tell_the_split(
    tmp_path: Path, train: str, dev: str, place: str
) -> None:
    for file, word in ((train, "train"), (dev, "val")):
        content = document(make_object(1, 0), images=[image(i, f"{i}.png") for i in range(2)])
        lay(tmp_path, {file: content})
        lay(tmp_path, {place.format(word, i): IMAGE for i in range(2)})
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        place.format(word, i): split
        for (word, split), i in itertools.product((("train", "train"), ("val", "valid")), range(2))
    }


def test_nearer_annotation_files_count_and_others_are_noted(tmp_path: Path) -> None:
    content = document(make_object())
    lay(tmp_path, {"labels.json": content, "old/labels.json": content, "images/a.png": IMAGE})
    assert read(tmp_path).notes == (
        "other JSON files, not read: old/labels.json (give one itself to read it)",
    )
    lay(tmp_path / "b", {"train/x.json": content, "backup/x.json": content, "train/a.png": IMAGE})
    data = read(tmp_path / "b")
    assert [sample.id for sample in data] == ["train/a.png"]
    assert "backup/x.json" in data.notes[0]


def test_two_files_for_one_image_are_asked_about(tmp_path: Path) -> None:
    content = document(make_object())
    lay(tmp_path, {"one.json": content, "two.json": content, "images/a.png": IMAGE})
    refused(tmp_path, "'images/a.png' has another one in one.json", "the one file that is meant")
    assert len(read(tmp_path / "two.json")) == 1


def test_exports_of_one_project_are_read_together_those_of_two_are_not(tmp_path: Path) -> None:
    for name in ("batch 1", "batch 2"):
        lay(tmp_path, {f"{name}/annotations/x.json": document(make_object())})
        lay(tmp_path, {f"{name}/images/a.png": IMAGE})
    assert set(named(read(tmp_path))) == {"batch 1/images/a.png", "batch 2/images/a.png"}
    other = document(make_object(), categories=[category(1, "car")])
    lay(tmp_path, {"batch 2/annotations/x.json": other})
    refused(tmp_path, "one dataset is expected", "different categories", "Give one of the folders")


def test_what_would_be_read_is_described(tmp_path: Path) -> None:
    files = {f"annotations/{word}.json": document(make_object()) for word in ("train", "val")}
    assert coco.describe(lay(tmp_path, files)) == "objects of COCO, from train.json, val.json"


# --- categories


def roboflow(*objects: Record) -> Record:
    names = [("cells", "none"), ("red", "cells"), ("white", "cells")]
    return document(
        *objects,
        categories=[
            {"id": i, "name": name, "supercategory": parent}
            for i, (name, parent) in enumerate(names)
        ],
    )


def test_the_umbrella_category_of_roboflow_is_no_class(tmp_path: Path) -> None:
    def both(*categories: int) -> Dataset[Any]:
        for split, number in zip(("train", "valid"), categories, strict=True):
            content = roboflow(make_object(1, category_id=number))
            lay(tmp_path, {f"{split}/_annotations.coco.json": content, f"{split}/a.png": IMAGE})
        return read(tmp_path)

    data = both(2, 1)
    assert data.classes == ("red", "white")
    assert named(data) == {"train/a.png": ["white"], "valid/a.png": ["red"]}
    assert "the category 'cells' is not read as a class" in data.notes[0]
    data = both(2, 0)  # an object has it
    assert data.classes == ("cells", "red", "white")
    assert named(data) == {"train/a.png": ["white"], "valid/a.png": ["cells"]}
    assert data.notes == ()
