"""COCO files as people have them: what is a thing, which picture is meant, what is refused; as pycocotools sees it."""

from __future__ import annotations

import copy
import io
import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as oracle
from pycocotools.coco import COCO
from reading import boxes, named, refusing, skipped

from foveate.annotations import Boxes, Instances, Polygon, RunLengths, boxes_of
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import coco
from foveate.errors import DataError, FoveateError
from foveate.ops import rle

Record = dict[str, Any]
HEIGHT, WIDTH = SIZE = (30, 40)
TRIANGLE = [2.0, 3.0, 20.5, 3.0, 8.0, 25.0]
SQUARE = [25.0, 5.0, 35.0, 5.0, 35.0, 15.0, 25.0, 15.0]


def png() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (WIDTH, HEIGHT)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()


def image(id: object = 1, name: str = "a.png", **more: object) -> Record:
    return {"id": id, "file_name": name, "width": WIDTH, "height": HEIGHT, **more}


def thing(id: object = 1, image_id: object = 1, category_id: object = 1, **more: object) -> Record:
    """An annotation. A key of the value `...` is left out."""
    record = {"id": id, "image_id": image_id, "category_id": category_id, "bbox": [1, 2, 10, 20], **more}
    return {key: value for key, value in record.items() if value is not ...}


def category(id: object = 1, name: object = "cat") -> Record:
    return {"id": id, "name": name, "supercategory": "animal"}


def document(
    *annotations: Record, images: list[Record] | None = None, categories: list[Record] | None = None
) -> Record:
    return {
        "info": {"year": 2017},
        "images": [image()] if images is None else images,
        "annotations": list(annotations),
        "categories": [category()] if categories is None else categories,
    }


def lay(root: Path, files: dict[str, Record | str | bytes]) -> Path:
    """Files with these contents; JSON with a record a line, as COCO's are not, so that lines can be told."""
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content).replace('{"id"', '\n{"id"')
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, content: Record | str | bytes, *pictures: str) -> Path:
    """A set of one file with these contents, and pictures."""
    lay(root, {f"images/{name}": PICTURE for name in pictures or ("a.png",)})
    return lay(root, {"instances.json": content})


def read(path: Path, format: str | None = None) -> Dataset[Any]:
    """As the user would: what is read is recognised, unless the format is given."""
    data = formats.read(path, format)
    assert data.format == "coco"
    return data


refused = refusing("coco")


# --- what a thing is ----------------------------------------------------------------------------------------------


def test_a_box_is_a_corner_and_its_size(tmp_path: Path) -> None:
    data = read(usual(tmp_path, document(thing(), thing(2, bbox=[0.25, 0, 39.75, 30.0]))))
    assert boxes(data) == {"images/a.png": [[1, 2, 11, 22], [0.25, 0, 40, 30]]}
    assert (data.task, data.name, data.origin, data.notes) == ("detection", tmp_path.name, tmp_path, ())
    assert (data.classes, data.skipped, data[0].part) == (("cat",), (), None)
    assert (data[0].truth.size, data[0].source.read().shape) == (SIZE, (HEIGHT, WIDTH, 1))


def test_outlines_of_one_and_of_several_pieces(tmp_path: Path) -> None:
    data = read(usual(tmp_path, document(thing(segmentation=[TRIANGLE]), thing(2, segmentation=[TRIANGLE, SQUARE]))))
    assert data.task == "instance"
    one, two = data[0].truth.shapes
    assert [outline.ravel().tolist() for outline in one.outlines] == [TRIANGLE]
    assert [outline.ravel().tolist() for outline in two.outlines] == [TRIANGLE, SQUARE]
    assert boxes(data)["images/a.png"] == [[1, 2, 11, 22]] * 2  # as they were drawn, not as the outlines have them


def test_run_lengths_and_crowds(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 5:30] = True
    counts = rle.encode(mask)
    plain, packed = {"size": [*SIZE], "counts": counts.tolist()}, {"size": [*SIZE], "counts": rle.to_text(counts)}
    things = [thing(1, segmentation=plain, iscrowd=1), thing(2, segmentation=packed, iscrowd=0), thing(3)]
    truth = read(usual(tmp_path, document(*things)))[0].truth
    assert all(np.array_equal(shape.mask(SIZE), mask) for shape in truth.shapes[:2])
    assert truth.shapes[2] is None
    assert truth.boxes.crowd.tolist() == [True, False, False]


def test_what_has_no_box_takes_the_bounds_of_its_shape(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 5:30] = True
    runs = {"size": [*SIZE], "counts": rle.to_text(rle.encode(mask))}
    things = [thing(7, bbox=..., segmentation=[SQUARE]), thing(8, bbox=[], segmentation=runs), thing(9)]
    data = read(usual(tmp_path, document(*things)))
    assert boxes(data)["images/a.png"] == [[25, 5, 35, 15], [5, 3, 30, 9], [1, 2, 11, 22]]
    (note,) = data.notes
    assert note.startswith("instances.json: 2 annotations have no bbox")
    assert "annotation 7" in note


