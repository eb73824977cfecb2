"""Sets in the manner of Pascal VOC as people have them: where boxes begin, what is recognised, what is written."""

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
from helpers.voc_files import PICTURE, lay, make_object, refused, usual, xml


def boxes(data: Dataset[Boxes]) -> dict[str, list[tuple[float, ...]]]:
    return {sample.id: [tuple(box) for box in sample.target.corners.tolist()] for sample in data}


# --- what a box is


def test_pixels_are_counted_from_1_and_the_last_ones_belong_to_the_box(tmp_path: Path) -> None:
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
def test_one_box_at_0_shows_that_the_set_counts_from_0(
    tmp_path: Path, first: tuple[float, ...]
) -> None:
    data = formats.read(
        usual(tmp_path, a=xml(make_object(box=(3, 4, 10, 20))), b=xml(make_object(box=first)))
    )
    assert boxes(data) == {"JPEGImages/a.png": [(3, 4, 10, 20)], "JPEGImages/b.png": [first]}
    (note,) = data.notes
    assert "counted from 0" in note
    assert "1 begin at 0 (such as in b.xml)" in note


def test_a_box_below_0_shows_nothing(tmp_path: Path) -> None:
    """The tool did not cut boxes off at the edge, so that one at 0 may stick out by a pixel."""
    data = formats.read(
        usual(
            tmp_path, a=xml(make_object(box=(0, 4, 10, 20))), b=xml(make_object(box=(-2, 1, 5, 5)))
        )
    )
    assert boxes(data)["JPEGImages/a.png"] == [(-1, 3, 10, 20)]
    (note,) = data.notes
    assert "1 boxes begin below 0 (such as in b.xml)" in note
    assert "counted from 1" in note


def test_wrong_boxes_are_kept_for_the_audit(tmp_path: Path) -> None:
    data = formats.read(
        usual(tmp_path, a=xml(make_object(box=(9, 9, 2, 2)), make_object(box=(1, 1, 900, 900))))
    )
    assert boxes(data)["JPEGImages/a.png"] == [(8, 8, 2, 2), (0, 0, 900, 900)]


def test_difficult_is_kept(tmp_path: Path) -> None:
    instances = [
        make_object(more=f"<difficult>{value}</difficult>") for value in ("1", "0", " 1 ", "")
    ]
    data = formats.read(usual(tmp_path, a=xml(*instances, make_object())))
    assert data[0].target.difficult.tolist() == [True, False, True, False, False]


def test_pictures_without_things_and_sizes_that_nobody_knows(tmp_path: Path) -> None:
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


def test_what_is_within_a_thing_and_not_read_is_told(tmp_path: Path) -> None:
    split = "<part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></part>"
    more = f"<pose>Left</pose><truncated>1</truncated>{split}{split}<polygon><x1>1</x1></polygon>"
    data = formats.read(usual(tmp_path, a=xml(make_object(more=more))))
    assert boxes(data)["JPEGImages/a.png"] == [(0, 0, 10, 20)]
    assert data.classes == ("cat",)
    assert data.notes == (
        "parts of objects (<part>) are not read; there are 2",
        "outlines (<polygon>) are not read; there are 1",
    )


def test_the_order_of_classes_may_be_given(tmp_path: Path) -> None:
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


# --- recognising it


def test_only_annotations_are_recognised(tmp_path: Path) -> None:
    assert voc.sniff(usual(tmp_path / "a", a="damaged", b=xml(make_object())))
    assert not voc.sniff(
        lay(
            tmp_path / "b",
            {"Annotations/a.xml": "<annotations></annotations>", "images/a.png": PICTURE},
        )
    )
    assert not voc.sniff(lay(tmp_path / "c", {"Annotations/a.json": "{}", "images/a.png": PICTURE}))
    for root in (
        usual(tmp_path / "d", a=xml(make_object())),
        lay(tmp_path / "e", {"train/a.xml": xml(make_object()), "train/a.png": PICTURE}),
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


def test_what_is_written_counts_from_1(tmp_path: Path) -> None:
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
            ["1 samples with a box that begins left of or above its picture (such as 'a')"],
        ),
        (made([(1, -0.5, 9, 9)]), ["left of or above"]),
        (made([(1, 2, 9, 9)], crowd=np.array([True])), ["1 samples with a crowd"]),
        (made([(1, 2, 9, 2e9)]), ["beyond 1,000,000,000"]),
        (made([(1, 2, 9, 9)], scores=np.array([0.5])), ["with scores"]),
        (
            made([(1, 2, 9, 9)], classes=(" cat", "a\0b")),
            ["class name ' cat'", "class name 'a\\x00b'"],
        ),
        (made([(1, 2, 9, 9)], classes=("b", "a\nc")), ["class name 'a\\nc'"]),
    ],
)
def test_what_cannot_be_held_is_named(
    tmp_path: Path, dataset: Dataset[Boxes], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        voc.write(dataset, tmp_path / "copy")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_odd_names_come_back(tmp_path: Path) -> None:
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
    start = time.perf_counter()
    assert sum(len(sample.target) for sample in formats.read(tmp_path, "voc")) == 13_000
    assert time.perf_counter() - start < 3  # a sixth of this here: room for busy machines
