"""Splits that stand in the names of files and folders."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from foveate.formats._shared.files.splits import (
    split_in_name,
    split_notes,
    split_of_path,
    with_splits_of_paths,
)


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.jpg", "train"),
        ("images/Val/x/a.jpg", "valid"),
        ("train/test/a.jpg", "train"),
        ("images/train.jpg", None),
        ("images/train2017/a.jpg", "train"),
        ("val_images/a.jpg", "valid"),
        ("obj_valid_data/a.jpg", "valid"),
        ("Test-Set/a.jpg", "test"),
        ("test set 2/a.jpg", "test"),
        ("train_test/a.jpg", None),
        ("trainval/a.jpg", None),
        ("test_tubes/a.jpg", None),
        ("training_wheels/a.jpg", None),
        ("data/a.jpg", None),
        ("2017/a.jpg", None),
        ("train/train/a.jpg", "train"),
        ("train_png/a.jpg", "train"),
    ],
)
def test_the_outermost_folder_tells_the_split(path: str, split: str | None) -> None:
    assert split_of_path(path) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_val2017", "valid"),
        ("train_labels.csv", "train"),
        ("seg_test", "test"),
        ("trainset", "train"),
        ("training_set", "train"),
        ("TestData", "test"),
        ("test_of_train", None),
        ("contest", None),
        ("trainers", None),
        ("", None),
    ],
)
def test_one_word_in_a_name_tells_the_split(name: str, split: str | None) -> None:
    assert split_in_name(name) == split


def test_folders_whose_names_say_more_are_noted() -> None:
    assert split_notes(["train/a.jpg", "images/val/b.jpg", "c.jpg"]) == []
    assert split_notes(["img/train2017/a.jpg", "test_set/train_x/b.jpg", "val/train_1/c.jpg"]) == [
        "folders read as splits: test_set/ as test, train2017/ as train"
    ]


@dataclass(frozen=True)
class Row:
    """An image in a table."""

    id: str
    split: str | None = None


def test_images_take_the_splits_of_their_paths_only_where_the_data_tells_none() -> None:
    rows = [Row("train/1.jpg"), Row("val/1.jpg")]
    split_rows, notes = with_splits_of_paths(rows)
    assert [row.split for row in split_rows] == ["train", "valid"]
    assert notes == ["the splits are those of the folders in the paths: train/ (1), val/ (1)"]
    assigned = [Row("train/1.jpg", "test"), Row("val/1.jpg")]
    assert with_splits_of_paths(assigned) == (assigned, [])
    assert with_splits_of_paths([]) == ([], [])


def test_paths_as_written_tell_the_splits_where_the_images_lie_elsewhere() -> None:
    rows = [Row("a.jpg"), Row("b.jpg")]
    written = {"a.jpg": "train\\a.jpg", "b.jpg": "test\\b.jpg"}
    assert [row.split for row in with_splits_of_paths(rows, written)[0]] == ["train", "test"]
    assert with_splits_of_paths(rows, {"a.jpg": "a.jpg", "b.jpg": "b.jpg"}) == (rows, [])