def test_lines_have_no_inside(tmp_path: Path) -> None:
    things = [thing(5, segmentation=[[1, 2, 3, 4], TRIANGLE]), thing(6, segmentation=[[], [1, 2, 3, 4]])]
    data = read(usual(tmp_path, document(*things)))
    assert [shape and len(shape.outlines) for shape in data[0].truth.shapes] == [1, None]
    (note,) = data.notes
    assert "3 outlines of fewer than three corners are left out (such as one of annotation 5)" in note
    refused(usual(tmp_path, document(thing(4, bbox=None, segmentation=[[1, 2, 3, 4]]))), "annotation 4", "an inside")


def test_wrong_boxes_are_kept_for_the_audit(tmp_path: Path) -> None:
    data = read(usual(tmp_path, document(thing(bbox=[9, 9, -4, -5]), thing(2, bbox=[-5, 0, 900, 0]))))
    assert boxes(data)["images/a.png"] == [[9, 9, 5, 4], [-5, 0, 895, 0]]


def test_pictures_without_annotations_are_samples(tmp_path: Path) -> None:
    images = [image(1, "a.png"), image(2, "b.png")]
    data = read(usual(tmp_path, document(thing(image_id=2), images=images), "a.png", "b.png"))
    assert named(data) == {"images/a.png": [], "images/b.png": ["cat"]}
    data = read(usual(tmp_path, document(images=images)))
    assert (data.task, named(data)) == ("detection", {"images/a.png": [], "images/b.png": []})


# --- ids are names, not indices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [(0, 1, 2), (1, 2, 3), (1, 4, 90), (-3, 0, 10**30)], ids=["0", "1", "gaps", "far"])
def test_classes_are_in_the_order_of_their_ids(tmp_path: Path, ids: tuple[int, ...]) -> None:
    first, middle, last = ids
    categories = [category(last, "ant"), category(first, "zebra"), category(middle, "owl")]
    things = [thing(id, category_id=id) for id in (middle, first, last, first)]
    data = read(usual(tmp_path, document(*things, categories=categories)))
    assert data.classes == ("zebra", "owl", "ant")
    assert named(data) == {"images/a.png": ["owl", "zebra", "ant", "zebra"]}


@pytest.mark.parametrize("ids", [(0, 1), (1, 2), (900, 17), ("b", "a"), (2, "2")], ids=str)
def test_annotations_find_their_picture(tmp_path: Path, ids: tuple[object, object]) -> None:
    images = [image(ids[0], "a.png"), image(ids[1], "b.png")]
    things = [thing(0, ids[1], bbox=[0, 0, 1, 1]), thing(0, ids[0]), thing(5, ids[1], bbox=[0, 0, 2, 2])]
    data = read(usual(tmp_path, document(*things, images=images), "a.png", "b.png"))
    assert boxes(data) == {"images/a.png": [[1, 2, 11, 22]], "images/b.png": [[0, 0, 1, 1], [0, 0, 2, 2]]}
    (note,) = data.notes
    assert "1 ids of annotations are there more than once (such as 0); each of these annotations is read" in note


def test_classes_of_several_files_are_told_by_name(tmp_path: Path) -> None:
    train = document(thing(), thing(2, category_id=3), categories=[category(3, "owl"), category(1, "cat")])
    valid = document(
        thing(), thing(2, category_id=2), categories=[category(1, "owl"), category(2, "cat"), category(0, "ant")]
    )
    data = read(lay(tmp_path, {"train/_annotations.coco.json": train, "valid/_annotations.coco.json": valid,
                               "train/a.png": PICTURE, "valid/a.png": PICTURE}))  # fmt: skip
    assert data.classes == ("cat", "owl", "ant")
    assert named(data) == {"train/a.png": ["cat", "owl"], "valid/a.png": ["owl", "cat"]}
    (note,) = data.notes
    assert note == "_annotations.coco.json has categories that the files before it lack; all are taken together"


def test_the_order_of_classes_is_documented() -> None:
    assert "Classes in the order of category ids" in (coco.read.__doc__ or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": [image(), image(1, "b.png")]}, ["one image record an id is expected, 1 has two"]),
        ({"images": [image(), image(2, "./a.png")]}, ["one image record a picture is expected", "'images/a.png'"]),
        ({"categories": [category(), category(1, "dog")]}, ["each category is expected once, the id 1"]),
        ({"categories": [category(), category(2)]}, ["each category is expected once, 'cat'"]),
        ({"annotations": [thing(7, image_id=2)]}, ["annotation 7: the image_id of a listed image", "got 2"]),
        ({"annotations": [thing(7, image_id="1")]}, ["annotation 7: the image_id", "got '1'"]),
        ({"annotations": [thing(7, image_id=True)]}, ["annotation 7: the image_id", "got True"]),
        ({"annotations": [thing(7, image_id=None)]}, ["annotation 7: the image_id", "got None"]),
        ({"annotations": [thing(7, image_id=[1])]}, ["annotation 7: the image_id", "got [1]"]),
        ({"annotations": [thing(7, category_id=0)]}, ["annotation 7: the category_id of a listed category", "got 0"]),
        ({"annotations": [thing(7, category_id=True)]}, ["annotation 7: the category_id", "got True"]),
        ({"annotations": [thing(7, category_id=...)]}, ["annotation 7: the category_id", "got None"]),
        ({"annotations": [thing(...)]}, []),
        ({"annotations": [thing(None, category_id={})]}, ["annotation None: the category_id", "got {}"]),
    ],
)  # fmt: skip
def test_ids_that_are_not_there_or_there_twice(tmp_path: Path, changes: Record, words: list[str]) -> None:
    path = usual(tmp_path, {**document(thing()), **changes}, "a.png", "b.png")
    if words:
        assert refused(path, *words).where == tmp_path / "instances.json"
    else:
        assert len(read(path)[0].truth) == 1  # nobody needs the id of an annotation


