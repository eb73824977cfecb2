"""IDX files as people have them: what is read, what is refused and how."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.datasets.load import load
from helpers.load_files import PICTURE, ids, lay, refused


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    """Made by hand from the format's description, apart from the writer."""
    return (
        struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()
    )


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([0, 1, 3, 1, 0, 1], np.uint8)


def mnist(folder: Path, zipped: bool = False, infix: str = "-", **changed: bytes) -> Path:
    """Six images to learn from and two to test with. changed: the content of single files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "train_images": ("train-images", "idx3", idx(IMAGES)),
        "train_labels": ("train-labels", "idx1", idx(LABELS)),
        "test_images": ("t10k-images", "idx3", idx(IMAGES[:2])),
        "test_labels": ("t10k-labels", "idx1", idx(LABELS[:2])),
    }
    for key, (name, rank, data) in files.items():
        data = changed.get(key, data)
        file = folder / f"{name}{infix}{rank}-ubyte{'.gz' if zipped else ''}"
        file.write_bytes(gzip.compress(data) if zipped and key not in changed else data)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("infix", ["-", "."])
def test_idx(tmp_path: Path, zipped: bool, infix: str) -> None:
    data = load(mnist(tmp_path / "m", zipped, infix))
    assert data.classes == ("0", "1", "2", "3")
    assert ids(data)[::5] == ["train/00000", "train/00005"]
    assert ids(data)[6:] == ["test/00000", "test/00001"]
    assert [sample.target.index for sample in data] == [*LABELS, *LABELS[:2]]
    assert [sample.split for sample in data] == ["train"] * 6 + ["test"] * 2
    for sample, image in zip(data, [*IMAGES, *IMAGES[:2]], strict=True):
        assert np.array_equal(sample.source.read(), image[..., None])
    assert data[0].source.rows is data[5].source.rows  # one array, not many
    assert data.origin == tmp_path / "m"
    assert ids(load(data.origin)) == ids(data)


def test_idx_in_colour_and_with_names(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    (tmp_path / "train-images-idx4-ubyte").write_bytes(idx(colour))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:2]))
    (tmp_path / "classes.txt").write_text("T-shirt/top\nTrouser\nBag\n")
    data = load(tmp_path)
    assert data.classes == ("T-shirt/top", "Trouser", "Bag")
    assert np.array_equal(data[1].source.read(), colour[1])
    (tmp_path / "classes.txt").write_text("T-shirt/top\n")
    assert "label 1" in refused(tmp_path, "got 1").message


def test_an_unpacked_file_is_taken_before_its_packed_twin(tmp_path: Path) -> None:
    mnist(mnist(tmp_path), zipped=True, train_images=b"not even gzip")
    assert len(load(tmp_path)) == 8


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"train_images": b""}, "train-images", ["00000803", "nothing"]),
        ({"train_images": idx(IMAGES)[:9]}, "train-images", ["within its header"]),
        ({"train_images": idx(IMAGES)[:-1]}, "train-images", ["120 values are expected"]),
        (
            {"train_images": idx(IMAGES) + b"x"},
            "train-images",
            ["120 values are expected", "got more"],
        ),
        ({"train_images": idx(LABELS)}, "train-images", ["00000803", "got 00000801"]),
        ({"train_images": idx(IMAGES.astype(">f4"), 13)}, "train-images", ["got 00000d03"]),
        ({"test_labels": PICTURE}, "t10k-labels", ["00000801", "got 89504e47"]),
        ({"test_labels": idx(LABELS)}, "t10k-labels", ["6 labels and 2 images"]),
        ({"train_images": idx(IMAGES[:, :0])}, "train-images", ["with pixels"]),
        (
            {"train_images": struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 9)},
            "train-images",
            ["too short"],
        ),
    ],
)
def test_idx_files_that_lie(
    tmp_path: Path, zipped: bool, changed: dict[str, bytes], name: str, words: list[str]
) -> None:
    packed = {key: gzip.compress(data) if zipped else data for key, data in changed.items()}
    mnist(tmp_path, zipped, **packed)
    error = refused(tmp_path, *words)
    assert name in Path(str(error.where)).name


def test_two_files_for_one(tmp_path: Path) -> None:
    mnist(mnist(tmp_path), infix=".")
    refused(
        tmp_path, "one file is expected, found t10k-images-idx3-ubyte and t10k-images.idx3-ubyte"
    )


def test_gzip_that_lies(tmp_path: Path) -> None:
    good = gzip.compress(idx(IMAGES))
    flipped = bytes([*good[:-8], good[-8] ^ 1, *good[-7:]])
    for damaged, words in (
        (good[:-20], "cut short"),
        (b"\0" * 30, "damaged"),
        (flipped, "damaged"),
    ):
        mnist(tmp_path, zipped=True, train_images=damaged)
        refused(tmp_path, words, "train-images")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """100 MB of zeros behind a header that announces 120 values: nothing is read beyond those."""
    bomb = gzip.compress(idx(IMAGES) + bytes(100_000_000), compresslevel=1)
    mnist(tmp_path, zipped=True, train_images=bomb)
    tracemalloc.start()
    refused(tmp_path, "got more")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_idx_files_come_in_pairs(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "t10k-labels-idx1-ubyte is expected beside t10k-images-idx3-ubyte")
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert len(load(tmp_path)) == 6
    mnist(tmp_path, train_labels=idx(LABELS * 0), test_labels=idx(LABELS[:2] * 0))
    refused(tmp_path, "two classes or more")
    mnist(tmp_path, **{key: idx(IMAGES[:0]) for key in ("train_images", "test_images")})
    refused(tmp_path, "6 labels and 0 images")
    refused(lay(tmp_path / "x", "a/1.png"), "found none", format="idx")


def test_seventy_thousand_images_in_about_a_second(tmp_path: Path) -> None:
    zeros = np.zeros((60_000, 28, 28), np.uint8)
    labels = (np.arange(60_000) % 10).astype(np.uint8)
    mnist(
        tmp_path,
        zipped=True,
        train_images=gzip.compress(idx(zeros), 1),
        train_labels=gzip.compress(idx(labels), 1),
    )
    start = time.process_time()
    assert len(load(tmp_path)) == 60_002
    assert time.process_time() - start < 2


def test_formats_know_their_files(tmp_path: Path) -> None:
    found = [name for name, format in formats.all().items() if format.sniff(mnist(tmp_path))]
    assert found == ["idx"]
