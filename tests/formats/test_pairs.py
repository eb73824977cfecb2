"""Pairs of images and label images: matching, writing, and damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import BadImage, DataError
from helpers.format_reading import skipped
from helpers.pairs_files import VOC, pair, pixels, read, refused, save

# --- matching


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
def test_folders_have_several_names(tmp_path: Path, photos: str, masks: str) -> None:
    data = read(pair(tmp_path, [[0, 1]], photos=photos, masks=masks))
    assert [sample.id for sample in data] == [f"{photos}/0.png"]
    assert data[0].split is None


@pytest.mark.parametrize("place", ["{split}/{side}", "{side}/{split}"])
def test_split_folders_lie_above_or_below(tmp_path: Path, place: str) -> None:
    for word in ("train", "Val", "testing"):
        photos, masks = (place.format(split=word, side=side) for side in ("images", "masks"))
        pair(tmp_path, [[0, 1]], photos=photos, masks=masks)
    data = read(tmp_path)
    assert sorted(sample.split for sample in data) == ["test", "train", "valid"]
    assert skipped(data) == {}


def test_file_types_may_differ_and_labels_may_have_a_suffix(tmp_path: Path) -> None:
    for photo, label in (
        ("1.jpg", "1.png"),
        ("2.png", "2_mask.gif"),
        ("3.png", "3_L.png"),
        ("4.bmp", "4-label.tif"),
        ("deep/er/5.png", "deep/er/5_GT.png"),
        ("a.b.png", "a.b_seg.png"),
        ("x.png", "x.png"),
        ("x_mask.png", "x_mask.png"),  # an image with this name, not the label of x
    ):
        save(tmp_path / "images" / photo, [[0]])
        save(tmp_path / "masks" / label, [[0, 1]])
    data = read(tmp_path)
    assert len(data) == 8
    assert skipped(data) == {}
    assert {s.id: s.target.path.name for s in data}["images/x_mask.png"] == "x_mask.png"
    assert "JPEG" not in " ".join(data.notes)


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[0, 1]])
    for file in (
        "images/lone.png",
        "images/1.tif",
        "masks/alone.png",
        "masks/0_mask.png",
        "masks/1.bmp",
    ):
        save(tmp_path / file, [[0]])
    (tmp_path / "masks" / "notes.txt").write_text("x")
    (tmp_path / "masks" / "empty.png").touch()
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["images/0.png", "images/1.png"]
    assert data[1].target.path.name == "1.bmp"  # sorted by name
    assert skipped(data) == {
        "images/1.tif": "it has the same name as images/1.png",
        "images/lone.png": "no label image has the same name",
        "masks/1.png": "it has the same name as masks/1.bmp",
        "masks/0_mask.png": "no image has the same name",
        "masks/alone.png": "no image has the same name",
        "masks/notes.txt": "the file suffix is not that of an image",
        "masks/empty.png": "the file is empty (0 bytes)",
    }


def test_a_damaged_label_image_is_skipped(tmp_path: Path) -> None:
    pair(tmp_path, [[0, 1]], [[0, 1]])
    cut = (tmp_path / "masks" / "1.png").read_bytes()[:45]
    (tmp_path / "masks" / "1.png").write_bytes(cut)
    for table in (None, "value,name\n0,a\n1,b\n"):
        data = read(tmp_path, table)
        assert [sample.id for sample in data] == ["images/0.png"]
        assert "masks/1.png: the image is damaged" in skipped(data)["images/1.png"]
    (tmp_path / "masks" / "0.png").write_bytes(cut)
    refused(tmp_path, "that can be read are expected", "masks/1.png")
    (tmp_path / "classes.csv").unlink()
    refused(tmp_path, "none that can be read", "0.png")


def test_a_file_may_change_after_the_scan(tmp_path: Path) -> None:
    data = read(pair(tmp_path, [[0, 1]]))
    save(tmp_path / "masks" / "0.png", [[1, 9]])
    assert pixels(data) == [[1, 2]]
    (tmp_path / "masks" / "0.png").unlink()
    with pytest.raises(BadImage, match="no such file"):
        pixels(data)


def test_no_pairs_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", [[0]])
    save(tmp_path / "masks" / "b.png", [[0]])
    with pytest.raises(DataError, match=r"none with the same name.*images/a.png"):
        formats.read(tmp_path, "pairs")
    with pytest.raises(DataError, match="none has the name of an image"):
        formats.read(tmp_path)
    with pytest.raises(DataError, match="such as images/ and masks/"):
        formats.read(tmp_path / "images", "pairs")
    with pytest.raises(DataError, match="such as images/ and masks/"):
        formats.read(tmp_path / "images" / "a.png", "pairs")


def test_jpeg_label_images_are_noted(tmp_path: Path) -> None:
    save(tmp_path / "images" / "0.png", [[0]])
    save(tmp_path / "masks" / "0.jpg", np.zeros((8, 8)))
    notes = " ".join(read(tmp_path).notes)
    assert "1 label image with lossy compression (such as 0.jpg): 0 of 64 pixels" in notes


def test_only_pairs_are_recognised(tmp_path: Path) -> None:
    def fits(path: Path) -> list[str]:
        return [name for name, format in formats.all().items() if format.sniff(path)]

    assert fits(pair(tmp_path / "pairs", [[0]])) == ["pairs"]
    assert fits(pair(tmp_path / "voc", [[0]], photos="JPEGImages", masks="SegmentationClass")) == [
        "pairs"
    ]
    assert fits(pair(tmp_path / "splits", [[0]], photos="train/images", masks="train/masks")) == [
        "pairs"
    ]
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


# --- writing


def made(*masks: object, classes: tuple[str, ...] = ("a", "b"), **given: object) -> Dataset[Mask]:
    rows = np.zeros((len(masks), 4, 6, 3), np.uint8)
    samples = [
        Sample(f"s/{i}", ArraySource(rows, i), Mask.from_array(np.array(mask)))
        for i, mask in enumerate(masks)
    ]
    return Dataset("made", "semantic", classes, samples, **given)


def written(dataset: Dataset[Mask], path: Path) -> PIL.Image.Image:
    """Write a dataset and open its first label image with Pillow."""
    formats.find_writer("pairs").write(dataset, path)
    return PIL.Image.open(path / "masks" / "s-0.png")


def test_labels_are_written_in_grey(tmp_path: Path) -> None:
    image = written(made([[0, 1, IGNORE]]), tmp_path / "x")
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [[0, 1, 255]]
    assert (
        tmp_path / "x" / "classes.csv"
    ).read_text() == '"value","name"\n"0","a"\n"1","b"\n"255","ignore"\n'


def test_colours_are_written_as_a_palette(tmp_path: Path) -> None:
    image = written(made([[0, 1, IGNORE]], colours=((1, 2, 3), (255, 0, 0))), tmp_path / "x")
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 1, 255]]
    assert np.asarray(image.convert("RGB")).tolist() == [[[1, 2, 3], [255, 0, 0], [224, 224, 192]]]


@pytest.mark.parametrize(
    ("count", "mode", "void"), [(255, "L", 255), (256, "I;16", 65535), (1000, "I;16", 65535)]
)
def test_many_classes_are_written_with_16_bits(
    tmp_path: Path, count: int, mode: str, void: int
) -> None:
    last = count - 1
    dataset = made([[0, last, IGNORE]], classes=tuple(f"c{i}" for i in range(count)))
    image = written(dataset, tmp_path / "x")
    assert image.mode == mode
    assert np.asarray(image).tolist() == [[0, last, void]]
    assert pixels(read(tmp_path / "x")) == [[0, last, IGNORE]]


def test_written_names_never_clash(tmp_path: Path) -> None:
    dataset = made(*[[[i % 2]] for i in range(6)])
    ids = ["a.png", "a.jpg", "A", "a_mask", "train/a", "b" * 400]
    samples = [replace(sample, id=id) for sample, id in zip(dataset, ids, strict=True)]
    formats.find_writer("pairs").write(replace(dataset, samples=samples), tmp_path / "x")
    data = read(tmp_path / "x")
    assert (len(data), skipped(data)) == (6, {})
    assert {sample.split for sample in data} == {None}


def test_unsupported_content_is_listed_at_once(tmp_path: Path) -> None:
    dataset = made([[0, 1]], [[0, 2]], [[0, -2]], classes=("ignore", "b\0"))
    changes = [{"group": "g"}, {"split": "train"}, {"time": "noon"}]
    samples = [replace(sample, **change) for sample, change in zip(dataset, changes, strict=True)]
    with pytest.raises(DataError) as caught:
        formats.find_writer("pairs").write(replace(dataset, samples=samples), tmp_path / "x")
    for words in (
        "1 sample with a group (such as 's/0')",
        "1 sample with a time (such as 's/2')",
        "2 samples without a split, while others have one (such as 's/0')",
        "2 samples with pixels of an unknown class (such as 's/1')",
        "the class name 'ignore'",
        "the class name 'b\\x00'",
    ):
        assert words in caught.value.message
    for classes in ((), (" ",), ("a", "a"), tuple(map(str, range(65536)))):
        with pytest.raises(DataError, match="cannot store"):
            formats.find_writer("pairs").write(made([[IGNORE]], classes=classes), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


# --- fuzzing


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
        assert set(sample.target.present()) <= set(range(len(data.classes)))
        values = sample.target.pixels.read()
        assert IGNORE <= values.min() <= values.max() <= len(data.classes)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=st.text(alphabet='value,nm\n"\r;r\tgb\0 0125é\ud800', max_size=80)
    | st.binary(max_size=60)
)
def test_any_table_is_classes_or_one_error(tmp_path: Path, table: str | bytes) -> None:
    pair(tmp_path, [[0, 1, 2]], [[(0, 0, 0), (1, 2, 5)]])
    data = table if isinstance(table, bytes) else table.encode(errors="surrogatepass")
    for head in (b"", b"value,name\n", b"name,r,g,b\n"):
        (tmp_path / "classes.csv").write_bytes(head + data)
        check_survives(tmp_path)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    palette=st.none() | st.just(VOC),
    ending=st.sampled_from(["png", "gif", "bmp", "tif", "ppm"]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.3, 1),
)
def test_any_damage_to_a_label_image_is_survived(
    tmp_path: Path,
    palette: list[int] | None,
    ending: str,
    flips: list[tuple[float, int]],
    cut: float,
) -> None:
    save(tmp_path / "images" / "0.png", [[0]])
    palette = None if ending == "ppm" else palette
    for old in (tmp_path / "masks").glob("*"):
        old.unlink()
    file = save(
        tmp_path / "masks" / f"0.{ending}", np.arange(60).reshape(6, 10) % 3, palette=palette
    )
    data = bytearray(file.read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    file.write_bytes(data[: max(1, int(cut * len(data)))])
    check_survives(tmp_path)