# --- which pictures, in which part ------------------------------------------------------------------------------------


def test_as_coco_is_published(tmp_path: Path) -> None:
    for part in ("train", "val"):
        lay(tmp_path, {f"annotations/instances_{part}2017.json": document(thing()), f"{part}2017/a.png": PICTURE,
                       f"annotations/captions_{part}2017.json": {"images": [], "annotations": []}})  # fmt: skip
    data = read(tmp_path)
    assert {sample.id: sample.part for sample in data} == {"train2017/a.png": "train", "val2017/a.png": "valid"}
    assert (data.classes, data.skipped) == (("cat",), ())
    assert data.notes == ("not read, as they are not called instances: captions_train2017.json, captions_val2017.json",)


def test_as_roboflow_exports(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        lay(tmp_path, {f"{part}/_annotations.coco.json": document(thing()), f"{part}/a.png": PICTURE})
    data = read(tmp_path)
    assert {sample.id: sample.part for sample in data} == {f"{p}/a.png": p for p in ("train", "valid", "test")}
    assert (data.skipped, data.notes) == ((), ())


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("instances.json", "a.png"),
        ("instances.json", "images/a.png"),
        ("whatever.json", "deep down/a.png"),
        ("labels.json", "data/train/a.png"),
        ("annotations/instances_default.json", "images/a.png"),
        ("annotations/x.json", "a.png"),
    ],
)
def test_the_pictures_are_found(tmp_path: Path, file: str, picture: str) -> None:
    root = lay(tmp_path / "set", {file: document(thing()), picture: PICTURE})
    for path in (root, root / file):
        data = read(path, "coco")  # "deep down" could be a class, and the user be asked
        assert [(sample.id, sample.part) for sample in data] == [(picture, None)]
        assert data[0].source.read().shape == (HEIGHT, WIDTH, 1)
    assert read(root / file).name == Path(file).stem


def test_a_name_may_hold_folders(tmp_path: Path) -> None:
    images = [image(1, "train/x/a.png"), image(2, "./train//b.png"), image(3, "train\\x\\c.png")]
    root = lay(tmp_path, {f"images/train/{name}": PICTURE for name in ("x/a.png", "b.png", "x/c.png")})
    data = read(lay(root, {"instances.json": document(thing(), images=images)}))
    assert [sample.id for sample in data] == [f"images/train/{name}" for name in ("x/a.png", "b.png", "x/c.png")]


def test_pictures_of_another_set_are_not_taken(tmp_path: Path) -> None:
    lay(tmp_path, {"one/instances.json": document(thing()), "two/a.png": PICTURE})
    refused(tmp_path / "one", "found none that can be used (1 skipped; a.png: there is no such file)", "images/")
    refused(
        tmp_path / "one" / "instances.json", "found none that can be used (1 skipped; a.png: there is no such file)"
    )


def test_numbered_pictures_of_two_parts_are_told_apart(tmp_path: Path) -> None:
    train = document(thing(), images=[image(1, "1.png")])
    valid = document(thing(), images=[image(1, "1.png"), image(2, "2.png")])
    lay(tmp_path, {"annotations/instances_train.json": train, "annotations/instances_val.json": valid,
                   "train/1.png": PICTURE, "train/2.png": PICTURE, "val/1.png": PICTURE})  # fmt: skip
    data = read(tmp_path)
    assert {sample.id: sample.part for sample in data} == {"train/1.png": "train", "val/1.png": "valid"}
    assert skipped(data) == {"val/2.png": "there is no such file"}
    assert data.notes == ("1 pictures have no image record and are left out (such as 2.png)",)


def test_what_is_not_there_is_listed(tmp_path: Path) -> None:
    names = ["a.png", "gone.png", "empty.png", "folder.png", "x" * 300 + "/y.png", "link.png"]
    root = usual(tmp_path, document(thing(), images=[image(i, name) for i, name in enumerate(names)]), "a.png", "b.png")
    lay(root, {"images/empty.png": b"", "images/folder.png/x": b"x", "images/.hidden.png": PICTURE})
    (root / "images" / "link.png").symlink_to(tmp_path / "nowhere")
    data = read(root)
    assert [sample.id for sample in data] == ["images/a.png"]
    assert skipped(data) == {
        "images/gone.png": "there is no such file",
        "images/empty.png": "the file is empty (0 bytes)",
        "images/folder.png": "a file is expected, this is a folder or a device",
        f"images/{names[4]}": "the file cannot be opened (File name too long)",
        "images/link.png": "a link to a file that is not there",
    }
    assert data.notes == ("1 pictures have no image record and are left out (such as b.png)",)


