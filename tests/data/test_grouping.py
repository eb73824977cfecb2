"""Groups and times, told by names, EXIF or the data."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from foveate.data.dataset import ArraySource, Sample
from foveate.data.images import FileSource
from foveate.data.split.grouping import sample_times, with_groups
from foveate.errors import DataError, SettingError

PIXELS = ArraySource(np.zeros((1, 2, 2, 1), np.uint8), 0)


def named(*ids, **given):
    return [Sample(id, PIXELS, **given) for id in ids]


def test_groups_come_from_folders_or_expressions():
    rows = named("cat/p1/a_1.jpg", "dog/p1/b_2.jpg", "dog/p2/c_2.jpg")
    assert [s.group for s in with_groups(rows, "folder:2")] == ["p1", "p1", "p2"]
    assert [s.group for s in with_groups(rows, "folder:1")] == ["cat", "dog", "dog"]
    assert [s.group for s in with_groups(rows, r"_(\d)\.")] == ["1", "2", "2"]
    assert [s.group for s in with_groups(rows, "p[12]")] == ["p1", "p1", "p2"]


def test_what_tells_no_group_is_an_error_with_an_example():
    rows = named("a/1.jpg", "2.jpg")
    for by in ("folder:1", "folder:0", "^a", "x(y)?"):
        with pytest.raises(DataError, match="have none"):
            with_groups(rows, by)
    with pytest.raises(SettingError, match="a regular expression is expected"):
        with_groups(rows, "((")


def test_times_sort_as_numbers_and_come_from_names_data_or_exif(tmp_path):
    rows = named("run-9.jpg", "run-10.jpg", "run-2.jpg")
    times = sample_times(rows, r"run-(\d+)")
    assert sorted(range(3), key=times.__getitem__) == [2, 0, 1]
    dated = [*named("a", time="2024-01-02"), *named("b", time="2023-12-31")]
    assert sample_times(dated, "data") > sample_times(dated[::-1], "data")
    clock = [*named("a", time="10.5"), *named("b", time="9"), *named("c", time="1e2")]
    assert (
        sample_times(clock, "data")[1]
        < sample_times(clock, "data")[0]
        < sample_times(clock, "data")[2]
    )
    zones = [*named("a", time="2024-01-02T00:30+02:00"), *named("b", time="2024-01-01T23:00+00:00")]
    assert sample_times(zones, "data")[0] < sample_times(zones, "data")[1]
    for told in (
        "5/1/2024",
        "yesterday",
        "2024-01-02T10:00+02:00",
    ):  # the last beside one without a zone
        with pytest.raises(DataError, match="all numbers or all dates"):
            sample_times([*named("a", time="2024-01-02"), *named("b", time=told)], "data")
    with pytest.raises(DataError, match="2 have none"):
        sample_times(named("a", "b"), "data")
    for number, when in enumerate(["2024:05:01 10:00:00", "2023:05:01 10:00:00"]):
        exif = PIL.Image.Exif()
        exif[0x0132] = when
        PIL.Image.new("L", (4, 4)).save(tmp_path / f"{number}.jpg", exif=exif)
    taken = sample_times(
        [Sample(str(i), FileSource(tmp_path / f"{i}.jpg")) for i in range(2)], "exif"
    )
    assert taken[1] < taken[0]
    PIL.Image.new("L", (4, 4)).save(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="1 have none"):
        sample_times([Sample("x", FileSource(tmp_path / "none.jpg"))], "exif")
