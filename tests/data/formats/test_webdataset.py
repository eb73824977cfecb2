"""Shards as people have them: what a sample is, how they are read without unpacking, what is refused and with which name."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes, Captions, Label
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import _shards, webdataset
from foveate.data.pictures import FileSource
from foveate.errors import BadPicture, DataError

Files = dict[str, str | bytes]


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (4, 3), shade).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()
TWO: Files = {"a.png": PICTURE, "a.cls": "0", "b.png": png(9), "b.cls": "1"}


def tar(path: Path, files: Files, format: int = tarfile.PAX_FORMAT) -> Path:
    """An archive of these files, made by the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in files.items():
            put(archive, tarfile.TarInfo(name), content.encode() if isinstance(content, str) else content)
    return path


def put(archive: tarfile.TarFile, info: tarfile.TarInfo, data: bytes = b"") -> None:
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def boxes(rows: object, classes: object, **more: object) -> str:
    return json.dumps({"boxes": rows, "classes": classes, **more})


def read(path: Path) -> Dataset[Any]:
    data = formats.read(path)
    assert data.format == "webdataset"
    return data


def ids(data: Dataset[Any]) -> list[str]:
    return [sample.id for sample in data]


def names(data: Dataset[Label]) -> list[str]:
    return [data.classes[sample.truth.index] for sample in data]


def shades(data: Dataset[Any]) -> list[int]:
    return [int(sample.source.read()[0, 0, 0]) for sample in data]


def skipped(data: Dataset[Any]) -> dict[str, str]:
    return {one.id: one.reason for one in data.skipped}


def refused(path: Path, *words: str) -> DataError:
    with pytest.raises(DataError) as caught:
        formats.read(path, "webdataset")
    for word in words:
        assert word in str(caught.value)
    return caught.value


# --- what a sample is -------------------------------------------------------------------------------------------------


def test_files_of_one_name_are_a_sample(tmp_path: Path) -> None:
    data = read(tar(tmp_path / "pets.tar", TWO))
    assert (data.name, data.task, data.classes) == ("pets", "classification", ("0", "1"))
    assert ids(data) == ["a", "b"]
    assert names(data) == ["0", "1"]
    assert shades(data) == [0, 9]
    assert [sample.part for sample in data] == [None, None]
    assert (data.skipped, data.notes, data.origin) == ((), (), tmp_path / "pets.tar")


def test_the_files_of_a_sample_need_not_lie_together_nor_in_order(tmp_path: Path) -> None:
    mixed: Files = {"b.cls": "1", "a.cls": "0", "a.png": PICTURE, "b.png": png(9)}
    data = read(tar(tmp_path / "x.tar", mixed))
    assert dict(zip(ids(data), shades(data), strict=True)) == {"a": 0, "b": 9}


def test_several_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        tar(tmp_path / f"x-{number:06}.tar", {f"{number}.png": png(number), f"{number}.cls": str(number)})
    data = read(tmp_path)
    assert ids(data) == ["0", "1", "2"]
    assert shades(data) == [0, 1, 2]


def test_keys_end_at_the_first_dot_and_hold_folders(tmp_path: Path) -> None:
    files: Files = {
        "x/1.PNG": PICTURE,
        "x/1.Cls": "4",
        "./y/1.png": PICTURE,
        "./y/1.cls": " 5\n",
        "z.seg.png": PICTURE,
        "z.png": PICTURE,
        "z.cls": "4",
        "x.y/1.png": PICTURE,
        "x.y/1.cls": "4",
    }
    data = read(tar(tmp_path / "x.tar", files))
    assert ids(data) == ["x/1", "y/1", "z", "x.y/1"]
    assert names(data) == ["4", "5", "4", "4"]
    assert data.notes == ("files in the shards that were not read: .seg.png (1)",)


def test_hidden_files_and_folders_are_nobodys_data(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"._a.png": "x", "__MACOSX/a.png": "x", "d/.DS_Store": "x", **TWO})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("folder")
        info.type = tarfile.DIRTYPE
        put(archive, info)
    assert ids(read(path)) == ["a", "b"]
    assert read(path).skipped == ()


