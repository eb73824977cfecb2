"""Class tables as other tools write them, and label images that are arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from foveate.annotations import IGNORE
from foveate.errors import BadImage
from foveate.formats._shared.labels.images import read_label_image
from helpers.pairs_files import VOC, pair, pixels, read, refused, save


def test_the_table_of_roboflow_lies_in_each_split(tmp_path: Path) -> None:
    table = "Pixel Value, Class\n0, background\n1, root\n2, leaf\n"
    for split in ("train", "valid"):
        pair(tmp_path, [[0, 2]], photos=f"{split}/images", masks=f"{split}/masks")
        (tmp_path / split / "_classes.csv").write_text(table)
    data = read(tmp_path)
    assert data.classes == ("background", "root", "leaf")
    assert pixels(data) == [[0, 2]]
    (tmp_path / "valid" / "_classes.csv").write_text(table + "3, soil\n")
    refused(tmp_path, "the same class table is expected for each split", "train/_classes.csv")


def test_the_labelmap_of_cvat(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1, 2]], palette=VOC, photos="JPEGImages", masks="SegmentationClass")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nignore:0,128,0::\n"
    )
    data = read(tmp_path)
    assert data.classes == ("background", "cat")
    assert data.colours == ((0, 0, 0), (128, 0, 0))
    assert pixels(data) == [[0, 1, IGNORE]]
    (tmp_path / "labelmap.txt").write_text("cat 128,0,0\n")
    assert refused(tmp_path, "name:r,g,b:: is expected in each line").line == 1


def test_label_colors_of_camvid(tmp_path: Path) -> None:
    pair(tmp_path, [[(64, 128, 64), (192, 0, 128)]])
    (tmp_path / "label_colors.txt").write_text("64 128 64\tAnimal\n192 0 128\t\tArchway\n")
    data = read(tmp_path)
    assert data.classes == ("Animal", "Archway")
    assert pixels(data) == [[0, 1]]


def test_id2label_of_hugging_face(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 3]])
    (tmp_path / "id2label.json").write_text('{"0": "wall", "3": "tree"}')
    assert read(tmp_path).classes == ("wall", "tree")
    for text, words in (
        ('{"0": 1}', "a name is expected"),
        ("[]", "an object of names"),
        ('{"x": "a"}', "as the value"),
    ):
        (tmp_path / "id2label.json").write_text(text)
        refused(tmp_path, words)


@pytest.mark.parametrize(
    ("values", "names", "classes", "expected"),
    [
        ([0, 2], "a b c", ("a", "b", "c"), [0, 2]),  # one does not occur
        ([0, 1, 3], "a b c", ("background", "a", "b", "c"), [0, 1, 3]),
        ([1, 3], "a b c", ("a", "b", "c"), [0, 2]),
        ([0, 255], "crack", ("background", "crack"), [0, 1]),
        ([0, 255], "no crack", ("no", "crack"), [0, 1]),
        ([0, 1, 2, 255], "a b c", ("a", "b", "c"), [0, 1, 2, IGNORE]),
        ([0, 7, 9], "a", ("0", "7", "9"), [0, 1, 2]),  # they do not fit
    ],
)
def test_names_without_values(
    tmp_path: Path, values: list[int], names: str, classes: tuple[str, ...], expected: list[int]
) -> None:
    pair(tmp_path, [values])
    (tmp_path / "classes.txt").write_text(names.replace(" ", "\n") + "\n")
    data = read(tmp_path)
    assert data.classes == classes
    assert pixels(data) == [expected]
    assert any("classes.txt" in note for note in data.notes)


def test_a_repeated_name_is_refused_with_its_line(tmp_path: Path) -> None:
    (pair(tmp_path, [[0, 1]]) / "codes.txt").write_text("a\nb\na\n")
    assert refused(tmp_path, "got 'a' again").line == 3


# --- arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16, np.float32, bool])
def test_numpy_files_are_label_images(tmp_path: Path, dtype: type) -> None:
    values = np.array([[0, 1], [1, 0]], dtype)
    for shape in ((2, 2), (1, 2, 2), (2, 2, 1), (2, 1, 2)):
        np.save(tmp_path / "a.npy", values.reshape(shape))
        assert read_label_image(tmp_path / "a.npy").values.tolist() == [[0, 1], [1, 0]]


def test_other_numpy_files_are_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    for values, words in (
        (np.array({"masks": 1}, object), "a pickle, which is never loaded"),
        (np.zeros((3, 3, 3)), "height and width"),
        (np.zeros(3), "height and width"),
        (np.full((2, 2), 0.5), "whole numbers"),
        (np.full((2, 2), -1), "got -1"),
        (np.full((2, 2), np.nan), "got nan"),
        (np.array([["a"]]), "array of numbers"),
    ):
        np.save(file, values, allow_pickle=True)
        with pytest.raises(BadImage, match=words) as caught:
            read_label_image(file)
        assert caught.value.where == file
    huge = (
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (99999, 99999)"
    )
    file.write_bytes(huge + b", }".ljust(0x76 - len(huge) + 10 - 1) + b"\n")
    with pytest.raises(BadImage, match="at most 89,478,485 pixels"):
        read_label_image(file)
    for data in (b"", b"x", b"\x93NUMPY\x01\x00\xff\xff", b"\x93NUMPY\x09\x00\x06\x00{1: 2}"):
        file.write_bytes(data)
        with pytest.raises(BadImage, match="none or is damaged"):
            read_label_image(file)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "u4", "i4", "i8", "u8", "f4", "f8"])
def test_tiffs_of_all_depths(tmp_path: Path, dtype: str) -> None:
    values = np.array([[0, 7], [250, 0]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert read_label_image(tmp_path / "a.tif").values.tolist() == [[0, 7], [250, 0]]


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(BadImage, match="of one page is expected, this one has 3"):
        read_label_image(tmp_path / "a.tif")


def test_values_beyond_16_bits_are_classes_too(tmp_path: Path) -> None:
    save(tmp_path / "images" / "0.png", [[0, 0]])
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "0.tif", np.array([[70000, 5]], np.uint32))
    data = read(tmp_path)
    assert data.classes == ("5", "70000")
    assert pixels(data) == [[1, 0]]
