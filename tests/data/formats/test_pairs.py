"""Pairs of pictures and label pictures as people have them: what values mean, what is skipped, what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import skipped

from foveate.annotations import IGNORE, Mask
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats._classtable import Codes
from foveate.data.formats._labelpictures import distinct, stored
from foveate.errors import BadPicture, DataError

VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]  # black, maroon, green
MANY = (1 << 16) + 5


def save(path: Path, values: object, dtype: type = np.uint8, palette: list[int] | None = None) -> Path:
    """A picture of these values: (H, W) grey, or with a palette, or (H, W, 3) RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PIL.Image.fromarray(np.array(values, dtype))
    if palette is not None:
        picture.putpalette(palette + [0] * (768 - len(palette)))
    picture.save(path)
    return path


def pair(root: Path, *labels: object, photos: str = "images", masks: str = "masks", **given: object) -> Path:
    """Pictures 0.png, 1.png, ... with these label pictures."""
    for number, values in enumerate(labels):
        save(root / photos / f"{number}.png", np.zeros((2, 3)))
        save(root / masks / f"{number}.png", values, **given)
    return root


def read(path: Path, table: str | None = None) -> Dataset[Mask]:
    if table is not None:
        (path / "classes.csv").write_text(table)
    data = formats.read(path)
    assert data.format == "pairs"
    return data


def pixels(data: Dataset[Mask], index: int = 0) -> list[list[int]]:
    return data[index].truth.pixels.read().tolist()


def refused(path: Path, *words: str, table: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, table)
    for word in words:
        assert word in str(caught.value)
    return caught.value


# --- what a value means -----------------------------------------------------------------------------------------------


def test_grey_values_are_classes_named_by_the_value(tmp_path: Path) -> None:
    data = read(pair(tmp_path / "cells", [[0, 255, 0]], [[255, 255, 255]], [[7, 255, 0]]))
    assert (data.name, data.task, data.origin) == ("cells", "semantic", tmp_path / "cells")
    assert data.classes == ("0", "7", "255")
    assert data.colours is None
    assert [sample.id for sample in data] == ["images/0.png", "images/1.png", "images/2.png"]
    assert [sample.truth.present() for sample in data] == [(0, 2), (2,), (0, 1, 2)]
    assert pixels(data, 2) == [[1, 2, 0]]
    assert data[0].truth.pixels.read().dtype == np.int32
    assert data[0].truth.path == tmp_path / "cells" / "masks" / "0.png"
    assert data[0].source.read().shape == (2, 3, 1)
    assert "the 3 values that occur became classes" in data.notes[0]
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
        ([0, 1, 255], None, False),  # may be three classes as well
        ([0, 127, 200, 255], None, False),  # a ramp
        ([0, 1, 2], None, False),
    ],
)
def test_255_is_ignored_as_voc_has_it(
    tmp_path: Path, values: list[int], palette: list[int] | None, ignored: bool
) -> None:
    data = read(pair(tmp_path, [values], palette=palette))
    kept = values[:-1] if ignored else values
    assert data.classes == tuple(map(str, kept))
    assert pixels(data) == [[*range(len(kept)), *([IGNORE] if ignored else [])]]
    assert data[0].truth.present() == tuple(range(len(kept)))
    assert any("255 was taken for pixels that nobody labelled" in note for note in data.notes) == ignored


def test_a_palette_gives_indices_and_colours(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[0, 2, 255]], [[1, 0, 0]], palette=VOC))
    assert data.classes == ("0", "1", "2")
    assert data.colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert pixels(data) == [[0, 2, IGNORE]]


