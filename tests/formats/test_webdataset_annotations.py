"""Annotations in shards: classes, captions and boxes, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import Captions
from foveate.errors import DataError
from foveate.formats import webdataset
from helpers.format_reading import skipped
from helpers.tars import IMAGE, TWO, Files, boxes, read, refused, tar

# --- annotations


def test_captions_are_read(tmp_path: Path) -> None:
    texts = ["a cat", " é \n\n", "", "\ufeffx", "日本 \u2028"]
    files: Files = {}
    for number, text in enumerate(texts):
        files |= {f"{number}.png": IMAGE, f"{number}.txt": text}
    files |= {
        "many.png": IMAGE,
        "many.json": json.dumps({"captions": ["a", "b"], "caption": "c", "url": 5}),
    }
    data = read(tar(tmp_path / "x.tar", files))
    assert (data.task, data.classes) == ("text_to_image", ())
    assert [sample.target.texts for sample in data] == [*((text,) for text in texts), ("a", "b")]


@pytest.mark.parametrize(
    ("record", "texts"),
    [
        ({"caption": "a"}, ("a",)),
        ({"text": "a", "boxed": 1}, ("a",)),
        ({"text": ["a", "b"]}, ("a", "b")),
        ({"captions": []}, ()),
        ({"text": "t", "caption": "c"}, ("c",)),
    ],
)
def test_captions_in_json_are_read(
    tmp_path: Path, record: dict[str, object], texts: tuple[str, ...]
) -> None:
    data = read(tar(tmp_path / "x.tar", {"a.png": IMAGE, "a.json": json.dumps(record)}))
    assert (data.task, data[0].target) == ("text_to_image", Captions(texts))


def test_boxes_are_read(tmp_path: Path) -> None:
    files: Files = {
        "a.png": IMAGE,
        "a.json": boxes([[0, 1, 2.5, 3], [9, 9, -2, 2]], [7, 3], crowd=[True, False], size=[3, 4]),
        "b.png": IMAGE,
        "b.json": boxes([], []),
        "c.png": IMAGE,
        "c.json": boxes([[1, 1, 2, 2]], [7], difficult=[True], other=None),
        "d.png": IMAGE,
        "d.json": "{}",
    }
    data = read(tar(tmp_path / "x.tar", files))
    assert (data.task, data.classes) == ("detection", ("3", "7"))
    first, empty, last = (sample.target for sample in data)
    assert first.corners.tolist() == [[0, 1, 2.5, 3], [9, 9, -2, 2]]
    assert (first.classes.tolist(), first.crowd.tolist(), first.size) == (
        [1, 0],
        [True, False],
        (3, 4),
    )
    assert (len(empty), empty.size) == (0, None)
    assert (last.classes.tolist(), last.difficult.tolist(), last.crowd.tolist()) == (
        [1],
        [True],
        [False],
    )
    assert skipped(data) == {"d": "it has no annotation in a .json file"}


def test_classes_come_before_captions_and_captions_before_json(tmp_path: Path) -> None:
    other: Files = {"a.txt": "x", "a.json": boxes([], []), "b.txt": "y"}
    data = read(tar(tmp_path / "x.tar", {**TWO, **other}))
    assert data.task == "classification"
    assert data.notes == ("files in the shards not read: .json (1), .txt (2)",)
    words = {
        name: content for name, content in {**TWO, **other}.items() if not name.endswith("cls")
    }
    assert read(tar(tmp_path / "y.tar", words)).task == "text_to_image"


@pytest.mark.parametrize(
    ("ending", "content", "words"),
    [
        ("cls", "", "the number of a class is expected, got ''"),
        ("cls", "cat", "got 'cat'"),
        ("cls", "-1", "got '-1'"),
        ("cls", "1.0", "got '1.0'"),
        ("cls", "1 2", "got '1 2'"),
        ("cls", "9" * 10, "the number of a class"),
        ("cls", "9" * 5000, "the number of a class"),
        ("cls", "٣", "the number of a class"),
        ("cls", b"\xff", "the number of a class"),
        ("txt", b"caf\xe9", "text in UTF-8 is expected"),
        ("json", '{"boxes": [', "JSON is expected, but it has an error"),
        ("json", "", "JSON is expected, but it has an error"),
        ("json", b'{"boxes": "\xff"}', "text in UTF-8 is expected"),
        ("json", "[" * 100_000, "nested too deeply"),
        ("json", "[]", "a JSON object is expected, got []"),
        ("json", '{"text": "a", "text": "b"}', "once, found 'text' twice"),
        ("json", '{"boxes": NaN}', "a number in it cannot be read (NaN)"),
        ("json", '{"boxes": 1' + "0" * 5000 + "}", "a number in it cannot be read"),
        (
            "json",
            '{"other": 1, "keys": 2}',
            "boxes or captions are expected in the .json files, the first has other, keys",
        ),
        ("json", '{"text": "\\ud800"}', "a text or a list of texts is expected as text"),
        ("json", '{"captions": [1]}', "a list of texts is expected as captions, got [1]"),
        ("json", boxes({}, []), "boxes of four numbers"),
        ("json", boxes([[1, 2, 3]], [0]), "boxes of four numbers"),
        ("json", boxes([[1, 2, 3, "4"]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, True]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, 1e10]], [0]), "up to 1,000,000,000"),
        ("json", boxes([[1, 2, 3, 10**400]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, 4]], [0, 1]), "as many entries in classes as boxes"),
        ("json", boxes([[1, 2, 3, 4]], ["cat"]), "class numbers"),
        ("json", boxes([[1, 2, 3, 4]], [-1]), "class numbers"),
        ("json", boxes([[1, 2, 3, 4]], [True]), "class numbers"),
        ("json", boxes([[1, 2, 3, 4]], [10**30]), "class numbers"),
        ("json", '{"boxes": []}', "class numbers"),
        ("json", boxes([[1, 2, 3, 4]], [0], crowd=[]), "as many entries in crowd as boxes"),
        (
            "json",
            boxes([[1, 2, 3, 4]], [0], difficult=[1]),
            "true or false is expected as difficult",
        ),
        ("json", boxes([], [], size=[3]), "height and width are expected as size, got [3]"),
        ("json", boxes([], [], size=[0, 4]), "height and width"),
        ("json", boxes([], [], size=[3.0, 4]), "height and width"),
    ],
)
def test_a_bad_annotation_is_named_with_its_shard(
    tmp_path: Path, ending: str, content: str | bytes, words: str
) -> None:
    tar(tmp_path / "x-000000.tar", {"a.png": IMAGE, f"c.{ending}": content, "c.png": IMAGE})
    path = tar(
        tmp_path / "x-000001.tar",
        {"d.png": IMAGE, f"deep/d.{ending}": content, "deep/d.png": IMAGE},
    )
    good = {"cls": "1", "txt": "x", "json": '{"boxes": [], "classes": []}'}[ending]
    assert refused(tmp_path, f"'c.{ending}': ", words).where == tmp_path / "x-000000.tar"
    tar(tmp_path / "x-000000.tar", {"a.png": IMAGE, f"a.{ending}": good})
    if "captions" in words or "text" in str(
        content
    ):  # not an annotation among boxes, and not an error
        return
    assert (
        refused(tmp_path, f"'deep/d.{ending}': ", words.partition(", the first")[0][:30]).where
        == path
    )


def test_an_annotation_of_absurd_length_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset.listing, "_MAX_ANNOTATION_BYTES", 10)
    path = tar(tmp_path / "x.tar", {**TWO, "c.png": IMAGE, "c.cls": " " * 10 + "1"})
    assert refused(path, "at most 10 bytes", "'c.cls' has 11").where == path


def test_empty_datasets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "tar archives are expected, found none", "train-000000.tar")
    refused(
        tar(tmp_path / "a.tar", {"a.png": IMAGE}),
        "files of .cls, .txt or .json are expected",
        "found none",
    )
    refused(
        tar(tmp_path / "b.tar", {"a.cls": "1"}), "found none; a: one image is expected, found 0"
    )
    refused(tar(tmp_path / "c.tar", {}), "found none")  # an empty archive: two blocks of zeros


# --- fuzzing


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    record=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "boxes",
                        "classes",
                        "crowd",
                        "difficult",
                        "size",
                        "captions",
                        "caption",
                        "text",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_an_annotation_or_one_error(tmp_path: Path, record: object) -> None:
    path = tar(tmp_path / "x.tar", {"a.png": IMAGE, "a.json": json.dumps(record)})
    try:
        found = formats.read(path, "webdataset")
    except DataError as error:
        blamed = error.where
    else:
        blamed = None
    if blamed is not None:
        assert blamed == path
        return
    assert found.task in ("detection", "text_to_image")
    assert len(found) == 1