def test_what_is_no_whole_sample_is_listed(tmp_path: Path) -> None:
    files: Files = {
        "alone.cls": "1",
        "mute.png": PICTURE,
        "two.png": PICTURE,
        "two.jpg": PICTURE,
        "two.cls": "1",
        "void.png": b"",
        "void.cls": "1",
        "README": "x",
    }
    assert skipped(read(tar(tmp_path / "x.tar", {**TWO, **files}))) == {
        "README": "the name has no ending",
        "alone": "one picture is expected, found 0",
        "mute": "there is no answer for it, in a file of .cls",
        "two": "one picture is expected, found 2",
        "void": "the picture is empty (0 bytes)",
    }


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", TWO)
    with tarfile.open(path, "a") as archive:
        put(archive, tarfile.TarInfo("A.png"), PICTURE)
    assert len(read(path).skipped) == 1  # another key, if the case is another
    with tarfile.open(path, "a") as archive:
        put(archive, tarfile.TarInfo("a.PNG"), PICTURE)
    assert refused(path, "one file of a name is expected, found two of 'a.PNG'").where == path


def test_keys_that_shards_repeat_get_the_shards_name(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("train.tar", "train.TAR", "train/b.tar"):
        tar(tmp_path / name, TWO)
    tar(tmp_path / "train/c.tar", {"train/c.png": PICTURE, "train/c.cls": "0"})
    data = read(tmp_path)
    shards = ["train.TAR", "train.tar", "train/b.tar"]
    assert ids(data) == [f"{shard}/{key}" for shard in shards for key in "ab"] + ["train/c.tar/train/c"]
    (note,) = data.notes
    assert "shards repeat keys (such as a)" in note


# --- parts and classes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shard", "part"),
    [
        ("train-000000.tar", "train"),
        ("x_val_0.tar", "valid"),
        ("TEST.tar", "test"),
        ("Validation/0.tar", "valid"),
        ("train/train-0.tar", "train"),
        ("trainval-0.tar", None),
        ("latest.tar", None),
    ],
)
def test_the_shards_name_or_folder_tells_the_part(tmp_path: Path, shard: str, part: str | None) -> None:
    tar(tmp_path / shard, TWO)
    assert {sample.part for sample in read(tmp_path)} == {part}


def test_two_parts_in_a_name_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "train/val-0.tar", TWO)
    assert refused(tmp_path, "one part is expected", "train and valid").where == path


def test_a_shard_alone_is_read_and_told_by_its_own_name(tmp_path: Path) -> None:
    path = tar(tmp_path / "test" / "val-0.tar", TWO)
    tar(tmp_path / "test" / "val-1.tar", {"c.png": PICTURE, "c.cls": "7"})
    data = read(path)
    assert ids(data) == ["a", "b"]
    assert {sample.part for sample in data} == {"valid"}


def test_classes_are_the_numbers_that_occur_or_as_they_are_named(tmp_path: Path) -> None:
    files: Files = {"a.png": PICTURE, "a.cls": "10", "b.png": PICTURE, "b.cls": "9", "c.png": PICTURE, "c.cls": "010"}
    tar(tmp_path / "x.tar", files)
    assert (read(tmp_path).classes, names(read(tmp_path))) == (("9", "10"), ["10", "9", "10"])
    (tmp_path / "classes.txt").write_text("".join(f"c{number}\n" for number in range(12)))
    assert len(read(tmp_path).classes) == 12
    assert names(read(tmp_path)) == ["c10", "c9", "c10"]
    assert names(read(tmp_path / "x.tar")) == ["c10", "c9", "c10"]
    (tmp_path / "classes.txt").write_text("zebra\nant\n")
    assert refused(tmp_path, "got 2 and the number 10").where == tmp_path / "classes.txt"


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    refused(tar(tmp_path / "x.tar", {"a.png": PICTURE, "a.cls": "3"}), "two classes or more", "'3'")


# --- the answers ------------------------------------------------------------------------------------------------------


def test_words(tmp_path: Path) -> None:
    texts = ["a cat", " é \n\n", "", "\ufeffx", "日本 \u2028"]
    files: Files = {}
    for number, text in enumerate(texts):
        files |= {f"{number}.png": PICTURE, f"{number}.txt": text}
    files |= {"many.png": PICTURE, "many.json": json.dumps({"captions": ["a", "b"], "caption": "c", "url": 5})}
    data = read(tar(tmp_path / "x.tar", files))
    assert (data.task, data.classes) == ("text_to_image", ())
    assert [sample.truth.texts for sample in data] == [*((text,) for text in texts), ("a", "b")]


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
def test_words_in_json(tmp_path: Path, record: dict[str, object], texts: tuple[str, ...]) -> None:
    data = read(tar(tmp_path / "x.tar", {"a.png": PICTURE, "a.json": json.dumps(record)}))
    assert (data.task, data[0].truth) == ("text_to_image", Captions(texts))