def test_palettes_that_contradict_each_other(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], palette=VOC)
    save(tmp_path / "images" / "9.png", [[0]])
    save(tmp_path / "masks" / "9.png", [[1, 1]], palette=[0, 0, 0, 9, 9, 9])
    error = refused(tmp_path, "the value 1 is #090909 here and #800000 in 0.png", "classes.csv")
    assert error.where == tmp_path / "masks" / "9.png"
    assert read(tmp_path, "value,name\n0,a\n1,b\n").classes == ("a", "b")
    by_colour = read(tmp_path, "name,r,g,b\nblack,0,0,0\nnine,9,9,9\nmaroon,128,0,0\n")
    assert [pixels(by_colour, 0), pixels(by_colour, 1)] == [[[0, 2]], [[1, 1]]]


def test_colours_are_classes_named_by_the_colour(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[(255, 0, 10), (0, 0, 0)]], [[(0, 0, 0)] * 2], [[(0, 1, 0), (0, 0, 1)]]))
    assert data.classes == ("#000000", "#000001", "#000100", "#ff000a")
    assert data.colours == ((0, 0, 0), (0, 0, 1), (0, 1, 0), (255, 0, 10))
    assert pixels(data) == [[3, 0]]
    assert data[0].truth.present() == (0, 3)


def test_too_many_colours_are_no_classes(tmp_path: Path) -> None:
    shades = np.zeros((8, 8, 3))
    shades[..., 1] = np.arange(64).reshape(8, 8)
    assert len(read(pair(tmp_path / "most", shades)).classes) == 64
    pair(tmp_path / "more", shades, shades + 1)
    error = refused(tmp_path / "more", "at most 64 colours", "128 or more", "saved as JPEG?", "classes.csv")
    assert error.where == tmp_path / "more" / "masks" / "1.png"
    photo = np.random.default_rng(0).integers(0, 256, (50, 50, 3))
    refused(pair(tmp_path / "photo", photo), "257 or more")
    depth = np.arange(MANY % 1000 * 60).reshape(3, -1)
    refused(pair(tmp_path / "depth", depth, dtype=np.uint16), "at most 256 values")


def test_kinds_cannot_be_mixed_without_a_table(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[(0, 0, 0), (1, 1, 1)]])
    error = refused(tmp_path, "of one kind", "this is in colour, 0.png is not")
    assert error.where == tmp_path / "masks" / "1.png"
    data = read(tmp_path, "value,name,r,g,b\n0,a,0,0,0\n1,b,1,1,1\n")
    assert pixels(data, 0) == pixels(data, 1) == [[0, 1]]


def test_modes_of_pillow(tmp_path: Path) -> None:
    grey = PIL.Image.fromarray(np.array([[0, 200]], np.uint8))
    for mode, name, expected in (
        ("1", "1.png", [[0, 255]]),  # the same picture as at 8 bits
        ("LA", "la.png", [[0, 200]]),
        ("RGBA", "rgba.png", [[0, 200 * 0x10101]]),
        ("I", "i.tif", [[0, 200]]),
        ("P", "p.gif", [[0, 1]]),  # Pillow numbers the colours of a GIF anew as it writes them
    ):
        grey.convert(mode).save(tmp_path / name)
        assert stored(tmp_path / name).values.tolist() == expected, mode
    for mode, name, words in (("F", "f.tif", "got one in F"), ("CMYK", "c.tif", "got one in CMYK")):
        grey.convert(mode).save(tmp_path / name)
        with pytest.raises(BadPicture, match=words) as caught:
            stored(tmp_path / name)
        assert caught.value.where == tmp_path / name
    PIL.Image.fromarray(np.array([[-1, 5]], np.int32)).save(tmp_path / "below.tif")
    with pytest.raises(BadPicture, match="from 0 to 65535"):
        stored(tmp_path / "below.tif")


def test_a_label_picture_is_turned_as_its_tag_says(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(np.array([[1, 2, 3]], np.uint8)).save(tmp_path / "turned.png", exif=exif)
    assert stored(tmp_path / "turned.png").values.tolist() == [[1], [2], [3]]


def test_what_is_no_file_is_no_label_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "bomb.png").write_bytes(b"P6 99999 99999 255 ")
    for path, words in ((tmp_path, "folder"), (tmp_path / "pipe.png", "regular"), (tmp_path / "bomb.png", "announces")):
        with pytest.raises(BadPicture, match=words):
            stored(path)


