"""WebDataset shards: samples, splits, classes, and recognition."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from foveate import formats
from foveate.formats import webdataset
from helpers.format_reading import skipped
from helpers.tars import IMAGE, TWO, Files, ids, names, png, put, read, refused, shades, tar

# --- samples


def test_files_with_one_name_are_a_sample(tmp_path: Path) -> None:
    data = read(tar(tmp_path / "pets.tar", TWO))
    assert (data.name, data.task, data.classes) == ("pets", "classification", ("0", "1"))
    assert ids(data) == ["a", "b"]
    assert names(data) == ["0", "1"]
    assert shades(data) == [0, 9]
    assert [sample.split for sample in data] == [None, None]
    assert (data.skipped, data.notes, data.origin) == ((), (), tmp_path / "pets.tar")


def test_the_files_of_a_sample_may_be_in_any_order(tmp_path: Path) -> None:
    mixed: Files = {"b.cls": "1", "a.cls": "0", "a.png": IMAGE, "b.png": png(9)}
    data = read(tar(tmp_path / "x.tar", mixed))
    assert dict(zip(ids(data), shades(data), strict=True)) == {"a": 0, "b": 9}


def test_several_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        tar(
            tmp_path / f"x-{number:06}.tar",
            {f"{number}.png": png(number), f"{number}.cls": str(number)},
        )
    data = read(tmp_path)
    assert ids(data) == ["0", "1", "2"]
    assert shades(data) == [0, 1, 2]


def test_keys_end_at_the_first_dot_and_include_folders(tmp_path: Path) -> None:
    files: Files = {
        "x/1.PNG": IMAGE,
        "x/1.Cls": "4",
        "./y/1.png": IMAGE,
        "./y/1.cls": " 5\n",
        "z.seg.png": IMAGE,
        "z.png": IMAGE,
        "z.cls": "4",
        "x.y/1.png": IMAGE,
        "x.y/1.cls": "4",
    }
    data = read(tar(tmp_path / "x.tar", files))
    assert ids(data) == ["x/1", "y/1", "z", "x.y/1"]
    assert names(data) == ["4", "5", "4", "4"]
    assert data.notes == ("files in the shards not read: .seg.png (1)",)


@pytest.mark.parametrize(
    "keys", [("img_0.25", "img_0.5"), ("v1.2_a", "v1.2_b"), ("2024.01.30", "2024.01.31"),
             ("a.b/c", "a.b/d"), ("a.b/0.5", "a.b/0.25"), ("x.1 (2)", "x.1 (3)")]
)  # fmt: skip
def test_dots_that_are_part_of_a_number_belong_to_the_key(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    files: Files = {}
    for label, key in enumerate(keys):
        files |= {f"{key}.png": png(label), f"{key}.cls": str(label)}
    data = read(tar(tmp_path / "x.tar", files))
    assert ids(data) == list(keys)
    assert names(data) == ["0", "1"]
    assert data.notes == ()


def test_hidden_files_are_ignored(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "x.tar", {"._a.png": "x", "__MACOSX/a.png": "x", "d/.DS_Store": "x", **TWO}
    )
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("folder")
        info.type = tarfile.DIRTYPE
        put(archive, info)
    assert ids(read(path)) == ["a", "b"]
    assert read(path).skipped == ()


def test_incomplete_samples_are_listed(tmp_path: Path) -> None:
    files: Files = {
        "alone.cls": "1",
        "mute.png": IMAGE,
        "two.png": IMAGE,
        "two.jpg": IMAGE,
        "two.cls": "1",
        "void.png": b"",
        "void.cls": "1",
        "README": "x",
    }
    assert skipped(read(tar(tmp_path / "x.tar", {**TWO, **files}))) == {
        "README": "the name has no suffix",
        "alone": "one image is expected, found 0",
        "mute": "it has no annotation in a .cls file",
        "two": "one image is expected, found 2",
        "void": "the image is empty (0 bytes)",
    }


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", TWO)
    with tarfile.open(path, "a") as archive:
        put(archive, tarfile.TarInfo("A.png"), IMAGE)
    assert len(read(path).skipped) == 1  # keys are case-sensitive
    with tarfile.open(path, "a") as archive:
        put(archive, tarfile.TarInfo("a.PNG"), IMAGE)
    assert refused(path, "one file per name is expected, found two of 'a.PNG'").where == path


def test_repeated_keys_get_the_name_of_the_shard(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("train.tar", "train.TAR", "train/b.tar"):
        tar(tmp_path / name, TWO)
    tar(tmp_path / "train/c.tar", {"train/c.png": IMAGE, "train/c.cls": "0"})
    data = read(tmp_path)
    shards = ["train.TAR", "train.tar", "train/b.tar"]
    assert ids(data) == [f"{shard}/{key}" for shard in shards for key in "ab"] + [
        "train/c.tar/train/c"
    ]
    (note,) = data.notes
    assert "shards repeat keys (such as a)" in note


# --- splits and classes


@pytest.mark.parametrize(
    ("shard", "split"),
    [
        ("train-000000.tar", "train"),
        ("x_val_0.tar", "valid"),
        ("TEST.tar", "test"),
        ("Validation/0.tar", "valid"),
        ("train/train-0.tar", "train"),
        ("trainval-0.tar", None),
        ("latest.tar", None),
    ],
)
def test_the_name_of_the_shard_or_folder_gives_the_split(
    tmp_path: Path, shard: str, split: str | None
) -> None:
    tar(tmp_path / shard, TWO)
    assert {sample.split for sample in read(tmp_path)} == {split}


def test_two_splits_in_a_name_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "train/val-0.tar", TWO)
    assert refused(tmp_path, "one split is expected", "train and valid").where == path


def test_a_single_shard_gets_the_split_of_its_own_name(tmp_path: Path) -> None:
    path = tar(tmp_path / "test" / "val-0.tar", TWO)
    tar(tmp_path / "test" / "val-1.tar", {"c.png": IMAGE, "c.cls": "7"})
    data = read(path)
    assert ids(data) == ["a", "b"]
    assert {sample.split for sample in data} == {"valid"}


def test_classes_are_numbers_or_as_in_classes_txt(tmp_path: Path) -> None:
    files: Files = {
        "a.png": IMAGE,
        "a.cls": "10",
        "b.png": IMAGE,
        "b.cls": "9",
        "c.png": IMAGE,
        "c.cls": "010",
    }
    tar(tmp_path / "x.tar", files)
    assert (read(tmp_path).classes, names(read(tmp_path))) == (("9", "10"), ["10", "9", "10"])
    (tmp_path / "classes.txt").write_text("".join(f"c{number}\n" for number in range(12)))
    assert len(read(tmp_path).classes) == 12
    assert names(read(tmp_path)) == ["c10", "c9", "c10"]
    assert names(read(tmp_path / "x.tar")) == ["c10", "c9", "c10"]
    (tmp_path / "classes.txt").write_text("zebra\nant\n")
    assert (
        refused(tmp_path, "got 2 names and the class number 10").where == tmp_path / "classes.txt"
    )


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"a.png": IMAGE, "a.cls": "3"})
    assert refused(path, "two classes or more", "'3'").where == path


# --- recognition


def test_only_shards_are_recognised(tmp_path: Path) -> None:
    assert webdataset.sniff(tar(tmp_path / "a" / "x.tar", TWO))
    assert webdataset.sniff(tmp_path / "a")
    assert not webdataset.sniff(tar(tmp_path / "b" / "x.tar", {"a/1.png": IMAGE, "b/2.png": IMAGE}))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "backup.tar").write_bytes(b"x")
    assert not webdataset.sniff(tmp_path / "c")
    (tmp_path / "c" / "train-000000.tar").write_bytes(b"x")
    assert not webdataset.sniff(tmp_path / "c")  # the first is not a shard
    assert webdataset.sniff(tmp_path / "c" / "train-000000.tar")
    assert not webdataset.sniff(tmp_path / "nowhere-000000.tar")
    assert [name for name, format in formats.all().items() if format.sniff(tmp_path / "a")] == [
        "webdataset"
    ]
