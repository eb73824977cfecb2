"""Tables of captions: columns, several captions, and refusals with their line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import Captions
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from helpers.format_reading import refusing


def lay(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (4, 3)).save(root / file, "PNG")
    return root


def table(root: Path, text: str | bytes, name: str = "metadata.csv") -> Path:
    lay(root, "0.png", "1.png", "2.png")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root / name


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def read(path: Path) -> Dataset[Captions]:
    data = formats.read(path)
    assert (data.format, data.task, data.classes) == ("captions", "text_to_image", ())
    return data


def texts(data: Dataset[Captions]) -> dict[str, tuple[str, ...]]:
    return {sample.id: sample.target.texts for sample in data}


refused = refusing("captions")


# --- reading


def test_table_rows_become_captions(tmp_path: Path) -> None:
    file = table(
        tmp_path / "t",
        "file_name,text\n1.png,a red bus\n./0.png,\n1.png,the bus\n1.png,a red bus\n",
    )
    data = read(tmp_path / "t")
    assert texts(data) == {
        "1.png": ("a red bus", "the bus", "a red bus"),
        "0.png": ("",),
    }  # in the order of the rows
    assert (data.name, data.origin, data.skipped) == ("t", tmp_path / "t", ())
    assert data[0].source.read().shape == (3, 4, 1)
    alone = read(file)
    assert (alone.name, alone.origin) == ("metadata", file)
    assert texts(alone) == texts(data)


def test_json_lines_become_captions(tmp_path: Path) -> None:
    text = lines(
        {"file_name": "1.png", "text": "a\nb", "split": "train", "group": "g", "width": 4},
        {"file_name": "0.png", "text": ["", "x", "é\u2028"], "split": None},
        {"file_name": "2.png", "text": []},
    )
    data = read(
        table(tmp_path, "\ufeff" + text.replace("\n", "\r\n") + "\n \n", "metadata.jsonl").parent
    )
    assert texts(data) == {"1.png": ("a\nb",), "0.png": ("", "x", "é\u2028"), "2.png": ()}
    assert [(sample.split, sample.group) for sample in data] == [
        ("train", "g"),
        (None, None),
        (None, None),
    ]


@pytest.mark.parametrize("path", ["path", "File Name", "FILE", "filename", "image"])
@pytest.mark.parametrize("text", ["text", "Caption", "captions", "prompt", "description"])
def test_columns_have_several_names(tmp_path: Path, path: str, text: str) -> None:
    record = {"id": "7", text: "a, b", path: "1.png"}
    quoted = ";".join(record) + "\n" + ";".join(record.values()) + "\n"
    for name, content in (
        ("list.csv", quoted),
        ("captions.tsv", quoted),
        ("x.jsonl", lines(record)),
    ):
        file = table(tmp_path, content, name)
        for where in (file, file.parent):
            assert texts(read(where)) == {"1.png": ("a, b",)}
        file.unlink()


def test_splits_come_from_a_column_or_from_folders(tmp_path: Path) -> None:
    table(tmp_path / "column", "image,caption,set\n0.png,a,Training\n1.png,b,val\n2.png,c,\n")
    assert [sample.split for sample in read(tmp_path / "column")] == ["train", "valid", None]
    for word in ("train", "test"):
        table(
            tmp_path / "folders" / word, "file_name,text\n0.png,a\n../shared/9.png,b " + word + "\n"
        )
    lay(tmp_path / "folders", "shared/9.png")
    refused(
        tmp_path / "folders",
        "one split is expected for 'shared/9.png', got 'test' on line 3 of metadata.csv and",
    )
    table(
        tmp_path / "folders" / "test",
        lines({"file_name": "0.png", "text": "a", "split": "test"}),
        "metadata.jsonl",
    )
    (tmp_path / "folders" / "test" / "metadata.csv").unlink()
    data = formats.read(tmp_path / "folders", "captions")  # "shared" could also be a class folder
    assert {sample.id: sample.split for sample in data} == {
        "test/0.png": "test",
        "train/0.png": "train",
        "shared/9.png": "train",
    }
    (tmp_path / "folders" / "test" / "metadata.jsonl").write_text(
        lines({"file_name": "0.png", "text": "a", "split": "train"})
    )
    refused(
        tmp_path / "folders",
        "test/metadata.jsonl:1",
        "test is expected, as the name of the table or of its folder says, got train",
    )


def test_missing_images_are_listed(tmp_path: Path) -> None:
    table(tmp_path, "file_name,text\n9.png,a\n0.png,b\n9.png,c\nmetadata.csv/x,d\n")
    data = read(tmp_path)
    assert texts(data) == {"0.png": ("b",)}
    assert {one.id: one.reason for one in data.skipped} == {
        "9.png": "there is no such file",
        "metadata.csv/x": "the file cannot be opened (Not a directory)",
    }
    (tmp_path / "0.png").unlink()
    refused(tmp_path, "none that can be used (3 skipped; 9.png: there is no such file)")
    refused(table(tmp_path, "file_name,text\n").parent, "none that can be used (0 skipped)")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, ["column for the path", "the header has nothing"]),
        ("file_name,label\n0.png,a\n", 1, ["column for the text", "file_name, label", "prompt"]),
        (
            "file_name,text,caption\n0.png,a,b\n",
            1,
            ["one column is expected for the text, found text, caption"],
        ),
        ("file_name,text\n0.png,a\n1.png\n", 3, ["2 fields", "got 1"]),
        ("file_name,text\n0.png,a,b\n", 2, ["2 fields", "quotation marks"]),
        ("file_name,text\n,a\n", 2, ["path of an image"]),
        ("file_name,text\n/etc/passwd,a\n", None, ["none that can be used", "'/etc/passwd'"]),
        ("file_name,text,split\n0.png,a,devel\n", 2, ["as the split", "'devel'"]),
        (
            "file_name,text,group\n0.png,a,g\n0.png,b,h\n",
            3,
            ["one group", "'g' on line 2 and 'h' here"],
        ),
        ('file_name,text\n0.png,"a\n', 2, ["quotation mark"]),
        (b"file_name,text\n0.png,\xff\xfe\xfd\n", 2, ["UTF-8"]),
        (b"file_name,text\n0.png,a\0\n", 2, ["zero byte"]),
    ],
)
def test_bad_rows_are_refused_with_their_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: list[str]
) -> None:
    file = table(tmp_path, text)
    for path in (file, tmp_path):
        error = refused(path, *words)
        assert (error.where, error.line) == (file, line)


GOOD = '{"file_name": "0.png", "text": "a"}\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            GOOD + '{"file_name": "1.png", "text": "b"',
            2,
            ["has an error", "a line looks like", "red bus"],
        ),
        (GOOD + "1.png\n", 2, ["has an error"]),
        (
            GOOD + '["1.png", "b"]\n',
            2,
            ["a JSON object is expected as each line", "['1.png', 'b']"],
        ),
        (GOOD + '{"file_name": "1.png", "text": "b", "text": "c"}', 2, ["once", "'text' twice"]),
        (GOOD + '{"file_name": "1.png", "text": "b", "x": NaN}', 2, ["has an error", "NaN"]),
        (GOOD + "[" * 100_000 + "\n", 2, ["has an error"]),
        (GOOD + "{}\n", 2, ["a key for the path", "found none"]),
        (
            GOOD + '{"file_name": "1.png", "label": "b"}',
            2,
            ["a key for the text", "file_name, label"],
        ),
        (
            GOOD + '{"file_name": "1.png", "text": "b", "Caption": "c"}',
            2,
            ["one key", "text, Caption"],
        ),
        (GOOD + '{"file_name": "1.png", "text": null}', 2, ["a text or a list", "None"]),
        (GOOD + '{"file_name": "1.png", "text": ["b", 7]}', 2, ["a text or a list"]),
        (GOOD + '{"file_name": "1.png", "text": "\\ud800"}', 2, ["a text or a list"]),
        (GOOD + '{"file_name": null, "text": "b"}', 2, ["text is expected as the path"]),
        (GOOD + '{"file_name": "\\udfff.png", "text": "b"}', 2, ["text is expected as the path"]),
        (GOOD + '{"file_name": "a\\u0000b", "text": "b"}', 2, ["path of an image"]),
        (
            GOOD + '{"file_name": "1.png", "text": "b", "split": 1}',
            2,
            ["text is expected as the split"],
        ),
        (
            GOOD + '{"file_name": "1.png", "text": "b", "group": ["g"]}',
            2,
            ["text is expected as the group"],
        ),
        (GOOD.encode() + b'{"file_name": "1.png", "text": "\xff"}', 2, ["UTF-8"]),
    ],
)
def test_bad_json_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, line: int, words: list[str]
) -> None:
    file = table(tmp_path, text, "metadata.jsonl")
    error = refused(tmp_path, *(word for word in words if word != "a line looks like"))
    assert (error.where, error.line) == (file, line)


def test_the_table_is_found_or_refused_if_ambiguous(tmp_path: Path) -> None:
    good = "file_name,text\n0.png,a\n"
    table(tmp_path, good, "one.csv")
    table(tmp_path, "x,y\n", "other.csv")
    assert len(read(tmp_path)) == 1  # the only one with the columns
    table(tmp_path, good, "other.csv")
    refused(
        tmp_path,
        "one table is expected, or one for each split with its name",
        "found 2: one.csv, other.csv",
        "Give the file itself",
    )
    assert len(read(tmp_path / "one.csv")) == 1
    table(tmp_path, good, "metadata.csv")
    assert len(read(tmp_path)) == 1  # by its name
    table(tmp_path, lines({"file_name": "0.png", "text": "a"}), "captions.jsonl")
    refused(tmp_path, "found 2: captions.jsonl, metadata.csv")
    table(tmp_path, "{}", "captions.jsonl")
    assert len(read(tmp_path)) == 1
    table(tmp_path / "train", good, "metadata.csv")
    refused(tmp_path, "found 2: metadata.csv, train/metadata.csv")
    refused(lay(tmp_path, "x.png") / "x.png", "found none")
    refused(lay(tmp_path / "none", "x.png"), "found none", "metadata.jsonl")


def test_columns_tell_captions_from_csv(tmp_path: Path) -> None:
    def fits(path: Path) -> list[str]:
        return [name for name, format in formats.all().items() if format.sniff(path)]

    for text, expected in (
        ("file_name,text\n0.png,a\n", ["captions"]),
        ("file_name,label\n0.png,a\n", ["csv"]),
        ("file_name,text,label\n0.png,a,b\n", ["captions", "csv"]),
        ("x,y\n", ["csv"]),  # its reader says what is missing
    ):
        file = table(tmp_path / "one", text)
        assert sorted(fits(file)) == sorted(fits(file.parent)) == expected
    assert fits(table(tmp_path / "named", "file_name,words\n", "captions.csv")) == ["captions"]
    refused(tmp_path / "named", "column for the text")
    assert fits(table(tmp_path / "damaged", "{", "metadata.jsonl")) == []
    os.mkfifo(tmp_path / "damaged" / "captions.csv")  # opening it would block
    assert fits(tmp_path / "damaged") == []


# --- writing


def made(*given: tuple[str, ...], **changes: object) -> Dataset[Captions]:
    rows = np.zeros((len(given), 3, 4, 1), np.uint8)
    samples = [
        Sample(f"s/{i}", ArraySource(rows, i), Captions(one), **changes)
        for i, one in enumerate(given)
    ]
    return Dataset("made", "text_to_image", (), samples)


def test_metadata_is_written_as_in_imagefolder(tmp_path: Path) -> None:
    dataset = made(("é \u2028\n",), ("a", ""), (), split="test", group="p 1")
    formats.find_writer("captions").write(dataset, tmp_path / "x")
    written = (tmp_path / "x" / "metadata.jsonl").read_bytes().decode().split("\n")
    assert [json.loads(line) for line in written[:-1]] == [
        {"file_name": f"images/s/{i}.png", "text": text, "group": "p 1", "split": "test"}
        for i, text in enumerate(["é \u2028\n", ["a", ""], []])
    ]
    data = read(tmp_path / "x")
    assert [sample.target for sample in data] == [sample.target for sample in dataset]
    assert {(sample.split, sample.group) for sample in data} == {("test", "p 1")}


def test_unsupported_content_is_refused(tmp_path: Path) -> None:
    dataset = replace(made(("a",), ("\ud800",), ("b",)), classes=("x",))
    with pytest.raises(DataError) as caught:
        formats.find_writer("captions").write(dataset, tmp_path / "x")
    for words in ("1 sample with text that is not valid Unicode (such as 's/1')", "1 class"):
        assert words in caught.value.message


# --- fuzzing


@pytest.mark.slow
@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.text(alphabet='file_nametx,"\r\n;\t.\\/ 0png{}[]:é\0\ud800', max_size=100)
    | st.binary(max_size=80),
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    ),
    key=st.sampled_from(["file_name", "text", "split", "group"]),
)
def test_any_table_is_data_or_one_error(
    tmp_path: Path, body: str | bytes, value: object, key: str
) -> None:
    raw = body if isinstance(body, bytes) else body.encode(errors="surrogatepass")
    record = json.dumps({"file_name": "0.png", "text": "a", key: value}).encode() + b"\n"
    for name, content in (
        ("metadata.csv", raw),
        ("metadata.csv", b"file_name,text,split,group\n" + raw),
        ("metadata.jsonl", raw),
        ("metadata.jsonl", record + raw),
    ):
        file = table(tmp_path, content, name)
        blamed = None
        try:
            assert len(formats.read(tmp_path, "captions")) > 0
        except DataError as error:
            blamed = error.where
        assert blamed in (None, file)
        file.unlink()
