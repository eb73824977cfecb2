"""Images of YOLO datasets: folders, splits, and what is listed as missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from foveate import formats
from foveate.data.dataset import Dataset
from foveate.formats import yolo
from helpers.format_reading import skipped
from helpers.yolo_files import IMAGE, LINE, LINE_BOX, NAMES, lay, refused, usual


def parted(root: Path, **description: str) -> Path:
    """Write one image per split, as images/train/a.png, with this data.yaml."""
    for split, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        lay(root, {f"images/{split}/{stem}.png": IMAGE, f"labels/{split}/{stem}.txt": LINE})
    return lay(
        root,
        {"data.yaml": NAMES + "".join(f"{key}: {value}\n" for key, value in description.items())},
    )


def splits_of(data: Dataset[Any]) -> dict[str, str | None]:
    return {sample.id: sample.split for sample in data}


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("images/{split}/{stem}.png labels/{split}/{stem}.txt", {"data.yaml": NAMES}),
        (
            "images/{split}/deep/{stem}.png labels/{split}/deep/{stem}.txt",
            {"classes.txt": "cat\ndog\n"},
        ),
        (
            "{split}/images/{stem}.png {split}/labels/{stem}.txt",
            {"obj.names": " cat \r\ndog\r\n\r\n"},
        ),
        ("{split}/{stem}.png {split}/{stem}.txt", {"{split}/_darknet.labels": "cat\ndog\n"}),
        (
            "images/{split}/{stem}.png labels/{split}/{stem}.txt",
            {"labels/classes.txt": "cat\ndog\n"},
        ),
    ],
)
def test_folders_give_the_split(tmp_path: Path, layout: str, names: dict[str, str | bytes]) -> None:
    for split, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        image, text = layout.format(split=split, stem=stem).split()
        lay(
            tmp_path,
            {
                image: IMAGE,
                text: LINE,
                **{key.format(split=split): value for key, value in names.items()},
            },
        )
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: sample.split for sample in data} == {
        "a": "train",
        "b": "valid",
        "c": "test",
    }
    assert all(sample.target.corners.tolist() == [list(LINE_BOX)] for sample in data)
    assert (data.classes, data.skipped, data.notes) == (("cat", "dog"), (), ())


def test_datasets_without_splits_are_read(tmp_path: Path) -> None:
    for root, files in (
        ("two folders", {"images/a.png": IMAGE, "labels/a.txt": LINE}),
        ("side by side", {"a.png": IMAGE, "a.txt": LINE, "LICENSE": "x"}),
        ("below", {"images/some/a.png": IMAGE, "labels/some/a.txt": LINE}),
    ):
        data = formats.read(lay(tmp_path / root, {**files, "classes.txt": "cat\ndog\n"}))
        assert set(splits_of(data).values()) == {None}
        assert [len(sample.target) for sample in data] == [1] * len(data)
        assert data.skipped == ()


@pytest.mark.parametrize(
    "description",
    [
        {"train": "images/train", "val": "images/val", "test": "images/test"},
        {"path": ".", "train": "./images/train/", "valid": "[images/val]", "test": "images/test"},
        {"path": "images", "train": "train", "val": "val", "test": "test"},
        {"train": "{root}/images/train", "val": "{root}/images/val", "test": "images\\test"},
        {"path": "{root}", "train": "images/train", "val": "images/val", "test": "images/test"},
    ],
)
def test_data_yaml_gives_the_splits(tmp_path: Path, description: dict[str, str]) -> None:
    root = parted(
        tmp_path / "set",
        **{key: value.format(root=tmp_path / "set") for key, value in description.items()},
    )
    expected = {
        "images/train/a.png": "train",
        "images/val/b.png": "valid",
        "images/test/c.png": "test",
    }
    for path in (root, root / "data.yaml"):
        data = formats.read(path)
        assert splits_of(data) == expected
        assert (data.name, data.origin, data.skipped, data.notes) == ("set", path, (), ())


@pytest.mark.parametrize("base", ["../datasets/set", "/content/set", "C:/data", "nowhere"])
def test_a_path_of_another_machine_is_replaced_and_noted(tmp_path: Path, base: str) -> None:
    data = formats.read(
        parted(tmp_path, path=base, train="images/train", val="images/val", test="images/test")
    )
    assert len(data) == 3
    assert len(data.notes) == 3
    assert (
        "'images/train' for train, which does not exist; images/train/ beside it is read"
        in data.notes[0]
    )


def test_the_paths_of_roboflow_are_read(tmp_path: Path) -> None:
    lay(tmp_path, {"train/images/a.png": IMAGE, "train/labels/a.txt": LINE})
    lay(tmp_path, {"data.yaml": NAMES + "train: ../train/images\nval: ../valid/images\ntest:\n"})
    data = formats.read(tmp_path)
    assert splits_of(data) == {"train/images/a.png": "train"}
    assert skipped(data) == {"../valid/images": "data.yaml names it for val, but it does not exist"}


def test_lists_of_images_give_the_splits(tmp_path: Path) -> None:
    root = parted(tmp_path / "set", train="train.txt", val="[lists/val.txt, images/test]")
    lay(
        root,
        {
            "train.txt": f"./images/train/a.png\n\n{root}/images/train/a.png\n"
            "images/train/gone.png\nimages/train/x.heic\n",
            "lists/val.txt": "../images/val/b.png\r\n",
            "images/val/extra.png": IMAGE,
        },
    )
    data = formats.read(root)
    assert splits_of(data) == {
        "images/train/a.png": "train",
        "images/val/b.png": "valid",
        "images/test/c.png": "valid",
    }
    assert skipped(data) == {
        "images/train/gone.png": "there is no such file (train.txt, line 4)",
        "images/train/x.heic": "the file suffix is not that of an image",
        "images/val/extra.png": "it is in no split that data.yaml names",
    }


def test_an_image_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    error = refused(
        parted(tmp_path, train="images", val="images/val"),
        "images/val/b.png",
        "in train and in valid",
        "leak",
    )
    assert (error.where, error.line) == (tmp_path / "data.yaml", 3)
    lay(
        parted(tmp_path, train="images/train", val="val.txt"),
        {"val.txt": "images/val/b.png\nimages/train/a.png\n"},
    )
    error = refused(tmp_path, "leak")
    assert (error.where, error.line) == (tmp_path / "val.txt", 2)


@pytest.mark.parametrize("key", ["train", "val"])
@pytest.mark.parametrize("written", ["../secret", "/etc", "images/../../secret", "C:\\x"])
def test_nothing_outside_the_dataset_is_read(tmp_path: Path, key: str, written: str) -> None:
    lay(tmp_path, {"secret/images/a.png": IMAGE, "secret/labels/a.txt": LINE})
    lay(tmp_path, {"secret/b.png": IMAGE, "secret/b.txt": LINE})
    description = {"train": "images/train", "val": "images/val", key: written}
    root = parted(tmp_path / "set", **description)
    if key == "train":
        error = refused(root, "is expected below set/, it does not exist", "move data.yaml")
        assert (error.where, error.line) == (root / "data.yaml", 2)
    else:
        data = formats.read(root)
        assert set(splits_of(data)) == {"images/train/a.png"}
        reason = "data.yaml names it for val, but it does not exist"
        assert skipped(data)[written] == reason
    listed = parted(tmp_path / "listed", train="images/train", val="v.txt")
    lay(listed, {"v.txt": f"images/val/b.png\n{written}/secret.png\n"})
    data = formats.read(listed)
    assert set(splits_of(data)) == {"images/train/a.png", "images/val/b.png"}
    assert any(
        reason == "there is no such file (v.txt, line 2)" for reason in skipped(data).values()
    )


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    lay(
        usual(tmp_path),
        {
            "images/empty.png": IMAGE,
            "labels/empty.txt": "",
            "images/bare.png": IMAGE,
            "images/damaged.png": IMAGE[:20],
            "labels/damaged.txt": LINE,
            "images/nothing.png": b"",
            "labels/nothing.txt": LINE,
            "images/x.heic": "x",
            "labels/alone.txt": "anything",
            "labels/deep/er/alone.txt": LINE,
            "labels/classes.txt": "cat\ndog\n",
            "labels/.hidden/x.txt": LINE,
        },
    )
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: len(sample.target) for sample in data} == {
        "a": 1,
        "bare": 0,
        "empty": 0,
    }
    assert data.notes == (
        "1 image without a text file, read as images without objects (such as images/bare.png)",
    )
    reasons = skipped(data)
    assert reasons.pop("images/damaged.png").startswith(
        "the image is damaged"
    ) or "none or is damaged" in str(data.skipped)
    assert reasons == {
        "images/nothing.png": "the file is empty (0 bytes)",
        "images/x.heic": "the file suffix is not that of an image",
        "labels/alone.txt": "no image has the name of this text file",
        "labels/deep/er/alone.txt": "no image has the name of this text file",
    }


def test_labels_replaces_the_last_images_of_a_path(tmp_path: Path) -> None:
    files = {
        "images/x/images/a.png": IMAGE,
        "images/x/labels/a.txt": LINE,
        "labels/x/images/a.txt": "wrong",
    }
    data = formats.read(lay(tmp_path, {**files, "data.yaml": NAMES + "train: images\n"}))
    assert len(data[0].target) == 1


def test_circular_links_and_pipes_do_no_harm(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "images" / "self").symlink_to(tmp_path / "images")
    (tmp_path / "labels" / "self").symlink_to(tmp_path / "labels")
    assert list(splits_of(formats.read(tmp_path))) == ["images/a.png"]
    os.mkfifo(tmp_path / "labels" / "pipe.txt")
    lay(tmp_path, {"images/pipe.png": IMAGE})
    refused(tmp_path, "pipe.txt", "a folder or a device")
    (tmp_path / "data.yaml").unlink()
    os.mkfifo(tmp_path / "data.yaml")
    assert yolo.sniff(tmp_path)


def test_empty_datasets_are_refused(tmp_path: Path) -> None:
    refused(lay(tmp_path / "a", {"data.yaml": NAMES}), "images are expected, found none")
    refused(
        lay(tmp_path / "b", {"data.yaml": NAMES, "images/a.png": b""}),
        "1 skipped; images/a.png: the file is empty",
    )
    refused(
        lay(tmp_path / "c", {"data.yaml": NAMES, "images/a.png": IMAGE}),
        "a text file",
        "such as labels/a.txt",
    )
    refused(lay(tmp_path / "d", {"x.csv": "x"}) / "x.csv", "this is another file")
    damaged = {"data.yaml": NAMES, "images/a.png": IMAGE[:9], "labels/a.txt": LINE}
    refused(lay(tmp_path / "e", damaged), "found none that can be used (1 skipped; images/a.png: ")
