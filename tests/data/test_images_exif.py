"""Whatever an EXIF block holds, the image is decoded upright or refused in one sentence."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageOps

from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource, examine, size
from foveate.data.split.grouping import sample_times
from foveate.errors import BadImage, DataError
from helpers.image_files import RGB

ORIENTATION, DATE_TIME, EXIF_FOLDER, DATE_TIME_ORIGINAL = 0x0112, 0x0132, 0x8769, 0x9003
CONTAINERS = ("JPEG", "PNG", "WEBP", "TIFF")
SHORT, LONG = 3, 4


@dataclass(frozen=True)
class Entry:
    """One entry of an image file directory: its type and value as they are stored."""

    tag: int
    type: int
    value: bytes
    count: int = 1


def block(*entries: Entry, order: str = "<") -> bytes:
    """An EXIF block: the header of a TIFF, a directory, and the values that do not fit into it."""
    start = 8 + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(order + "H", len(entries)), b""
    for entry in entries:
        value = entry.value.ljust(4, b"\0")
        if len(value) > 4:
            value, values = struct.pack(order + "I", start + len(values)), values + value
        directory += struct.pack(order + "HHI", entry.tag, entry.type, entry.count) + value
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return header + directory + bytes(4) + values


def save(path: Path, container: str, *entries: Entry, order: str = "<") -> Path:
    """Write an image of 5 x 7 pixels with these entries."""
    image, buffer = PIL.Image.fromarray(RGB), io.BytesIO()
    if container != "TIFF":
        image.save(buffer, container, exif=b"Exif\0\0" + block(*entries, order=order))
        path.write_bytes(buffer.getvalue())
        return path
    pixels = [
        Entry(256, SHORT, struct.pack(order + "H", 7)),
        Entry(257, SHORT, struct.pack(order + "H", 5)),
        Entry(258, SHORT, struct.pack(order + "3H", 8, 8, 8), 3),
        Entry(262, SHORT, struct.pack(order + "H", 2)),
        Entry(273, LONG, struct.pack(order + "I", 8)),
        Entry(277, SHORT, struct.pack(order + "H", 3)),
        Entry(279, LONG, struct.pack(order + "I", RGB.nbytes)),
    ]
    before = block(*sorted([*pixels, *entries], key=lambda entry: entry.tag), order=order)
    pixels[4] = Entry(273, LONG, struct.pack(order + "I", len(before)))
    whole = block(*sorted([*pixels, *entries], key=lambda entry: entry.tag), order=order)
    path.write_bytes(whole + RGB.tobytes())
    return path


def listed(path: Path) -> Dataset[Any]:
    samples = [Sample("x", FileSource(path), Label(0))]
    return Dataset("x", "classification", ("a",), samples)


def is_survived(path: Path) -> int | None:
    """An image that agrees with its file's header, and its orientation; or one refusal."""
    try:
        image, info = examine(path)
    except BadImage:
        return None
    assert info.orientation in range(1 << 16)  # as the file says
    assert size(path) == image.shape[:2]
    assert sorted(image.shape[:2]) == [5, 7]
    survey = decoding.survey(listed(path))
    assert survey.image_stats["orientation"].tolist() == [info.orientation]
    with contextlib.suppress(DataError):  # no time
        sample_times(listed(path).samples, "exif")
    return info.orientation


def odd_values() -> Iterator[Entry]:
    """The orientation as every type, valid or not, with values at and beyond every end."""
    for number in (0, 9, 10, 127, 128, 254, 255):
        yield Entry(ORIENTATION, 1, bytes([number]))
    for number in (0, 9, 255, 256, 32768, 65535):
        yield Entry(ORIENTATION, SHORT, struct.pack("<H", number))
    for number in (0, 9, 2**31, 2**32 - 1):
        yield Entry(ORIENTATION, LONG, struct.pack("<I", number))
    for letter, type in (("b", 6), ("h", 8), ("i", 9)):
        for signed in (-1, -128, 0, 9):
            yield Entry(ORIENTATION, type, struct.pack("<" + letter, signed))
    for pair in ((6, 0), (0, 0), (2**32 - 1, 1), (1, 2**32 - 1), (13, 2)):
        yield Entry(ORIENTATION, 5, struct.pack("<II", *pair))
    for pair in ((-6, 1), (6, 0), (-(2**31), -1)):
        yield Entry(ORIENTATION, 10, struct.pack("<ii", *pair))
    for real in (float("nan"), float("inf"), -1.0, 6.5, 1e308):
        yield Entry(ORIENTATION, 12, struct.pack("<d", real))
    for text in (b"6\0", b"\xff\xfe\0", b"x" * 40, b"\0"):
        yield Entry(ORIENTATION, 2, text, len(text))
        yield Entry(ORIENTATION, 7, text, len(text))
    yield Entry(ORIENTATION, SHORT, struct.pack("<HH", 6, 6), 2)
    for count in (0, 2, 3, 2**16, 2**31, 2**32 - 1):  # values that are not there
        yield Entry(ORIENTATION, SHORT, struct.pack("<HH", 6, 0), count)
    for type in (0, 13, 14, 16, 17, 99, 65535):
        yield Entry(ORIENTATION, type, struct.pack("<H", 6))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("container", CONTAINERS)
def test_an_orientation_that_is_none_is_upright(tmp_path: Path, container: str) -> None:
    refused = 0
    for number, entry in enumerate(odd_values()):
        path = save(tmp_path / f"{number}", container, entry)
        orientation = is_survived(path)
        refused += orientation is None
        standard = entry.type == SHORT and entry.count == 1
        assert orientation not in (2, 3, 4, 5, 7, 8), entry
        assert not standard or orientation != 6, entry
        if standard and container in ("PNG", "TIFF"):
            assert np.array_equal(examine(path)[0], RGB)
    assert refused == 0 or container == "TIFF"  # where the tags are the header of the image itself


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_each_orientation_is_turned_upright(tmp_path: Path, container: str, order: str) -> None:
    for number in range(1, 9):
        entry = Entry(ORIENTATION, SHORT, struct.pack(order + "H", number))
        path = save(tmp_path / f"{number}", container, entry, order=order)
        assert is_survived(path) == (1 if container == "TIFF" else number)  # Pillow turns TIFFs
        with PIL.Image.open(path) as image:
            upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert np.array_equal(examine(path)[0], upright)


@pytest.mark.usefixtures("place")
@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    container=st.sampled_from(CONTAINERS),
    order=st.sampled_from("<>"),
    entries=st.lists(
        st.builds(
            Entry,
            tag=st.sampled_from([ORIENTATION, DATE_TIME, EXIF_FOLDER, DATE_TIME_ORIGINAL, 0x011A]),
            type=st.integers(0, 14) | st.integers(0, 65535),
            value=st.binary(max_size=24) | st.just(b"2024:01:02 03:04:05\0"),
            count=st.integers(0, 24) | st.integers(0, 2**32 - 1),
        ),
        max_size=5,
    ),
)
def test_any_block_is_survived(
    tmp_path: Path, container: str, order: str, entries: list[Entry]
) -> None:
    is_survived(save(tmp_path / "x", container, *entries, order=order))
