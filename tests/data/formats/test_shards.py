"""Archives as others make, damage and forge them: read where they lie, whole or with one clear error."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import skipped
from tars import PICTURE, TWO, Files, boxes, ids, png, put, read, refused, shades, tar

from foveate.data import formats
from foveate.data.formats import _shards, webdataset
from foveate.errors import BadPicture, DataError

# --- read where they lie ----------------------------------------------------------------------------------------------


def test_a_picture_is_read_by_its_place_and_nothing_is_unpacked(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", TWO)
    before = path.read_bytes()
    data = read(path)
    source = data[1].source
    assert source == pickle.loads(pickle.dumps(source))
    assert before[source.member.offset :][: source.member.size] == png(9) == source.data()
    assert source.examine()[1].format == "PNG"
    assert shades(data) == [0, 9]
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    big = PICTURE + bytes(4_000_000)
    tar(
        tmp_path / "x-0.tar",
        {f"{i}.{end}": big if end == "png" else str(i) for i in range(10) for end in ("png", "cls")},
    )
    tracemalloc.start()
    data = read(tmp_path)
    looked_through = tracemalloc.get_traced_memory()[1]
    for sample in data:
        sample.source.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert looked_through < 3_000_000
    assert peak < 12_000_000


def test_a_shard_with_many_files_is_looked_through_in_seconds(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {f"{i:05}.{end}": PICTURE if end == "png" else "01"[i % 2] for i in range(2000) for end in ("png", "cls")})  # fmt: skip
    start = time.perf_counter()
    assert len(read(tmp_path / "x.tar")) == 2000
    assert time.perf_counter() - start < 3  # a tenth of this here: room for busy machines


def test_pictures_that_are_damaged_or_gone_are_bad_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "x.tar", {**TWO, "a.png": b"no picture"})
    bad, good = (sample.source for sample in read(path))
    with pytest.raises(BadPicture, match="this is none or is damaged") as caught:
        bad.read()
    assert caught.value.where == f"{path}/a.png"
    with monkeypatch.context() as patch:
        patch.setattr(_shards, "_LARGEST_PICTURE", 10)
        with pytest.raises(BadPicture, match=r"at most 10 bytes .* has 73"):
            good.read()
    os.truncate(path, good.member.offset + 9)
    with pytest.raises(BadPicture, match="cut short since it was looked through"):
        good.read()
    path.unlink()
    with pytest.raises(BadPicture, match="No such file"):
        good.read()


# --- archives of others -----------------------------------------------------------------------------------------------


LONG = "ordner/" * 30 + "ü" * 120


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_the_standard_library_is_read(tmp_path: Path, format: int) -> None:
    key = ("ordner/" * 30 + "u" * 20) if format == tarfile.USTAR_FORMAT else LONG
    files: Files = {**TWO, f"{key}.png": png(7), f"{key}.cls": "1", "é 日.png": png(8), "é 日.cls": "0"}
    data = read(tar(tmp_path / "x.tar", files, format))
    assert ids(data) == ["a", "b", key, "é 日"]
    assert shades(data) == [0, 9, 7, 8]


def test_headers_that_say_more_are_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", pax_headers={"comment": "global " * 99}) as archive:
        for name, content in TWO.items():
            info = tarfile.TarInfo(name)
            info.mtime, info.uid, info.uname = 1.5e9 + 0.25, 2**40, "ü" * 40
            info.pax_headers = {"SCHILY.xattr.user.x": "y" * 3000}
            put(archive, info, content.encode() if isinstance(content, str) else content)
    assert shades(read(tmp_path / "x.tar")) == [0, 9]


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        odd = os.fsdecode(b"caf\xe9.png")
        data = read(tar(tmp_path / "x.tar", {**TWO, odd: PICTURE}, format))
        assert skipped(data) == {"caf\\udce9.png": "the name is expected to be valid UTF-8, this one is not"}


@pytest.mark.parametrize(
    ("type", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a file with holes"),
    ],
)
def test_links_devices_and_holes_are_refused(tmp_path: Path, type: bytes, what: str) -> None:
    path = tar(tmp_path / "x.tar", TWO)
    with tarfile.open(path, "a", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("c.png")
        info.type, info.linkname = type, "/etc/passwd"
        put(archive, info)
    assert refused(path, "files are expected, 'c.png' is ", what).where == path


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_holes_in_the_manner_of_pax_are_refused(tmp_path: Path, version: str) -> None:
    says = {
        "0.0": {"GNU.sparse.size": "9", "GNU.sparse.numblocks": "0"},
        "0.1": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"},
        "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99", "GNU.sparse.name": "c.png"},
    }  # fmt: skip
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("c.png")
        info.pax_headers = says[version]
        put(archive, info, b"1\n0\n1\n".ljust(512, b"\0") + b"x")
    refused(tmp_path / "x.tar", "holes")


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "..", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "x.tar", {**TWO, name: PICTURE})
    assert refused(path, "names within the archive are expected", repr(name)).where == path


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_compressed_archives_are_told_what_to_do_with(tmp_path: Path, ending: str) -> None:
    tar(tmp_path / "plain", TWO)
    path = tmp_path / f"train-000000.{ending}"
    kind = {"tar.gz": "gz", "tgz": "gz", "tar.bz2": "bz2", "tar.xz": "xz"}[ending]
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(tmp_path / "plain", "a.png")
    (tmp_path / "plain").unlink()
    for place in (path, tmp_path):
        with pytest.raises(DataError, match="this one is compressed") as caught:
            formats.read(place)
        assert caught.value.where == path
        assert caught.value.remedy is not None
        assert path.name in caught.value.remedy
    named = path.rename(tmp_path / "train-000000.tar")
    assert refused(tmp_path, "this one is compressed").where == named


def test_what_lies_beside_the_shards_and_is_not_read_is_told(tmp_path: Path) -> None:
    tar(tmp_path / "train-000000.tar", TWO)
    (tmp_path / "train-000001.tar.gz").write_bytes(gzip.compress(b""))
    tar(tmp_path / "more/x.tar", TWO)
    tar(tmp_path / "test/deep/x.tar", TWO)
    tar(tmp_path / "test/0.tar", {"c.png": PICTURE, "c.cls": "0"})
    (note,) = read(tmp_path).notes
    assert note == "beside the shards, these were not read: more/, test/deep/, train-000001.tar.gz"


def test_a_shard_that_is_gone_or_no_file_is_not_passed_over(tmp_path: Path) -> None:
    tar(tmp_path / "x-000000.tar", TWO)
    odd = tmp_path / "x-000001.tar"
    odd.symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path, "a tar archive is expected, but a link to a file that is not there").where == odd
    odd.unlink()
    os.mkfifo(odd)
    assert refused(tmp_path, "a folder or a device").where == odd
    odd.unlink()
    odd.touch()
    assert refused(tmp_path, "the file is empty (0 bytes)").where == odd
    odd.unlink()
    odd.symlink_to(tar(tmp_path / "elsewhere" / "y", {"c.png": PICTURE, "c.cls": "0"}))
    assert ids(read(tmp_path)) == ["a", "b", "c"]


# --- archives that are damaged, or lie --------------------------------------------------------------------------------


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = tar(tmp_path / "x-000000.tar", {**TWO, LONG: b"x"}).read_bytes()
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    assert len(data) >= end + 1024
    for length in [1, 100, *range(511, end, 256), end, end + 511]:
        (tmp_path / "x-000000.tar").write_bytes(data[:length])
        error = refused(tmp_path, "a whole tar archive is expected, this is none, damaged or cut short")
        assert error.where == tmp_path / "x-000000.tar"
    (tmp_path / "x-000000.tar").write_bytes(data[: end + 512])  # one block of zeros is an end as well
    assert ids(read(tmp_path)) == ["a", "b"]


def test_what_follows_the_end_is_not_passed_over(tmp_path: Path) -> None:
    one = tar(tmp_path / "x.tar", TWO).read_bytes()
    two = tar(tmp_path / "y.tar", {"c.png": PICTURE, "c.cls": "0"}).read_bytes()
    (tmp_path / "y.tar").write_bytes(one + two)  # as by `cat`
    refused(tmp_path / "y.tar", "no header at byte 4,")


def sized(value: bytes, type: bytes = b"0", name: bytes = b"c.png") -> bytes:
    """A header whose size field holds this, its checksum right."""
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
def test_absurd_sizes_in_headers_are_refused_at_once(tmp_path: Path, value: bytes, type: bytes) -> None:
    good = tar(tmp_path / "x.tar", TWO).read_bytes()[: 4 * 1024]
    (tmp_path / "x.tar").write_bytes(good + sized(value, type) + bytes(1024))
    start = time.perf_counter()
    tracemalloc.start()
    error = refused(tmp_path / "x.tar", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.where == tmp_path / "x.tar"
    assert "damaged or cut short" in error.message or type == b"S"
    assert peak < 3_000_000
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("size", ["-512", "-1", "9" * 30, "99999999", "x", ""])
def test_absurd_sizes_in_pax_headers_are_refused(tmp_path: Path, size: str) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("c.png")
        info.pax_headers = {"size": size}
        put(archive, info, PICTURE)
    refused(tmp_path / "x.tar", "damaged or cut short")


def test_a_long_header_that_is_really_there_is_not_searched(tmp_path: Path) -> None:
    """tarfile would look for a number in 4 MB of digits, which takes hours."""
    path = tmp_path / "x.tar"
    path.write_bytes(sized(b"%011o\0" % (1 << 22), b"x") + b"1" * (1 << 22) + bytes(1024))
    start = time.perf_counter()
    refused(path, "a header of 4,194,304 bytes")
    assert time.perf_counter() - start < 1


def test_headers_that_follow_each_other_without_end(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(sized(b"00000000000\0", b"g") * 20_000 + bytes(1024))
    refused(tmp_path / "x.tar", "damaged or cut short")


# --- any archive is data or one error ---------------------------------------------------------------------------------


def valid() -> bytes:
    """A shard with a header of every kind, small."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as archive:
        for name, content in {**TWO, "é.png": png(3), "é.cls": b"1"}.items():
            put(archive, tarfile.TarInfo(name), content.encode() if isinstance(content, str) else content)
    start = buffer.getvalue().rstrip(b"\0")
    start += bytes(-len(start) % 512)
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w", format=tarfile.GNU_FORMAT) as archive:
        put(archive, tarfile.TarInfo("d/" * 60 + "x.png"), png(4))
        put(archive, tarfile.TarInfo("d/" * 60 + "x.json"), boxes([[1, 2, 3, 4]], [0]).encode())
    return start + rest.getvalue()[: 512 * 10]  # with its end, and no more


