"""Shards by a pattern with braces."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate import load
from foveate.datasets import shard_lists
from foveate.errors import DataError
from helpers.tars import ids, shards


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("x-{000..002}.tar", ["x-000.tar", "x-001.tar", "x-002.tar"]),
        ("{a,b}-{8..10}.tar", ["a-8.tar", "a-9.tar", "a-10.tar", "b-8.tar", "b-9.tar", "b-10.tar"]),
        ("x{0..0}.tar", ["x0.tar"]),
        ("x.tar", ["x.tar"]),
        ("x{3..1}.tar", []),
    ],
)
def test_braces_are_numbers_or_words(pattern: str, names: list[str]) -> None:
    assert shard_lists.expand(pattern) == names


def test_a_pattern_reads_its_shards_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path / "d", "train-00.tar", "train-01.tar", "train-02.tar", "test-00.tar")
    (tmp_path / "d" / "classes.txt").write_text("no\nyes\n")
    pattern = str(tmp_path / "d" / "train-{01..02}.tar")
    data = load(pattern)
    assert ids(data) == ["1-0", "1-1", "2-0", "2-1"]
    assert (data.format, data.name, data.classes) == ("webdataset", "train", ("no", "yes"))
    assert {sample.split for sample in data} == {"train"}
    assert ids(load(str(data.origin))) == ids(data)
    monkeypatch.chdir(tmp_path)
    relative = load("d/{train,test}-00.tar")
    assert {sample.split for sample in relative} == {"train", "test"}
    monkeypatch.chdir("/")
    assert ids(load(str(relative.origin))) == ids(relative)
    assert len(load(tmp_path / "d" / "train-00.tar")) == 2


def test_missing_shards_and_absurd_patterns_are_refused(tmp_path: Path) -> None:
    shards(tmp_path, "x-0.tar")
    with pytest.raises(DataError, match="3 shards are expected, 2 of them are not there") as error:
        load(str(tmp_path / "x-{0..2}.tar"))
    assert error.value.where == tmp_path / "x-1.tar"
    for pattern in ("{0..99999999}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(DataError, match="at most 100,000 shards"):
            load(str(tmp_path / pattern))
    with pytest.raises(DataError, match="names of shards are expected, got none"):
        load(str(tmp_path / "x-{3..1}.tar"))
    with pytest.raises(DataError, match="for the format coco"):
        load(str(tmp_path / "x-{0..0}.tar"), format="coco")
    with pytest.raises(DataError, match="no such path"):
        load(str(tmp_path / "x-{0..2}.txt"))


def test_a_file_that_has_braces_in_its_name_is_a_file(tmp_path: Path) -> None:
    shards(tmp_path, "x-{0..2}.tar")
    assert len(load(tmp_path / "x-{0..2}.tar")) == 2
