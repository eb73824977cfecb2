"""COCO files: objects, ids, recognition, and speed with many objects."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.formats import coco
from foveate.ops import rle
from helpers.coco_files import (
    HEIGHT,
    IMAGE,
    SIZE,
    SQUARE,
    TRIANGLE,
    WIDTH,
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
from helpers.format_reading import boxes, named

# --- objects


def test_a_bbox_is_a_corner_and_a_size(tmp_path: Path) -> None:
    data = read(
        usual(tmp_path, document(make_object(), make_object(2, bbox=[0.25, 0, 39.75, 30.0])))
    )
    assert boxes(data) == {"images/a.png": [[1, 2, 11, 22], [0.25, 0, 40, 30]]}
    assert (data.task, data.name, data.origin, data.notes) == (
        "detection",
        tmp_path.name,
        tmp_path,
        (),
    )
    assert (data.classes, data.skipped, data[0].split) == (("cat",), (), None)
    assert (data[0].target.size, data[0].source.read().shape) == (SIZE, (HEIGHT, WIDTH, 1))


def test_polygons_have_one_or_several_outlines(tmp_path: Path) -> None:
    data = read(
        usual(
            tmp_path,
            document(
                make_object(segmentation=[TRIANGLE]),
                make_object(2, segmentation=[TRIANGLE, SQUARE]),
            ),
        )
    )
    assert data.task == "instance"
    one, two = data[0].target.shapes
    assert [outline.ravel().tolist() for outline in one.outlines] == [TRIANGLE]
    assert [outline.ravel().tolist() for outline in two.outlines] == [TRIANGLE, SQUARE]
    assert (
        boxes(data)["images/a.png"] == [[1, 2, 11, 22]] * 2
    )  # as stored, not the bounds of the polygons


def test_run_lengths_and_crowds_are_read(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 5:30] = True
    counts = rle.encode(mask)
    plain, packed = (
        {"size": [*SIZE], "counts": counts.tolist()},
        {"size": [*SIZE], "counts": rle.to_coco_string(counts)},
    )
    instances = [
        make_object(1, segmentation=plain, iscrowd=1),
        make_object(2, segmentation=packed, iscrowd=0),
        make_object(3),
    ]
    target = read(usual(tmp_path, document(*instances)))[0].target
    assert all(np.array_equal(shape.mask(SIZE), mask) for shape in target.shapes[:2])
    assert target.shapes[2] is None
    assert target.boxes.crowd.tolist() == [True, False, False]


def test_a_missing_bbox_is_the_bounds_of_the_shape(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 5:30] = True
    runs = {"size": [*SIZE], "counts": rle.to_coco_string(rle.encode(mask))}
    instances = [
        make_object(7, bbox=..., segmentation=[SQUARE]),
        make_object(8, bbox=[], segmentation=runs),
        make_object(9),
    ]
    data = read(usual(tmp_path, document(*instances)))
    assert boxes(data)["images/a.png"] == [[25, 5, 35, 15], [5, 3, 30, 9], [1, 2, 11, 22]]
    (note,) = data.notes
    assert note.startswith("instances.json: 2 annotations without a bbox")
    assert "annotation 7" in note


def test_outlines_of_two_corners_are_left_out(tmp_path: Path) -> None:
    instances = [
        make_object(5, segmentation=[[1, 2, 3, 4], TRIANGLE]),
        make_object(6, segmentation=[[], [1, 2, 3, 4]]),
    ]
    data = read(usual(tmp_path, document(*instances)))
    assert [shape and len(shape.outlines) for shape in data[0].target.shapes] == [1, None]
    (note,) = data.notes
    assert (
        "3 outlines with fewer than three corners, left out (such as one of annotation 5)" in note
    )
    refused(
        usual(tmp_path, document(make_object(4, bbox=None, segmentation=[[1, 2, 3, 4]]))),
        "annotation 4",
        "an area",
    )


def test_wrong_boxes_are_left_to_the_audit(tmp_path: Path) -> None:
    data = read(
        usual(
            tmp_path,
            document(make_object(bbox=[9, 9, -4, -5]), make_object(2, bbox=[-5, 0, 900, 0])),
        )
    )
    assert boxes(data)["images/a.png"] == [[9, 9, 5, 4], [-5, 0, 895, 0]]


def test_images_without_annotations_are_samples(tmp_path: Path) -> None:
    images = [image(1, "a.png"), image(2, "b.png")]
    data = read(usual(tmp_path, document(make_object(image_id=2), images=images), "a.png", "b.png"))
    assert named(data) == {"images/a.png": [], "images/b.png": ["cat"]}
    data = read(usual(tmp_path, document(images=images)))
    assert (data.task, named(data)) == ("detection", {"images/a.png": [], "images/b.png": []})


# --- ids


@pytest.mark.parametrize(
    "ids", [(0, 1, 2), (1, 2, 3), (1, 4, 90), (-3, 0, 10**30)], ids=["0", "1", "gaps", "far"]
)
def test_classes_are_in_the_order_of_category_ids(tmp_path: Path, ids: tuple[int, ...]) -> None:
    first, middle, last = ids
    categories = [category(last, "ant"), category(first, "zebra"), category(middle, "owl")]
    instances = [make_object(id, category_id=id) for id in (middle, first, last, first)]
    data = read(usual(tmp_path, document(*instances, categories=categories)))
    assert data.classes == ("zebra", "owl", "ant")
    assert named(data) == {"images/a.png": ["owl", "zebra", "ant", "zebra"]}


@pytest.mark.parametrize("ids", [(0, 1), (1, 2), (900, 17), ("b", "a"), (2, "2")], ids=str)
def test_annotations_are_matched_by_image_id(tmp_path: Path, ids: tuple[object, object]) -> None:
    images = [image(ids[0], "a.png"), image(ids[1], "b.png")]
    instances = [
        make_object(0, ids[1], bbox=[0, 0, 1, 1]),
        make_object(0, ids[0]),
        make_object(5, ids[1], bbox=[0, 0, 2, 2]),
    ]
    data = read(usual(tmp_path, document(*instances, images=images), "a.png", "b.png"))
    assert boxes(data) == {
        "images/a.png": [[1, 2, 11, 22]],
        "images/b.png": [[0, 0, 1, 1], [0, 0, 2, 2]],
    }
    (note,) = data.notes
    assert (
        "1 annotation id used more than once (such as 0); each of these annotations is read" in note
    )


def test_classes_of_several_files_are_merged_by_name(tmp_path: Path) -> None:
    train = document(
        make_object(),
        make_object(2, category_id=3),
        categories=[category(3, "owl"), category(1, "cat")],
    )
    valid = document(
        make_object(),
        make_object(2, category_id=2),
        categories=[category(1, "owl"), category(2, "cat"), category(0, "ant")],
    )
    data = read(
        lay(
            tmp_path,
            {
                "train/_annotations.coco.json": train,
                "valid/_annotations.coco.json": valid,
                "train/a.png": IMAGE,
                "valid/a.png": IMAGE,
            },
        )
    )
    assert data.classes == ("cat", "owl", "ant")
    assert named(data) == {"train/a.png": ["cat", "owl"], "valid/a.png": ["owl", "cat"]}
    (note,) = data.notes
    assert note == "_annotations.coco.json has categories that earlier files lack; all are used"


def test_the_order_of_classes_is_documented() -> None:
    assert "Classes in the order of category ids" in (coco.read.__doc__ or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"images": [image(), image(1, "b.png")]},
            ["one image record per id is expected, 1 has two"],
        ),
        (
            {"images": [image(), image(2, "./a.png")]},
            ["one image record per image is expected", "'images/a.png'"],
        ),
        (
            {"categories": [category(), category(1, "dog")]},
            ["each category is expected once, found the id 1"],
        ),
        (
            {"categories": [category(), category(2)]},
            ["each category is expected once, found 'cat'"],
        ),
        (
            {"annotations": [make_object(7, image_id=2)]},
            ["annotation 7: the image_id of a listed image", "got 2"],
        ),
        (
            {"annotations": [make_object(7, image_id="1x")]},
            ["annotation 7: the image_id", "got '1x'"],
        ),
        (
            {"annotations": [make_object(7, image_id=1.5)]},
            ["annotation 7: the image_id", "got 1.5"],
        ),
        (
            {"annotations": [make_object(7, image_id=True)]},
            ["annotation 7: the image_id", "got True"],
        ),
        (
            {"annotations": [make_object(7, image_id=None)]},
            ["annotation 7: the image_id", "got None"],
        ),
        (
            {"annotations": [make_object(7, image_id=[1])]},
            ["annotation 7: the image_id", "got [1]"],
        ),
        (
            {"annotations": [make_object(7, category_id=0)]},
            ["annotation 7: the category_id of a listed category", "got 0"],
        ),
        (
            {"annotations": [make_object(7, category_id=True)]},
            ["annotation 7: the category_id", "got True"],
        ),
        (
            {"annotations": [make_object(7, category_id=...)]},
            ["annotation 7: the category_id", "got None"],
        ),
        ({"annotations": [make_object(...)]}, []),
        (
            {"annotations": [make_object(None, category_id={})]},
            ["annotation None: the category_id", "got {}"],
        ),
    ],
)
def test_unknown_and_repeated_ids_are_refused(
    tmp_path: Path, changes: Record, words: list[str]
) -> None:
    path = usual(tmp_path, {**document(make_object()), **changes}, "a.png", "b.png")
    if words:
        assert refused(path, *words).where == tmp_path / "instances.json"
    else:
        assert len(read(path)[0].target) == 1  # an annotation needs no id


# --- recognition


def test_only_coco_is_recognised(tmp_path: Path) -> None:
    for content in ({"images": [], "annotations": []}, [document()], {"shapes": []}):
        file = lay(tmp_path, {"x.json": json.dumps(content)}) / "x.json"
        assert not coco.sniff(file)
        assert not coco.sniff(tmp_path)
    for path in (
        usual(tmp_path / "a", document(make_object())),
        lay(tmp_path / "b", {"train/x.json": document(make_object())}),
    ):
        assert [name for name, format in formats.all().items() if format.sniff(path)] == ["coco"]


def test_one_file_per_image_is_not_coco(tmp_path: Path) -> None:
    for number in range(21):
        lay(tmp_path, {f"{number}.json": document(make_object()), f"{number}.png": IMAGE})
    assert not coco.sniff(tmp_path)
    refused(tmp_path, "found none")


@pytest.mark.parametrize(
    "start", [b'{"images": ', b'{"a": "', b"[", b"\0"], ids=["keys", "text", "list", "zeros"]
)
def test_a_huge_file_of_another_format_is_sniffed_quickly(tmp_path: Path, start: bytes) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.write(start)
        file.truncate(50_000_000)  # sparse, read as zeros
    tracemalloc.start()
    begun = time.process_time()
    assert not coco.sniff(tmp_path)
    assert time.process_time() - begun < 1
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


# --- speed


def many(count: int) -> Iterator[str]:
    """Yield the text of a file with `count` objects, ten per image, half of them polygons.

    The objects of an image are far apart. The left side of each box is its number.
    """
    yield '{"categories": [{"id": 1, "name": "cat"}], "images": ['
    yield ",".join(
        f'{{"id": {i}, "file_name": "{i}.png", "width": 40, "height": 30}}'
        for i in range(count // 10)
    )
    yield '], "annotations": ['
    outline = ", ".join(f"{i}.25" for i in range(40))
    for i in range(count):
        shape = f', "segmentation": [[{outline}]]' if i % 2 else ""
        ids = f'"id": {i}, "image_id": {i % (count // 10)}, "category_id": 1'
        yield f'{"," if i else ""}{{{ids}, "bbox": [{i}, 2.5, 3, 4]{shape}}}'
    yield "]}"


def test_a_hundred_thousand_objects_are_read_in_seconds(tmp_path: Path) -> None:
    from foveate.formats.coco.records import parse

    text = "".join(many(100_000))
    lay(tmp_path, {"instances.json": text})
    begun = time.process_time()
    content = parse(tmp_path / "instances.json", {}, None)
    assert time.process_time() - begun < 4  # takes a quarter of it on an idle machine
    records = content.records
    assert (len(records), sum(len(record.boxes) for record in records)) == (10_000, 100_000)
    assert content.notes == []
    assert records[7].boxes.corners[:, 0].tolist() == list(
        range(7, 100_000, 10_000)
    )  # in the file's order
    assert [shape is not None for shape in records[7].shapes] == [True] * 10
    del records, content
    lay(tmp_path, {"instances.json": "".join(many(10_000))})
    tracemalloc.start()
    records = parse(tmp_path / "instances.json", {}, None).records
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000 * 1000  # bytes
    assert peak < 10_000 * 2000  # never all objects at once
    assert len(records) == 1000


def test_many_classes_and_many_ids_are_read_quickly(tmp_path: Path) -> None:
    categories = [category(i, f"c{i}") for i in range(50_000)]
    begun = time.process_time()
    assert (
        len(read(usual(tmp_path, document(make_object(), categories=categories))).classes) == 50_000
    )
    keys = "".join(f'"{i}": 0, ' for i in range(50_000))
    refused(usual(tmp_path, f'{{"info": {{{keys} "7": 1}}}}'), "found '7' twice")
    assert time.process_time() - begun < 4