def test_boxes_of_numbered_classes(tmp_path: Path) -> None:
    files: Files = {
        "a.png": PICTURE,
        "a.json": boxes([[0, 1, 2.5, 3], [9, 9, -2, 2]], [7, 3], crowd=[True, False], size=[3, 4]),
        "b.png": PICTURE,
        "b.json": boxes([], []),
        "c.png": PICTURE,
        "c.json": boxes([[1, 1, 2, 2]], [7], difficult=[True], other=None),
        "d.png": PICTURE,
        "d.json": "{}",
    }
    data = read(tar(tmp_path / "x.tar", files))
    assert (data.task, data.classes) == ("detection", ("3", "7"))
    first, empty, last = (sample.truth for sample in data)
    assert first.corners.tolist() == [[0, 1, 2.5, 3], [9, 9, -2, 2]]
    assert (first.classes.tolist(), first.crowd.tolist(), first.size) == ([1, 0], [True, False], (3, 4))
    assert (len(empty), empty.size) == (0, None)
    assert (last.classes.tolist(), last.difficult.tolist(), last.crowd.tolist()) == ([1], [True], [False])
    assert skipped(data) == {"d": "there is no answer for it, in a file of .json"}


def test_a_class_comes_before_words_and_words_before_json(tmp_path: Path) -> None:
    other: Files = {"a.txt": "x", "a.json": boxes([], []), "b.txt": "y"}
    data = read(tar(tmp_path / "x.tar", {**TWO, **other}))
    assert data.task == "classification"
    assert data.notes == ("files in the shards that were not read: .json (1), .txt (2)",)
    words = {name: content for name, content in {**TWO, **other}.items() if not name.endswith("cls")}
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
        ("json", '{"boxes": [', "JSON is expected, this is damaged"),
        ("json", "", "JSON is expected, this is damaged"),
        ("json", b'{"boxes": "\xff"}', "text in UTF-8 is expected"),
        ("json", "[" * 100_000, "nested too deep"),
        ("json", "[]", "a JSON object is expected, got []"),
        ("json", '{"boxes": NaN}', "a number in it cannot be read (NaN)"),
        ("json", '{"boxes": 1' + "0" * 5000 + "}", "a number in it cannot be read"),
        ("json", '{"other": 1, "keys": 2}', "boxes or captions are expected in the .json files, the first has other, keys"),
        ("json", '{"text": "\\ud800"}', "a text or a list of texts is expected as text"),
        ("json", '{"captions": [1]}', "a list of texts is expected as captions, got [1]"),
        ("json", boxes({}, []), "boxes of four numbers"),
        ("json", boxes([[1, 2, 3]], [0]), "boxes of four numbers"),
        ("json", boxes([[1, 2, 3, "4"]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, True]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, 1e10]], [0]), "none beyond 1,000,000,000"),
        ("json", boxes([[1, 2, 3, 10**400]], [0]), "finite numbers"),
        ("json", boxes([[1, 2, 3, 4]], [0, 1]), "as many classes as boxes"),
        ("json", boxes([[1, 2, 3, 4]], ["cat"]), "the numbers of classes"),
        ("json", boxes([[1, 2, 3, 4]], [-1]), "the numbers of classes"),
        ("json", boxes([[1, 2, 3, 4]], [True]), "the numbers of classes"),
        ("json", boxes([[1, 2, 3, 4]], [10**30]), "the numbers of classes"),
        ("json", '{"boxes": []}', "the numbers of classes"),
        ("json", boxes([[1, 2, 3, 4]], [0], crowd=[]), "as many crowd as boxes"),
        ("json", boxes([[1, 2, 3, 4]], [0], difficult=[1]), "true or false is expected as difficult"),
        ("json", boxes([], [], size=[3]), "height and width are expected as size, got [3]"),
        ("json", boxes([], [], size=[0, 4]), "height and width"),
        ("json", boxes([], [], size=[3.0, 4]), "height and width"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_understood_is_named_with_its_shard(
    tmp_path: Path, ending: str, content: str | bytes, words: str
) -> None:
    tar(tmp_path / "x-000000.tar", {"a.png": PICTURE, f"c.{ending}": content, "c.png": PICTURE})
    path = tar(tmp_path / "x-000001.tar", {"d.png": PICTURE, f"deep/d.{ending}": content, "deep/d.png": PICTURE})
    good = {"cls": "1", "txt": "x", "json": '{"boxes": [], "classes": []}'}[ending]
    assert refused(tmp_path, f"'c.{ending}': ", words).where == tmp_path / "x-000000.tar"
    tar(tmp_path / "x-000000.tar", {"a.png": PICTURE, f"a.{ending}": good})
    if "captions" in words or "text" in str(content):  # among boxes that is no answer, but no mistake either
        return
    assert refused(tmp_path, f"'deep/d.{ending}': ", words.partition(", the first")[0][:30]).where == path


def test_an_answer_of_absurd_length_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset, "_LONGEST_ANSWER", 10)
    path = tar(tmp_path / "x.tar", {**TWO, "c.png": PICTURE, "c.cls": " " * 10 + "1"})
    assert refused(path, "at most 10 bytes", "'c.cls' has 11").where == path


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "tar archives are expected, found none", "train-000000.tar")
    refused(tar(tmp_path / "a.tar", {"a.png": PICTURE}), "files of .cls, .txt or .json are expected", "found none")
    refused(tar(tmp_path / "b.tar", {"a.cls": "1"}), "found none; a: one picture is expected, found 0")
    refused(tar(tmp_path / "c.tar", {}), "found none")  # an empty archive: two blocks of zeros


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
    with monkeypatch.context() as patch, pytest.raises(BadPicture, match=r"at most 10 bytes .* has 73"):
        patch.setattr(_shards, "_LARGEST_PICTURE", 10)
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


