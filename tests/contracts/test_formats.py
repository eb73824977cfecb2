"""The laws that every registered format obeys; a new file is tested at once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.annotations import IGNORE, Boxes, Captions, Instances, Label, Mask, Polygon
from foveate.data import task_views
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError, RunError, SettingError, StorageError
from helpers.format_examples import BOXED, EXAMPLES, GREY, WRITABLE, can_store
from helpers.read_only_examples import READ_ONLY
from helpers.small_disk import fill, small_disk


def from_files(folder: Path) -> Dataset[Label]:
    """Image files that decoding changes (palette, EXIF, JPEG), with names to be wary of."""
    rng = np.random.default_rng(5)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    samples = []
    for index, name in enumerate(
        ["-a b.png", "ä/x.jpg", "../up.gif", "/root.PNG", "X.png", "x.png"]
    ):
        file = folder / f"{index}{Path(name).suffix}"
        image = PIL.Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8))
        (image.quantize(5) if file.suffix == ".gif" else image).save(file, exif=exif)
        samples.append(Sample(name, FileSource(file), Label(index % 2), None, None))
    return Dataset("files", "classification", ("no", "yes"), samples, origin=folder)


def target_content(target: Any, dataset: Dataset[Any]) -> Hashable:
    """Return the whole content of a target in names and numbers, rounded to 1e-4 pixels."""
    names = dataset.classes
    match target:
        case Label():
            return names[target.index]
        case Boxes():
            rows = zip(
                target.corners.round(4) + 0.0,
                target.classes,
                target.crowd,
                target.difficult,
                strict=True,
            )
            return tuple(
                sorted((*map(float, box), names[k], bool(c), bool(d)) for box, k, c, d in rows)
            )
        case Instances():
            each = [
                (target_content(target.boxes[row : row + 1], dataset), outline(target.shapes[row]))
                for row in range(len(target))
            ]
            return tuple(sorted(each, key=repr))
        case Mask():
            values = target.pixels.read()
            return (
                values.shape,
                tuple("" if v == IGNORE else names[v] for v in values.ravel().tolist()),
            )
        case Captions():
            return target.texts
    raise AssertionError(f"unknown target: {target!r}")


def outline(shape: Any) -> Hashable:
    if isinstance(shape, Polygon):
        return tuple(tuple((o.round(4) + 0.0).ravel().tolist()) for o in shape.outlines)
    return None if shape is None else shape.mask(BOXED[:2]).tobytes()


def content(dataset: Dataset[Any]) -> Counter[tuple[object, ...]]:
    """Return everything but ids and order, which a format may choose."""
    return Counter(
        (
            target_content(sample.target, dataset),
            sample.split,
            sample.group,
            sample.time,
            (image := sample.source.read()).shape,
            image.tobytes(),
        )
        for sample in dataset
        if sample.target is not None
    )


def tree(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        if file.is_file()
        else "folder"
        for file in sorted(folder.rglob("*"))
    }


@WRITABLE
@pytest.mark.parametrize("example", [*EXAMPLES, "files"])
def test_reading_returns_what_was_written_or_nothing_is_written(
    format: formats.WritableFormat, example: str, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    dataset = EXAMPLES[example] if example in EXAMPLES else from_files(tmp_path / "source")
    before = tree(tmp_path / "source")
    refusal = None
    try:
        format.write(dataset, tmp_path / "copy")
    except DataError as error:
        refusal = error.message
    if refusal:
        assert f"the format {format.NAME!r} cannot store this data: " in refusal
        assert sorted(file.name for file in tmp_path.iterdir()) == ["source"]
    else:
        copy = formats.read(tmp_path / "copy")  # sniffing finds exactly one format
        assert copy.task == dataset.task
        assert copy.classes == dataset.classes
        assert copy.colours == dataset.colours or dataset.colours is None
        assert copy.skipped == ()
        assert content(copy) == content(dataset)
        assert len({sample.id for sample in copy}) == len(dataset)
        assert copy.origin == tmp_path / "copy"
        assert content(formats.read(tmp_path / "copy", format.NAME)) == content(dataset)
    assert tree(tmp_path / "source") == before


@WRITABLE
@pytest.mark.parametrize("example", EXAMPLES)
def test_what_a_refusal_says_to_leave_out_helps(
    format: formats.WritableFormat, example: str, tmp_path: Path
) -> None:
    dataset, tried = EXAMPLES[example], set[str]()
    for number in range(len(task_views.DROPPABLE)):
        try:
            format.write(dataset, tmp_path / f"{number}")
        except DataError as error:
            advised = set(re.findall(r"--without (\w+)", str(error)))
        else:
            return
        assert not advised & tried
        if not advised:
            return
        tried |= advised
        dataset = task_views.drop(dataset, sorted(advised))


def test_every_example_fits_some_format(tmp_path: Path) -> None:
    for number, (example, dataset) in enumerate(EXAMPLES.items()):
        holders = []
        for format in formats.writers().values():
            try:
                format.write(dataset, tmp_path / str(number) / format.NAME)
                holders.append(format.NAME)
            except DataError:
                continue
        assert holders, example


@WRITABLE
def test_writing_is_deterministic(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        format.write(stored, tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    one, again = formats.read(tmp_path / "one"), formats.read(tmp_path / "one")
    assert [sample.id for sample in one] == [sample.id for sample in again]


@WRITABLE
def test_converting_twice_loses_nothing(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    for other in formats.writers().values():
        format.write(stored, tmp_path / other.NAME / "first")
        first = formats.read(tmp_path / other.NAME / "first")
        if other is format or can_store(other, first, tmp_path / other.NAME / "tried"):
            other.write(first, tmp_path / other.NAME / "second")
            assert content(formats.read(tmp_path / other.NAME / "second")) == content(stored)


@WRITABLE
def test_nothing_is_overwritten(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    for name in ("full", "file", "link"):
        with pytest.raises(RunError, match="something is there"):
            format.write(stored, tmp_path / name)
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    format.write(stored, tmp_path / "empty")
    assert len(formats.read(tmp_path / "empty")) == len(stored)


@WRITABLE
def test_nothing_is_written_into_the_dataset_itself(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    format.write(stored, tmp_path / "data")
    before = tree(tmp_path)
    with pytest.raises(RunError, match="outside of the data"):
        format.write(formats.read(tmp_path / "data"), tmp_path / "data" / "copy")
    assert tree(tmp_path) == before


@WRITABLE
def test_a_full_disk_is_told_and_leaves_nothing(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    """With a little more room each time, so that each file is once the one that does not fit."""
    errors: list[StorageError] = []
    with small_disk(tmp_path / "disk", 1024) as disk:
        filler = fill(disk)
        while True:
            try:
                format.write(stored, disk / "copy")
                break
            except StorageError as error:
                errors.append(error)
            assert list(disk.iterdir()) == [filler]
            os.truncate(filler, filler.stat().st_size - 4096)
        assert content(formats.read(disk / "copy")) == content(stored)
    assert errors
    for error in errors:
        assert error.where == tmp_path / "disk" / "copy"
        assert "The disk is full" in str(error)
        assert "nothing was written" in str(error)


@dataclass(frozen=True)
class FailingSource:
    """An image that can be read a few times and then fails, as on a failing disk."""

    times: list[None]

    def read(self) -> Image:
        if not self.times:
            raise BadImage("the disk is gone")
        self.times.pop()
        return np.zeros(GREY, np.uint8)


@WRITABLE
def test_a_write_that_fails_leaves_nothing(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    for times in range(4):
        failing = replace(stored.samples[-1], source=FailingSource([None] * times))
        try:
            format.write(
                replace(stored, samples=[*stored.samples[:-1], failing]), tmp_path / "copy"
            )
        except BadImage:
            assert list(tmp_path.iterdir()) == []
        else:
            shutil.rmtree(tmp_path / "copy")


@WRITABLE
def test_samples_without_annotations_are_not_written(
    format: formats.WritableFormat, stored: Dataset[Any], tmp_path: Path
) -> None:
    unknown = replace(stored, samples=[replace(stored[0], target=None), *stored.samples[1:]])
    for bad in (unknown, replace(stored, task="of another type")):
        with pytest.raises(DataError, match="cannot store"):
            format.write(bad, tmp_path / "copy")


def test_formats_have_names_summaries_and_tasks() -> None:
    assert set(formats.all()) >= {"folder", "csv", "idx"}
    for name, format in formats.all().items():
        assert name == format.NAME
        assert format.SUMMARY
        assert set(format.TASKS) <= {one.task for one in (Label, Boxes, Instances, Mask, Captions)}


def test_formats_that_are_only_read_bring_an_example() -> None:
    assert set(READ_ONLY) == set(formats.all()) - set(formats.writers())


def test_a_format_that_is_only_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(formats.writers()) >= {"folder", "csv", "idx", "coco", "yolo", "voc", "pairs"}
    reader = SimpleNamespace(NAME="tool", SUMMARY="a tool's export", TASKS=("detection",))
    with monkeypatch.context() as patch:
        patch.setattr(formats, "all", lambda: {"tool": reader})
        with pytest.raises(SettingError, match="'tool' can be read, but is not written"):
            formats.find_writer("tool")
    with pytest.raises(SettingError, match="no format is called 'cocoa'; did you mean 'coco'"):
        formats.find_writer("cocoa")
