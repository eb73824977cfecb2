"""Values of label images become classes, with and without a class table."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.annotations import IGNORE
from foveate.errors import BadImage
from foveate.formats._shared.labels.class_table import ValueMap
from foveate.formats._shared.labels.images import distinct_values, read_label_image
from helpers.format_reading import skipped
from helpers.pairs_files import VOC, pair, pixels, read, refused, save

MANY = (1 << 16) + 5


# --- values


@pytest.mark.parametrize(("low", "high"), [(1, 255), (255, 65535)])
def test_objects_written_in_two_ways_are_asked_about(tmp_path: Path, low: int, high: int) -> None:
    images = [[0, low]], [[0, high]], [[0, 0]]
    root = pair(tmp_path, *images, dtype=np.uint16 if high > 255 else np.uint8)
    refused(root, f"it is {low} in some label images, and {high} in others (such as 1.png)")
    (root / "classes.csv").write_text(f"value,name\n0,sky\n{low},cat\n{high},dog\n")
    assert read(root).classes == ("sky", "cat", "dog")


def test_grey_values_are_classes_named_by_the_value(tmp_path: Path) -> None:
    data = read(pair(tmp_path / "cells", [[0, 255, 0]], [[255, 255, 255]], [[7, 255, 0]]))
    assert (data.name, data.task, data.origin) == ("cells", "semantic", tmp_path / "cells")
    assert data.classes == ("0", "7", "255")
    assert data.colours is None
    assert [sample.id for sample in data] == ["images/0.png", "images/1.png", "images/2.png"]
    assert [sample.target.present() for sample in data] == [(0, 2), (2,), (0, 1, 2)]
    assert pixels(data, 2) == [[1, 2, 0]]
    assert data[0].target.pixels.read().dtype == np.int32
    assert data[0].target.path == tmp_path / "cells" / "masks" / "0.png"
    assert data[0].source.read().shape == (2, 3, 1)
    assert "3 values became classes" in data.notes[0]
    assert data.skipped == ()


def test_sixteen_bits_are_not_scaled(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[0, 300, 65535], [1, 1, 1]], dtype=np.uint16))
    assert data.classes == ("0", "1", "300", "65535")
    assert pixels(data) == [[0, 2, 3], [1, 1, 1]]


@pytest.mark.parametrize(
    ("values", "palette", "ignored"),
    [
        ([0, 1, 255], VOC, True),
        ([0, 1, 2, 255], None, True),
        ([0, 255], VOC, False),  # black and white
        ([0, 255], None, False),
        ([0, 1, 255], None, False),  # may be three classes
        ([0, 127, 200, 255], None, False),  # a ramp
        ([0, 1, 2], None, False),
    ],
)
def test_255_is_ignored_as_in_voc(
    tmp_path: Path, values: list[int], palette: list[int] | None, ignored: bool
) -> None:
    data = read(pair(tmp_path, [values], palette=palette))
    kept = values[:-1] if ignored else values
    assert data.classes == tuple(map(str, kept))
    assert pixels(data) == [[*range(len(kept)), *([IGNORE] if ignored else [])]]
    assert data[0].target.present() == tuple(range(len(kept)))
    assert any("255 is read as unlabelled pixels" in note for note in data.notes) == ignored


def test_a_palette_gives_indices_and_colours(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[0, 2, 255]], [[1, 0, 0]], palette=VOC))
    assert data.classes == ("0", "1", "2")
    assert data.colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert pixels(data) == [[0, 2, IGNORE]]


def test_palettes_that_disagree_are_refused(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], palette=VOC)
    save(tmp_path / "images" / "9.png", [[0]])
    save(tmp_path / "masks" / "9.png", [[1, 1]], palette=[0, 0, 0, 9, 9, 9])
    error = refused(tmp_path, "the value 1 is #090909 here and #800000 in 0.png", "classes.csv")
    assert error.where == tmp_path / "masks" / "9.png"
    assert read(tmp_path, "value,name\n0,a\n1,b\n").classes == ("a", "b")
    by_colour = read(tmp_path, "name,r,g,b\nblack,0,0,0\nnine,9,9,9\nmaroon,128,0,0\n")
    assert [pixels(by_colour, 0), pixels(by_colour, 1)] == [[[0, 2]], [[1, 1]]]


def test_colours_are_classes_named_by_the_colour(tmp_path: Path) -> None:
    data = read(
        pair(tmp_path, [[(255, 0, 10), (0, 0, 0)]], [[(0, 0, 0)] * 2], [[(0, 1, 0), (0, 0, 1)]])
    )
    assert data.classes == ("#000000", "#000001", "#000100", "#ff000a")
    assert data.colours == ((0, 0, 0), (0, 0, 1), (0, 1, 0), (255, 0, 10))
    assert pixels(data) == [[3, 0]]
    assert data[0].target.present() == (0, 3)


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    shades = np.zeros((8, 8, 3))
    shades[..., 1] = np.arange(64).reshape(8, 8)
    assert len(read(pair(tmp_path / "most", shades)).classes) == 64
    pair(tmp_path / "more", shades, shades + 1)
    error = refused(
        tmp_path / "more", "at most 64 colours", "128 or more", "Is it a photo", "classes.csv"
    )
    assert error.where == tmp_path / "more" / "masks" / "1.png"
    photo = np.random.default_rng(0).integers(0, 256, (50, 50, 3))
    refused(pair(tmp_path / "photo", photo), "at most 64 colours", "or more")
    depth = np.arange(MANY % 1000 * 60).reshape(3, -1)
    refused(pair(tmp_path / "depth", depth, dtype=np.uint16), "at most 256 values")


def test_colour_and_grey_need_a_table(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[(0, 0, 0), (9, 1, 1)]])
    error = refused(tmp_path, "of one type", "this is in colour, 0.png is not")
    assert error.where == tmp_path / "masks" / "1.png"
    data = read(tmp_path, "value,name,r,g,b\n0,a,0,0,0\n1,b,9,1,1\n")
    assert pixels(data, 0) == pixels(data, 1) == [[0, 1]]


def test_modes_of_pillow_are_read_or_refused(tmp_path: Path) -> None:
    grey = PIL.Image.fromarray(np.array([[0, 200]], np.uint8))
    for mode, name, expected in (
        ("1", "1.png", [[0, 255]]),  # as at 8 bits
        ("LA", "la.png", [[0, 200]]),
        ("RGBA", "rgba.png", [[0, 200 * 0x10101]]),
        ("I", "i.tif", [[0, 200]]),
        ("P", "p.gif", [[0, 1]]),  # Pillow renumbers the colours of a GIF
    ):
        grey.convert(mode).save(tmp_path / name)
        assert read_label_image(tmp_path / name).values.tolist() == expected, mode
    floats = np.array([[0.0, 70000.0]], np.float32)
    PIL.Image.fromarray(floats).save(tmp_path / "f.tif")
    assert read_label_image(tmp_path / "f.tif").values.tolist() == [[0, 70000]]
    grey.convert("CMYK").save(tmp_path / "cmyk.tif")
    PIL.Image.fromarray(floats + 0.5).save(tmp_path / "half.tif")
    PIL.Image.fromarray(np.array([[-1, 5]], np.int32)).save(tmp_path / "below.tif")
    for name, words in (
        ("cmyk.tif", "got mode CMYK"),
        ("half.tif", "whole numbers are expected as labels, got 0.5"),
        ("below.tif", "from 0 to 2,147,483,647 are expected, got -1"),
    ):
        with pytest.raises(BadImage, match=words) as caught:
            read_label_image(tmp_path / name)
        assert caught.value.where == tmp_path / name


def test_a_label_image_is_turned_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(np.array([[1, 2, 3]], np.uint8)).save(tmp_path / "turned.png", exif=exif)
    assert read_label_image(tmp_path / "turned.png").values.tolist() == [[1], [2], [3]]


def test_other_files_are_bad_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "bomb.png").write_bytes(b"P6 99999 99999 255 ")
    for path, words in (
        (tmp_path, "folder"),
        (tmp_path / "pipe.png", "folder or a device"),
        (tmp_path / "bomb.png", "announces"),
    ):
        with pytest.raises(BadImage, match=words):
            read_label_image(path)


# --- the class table


def test_a_table_may_name_values(tmp_path: Path) -> None:
    pair(tmp_path, [[10, 0, 200, 9]], [[0, 0]])
    data = read(tmp_path, "name,value\nroad,10\n sky ,0\nunicorn,3\nignore,200\n")
    assert data.classes == ("road", "sky ", "unicorn")  # in the order of the table
    assert pixels(data) == [[0, 1, IGNORE, 3]]  # 9 is not in the table: K
    assert [sample.target.present() for sample in data] == [(0, 1), (1,)]
    assert data.notes == (
        "1 label image with values that are not in the class table (such as 0.png)",
    )
    assert data.colours is None


def test_a_table_may_name_colours(tmp_path: Path) -> None:
    """As CamVid's class_dict.csv."""
    pair(tmp_path, [[(0, 128, 192), (128, 0, 0), (1, 2, 3), (0, 0, 9)]])
    (tmp_path / "class_dict.csv").write_text(
        "name,r,g,b\nBicyclist,0,128,192\nBuilding,128,0,0\nIgnore,1,2,3\n"
    )
    data = read(tmp_path)
    assert data.classes == ("Bicyclist", "Building")
    assert data.colours == ((0, 128, 192), (128, 0, 0))
    assert pixels(data) == [[0, 1, IGNORE, 2]]
    refused(tmp_path, "one class table", table="value,name\n0,a\n")