# --- what is recognised -----------------------------------------------------------------------------------------------


def test_only_shards_are_recognised(tmp_path: Path) -> None:
    assert webdataset.sniff(tar(tmp_path / "a" / "x.tar", TWO))
    assert webdataset.sniff(tmp_path / "a")
    assert not webdataset.sniff(tar(tmp_path / "b" / "x.tar", {"a/1.png": PICTURE, "b/2.png": PICTURE}))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "backup.tar").write_bytes(b"x")
    assert not webdataset.sniff(tmp_path / "c")
    (tmp_path / "c" / "train-000000.tar").write_bytes(b"x")
    assert not webdataset.sniff(tmp_path / "c")  # the first is another
    assert webdataset.sniff(tmp_path / "c" / "train-000000.tar")
    assert not webdataset.sniff(tmp_path / "nowhere-000000.tar")
    assert [name for name, format in formats.all().items() if format.sniff(tmp_path / "a")] == ["webdataset"]


# --- writing ----------------------------------------------------------------------------------------------------------


def made(task: str, truths: list[Any], classes: tuple[str, ...] = (), **given: Any) -> Dataset[Any]:
    pixels = np.arange(len(truths) * 12, dtype=np.uint8).reshape(-1, 3, 4, 1)
    samples = [Sample(f"s{i:04}", ArraySource(pixels, i), truth) for i, truth in enumerate(truths)]
    return Dataset("made", task, classes, samples, **given)


def test_the_standard_library_reads_what_is_written(tmp_path: Path) -> None:
    labels = made("classification", [Label(i % 2) for i in range(3)], ("b", "a"))
    samples = [replace(s, part=part) for s, part in zip(labels, ("test", None, "test"), strict=True)]
    webdataset.write(replace(labels, samples=samples), tmp_path / "copy")
    assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == [
        "classes.txt",
        "data-000000.tar",
        "test-000000.tar",
    ]
    assert (tmp_path / "copy/classes.txt").read_text() == "b\na\n"
    with tarfile.open(tmp_path / "copy/test-000000.tar") as archive:
        assert archive.getnames() == ["s0000.png", "s0000.cls", "s0002.png", "s0002.cls"]
        member = archive.extractfile("s0002.png")
        assert member is not None
        assert np.array_equal(np.asarray(PIL.Image.open(member))[..., None], labels[2].source.read())
        answer = archive.extractfile("s0002.cls")
        assert answer is not None
        assert answer.read() == b"0"
        assert all((info.mtime, info.uid, info.uname, info.mode) == (0, 0, "", 0o644) for info in archive)


def test_a_thousand_samples_go_into_a_shard(tmp_path: Path) -> None:
    webdataset.write(made("text_to_image", [Captions((str(i),)) for i in range(1001)]), tmp_path / "copy")
    shards = sorted((tmp_path / "copy").iterdir())
    assert [shard.name for shard in shards] == ["data-000000.tar", "data-000001.tar"]
    assert [len(read(shard)) for shard in shards] == [1000, 1]
    data = read(tmp_path / "copy")
    assert [sample.truth.texts for sample in data] == [(str(i),) for i in range(1001)]


