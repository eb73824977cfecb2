"""Damage to JSON files, and a check that the result is data or one error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import boxes_of
from foveate.data.dataset import Dataset
from foveate.errors import DataError

FUZZ = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.sampled_from(
    [
        b"NaN",
        b"1e999",
        b"-",
        b'"',
        b"[",
        b"{",
        b"]",
        b"}",
        b",",
        b"\\u",
        b"\xff",
        b"\0",
        b"null",
        b"true",
        b'"id": 1,',
        b"AAAA",
    ]
)
ODD = st.sampled_from(
    [
        2**31,
        2**63,
        10**400,
        -1,
        1e308,
        True,
        "",
        "\ud800",
        "a.png",
        "../a.png",
        "a\0",
        "polygon",
        "mask",
        [],
        {},
        [[]],
        [None],
    ]
)
KEYS = st.sampled_from(["id", "size", "counts", "label", "points", "x"])
VALUES = st.recursive(
    ODD
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def other_bytes(record: Any) -> st.SearchStrategy[bytes]:
    """Its text with other bytes in a few places."""
    whole = json.dumps(record, indent=1).encode()

    def edited(edits: list[tuple[int, int, bytes]]) -> bytes:
        text = whole
        for start, length, piece in edits:
            text = text[:start] + piece + text[start + length :]
        return text

    edit = st.tuples(st.integers(0, len(whole)), st.integers(0, 40), PIECES | st.binary(max_size=4))
    return st.lists(edit, min_size=1, max_size=4).map(edited)


def other_values(record: Any) -> st.SearchStrategy[str]:
    """Its text with other values in a few places."""

    def changed(changes: list[tuple[int, Any]]) -> str:
        content = copy.deepcopy(record)
        for where, value in changes:
            all_places = list(_places(content))
            inside, key = all_places[where % len(all_places)]
            inside[key] = copy.deepcopy(value)  # hypothesis reuses lists
        return json.dumps(content).replace("Infinity", "1e999")

    return st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=3).map(changed)


def read_or_refused(root: Path, format: str) -> Dataset[Any] | None:
    """Return data with sensible objects, or None after one error that names the place."""
    blamed = None
    try:
        data = formats.read(root, format)
    except DataError as error:
        blamed = error
    if blamed is not None:
        assert str(root) in str(blamed.where)
        assert len(str(blamed)) < 3000
        return None
    for sample in data:
        target = boxes_of(sample.target)
        assert np.isfinite(target.corners).all()
        assert all(0 <= k < len(data.classes) for k in target.classes)
    return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (the list or object, its index or key) of everything within a value."""
    for key in (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    ):
        yield value, key
        yield from _places(value[key])
