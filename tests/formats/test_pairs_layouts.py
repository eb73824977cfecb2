"""Images and label images in folders of any names, in one folder, and with splits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Mask
from foveate.data.dataset import Dataset
from foveate.errors import DataError
from helpers.format_reading import skipped
from helpers.label_scenes import classes, photo, save

COUNT = 5


def lay(root: Path, image: str, label: str, count: int = COUNT, split: str = "") -> Path:
    """Save pairs; the names have {i} for the number and {split}."""
    for number in range(count):
        given = {"i": f"{number:03}", "split": split}
        save(root / image.format(**given), photo(number))
        save(root / label.format(**given), classes(number))
    return root


def read(path: Path) -> Dataset[Mask]:
    data = formats.read(path)
    assert (data.format, data.task) == ("pairs", "semantic")
    for sample in data:
        number = int(re.findall(r"\d+", Path(sample.id).stem)[0])
        assert np.array_equal(sample.target.pixels.read(), classes(number)), sample.id
    return data


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("photos/{i}.jpg", "drawn/{i}.png"),
        ("Original/{i}.png", "Ground Truth/{i}.png"),
        ("input/{i}.jpg", "target/{i}.png"),
        ("a/{i}.jpg", "b/{i}.png"),
        ("CameraRGB/{i}.png", "CameraSeg/{i}.png"),
        ("rgb/{i}.jpg", "seg/{i}_seg.png"),
        ("img_dir/{i}.jpg", "ann_dir/{i}.png"),
        ("images/{i}.jpg", "annotations/trimaps/{i}.png"),
        ("PNGImages/Pic{i}.png", "PedMasks/Pic{i}_mask.png"),
        ("photos/image_{i}.jpg", "gt/mask_{i}.png"),
        ("photos/img{i}.jpg", "gt/gt{i}.png"),
        ("training/images/{i}_training.png", "training/1st_manual/{i}_manual1.gif"),
        ("Input/ISIC_{i}.jpg", "GroundTruth/ISIC_{i}_segmentation.png"),
        ("leftImg8bit/city/a_{i}_leftImg8bit.png", "gtFine/city/a_{i}_gtFine_labelIds.png"),
        ("set{i}/photo/x{i}.jpg", "set{i}/labels_png/x{i}.png"),
    ],
)
def test_two_folders_of_any_names(tmp_path: Path, image: str, label: str) -> None:
    data = read(lay(tmp_path, image, label))
    assert (len(data), skipped(data)) == (COUNT, {})
    assert any("are the label images" in note for note in data.notes)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{i}.jpg", "{i}_mask.png"),
        ("{i}.jpg", "{i}_Label.png"),
        ("{i}.jpg", "{i}-seg.png"),
        ("{i}.jpg", "{i}.mask.png"),
        ("{i}.jpg", "mask_{i}.png"),
        ("img_{i}.jpg", "mask_{i}.png"),
        ("{i}_sat.jpg", "{i}_mask.png"),
        ("{i}_img.tif", "{i}_masks.tif"),
        ("{i}.tif", "{i}_segmentation.npy"),
        ("benign/benign ({i}).png", "benign/benign ({i})_mask.png"),
        ("case{i}/image{i}.png", "case{i}/mask{i}.png"),
        ("c{i}/x_{i}.tif", "c{i}/x_{i}_mask.tif"),
    ],
)
def test_one_folder_with_both(tmp_path: Path, image: str, label: str) -> None:
    data = read(lay(tmp_path, image, label))
    assert (len(data), skipped(data)) == (COUNT, {})
    assert any("with a mark such as" in note for note in data.notes)


def test_a_folder_for_each_sample(tmp_path: Path) -> None:
    lay(tmp_path, "{i}/image.png", "{i}/mask.png")
    data = formats.read(tmp_path)
    assert data.format == "pairs"
    assert [sample.id for sample in data] == [f"{n:03}/image.png" for n in range(COUNT)]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{split}/photos/{i}.jpg", "{split}/drawn/{i}.png"),
        ("photos/{split}/{i}.jpg", "drawn/{split}/{i}.png"),
        ("{split}/{i}.jpg", "{split}/{i}_mask.png"),
        ("{split}/{i}.png", "{split}_labels/{i}_L.png"),
        ("{split}/{i}.png", "{split}annot/{i}.png"),
        ("ISIC_{split}_Input/{i}.jpg", "ISIC_{split}_GroundTruth/{i}_segmentation.png"),
    ],
)
def test_splits_of_any_layout(tmp_path: Path, image: str, label: str) -> None:
    for word in ("train", "val", "test"):
        lay(tmp_path, image, label, split=word)
    data = read(tmp_path)
    assert sorted(sample.split for sample in data) == sorted(["train", "valid", "test"] * COUNT)
    assert skipped(data) == {}


def test_folders_of_one_kind_are_no_pairs(tmp_path: Path) -> None:
    """Class folders with the same file names, whether photographs or drawings."""
    for number in range(COUNT):
        save(tmp_path / "photos" / "cat" / f"{number}.png", photo(number))
        save(tmp_path / "photos" / "dog" / f"{number}.png", photo(100 + number))
        save(tmp_path / "drawings" / "zero" / f"{number}.png", classes(number, 2) * 255)
        save(tmp_path / "drawings" / "one" / f"{number}.png", classes(50 + number, 2) * 255)
    pairs, objects = formats.find("pairs"), formats.find("instance-labels")
    for folder in ("photos", "drawings"):
        assert not pairs.sniff(tmp_path / folder)
        assert not objects.sniff(tmp_path / folder)


def test_class_folders_of_pairs_are_noted(tmp_path: Path) -> None:
    for name in ("benign", "malignant", "normal"):
        lay(tmp_path, name + "/" + name + " ({i}).png", name + "/" + name + " ({i})_mask.png")
    data = read(tmp_path)
    assert len(data) == 3 * COUNT
    assert any(
        "benign/, malignant/, normal/ are read as neither classes nor groups" in note
        for note in data.notes
    )


def test_several_masks_of_an_image_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "x ({i}).png", "x ({i})_mask.png")
    save(tmp_path / "x (001)_mask_1.png", classes(9))
    data = read(tmp_path)
    assert len(data) == COUNT - 1
    assert skipped(data) == {
        "x (001).png": "it has several label images: x (001)_mask.png, x (001)_mask_1.png"
    }


def test_several_kinds_of_label_images_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, "{i}.jpg", "{i}_mask.png")
    for number in range(COUNT):
        save(tmp_path / f"{number:03}_gt.png", classes(number))
    with pytest.raises(DataError, match="found files of several kinds") as caught:
        formats.read(tmp_path)
    assert "mask: 5 files, such as 000_mask.png" in str(caught.value)


def test_several_folders_of_label_images_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, "photos/{i}.jpg", "gt_a/{i}.png")
    for number in range(COUNT):
        save(tmp_path / "gt_b" / f"{number:03}.png", classes(number + 50))
    with pytest.raises(DataError, match="found several: gt_a/ fits photos/, gt_b/ fits photos/"):
        formats.read(tmp_path)


def test_another_folder_is_listed(tmp_path: Path) -> None:
    lay(tmp_path, "photos/{i}.jpg", "drawn/{i}.png")
    save(tmp_path / "previews" / "x.jpg", photo(77))
    assert skipped(read(tmp_path)) == {"previews/": "1 other images"}


def test_the_splits_of_image_sets_are_read(tmp_path: Path) -> None:
    lay(tmp_path, "JPEGImages/{i}.jpg", "SegmentationClass/{i}.png")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("000\n001\n002\n")
    (lists / "val.txt").write_text("003\n004\n")
    data = read(tmp_path)
    assert [sample.split for sample in data] == ["train"] * 3 + ["valid"] * 2


def test_damage_in_other_layouts_is_listed(tmp_path: Path) -> None:
    lay(tmp_path, "photos/{i}.jpg", "drawn/{i}.png")
    (tmp_path / "drawn" / "001.png").write_bytes(b"x")
    (tmp_path / "drawn" / "002.png").write_bytes(b"")
    (tmp_path / "photos" / "lone.jpg").write_bytes((tmp_path / "photos" / "000.jpg").read_bytes())
    data = read(tmp_path)
    reasons = skipped(data)
    assert reasons.pop("photos/001.jpg").startswith("drawn/001.png: an image (PNG")
    assert reasons == {
        "drawn/002.png": "the file is empty (0 bytes)",
        "photos/002.jpg": "no label image has the same name",
        "photos/lone.jpg": "no label image has the same name",
    }


def test_files_with_the_same_name_and_another_suffix(tmp_path: Path) -> None:
    data = read(lay(tmp_path, "{i}.jpg", "{i}.png"))
    assert (len(data), skipped(data)) == (COUNT, {})
    assert "the files in *.png are the label images of those in *.jpg" in data.notes[0]


COLOURS = np.array([(0, 0, 0), (9, 80, 200), (250, 9, 9)], np.uint8)


@pytest.mark.parametrize(("labels", "same"), [("masks", "masks_color"), ("gt", "gt_colour")])
def test_the_same_label_images_in_colour_are_noted(tmp_path: Path, labels: str, same: str) -> None:
    lay(tmp_path, "images/{i}.jpg", labels + "/{i}.png")
    for number in range(COUNT):
        save(tmp_path / same / f"{number:03}.png", COLOURS[classes(number)])
    data = read(tmp_path)
    assert data.classes == ("0", "1", "2")
    assert any(f"{same}/ has the same regions" in note for note in data.notes)


def test_other_label_images_beside_the_usual_folders_are_asked_about(tmp_path: Path) -> None:
    """As in DRIVE, where mask/ has the field of view and 1st_manual/ the vessels."""
    lay(tmp_path, "training/images/{i}_training.tif", "training/1st_manual/{i}_manual1.gif")
    for number in range(COUNT):
        save(tmp_path / f"training/mask/{number:03}_training_mask.gif", classes(number + 50, 2))
    with pytest.raises(DataError, match="found mask and 1st_manual"):
        formats.read(tmp_path)


def test_images_without_a_folder_of_label_images_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "train/images/{i}.jpg", "train/masks/{i}.png")
    save(tmp_path / "test" / "images" / "x.jpg", photo(9))
    assert skipped(read(tmp_path)) == {"test/": "it has no folder of label images"}


def test_numbers_with_class_and_object_of_cityscapes_are_not_read(tmp_path: Path) -> None:
    image, label = "leftImg8bit/train/a_{i}_leftImg8bit.png", "gtFine/train/a_{i}_gtFine_"
    lay(tmp_path, image, label + "labelIds.png")
    for number in range(COUNT):
        for mark, values in (("instanceIds", classes(7)), ("color", COLOURS[classes(number)])):
            save(tmp_path / (label.format(i=f"{number:03}") + f"{mark}.png"), values)
    data = read(tmp_path)
    assert len(data) == COUNT
    assert "gtfine_labelids" in skipped(data)["gtFine/train/a_000_gtFine_instanceIds.png"]
