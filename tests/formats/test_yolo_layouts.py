"""YOLO datasets as tools export them: darknet, lists, folders of any name, Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foveate import formats
from foveate.data.dataset import Dataset
from foveate.errors import DataError
from foveate.formats import yolo
from helpers.format_reading import skipped
from helpers.yolo_files import IMAGE, LINE, LINE_BOX, NAMES, lay, refused

Files = dict[str, str | bytes]


def splits_of(data: Dataset[Any]) -> dict[str, str | None]:
    return {sample.id: sample.split for sample in data}


def read_all(root: Path, files: Files) -> Dataset[Any]:
    """Read a dataset that is recognised, and where each image has the one box."""
    data = formats.read(lay(root, files))
    assert data.format == "yolo"
    assert data.classes == ("cat", "dog")
    assert all(sample.target.corners.tolist() == [list(LINE_BOX)] for sample in data)
    return data


def darknet(root: Path, description: str, **lists: str) -> Path:
    files: Files = {f"{name}.txt": text for name, text in lists.items()}
    for stem in ("a", "b", "c"):
        files |= {f"obj_train_data/{stem}.png": IMAGE, f"obj_train_data/{stem}.txt": LINE}
    return lay(root, {**files, "obj.names": "cat\ndog\n", "obj.data": description})


DARKNET = "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"

# --- darknet


def test_darknet_as_cvat_exports_it(tmp_path: Path) -> None:
    lines = "".join(f"data/obj_train_data/{stem}.png\n" for stem in "abc")
    data = read_all(darknet(tmp_path, DARKNET, train=lines), {})
    assert set(splits_of(data).values()) == {"train"}
    assert data.notes == ()
    assert data.skipped == ()
    assert formats.read(tmp_path / "obj.data").classes == ("cat", "dog")


def test_lists_and_labels_as_cvat_exports_them_for_ultralytics(tmp_path: Path) -> None:
    files: Files = {
        "data.yaml": f"{NAMES}path: .\ntrain: train.txt\nval: val.txt\n",
        "train.txt": "data/images/train/a.png\n",
        "val.txt": "data/images/val/b.png\n",
    }
    for place in ("train/a", "val/b"):
        files |= {f"images/{place}.png": IMAGE, f"labels/{place}.txt": LINE}
    data = read_all(tmp_path, files)
    assert splits_of(data) == {"images/train/a.png": "train", "images/val/b.png": "valid"}
    assert data.notes == ()


def test_a_folder_called_data_counts_where_it_exists(tmp_path: Path) -> None:
    lines = "data/obj_train_data/a.png\n"
    root = darknet(tmp_path, DARKNET.replace("data/train", "train"), train=lines)
    (root / "data").mkdir()
    data = read_all(root, {})
    assert list(splits_of(data)) == ["obj_train_data/a.png"]
    assert "found by the end of it (such as 'data/obj_train_data/a.png'" in data.notes[0]


def test_darknet_splits(tmp_path: Path) -> None:
    description = DARKNET + "valid = data/valid.txt\n# a remark\n"
    root = darknet(
        tmp_path,
        description,
        train="/content/obj_train_data/a.png\nC:\\x\\obj_train_data\\b.png\n",
        valid="obj_train_data/c.png",
    )
    assert splits_of(read_all(root, {})) == {
        "obj_train_data/a.png": "train",
        "obj_train_data/b.png": "train",
        "obj_train_data/c.png": "valid",
    }


def test_darknet_without_images_says_what_is_missing(tmp_path: Path) -> None:
    files: Files = {"obj_train_data/a.txt": LINE, "obj.names": "cat\n", "obj.data": DARKNET}
    lay(tmp_path, {**files, "train.txt": "data/obj_train_data/a.png\n"})
    assert yolo.sniff(tmp_path)
    refused(tmp_path, "images are expected, found none", "1 skipped", "obj_train_data/a.png")


@pytest.mark.parametrize(
    ("description", "line", "words"),
    [
        ("classes = 3\n" + DARKNET.partition("\n")[2], 1, ["nc is expected to be 2", "got 3"]),
        (DARKNET + "train = x\n", 5, ["each key once", "'train' a second time"]),
        (DARKNET + "hello\n", 5, ["`key = value`", "'hello'"]),
        ("train = gone.txt\nnames = obj.names\n", 1, ["'gone.txt' is expected below"]),
        ("train = train.txt\nnames = other.names\n", 2, ["a file of names"]),
    ],
)
def test_bad_darknet_descriptions_are_refused(
    tmp_path: Path, description: str, line: int, words: list[str]
) -> None:
    root = darknet(tmp_path, description, train="obj_train_data/a.png\n")
    error = refused(root, *words)
    assert (error.where, error.line) == (root / "obj.data", line)


# --- lists


def test_lists_beside_the_data_give_the_splits(tmp_path: Path) -> None:
    files: Files = {"classes.txt": "cat\ndog\n", "train.txt": "./images/a.png\n/x/images/b.png\n"}
    files |= {"dev.txt": "images\\c.png\n", "test.txt": "this is no list\nof images\n"}
    for stem in "abcd":
        files |= {f"images/{stem}.png": IMAGE, f"labels/{stem}.txt": LINE}
    data = read_all(tmp_path, files)
    assert splits_of(data) == {
        "images/a.png": "train",
        "images/b.png": "train",
        "images/c.png": "valid",
    }
    assert skipped(data)["images/d.png"] == "it is not listed in dev.txt or train.txt"


def test_lists_as_cvat_writes_them_for_ultralytics(tmp_path: Path) -> None:
    files: Files = {"data.yaml": NAMES + "path: ./\ntrain: train.txt\n"}
    files |= {"images/train/a.png": IMAGE, "labels/train/a.txt": LINE}
    data = read_all(tmp_path, {**files, "train.txt": "data/images/train/a.png\n"})
    assert splits_of(data) == {"images/train/a.png": "train"}


# --- descriptions


@pytest.mark.parametrize(
    "written",
    [
        "My-Project-1/train/images",
        "/content/My-Project-1/train/images",
        "D:\\data\\set\\train\\images",
        "../../train/images",
    ],
)
def test_folders_of_another_machine_are_found_by_their_end(tmp_path: Path, written: str) -> None:
    files: Files = {"train/images/a.png": IMAGE, "train/labels/a.txt": LINE}
    data = read_all(tmp_path, {**files, "data.yaml": NAMES + f"train: {written}\n"})
    assert splits_of(data) == {"train/images/a.png": "train"}
    (note,) = data.notes
    assert "train/images/ beside it is read instead" in note


@pytest.mark.parametrize("written", ["../train/images", "[../train/images]"])
def test_paths_as_roboflow_writes_them_need_no_note(tmp_path: Path, written: str) -> None:
    files: Files = {"train/images/a.png": IMAGE, "train/labels/a.txt": LINE}
    data = read_all(tmp_path, {**files, "data.yaml": NAMES + f"train: {written}\n"})
    assert splits_of(data) == {"train/images/a.png": "train"}
    assert data.notes == ()


def test_the_same_images_for_two_splits_are_asked_about(tmp_path: Path) -> None:
    files: Files = {"images/train/a.png": IMAGE, "labels/train/a.txt": LINE}
    description = NAMES + "train: images/train\nval: images/train\n"
    error = refused(
        lay(tmp_path, {**files, "data.yaml": description}),
        "in train and in valid",
        "To have the images split, name them for one split",
    )
    assert error.line == 3


# --- folders of any name


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("img/{stem}.png", "txt/{stem}.txt"),
        ("Images/{stem}.png", "Labels/{stem}.txt"),
        ("images/{stem}.png", "annotations/{stem}.txt"),
        ("JPEGImages/{stem}.png", "labels_yolo/{stem}.txt"),
        ("data/{stem}.png", "data/{stem}.TXT"),
        ("images/{stem}.png", "labels/{stem}.png.txt"),
        ("images/{stem}.PNG", "labels/{stem}.TXT"),
        ("images/{stem}.png", "labels/0123abcd-{stem}.txt"),
        ("images/\u00e9{stem}.png", "labels/e\u0301{stem}.txt"),
    ],
)
def test_text_files_are_found_by_their_stems(tmp_path: Path, image: str, text: str) -> None:
    files: Files = {"classes.txt": "cat\ndog\n"}
    for stem in ("a", "b"):
        files |= {image.format(stem=stem): IMAGE, text.format(stem=stem): LINE}
    data = read_all(tmp_path, files)
    assert [sample.id for sample in data] == [image.format(stem="a"), image.format(stem="b")]
    (note,) = [note for note in data.notes if "found by the image's name" in note]
    assert note.startswith("2 text files in another folder or with another spelling")
    assert data.skipped == ()


def test_text_files_go_with_folders_of_the_same_name(tmp_path: Path) -> None:
    files: Files = {"classes.txt": "cat\ndog\n"}
    for place in ("train/front", "train/back", "val/front"):
        files |= {f"{place}/img/a.png": IMAGE, f"{place}/txt/a.txt": LINE}
    files["train/back/txt/a.txt"] = "0 0.5 0.5 0.5 0.5\n"
    files["train/front/txt/a.txt"] = LINE * 2
    data = formats.read(lay(tmp_path, files))
    assert {sample.id: len(sample.target) for sample in data} == {
        "train/back/img/a.png": 1,
        "train/front/img/a.png": 2,
        "val/front/img/a.png": 1,
    }
    assert sorted(str(split) for split in splits_of(data).values()) == ["train", "train", "valid"]


def test_splits_of_the_text_files_are_those_of_the_images(tmp_path: Path) -> None:
    files: Files = {"classes.txt": "cat\ndog\n"}
    for split, stem in (("train", "a"), ("val", "b")):
        files |= {f"images/{stem}.png": IMAGE, f"labels/{split}/{stem}.txt": LINE}
    data = read_all(tmp_path, files)
    assert splits_of(data) == {"images/a.png": "train", "images/b.png": "valid"}
    assert any("the splits are those of the text files' folders" in note for note in data.notes)


def test_two_text_files_of_one_image_are_refused(tmp_path: Path) -> None:
    files: Files = {"img/a.png": IMAGE, "one/a.txt": LINE, "two/a.txt": LINE}
    lay(tmp_path, {**files, "classes.txt": "cat\ndog\n"})
    refused(tmp_path, "one text file is expected for img/a.png, found one/a.txt and two/a.txt")
    files = {"x/a.png": IMAGE, "y/a.png": IMAGE, "txt/a.txt": LINE, "classes.txt": "cat\ndog\n"}
    error = refused(lay(tmp_path / "b", files), "one image is expected", "x/a.png and y/a.png")
    assert error.where == tmp_path / "b" / "txt" / "a.txt"


def test_an_image_without_objects_takes_no_text_file_from_elsewhere(tmp_path: Path) -> None:
    files: Files = {"images/a.png": IMAGE, "labels/a.txt": LINE, "images/b.png": IMAGE}
    files |= {"old/b.txt": LINE * 3, "classes.txt": "cat\ndog\n"}
    data = formats.read(lay(tmp_path, files))
    assert [len(sample.target) for sample in data] == [1, 0]


def test_texts_that_hold_no_objects_are_not_taken(tmp_path: Path) -> None:
    files: Files = {"data.yaml": NAMES, "img/a.png": IMAGE, "captions/a.txt": "a cat on a mat"}
    lay(tmp_path, {**files, "txt/a.txt": LINE})
    assert len(formats.read(tmp_path, "yolo")[0].target) == 1


def test_images_outside_the_usual_folders_are_listed(tmp_path: Path) -> None:
    files: Files = {"images/a.png": IMAGE, "labels/a.txt": LINE, "classes.txt": "cat\ndog\n"}
    data = read_all(tmp_path, {**files, "results.png": IMAGE, "extra/b.png": IMAGE})
    reason = "it does not lie in images/, where the dataset's images are"
    assert skipped(data) == {"results.png": reason, "extra/b.png": reason}


def test_images_in_no_split_are_noted(tmp_path: Path) -> None:
    files: Files = {"images/a.png": IMAGE, "labels/a.txt": LINE, "classes.txt": "cat\ndog\n"}
    data = read_all(tmp_path, {**files, "images/val/b.png": IMAGE, "labels/val/b.txt": LINE})
    assert splits_of(data) == {"images/a.png": None, "images/val/b.png": "valid"}
    assert data.notes == (
        "1 image in no folder named after a split, while the other 1 are in one "
        "(such as images/a.png)",
    )


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/{}2017/{}.png", "labels/{}2017/{}.txt"),
        ("{}_images/{}.png", "{}_labels/{}.txt"),
        ("obj_{}_data/{}.png", "obj_{}_data/{}.txt"),
    ],
)
def test_folders_whose_names_say_more_are_splits(tmp_path: Path, image: str, text: str) -> None:
    files: Files = {"classes.txt": "cat\ndog\n"}
    for split, stem in (("train", "a"), ("val", "b")):
        files |= {image.format(split, stem): IMAGE, text.format(split, stem): LINE}
    data = read_all(tmp_path, files)
    assert [sample.split for sample in data] == ["train", "valid"]
    assert any(note.startswith("folders read as splits: ") for note in data.notes)
    assert data.skipped == ()


def test_a_byte_order_mark_is_no_number(tmp_path: Path) -> None:
    files: Files = {"img/a.png": IMAGE, "txt/a.txt": b"\xef\xbb\xbf" + LINE.encode()}
    read_all(tmp_path, {**files, "classes.txt": b"\xef\xbb\xbfcat\r\ndog\r\n"})


@pytest.mark.parametrize("count", [4, 5])
@pytest.mark.parametrize("described", [True, False])
def test_a_split_without_any_text_file_is_not_annotated(
    tmp_path: Path, count: int, described: bool
) -> None:
    """As the test images of a competition."""
    files: Files = {"classes.txt": "cat\ndog\n"}
    if described:
        files = {"data.yaml": NAMES + "train: images/train\ntest: images/test\n"}
    for number in range(5):
        files |= {f"images/train/{number}.png": IMAGE, f"labels/train/{number}.txt": LINE}
    files["images/train/empty.png"] = IMAGE
    files |= {f"images/test/{number}.png": IMAGE for number in range(count)}
    data = formats.read(lay(tmp_path, files))
    assert len(data) == (6 + count if count < 5 else 6)
    reason = "none of the 5 images of test has a text file, so they are not annotated"
    expected = {f"images/test/{number}.png": reason for number in range(count)}
    assert skipped(data) == (expected if count == 5 else {})


# --- tools


def test_the_export_of_label_studio(tmp_path: Path) -> None:
    files: Files = {"classes.txt": "cat\ndog\n", "notes.json": '{"categories": []}'}
    files |= {"images/0123abcd-a.png": IMAGE, "labels/0123abcd-a.txt": LINE}
    data = read_all(tmp_path, files)
    assert [sample.id for sample in data] == ["images/0123abcd-a.png"]
    assert (data.notes, data.skipped) == ((), ())


def test_the_exports_of_roboflow(tmp_path: Path) -> None:
    files: Files = {"README.roboflow.txt": "x", "README.dataset.txt": "x"}
    for split in ("train", "valid", "test"):
        files |= {f"{split}/images/{split}.png": IMAGE, f"{split}/labels/{split}.txt": LINE}
    described = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\n"
    described += "names: ['cat', 'dog']\nroboflow:\n  workspace: x\n  version: 1\n"
    data = read_all(tmp_path, {**files, "data.yaml": described})
    assert sorted(map(str, splits_of(data).values())) == ["test", "train", "valid"]
    assert data.skipped == ()


def test_text_files_of_something_else_are_told(tmp_path: Path) -> None:
    files: Files = {"images/a.png": IMAGE, "labels/a.txt": "cat 0.5 0.5 0.1 0.1\n"}
    lay(tmp_path, {**files, "classes.txt": "cat\ndog\n"})
    assert not yolo.sniff(tmp_path)
    assert yolo.missing(tmp_path) == (
        "labels/a.txt has the name of an image, but begins with 'cat 0.5 0.5 0.1 0.1'; "
        "`class cx cy w h` in numbers is expected"
    )
    with pytest.raises(DataError, match=r"yolo: labels/a\.txt has the name of an image"):
        formats.read(tmp_path)
    assert yolo.missing(lay(tmp_path / "b", {"a.png": IMAGE, "notes.txt": "x"})) is None


@pytest.mark.parametrize("names", ["data.yaml", "classes.txt"])
def test_a_folder_of_datasets_is_none_itself(tmp_path: Path, names: str) -> None:
    text = NAMES if names == "data.yaml" else "cat\ndog\n"
    for name in ("one", "two"):
        files: Files = {"images/a.png": IMAGE, "labels/a.txt": LINE, names: text}
        lay(tmp_path / name, files)
    assert not yolo.sniff(tmp_path)
    assert yolo.sniff(tmp_path / "one")


def test_one_folder_above_the_dataset(tmp_path: Path) -> None:
    files: Files = {"images/a.png": IMAGE, "labels/a.txt": LINE, "classes.txt": "cat\ndog\n"}
    data = read_all(tmp_path, {f"archive/data/{name}": text for name, text in files.items()})
    assert len(data) == 1
    lay(tmp_path / "archive" / "data", {"data.yaml": NAMES + "train: images\n"})
    assert not yolo.sniff(tmp_path)  # its paths are relative to its own folder