VALID = valid()
HEADERS = [place for place in range(0, len(VALID), 512) if VALID[place + 257 : place + 262] == b"ustar"]
PIECES = [
    b"\0" * 512,
    b"\0",
    b"\xff" * 12,
    b"\x80" + b"\xff" * 11,
    *(sized(value, type) for value in (b"00000000000\0", b"00000001000\0", b"\xff" * 12) for type in (b"0", b"x", b"g", b"L")),
    b"22 GNU.sparse.major=1\n",
    b"11 size=-5\n",
    b"\x1f\x8b",
]  # fmt: skip


def test_the_valid_shard_is_valid(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(VALID)
    data = formats.read(tmp_path / "x.tar")
    assert shades(data) == [0, 9, 3]
    assert len(data.skipped) == 1
    assert len(HEADERS) > 8


EDIT = st.tuples(
    st.sampled_from(HEADERS) | st.integers(0, len(VALID) // 512).map(lambda block: 512 * block),
    st.integers(0, 511),
    st.sampled_from([None, None, None, 0, 1, 512]),  # what is replaced: as much as comes, or another length
    st.sampled_from(PIECES) | st.binary(max_size=4),
    st.booleans(),
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_any_edit_is_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, int | None, bytes, bool]]) -> None:
    data = bytearray(VALID)
    for block, place, length, piece, summed in edits:
        data[block + place : block + place + (len(piece) if length is None else length)] = piece
        if summed and len(header := data[block : block + 512]) == 512:  # or all that is tested is the checksum
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
        except BadPicture:
            continue
