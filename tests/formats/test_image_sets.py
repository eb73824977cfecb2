"""Lists of images in ImageSets/: where they lie, how they are called, how lines are written."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from foveate.errors import DataError
from foveate.formats._shared.files.image_sets import ImageSets, listed_stem, read_image_sets
from helpers.voc_files import lay

KNOWN = {"a", "b b", "c", "cam1/d", "e.f"}


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("a", "a"),
        ("  a\r", "a"),
        ("a  1", "a"),
        ("a -1\r", "a"),
        ("b b", "b b"),
        ("b b  0", "b b"),
        ("a.jpg", "a"),
        ("b b.PNG", "b b"),
        ("a.xml", "a"),
        ("e.f", "e.f"),
        ("e.f.jpg", "e.f"),
        ("JPEGImages/a.jpg", "a"),
        ("VOC2007\\JPEGImages\\a.jpg", "a"),
        ("C:\\x\\a.jpg", "a"),
        ("/home/x/cam1/d.jpg", "cam1/d"),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png", "a"),
        ("./images/c.png ./annotations/c.xml", "c"),
        ("", ""),
        (" \r", ""),
        ("nobody", "nobody"),
        ("nobody 1", "nobody"),
        ("x/nobody.jpg", "nobody"),
    ],
)
def test_lines_name_images_in_many_ways(line: str, stem: str) -> None:
    assert listed_stem(line, KNOWN) == stem


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_written_in_two_ways(form: Literal["NFC", "NFD"]) -> None:
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    known = {unicodedata.normalize(form, "véhicule")}
    line = unicodedata.normalize(other, "JPEGImages/véhicule.jpg")
    assert listed_stem(line, known) in known


@pytest.mark.parametrize(
    "folder", ["ImageSets/Segmentation", "imagesets/segmentation", "ImageSets", ""]
)
@pytest.mark.parametrize("word", ["val", "valid", "Validation", "dev", "eval"])
def test_lists_are_found(tmp_path: Path, folder: str, word: str) -> None:
    lay(tmp_path / folder, {"Train.txt": "a\nb b\n", f"{word}.txt": "c\n", "holdout.txt": "e.f"})
    found = read_image_sets(tmp_path, "Segmentation", KNOWN)
    assert found == ImageSets({"a": "train", "b b": "train", "c": "valid", "e.f": "test"})


def test_trainval_counts_only_alone(tmp_path: Path) -> None:
    lay(tmp_path, {"ImageSets/Main/trainval.txt": "a\nc\n", "ImageSets/Main/test.txt": "b b"})
    splits = read_image_sets(tmp_path, "Main", KNOWN).splits
    assert splits == {"a": "train", "c": "train", "b b": "test"}
    lay(tmp_path, {"ImageSets/Main/val.txt": "c"})
    assert read_image_sets(tmp_path, "Main", KNOWN).splits == {"c": "valid", "b b": "test"}


def test_other_lists_are_noted(tmp_path: Path) -> None:
    lists = {"default": "a\nc", "cat_train": "a\n", "half": "a"}
    lay(tmp_path / "ImageSets/Main", {f"{name}.txt": text for name, text in lists.items()})
    assert read_image_sets(tmp_path, "Main", KNOWN) == ImageSets({})
    lay(tmp_path, {"ImageSets/Main/train.txt": "a"})
    assert read_image_sets(tmp_path, "Main", KNOWN).notes == (
        "2 lists in Main/ not read, since no split has that name (such as cat_train.txt)",
    )


def test_the_lists_of_each_class_in_voc_need_no_note(tmp_path: Path) -> None:
    """They hold the images of a split again, and whether they show a class, as the boxes do."""
    lists = {"train": "a\n", "val": "c\n", "trainval": "a\nc\n"}
    for word in ("train", "val", "trainval", "test"):
        lists |= {f"{name}_{word}": "a -1\nc  1\nb  0\n" for name in ("cat", "dining_table")}
    lay(tmp_path / "ImageSets/Main", {f"{name}.txt": text for name, text in lists.items()})
    assert read_image_sets(tmp_path, "Main", KNOWN) == ImageSets({"a": "train", "c": "valid"})


def test_listed_images_that_are_absent_are_named(tmp_path: Path) -> None:
    lay(tmp_path, {"ImageSets/Main/val.txt": "a\n\nnobody 1\n"})
    (absent,) = read_image_sets(tmp_path, "Main", KNOWN).absent
    assert (absent.id, absent.reason) == (
        "nobody",
        "listed in val.txt, line 3, but no image or XML file has that name",
    )


def test_an_image_in_two_lists_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"ImageSets/test.txt": "c\n", "ImageSets/train.txt": "a\nc.jpg\n"})
    with pytest.raises(DataError, match="one split is expected for 'c'") as caught:
        read_image_sets(tmp_path, "Main", KNOWN)
    assert (caught.value.where, caught.value.line) == (tmp_path / "ImageSets/train.txt", 2)


@pytest.mark.parametrize("content", ["", "these are notes\nof a test\n", b"\xff\xfe"])
def test_texts_beside_the_data_are_no_lists(tmp_path: Path, content: str | bytes) -> None:
    lay(tmp_path, {"test.txt": content})
    assert read_image_sets(tmp_path, "Main", KNOWN) == ImageSets({})
