"""Which format is taken, and what the error says where none or several fit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foveate import formats
from foveate.errors import DataError
from foveate.formats._shared.recognition.recognise import recognise
from helpers.boxes_demo import dataset as boxes_dataset
from helpers.load_files import lay, refused


def known(name: str, *tasks: str, fits: bool = True, **hooks: Any) -> dict[str, Any]:
    """One format of its own, which fits every path, or none."""
    return {
        name: SimpleNamespace(
            NAME=name, SUMMARY=f"{name} data", TASKS=tasks, sniff=lambda path: fits, **hooks
        )
    }


BOXES = known("boxes", "detection", "instance")
OBJECTS = known("objects", "instance")
PIXELS = known("pixels", "semantic", describe=lambda path: f"pixels in {path.name}")
FOLDER = known("folder", "classification")


@pytest.mark.parametrize(
    ("formats_that_fit", "task", "chosen"),
    [
        (PIXELS | FOLDER, None, "pixels"),
        (PIXELS | FOLDER, "classification", "folder"),
        (PIXELS | OBJECTS, "semantic", "pixels"),
        (PIXELS | OBJECTS, "instance", "objects"),
        (PIXELS | OBJECTS, "promptable", "objects"),  # what instances serve
        (PIXELS | OBJECTS, "detection", "objects"),
        (BOXES | OBJECTS, "detection", "boxes"),  # made for it
        (PIXELS, "detection", "pixels"),  # reading it says what does not fit
    ],
)
def test_the_task_chooses_between_formats(
    formats_that_fit: dict[str, Any], task: str | None, chosen: str, tmp_path: Path
) -> None:
    assert chosen == recognise(tmp_path, formats_that_fit, task).format.NAME


def test_several_readings_are_asked_about_with_the_option_for_each(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        recognise(tmp_path, PIXELS | OBJECTS)
    assert "can be read in several ways: as pixels or as objects" in str(caught.value)
    assert f"--task semantic: pixels in {tmp_path.name}" in str(caught.value)
    assert "--task instance: objects data" in str(caught.value)
    with pytest.raises(DataError, match="--format boxes: boxes data"):
        recognise(tmp_path, BOXES | OBJECTS, "instance")
    with pytest.raises(DataError, match="--format boxes: boxes data"):  # perhaps without masks
        recognise(tmp_path, BOXES | known("others", "detection"))


def test_the_question_of_one_format_is_asked(tmp_path: Path) -> None:
    lay(tmp_path, "1.png")
    question = DataError("which of them?", where=tmp_path)
    asking = known("asking", "detection", fits=False, question=lambda path: question)
    with pytest.raises(DataError, match=r"which of them\?"):
        recognise(tmp_path, asking)
    lacking = known("lacking", "detection", fits=False, missing=lambda path: "no images")
    with pytest.raises(DataError, match="no known format fits") as caught:
        recognise(tmp_path, asking | lacking)
    assert "lacking: no images" in str(caught.value)


def test_datasets_in_one_folder_are_named(tmp_path: Path) -> None:
    formats.find_writer("coco").write(boxes_dataset(4), tmp_path / "all" / "cars")
    formats.find_writer("yolo").write(boxes_dataset(4), tmp_path / "all" / "bikes")
    lay(tmp_path / "all" / "pets", "cat/1.png", "dog/2.png")
    refused(
        tmp_path / "all",
        "found folders with a dataset each",
        "bikes/ looks like yolo",
        "cars/ looks like coco",
        "pets/ looks like folder",
        f"Give one of the folders, such as {tmp_path / 'all' / 'bikes'}",
    )


def test_class_folders_beside_a_dataset_are_no_classes(tmp_path: Path) -> None:
    formats.find_writer("yolo").write(boxes_dataset(4), tmp_path / "cars")
    lay(tmp_path, "pets/cat/1.png", "pets/dog/2.png")
    error = str(refused(tmp_path))
    assert "pets" in error or formats.read(tmp_path).format == "yolo"


# --- what is missing


def test_a_table_without_the_columns_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "img/1.png", "img/2.png")
    (tmp_path / "a.tsv").write_text("when\tweather\n1\t2\n")
    error = str(refused(tmp_path))
    assert "when, weather" in error or "when" in error


def test_a_coco_file_without_a_key_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "images/1.png", "images/2.png")
    (tmp_path / "labels.json").write_text(json.dumps({"images": [], "categories": []}))
    refused(tmp_path, "coco: labels.json has images, categories, but lacks annotations")


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("text/{}.txt", "0 0.5 0.5 0.1 0.1", "yolo: 2 text files (such as text/a.txt)"),
        ("{}.json", '{"shapes": []}', "labelme: 2 JSON files (such as a.json)"),
    ],
)
def test_files_without_their_images_are_named(
    name: str, text: str, format: str, tmp_path: Path
) -> None:
    lay(tmp_path / "some", *(name.format(stem) for stem in "ab"), content=text.encode())
    lay(tmp_path / "some", "images/1.png", "images/2.png")
    refused(tmp_path / "some", f"{format}, but none with the name of an image")


def test_at_most_three_formats_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "1.png", "2.png", "a.txt", "b.txt", "c.xml", "d.xml", "e.json", "f.json")
    assert len(str(refused(tmp_path, "no known format fits")).splitlines()) <= 5


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("labels.XLSX", "Save labels.XLSX as a CSV file"),
        ("train-00000.parquet", "Files such as train-00000.parquet are not read"),
        ("train.tfrecord", "save each image as a file"),
        ("images.zip", "Unpack images.zip"),
    ],
)
def test_files_that_are_not_read_get_a_remedy(tmp_path: Path, file: str, remedy: str) -> None:
    (tmp_path / file).write_bytes(b"unknown")
    refused(tmp_path, "no known format fits", remedy)


@pytest.mark.parametrize(
    ("table", "found"),
    [("labels.xlsx", "Save labels.xlsx as"), ("labels.csv", "labels.csv")],
)
def test_a_table_beside_a_folder_is_named_in_the_error(
    tmp_path: Path, table: str, found: str
) -> None:
    lay(tmp_path, "faces/1.png", "faces/2.png")
    (tmp_path / table).write_bytes(b"a,b,c\n5,6,7\n8,9,1\n")
    refused(tmp_path, found)
