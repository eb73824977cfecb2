"""split.csv: what was written is read, and never used on other data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.data.dataset import SPLITS, ArraySource, Dataset, Sample
from foveate.data.split import file
from foveate.data.split.assign import SplitAssignment
from foveate.errors import RunError

PIXELS = ArraySource(np.zeros((1, 2, 2, 1), np.uint8), 0)


def samples(ids):
    return [
        Sample(id, PIXELS, Label(i % 2), 'g,"1"' if i % 2 else None) for i, id in enumerate(ids)
    ]


ODD = ["a,b", 'c"d', "e\nf", " g ", "ü日", "=1"]


def test_the_file_round_trips_whatever_the_names(tmp_path):
    rows = samples(ODD)
    splits = dict(zip(ODD, ["train", "valid", "test"] * 2, strict=True))
    made = SplitAssignment(splits, (0, 1, 1, 2, 3, 4))
    written = file.rows_of(rows, [f"h{i}" for i in range(6)], made)
    file.write(tmp_path / "split.csv", written)
    assert file.read(tmp_path / "split.csv") == written
    assert written["e\nf"] == file.SplitRow("test", "h2", "", 1)


@pytest.mark.parametrize(
    "text",
    [
        "id,group,unit,split,content\na,,0,trian,h\n",
        "id,group\na,\n",
        "id,group,unit,split,content\na,,0,train,h\na,,1,test,h\n",
        "id,group,unit,split,content\na,,0,train,\n",
        "id,group,unit,split,content\na,,-1,train,h\n",
        "id,group,unit,split,content\na,,,train,h\n",
        "id,group,unit,split,content\na,,0,train\n",
        "id,group,unit,split,content\na,,0,train,h,h\n",
        "",
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(RunError, match=r"split.csv:[123]: .* expected"):
        file.read(tmp_path / "split.csv")


def test_other_data_are_refused_with_what_changed(tmp_path):
    rows = samples(ODD)
    dataset = Dataset("d", "classification", ("a", "b"), rows)
    made = {row.id: file.SplitRow("train", f"h{i}", "", i) for i, row in enumerate(rows)}
    hashes = [f"h{i}" for i in range(6)]
    assert [row.split for row in file.apply(dataset, hashes, made, tmp_path)] == ["train"] * 6
    fewer = replace(dataset, samples=rows[1:])
    with pytest.raises(RunError, match="0 new samples, 1 gone, 0 changed"):
        file.apply(fewer, hashes[1:], made, tmp_path)
    with pytest.raises(RunError, match=r"0 new samples, 0 gone, 1 changed, e.g. a,b \(changed\)"):
        file.apply(dataset, ["other", *hashes[1:]], made, tmp_path)
    with pytest.raises(RunError, match="1 new samples"):
        file.apply(dataset, hashes, dict(list(made.items())[1:]), tmp_path)


def test_a_group_of_the_file_is_the_samples(tmp_path):
    dataset = Dataset("d", "classification", ("a", "b"), samples(["a", "b"]))
    rows = {"a": file.SplitRow("train", "h0", "p7", 0), "b": file.SplitRow("test", "h1", "", 1)}
    assigned = file.apply(dataset, ["h0", "h1"], rows, tmp_path)
    assert [sample.group for sample in assigned] == ["p7", 'g,"1"']


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, r"1 samples were moved, e.g. a0 \(train -> test\)"),
        ({"group": "other"}, "ids, groups or units were changed"),
        ({"unit": 7}, "ids, groups or units were changed"),
    ],
)
def test_any_edit_of_a_split_is_found_and_named(tmp_path, change, message):
    rows = {f"a{i}": file.SplitRow(split, "h", "g", i) for i, split in enumerate(SPLITS * 2)}
    recorded = file.record(rows)
    file.check_unchanged(dict(reversed(rows.items())), recorded, tmp_path)  # order is no change
    with pytest.raises(RunError, match=message):
        file.check_unchanged({**rows, "a0": replace(rows["a0"], **change)}, recorded, tmp_path)
    with pytest.raises(RunError, match="it had 6 samples and has 5"):
        file.check_unchanged(dict(list(rows.items())[1:]), recorded, tmp_path)


def test_the_images_of_the_test_split_are_read_quickly(tmp_path):
    rows = {
        "a/x.png": file.SplitRow("test", "00aa", "", 0),
        "b/x.jpg": file.SplitRow("test", "00bb", "patient 1", 1),
        "c/y.png": file.SplitRow("train", "00cc", ",1,test,00dd", 2),
        "z": file.SplitRow("test", "00ee", "", 3),
        'odd, "test"': file.SplitRow("test", "00ff", "", 4),
    }
    file.write(tmp_path / "split.csv", rows)
    images = file.read_test_images(tmp_path / "split.csv")
    assert images == {"x": {"00aa", "00bb"}, "z": {"00ee"}}
