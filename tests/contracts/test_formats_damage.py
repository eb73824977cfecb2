"""Whatever a registered format is given to read, there is at most one clear error."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import Boxes, Captions, Instances, Label, Mask
from foveate.errors import BadImage, DataError
from helpers.format_examples import ALL_FORMATS


def check_survives(format: formats.Format, path: Path) -> None:
    """Reading gives readable or bad images, or one error that names a path below this one."""
    assert format.sniff(path) in (True, False)
    blamed = None
    try:
        dataset = formats.read(path, format.NAME)
    except DataError as error:
        blamed = str(error.where)
    if blamed is not None:
        assert str(path) in blamed
        return
    assert len({sample.id for sample in dataset}) == len(dataset) > 0
    for sample in dataset:
        assert isinstance(sample.target, Label | Boxes | Instances | Mask | Captions)
        assert sample.target.task == dataset.task
        try:
            assert all(0 <= k < len(dataset.classes) for k in sample.target.present())
            assert sample.source.read().dtype == np.uint8
        except BadImage:
            continue


@ALL_FORMATS
def test_sniffing_never_raises(format: formats.Format, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "circle").symlink_to(tmp_path / "deep")
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 9)
    for name in ("loop", "empty", "deep", "garbage", "missing", "garbage/below"):
        assert format.sniff(tmp_path / name) is False
    check_survives(format, tmp_path / "empty")
    check_survives(format, tmp_path / "deep")
    check_survives(format, tmp_path / "garbage")
    with pytest.raises(DataError, match="no such path"):
        formats.read(tmp_path / "missing", format.NAME)


@ALL_FORMATS
def test_every_file_may_be_missing_empty_foreign_or_cut(
    format: formats.Format, example: Path, tmp_path: Path
) -> None:
    for file in [file.relative_to(example) for file in example.rglob("*") if file.is_file()]:
        data = (example / file).read_bytes()
        for damaged in (
            None,
            b"",
            data[:3],
            data[: len(data) // 2],
            data[:-1],
            data + b"x",
            b"\0" * 99,
            b'"\xff',
        ):
            shutil.copytree(example, tmp_path / "bad")
            (tmp_path / "bad" / file).unlink()
            if damaged is not None:
                (tmp_path / "bad" / file).write_bytes(damaged)
            check_survives(format, tmp_path / "bad")
            shutil.rmtree(tmp_path / "bad")


@ALL_FORMATS
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.integers(0, 99),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), max_size=5
    ),
)
def test_any_damage_is_survived(
    format: formats.Format,
    example: Path,
    which: int,
    flips: list[tuple[float, bytes]],
) -> None:
    files = sorted(file for file in example.rglob("*") if file.is_file())
    file = files[which % len(files)]
    data = bytearray(original := file.read_bytes())
    for place, value in flips:
        start = int(place**2 * len(data))
        data[start : start + len(value)] = value
    file.write_bytes(data)
    check_survives(format, example)
    file.write_bytes(original)
