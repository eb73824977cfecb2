"""Layouts of well-known datasets that are not read: the message names what works, and it works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.errors import DataError
from foveate.formats._shared.recognition import published

KITTI = "Car 0.00 0 -1.57 9.41 6.4 29.75 39.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"
DOTA = "1.0 2.0 20.0 2.0 20.0 22.0 1.0 22.0 plane 0\n5 5 9 5 9 9 5 9 small-vehicle 1"


def lay(root: Path, files: dict[str, str]) -> Path:
    """Write texts, and an image for each name that ends like one."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
            PIL.Image.new("L", (64, 48)).save(path)
        else:
            path.write_text(text)
    return root


def images(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "")


def refused(path: Path, *words: str) -> DataError:
    with pytest.raises(DataError) as caught:
        formats.read(path)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("folder", "name", "text"),
    [
        ("training/label_2", "KITTI", f"Pedestrian{KITTI.removeprefix('Car')}{KITTI}"),
        ("training/label_2", "KITTI", KITTI.replace("\n", " 0.87\n")),
        ("labelTxt", "DOTA", f"imagesource:GoogleEarth\ngsd:0.146\n{DOTA}"),
        ("train/labelTxt", "DOTA", DOTA),
        ("annotations", "VisDrone", "684,8,273,116,0,0,0,0\n406,119,265,70,1,4,0,1\n"),
        ("annotations", "VisDrone", "684,8,273,116,0,0,0,0,"),
    ],
)
def test_text_annotations_are_named(tmp_path: Path, folder: str, name: str, text: str) -> None:
    lay(tmp_path, images(*(f"images/{number}.png" for number in range(4))))
    lay(tmp_path, {f"{folder}/{number}.txt": text for number in range(4)})
    error = refused(tmp_path, f"the text format of {name}, which foveate does not read")
    assert error.where == tmp_path / folder / "0.txt"


@pytest.mark.parametrize("text", ["", "\n", "a photo of a cat\n", "1 2 3\n", "Car\n", "a,b,c\n"])
def test_other_texts_are_none_of_them(tmp_path: Path, text: str) -> None:
    files = images(*(f"images/{number}.png" for number in range(4)))
    lay(tmp_path, files | {f"notes/{number}.txt": text for number in range(4)})
    assert published.error_for(tmp_path) is None


def test_cub(tmp_path: Path) -> None:
    lay(tmp_path, images(*(f"images/00{k}.Bird_{k}/{n}.jpg" for k in (1, 2) for n in (1, 2))))
    lay(tmp_path, {"images.txt": "1 001.Bird_1/1.jpg\n", "image_class_labels.txt": "1 1\n"})
    lay(tmp_path, {"classes.txt": "1 001.Bird_1\n2 002.Bird_2\n", "bounding_boxes.txt": "1 1 2"})
    refused(tmp_path, "CUB-200-2011", "Give its folder images/", "train_test_split.txt")
    assert formats.read(tmp_path / "images").classes == ("001.Bird_1", "002.Bird_2")


def test_tiny_imagenet(tmp_path: Path) -> None:
    for name in ("n01", "n02"):
        lay(tmp_path, images(*(f"train/{name}/images/{name}_{k}.JPEG" for k in range(3))))
        lay(tmp_path, {f"train/{name}/{name}_boxes.txt": f"{name}_0.JPEG\t0\t1\t5\t6\n"})
    lay(tmp_path, images("val/images/0.JPEG", "val/images/1.JPEG", "test/images/0.JPEG"))
    lay(tmp_path, {"val/val_annotations.txt": "0.JPEG\tn02\t0\t1\t5\t6\n", "wnids.txt": "n01\nn02"})
    refused(tmp_path, "Tiny ImageNet", "Give its folder train/")
    assert len(formats.read(tmp_path / "train")) == 6
    for number, name in enumerate(("n02", "n01")):
        (tmp_path / "val" / name).mkdir()
        (tmp_path / f"val/images/{number}.JPEG").rename(tmp_path / f"val/{name}/{number}.JPEG")
    shutil.rmtree(tmp_path / "val" / "images")
    shutil.rmtree(tmp_path / "test")
    data = formats.read(tmp_path)
    assert [sample.split for sample in data].count("valid") == 2


def test_xml_files_without_a_suffix(tmp_path: Path) -> None:
    for name in ("n01-Dog", "n02-Wolf"):
        box = "<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>"
        element = f"<object><name>{name[4:]}</name>{box}</object>"
        for k in range(2):
            text = f"<annotation><filename>{name}_{k}</filename>{element}</annotation>"
            lay(tmp_path, {f"Annotation/{name}/{name}_{k}": text})
            lay(tmp_path, images(f"Images/{name}/{name}_{k}.jpg"))
    refused(tmp_path, "XML in files without a suffix", "Add .xml")
    assert formats.read(tmp_path / "Images").classes == ("n01-Dog", "n02-Wolf")
    for file in list((tmp_path / "Annotation").glob("*/*")):
        file.rename(f"{file}.xml")
    data = formats.read(tmp_path)
    assert (data.format, data.classes, len(data)) == ("voc", ("Dog", "Wolf"), 4)


def test_lists_with_a_label_after_a_blank(tmp_path: Path) -> None:
    for split in ("train", "val"):
        names = [f"images/{split} {number}.jpg" for number in range(4)]
        lay(tmp_path, images(*names))
        text = "".join(f"{name} {number % 2}\n" for number, name in enumerate(names))
        lay(tmp_path, {f"{split}.txt": text})
    error = refused(tmp_path, "a blank before the label, as in Caffe")
    (command,) = re.findall("sed .*", str(error.remedy))
    for split in ("train", "val"):
        subprocess.run(command.replace("train", split), shell=True, check=True, cwd=tmp_path)
    data = formats.read(tmp_path)
    assert (data.format, data.classes, len(data)) == ("csv", ("0", "1"), 8)
    assert [sample.split for sample in data].count("valid") == 4


def test_a_mask_for_each_class_and_image(tmp_path: Path) -> None:
    shapes = np.zeros((2, 48, 64), np.uint8)
    shapes[0, 5:20, 5:20] = shapes[1, 25:40, 30:50] = 255
    lay(tmp_path, images(*(f"images/{number}.jpg" for number in range(3))))
    for shape, name in zip(shapes, ("cat", "dog"), strict=True):
        for number in range(3):
            path = tmp_path / "masks" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(shape).save(path)
    refused(tmp_path, "a mask for each class and image (masks/cat/ and masks/dog/)", "value,name")
    shutil.rmtree(tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    for number in range(3):
        merged = (shapes[0] > 0) * 1 + (shapes[1] > 0) * 2
        PIL.Image.fromarray(merged.astype(np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "classes.csv").write_text("value,name\n0,background\n1,cat\n2,dog\n")
    data = formats.read(tmp_path)
    assert (data.format, data.classes) == ("pairs", ("background", "cat", "dog"))