def test_pictures_are_packed_again_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "f.jpg").write_bytes(PICTURE)  # a PNG of another ending
    (tmp_path / "f.bmp").write_bytes(b"damaged")
    first = tar(tmp_path / "one.tar", {"a.TIF": b"damaged", "a.txt": "x"})
    samples = [
        *read(first),
        *(Sample(f"f{i}", FileSource(tmp_path / f"f.{end}"), Captions(("y",))) for i, end in enumerate(("jpg", "bmp"))),
    ]
    webdataset.write(Dataset("x", "text_to_image", (), samples), tmp_path / "copy")
    copy = {sample.source.member.name: sample.source.data() for sample in read(tmp_path / "copy")}
    assert copy == {"a.TIF": b"damaged", "f0.jpg": PICTURE, "f1.bmp": b"damaged"}


def test_a_shard_that_is_cut_while_it_is_copied_leaves_nothing(tmp_path: Path) -> None:
    data = read(tar(tmp_path / "one.tar", TWO))
    os.truncate(tmp_path / "one.tar", 2000)
    with pytest.raises(BadPicture, match="cut short"):
        webdataset.write(data, tmp_path / "copy")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.tar"]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            replace(
                made("classification", [Label(0, np.array([1.0]))], ("a", "a", "b\nc", "\ud800"), colours=((0, 0, 0),) * 4),
                samples=[Sample("s", ArraySource(np.zeros((1, 3, 4, 5), np.uint8), 0), Label(0, np.array([1.0])), "g", None, "t")],
            ),
            [
                "1 samples with a group (such as 's')",
                "1 samples with a time",
                "1 samples with scores",
                "the colours of the classes",
                "two classes of the name 'a'",
                "the class name 'b\\nc'",
                "the class name '\\ud800', which is not UTF-8",
                "1 samples that are neither grey nor colour",
            ],
        ),
        (made("text_to_image", [Captions(("\ud800",)), Captions(("x",))]), ["1 samples with text that is no UTF-8"]),
        (made("detection", [Boxes(np.array([[1, 2, 3, 2e9]]), np.array([0]))], ("a",)), ["beyond 1,000,000,000"]),
        (made("detection", [Boxes(np.zeros((0, 4)), np.zeros(0, int), size=(0, 4))], ("a",)), ["beyond 1,000,000,000"]),
        (made("semantic", [None], ("a",)), ["annotations for semantic (it holds those for classification and"]),
        (made("classification", [None, Label(0)], ("a",)), ["1 samples without an annotation (such as 's0000')"]),
    ],
)  # fmt: skip
def test_all_that_cannot_be_held_is_named(tmp_path: Path, dataset: Dataset[Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        webdataset.write(dataset, tmp_path / "copy")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_odd_ids_come_back_as_other_names(tmp_path: Path) -> None:
    odd = ["../up", "/root", "a.b.png", "a/b", ".hidden", "x\0y", "ü" * 200, "\ud800", "A.B.png", "line\nbreak", ""]
    one = made("text_to_image", [Captions((str(i),)) for i in range(len(odd))])
    webdataset.write(replace(one, samples=[replace(s, id=i) for s, i in zip(one, odd, strict=True)]), tmp_path / "copy")
    data = read(tmp_path / "copy")
    assert sorted(int(sample.truth.texts[0]) for sample in data) == list(range(len(odd)))
    assert len(set(ids(data))) == len(odd)
    assert (data.skipped, data.notes) == ((), ())


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
    st.sampled_from([0, 1, 12, 512, 1024]),
    st.sampled_from(PIECES) | st.binary(max_size=4),
    st.booleans(),
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_any_edit_is_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, int, bytes, bool]]) -> None:
    data = bytearray(VALID)
    for block, place, length, piece, summed in edits:
        data[block + place : block + place + length] = piece
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


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    record=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["boxes", "classes", "crowd", "difficult", "size", "captions", "caption", "text"]),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_an_answer_or_one_error(tmp_path: Path, record: object) -> None:
    path = tar(tmp_path / "x.tar", {"a.png": PICTURE, "a.json": json.dumps(record)})
    try:
        found = formats.read(path, "webdataset")
    except DataError as error:
        assert error.where == path
        return
    assert found.task in ("detection", "text_to_image")
    assert len(found) == 1
