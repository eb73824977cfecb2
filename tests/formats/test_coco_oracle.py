"""Reading and writing of COCO files agrees with pycocotools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as oracle
from pycocotools.coco import COCO

from foveate import formats
from foveate.annotations import Boxes, Instances, Polygon, RunLengths, boxes_of
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import coco
from foveate.ops import rle
from helpers.coco_files import (
    SIZE,
    SQUARE,
    TRIANGLE,
    Record,
    blobs,
    category,
    document,
    image,
    make_object,
    read,
    runs,
    usual,
)


def same_as_oracle(file: Path, data: Dataset[Any]) -> None:
    """The same images, classes, boxes, crowds, masks and areas."""
    theirs = COCO(str(file))
    names = {record["id"]: record["name"] for record in theirs.loadCats(theirs.getCatIds())}
    assert data.classes == tuple(names[id] for id in sorted(names))
    by_name = {sample.id.split("/", 1)[1]: sample for sample in data}
    assert len(by_name) == len(theirs.imgs)
    for id, record in theirs.imgs.items():
        target, size = by_name[record["file_name"]].target, (record["height"], record["width"])
        annotations = theirs.imgToAnns[id]
        assert [names[a["category_id"]] for a in annotations] == [
            data.classes[k] for k in boxes_of(target).classes
        ]
        assert [bool(a["iscrowd"]) for a in annotations] == boxes_of(target).crowd.tolist()
        corners = [
            [a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3]]
            for a in annotations
        ]
        assert corners == boxes_of(target).corners.tolist()
        for a, shape in zip(
            annotations, target.shapes if isinstance(target, Instances) else [], strict=False
        ):
            if a.get("segmentation"):
                mask = shape.mask(size)
                assert np.array_equal(mask, theirs.annToMask(a).astype(bool))
                assert mask.sum() == oracle.area(theirs.annToRLE(a))
            else:
                assert shape is None


OUTLINES = st.lists(
    st.lists(st.floats(-5, 45, width=32), min_size=6, max_size=16).map(
        lambda o: o[: len(o) // 2 * 2]
    ),
    min_size=1,
    max_size=3,
)
MASKS = arrays.arrays(bool, SIZE, elements=st.booleans(), fill=st.just(False))


SEGMENTATIONS = OUTLINES | st.builds(runs, MASKS, st.booleans()) | st.just([])
ANNOTATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "image_id": st.sampled_from([0, 5]),
            "category_id": st.sampled_from([0, 3, 9]),
            "bbox": st.lists(
                st.integers(0, 40) | st.floats(0, 40, width=16), min_size=4, max_size=4
            ),
            "segmentation": SEGMENTATIONS,
            "iscrowd": st.integers(0, 1),
            "area": st.just(1.0),
        }
    ),
    max_size=5,
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANNOTATIONS)
def test_reading_agrees_with_pycocotools(tmp_path: Path, annotations: list[Record]) -> None:
    records = [{"id": i, **a} for i, a in enumerate(annotations)]
    categories = [category(9, "ant"), category(0, "zebra"), category(3, "owl")]
    images = [image(5, "a.png"), image(0, "b.png"), image(7, "c.png")]
    # Enough objects whose area says that bboxes are sizes, so that no random one is asked about.
    anchors = [make_object(100 + i, 7, 3, bbox=[5, 6, 7, 8], area=56, iscrowd=0) for i in range(50)]
    content = document(*records, *anchors, images=images, categories=categories)
    root = usual(tmp_path, content, "a.png", "b.png", "c.png")
    data = read(root)
    assert data.task == ("instance" if any(a["segmentation"] for a in annotations) else "detection")
    same_as_oracle(root / "instances.json", data)


def made(
    *targets: Boxes | Instances, classes: tuple[str, ...] = ("zebra", "ant"), **given: Any
) -> Dataset[Any]:
    pixels = np.zeros((len(targets), *SIZE, 1), np.uint8)
    samples = [
        Sample(f"s/{i}", ArraySource(pixels, i), target, **given)
        for i, target in enumerate(targets)
    ]
    return Dataset(
        "made", "instance" if isinstance(targets[0], Instances) else "detection", classes, samples
    )


def some(seed: int) -> Instances:
    """Polygons, masks and plain boxes."""
    rng = np.random.default_rng(seed)
    pieces = [tuple(rng.uniform(0, 30, (5, 2)).round(2) for _ in range(n)) for n in (1, 3)]
    shapes = [*map(Polygon, pieces), RunLengths(rle.encode(blobs(seed)), SIZE), None]
    corners = np.array([shape.bounds() if shape else (1.5, 2, 3, 4) for shape in shapes])
    return Instances(
        Boxes(corners, rng.integers(0, 2, 4), crowd=rng.random(4) < 0.5, size=SIZE), shapes
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pycocotools_loads_written_files(tmp_path: Path) -> None:
    dataset = made(*[some(seed) for seed in range(6)], split="valid")
    coco.write(dataset, tmp_path / "copy")
    file = tmp_path / "copy" / "annotations" / "instances_valid.json"
    theirs = COCO(str(file))
    rows = 0
    for id, record in theirs.imgs.items():
        target = dataset[id - 1].target
        assert (record["height"], record["width"], record["file_name"]) == (
            *SIZE,
            f"s/{id - 1}.png",
        )
        for row, a in enumerate(theirs.imgToAnns[id]):
            rows += 1
            left, top, width, height = a["bbox"]
            assert np.allclose([left, top, left + width, top + height], target.boxes.corners[row])
            assert (
                theirs.cats[a["category_id"]]["name"] == dataset.classes[target.boxes.classes[row]]
            )
            assert a["iscrowd"] == target.boxes.crowd[row]
            shape = target.shapes[row]
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
def test_pycocotools_loads_boxes_without_shapes(tmp_path: Path) -> None:
    coco.write(
        made(Boxes(np.array([[1.25, 2, 9, 11], [3, 4, 20, 15]]), np.array([1, 0]))),
        tmp_path / "copy",
    )
    theirs = COCO(str(tmp_path / "copy" / "instances.json"))
    assert [a["bbox"] for a in theirs.anns.values()] == [[1.25, 2, 7.75, 9], [3, 4, 17, 11]]
    assert [a["area"] for a in theirs.anns.values()] == [7.75 * 9, 17 * 11]
    assert [theirs.cats[a["category_id"]]["name"] for a in theirs.anns.values()] == ["ant", "zebra"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_area_of_a_polygon_agrees_with_its_pixels(tmp_path: Path) -> None:
    pieces = [np.array(SQUARE).reshape(-1, 2) + shift for shift in ((0, 0), (-20, 12))]
    shapes = [
        Polygon((pieces[0],)),
        Polygon(tuple(pieces)),
        Polygon((np.array(TRIANGLE).reshape(-1, 2),)),
    ]
    corners = np.array([shape.bounds() for shape in shapes])
    coco.write(made(Instances(Boxes(corners, np.zeros(3, int)), shapes)), tmp_path / "copy")
    theirs = COCO(str(tmp_path / "copy" / "instances.json"))
    counted = [int(oracle.area(theirs.annToRLE(a))) for a in theirs.anns.values()]
    assert counted[:2] == [100, 200]
    assert [a["area"] for a in theirs.anns.values()] == [100, 200, 203.5]
    assert abs(counted[2] - 203.5) < 10


def test_unsupported_content_is_named(tmp_path: Path) -> None:
    box = np.array([[1.0, 2, 9, 11]])
    shape = RunLengths(rle.encode(np.ones((3, 4), bool)), (3, 4))
    for dataset, words in (
        (
            made(Boxes(box, np.array([0]), difficult=np.array([True]))),
            "1 sample with difficult boxes (such as 's/0')",
        ),
        (made(Boxes(box, np.array([0]), scores=np.array([0.5]))), "with scores"),
        (made(Boxes(box * 2e8, np.array([0]))), "beyond 1,000,000,000"),
        (made(Boxes(box, np.array([0])), classes=("a", "a")), "two classes with the name 'a'"),
        (made(Instances(Boxes(box, np.array([0])), [None])), "instances without any shape"),
        (
            made(Instances(Boxes(box, np.array([0]), size=SIZE), [shape])),
            "masks of another size than the image",
        ),
    ):
        with pytest.raises(DataError, match="cannot store") as caught:
            coco.write(dataset, tmp_path / "copy")
        assert words in caught.value.message
    assert list(tmp_path.iterdir()) == []