# --- the class table --------------------------------------------------------------------------------------------------


def test_a_table_of_values(tmp_path: Path) -> None:
    pair(tmp_path, [[10, 0, 200, 9]], [[0, 0]])
    data = read(tmp_path, "name,value\nroad,10\n sky ,0\nunicorn,3\nignore,200\n")
    assert data.classes == ("road", "sky ", "unicorn")  # in the table's order
    assert pixels(data) == [[0, 1, IGNORE, 3]]  # 9 is in no row: one beyond
    assert [sample.truth.present() for sample in data] == [(0, 1), (1,)]
    assert data.notes == ("1 label pictures hold values that the class table does not name (such as 0.png)",)
    assert data.colours is None


def test_a_table_of_colours(tmp_path: Path) -> None:
    """As CamVid's class_dict.csv."""
    pair(tmp_path, [[(0, 128, 192), (128, 0, 0), (1, 2, 3), (0, 0, 9)]])
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nBicyclist,0,128,192\nBuilding,128,0,0\nIgnore,1,2,3\n")
    data = read(tmp_path)
    assert data.classes == ("Bicyclist", "Building")
    assert data.colours == ((0, 128, 192), (128, 0, 0))
    assert pixels(data) == [[0, 1, IGNORE, 2]]
    refused(tmp_path, "one class table", table="value,name\n0,a\n")


def test_colours_count_for_grey_and_palette_where_there_are_no_values(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1, 200]], palette=VOC)
    save(tmp_path / "images" / "g.png", [[0]])
    save(tmp_path / "masks" / "g.png", [[128, 0, 7]])
    data = read(tmp_path, "name,r,g,b\nmaroon,128,0,0\nblack,0,0,0\ngrey,128,128,128\n")
    assert [pixels(data, 0), pixels(data, 1)] == [[[1, 0, 1]], [[2, 1, 3]]]


def test_a_table_of_values_takes_its_colours_from_the_palette(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], palette=VOC)
    assert read(tmp_path, "value,name\n2,c\n0,a\n1,b\n").colours == ((0, 128, 0), (0, 0, 0), (128, 0, 0))
    table = "value,name,r,g,b\n0,a,5,5,5\n1,b,5,5,5\n"
    assert read(tmp_path, table).colours == ((5, 5, 5), (5, 5, 5))  # the table has the last word


def test_a_table_of_values_says_nothing_of_colours(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[(0, 0, 0), (1, 1, 1)]])
    data = read(tmp_path, "value,name\n0,a\n1,b\n")
    assert [sample.id for sample in data] == ["images/0.png"]
    assert "no colours of their own" in skipped(data)["images/1.png"]
    for table in ("value,name,r,g,b\n0,a,0,0,0\n1,b,0,0,0\n", "value,name\n0,a\n"):  # colours that tell nothing apart
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
        ("value,name\n0,a\0\n", 2, "a byte of value 0"),
    ],
)
def test_tables_that_cannot_be_understood(tmp_path: Path, table: str, line: int | None, words: str) -> None:
    error = refused(pair(tmp_path, [[0]]), words, table=table)
    assert (error.where, error.line) == (tmp_path / "classes.csv", line)


@given(
    known=st.dictionaries(st.integers(0, 1 << 24) | st.integers(0, 300), st.integers(-1, 9), min_size=1, max_size=9),
    others=st.lists(st.integers(0, 1 << 24) | st.integers(0, 300), max_size=9),
)
def test_values_become_classes_as_a_dictionary_has_it(known: dict[int, int], others: list[int]) -> None:
    values = [*known, *others]
    found = Codes.of(known, 10).classes_of(np.array(values, np.int32))
    assert found.tolist() == [known.get(value, 10) for value in values]
    assert found.dtype == np.int32
    assert distinct(np.array([values], np.int32)).tolist() == sorted(set(values))