def test_a_link_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    """The user made it; a name that stands in a file is another matter."""
    root = usual(tmp_path / "set", document(thing()))
    lay(tmp_path, {"elsewhere.png": PICTURE})
    (root / "images" / "a.png").unlink()
    (root / "images" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert read(root)[0].source.read().shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    "name",
    ["../../secret.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png", "sub/../../../x.png", "", "a\0b", ".", "\ud800"],
)
def test_what_is_no_path_within_the_data_is_refused(tmp_path: Path, name: str) -> None:
    lay(tmp_path, {"secret.png": PICTURE})
    path = usual(tmp_path / "set", document(thing(), images=[image(), image(2, name)]))
    assert refused(path, " is expected").where == tmp_path / "set" / "instances.json"
    assert coco.sniff(path)


def test_a_path_up_and_down_again_is_within_the_data(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {"images/a.png": PICTURE, "annotations/x.json": document(thing(), images=[image(1, "../images/a.png")])},
    )
    assert [sample.id for sample in read(tmp_path)] == ["images/a.png"]


def test_folders_and_files_that_are_not_utf8(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    train, valid = document(thing()), document(thing(), images=[image(1, "a.png", odd=1)])
    lay(tmp_path, {"annotations/instances_train.json": train, f"annotations/instances_val{odd}.json": valid,
                   f"train{odd}/a.png": PICTURE, "val/a.png": PICTURE})  # fmt: skip
    data = read(tmp_path, "coco")
    assert skipped(data) == {"train\\udcff/a.png": "the name is expected to be valid UTF-8, this one is not"}
    assert data.notes == ("instances_val\\udcff.json: not read of image records: 'odd'",)


def test_groups_and_times(tmp_path: Path) -> None:
    images = [image(1, "a.png", group="p 1", time="2026-01-02"), image(2, "b.png", group=7, time=None)]
    data = read(usual(tmp_path, document(thing(), images=images), "a.png", "b.png"))
    assert [(sample.group, sample.time) for sample in data] == [("p 1", "2026-01-02"), ("7", None)]


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    things = [thing(1, keypoints=[1, 2, 2], area=3), thing(2, attributes={"occluded": True})]
    data = read(
        usual(tmp_path, document(*things, images=[image(weather="wet", license=1), image(2, "b.png", width=0)]))
    )
    assert data.notes == (
        "instances.json: 1 image records have no height and width",
        "instances.json: not read of annotations: 'attributes', 'keypoints'",
        "instances.json: not read of image records: 'weather'",
    )


# --- as pycocotools sees it -------------------------------------------------------------------------------------------


def same_as_oracle(file: Path, data: Dataset[Any]) -> None:
    """The same pictures, classes, boxes, crowds, masks and areas."""
    theirs = COCO(str(file))
    names = {record["id"]: record["name"] for record in theirs.loadCats(theirs.getCatIds())}
    assert data.classes == tuple(names[id] for id in sorted(names))
    by_name = {sample.id.split("/", 1)[1]: sample for sample in data}
    assert len(by_name) == len(theirs.imgs)
    for id, record in theirs.imgs.items():
        truth, size = by_name[record["file_name"]].truth, (record["height"], record["width"])
        annotations = theirs.imgToAnns[id]
        assert [names[a["category_id"]] for a in annotations] == [data.classes[k] for k in boxes_of(truth).classes]
        assert [bool(a["iscrowd"]) for a in annotations] == boxes_of(truth).crowd.tolist()
        corners = [
            [a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3]] for a in annotations
        ]
        assert corners == boxes_of(truth).corners.tolist()
        for a, shape in zip(annotations, truth.shapes if isinstance(truth, Instances) else [], strict=False):
            if a.get("segmentation"):
                mask = shape.mask(size)
                assert np.array_equal(mask, theirs.annToMask(a).astype(bool))
                assert mask.sum() == oracle.area(theirs.annToRLE(a))
            else:
                assert shape is None


