"""Images of VOC datasets: matching, splits, and what is listed as missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate import formats
from foveate.formats import voc
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
        "JPEGImages/deep/": "no XML file belongs to its 1 image",
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
    refused(tmp_path / "same", "one XML file is expected for x.png, a.XML is another")
    lay(usual(tmp_path / "twins", a=xml(make_object())), {"annotations/a.xml": xml(make_object())})
    refused(tmp_path / "twins", "for JPEGImages/a.png, Annotations/a.xml is another")
    page = xml(make_object())
    lay(tmp_path / "eyes", {"x/a.xml": page, "left/a.png": IMAGE, "right/a.png": IMAGE})
    refused(tmp_path / "eyes", "one image is expected", "left/a.png and right/a.png")


@pytest.mark.parametrize(
    "filename",
    [
        "../../secret.png",
        "/etc/x.png",
        "..\\..\\x.png",
        "C:\\x.png",
        "sub/../../x.png",
        "E:\\MM2\\a.PNG",
        "http://host/a.png?v=2",
        ".",
        "/",
    ],
)
def test_the_folders_of_another_machine_do_not_matter(tmp_path: Path, filename: str) -> None:
    """Nothing outside the dataset is read, whatever a file says."""
    lay(tmp_path, {"secret.png": IMAGE, "x.png": IMAGE})
    data = formats.read(usual(tmp_path / "set", a=xml(make_object(), filename=filename)))
    assert [sample.id for sample in data] == ["JPEGImages/a.png"]
    (note,) = data.notes
    assert note.startswith("1 XML file with another name than the <filename> inside (such as a.xml")


def test_the_longest_common_end_of_a_path_decides(tmp_path: Path) -> None:
    lay(tmp_path, {f"img/{camera}/1.png": IMAGE for camera in ("front", "back")})
    for camera, stem in (("front", "p"), ("back", "q")):
        path = f"D:\\shots\\{camera}\\1.png"
        lay(tmp_path, {f"xml/{stem}.xml": xml(make_object(camera), filename=path)})
    data = formats.read(tmp_path)
    assert {sample.id: data.classes[sample.target.classes[0]] for sample in data} == {
        "img/front/1.png": "front",
        "img/back/1.png": "back",
    }


def test_a_filename_is_unquoted_and_its_capitals_do_not_matter(tmp_path: Path) -> None:
    for stem, filename in (("x", "my%20cat.png"), ("y", "DOG.PNG")):
        lay(tmp_path, {f"{stem}.xml": xml(make_object(stem), filename=filename)})
    data = formats.read(lay(tmp_path, {"my cat.png": IMAGE, "dog.png": IMAGE}))
    assert [sample.id for sample in data] == ["dog.png", "my cat.png"]


@pytest.mark.parametrize("filename", ["e\u0301.png", "gone.png"])
def test_accents_may_be_written_in_two_ways(tmp_path: Path, filename: str) -> None:
    """As file names from a Mac and from elsewhere."""
    page = xml(make_object(), filename=filename)
    lay(tmp_path, {"Annotations/e\u0301.xml": page, "JPEGImages/\u00e9.png": IMAGE})
    assert [sample.id for sample in formats.read(tmp_path)] == ["JPEGImages/\u00e9.png"]


# --- folders of any name


@pytest.mark.parametrize(
    ("page", "image"),
    [
        ("annots/{}.xml", "images/{}.png"),
        ("xml/{}.xml", "img/{}.png"),
        ("annotations/xmls/{}.xml", "images/{}.png"),
        ("labels/{}.XML", "pictures/{}.png"),
        ("a/b/c/{}.xml", "a/b/d/{}.png"),
        ("data/{}.xml", "data/{}.png"),
        ("{}.xml", "images/{}.png"),
        ("{}.png.xml", "{}.png"),
    ],
)
def test_folders_may_have_any_name(tmp_path: Path, page: str, image: str) -> None:
    for stem in ("p", "q"):
        lay(tmp_path, {page.format(stem): xml(make_object()), image.format(stem): IMAGE})
    data = formats.read(tmp_path)
    assert data.format == "voc"
    paths = [str(sample.source.path.relative_to(tmp_path)) for sample in data]
    assert paths == [image.format("p"), image.format("q")]
    assert data.skipped == ()


@pytest.mark.parametrize("filename", ["a.jpg", "a", None])
def test_masks_with_the_same_stems_are_no_images(tmp_path: Path, filename: str | None) -> None:
    """As in Oxford-IIIT Pets and in VOC itself."""
    page = xml(make_object(), filename=filename)
    lay(tmp_path, {"annotations/xmls/a.xml": page, "images/a.jpg": IMAGE})
    masks = ("annotations/trimaps", "SegmentationClass", "SegmentationObject")
    data = formats.read(lay(tmp_path, {f"{folder}/a.png": IMAGE for folder in masks}), "voc")
    assert [sample.id for sample in data] == ["images/a.jpg"]
    assert skipped(data) == {f"{folder}/": "no XML file belongs to its 1 image" for folder in masks}


def test_equal_stems_in_several_folders_are_kept_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for camera in ("front", "back"):
            page = xml(make_object(f"{split} {camera}"), filename="1.png")
            lay(tmp_path, {f"{split}/{camera}/xml/1.xml": page})
            lay(tmp_path, {f"{split}/{camera}/img/1.png": IMAGE})
    data = formats.read(tmp_path)
    assert {sample.id: data.classes[sample.target.classes[0]] for sample in data} == {
        f"{split}/{camera}/img/1.png": f"{split} {camera}"
        for split in ("train", "val")
        for camera in ("front", "back")
    }
    assert sorted({str(sample.split) for sample in data}) == ["train", "valid"]


@pytest.mark.parametrize("word", ["dev", "eval", "Validation", "VAL", "valid"])
def test_split_words_of_folders_and_lists(tmp_path: Path, word: str) -> None:
    for folder, stem in (("training", "a"), (word, "b"), ("holdout", "c")):
        lay(tmp_path / "folders", {f"{folder}/{stem}.xml": xml(make_object())})
        lay(tmp_path / "folders", {f"{folder}/{stem}.png": IMAGE})
        lay(tmp_path / "lists", {f"ImageSets/Main/{folder}.txt": f"{stem}\n"})
        usual(tmp_path / "lists", **{stem: xml(make_object())})
    for root in ("folders", "lists"):
        data = formats.read(tmp_path / root)
        assert {Path(sample.id).stem: sample.split for sample in data} == {
            "a": "train",
            "b": "valid",
            "c": "test",
        }


@pytest.mark.parametrize("folder", ["ImageSets", "", "imagesets/main"])
def test_lists_may_lie_elsewhere_and_name_paths(tmp_path: Path, folder: str) -> None:
    usual(tmp_path, a=xml(make_object()), b=xml(make_object()))
    train = "JPEGImages/a.png Annotations/a.xml\n"
    lay(tmp_path / folder, {"train.txt": train, "val.txt": "/home/x/JPEGImages/b.png\n"})
    data = formats.read(tmp_path)
    assert [sample.split for sample in data] == ["train", "valid"]
    assert data.skipped == ()


def test_the_list_of_all_images_is_no_split(tmp_path: Path) -> None:
    """CVAT writes default.txt, and labelmap.txt beside it."""
    usual(tmp_path, a=xml(make_object()))
    lay(tmp_path, {"ImageSets/Main/default.txt": "a\n", "labelmap.txt": "# label\ncat:::\n"})
    data = formats.read(tmp_path)
    assert [sample.split for sample in data] == [None]
    assert (data.notes, data.skipped) == ((), ())


def test_lists_count_for_the_folders_beside_them(tmp_path: Path) -> None:
    usual(tmp_path / "kit" / "VOC2007", a=xml(make_object()), b=xml(make_object()))
    lay(
        tmp_path / "kit" / "VOC2007",
        {"ImageSets/Main/train.txt": "a", "ImageSets/Main/val.txt": "b"},
    )
    data = formats.read(tmp_path / "kit", "voc")
    assert [sample.split for sample in data] == ["train", "valid"]
    usual(tmp_path / "kit" / "VOC2012", a=xml(make_object()))
    lay(tmp_path / "kit" / "VOC2012", {"ImageSets/Main/test.txt": "a"})
    assert not voc.sniff(tmp_path / "kit")
    data = formats.read(tmp_path / "kit", "voc")
    assert {sample.id: sample.split for sample in data} == {
        "VOC2007/JPEGImages/a.png": "train",
        "VOC2007/JPEGImages/b.png": "valid",
        "VOC2012/JPEGImages/a.png": "test",
    }


def test_other_xml_files_are_left_out(tmp_path: Path) -> None:
    lay(usual(tmp_path, a=xml(make_object())), {"about/pom.xml": "<project/>"})
    assert skipped(formats.read(tmp_path)) == {
        "about/pom.xml": "an XML file without an <annotation>"
    }
