"""Any arrangement of a dataset's files is data or one error, and nothing outside it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import DataError
from helpers import labelme_files, voc_files, yolo_files
from helpers.voc_files import IMAGE, lay

PLACES = (
    *("", "images", "labels", "train", "val/images", "val/labels", "images/train", "labels/train"),
    *("Annotations", "JPEGImages", "annots", "data", "a/b", "ImageSets/Main", "obj_train_data"),
)
WRITTEN = ("a.png", "b.png", "../a.png", "/x/images/a.png", "C:\\x\\b.png", "", ".", "a", "q/a.png")

CONTENTS = {
    "a.png": [IMAGE, b"", b"damaged"],
    "b.png": [IMAGE],
    "B.PNG": [IMAGE],
    "a.txt": [yolo_files.LINE.encode(), b"", b"a cat"],
    "b.TXT": [yolo_files.LINE.encode()],
    "a.png.txt": [yolo_files.LINE.encode()],
    "classes.txt": [b"cat\ndog\n", b""],
    "obj.names": [b"cat\ndog\n"],
    "obj.data": [b"classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n", b"x"],
    "data.yaml": [
        f"names: [cat, dog]\ntrain: {place}\nval: {other}\n".encode()
        for place, other in (("images/train", "val/images"), ("train.txt", "''"), ("x", "../"))
    ],
    "train.txt": [b"a.png\nimages/b.png\n", b"a\nb\n", b"\xff"],
    "val.txt": [b"/x/b.png\n", b"b\n"],
    "a.xml": [
        voc_files.xml(voc_files.make_object(), filename=name).encode()
        for name in WRITTEN
        if name != "C:\\x\\b.png"
    ],
    "b.xml": [voc_files.xml(voc_files.make_object()).encode(), b"<annotations/>", b"<"],
    "a.json": [
        json.dumps(labelme_files.page(labelme_files.shape(), path=name)).encode()
        for name in WRITTEN
    ],
    "b.json": [json.dumps(labelme_files.page(labelme_files.box())).encode(), b"{}", b"["],
}

FILES = st.sampled_from(sorted(CONTENTS)).flatmap(
    lambda name: st.tuples(
        st.sampled_from(PLACES).map(lambda place: f"{place}/{name}".lstrip("/")),
        st.sampled_from(CONTENTS[name]),
    )
)


@pytest.mark.parametrize("name", ["labelme", "voc", "yolo"])
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(files=st.lists(FILES, min_size=1, max_size=14))
@example(files=[("data/B.PNG", IMAGE), ("data/b.json", CONTENTS["b.json"][0])])
def test_any_arrangement_is_data_or_one_error(
    tmp_path: Path, name: str, files: list[tuple[str, bytes]]
) -> None:
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    root = lay(tmp_path / "set", dict(files))
    lay(tmp_path, {"a.png": IMAGE, "b.png": IMAGE})  # outside
    assert formats.find(name).sniff(root) in (True, False)
    try:
        data = formats.read(root, name)
    except DataError as error:
        assert str(root) in str(error.where)  # noqa: PT017  either way is right
        return
    written = {file for file, _ in files}
    for sample in data:
        # Ids are relative to the folder that is read: data/ where there is nothing beside it.
        assert sample.source.path.relative_to(root).as_posix() in written
        assert any(f"/{file}".endswith(f"/{sample.id}") for file in written)
        assert all(k < len(data.classes) for k in sample.target.present())
    for entry in data.skipped:
        assert entry.reason