OUTLINES = st.lists(
    st.lists(st.floats(-5, 45, width=32), min_size=6, max_size=16).map(lambda o: o[: len(o) // 2 * 2]), min_size=1, max_size=3
)  # fmt: skip
MASKS = arrays.arrays(bool, SIZE, elements=st.booleans(), fill=st.just(False))


def runs(mask: np.ndarray, packed: bool) -> Record:
    if packed:
        theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": theirs["size"], "counts": theirs["counts"].decode()}
    return {"size": list(mask.shape), "counts": rle.encode(mask).tolist()}


SEGMENTATIONS = OUTLINES | st.builds(runs, MASKS, st.booleans()) | st.just([])
ANNOTATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "image_id": st.sampled_from([0, 5]),
            "category_id": st.sampled_from([0, 3, 9]),
            "bbox": st.lists(st.integers(0, 40) | st.floats(0, 40, width=16), min_size=4, max_size=4),
            "segmentation": SEGMENTATIONS,
            "iscrowd": st.integers(0, 1),
            "area": st.just(1.0),
        }
    ),
    max_size=5,
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANNOTATIONS)
def test_what_is_read_is_what_pycocotools_reads(tmp_path: Path, annotations: list[Record]) -> None:
    records = [{"id": i, **a} for i, a in enumerate(annotations)]
    categories = [category(9, "ant"), category(0, "zebra"), category(3, "owl")]
    images = [image(5, "a.png"), image(0, "b.png")]
    root = usual(tmp_path, document(*records, images=images, categories=categories), "a.png", "b.png")
    data = read(root)
    assert data.task == ("instance" if any(a["segmentation"] for a in annotations) else "detection")
    same_as_oracle(root / "instances.json", data)


def blobs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres = rng.uniform(0, 1, (3, 2)) * SIZE
    return np.any([np.hypot(y - cy, x - cx) < rng.uniform(1, 15) for cy, cx in centres], axis=0)


def made(*truths: Boxes | Instances, classes: tuple[str, ...] = ("zebra", "ant"), **given: Any) -> Dataset[Any]:
    pixels = np.zeros((len(truths), *SIZE, 1), np.uint8)
    samples = [Sample(f"s/{i}", ArraySource(pixels, i), truth, **given) for i, truth in enumerate(truths)]
    return Dataset("made", "instance" if isinstance(truths[0], Instances) else "detection", classes, samples)


