"""One mask file per object: boxes from masks, what is skipped, what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import (
    Boxes,
    Instances,
    Polygon,
    RunLengths,
    Shape,
)
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.ops import rle
from helpers.format_reading import refusing, skipped

SIZE = (4, 6)


def mask(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    values = np.zeros(size, bool)
    values[top:bottom, left:right] = True
    return values


def save(path: Path, values: np.ndarray, inside: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.where(values, inside, 0).astype(np.uint8)).save(path)
    return path


def lay(root: Path, id: str, *masks: np.ndarray) -> Path:
    """Save an image with these masks."""
    save(root / id / "images" / "x.png", np.zeros(SIZE))
    (root / id / "masks").mkdir()
    for number, values in enumerate(masks):
        save(root / id / "masks" / f"{number}.png", values)
    return root


def read(path: Path) -> Dataset[Instances]:
    data = formats.read(path)
    assert data.format == "instance-masks"
    return data


refused = refusing("instance-masks")


# --- reading


def test_each_mask_is_an_object(tmp_path: Path) -> None:
    lay(tmp_path / "cells", "b7", mask(1, 2, 4, 3), mask(0, 0, 6, 4))
    lay(tmp_path / "cells", "a1", mask(5, 3, 6, 4))
    data = read(tmp_path / "cells")
    assert (data.name, data.task, data.classes) == ("cells", "instance", ("object",))
    assert data.origin == tmp_path / "cells"
    assert [(sample.id, sample.split) for sample in data] == [("a1", None), ("b7", None)]
    instances = data[1].target
    assert instances.boxes.corners.tolist() == [[1, 2, 4, 3], [0, 0, 6, 4]]
    assert instances.boxes.size == SIZE
    assert np.array_equal(instances.masks(SIZE), [mask(1, 2, 4, 3), mask(0, 0, 6, 4)])
    assert data[1].source.read().shape == (*SIZE, 1)
    assert data.skipped == ()


def test_images_may_be_empty_and_masks_too(tmp_path: Path) -> None:
    lay(tmp_path, "none")
    lay(tmp_path, "void", mask(0, 0, 0, 0))
    data = read(tmp_path)
    assert [len(sample.target) for sample in data] == [0, 1]
    assert data[0].target.boxes.size == SIZE  # measured from the image
    assert data[1].target.boxes.corners.tolist() == [[0, 0, 0, 0]]


def test_nonzero_pixels_belong_to_the_object(tmp_path: Path) -> None:
    lay(tmp_path, "x")
    here = tmp_path / "x" / "masks"
    save(here / "1.png", mask(1, 1, 2, 2), inside=1)
    PIL.Image.fromarray(mask(2, 1, 3, 2)).save(here / "2.png")  # one bit
    colour = np.zeros((*SIZE, 4), np.uint8)
    colour[..., 3], colour[1, 3, 2] = 255, 9  # opaque, as most are
    PIL.Image.fromarray(colour).save(here / "3.png")
    PIL.Image.fromarray(np.where(mask(4, 1, 5, 2), 256, 0).astype(np.uint16)).save(here / "4.tif")
    assert read(tmp_path)[0].target.boxes.corners[:, 0].tolist() == [1, 2, 3, 4]


def test_folders_above_give_the_split(tmp_path: Path) -> None:
    for word in ("train", "Validation", "test"):
        lay(tmp_path / word, "1", mask(0, 0, 1, 1))
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "Validation/1": "valid",
        "test/1": "test",
        "train/1": "train",
    }


def test_classes_txt_names_the_class(tmp_path: Path) -> None:
    lay(tmp_path, "1", mask(0, 0, 1, 1))
    (tmp_path / "classes.txt").write_text("nucleus\n")
    assert read(tmp_path).classes == ("nucleus",)
    (tmp_path / "classes.txt").write_text("nucleus\ncell\n")
    error = refused(tmp_path, "one class is expected, got 2")
    assert error.where == tmp_path / "classes.txt"


def test_unusable_folders_are_listed(tmp_path: Path) -> None:
    for id in (
        "good",
        "two",
        "no-image",
        "damaged",
        "empty",
        "sizes",
        "notes",
        "pipe",
        os.fsdecode(b"\xff"),
    ):
        lay(tmp_path, id, mask(0, 0, 1, 1), mask(0, 0, 1, 1))
    save(tmp_path / "two" / "images" / "y.png", mask(0, 0, 0, 0))
    (tmp_path / "no-image" / "images" / "x.png").write_bytes(b"")
    cut = (tmp_path / "damaged" / "masks" / "1.png").read_bytes()[:45]
    (tmp_path / "damaged" / "masks" / "1.png").write_bytes(cut)
    (tmp_path / "empty" / "masks" / "0.png").write_bytes(b"")
    save(tmp_path / "sizes" / "masks" / "2.png", mask(0, 0, 1, 1, (9, 7)))
    (tmp_path / "notes" / "masks" / "notes.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe" / "masks" / "2.png")
    save(tmp_path / "no-masks" / "images" / "x.png", mask(0, 0, 0, 0))
    save(tmp_path / "no-images" / "masks" / "x.png", mask(0, 0, 0, 0))
    save(tmp_path / "stray.png", mask(0, 0, 0, 0))
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["good", "notes"]
    reasons = skipped(data)
    assert reasons.pop("damaged").startswith("damaged/masks/1.png: the image is damaged")
    assert reasons == {
        "two": "one image is expected in images/, found 2",
        "no-image": "one image is expected in images/, found 0; "
        "no-image/images/x.png: the file is empty (0 bytes)",
        "empty": "empty/masks/0.png: the file is empty (0 bytes)",
        "sizes": "sizes/masks/2.png: a mask of 6 x 4 pixels is expected like the first one, "
        "got 7 x 9",
        "notes/masks/notes.txt": "the file suffix is not that of an image",
        "pipe": "pipe/masks/2.png: a file is expected, this is a folder or a device",
        "\\udcff": "the name is not valid UTF-8",
        "no-masks": "it has no folder masks/",
        "no-images": "it has no folder images/",
        "stray.png": "it lies in no folder for one image",
    }


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "a", mask(0, 0, 1, 1))
    lay(tmp_path, "b", mask(0, 0, 1, 1))
    (tmp_path / "a" / "masks" / "0.png").write_bytes(b"garbage")
    assert skipped(read(tmp_path))["a"].startswith("a/masks/0.png: an image (PNG, ")
    (tmp_path / "b" / "masks" / "0.png").write_bytes(b"garbage")
    refused(tmp_path, "none that can be used", "a/masks/0.png")


def test_each_mask_is_decoded_once(tmp_path: Path) -> None:
    data = read(lay(tmp_path, "a", mask(0, 0, 1, 1)))
    (tmp_path / "a" / "masks" / "0.png").unlink()
    assert np.array_equal(data[0].target.masks(SIZE), [mask(0, 0, 1, 1)])


def test_other_layouts_are_not_read(tmp_path: Path) -> None:
    refused(save(tmp_path / "x.png", mask(0, 0, 1, 1)), "images/ and masks/ are expected")
    refused(tmp_path, "none that can be used", "x.png: it lies in no folder")

    def fits(path: Path) -> list[str]:
        return [name for name, format in formats.all().items() if format.sniff(path)]

    assert fits(lay(tmp_path / "one", "x", mask(0, 0, 1, 1))) == ["instance-masks"]
    assert fits(lay(tmp_path / "splits" / "train", "x")) == ["instance-masks"]
    (tmp_path / "one" / "labels.csv").write_text("ImageId,EncodedPixels\n")  # as published
    assert fits(tmp_path / "one") == ["instance-masks"]
    assert fits(lay(tmp_path / "pairs", "train", mask(0, 0, 1, 1))) == []
    assert fits(tmp_path / "one" / "x") == []
    (tmp_path / "one" / "x" / "masks" / "0.png").rename(tmp_path / "one" / "x" / "masks" / "x.png")
    assert fits(tmp_path / "one" / "x") == ["pairs"]


# --- writing


def made(
    *shapes: Shape | None, classes: tuple[str, ...] = ("object",), **boxes: object
) -> Dataset[Instances]:
    """An image with these objects, each with the box of its shape."""
    corners = np.array(
        [shape.bounds() if shape else (0, 0, 1, 1) for shape in shapes], float
    ).reshape(-1, 4)
    instances = Instances(Boxes(corners, np.zeros(len(shapes), int), **boxes), shapes)
    sample = Sample("a/b.c", ArraySource(np.zeros((1, *SIZE, 3), np.uint8), 0), instances)
    return Dataset("made", "instance", classes, [sample])


def runs(values: np.ndarray) -> RunLengths:
    return RunLengths(rle.encode(values), values.shape)


def test_masks_are_written_as_png(tmp_path: Path) -> None:
    one, two = mask(1, 1, 3, 3), mask(0, 0, 0, 0)
    formats.find_writer("instance-masks").write(
        made(runs(one), runs(two), *[runs(one)] * 9), tmp_path / "x"
    )
    files = sorted(
        file.relative_to(tmp_path / "x").as_posix() for file in (tmp_path / "x").rglob("*.png")
    )
    assert files == [
        "a-b_c/images/a-b_c.png",
        *(f"a-b_c/masks/{number:02d}.png" for number in range(11)),
    ]
    for file, values in (("00", one), ("01", two)):
        image = PIL.Image.open(tmp_path / "x" / "a-b_c" / "masks" / f"{file}.png")
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), values * 255)
    assert not (tmp_path / "x" / "classes.txt").exists()


def test_reserved_names_are_avoided(tmp_path: Path) -> None:
    dataset = made(runs(mask(0, 0, 2, 2)))
    ids = ["train", "images", "masks", "Test", "__MACOSX", "a/b", "a-b", "A-B"]
    dataset = replace(dataset, samples=[replace(dataset[0], id=id) for id in ids], classes=("x",))
    formats.find_writer("instance-masks").write(dataset, tmp_path / "x")
    data = read(tmp_path / "x")
    assert (len(data), data.skipped, data.classes) == (8, (), ("x",))
    assert {sample.split for sample in data} == {None}


def test_unsupported_content_is_listed_at_once(tmp_path: Path) -> None:
    triangle = Polygon((np.array([[0, 0], [3, 0], [0, 3.0]]),))
    flags = {"crowd": np.array([True, False, False]), "difficult": np.array([False, True, False])}
    bad = made(triangle, None, runs(mask(0, 0, 1, 1)), **flags)
    off = made(runs(mask(0, 0, 2, 2)), runs(mask(0, 0, 1, 1, (9, 9))))
    off[0].target.boxes.corners[0, 2] += 0.5
    scored = made(runs(mask(0, 0, 2, 2)), scores=np.ones(1))
    samples = [
        replace(bad[0], group="g", split="train"),
        replace(off[0], id="off", time="noon"),
        replace(scored[0], id="scored"),
    ]
    dataset = Dataset("bad", "instance", ("a\nb", "c"), samples, colours=((0, 0, 0), (1, 1, 1)))
    with pytest.raises(DataError) as caught:
        formats.find_writer("instance-masks").write(dataset, tmp_path / "x")
    for words in (
        "1 sample with a group (such as 'a/b.c')",
        "1 sample with a time (such as 'off')",
        "2 samples without a split, while others have one (such as 'off')",
        "2 classes (it stores one)",
        "the colours of the classes",
        "1 sample with polygons or boxes where masks are expected (such as 'a/b.c')",
        "1 sample with crowds (such as 'a/b.c')",
        "1 sample with difficult objects (such as 'a/b.c')",
        "1 sample with scores (such as 'scored')",
        "1 sample with a box that is not the bounds of its mask (such as 'off')",
        "1 sample with masks of several sizes (such as 'off')",
        "the class name 'a\\nb'",
    ):
        assert words in caught.value.message
    assert list(tmp_path.iterdir()) == []


# --- fuzzing


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.integers(0, 2),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.2, 1),
)
def test_any_damage_is_survived(
    tmp_path: Path, which: int, flips: list[tuple[float, int]], cut: float
) -> None:
    root = tmp_path / "x"
    if not root.exists():
        lay(lay(root, "a", mask(1, 1, 3, 3), mask(2, 0, 5, 4)), "b", mask(0, 0, 2, 2))
        (root / "classes.txt").write_text("cell\n")
    file = (root / "a" / "masks" / "1.png", root / "a" / "images" / "x.png", root / "classes.txt")[
        which
    ]
    original = file.read_bytes()
    data = bytearray(original)
    for place, value in flips:
        data[int(place * len(data))] = value
    file.write_bytes(data[: int(cut * len(data))])
    blamed = None
    try:
        dataset = formats.read(root, "instance-masks")
        assert [sample.id for sample in dataset][-1] == "b"
        assert all(
            sample.target.masks(SIZE).shape[1:] == SIZE for sample in dataset if sample.id == "b"
        )
    except DataError as error:
        blamed = error.where
    finally:
        file.write_bytes(original)
    assert blamed in (None, root / "classes.txt")
