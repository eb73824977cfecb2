"""Images of COCO files: their folders, their splits, and what is listed as missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate.formats import coco
from helpers.coco_files import (
    HEIGHT,
    IMAGE,
    WIDTH,
    document,
    image,
    lay,
    make_object,
    read,
    refused,
    usual,
)
from helpers.format_reading import skipped


def test_the_layout_of_coco_is_read(tmp_path: Path) -> None:
    for split in ("train", "val"):
        lay(
            tmp_path,
            {
                f"annotations/instances_{split}2017.json": document(make_object()),
                f"{split}2017/a.png": IMAGE,
                f"annotations/captions_{split}2017.json": {"images": [], "annotations": []},
            },
        )
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "train2017/a.png": "train",
        "val2017/a.png": "valid",
    }
    assert (data.classes, data.skipped) == (("cat",), ())
    assert data.notes == (
        "other JSON files, not read: annotations/captions_train2017.json, "
        "annotations/captions_val2017.json (give one itself to read it)",
    )


def test_the_layout_of_roboflow_is_read(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        lay(
            tmp_path,
            {f"{split}/_annotations.coco.json": document(make_object()), f"{split}/a.png": IMAGE},
        )
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        f"{p}/a.png": p for p in ("train", "valid", "test")
    }
    assert (data.skipped, data.notes) == ((), ())


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("instances.json", "a.png"),
        ("instances.json", "images/a.png"),
        ("whatever.json", "deep down/a.png"),
        ("labels.json", "data/x/a.png"),
        ("annotations/instances_default.json", "images/a.png"),
        ("annotations/x.json", "a.png"),
    ],
)
def test_the_images_are_found(tmp_path: Path, file: str, image: str) -> None:
    root = lay(tmp_path / "set", {file: document(make_object()), image: IMAGE})
    for path in (root, root / file):
        data = read(path, "coco")  # "deep down" could be a class, and the user be asked
        assert [(sample.id, sample.split) for sample in data] == [(image, None)]
        assert data[0].source.read().shape == (HEIGHT, WIDTH, 1)
    assert read(root / file).name == Path(file).stem


def test_a_name_may_hold_folders(tmp_path: Path) -> None:
    images = [image(1, "train/x/a.png"), image(2, "./train//b.png"), image(3, "train\\x\\c.png")]
    root = lay(
        tmp_path, {f"images/train/{name}": IMAGE for name in ("x/a.png", "b.png", "x/c.png")}
    )
    data = read(lay(root, {"instances.json": document(make_object(), images=images)}))
    assert [sample.id for sample in data] == [
        f"images/train/{name}" for name in ("x/a.png", "b.png", "x/c.png")
    ]


def test_images_of_another_dataset_are_not_used(tmp_path: Path) -> None:
    lay(tmp_path, {"one/instances.json": document(make_object()), "two/a.png": IMAGE})
    refused(
        tmp_path / "one",
        "found none that can be used (1 skipped; a.png: there is no such file)",
        "images/",
    )
    refused(
        tmp_path / "one" / "instances.json",
        "found none that can be used (1 skipped; a.png: there is no such file)",
    )


def test_equal_names_in_two_splits_are_different_images(tmp_path: Path) -> None:
    train = document(make_object(), images=[image(1, "1.png")])
    valid = document(make_object(), images=[image(1, "1.png"), image(2, "2.png")])
    lay(
        tmp_path,
        {
            "annotations/instances_train.json": train,
            "annotations/instances_val.json": valid,
            "train/1.png": IMAGE,
            "train/2.png": IMAGE,
            "val/1.png": IMAGE,
        },
    )
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "train/1.png": "train",
        "val/1.png": "valid",
    }
    assert skipped(data) == {
        "val/2.png": "there is no such file (train/2.png has its name, but lies in another folder)"
    }
    assert data.notes == ("1 image without an image record, left out (such as train/2.png)",)


def test_missing_images_are_listed(tmp_path: Path) -> None:
    names = ["a.png", "gone.png", "empty.png", "folder.png", "x" * 300 + "/y.png", "link.png"]
    root = usual(
        tmp_path,
        document(make_object(), images=[image(i, name) for i, name in enumerate(names)]),
        "a.png",
        "b.png",
    )
    lay(root, {"images/empty.png": b"", "images/folder.png/x": b"x", "images/.hidden.png": IMAGE})
    (root / "images" / "link.png").symlink_to(tmp_path / "nowhere")
    data = read(root)
    assert [sample.id for sample in data] == ["images/a.png"]
    assert skipped(data) == {
        "images/gone.png": "there is no such file",
        "images/empty.png": "the file is empty (0 bytes)",
        "images/folder.png": "a file is expected, this is a folder or a device",
        f"images/{names[4]}": "the file cannot be opened (File name too long)",
        "images/link.png": "the link leads to no file",
    }
    assert data.notes == ("1 image without an image record, left out (such as images/b.png)",)


def test_a_link_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    """The user made the link, while a path in a file comes from a stranger."""
    root = usual(tmp_path / "set", document(make_object()))
    lay(tmp_path, {"elsewhere.png": IMAGE})
    (root / "images" / "a.png").unlink()
    (root / "images" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert read(root)[0].source.read().shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    "name", ["../../secret.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png", "sub/../../../x.png"]
)
def test_nothing_outside_the_dataset_is_read(tmp_path: Path, name: str) -> None:
    lay(tmp_path, {"secret.png": IMAGE})
    path = usual(tmp_path / "set", document(make_object(), images=[image(), image(2, name)]))
    data = read(path)
    assert [sample.id for sample in data] == ["images/a.png"]
    assert list(skipped(data).values()) == ["there is no such file"]


@pytest.mark.parametrize("name", ["", "a\0b", ".", "\ud800"])
def test_what_is_no_path_is_refused(tmp_path: Path, name: str) -> None:
    path = usual(tmp_path / "set", document(make_object(), images=[image(), image(2, name)]))
    assert refused(path, " is expected").where == tmp_path / "set" / "instances.json"
    assert coco.sniff(path)


def test_a_path_may_leave_its_folder_within_the_dataset(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "images/a.png": IMAGE,
            "annotations/x.json": document(make_object(), images=[image(1, "../images/a.png")]),
        },
    )
    assert [sample.id for sample in read(tmp_path)] == ["images/a.png"]


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    train, valid = (
        document(make_object()),
        document(make_object(), images=[image(1, "a.png", odd=1)]),
    )
    lay(
        tmp_path,
        {
            "annotations/instances_train.json": train,
            f"annotations/instances_val{odd}.json": valid,
            f"train{odd}/a.png": IMAGE,
            "val/a.png": IMAGE,
        },
    )
    data = read(tmp_path, "coco")
    assert skipped(data) == {"train\\udcff/a.png": "the name is not valid UTF-8"}
    assert data.notes == ("instances_val\\udcff.json: keys of image records not read: 'odd'",)


def test_groups_and_times_are_read(tmp_path: Path) -> None:
    images = [
        image(1, "a.png", group="p 1", time="2026-01-02"),
        image(2, "b.png", group=7, time=None),
    ]
    data = read(usual(tmp_path, document(make_object(), images=images), "a.png", "b.png"))
    assert [(sample.group, sample.time) for sample in data] == [("p 1", "2026-01-02"), ("7", None)]


def test_ignored_keys_are_noted(tmp_path: Path) -> None:
    instances = [
        make_object(1, keypoints=[1, 2, 2], area=3),
        make_object(2, attributes={"occluded": True}),
    ]
    data = read(
        usual(
            tmp_path,
            document(
                *instances, images=[image(weather="wet", license=1), image(2, "b.png", width=0)]
            ),
        )
    )
    assert data.notes == (
        "instances.json: 1 image record without height and width",
        "instances.json: keys of annotations not read: 'attributes', 'keypoints'",
        "instances.json: keys of image records not read: 'weather'",
    )
