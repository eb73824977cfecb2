"""Images of VOC datasets: matching, splits, and what is listed as missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate import formats
from helpers.format_reading import skipped
from helpers.voc_files import IMAGE, lay, make_object, refused, usual, xml


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("Annotations", "JPEGImages"),
        ("annotations", "images"),
        ("ANNOTATIONS", "Images"),
        ("", ""),
        ("", "images"),
    ],
)
def test_several_layouts_are_read(tmp_path: Path, annotations: str, images: str) -> None:
    page = xml(make_object(), filename="a.png")
    lay(tmp_path / annotations, {"a.xml": page, "README.txt": "x"})
    lay(tmp_path / images, {"a.png": IMAGE})
    data = formats.read(tmp_path)
    assert [sample.id for sample in data] == [f"{images}/a.png".lstrip("/")]
    assert (data.skipped, data.notes, data[0].split) == ((), (), None)


@pytest.mark.parametrize(
    "layout",
    [
        "{split}/{stem}.xml {split}/{stem}.png",
        "{split}/Annotations/{stem}.xml {split}/JPEGImages/{stem}.png",
        "annotations/{split}/{stem}.xml images/{split}/{stem}.png",
        "annotations/{split}/{stem}.xml images/{stem}.png",
    ],
)
def test_folders_give_the_split(tmp_path: Path, layout: str) -> None:
    for split, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        page, image = layout.format(split=split, stem=stem).split()
        lay(tmp_path, {page: xml(make_object()), image: IMAGE})
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: sample.split for sample in data} == {
        "a": "train",
        "b": "valid",
        "c": "test",
    }
    assert data.skipped == ()


def test_lists_give_the_split(tmp_path: Path) -> None:
    usual(tmp_path, **{stem: xml(make_object()) for stem in ("a", "b b", "c", "d", "e")})
    lay(
        tmp_path,
        {
            "ImageSets/Main/train.txt": "a  1\r\nb b\r\n\r\na -1\r\n",
            "ImageSets/Main/val.txt": "c.png",
            "ImageSets/Main/trainval.txt": "a\nb b\nc\n",
            "ImageSets/Main/test.txt": "\ufeffd  0\nnobody\n",
            "ImageSets/Main/cat_train.txt": "c  1\nd -1\n",
        },
    )
    data = formats.read(tmp_path)
    assert [sample.split for sample in data] == ["train", "train", "valid", "test", None]
    assert skipped(data) == {
        "nobody": "listed in test.txt, line 2, but no image or XML file has that name"
    }


def test_trainval_alone_is_for_training(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(make_object()), b=xml(make_object()))
    lay(tmp_path, {"imagesets/main/trainval.txt": "a\n", "imagesets/main/test.txt": "b\n"})
    assert [sample.split for sample in formats.read(tmp_path)] == ["train", "test"]


def test_an_image_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(make_object()), b=xml(make_object()))
    lay(tmp_path, {"ImageSets/Main/train.txt": "b\na\n", "ImageSets/Main/val.txt": "\na\n"})
    error = refused(tmp_path, "one split is expected for 'a'", "train.txt (line 2)", "leak")
    assert (error.where, error.line) == (tmp_path / "ImageSets/Main/val.txt", 2)


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(make_object()))
    lay(
        tmp_path,
        {
            "JPEGImages/alone.png": IMAGE,
            "JPEGImages/notes.heic": "x",
            "JPEGImages/deep/x.png": IMAGE,
            "Annotations/b.xml": xml(make_object(), filename="else.jpg"),
            "Annotations/empty.xml": xml(make_object()),
            "JPEGImages/empty.png": b"",
            "JPEGImages/.DS_Store": "x",
        },
    )
    assert skipped(formats.read(tmp_path)) == {
        "Annotations/b.xml": "its image 'else.jpg' does not exist",
        "JPEGImages/alone.png": "it has no XML file",
        "JPEGImages/notes.heic": "the file suffix is not that of an image",
        "JPEGImages/deep/": "a folder among the images is not read",
        "JPEGImages/empty.png": "the file is empty (0 bytes)",
    }


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    lay(
        usual(tmp_path, a=xml(make_object())),
        {f"Annotations/{odd}.xml": "", f"JPEGImages/{odd}.png": IMAGE},
    )
    reasons = skipped(formats.read(tmp_path))
    assert set(reasons) == {"Annotations/\\udcff.xml", "JPEGImages/\\udcff.png"}
    assert all("UTF-8" in reason for reason in reasons.values())


def test_images_are_matched_by_filename_or_by_name(tmp_path: Path) -> None:
    pages = {"a": "other.png", "b": "gone.jpg", "c": "c", "d": "copied.png", "copied": "copied.png"}
    for stem, filename in pages.items():
        lay(tmp_path, {f"Annotations/{stem}.xml": xml(make_object(), filename=filename)})
    for name in ("other.png", "b.PNG", "c.jpg", "d.png", "copied.png"):
        lay(tmp_path, {f"JPEGImages/{name}": IMAGE})
    data = formats.read(tmp_path)
    assert [sample.id for sample in data] == [
        f"JPEGImages/{n}" for n in sorted(("other.png", "b.PNG", "c.jpg", "d.png", "copied.png"))
    ]
    (note,) = data.notes
    assert note.startswith(
        "3 XML files with another name than the <filename> inside (such as a.xml names 'other.png'"
    )


def test_ambiguous_images_are_refused(tmp_path: Path) -> None:
    lay(usual(tmp_path / "two", a=xml(make_object())), {"JPEGImages/a.jpg": IMAGE})
    assert (
        refused(tmp_path / "two", "found a.jpg and a.png").where
        == tmp_path / "two/Annotations/a.xml"
    )
    page = xml(make_object(), filename="x.png")
    lay(tmp_path / "one", {"a.xml": page, "b.xml": page, "x.png": IMAGE})
    assert (
        refused(tmp_path / "one", "one XML file is expected for x.png, a.xml").where
        == tmp_path / "one" / "b.xml"
    )
    lay(tmp_path / "same", {"a.xml": page, "a.XML": page, "x.png": IMAGE})
    refused(tmp_path / "same", "one XML file is expected, a.XML is another")
    lay(usual(tmp_path / "twins", a=xml(make_object())), {"annotations/a.xml": page})
    refused(tmp_path / "twins", "one folder is expected, found Annotations and annotations")


@pytest.mark.parametrize(
    "filename", ["../../secret.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png", "sub/../../x.png"]
)
def test_an_image_outside_the_dataset_is_refused(tmp_path: Path, filename: str) -> None:
    error = refused(
        usual(tmp_path, a=xml(make_object(), filename=filename)), "within the dataset's folder"
    )
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 1)
