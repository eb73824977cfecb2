"""Tar archives are read in place, whole or with one clear error."""

from __future__ import annotations

import gzip
import os
import pickle
import tarfile
import time
import tracemalloc
from pathlib import Path

import pytest

from foveate import formats
from foveate.errors import BadImage, DataError
from foveate.formats.webdataset import shards
from helpers.format_reading import skipped
from helpers.tars import IMAGE, LONG, TWO, Files, ids, png, put, read, refused, shades, tar

# --- reading in place


def test_an_image_is_read_in_place(tmp_path: Path) -> None:
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


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    big = IMAGE + bytes(4_000_000)
    tar(
        tmp_path / "x-0.tar",
        {
            f"{i}.{end}": big if end == "png" else str(i)
            for i in range(10)
            for end in ("png", "cls")
        },
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


def test_a_shard_with_many_files_is_read_in_seconds(tmp_path: Path) -> None:
    tar(
        tmp_path / "x.tar",
        {
            f"{i:05}.{end}": IMAGE if end == "png" else "01"[i % 2]
            for i in range(2000)
            for end in ("png", "cls")
        },
    )
    start = time.process_time()
    assert len(read(tmp_path / "x.tar")) == 2000
    assert time.process_time() - start < 3  # takes a tenth of it on an idle machine


def test_images_that_are_damaged_or_gone_are_bad_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tar(tmp_path / "x.tar", {**TWO, "a.png": b"no image"})
    bad, good = (sample.source for sample in read(path))
    with pytest.raises(BadImage, match="this is none or is damaged") as caught:
        bad.read()
    assert caught.value.where == f"{path}/a.png"
    with monkeypatch.context() as patch:
        patch.setattr(shards, "_MAX_IMAGE_BYTES", 10)
        with pytest.raises(BadImage, match=r"at most 10 bytes .* has 73"):
            good.read()
    os.truncate(path, good.member.offset + 9)
    with pytest.raises(BadImage, match="cut short after it was read"):
        good.read()
    path.unlink()
    with pytest.raises(BadImage, match="No such file"):
        good.read()


# --- archives of other tools


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_of_the_standard_library_is_read(tmp_path: Path, format: int) -> None:
    key = ("ordner/" * 30 + "u" * 20) if format == tarfile.USTAR_FORMAT else LONG
    files: Files = {
        **TWO,
        f"{key}.png": png(7),
        f"{key}.cls": "1",
        "é 日.png": png(8),
        "é 日.cls": "0",
    }
    data = read(tar(tmp_path / "x.tar", files, format))
    assert ids(data) == ["a", "b", key, "é 日"]
    assert shades(data) == [0, 9, 7, 8]


def test_extended_headers_are_read(tmp_path: Path) -> None:
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
        data = read(tar(tmp_path / "x.tar", {**TWO, odd: IMAGE}, format))
        assert skipped(data) == {"caf\\udce9.png": "the name is not valid UTF-8"}


@pytest.mark.parametrize(
    ("type", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
    ],
)
def test_links_devices_and_sparse_files_are_refused(tmp_path: Path, type: bytes, what: str) -> None:
    path = tar(tmp_path / "x.tar", TWO)
    with tarfile.open(path, "a", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("c.png")
        info.type, info.linkname = type, "/etc/passwd"
        put(archive, info)
    assert refused(path, "files are expected, 'c.png' is ", what).where == path


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_sparse_files_in_pax_headers_are_refused(tmp_path: Path, version: str) -> None:
    says = {
        "0.0": {"GNU.sparse.size": "9", "GNU.sparse.numblocks": "0"},
        "0.1": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"},
        "1.0": {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": "99",
            "GNU.sparse.name": "c.png",
        },
    }
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("c.png")
        info.pax_headers = says[version]
        put(archive, info, b"1\n0\n1\n".ljust(512, b"\0") + b"x")
    refused(tmp_path / "x.tar", "a sparse file")


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "..", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "x.tar", {**TWO, name: IMAGE})
    assert refused(path, "names within the archive are expected", repr(name)).where == path


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_compressed_archives_are_refused_with_a_remedy(tmp_path: Path, ending: str) -> None:
    tar(tmp_path / "plain", TWO)
    path = tmp_path / f"train-000000.{ending}"
    mode = {"tar.gz": "gz", "tgz": "gz", "tar.bz2": "bz2", "tar.xz": "xz"}[ending]
    with tarfile.open(path, f"w:{mode}") as archive:
        archive.add(tmp_path / "plain", "a.png")
    (tmp_path / "plain").unlink()
    for place in (path, tmp_path):
        with pytest.raises(DataError, match="an uncompressed tar archive is expected") as caught:
            formats.read(place)
        assert caught.value.where == path
        assert caught.value.remedy is not None
        assert path.name in caught.value.remedy
    named = path.rename(tmp_path / "train-000000.tar")
    assert refused(tmp_path, "an uncompressed tar archive is expected").where == named


def test_ignored_files_beside_the_shards_are_noted(tmp_path: Path) -> None:
    tar(tmp_path / "train-000000.tar", TWO)
    (tmp_path / "train-000001.tar.gz").write_bytes(gzip.compress(b""))
    tar(tmp_path / "more/x.tar", TWO)
    tar(tmp_path / "test/deep/x.tar", TWO)
    tar(tmp_path / "test/0.tar", {"c.png": IMAGE, "c.cls": "0"})
    (note,) = read(tmp_path).notes
    assert note == "not read beside the shards: more/, test/deep/, train-000001.tar.gz"


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    tar(tmp_path / "x-000000.tar", TWO)
    odd = tmp_path / "x-000001.tar"
    odd.symlink_to(tmp_path / "nowhere")
    assert (
        refused(tmp_path, "a tar archive is expected, but the link leads to no file").where == odd
    )
    odd.unlink()
    os.mkfifo(odd)
    assert refused(tmp_path, "a folder or a device").where == odd
    odd.unlink()
    odd.touch()
    assert refused(tmp_path, "the file is empty (0 bytes)").where == odd
    odd.unlink()
    odd.symlink_to(tar(tmp_path / "elsewhere" / "y", {"c.png": IMAGE, "c.cls": "0"}))
    assert ids(read(tmp_path)) == ["a", "b", "c"]
