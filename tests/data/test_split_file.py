"""split.csv: what was written is read, and never used on other data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.split import file
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
    file.write(tmp_path / "split.csv", rows, [f"h{i}" for i in range(6)], splits)
    read = file.read(tmp_path / "split.csv")
    assert {id: row.split for id, row in read.items()} == splits
    assert [row.content for row in read.values()] == [f"h{i}" for i in range(6)]


@pytest.mark.parametrize(
    "text",
    [
        "id,group,split,content\na,,trian,h\n",
        "id,group\na,\n",
        "id,group,split,content\na,,train,h\na,,test,h\n",
        "id,group,split,content\na,,train,\n",
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(RunError, match=r"split.csv:[23]: a new id"):
        file.read(tmp_path / "split.csv")


def test_other_data_are_refused_with_what_changed(tmp_path):
    rows = samples(ODD)
    dataset = Dataset("d", "classification", ("a", "b"), rows)
    made = {row.id: file.SplitRow("train", f"h{i}") for i, row in enumerate(rows)}
    hashes = [f"h{i}" for i in range(6)]
    assert [row.split for row in file.apply(dataset, hashes, made, tmp_path)] == ["train"] * 6
    fewer = replace(dataset, samples=rows[1:])
    with pytest.raises(RunError, match="0 new samples, 1 gone, 0 changed"):
        file.apply(fewer, hashes[1:], made, tmp_path)
    with pytest.raises(RunError, match=r"0 new samples, 0 gone, 1 changed, e.g. a,b \(changed\)"):
        file.apply(dataset, ["other", *hashes[1:]], made, tmp_path)
    with pytest.raises(RunError, match="1 new samples"):
        file.apply(dataset, hashes, dict(list(made.items())[1:]), tmp_path)