def some(seed: int) -> Instances:
    """Outlines, masks and boxes alone."""
    rng = np.random.default_rng(seed)
    pieces = [tuple(rng.uniform(0, 30, (5, 2)).round(2) for _ in range(n)) for n in (1, 3)]
    shapes = [*map(Polygon, pieces), RunLengths(rle.encode(blobs(seed)), SIZE), None]
    corners = np.array([shape.bounds() if shape else (1.5, 2, 3, 4) for shape in shapes])
    return Instances(Boxes(corners, rng.integers(0, 2, 4), crowd=rng.random(4) < 0.5, size=SIZE), shapes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_written_is_loaded_by_pycocotools(tmp_path: Path) -> None:
    dataset = made(*[some(seed) for seed in range(6)], part="valid")
    coco.write(dataset, tmp_path / "copy")
    file = tmp_path / "copy" / "annotations" / "instances_valid.json"
    theirs = COCO(str(file))
    rows = 0
    for id, record in theirs.imgs.items():
        truth = dataset[id - 1].truth
        assert (record["height"], record["width"], record["file_name"]) == (*SIZE, f"s/{id - 1}.png")
        for row, a in enumerate(theirs.imgToAnns[id]):
            rows += 1
            left, top, width, height = a["bbox"]
            assert np.allclose([left, top, left + width, top + height], truth.boxes.corners[row])
            assert theirs.cats[a["category_id"]]["name"] == dataset.classes[truth.boxes.classes[row]]
            assert a["iscrowd"] == truth.boxes.crowd[row]
            shape = truth.shapes[row]
            if shape is None:
                assert a["segmentation"] == []
                assert a["area"] == width * height
                continue
            assert np.array_equal(shape.mask(SIZE), theirs.annToMask(a).astype(bool))
            if isinstance(shape, RunLengths):
                assert a["area"] == oracle.area(theirs.annToRLE(a))
    assert rows == 24
    same_as_oracle(file, formats.read(tmp_path / "copy"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_boxes_are_loaded_by_pycocotools_without_shapes(tmp_path: Path) -> None:
    coco.write(made(Boxes(np.array([[1.25, 2, 9, 11], [3, 4, 20, 15]]), np.array([1, 0]))), tmp_path / "copy")
    theirs = COCO(str(tmp_path / "copy" / "instances.json"))
    assert [a["bbox"] for a in theirs.anns.values()] == [[1.25, 2, 7.75, 9], [3, 4, 17, 11]]
    assert [a["area"] for a in theirs.anns.values()] == [7.75 * 9, 17 * 11]
    assert [theirs.cats[a["category_id"]]["name"] for a in theirs.anns.values()] == ["ant", "zebra"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_area_of_an_outline_is_that_of_its_pixels(tmp_path: Path) -> None:
    pieces = [np.array(SQUARE).reshape(-1, 2) + shift for shift in ((0, 0), (-20, 12))]
    shapes = [Polygon((pieces[0],)), Polygon(tuple(pieces)), Polygon((np.array(TRIANGLE).reshape(-1, 2),))]
    corners = np.array([shape.bounds() for shape in shapes])
    coco.write(made(Instances(Boxes(corners, np.zeros(3, int)), shapes)), tmp_path / "copy")
    theirs = COCO(str(tmp_path / "copy" / "instances.json"))
    counted = [int(oracle.area(theirs.annToRLE(a))) for a in theirs.anns.values()]
    assert counted[:2] == [100, 200]
    assert [a["area"] for a in theirs.anns.values()] == [100, 200, 203.5]
    assert abs(counted[2] - 203.5) < 10


def test_what_cannot_be_held_is_named(tmp_path: Path) -> None:
    box = np.array([[1.0, 2, 9, 11]])
    shape = RunLengths(rle.encode(np.ones((3, 4), bool)), (3, 4))
    for dataset, words in (
        (made(Boxes(box, np.array([0]), difficult=np.array([True]))), "1 samples with difficult boxes (such as 's/0')"),
        (made(Boxes(box, np.array([0]), scores=np.array([0.5]))), "with scores"),
        (made(Boxes(box * 2e8, np.array([0]))), "beyond 1,000,000,000"),
        (made(Boxes(box, np.array([0])), classes=("a", "a")), "two classes of the name 'a'"),
        (made(Instances(Boxes(box, np.array([0])), [None])), "none has a shape"),
        (made(Instances(Boxes(box, np.array([0]), size=SIZE), [shape])), "masks of another size than their picture"),
    ):
        with pytest.raises(DataError, match="cannot hold") as caught:
            coco.write(dataset, tmp_path / "copy")
        assert words in caught.value.message
    assert list(tmp_path.iterdir()) == []


# --- files that are damaged, or lie -----------------------------------------------------------------------------------


def raw(*annotation: str) -> str:
    """A file whose annotation, on line 3, is written by hand. Its keys follow those of a usual one."""
    usual = '"id": 7, "image_id": 1, "category_id": 1'
    rest = f'"images": [{json.dumps(image())}], "categories": [{json.dumps(category())}]'
    return f'{{\n"annotations": [\n{{{", ".join((usual, *annotation))}}}],\n{rest}}}'


BOX = '"bbox": [1, 2, 3, 4]'
NUMBERS = "numbers that a picture can have are expected as its "
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
        (raw('"bbox": [1, 2, "3", 4]'), 3, ["annotation 7: four numbers are expected as its bbox, got [1, 2, '3', 4]"]),
        (raw('"bbox": [1, 2, true, 4]'), 3, ["annotation 7: four numbers", "True"]),
        (raw('"bbox": [1, 2, null, 4]'), 3, ["annotation 7: four numbers", "None"]),
        (raw('"bbox": [1, 2, [3], 4]'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": [1, 2, 3]'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": {"x": 1}'), 3, ["annotation 7: four numbers"]),
        (raw('"bbox": false'), 3, ["annotation 7: four numbers"]),
        (raw(), 3, ["annotation 7: a bbox, or a segmentation"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, NaN, 5, 6]]'), 3, ["got NaN"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, 1e999, 5, 6]]'), None, ["annotation 7", NUMBERS + "segmentation"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 1e10]]'), None, ["annotation 7", NUMBERS]),
        (raw(BOX, f'"segmentation": [[1, 2, 3, {LONG}, 5, 6]]'), 3, ["annotation 7", NUMBERS + "segmentation"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, 4, 5, 6, 7]]'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": [[1, 2], [3, 4], [5, 6]]'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, "4", 5, 6]]'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": [[1, 2, 3, true, 5, 6]]'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": [1, 2, 3, 4, 5, 6]'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": "polygon"'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"segmentation": 0'), 3, ["annotation 7: a list of outlines"]),
        (raw(BOX, '"iscrowd": 2'), 3, ["annotation 7: 0 or 1 is expected as iscrowd, got 2"]),
        (raw(BOX, '"iscrowd": "1"'), 3, ["annotation 7: 0 or 1 is expected as iscrowd, got '1'"]),
        (raw(BOX, '"score": 0.5'), 3, ["annotation 7 has a score"]),
        (raw(BOX, '"bbox": [5, 6, 7, 8]'), 3, ["each key of an object is expected once, 'bbox' is there twice"]),
        (raw(BOX, '"a": ' + "[" * 100_000), None, ["nested too deep"]),
        (raw(BOX, '"a": ' + '{"a":' * 100_000), None, ["nested too deep"]),
        (raw(BOX)[:-1], 4, ["JSON is expected", "expecting ',' or '}'", "cut short"]),
        (raw(BOX)[:60], 3, ["JSON is expected", "cut short"]),
        (raw(BOX) + "x", 4, ["JSON is expected", "expecting nothing more"]),
        (raw(BOX).replace("],\n", ",],\n"), 3, ["JSON is expected", "expecting a value"]),
        (raw(BOX).replace('"cat"', '"c\nat"'), 4, ["JSON is expected", "invalid control character"]),
        (raw(BOX).replace("categories", "images"), 4, ["the key 'images' is expected once"]),
        (raw(BOX).replace("categories", "classes"), None, ["it has no 'categories'"]),
        ("", None, ["the file is empty"]),
        ("{}", None, ["it has no 'images' and no 'annotations' and no 'categories'"]),
        ("[]", None, ["an object with images, annotations, categories is expected, got something else"]),
        ("\n\nnull", None, ["got something else"]),
        ("\n\nnul", 3, ["JSON is expected"]),
        ('{"images": 5}', 1, ["a list is expected under 'images'"]),
        ('{"images": {}}', 1, ["a list is expected under 'images'"]),
        ('{"images": [5]}', 1, ["a list of objects is expected under 'images'"]),
    ],
)  # fmt: skip
def test_wrong_values_are_named_by_file_and_line(tmp_path: Path, text: str, line: int | None, words: list[str]) -> None:
    error = refused(usual(tmp_path, text), *words)
    assert (error.where, error.line) == (tmp_path / "instances.json", line)
    assert len(str(error)) < 1000