# --- which belong together --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photos", "masks"),
    [
        ("image", "label"),
        ("images", "masks"),
        ("imgs", "labels"),
        ("JPEGImages", "SegmentationClass"),
        ("Images", "Mask"),
        ("img", "MASKS"),
    ],
)
def test_what_the_folders_are_called(tmp_path: Path, photos: str, masks: str) -> None:
    data = read(pair(tmp_path, [[0, 1]], photos=photos, masks=masks))
    assert [sample.id for sample in data] == [f"{photos}/0.png"]
    assert data[0].part is None


@pytest.mark.parametrize("place", ["{part}/{side}", "{side}/{part}"])
def test_parts_above_or_below(tmp_path: Path, place: str) -> None:
    for word in ("train", "Val", "testing"):
        photos, masks = (place.format(part=word, side=side) for side in ("images", "masks"))
        pair(tmp_path, [[0, 1]], photos=photos, masks=masks)
    data = read(tmp_path)
    assert sorted(sample.part for sample in data) == ["test", "train", "valid"]
    assert skipped(data) == {}


def test_endings_may_differ_and_labels_may_have_a_suffix(tmp_path: Path) -> None:
    for photo, label in (
        ("1.jpg", "1.png"),
        ("2.png", "2_mask.gif"),
        ("3.png", "3_L.png"),
        ("4.bmp", "4-label.tif"),
        ("deep/er/5.png", "deep/er/5_GT.png"),
        ("a.b.png", "a.b_seg.png"),
        ("x.png", "x.png"),
        ("x_mask.png", "x_mask.png"),  # a picture so called, not the label of x
    ):
        save(tmp_path / "images" / photo, [[0]])
        save(tmp_path / "masks" / label, [[0, 1]])
    data = read(tmp_path)
    assert len(data) == 8
    assert skipped(data) == {}
    assert {s.id: s.truth.path.name for s in data}["images/x_mask.png"] == "x_mask.png"
    assert "JPEG" not in " ".join(data.notes)


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[0, 1]])
    for file in ("images/lone.png", "images/1.tif", "masks/alone.png", "masks/0_mask.png", "masks/1.bmp"):
        save(tmp_path / file, [[0]])
    (tmp_path / "masks" / "notes.txt").write_text("x")
    (tmp_path / "masks" / "empty.png").touch()
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["images/0.png", "images/1.png"]
    assert data[1].truth.path.name == "1.bmp"  # sorted by name
    assert skipped(data) == {
        "images/1.tif": "has the name of images/1.png",
        "images/lone.png": "no label picture has its name",
        "masks/1.png": "has the name of masks/1.bmp",
        "masks/0_mask.png": "no picture has its name",
        "masks/alone.png": "no picture has its name",
        "masks/notes.txt": "the ending is not that of a picture",
        "masks/empty.png": "the file is empty (0 bytes)",
    }


def test_a_label_picture_that_cannot_be_read(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[0, 1]])
    cut = (tmp_path / "masks" / "1.png").read_bytes()[:45]
    (tmp_path / "masks" / "1.png").write_bytes(cut)
    for table in (None, "value,name\n0,a\n1,b\n"):
        data = read(tmp_path, table)
        assert [sample.id for sample in data] == ["images/0.png"]
        assert "masks/1.png: the picture is damaged" in skipped(data)["images/1.png"]
    (tmp_path / "masks" / "0.png").write_bytes(cut)
    refused(tmp_path, "that can be read are expected", "masks/1.png")
    (tmp_path / "classes.csv").unlink()
    refused(tmp_path, "none that can be read", "0.png")


def test_a_file_that_changes_after_it_was_looked_at(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[0, 1]]))
    save(tmp_path / "masks" / "0.png", [[1, 9]])
    assert pixels(data) == [[1, 2]]
    (tmp_path / "masks" / "0.png").unlink()
    with pytest.raises(BadPicture, match="no such file"):
        pixels(data)


