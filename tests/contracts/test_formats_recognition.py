"""Every dataset is recognised as one format, wherever it lies and whatever folders it has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from foveate import formats
from foveate.data.dataset import SPLITS
from foveate.errors import DataError
from helpers.format_examples import ALL_FORMATS, write_example


def fits(path: Path) -> list[str]:
    return [name for name, format in formats.all().items() if format.sniff(path)]


@ALL_FORMATS
def test_an_example_is_recognised_as_one_format(format: formats.Format, example: Path) -> None:
    found = fits(example)
    assert [name for name in found if name != "folder"] or found == [format.NAME]
    assert format.NAME in found
    assert formats.read(example).format == format.NAME
    assert set(found) <= {format.NAME, "folder"}


@ALL_FORMATS
@pytest.mark.parametrize("inside", ["data", "archive/my set (1)/data"])
def test_data_below_single_folders_is_read(
    format: formats.Format, example: Path, inside: str, tmp_path: Path
) -> None:
    whole = formats.read(example)
    shutil.copytree(example, tmp_path / "outer" / inside)
    (tmp_path / "outer" / "README.md").write_text("A dataset.\n")
    (tmp_path / "outer" / ".DS_Store").write_bytes(b"\0")
    for name in (None, format.NAME):
        data = formats.read(tmp_path / "outer", name)
        assert data.format == format.NAME
        assert (data.name, data.origin) == ("outer", tmp_path / "outer")
        assert data.classes == whole.classes
        assert {s.split for s in data} == {s.split for s in whole}
        assert len(data) == len(whole)
        assert any(f"read from {inside}/" in note for note in data.notes)
        assert formats.read(tmp_path / "outer", name).notes == data.notes


@ALL_FORMATS
def test_other_names_of_folders_do_not_make_another_dataset(
    format: formats.Format, example: Path
) -> None:
    whole = formats.read(example)
    folders = [one for one in sorted(example.iterdir()) if one.is_dir()]
    for number, folder in enumerate(one for one in folders if one.name not in SPLITS):
        folder.rename(example / f"Ordner {'xy'[number % 2]}{number}")
    if format.NAME in ("folder", "instance-labels"):
        return  # the names are the classes, or tell objects from classes where the numbers do not
    data = formats.read(example)
    assert data.format == format.NAME
    assert len(data) == len(whole)
    assert data.classes == whole.classes
    targets = [[sample.target.present() for sample in some] for some in (data, whole)]
    assert sorted(targets[0]) == sorted(targets[1])


@ALL_FORMATS
def test_datasets_side_by_side_are_not_one(
    format: formats.Format, example: Path, tmp_path: Path
) -> None:
    shutil.copytree(example, tmp_path / "both" / "my first")
    for name, other in formats.all().items():
        if name == format.NAME or "folder" in (name, format.NAME):
            continue  # class folders may be those of the images
        second = write_example(other, tmp_path / "both" / "second")
        with pytest.raises(DataError) as caught:
            formats.read(tmp_path / "both")
        assert "found folders with a dataset each" in str(caught.value), name
        assert f"my first/ looks like {format.NAME}" in str(caught.value), name
        assert f"second/ looks like {name}" in str(caught.value), name
        shutil.rmtree(second)
