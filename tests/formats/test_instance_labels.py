"""Label images that number objects, and how they differ from those with classes."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from foveate import formats
from foveate.annotations import Boxes, Instances, Polygon, RunLengths
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.ops import rle
from foveate.ops.label_runs import label_runs
from helpers.format_reading import skipped
from helpers.label_scenes import SIZE, cells, classes, photo, save

COUNT = 6


def lay(
    root: Path,
    image: str = "images/{i}.tif",
    label: str = "masks/{i}.tif",
    *,
    equal: bool = False,
    dtype: type = np.uint16,
) -> Path:
    for number in range(COUNT):
        save(root / image.format(i=number), photo(number, colour=False))
        ids = cells(number, 12 if equal else None).astype(dtype)
        path = root / label.format(i=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, ids)
        else:
            save(path, ids)
    return root


def check(data: Dataset[Instances]) -> None:
    assert (data.format, data.task, data.classes) == ("instance-labels", "instance", ("object",))
    assert len(data) == COUNT
    for sample in data:
        number = int(re.findall(r"\d+", Path(sample.id).stem)[0])
        ids = cells(number)
        assert np.array_equal(sample.target.label_map(), ids)
        rows, columns = np.nonzero(ids == 3)
        assert sample.target.boxes.corners[2].tolist() == [
            columns.min(),
            rows.min(),
            columns.max() + 1,
            rows.max() + 1,
        ]
    assert any("count them from 1 without gaps" in note for note in data.notes)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{i}.tif", "masks/{i}.tif"),  # StarDist
        ("train/{i}_img.tif", "train/{i}_masks.tif"),  # Cellpose
        ("{i}.tif", "{i}_masks.tif"),
        ("{i}.png", "{i}_cp_masks.png"),
        ("rawimages/{i}.tif", "groundtruth/{i}.tif"),
        ("photos/{i}.png", "numbered/{i}.npy"),
        ("imagesTr/c{i}_0000.png", "labelsTr/c{i}.png"),
        ("images/{i}.png", "instances/{i}.png"),
    ],
)
def test_layouts(tmp_path: Path, image: str, label: str) -> None:
    check(formats.read(lay(tmp_path, image, label)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.int64])
def test_depths(tmp_path: Path, dtype: type) -> None:
    check(formats.read(lay(tmp_path, dtype=dtype)))


def test_numbers_beyond_16_bits(tmp_path: Path) -> None:
    lay(tmp_path)
    for number in range(COUNT):
        ids = cells(number).astype(np.uint32)
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", np.where(ids, ids + 100_000, 0))
    data = formats.read(tmp_path, "instance-labels")
    assert np.array_equal(data[2].target.label_map(), cells(2))


# --- classes or objects


def test_equal_numbers_of_objects_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, equal=True)
    with pytest.raises(DataError, match="can be read in several ways") as caught:
        formats.read(tmp_path)
    text = str(caught.value)
    assert "--task instance: each number in a label image is an object" in text
    assert "--task semantic: each value of a label image is a class" in text
    assert "12 values besides 0, 100% of them fill one connected region each" in text
    assert formats.read(tmp_path, task="instance").format == "instance-labels"
    semantic = formats.read(tmp_path, task="semantic")
    assert (semantic.format, len(semantic.classes)) == ("pairs", 13)


def test_numbers_of_objects_read_as_classes_are_noted(tmp_path: Path) -> None:
    data = formats.read(lay(tmp_path), "pairs")
    assert any("but look like numbers of objects" in note for note in data.notes)
    save(tmp_path / "x" / "images" / "0.png", photo(0))
    save(tmp_path / "x" / "masks" / "0.png", classes(0))
    data = formats.read(tmp_path / "x", "instance-labels")
    assert any("but they look like classes" in note for note in data.notes)


@pytest.mark.parametrize("count", [2, 3, 8, 20])
def test_classes_in_several_regions_are_classes(tmp_path: Path, count: int) -> None:
    for number in range(COUNT):
        save(tmp_path / "images" / f"{number}.png", photo(number))
        values = np.kron(
            np.random.default_rng(number).integers(0, count, (8, 10)), np.ones((8, 8))
        ).astype(np.uint8)
        save(tmp_path / "masks" / f"{number}.png", values)
    assert formats.read(tmp_path).format == "pairs"


def test_one_object_in_each_image_is_a_class(tmp_path: Path) -> None:
    for number in range(COUNT):
        save(tmp_path / "images" / f"{number}.png", photo(number))
        save(tmp_path / "masks" / f"{number}.png", (cells(number) == 1).astype(np.uint8))
    assert formats.read(tmp_path).classes == ("0", "1")


def test_a_class_table_says_that_values_are_classes(tmp_path: Path) -> None:
    lay(tmp_path, equal=True)
    rows = "".join(f"{k},part {k}\n" for k in range(13))
    (tmp_path / "classes.csv").write_text("value,name\n" + rows)
    assert formats.read(tmp_path).classes[12] == "part 12"


def test_numbers_that_the_class_table_lacks_are_asked_about(tmp_path: Path) -> None:
    (lay(tmp_path) / "classes.csv").write_text("value,name\n0,background\n1,cell\n")
    with pytest.raises(DataError, match="can be read in several ways"):
        formats.read(tmp_path)


def test_a_colour_for_each_object(tmp_path: Path) -> None:
    for number in range(COUNT):
        colours = np.random.default_rng(number).integers(1, 256, (40, 3)).astype(np.uint8)
        colours[0] = 0
        save(tmp_path / "images" / f"{number}.png", photo(number))
        save(tmp_path / "masks" / f"{number}.png", colours[cells(number)])
    data = formats.read(tmp_path)
    assert data.format == "instance-labels"
    assert any("colours besides black" in note for note in data.notes)
    for number, sample in enumerate(data):
        ids = sample.target.label_map()
        pairs = set(zip(ids.ravel().tolist(), cells(number).ravel().tolist(), strict=True))
        assert len(pairs) == cells(number).max() + 1


@pytest.mark.parametrize("missing", [(2, 5), (1,)])
def test_numbers_with_gaps_are_asked_about_unless_they_are_very_many(
    tmp_path: Path, missing: tuple[int, ...]
) -> None:
    for count, size in ((14, SIZE), (60, (160, 160))):
        for number in range(COUNT):
            ids = cells(number, count, size)
            save(tmp_path / str(count) / "images" / f"{number}.png", photo(number, size))
            save(
                tmp_path / str(count) / "masks" / f"{number}.png",
                np.where(np.isin(ids, missing), 0, ids).astype(np.uint16),
            )
    with pytest.raises(DataError, match="--task instance"):
        formats.read(tmp_path / "14")
    data = formats.read(tmp_path / "60")
    assert {len(sample.target) for sample in data} == {60 - len(missing)}


# --- nnU-Net


def nnunet(root: Path, channels: int = 1, labels: str = '{"background": 0, "cell": 1}') -> Path:
    for part, numbers in (("Tr", range(4)), ("Ts", range(4, 6))):
        for number in numbers:
            for channel in range(channels):
                values = photo(10 * number + channel, colour=False)
                save(root / f"images{part}" / f"c_{number}_{channel:04}.png", values)
            save(root / f"labels{part}" / f"c_{number}.png", classes(number, 2))
    (root / "dataset.json").write_text(f'{{"labels": {labels}, "file_ending": ".png"}}')
    return root


@pytest.mark.parametrize(
    "labels", ['{"background": 0, "cell": 1}', '{"0": "background", "1": "cell"}']
)
def test_nnunet_names_classes_and_splits(tmp_path: Path, labels: str) -> None:
    data = formats.read(nnunet(tmp_path, labels=labels))
    assert (data.format, data.classes) == ("pairs", ("background", "cell"))
    assert [sample.split for sample in data] == ["train"] * 4 + ["test"] * 2
    assert [sample.id for sample in data][:2] == ["imagesTr/c_0_0000.png", "imagesTr/c_1_0000.png"]
    assert np.array_equal(data[5].target.pixels.read(), classes(5, 2))


def test_channels_of_nnunet_are_bands(tmp_path: Path) -> None:
    data = formats.read(nnunet(tmp_path, channels=3))
    image = data[1].source.read()
    assert image.shape == (*SIZE, 3)
    for channel in range(3):
        assert np.array_equal(image[..., channel], photo(10 + channel, colour=False))
    assert any("the 3 channels of each case are the bands" in note for note in data.notes)
    (tmp_path / "imagesTr" / "c_2_0001.png").unlink()
    assert skipped(formats.read(tmp_path)) == {
        "imagesTr/c_2_0000.png": "3 channels are expected, found 2",
        "labelsTr/c_2.png": "no image has the same name",
    }


def test_descriptions_of_nnunet_that_cannot_be_read(tmp_path: Path) -> None:
    for labels, words in (
        ('{"a": [1, 2]}', "is a region of several"),
        ('{"a": "b"}', "a number is expected for 'a'"),
        ("[]", "with a number for each class"),
        ('{"a": 1, "b": 1}', "expected once, got 1 again"),
        ('{"a": 99999}', "from 0 to 65535"),
    ):
        nnunet(tmp_path, labels=labels)
        with pytest.raises(DataError, match=words) as caught:
            formats.read(tmp_path, "pairs")
        assert caught.value.where == tmp_path / "dataset.json"
    (tmp_path / "dataset.json").write_text('{"labels": {"a": 0}, "file_ending": ".nii.gz"}')
    with pytest.raises(DataError, match="these are volumes"):
        formats.read(tmp_path, "pairs")


# --- other tools


def test_pickles_of_cellpose_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "executed",))

    for number in range(3):
        save(tmp_path / f"{number}.png", photo(number))
        with (tmp_path / f"{number}_seg.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|O", "fortran_order": False, "shape": ()}
            )
            pickle.dump(Trap(), file)
    for format in (None, "instance-labels"):
        with pytest.raises(DataError, match="pickles, which may hold code") as caught:
            formats.read(tmp_path, format)
        assert "--save_png" in str(caught.value)
    for number in range(3):
        save(tmp_path / f"{number}_cp_masks.png", cells(number))
    data = formats.read(tmp_path)
    assert (data.format, len(data)) == ("instance-labels", 3)
    assert skipped(data) == {f"{n}_seg.npy": "it is a pickle of Cellpose" for n in range(3)}
    assert not (tmp_path / "executed").exists()


def test_objects_of_voc_have_the_classes_beside_them(tmp_path: Path) -> None:
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759
    for number in range(3):
        ids = cells(number).astype(np.uint8)
        save(tmp_path / "JPEGImages" / f"{number}.jpg", photo(number))
        for folder, values in (
            ("SegmentationObject", ids),
            ("SegmentationClass", np.where(ids, 1 + ids % 2, 0).astype(np.uint8)),
        ):
            values = np.where(np.roll(ids, 1, 0) != ids, 255, values)  # void at the edges
            image = PIL.Image.fromarray(values.astype(np.uint8))
            image.putpalette(palette)
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{number}.png")
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n")
    data = formats.read(tmp_path, task="instance")
    assert (data.format, data.classes) == ("instance-labels", ("cat", "dog"))
    for sample in data:
        count = len(sample.target)
        assert sample.target.boxes.classes.tolist() == [n % 2 for n in range(1, count + 1)]
    assert formats.read(tmp_path, task="semantic").classes == ("background", "cat", "dog")


# --- writing


def made(*ids: np.ndarray, names: tuple[str, ...] = ("object",)) -> Dataset[Instances]:
    samples = []
    for row, values in enumerate(ids):
        like = Boxes(np.zeros((values.max(), 4)), np.zeros(values.max(), int))
        target = Instances.from_label_map(values, like)
        samples.append(Sample(f"s/{row}", ArraySource(photo(row)[None], 0), target))
    return Dataset("made", "instance", names, samples)


def test_label_images_are_written_in_16_bits(tmp_path: Path) -> None:
    formats.find_writer("instance-labels").write(made(cells(0), cells(1) * 0), tmp_path / "x")
    image = PIL.Image.open(tmp_path / "x" / "instances" / "s-0.png")
    assert image.mode == "I;16"
    assert np.array_equal(np.asarray(image), cells(0))
    data = formats.read(tmp_path / "x")
    assert [len(sample.target) for sample in data] == [cells(0).max(), 0]
    assert not (tmp_path / "x" / "classes.txt").exists()


def test_the_name_of_the_class_is_kept(tmp_path: Path) -> None:
    formats.find_writer("instance-labels").write(made(cells(0), names=("cell",)), tmp_path / "x")
    assert formats.read(tmp_path / "x").classes == ("cell",)
    (tmp_path / "x" / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="the name of one class is expected, got 2"):
        formats.read(tmp_path / "x")


def test_what_cannot_be_numbered_is_listed(tmp_path: Path) -> None:
    whole = RunLengths(rle.encode(np.ones(SIZE, bool)), SIZE)
    empty = RunLengths(rle.encode(np.zeros(SIZE, bool)), SIZE)
    corners = [[0, 0, SIZE[1], SIZE[0]]] * 2
    triangle = Polygon((np.array([[0, 0], [3, 0], [0, 3.0]]),))
    base = made(cells(0))
    for shapes, boxes, words in (
        ((whole, whole), corners, "with objects that overlap"),
        ((whole, empty), [corners[0], [0, 0, 0, 0]], "with a mask without a pixel"),
        ((triangle,), [[0, 0, 3, 3]], "with polygons or boxes where masks are expected"),
    ):
        target = Instances(Boxes(np.array(boxes), np.zeros(len(boxes), int)), shapes)
        dataset = replace(base, samples=[replace(base[0], target=target)])
        with pytest.raises(DataError, match=words):
            formats.find_writer("instance-labels").write(dataset, tmp_path / "x")
    assert not (tmp_path / "x").exists()


# --- run lengths


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_of_all_objects_are_those_of_each(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 4, rng.integers(1, 8, 2)) * rng.integers(0, 2)
    runs = label_runs(ids)
    assert list(runs) == [number for number in np.unique(ids).tolist() if number]
    for number, counts in runs.items():
        assert counts.tolist() == rle.encode(ids == number).tolist()


def test_an_empty_label_map_has_no_objects() -> None:
    assert label_runs(np.zeros((0, 3), int)) == {}
