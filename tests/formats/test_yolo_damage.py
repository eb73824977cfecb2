"""Any text in a YOLO label or description gives data or one error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import DataError
from foveate.formats import yolo
from helpers.yolo_files import usual


def check_survives(root: Path) -> None:
    try:
        data = formats.read(root, "yolo")
    except DataError as error:
        blamed = str(error.where)
    else:
        blamed = str(root)
        assert len(data) > 0
        assert all(isinstance(name, str) for name in data.classes)
        for sample in data:
            assert all(k < len(data.classes) for k in sample.target.present())
    assert str(root) in blamed
    assert yolo.sniff(root) in (True, False)


NUMBERS = st.sampled_from(
    ["0", "1", "-1", "0.5", "1e999", "nan", "x", "1_0", "٣", "0x1", "", "9" * 400, "1e-400", "\0"]
)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.lists(st.lists(NUMBERS, max_size=12).map(" ".join), max_size=4).map("\n".join)
    | st.binary(max_size=60)
)
def test_any_lines_are_objects_or_one_error(tmp_path: Path, text: str | bytes) -> None:
    usual(tmp_path, text)
    check_survives(tmp_path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.binary(max_size=3)
    | st.text(max_size=8)
    | st.sampled_from(
        ["images", "labels", "../images", "data.yaml", "/", "", "images/a.png", "cat", "list.txt"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(0, 3) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["names", "nc", "train", "val", "test", "path", "validation", "kpt_shape", "download"]
)


@pytest.mark.slow
@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.dictionaries(KEYS, VALUES, max_size=5), good=st.booleans())
def test_any_description_is_data_or_one_error(
    tmp_path: Path, values: dict[str, Any], good: bool
) -> None:
    description = {"names": ["cat", "dog"], **values} if good else values
    usual(tmp_path, description=yaml.safe_dump(description))
    check_survives(tmp_path)


GOOD = "path: .\ntrain: images\nval:\ntest: [images/x]\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
PIECES = st.sampled_from(
    [
        "&a ",
        "*a",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "\n",
        "!!binary x",
        "0x",
        "0b_",
        "1:99",
        "<<: ",
        "|",
        "'",
        "%",
        "\t",
        "\ud800",
        "\x85",
    ]
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 9), PIECES | st.text(max_size=4)),
        max_size=4,
    )
)
def test_any_edit_of_a_description_is_data_or_one_error(
    tmp_path: Path, edits: list[tuple[int, int, str]]
) -> None:
    text = GOOD
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    usual(tmp_path, description=text.encode(errors="surrogatepass"))
    check_survives(tmp_path)
