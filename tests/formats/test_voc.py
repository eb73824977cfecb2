"""Pascal VOC: the origin of boxes, recognition, and writing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Boxes
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import voc
from helpers.voc_files import IMAGE, lay, make_object, refused, usual, xml


def boxes(data: Dataset[Boxes]) -> dict[str, list[tuple[float, ...]]]:
    return {sample.id: [tuple(box) for box in sample.target.corners.tolist()] for sample in data}


# --- boxes


def test_pixels_are_counted_from_1_and_boxes_include_the_last(tmp_path: Path) -> None:
    data = formats.read(
        usual(
            tmp_path,
            a=xml(make_object("dog", (1, 1, 40, 30)), make_object("cat", (2.5, 3, 10, 12.25))),
        )
    )
    assert boxes(data) == {"JPEGImages/a.png": [(0, 0, 40, 30), (1.5, 2, 10, 12.25)]}
    assert data.classes == ("cat", "dog")
    assert data[0].target.classes.tolist() == [1, 0]
    assert (data.task, data.name, data.origin, data.notes) == (
        "detection",
        tmp_path.name,
        tmp_path,
        (),
    )
    assert data[0].target.size == (30, 40)
    assert data[0].source.read().shape == (30, 40, 1)


@pytest.mark.parametrize("first", [(0, 5, 9, 9), (5, 0, 9, 9), (0.5, 2, 9, 9)])
def test_one_box_at_0_means_counting_from_0(tmp_path: Path, first: tuple[float, ...]) -> None:
    data = formats.read(
        usual(tmp_path, a=xml(make_object(box=(3, 4, 10, 20))), b=xml(make_object(box=first)))
    )
    assert boxes(data) == {"JPEGImages/a.png": [(3, 4, 10, 20)], "JPEGImages/b.png": [first]}
    (note,) = data.notes
    assert "counted from 0" in note
    assert "1 box begins at 0 (such as in b.xml)" in note


def test_a_box_below_0_proves_nothing(tmp_path: Path) -> None:
    """The tool did not clip boxes, so one at 0 may stick out by a pixel."""
    data = formats.read(
        usual(
            tmp_path, a=xml(make_object(box=(0, 4, 10, 20))), b=xml(make_object(box=(-2, 1, 5, 5)))
        )
    )
    assert boxes(data)["JPEGImages/a.png"] == [(-1, 3, 10, 20)]
    (note,) = data.notes
    assert "1 box begins below 0 (such as in b.xml)" in note
    assert "counted from 1" in note


def test_wrong_boxes_are_left_to_the_audit(tmp_path: Path) -> None:
    data = formats.read(
        usual(tmp_path, a=xml(make_object(box=(9, 9, 2, 2)), make_object(box=(1, 1, 900, 900))))
    )
    assert boxes(data)["JPEGImages/a.png"] == [(8, 8, 2, 2), (0, 0, 900, 900)]


def test_difficult_is_read(tmp_path: Path) -> None:
    instances = [
        make_object(more=f"<difficult>{value}</difficult>") for value in ("1", "0", " 1 ", "")
    ]
    data = formats.read(usual(tmp_path, a=xml(*instances, make_object())))
    assert data[0].target.difficult.tolist() == [True, False, True, False, False]


def test_difficult_is_read_in_other_spellings(tmp_path: Path) -> None:
    values = ("True", "false", "Unspecified", "unspecified")
    instances = [make_object(more=f"<difficult>{value}</difficult>") for value in values]
    data = formats.read(usual(tmp_path, a=xml(*instances)))
    assert data[0].target.difficult.tolist() == [True, False, False, False]
    assert data.notes == (
        "<difficult> 'Unspecified' not read: 1",
        "<difficult> 'unspecified' not read: 1",
    )


def test_images_may_be_empty_and_sizes_unknown(tmp_path: Path) -> None:
    pages = {
        f"s{i}": xml(size=size)
        for i, size in enumerate(("", "<width>0</width><height>0</height>", "<width/>"))
    }
    data = formats.read(usual(tmp_path, a=xml(make_object()), **pages))
    assert [len(sample.target) for sample in data] == [1, 0, 0, 0]
    assert [sample.target.size for sample in data] == [(30, 40), None, None, None]
    assert (
        formats.read(usual(tmp_path / "b", a="<annotation>" + make_object() + "</annotation>"))[
            0
        ].target.size
        is None
    )


def test_ignored_elements_are_noted(tmp_path: Path) -> None:
    corners = "<xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax>"
    part = f"<part><name>head</name><bndbox>{corners}</bndbox></part>"
    more = f"<pose>Left</pose><truncated>1</truncated>{part}{part}<polygon><x1>1</x1></polygon>"
    data = formats.read(usual(tmp_path, a=xml(make_object(more=more))))
    assert boxes(data)["JPEGImages/a.png"] == [(0, 0, 10, 20)]
    assert data.classes == ("cat",)
    assert data.notes == (
        "object parts (<part>) not read: 2",
        "polygons (<polygon>) not read: 1",
    )


def test_classes_txt_gives_the_order(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, a=xml(make_object("cat"), make_object("dog"))),
        {"classes.txt": "dog\nunicorn\ncat\n"},
    )
    data = formats.read(tmp_path)
    assert data.classes == ("dog", "unicorn", "cat")
    assert data[0].target.classes.tolist() == [2, 0]
    lay(tmp_path, {"classes.txt": "cat\n"})
    error = refused(tmp_path, "one of the classes in classes.txt", "'dog'")
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 7)


# --- recognition


def test_only_annotations_are_recognised(tmp_path: Path) -> None:
    assert voc.sniff(usual(tmp_path / "a", a="damaged", b=xml(make_object())))
    assert not voc.sniff(
        lay(
            tmp_path / "b",
            {"Annotations/a.xml": "<annotations></annotations>", "images/a.png": IMAGE},
        )
    )
    assert not voc.sniff(lay(tmp_path / "c", {"Annotations/a.json": "{}", "images/a.png": IMAGE}))
    for root in (
        usual(tmp_path / "d", a=xml(make_object())),
        lay(tmp_path / "e", {"train/a.xml": xml(make_object()), "train/a.png": IMAGE}),
    ):
        assert [name for name, format in formats.all().items() if format.sniff(root)] == ["voc"]


# --- writing


def made(
    corners: list[tuple[float, ...]],
    classes: tuple[str, ...] = ("cat",),
    id: str = "a",
    **given: object,
) -> Dataset[Boxes]:
    target = Boxes(np.array(corners, float), np.zeros(len(corners), int), **given)
    return Dataset(
        "made",
        "detection",
        classes,
        [Sample(id, ArraySource(np.zeros((1, 30, 40, 1), np.uint8), 0), target)],
    )


def test_written_boxes_count_from_1(tmp_path: Path) -> None:
    voc.write(made([(0, 0, 40, 30), (0.1, 2, 3, 4.5)]), tmp_path / "copy")
    text = (tmp_path / "copy" / "Annotations" / "a.xml").read_text()
    assert "<xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>30</ymax>" in text
    assert "<xmin>1.1</xmin><ymin>3</ymin><xmax>3</xmax><ymax>4.5</ymax>" in text
    assert "<width>40</width><height>30</height>" in text


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            made([(-1, 2, 9, 9)]),
            ["1 sample with a box that begins left of or above its image (such as 'a')"],
        ),
        (made([(1, -0.5, 9, 9)]), ["left of or above"]),
        (made([(1, 2, 9, 9)], crowd=np.array([True])), ["1 sample with a crowd"]),
        (made([(1, 2, 9, 2e9)]), ["beyond 1,000,000,000"]),
        (made([(1, 2, 9, 9)], scores=np.array([0.5])), ["with scores"]),
        (
            made([(1, 2, 9, 9)], classes=(" cat", "a\0b")),
            ["class name ' cat'", "class name 'a\\x00b'"],
        ),
        (made([(1, 2, 9, 9)], classes=("b", "a\nc")), ["class name 'a\\nc'"]),
    ],
)
def test_unsupported_content_is_named(
    tmp_path: Path, dataset: Dataset[Boxes], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        voc.write(dataset, tmp_path / "copy")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_odd_names_survive_a_round_trip(tmp_path: Path) -> None:
    ids = [
        "train\nx",
        " a ",
        "a 1",
        "a",
        "<&>",
        "x\u2028y",
        "\ud800",
        "JPEGImages/a.png",
        "A.png",
        "ü" * 150,
        "b .png",
        "train",
    ]
    one = made([(1, 2, 3, 4)], classes=('<b> & "c" ü',))
    samples = [
        replace(one[0], id=id, split=("train", "valid", None)[i % 3]) for i, id in enumerate(ids)
    ]
    with pytest.raises(DataError, match="not UTF-8"):
        voc.write(replace(one, samples=samples), tmp_path / "no")
    samples = [sample for sample in samples if sample.id != "\ud800"]
    voc.write(replace(one, samples=samples), tmp_path / "copy")
    copy = formats.read(tmp_path / "copy")
    assert copy.classes == one.classes
    assert (copy.notes, copy.skipped) == ((), ())
    assert sorted(str(sample.split) for sample in copy) == sorted(
        str(sample.split) for sample in samples
    )


def test_thousands_of_files_are_read_in_seconds(tmp_path: Path) -> None:
    page = xml(*[make_object()] * 13)
    for number in range(1000):
        usual(tmp_path, **{f"{number:04}": page})
    start = time.process_time()
    assert sum(len(sample.target) for sample in formats.read(tmp_path, "voc")) == 13_000
    assert time.process_time() - start < 3  # takes a sixth of it on an idle machine
