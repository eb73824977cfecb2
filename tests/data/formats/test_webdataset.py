"""Shards as people have them: what a sample is, in which part, what its answer says, and how such are written."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import skipped
from tars import PICTURE, TWO, Files, boxes, ids, names, png, put, read, refused, shades, tar

from foveate.annotations import Boxes, Captions, Label
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import webdataset
from foveate.data.pictures import FileSource
from foveate.errors import BadPicture, DataError

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


# --- any JSON is an answer or one error --------------------------------------------------------------------------------


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
        blamed = error.where
    else:
        blamed = None
    if blamed is not None:
        assert blamed == path
        return
    assert found.task in ("detection", "text_to_image")
    assert len(found) == 1