def test_colours_apply_to_grey_and_palette_without_values(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1, 200]], palette=VOC)
    save(tmp_path / "images" / "g.png", [[0]])
    save(tmp_path / "masks" / "g.png", [[128, 0, 7]])
    data = read(tmp_path, "name,r,g,b\nmaroon,128,0,0\nblack,0,0,0\ngrey,128,128,128\n")
    assert [pixels(data, 0), pixels(data, 1)] == [[[1, 0, 1]], [[2, 1, 3]]]


def test_a_table_of_values_takes_its_colours_from_the_palette(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], palette=VOC)
    assert read(tmp_path, "value,name\n2,c\n0,a\n1,b\n").colours == (
        (0, 128, 0),
        (0, 0, 0),
        (128, 0, 0),
    )
    table = "value,name,r,g,b\n0,a,5,5,5\n1,b,5,5,5\n"
    assert read(tmp_path, table).colours == ((5, 5, 5), (5, 5, 5))  # the table wins


def test_a_table_of_values_does_not_apply_to_rgb(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[(0, 0, 0), (9, 1, 1)]])
    data = read(tmp_path, "value,name\n0,a\n1,b\n")
    assert [sample.id for sample in data] == ["images/0.png"]
    assert "the class table has no colours" in skipped(data)["images/1.png"]
    for table in (
        "value,name,r,g,b\n0,a,0,0,0\n1,b,0,0,0\n",
        "value,name\n0,a\n",
    ):  # equal colours are useless
        assert len(read(tmp_path, table)) == 1


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ("", 1, "column for the name"),
        ("name\na\n", 1, "column for the value"),
        ("name,r,g\na,1,2\n", 1, "column for the blue"),
        ("value,name,class\n", 1, "one column is expected for the name"),
        ("value,name\n", None, "found none"),
        ("value,name\n0,ignore\n", None, "found none"),
        ("value,name\n0,a\n0,b\n", 3, "got 0 again"),
        ("value,name\n0,a\n1,a\n", 3, "'a' again"),
        ("name,r,g,b\na,1,1,1\nb,1,1,1\n", 3, "got 1,1,1 again"),
        ("value,name\n0\n", 2, "2 fields"),
        ("value,name\n0,\n", 2, "name of a class"),
        ("value,name\n-1,a\n", 2, "from 0 to 65535"),
        ("value,name\n65536,a\n", 2, "from 0 to 65535"),
        ("value,name\n0.0,a\n", 2, "'0.0'"),
        ("value,name\n²,a\n", 2, "as the value"),
        (f"value,name\n{'9' * 9999},a\n", 2, "as the value"),
        ("name,r,g,b\na,256,0,0\n", 2, "from 0 to 255 is expected as the red"),
        ("name,r,g,b\na,,,\n", 2, "as the red, got ''"),
        ('value,name\n0,"a\n', 2, "quotation mark"),
        ("value,name\n0,a\0\n", 2, "a zero byte"),
    ],
)
def test_bad_tables_are_refused_with_their_line(
    tmp_path: Path, table: str, line: int | None, words: str
) -> None:
    error = refused(pair(tmp_path, [[0]]), words, table=table)
    assert (error.where, error.line) == (tmp_path / "classes.csv", line)


@given(
    known=st.dictionaries(
        st.integers(0, 1 << 24) | st.integers(0, 300), st.integers(-1, 9), min_size=1, max_size=9
    ),
    others=st.lists(st.integers(0, 1 << 24) | st.integers(0, 300), max_size=9),
)
def test_value_maps_agree_with_a_dictionary(known: dict[int, int], others: list[int]) -> None:
    values = [*known, *others]
    found = ValueMap.from_mapping(known, 10).to_classes(np.array(values, np.int32))
    assert found.tolist() == [known.get(value, 10) for value in values]
    assert found.dtype == np.int32
    assert distinct_values(np.array([values], np.int32)).tolist() == sorted(set(values))