@pytest.mark.parametrize("wrong", [{"bbox": [1e12, 2, 3, 4]}, {"segmentation": [[1e12, *SQUARE[1:]], TRIANGLE]}])
def test_the_wrong_one_of_several_is_named(tmp_path: Path, wrong: Record) -> None:
    around = [thing(id, segmentation=[SQUARE, TRIANGLE]) for id in (5, 6, 8)]
    bad = thing(7, **{"segmentation": [SQUARE], **wrong})
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
        ({"images": [image(1, width=-3)]}, 2, ["a whole number of pixels is expected as width of image 1, got -3"]),
        ({"images": [image(1, height=2.5)]}, 2, ["height of image 1, got 2.5"]),
        ({"images": [image(1, height="30")]}, 2, ["height of image 1, got '30'"]),
        ({"images": [image(1, height=True)]}, 2, ["height of image 1, got True"]),
        ({"images": [image(1, height=10**30)]}, 2, ["height of image 1"]),
        ({"images": [image(1, group=[])]}, 2, ["a text is expected as group of image 1"]),
        ({"categories": [category("1")]}, 4, ["a whole number is expected as id of a category, got '1'"]),
        ({"categories": [category(True)]}, 4, ["id of a category, got True"]),
        ({"categories": [category(1, None)]}, 4, ["a text is expected as name of category 1, got None"]),
        ({"categories": [category(1, "\ud800")]}, 4, ["a text is expected as name of category 1"]),
    ],
)  # fmt: skip
def test_wrong_records_are_named(tmp_path: Path, changes: Record, line: int | None, words: list[str]) -> None:
    error = refused(usual(tmp_path, {**document(thing()), **changes}), *words)
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
        ({"size": [40, 30], "counts": [1200]}, "run lengths of 40 x 30 pixels are expected, as its picture has, got 30 x 40"),
        ({"size": [2**20, 2**19], "counts": [0, 2**39]}, "as its picture has, got 524288 x 1048576"),
    ],
)  # fmt: skip
def test_run_lengths_that_are_none(tmp_path: Path, segmentation: Record, words: str) -> None:
    tracemalloc.start()
    error = refused(usual(tmp_path, document(thing(), thing(7, segmentation=segmentation))), "annotation 7: ", words)
    assert tracemalloc.get_traced_memory()[1] < 2e6  # bytes: nothing of the announced size was set aside
    tracemalloc.stop()
    assert error.where == tmp_path / "instances.json"


def test_an_absurd_size_costs_nothing_while_it_is_read(tmp_path: Path) -> None:
    segmentation = {"size": [2**20, 2**19], "counts": [5, 2**39 - 5]}
    content = document(thing(bbox=None, segmentation=segmentation), images=[{"id": 1, "file_name": "a.png"}])
    tracemalloc.start()
    truth = read(usual(tmp_path, content))[0].truth
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert truth.boxes.corners.tolist() == [[0, 0, 2**19, 2**20]]
    with pytest.raises(FoveateError, match="as its picture has"):
        truth.shapes[0].mask(SIZE)


def test_encodings(tmp_path: Path) -> None:
    text = raw(BOX).replace('"cat"', '"né"')
    assert read(usual(tmp_path / "bom", b"\xef\xbb\xbf" + text.encode())).classes == ("né",)
    error = refused(
        usual(tmp_path / "latin", text.encode("latin-1")), "JSON in UTF-8 is expected", "Save the file as UTF-8"
    )
    assert error.line == 4
    refused(usual(tmp_path / "utf16", text.encode("utf-16")), "JSON in UTF-8 is expected")


def test_files_that_are_none(tmp_path: Path) -> None:
    refused(
        lay(tmp_path / "a", {"a.txt": "x"}), "a JSON file with images, annotations, categories is expected, found none"
    )
    os.mkfifo(tmp_path / "instances.json")
    assert not coco.sniff(tmp_path)
    refused(tmp_path, "instances.json", "this is a folder or a device")


# --- recognising it ---------------------------------------------------------------------------------------------------


def test_only_coco_is_recognised(tmp_path: Path) -> None:
    for content in ({"images": [], "annotations": []}, [document()], {"shapes": []}):
        file = lay(tmp_path, {"x.json": json.dumps(content)}) / "x.json"
        assert not coco.sniff(file)
        assert not coco.sniff(tmp_path)
    for path in (usual(tmp_path / "a", document(thing())), lay(tmp_path / "b", {"train/x.json": document(thing())})):
        assert [name for name, format in formats.all().items() if format.sniff(path)] == ["coco"]


