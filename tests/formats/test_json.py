"""JSON from strangers: valid files are read, invalid ones give one error, memory is bounded."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import as_numbers, has_keys, read_json
from foveate.formats._shared.documents.json_lists import read_lists

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def file(root: Path, content: str | bytes) -> Path:
    (root / "a.json").write_bytes(content.encode() if isinstance(content, str) else content)
    return root / "a.json"


def refused(path: Path, *words: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read_json(path)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.where == path
    return caught.value


# --- single values


@given(value=VALUES)
def test_valid_json_is_read(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert read_json(file(folder, json.dumps(value))) == value
    assert (
        read_json(file(folder, json.dumps(value, ensure_ascii=False, indent=3).encode("utf-8-sig")))
        == value
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            '{"a":\n"NaN", "b": "\\"Infinity", "c": [1,\n -Infinity]}',
            3,
            ["numbers are expected, got -Infinity"],
        ),
        (
            '{"a": 1, "b": {"x": 1, "y": 2, "x": 1}}',
            None,
            ["each key of an object is expected once, found 'x' twice"],
        ),
        ('{"a": 1, "\\u0061": 2}', None, ["found 'a' twice"]),
        ('{"a": 1,\n "b": }', 2, ["JSON is expected", "column 7", "cut short"]),
        ('{"a": 1,\n "b": "', 2, ["JSON is expected", "unterminated string"]),
        ('{"a": 1}\n\n}', 3, ["JSON is expected", "extra data"]),
        ("[" * 1_000_000, None, ["nested too deeply"]),
        ("9" * 5000, None, ["a number in it cannot be read"]),
        (b'{"a":\n\n"\xff"}', 3, ["JSON in UTF-8 is expected", "Save the file as UTF-8"]),
        ("", None, ["a JSON file is expected, but the file is empty"]),
        (b"\0" * 99, 1, ["JSON is expected"]),
    ],
)
def test_invalid_json_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: list[str]
) -> None:
    assert refused(file(tmp_path, text), *words).line == line


def test_an_embedded_image_needs_no_more_memory_than_its_size(tmp_path: Path) -> None:
    """Searching for the NaN behind it stores no backtracking point per character."""
    path = file(tmp_path, '{"imageData": "' + "A\\n" * 3_000_000 + '",\n "x": NaN}')
    tracemalloc.start()
    begun = time.process_time()
    assert refused(path, "got NaN").line == 2
    assert time.process_time() - begun < 3
    assert tracemalloc.get_traced_memory()[1] < 5 * 9_000_000
    tracemalloc.stop()


def test_the_garbage_collector_is_restored(tmp_path: Path) -> None:
    import gc

    for on in (False, True):
        (gc.enable if on else gc.disable)()
        refused(file(tmp_path, "[NaN]"))
        assert gc.isenabled() is on


# --- keys


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1, "b": 2}', True),
        ('\ufeff \n{"b"\t:\n2, "x": {"a" : 1}}', True),
        ('{"a": 1}', False),
        ('{"a": "b"}', False),
        ('[{"a": 1, "b": 2}]', False),
        ("", False),
        ('{"a": 1, "b": 2', True),  # damage shows when it is read
    ],
)
def test_keys_are_found(tmp_path: Path, text: str, found: bool) -> None:
    assert has_keys(file(tmp_path, text), "a", "b") is found


@pytest.mark.parametrize("place", [-3, -2, -1, 0, 1])
def test_a_key_across_two_chunks_is_found(tmp_path: Path, place: int) -> None:
    start = '{"x": "'
    text = start + "." * ((1 << 20) - len(start) - 2 + place) + '", "key": 1}'
    assert has_keys(file(tmp_path, text), "key")


def test_a_missing_file_has_no_keys(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "link")
    for path in (tmp_path, tmp_path / "link", tmp_path / "gone", tmp_path / ("x" * 300)):
        assert not has_keys(path)


# --- numbers


@pytest.mark.parametrize(
    "values",
    [
        None,
        5,
        "12",
        {},
        [True],
        ["1"],
        [None],
        [[1]],
        [1e999],
        [-1e999],
        [float("nan")],
        [1e10],
        [10**400],
    ],
)
def test_other_values_are_not_numbers(values: object) -> None:
    assert as_numbers(values) is None


def test_numbers_become_an_array() -> None:
    for values in ([], [1], [0.5, -3, 1e9, -1e9]):
        numbers = as_numbers(values)
        assert numbers is not None
        assert (numbers.dtype, numbers.tolist()) == (np.float64, values)


# --- lists


def lists(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"a": [], "b": []}
    read_lists(path, {key: found[key].append for key in found})
    return found


@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=3),
    st.sampled_from([None, 1]),
)
def test_lists_are_read_like_json(
    tmp_path_factory: pytest.TempPathFactory,
    other: dict[str, Any],
    records: list[dict[str, Any]],
    indent: int | None,
) -> None:
    content = {**other, "a": records, "b": [{}]}
    path = file(tmp_path_factory.getbasetemp(), json.dumps(content, indent=indent))
    assert lists(path) == {"a": records, "b": [{}]}


def test_errors_of_handlers_get_the_line(tmp_path: Path) -> None:
    def take(record: dict[str, Any]) -> None:
        if record["n"] == 2:
            raise DataError("not two", remedy="Count again.")

    path = file(tmp_path, '{"x": [\n\n], "a": [\n{"n": 1},\n\n {"n":\n2}]}')
    with pytest.raises(DataError, match="not two") as caught:
        read_lists(path, {"a": take})
    assert (caught.value.where, caught.value.line, caught.value.remedy) == (path, 6, "Count again.")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": [{}],\n "b": [{"x": 1, "x": 2}]}', 2),
        ('{"a": [],\n "b": [],\n "a": []}', 3),
        ('{"a": [],\n "b": [1]}', 2),
        ('{"a": [],\n "b": null}', 2),
        ('{"a": [{}\n {}]}', 1),  # the comma is missing there
        ('{"a": [{},\n]}', 2),
        ('{"a": [{}],\n}', 2),
        ('{"a" [{}]}', 1),
        ('{"a": [], "b": []}\n\n{}', 3),
        ('{"a": [], "b": []', 1),
        ('{"a": []}', None),
        ('[{"a": []}]', None),
    ],
)
def test_other_json_is_refused(tmp_path: Path, text: str, line: int | None) -> None:
    with pytest.raises(DataError) as caught:
        lists(file(tmp_path, text))
    assert (caught.value.where, caught.value.line) == (tmp_path / "a.json", line)
