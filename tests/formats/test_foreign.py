"""Exports of tools that are not read: the message names the tool and the export that is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from foveate import formats
from foveate.errors import DataError
from foveate.formats._shared.recognition import foreign


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.manifest", {"source-ref": "s3://b/1.jpg", "label": 1}, ["SageMaker", "CSV"]),
        ("x.ndjson", {"data_row": {}, "projects": {}}, ["Labelbox (NDJSON)", "COCO"]),
        ("x.json", [{"Labeled Data": "u", "Label": {}}], ["Labelbox", "COCO"]),
        (
            "_annotations.createml.json",
            [{"image": "a", "annotations": [{"label": "x", "coordinates": {}}]}],
            ["Create ML", "COCO or Pascal VOC"],
        ),
        ("a.json", {"schema_ref": "u", "item": {}, "annotations": []}, ["V7 Darwin"]),
        ("samples.json", {"samples": [{"_media_type": "image"}]}, ["FiftyOne"]),
        ("train.json", {"info": {}, "categories": {}, "items": []}, ["Datumaro"]),
        ("project.vott", {"name": "x"}, ["VoTT", "Pascal VOC"]),
        ("meta.json", {"classes": [], "tags": []}, ["Supervisely", "COCO"]),
        ("task.json", {"name": "x"}, ["a backup of CVAT", "CVAT for images 1.1"]),
    ],
)
def test_tools_are_named(tmp_path: Path, name: str, content: Any, words: list[str]) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError) as caught:
            formats.read(path)
        assert "which foveate does not read" in str(caught.value)
        assert all(word in str(caught.value) for word in words)


def test_a_backup_of_cvat_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "backup.zip", "w") as archive:
        archive.writestr("task.json", "{}")
        archive.writestr("annotations.json", "[]")
    assert "a backup of CVAT" in str(foreign.error_for(tmp_path / "backup.zip"))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    assert foreign.error_for(tmp_path / "other.zip") is None
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 x")
    assert foreign.error_for(tmp_path / "broken.zip") is None


@pytest.mark.parametrize(("name", "sign"), [("x.csv", ","), ("x.tsv", "\t")])
def test_label_studio_tables_are_not_read_as_labels(tmp_path: Path, name: str, sign: str) -> None:
    header = ["annotation_id", "annotator", "created_at", "id", "image", "label", "lead_time"]
    row = ["1", "1", "t", "2", "a.png", '"[{""x"": 1}]"', "3.5"]
    (tmp_path / name).write_text(sign.join(header) + "\n" + sign.join(row) + "\n")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match="Label Studio's CSV or TSV") as caught:
            formats.read(path)
        assert "as JSON" in str(caught.value)


def test_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [], "categories": []}')
    (tmp_path / "b.csv").write_text("path,label\na,b\n")
    (tmp_path / "c.txt").write_text("x")
    assert foreign.error_for(tmp_path) is None
    assert foreign.error_for(tmp_path / "nothing") is None
