"""Damaged or forged archives give data or one error, quickly and in little memory."""

from __future__ import annotations

import io
import struct
import tarfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import BadImage, DataError
from foveate.formats import webdataset
from helpers.tars import IMAGE, LONG, TWO, boxes, ids, png, put, read, refused, shades, tar

# --- damaged and forged archives


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = tar(tmp_path / "x-000000.tar", {**TWO, LONG: b"x"}).read_bytes()
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    assert len(data) >= end + 1024
    for length in [1, 100, *range(511, end, 256), end, end + 511]:
        (tmp_path / "x-000000.tar").write_bytes(data[:length])
        error = refused(
            tmp_path, "a tar archive is expected, this is another file, damaged or cut short"
        )
        assert error.where == tmp_path / "x-000000.tar"
    (tmp_path / "x-000000.tar").write_bytes(data[: end + 512])  # one block of zeros is an end too
    assert ids(read(tmp_path)) == ["a", "b"]


def test_data_after_the_end_is_an_error(tmp_path: Path) -> None:
    one = tar(tmp_path / "x.tar", TWO).read_bytes()
    two = tar(tmp_path / "y.tar", {"c.png": IMAGE, "c.cls": "0"}).read_bytes()
    (tmp_path / "y.tar").write_bytes(one + two)  # like `cat`
    refused(tmp_path / "y.tar", "no header at byte 4,")


def sized(value: bytes, type: bytes = b"0", name: bytes = b"c.png") -> bytes:
    """Return a header with this size field and a valid checksum."""
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[0:100] = name.ljust(100, b"\0")
    header[124:136] = value
    header[156:157] = type
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "value",
    [
        b"77777777777\0",
        b"00000100000\0",
        b"\x80" + b"\xff" * 11,
        b"\x80\0\0\0" + struct.pack(">Q", 2**62),
        b"\x80\0\0\0" + struct.pack(">Q", 2**63 + 512),
        b"\xff" * 12,
        b"\xff" * 10 + b"\xfe\0",
        b"abcdefghijk\0",
        b"-0000000512\0",
    ],
)
@pytest.mark.parametrize("type", [b"0", b"x", b"g", b"L", b"K", b"S"])
def test_absurd_sizes_in_headers_are_refused_at_once(
    tmp_path: Path, value: bytes, type: bytes
) -> None:
    good = tar(tmp_path / "x.tar", TWO).read_bytes()[: 4 * 1024]
    (tmp_path / "x.tar").write_bytes(good + sized(value, type) + bytes(1024))
    start = time.process_time()
    tracemalloc.start()
    error = refused(tmp_path / "x.tar", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.where == tmp_path / "x.tar"
    assert "damaged or cut short" in error.message or type == b"S"
    assert peak < 3_000_000
    assert time.process_time() - start < 2


@pytest.mark.parametrize("size", ["-512", "-1", "9" * 30, "99999999", "x", ""])
def test_absurd_sizes_in_pax_headers_are_refused(tmp_path: Path, size: str) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("c.png")
        info.pax_headers = {"size": size}
        put(archive, info, IMAGE)
    refused(tmp_path / "x.tar", "damaged or cut short")


def test_a_long_header_is_not_searched(tmp_path: Path) -> None:
    """tarfile would parse 4 MB of digits, which takes hours."""
    path = tmp_path / "x.tar"
    path.write_bytes(sized(b"%011o\0" % (1 << 22), b"x") + b"1" * (1 << 22) + bytes(1024))
    start = time.process_time()
    refused(path, "a header of 4,194,304 bytes")
    assert time.process_time() - start < 1


def test_endless_headers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(sized(b"00000000000\0", b"g") * 20_000 + bytes(1024))
    refused(tmp_path / "x.tar", "damaged or cut short")


# --- fuzzing


def valid() -> bytes:
    """Return a small shard with every type of header."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}
    ) as archive:
        for name, content in {**TWO, "é.png": png(3), "é.cls": b"1"}.items():
            put(
                archive,
                tarfile.TarInfo(name),
                content.encode() if isinstance(content, str) else content,
            )
    start = buffer.getvalue().rstrip(b"\0")
    start += bytes(-len(start) % 512)
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w", format=tarfile.GNU_FORMAT) as archive:
        put(archive, tarfile.TarInfo("d/" * 60 + "x.png"), png(4))
        put(archive, tarfile.TarInfo("d/" * 60 + "x.json"), boxes([[1, 2, 3, 4]], [0]).encode())
    return start + rest.getvalue()[: 512 * 10]  # up to its end


VALID = valid()
HEADERS = [
    place for place in range(0, len(VALID), 512) if VALID[place + 257 : place + 262] == b"ustar"
]
PIECES = [
    b"\0" * 512,
    b"\0",
    b"\xff" * 12,
    b"\x80" + b"\xff" * 11,
    *(
        sized(value, type)
        for value in (b"00000000000\0", b"00000001000\0", b"\xff" * 12)
        for type in (b"0", b"x", b"g", b"L")
    ),
    b"22 GNU.sparse.major=1\n",
    b"11 size=-5\n",
    b"\x1f\x8b",
]


def test_the_valid_shard_is_valid(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(VALID)
    data = formats.read(tmp_path / "x.tar")
    assert shades(data) == [0, 9, 3]
    assert len(data.skipped) == 1
    assert len(HEADERS) > 8


EDIT = st.tuples(
    st.sampled_from(HEADERS) | st.integers(0, len(VALID) // 512).map(lambda block: 512 * block),
    st.integers(0, 511),
    st.sampled_from(
        [None, None, None, 0, 1, 512]
    ),  # length of what is replaced; None: that of the new bytes
    st.sampled_from(PIECES) | st.binary(max_size=4),
    st.booleans(),
)


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_any_edit_is_data_or_one_error(
    tmp_path: Path, edits: list[tuple[int, int, int | None, bytes, bool]]
) -> None:
    data = bytearray(VALID)
    for block, place, length, piece, summed in edits:
        data[block + place : block + place + (len(piece) if length is None else length)] = piece
        if (
            summed and len(header := data[block : block + 512]) == 512
        ):  # else only the checksum is tested
            header[148:156] = b" " * 8
            data[block + 148 : block + 156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x-000000.tar"
    path.write_bytes(data)
    assert webdataset.sniff(path) in (True, False)
    try:
        found = formats.read(path, "webdataset")
    except DataError as error:
        blamed = str(error.where)
    else:
        blamed = None
    assert list(tmp_path.iterdir()) == [path]
    if blamed is not None:
        assert str(path) in blamed
        return
    assert len(set(ids(found))) == len(found) > 0
    for sample in found:
        try:
            assert sample.source.read().dtype == np.uint8
        except BadImage:
            continue
