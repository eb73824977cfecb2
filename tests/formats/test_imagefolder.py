"""Hugging Face's metadata.jsonl with objects or labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import DataError
from helpers.format_reading import boxes, named, refusing, skipped

refused = refusing("imagefolder")


def lay(root: Path, *records: Any, table: str = "metadata.jsonl", images: int = 3) -> Path:
    place = (root / table).parent
    place.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        PIL.Image.new("L", (40, 30)).save(place / f"{number}.png")
    (root / table).write_text("".join(json.dumps(record) + "\n" for record in records))
    return root


def line(name: str, *bboxes: list[float], names: list[Any] | None = None, **more: Any) -> Any:
    names = ["cat"] * len(bboxes) if names is None else names
    return {"file_name": name, "objects": {"bbox": list(bboxes), "categories": names, **more}}


BOX, OTHER = [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]


def test_objects_become_boxes(tmp_path: Path) -> None:
    lay(
        tmp_path,
        line("0.png", BOX, OTHER, names=["dog", "cat"], id=[7, 8], area=[12, 56]),
        line("1.png"),
        line("gone.png", BOX),
    )
    data = formats.read(tmp_path)
    assert (data.format, data.task, data.classes) == ("imagefolder", "detection", ("cat", "dog"))
    assert boxes(data) == {"0.png": [[1, 2, 4, 6], [5, 6, 12, 14]], "1.png": []}
    assert named(data) == {"0.png": ["dog", "cat"], "1.png": []}
    assert skipped(data) == {"gone.png": "there is no such file"}
    assert data.notes == ("1 image without a row, left out (such as 2.png)",)


@pytest.mark.parametrize("key", ["category", "label", "labels", "classes"])
def test_classes_have_several_keys_and_may_be_numbers(tmp_path: Path, key: str) -> None:
    records = [
        {"image": "0.png", "objects": {"bbox": [BOX, OTHER], key: [10, 2.0]}},
        {"image": "1.png", "objects": [{"bbox": BOX, key: 0}]},
    ]
    data = formats.read(lay(tmp_path, *records, images=2))
    assert data.classes == ("0", "2", "10")
    assert named(data) == {"0.png": ["10", "2"], "1.png": ["0"]}
    assert data.notes == (
        "the classes are numbers without names; classes.txt beside the images names them",
    )
    (tmp_path / "classes.txt").write_text("".join(f"c{i}\n" for i in range(11)))
    data = formats.read(tmp_path)
    assert named(data) == {"0.png": ["c10", "c2"], "1.png": ["c0"]}
    (tmp_path / "classes.txt").write_text("a\nb\n")
    refused(tmp_path, "a name for each class is expected", "the number 10")


def test_corners_are_told_by_their_area(tmp_path: Path) -> None:
    data = formats.read(
        lay(tmp_path, line("0.png", [5, 6, 12, 14], [1, 2, 4, 6], area=[56, 12]), images=1)
    )
    assert boxes(data) == {"0.png": [[5, 6, 12, 14], [1, 2, 4, 6]]}
    assert "read as corners" in data.notes[0]


def test_labels_become_classes(tmp_path: Path) -> None:
    records = [{"file_name": f"{i}.png", "label": name} for i, name in enumerate("aba")]
    data = formats.read(lay(tmp_path, *records))
    assert (data.format, data.task, data.classes) == ("imagefolder", "classification", ("a", "b"))
    assert [data.classes[sample.target.index] for sample in data] == ["a", "b", "a"]
    lay(tmp_path, {"file_name": "0.png", "label": ["a", "b"]})
    refused(tmp_path, "several labels are not read")
    lay(tmp_path, {"file_name": "0.png", "label": "a"})
    refused(tmp_path, "two classes or more")


def test_tables_lie_above_or_inside_the_folders_of_the_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        lay(tmp_path / "inside", line("0.png", BOX), table=f"{split}/metadata.jsonl", images=1)
    data = formats.read(tmp_path / "inside")
    assert {s.id: s.split for s in data} == {"train/0.png": "train", "test/0.png": "test"}
    for split in ("train", "test"):
        lay(tmp_path / "above", table=f"{split}/x", images=1)
    lay(tmp_path / "above", line("train/0.png", BOX), line("test/0.png", OTHER), images=0)
    data = formats.read(tmp_path / "above", "imagefolder")
    assert {s.id: s.split for s in data} == {"train/0.png": "train", "test/0.png": "test"}
    assert "the splits are those of the folders" in data.notes[0]


def test_captions_and_objects_in_one_file_are_asked_about(tmp_path: Path) -> None:
    lay(tmp_path, {**line("0.png", BOX), "text": "a cat"}, images=1)
    with pytest.raises(DataError, match="several ways"):
        formats.read(tmp_path)
    assert formats.read(tmp_path, task="detection").format == "imagefolder"
    assert formats.read(tmp_path, task="text_to_image").format == "captions"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"objects": {"bbox": [], "categories": []}}, "the path of an image is expected"),
        ({"file_name": "0.png"}, "objects with bbox and categories are expected"),
        ({"file_name": "0.png", "objects": 5}, "objects with bbox and categories are expected"),
        (line("0.png", BOX, names=[]), "as many categories as boxes"),
        (line("0.png", [1, 2, 3]), "four numbers are expected as a bbox, got [1, 2, 3]"),
        (line("0.png", [1, 2, 3, 1e99]), "four numbers are expected as a bbox"),
        (line("0.png", BOX, names=[None]), "the name or the number of a class"),
        (line("0.png", BOX, names=[True]), "the name or the number of a class"),
        (line("1.png", BOX), "one line per image is expected, '1.png' has another one"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(tmp_path: Path, record: Any, words: str) -> None:
    error = refused(lay(tmp_path, line("1.png", BOX), record), words)
    assert (error.where, error.line) == (tmp_path / "metadata.jsonl", 2)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.sampled_from(["bbox", "label"]), v),
    max_leaves=8,
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
@given(objects=VALUES, name=VALUES, tail=st.text(max_size=9))
def test_any_lines_are_data_or_one_error(
    tmp_path: Path, objects: Any, name: Any, tail: str
) -> None:
    lay(tmp_path, line("1.png", BOX), {"file_name": name, "objects": objects})
    with (tmp_path / "metadata.jsonl").open("a", encoding="utf-8", errors="replace") as file:
        file.write(tail)
    blamed = None
    try:
        assert len(formats.read(tmp_path, "imagefolder")) > 0
    except DataError as error:
        blamed = error.where
    assert blamed in (None, tmp_path / "metadata.jsonl", tmp_path)
