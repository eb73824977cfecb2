"""Folders that may not be the classes: looked through, noted, or asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.datasets.load import load
from foveate.formats import folder
from foveate.formats._shared.recognition.folder_names import is_reserved
from helpers.load_files import ids, lay, names, refused, skipped

AB = ("a/IMG_7.png", "a/x.png", "b/IMG_8.png", "b/y.png")


def below(*folders: str) -> list[str]:
    return [f"{folder}/{number}.png" for number, folder in enumerate(folders)]


def splits(data: Dataset[Label]) -> dict[str, str | None]:
    return {sample.id: sample.split for sample in data}


def asks(path: Path, *words: str) -> None:
    """The folders are not taken for classes, until the user says that they are."""
    assert not folder.sniff(path)
    assert "--format folder" in str(refused(path, *words))
    folders = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    assert load(path, format="folder").classes == tuple(folders)
    (path / "classes.txt").write_text("".join(f"{name}\n" for name in folders))
    assert load(path).classes == tuple(folders)


# --- splits


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("dev", "valid"),
        ("Dev", "valid"),
        ("eval", "valid"),
        ("evaluation", "valid"),
        ("holdout", "test"),
        ("Testing", "test"),
    ],
)
def test_every_word_for_a_split(word: str, split: str, tmp_path: Path) -> None:
    lay(tmp_path, *below("train/a", "train/b", f"{word}/a", f"{word}/b"))
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert list(splits(data).values()).count(split) == 2
    assert data.notes == ()


def test_a_word_in_the_names_tells_the_splits(tmp_path: Path) -> None:
    lay(tmp_path, *below("seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b"))
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert sorted(map(str, splits(data).values())) == ["test", "test", "train", "train"]
    assert "seg_test/ is test, seg_train/ is train" in data.notes[0]


@pytest.mark.parametrize("rest", ["seg_pred", "seg_pred/seg_pred", "test-others"])
def test_images_to_predict_beside_the_splits_are_listed(tmp_path: Path, rest: str) -> None:
    for split in ("seg_train/seg_train", "seg_test/seg_test"):
        lay(tmp_path, *below(f"{split}/a", f"{split}/b"))
    lay(tmp_path, f"{rest}/1.png")
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert sorted(map(str, splits(data).values())) == ["test", "test", "train", "train"]
    assert skipped(data) == {f"{rest}/1.png": "it lies in no class folder"}


@pytest.mark.parametrize("words", [("training_set", "test_set"), ("train2017", "val2017")])
def test_a_split_may_be_repeated(words: tuple[str, str], tmp_path: Path) -> None:
    """Archives unpack into a folder of their own name."""
    for word in words:
        lay(tmp_path, *below(f"{word}/{word}/cat", f"{word}/{word}/dog"))
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert {sample.id.split("/")[0]: sample.split for sample in data}[words[0]] == "train"
    assert len(set(splits(data).values())) == 2


def test_splits_below_the_classes(tmp_path: Path) -> None:
    data = load(lay(tmp_path, *below("cat/train", "cat/test", "dog/train", "dog/val")))
    assert data.classes == ("cat", "dog")
    assert splits(data) == {
        "cat/train/0.png": "train",
        "cat/test/1.png": "test",
        "dog/train/2.png": "train",
        "dog/val/3.png": "valid",
    }
    assert any("are splits: cat/test/" in note for note in data.notes)


def test_what_lies_beside_split_folders_without_images_does_no_harm(tmp_path: Path) -> None:
    lay(tmp_path, *below("train/a", "train/b", "test/a"))
    lay(tmp_path, "docs/index.html", "scripts/run.py", content=b"x")
    assert load(tmp_path).classes == ("a", "b")


def test_tables_that_are_not_read_are_named(tmp_path: Path) -> None:
    lay(tmp_path / "one", *AB)
    (tmp_path / "one" / "weather.csv").write_text("day,rain\nmonday,2\ntuesday,3\n")
    (tmp_path / "one" / "notes.txt").write_text("day\n")
    assert load(tmp_path / "one").notes == (
        "tables beside the class folders, not read: weather.csv",
    )
    root = lay(tmp_path / "two", *below("train/a", "train/b", "test/a", "test/b"))
    for name in ("train/doses.tsv", "patients.xlsx"):
        (root / name).write_text("day\train\nmonday\t2\n")
    assert load(root).notes == (
        "tables beside the class folders, not read: patients.xlsx, train/doses.tsv",
    )


def test_classes_that_the_train_split_lacks_are_noted(tmp_path: Path) -> None:
    lay(tmp_path, *below("train/good", "test/good", "test/crack", "test/hole"))
    data = load(tmp_path)
    assert data.classes == ("crack", "good", "hole")
    assert "the train split has no image of crack, hole" in data.notes


def test_a_class_called_train_is_noted(tmp_path: Path) -> None:
    data = load(lay(tmp_path, *below("car", "train", "bus")))
    assert data.classes == ("bus", "car", "train")
    assert "train/ is read as a class, since other class folders lie beside it" in data.notes


@pytest.mark.parametrize("word", ["test", "val", "dev", "Eval", "holdout"])
def test_a_split_beside_classes_is_asked_about(word: str, tmp_path: Path) -> None:
    asks(lay(tmp_path, *below("cat", "dog", word)), f"{word}/ is named like", "class folders lie")


def test_train_with_classes_beside_classes_is_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, *below("train/a", "train/b", "extra"))
    asks(tmp_path, "train/ is named like a split and holds folders (a/ and b/)")


def test_images_in_split_folders_are_no_classes(tmp_path: Path) -> None:
    refused(lay(tmp_path / "a", *below("train2017", "val2017")), "hold no class folders")
    refused(lay(tmp_path / "b", *below("train", "val")), "not in folders named like their classes")


# --- names of folders


@pytest.mark.parametrize(
    "folders",
    [
        ("images", "labels"),
        ("imagesTr", "labelsTr"),
        ("imagesTr", "imagesTs", "labelsTr"),
        ("Images", "Masks"),
        ("image", "mask"),
        ("img", "gt"),
        ("images_001", "images_002"),
        ("train_images", "train_masks"),
        ("JPEGImages", "SegmentationClass"),
        ("images_of_cells", "masks_of_cells"),
        ("photos", "pictures"),
    ],
)
def test_folders_of_images_and_annotations_are_no_classes(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    lay(tmp_path, *below(*folders))
    assert not folder.sniff(tmp_path)
    assert "are named like folders of images or annotations" in str(folder.question(tmp_path))


def test_a_folder_of_images_beside_classes_is_asked_about(tmp_path: Path) -> None:
    asks(lay(tmp_path, *below("cat", "dog", "images")), "images/ is named like folders of images")


@pytest.mark.parametrize(
    "classes",
    [("mask", "no_mask"), ("Mask", "without mask"), ("label_0", "label_1"), ("with_mask", "none")],
)
def test_classes_may_be_named_like_annotations(classes: tuple[str, ...], tmp_path: Path) -> None:
    assert load(lay(tmp_path, *below(*classes))).classes == tuple(sorted(classes))


def test_names_that_are_not_reserved() -> None:
    for name in ("imagery", "photographer", "masked", "label_1", "Label 2", "database", "Ann"):
        assert not is_reserved(name)


@pytest.mark.parametrize(
    "copy", ["class_a (1)", "class_a (2)", "class_a - Copy", "class_a copy", "Class_a - Kopie (2)"]
)
def test_a_copy_of_a_class_folder_is_asked_about(copy: str, tmp_path: Path) -> None:
    asks(lay(tmp_path, *below("class_a", "class_b", copy)), "may be a copy of class_a/")


def test_numbers_in_brackets_alone_are_classes(tmp_path: Path) -> None:
    assert load(lay(tmp_path, *below("type (1)", "type (2)"))).classes == ("type (1)", "type (2)")


# --- folders in folders


def test_a_folder_that_holds_everything_is_looked_through(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"archive/flowers/{name}" for name in AB))
    lay(tmp_path / "set", "README.md", "archive/LICENSE", "archive.zip", "archive/.DS_Store")
    data = load(tmp_path / "set")
    assert (data.classes, ids(data)) == (("a", "b"), list(AB))
    assert (data.name, data.origin) == ("set", tmp_path / "set")
    assert data.notes == ("read from archive/flowers/, since there is nothing else in the folder",)
    assert load(data.origin) == data
    assert load(tmp_path / "set", format="folder") == data


def test_the_folders_are_looked_through_to_split_folders(tmp_path: Path) -> None:
    lay(tmp_path, *below("my-set-main/train/a", "my-set-main/train/b", "my-set-main/dev/a"))
    assert set(splits(load(tmp_path)).values()) == {"train", "valid"}


def test_a_single_class_is_not_looked_through(tmp_path: Path) -> None:
    refused(lay(tmp_path, "cat/1.png", "cat/black/2.png"), "found one ('cat')")


@pytest.mark.parametrize(
    "folders",
    [
        ("site1/cat", "site1/dog", "site2/cat", "site2/dog"),
        ("fold_1/cat", "fold_1/dog", "fold_2/dog"),
        ("p1/good", "p1/bad", "p2/good", "p3/bad"),
    ],
)
def test_folders_that_hold_the_same_folders_are_asked_about(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    asks(lay(tmp_path, *below(*folders)), "hold the same folders", "so these may be the classes")


def test_two_levels_of_names_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, *below("animals/cat", "animals/dog", "vehicles/car", "vehicles/bus"))
    asks(
        tmp_path, "may be animals/ and vehicles/, or what lies in them (cat/ and dog/ in animals/)"
    )


def test_images_beside_the_deeper_folders_settle_it(tmp_path: Path) -> None:
    data = load(lay(tmp_path, *below("cat", "cat/new", "dog", "dog/new", "dog/old")))
    assert data.classes == ("cat", "dog")
    assert (
        "images in deeper folders are of the class of the topmost one (such as cat/new/)"
        in data.notes
    )


def test_one_folder_in_each_class_is_no_doubt(tmp_path: Path) -> None:
    assert names(load(lay(tmp_path, *below("cat/images", "dog/images")))) == ["cat", "dog"]


@pytest.mark.parametrize("folders", [("augmented/yes", "augmented/no", "yes", "no"), ("a", "b/a")])
def test_folders_named_like_the_classes_in_a_class_are_asked_about(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    asks(lay(tmp_path, *below(*folders)), "named like what lies beside it")


def test_masks_in_a_class_folder_are_asked_about(tmp_path: Path) -> None:
    asks(lay(tmp_path, *below("cat", "cat/masks", "dog")), "cat/ holds masks/, named like a folder")


# --- names of images


def test_images_of_the_same_names_may_be_views(tmp_path: Path) -> None:
    for eye in ("left_eye", "right_eye"):
        lay(tmp_path, *(f"{eye}/{name}.png" for name in ("anna", "ben", "p-1031", "zoe")))
    asks(tmp_path, "hold images of the same names (such as anna)", "views of the same objects")


@pytest.mark.parametrize(
    "views", [("left", "right"), ("before", "After"), ("RGB", "thermal"), ("cam0", "cam1", "cam2")]
)
def test_images_that_count_alike_may_be_views_by_the_names_of_the_folders(
    views: tuple[str, ...], tmp_path: Path
) -> None:
    for view in views:
        lay(tmp_path, *(f"{view}/{number:03d}.png" for number in range(8)))
    asks(tmp_path, "hold images of the same names (such as 000)")


def test_splits_in_one_class_folder_only_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, *below("photos_a/train/aachen", "fine_b/train/aachen"))
    asks(tmp_path, "holds train/, named like a split")


def test_images_that_only_count_are_different(tmp_path: Path) -> None:
    for animal in ("cat", "dog"):
        lay(tmp_path, *(f"{animal}/{number}.png" for number in range(1, 20) if number != 7))
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.notes == ()


@pytest.mark.parametrize("name", ["{:03}", "IMG_{}", "{} small", "scan2_{}", "{}_r2", "{}x64"])
def test_numbers_may_have_text_around_them(tmp_path: Path, name: str) -> None:
    for animal in ("cat", "dog"):
        lay(tmp_path, *(f"{animal}/{name.format(number)}.png" for number in range(7, 14)))
    assert load(tmp_path).classes == ("cat", "dog")


def test_a_few_equal_names_mean_nothing(tmp_path: Path) -> None:
    for animal in ("cat", "dog"):
        lay(tmp_path, f"{animal}/IMG_0001.png", *(f"{animal}/{animal}-{k}.png" for k in range(5)))
    assert load(tmp_path).notes == ()


# --- what is no image, and what is empty


def test_leftovers_of_systems_are_no_classes(tmp_path: Path) -> None:
    lay(tmp_path, *AB)
    lay(tmp_path, "$RECYCLE.BIN/1.png", "System Volume Information/1.png", "@eaDir/1.png")
    lay(tmp_path, "lost+found/1.png", "__pycache__/1.png", ".ipynb_checkpoints/1.png")
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert skipped(data) == {}


def test_empty_classes_and_classes_of_other_files_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, *AB, "notes/1.txt", "raw/1.CR2")
    (tmp_path / "empty class").mkdir()
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert set(skipped(data)) == {"empty class/", "notes/", "raw/", "notes/1.txt", "raw/1.CR2"}


# --- writing


def made(*labels: tuple[str, str], classes: tuple[str, ...]) -> Dataset[Label]:
    pixels = np.arange(len(labels) * 12, dtype=np.uint8).reshape(len(labels), 4, 3, 1)
    samples = [
        Sample(id, ArraySource(pixels, row), Label(classes.index(label)))
        for row, (id, label) in enumerate(labels)
    ]
    return Dataset("made", "classification", classes, samples)


@pytest.mark.parametrize(
    "dataset",
    [
        made(("1", "cat"), ("2", "test"), classes=("cat", "test")),
        made(("1", "train"), ("2", "test"), ("3", "x"), classes=("test", "train", "x")),
        made(("1", "images"), ("2", "cat"), classes=("cat", "images")),
        made(("1", "cat"), ("2", "cat (1)"), classes=("cat", "cat (1)")),
        made(("a/1", "x"), ("b/2", "x"), ("a/3", "y"), ("b/4", "y"), classes=("x", "y")),
    ],
    ids=["a split", "splits", "images", "a copy", "folders"],
)
def test_what_would_be_asked_about_is_written_with_its_classes(
    dataset: Dataset[Label], tmp_path: Path
) -> None:
    formats.find_writer("folder").write(dataset, tmp_path / "data")
    assert (tmp_path / "data" / "classes.txt").is_file()
    data = load(tmp_path / "data")
    assert data.classes == dataset.classes
    assert sorted(names(data)) == sorted(names(dataset))


def test_classes_are_listed_for_splits_too(tmp_path: Path) -> None:
    plain = made(
        *(
            (f"{site}/{number}", label)
            for number, (site, label) in enumerate([("a", "x"), ("b", "x"), ("a", "y"), ("b", "y")])
        ),
        classes=("x", "y"),
    )
    split = replace(plain, samples=[replace(sample, split="train") for sample in plain])
    formats.find_writer("folder").write(split, tmp_path / "data")
    assert load(tmp_path / "data").classes == ("x", "y")
    (tmp_path / "data" / "classes.txt").unlink()
    refused(tmp_path / "data", "hold the same folders")