def test_a_file_for_each_picture_is_not_coco(tmp_path: Path) -> None:
    for number in range(21):
        lay(tmp_path, {f"{number}.json": document(thing()), f"{number}.png": PICTURE})
    assert not coco.sniff(tmp_path)
    refused(tmp_path, "found none")


@pytest.mark.parametrize("start", [b'{"images": ', b'{"a": "', b"[", b"\0"], ids=["keys", "text", "list", "zeros"])
def test_a_huge_file_of_another_kind_is_no_trouble(tmp_path: Path, start: bytes) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.write(start)
        file.truncate(50_000_000)  # a hole, which is read as zeros
    tracemalloc.start()
    begun = time.perf_counter()
    assert not coco.sniff(tmp_path)
    assert time.perf_counter() - begun < 1
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


# --- many -------------------------------------------------------------------------------------------------------------


def many(count: int) -> Iterator[str]:
    """The text of a file of so many things, in pieces: ten a picture, half of them with an outline of twenty corners. Those
    of a picture are far apart. The left side of each box is its number.
    """
    yield '{"categories": [{"id": 1, "name": "cat"}], "images": ['
    yield ",".join(f'{{"id": {i}, "file_name": "{i}.png", "width": 40, "height": 30}}' for i in range(count // 10))
    yield '], "annotations": ['
    outline = ", ".join(f"{i}.25" for i in range(40))
    for i in range(count):
        shape = f', "segmentation": [[{outline}]]' if i % 2 else ""
        yield f'{"," if i else ""}{{"id": {i}, "image_id": {i % (count // 10)}, "category_id": 1, "bbox": [{i}, 2.5, 3, 4]{shape}}}'
    yield "]}"


def test_a_hundred_thousand_things_are_read_in_seconds(tmp_path: Path) -> None:
    from foveate.data.formats._coco_parts import parse

    text = "".join(many(100_000))
    lay(tmp_path, {"instances.json": text})
    begun = time.perf_counter()
    records, notes = parse(tmp_path / "instances.json", {})
    assert time.perf_counter() - begun < 4  # a quarter of this here: room for busy machines
    assert (len(records), sum(len(record.boxes) for record in records), notes) == (10_000, 100_000, [])
    assert records[7].boxes.corners[:, 0].tolist() == list(range(7, 100_000, 10_000))  # in the file's order
    assert [shape is not None for shape in records[7].shapes] == [True] * 10
    del records
    lay(tmp_path, {"instances.json": "".join(many(10_000))})
    tracemalloc.start()
    records = parse(tmp_path / "instances.json", {})[0]
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000 * 1000  # bytes: the numbers, and little for each thing
    assert peak < 10_000 * 2000  # and never all objects at once
    assert len(records) == 1000


def test_many_classes_and_many_ids_are_no_trouble(tmp_path: Path) -> None:
    categories = [category(i, f"c{i}") for i in range(50_000)]
    begun = time.perf_counter()
    assert len(read(usual(tmp_path, document(thing(), categories=categories))).classes) == 50_000
    keys = "".join(f'"{i}": 0, ' for i in range(50_000))
    refused(usual(tmp_path, f'{{"info": {{{keys} "7": 1}}}}'), "'7' is there twice")
    assert time.perf_counter() - begun < 4


# --- any file is data or one error ------------------------------------------------------------------------------------

GOOD = document(
    thing(segmentation=[TRIANGLE, SQUARE], iscrowd=0),
    thing(2, image_id=2, segmentation={"size": [*SIZE], "counts": [5, 1195]}, iscrowd=1),
    thing(3, image_id=2, category_id=4, segmentation=runs(blobs(1), True)),
    images=[image(1, "a.png", group="g"), image(2, "b.png", time="9")],
    categories=[category(), category(4, "dog")],
)
TEXT = json.dumps(GOOD, indent=1).encode()


def data_or_one_error(root: Path) -> None:
    blamed = None
    try:
        data = formats.read(root, "coco")
    except DataError as error:
        blamed = error
    if blamed is not None:
        assert str(root) in str(blamed.where)
        assert len(str(blamed)) < 3000
        return
    assert 1 <= len(data) <= 2
    for sample in data:
        truth = boxes_of(sample.truth)
        assert np.isfinite(truth.corners).all()
        assert all(0 <= k < len(data.classes) for k in truth.classes)
    assert all(note.isprintable() for note in data.notes)


PIECES = st.sampled_from(
    [b"NaN", b"1e999", b"-", b'"', b"[", b"{", b"]", b"}", b",", b"\\u", b"\xff", b"\0", b"null", b"true", b'"id": 1,']
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
    data_or_one_error(usual(tmp_path, text, "a.png", "b.png"))


ODD = st.sampled_from(
    [2**31, 2**63, 10**400, -1, 1e308, True, "", "\ud800", "a.png", "../a.png", "a\0", [], {}, [[]], [None]]
)
VALUES = st.recursive(
    ODD | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "size", "counts", "x"]), inner, max_size=3),
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
    text = json.dumps(content).replace("Infinity", "1e999")
    data_or_one_error(usual(tmp_path, text, "a.png", "b.png"))