def test_no_pairs(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", [[0]])
    save(tmp_path / "masks" / "b.png", [[0]])
    refused(tmp_path, "none with the same name", "images/a.png")
    with pytest.raises(DataError, match="such as images/ and masks/"):
        formats.read(tmp_path / "images", "pairs")
    with pytest.raises(DataError, match="such as images/ and masks/"):
        formats.read(tmp_path / "images" / "a.png", "pairs")


def test_label_pictures_as_jpeg_are_warned_of(tmp_path: Path) -> None:
    save(tmp_path / "images" / "0.png", [[0]])
    save(tmp_path / "masks" / "0.jpg", np.zeros((8, 8)))
    assert "1 label pictures are JPEG (such as 0.jpg)" in read(tmp_path).notes[0]


def test_what_is_laid_out_so_and_what_is_not(tmp_path: Path) -> None:
    def fits(path: Path) -> list[str]:
        return [name for name, format in formats.all().items() if format.sniff(path)]

    assert fits(pair(tmp_path / "pairs", [[0]])) == ["pairs"]
    assert fits(pair(tmp_path / "voc", [[0]], photos="JPEGImages", masks="SegmentationClass")) == ["pairs"]
    assert fits(pair(tmp_path / "parts", [[0]], photos="train/images", masks="train/masks")) == ["pairs"]
    (tmp_path / "pairs" / "classes.csv").write_text("value,name\n0,a\n")
    assert fits(tmp_path / "pairs") == ["pairs"]
    (tmp_path / "yolo" / "labels").mkdir(parents=True)
    (tmp_path / "yolo" / "labels" / "0.txt").write_text("0 0.5 0.5 0.1 0.1")
    save(tmp_path / "yolo" / "images" / "0.png", [[0]])
    assert "pairs" not in fits(tmp_path / "yolo")
    save(tmp_path / "yolo" / "masks" / "0.png", [[0]])
    assert "pairs" in fits(tmp_path / "yolo")
    save(tmp_path / "pairs" / "labels" / "0.png", [[0]])
    refused(tmp_path / "pairs", "one folder is expected, found labels and masks")


# --- writing ----------------------------------------------------------------------------------------------------------


def made(*masks: object, classes: tuple[str, ...] = ("a", "b"), **given: object) -> Dataset[Mask]:
    rows = np.zeros((len(masks), 4, 6, 3), np.uint8)
    samples = [Sample(f"s/{i}", ArraySource(rows, i), Mask.of(np.array(mask))) for i, mask in enumerate(masks)]
    return Dataset("made", "semantic", classes, samples, **given)


def written(dataset: Dataset[Mask], path: Path) -> PIL.Image.Image:
    """The first label picture, as anyone would open it."""
    formats.find("pairs").write(dataset, path)
    return PIL.Image.open(path / "masks" / "s-0.png")


def test_written_as_grey(tmp_path: Path) -> None:
    picture = written(made([[0, 1, IGNORE]]), tmp_path / "x")
    assert picture.mode == "L"
    assert np.asarray(picture).tolist() == [[0, 1, 255]]
    assert (tmp_path / "x" / "classes.csv").read_text() == '"value","name"\n"0","a"\n"1","b"\n"255","ignore"\n'


def test_written_with_a_palette(tmp_path: Path) -> None:
    picture = written(made([[0, 1, IGNORE]], colours=((1, 2, 3), (255, 0, 0))), tmp_path / "x")
    assert picture.mode == "P"
    assert np.asarray(picture).tolist() == [[0, 1, 255]]
    assert np.asarray(picture.convert("RGB")).tolist() == [[[1, 2, 3], [255, 0, 0], [224, 224, 192]]]


@pytest.mark.parametrize(("count", "mode", "void"), [(255, "L", 255), (256, "I;16", 65535), (1000, "I;16", 65535)])
def test_written_with_as_many_bits_as_it_takes(tmp_path: Path, count: int, mode: str, void: int) -> None:
    last = count - 1
    dataset = made([[0, last, IGNORE]], classes=tuple(f"c{i}" for i in range(count)))
    picture = written(dataset, tmp_path / "x")
    assert picture.mode == mode
    assert np.asarray(picture).tolist() == [[0, last, void]]
    assert pixels(read(tmp_path / "x")) == [[0, last, IGNORE]]


def test_written_names_never_clash(tmp_path: Path) -> None:
    dataset = made(*[[[i % 2]] for i in range(6)])
    ids = ["a.png", "a.jpg", "A", "a_mask", "train/a", "b" * 400]
    samples = [replace(sample, id=id) for sample, id in zip(dataset, ids, strict=True)]
    formats.find("pairs").write(replace(dataset, samples=samples), tmp_path / "x")
    data = read(tmp_path / "x")
    assert (len(data), skipped(data)) == (6, {})
    assert {sample.part for sample in data} == {None}


def test_all_that_cannot_be_held_is_told_at_once(tmp_path: Path) -> None:
    dataset = made([[0, 1]], [[0, 2]], [[0, -2]], classes=("ignore", "b\0"))
    changes = [{"group": "g"}, {"part": "train"}, {"time": "noon"}]
    samples = [replace(sample, **change) for sample, change in zip(dataset, changes, strict=True)]
    with pytest.raises(DataError) as caught:
        formats.find("pairs").write(replace(dataset, samples=samples), tmp_path / "x")
    for words in (
        "1 samples with a group (such as 's/0')",
        "1 samples with a time (such as 's/2')",
        "2 samples without a part beside others with one (such as 's/0')",
        "2 samples with pixels of no class (such as 's/1')",
        "the class name 'ignore'",
        "the class name 'b\\x00'",
    ):
        assert words in caught.value.message
    for classes in ((), (" ",), ("a", "a"), tuple(map(str, range(65536)))):
        with pytest.raises(DataError, match="cannot hold"):
            formats.find("pairs").write(made([[IGNORE]], classes=classes), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


# --- whatever is there ------------------------------------------------------------------------------------------------


def check_survives(path: Path) -> None:
    blamed = None
    try:
        data = formats.read(path, "pairs")
    except DataError as error:
        blamed = str(error.where)
    if blamed is not None:
        assert str(path) in blamed
        return
    for sample in data:
        assert set(sample.truth.present()) <= set(range(len(data.classes)))
        values = sample.truth.pixels.read()
        assert IGNORE <= values.min() <= values.max() <= len(data.classes)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.text(alphabet='value,nm\n"\r;r\tgb\0 0125é\ud800', max_size=80) | st.binary(max_size=60))
def test_any_table_is_classes_or_one_error(tmp_path: Path, table: str | bytes) -> None:
    pair(tmp_path, [[0, 1, 2]], [[(0, 0, 0), (1, 2, 5)]])
    data = table if isinstance(table, bytes) else table.encode(errors="surrogatepass")
    for head in (b"", b"value,name\n", b"name,r,g,b\n"):
        (tmp_path / "classes.csv").write_bytes(head + data)
        check_survives(tmp_path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    palette=st.none() | st.just(VOC),
    ending=st.sampled_from(["png", "gif", "bmp", "tif", "ppm"]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.3, 1),
)
def test_any_damage_to_a_label_picture_is_survived(
    tmp_path: Path, palette: list[int] | None, ending: str, flips: list[tuple[float, int]], cut: float
) -> None:
    save(tmp_path / "images" / "0.png", [[0]])
    palette = None if ending == "ppm" else palette
    for old in (tmp_path / "masks").glob("*"):
        old.unlink()
    file = save(tmp_path / "masks" / f"0.{ending}", np.arange(60).reshape(6, 10) % 3, palette=palette)
    data = bytearray(file.read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    file.write_bytes(data[: max(1, int(cut * len(data)))])
    check_survives(tmp_path)
