"""Tables of images and labels: what is read, skipped with a reason, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.datasets.load import load
from foveate.errors import FoveateError
from helpers.load_files import PICTURE, ids, lay, names, refused, skipped


def table(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    lay(folder, *(f"img/{number}.png" for number in range(4)))
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


def test_a_table(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t",
        "path,label,group,split,age\nimg/2.png,cat,p1,train,9\n./img/1.png,dog,p2,Val,\nimg/0.png,cat,,,\n",
    )
    data = load(path)
    assert ids(data) == ["img/2.png", "img/1.png", "img/0.png"]
    assert names(data) == ["cat", "dog", "cat"]
    assert data.classes == ("cat", "dog")
    assert [sample.group for sample in data] == ["p1", "p2", None]
    assert [sample.split for sample in data] == ["train", "valid", None]
    assert data[0].source.read().shape == (3, 4, 1)
    assert (data.name, data.origin) == ("list", path)
    assert load(data.origin) == data
    assert ids(load(path.parent)) == ids(data)
    assert (load(path.parent).name, load(path.parent).origin) == ("t", path.parent)


@pytest.mark.parametrize(
    "text",
    [
        "label;path\ncat;img/0.png\ndog;img/1.png\n",
        "Path\tLabel\nimg/0.png\tcat\nimg/1.png\tdog\n",
        "\ufefffile_name, Class\r\nimg/0.png, cat\r\n\r\nimg/1.png, dog",
        '"image","target"\n"img/0.png","cat"\n"img/1.png","dog"\n',
        "filename,category\nimg\\0.png,cat\nimg\\1.png,dog\n",
    ],
)
def test_tables_of_all_dialects(tmp_path: Path, text: str) -> None:
    data = load(table(tmp_path, text))
    assert ids(data) == ["img/0.png", "img/1.png"]
    assert names(data) == ["cat", "dog"]


def test_full_paths_are_looked_for_below_the_folder_only(tmp_path: Path) -> None:
    path = table(
        tmp_path / "near", f"path,label\n{tmp_path}/near/img/0.png,x\n/home/me/img/1.png,y\n"
    )
    data = load(path)
    assert ids(data) == ["img/0.png", "img/1.png"]
    assert any("/home/me/img/1.png" in note for note in data.notes)
    lay(tmp_path / "far", "a.png", "b.png")
    path = table(tmp_path / "near", f"path,label\n{tmp_path}/far/a.png,x\n../far/b.png,y\n")
    refused(path, "none that can be used (2 skipped", "there is no such file")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, ["column for the path", "the header has nothing", "filename"]),
        ("a,b,c\nx,y,z\n", 1, ["column for the path", "a, b, c"]),
        ("path,kind,of\nimg/0.png,cat,x\n", 1, ["column for the label", "path, kind, of"]),
        ("path,file,label\n", 1, ["one column is expected for the path", "path, file"]),
        (
            "path,label,class\nimg/0.png,cat,x\nimg/1.png,dog,x\n",
            1,
            ["one column is expected for the label", "label, class"],
        ),
        ("path,label\nimg/0.png,cat\nimg/1.png\n", 3, ["2 fields", "got 1"]),
        ("path,label\nimg/0.png,cat,dog\n", 2, ["2 fields", "got 3"]),
        ("path,label\nimg/0.png,cat\nimg/1.png,\n", 3, ["a label is expected"]),
        ("path,label\nimg/0.png,cat\n,dog\n", 3, ["the path of an image is expected"]),
        (
            "path,label,split\nimg/0.png,cat,devel\n",
            2,
            ["as the split", "'devel'", "train, training, valid"],
        ),
        (
            "path,label\nimg/0.png,cat\nimg/1.png,dog\nimg/0.png,dog\n",
            4,
            ["'cat' on line 2", "'dog' here"],
        ),
        (
            "path,label,set\nimg/0.png,cat,train\nimg/./0.png,cat,test\n",
            3,
            ["one split", "'train' on line 2"],
        ),
        ('path,label\nimg/0.png,cat\n"img/1.png,dog\nimg/2.png,dog\n', 4, ["quotation mark"]),
        ("path,label\nimg/0.png," + "x" * 200_000 + "\n", 2, ["field larger"]),
        (b"path,label\nimg/0.png,cat\nimg/1.png,d\0g\n", 3, ["a zero byte"]),
        ("path,label\nimg/0.png,cat\nimg/1.png,кот\n".encode("cp1251"), 3, ["UTF-8"]),
        ("path,label\nimg/0.png,小狗狗\n".encode("gbk"), 2, ["UTF-8"]),
        ("path,label\nimg/0.png,ねこ\n".encode("shift-jis"), 2, ["UTF-8"]),
        ("path,label\nimg/0.png,żółty\n".encode("cp1250"), 2, ["UTF-8"]),
        (PICTURE, 1, ["UTF-8"]),
    ],
)
def test_rows_that_cannot_be_understood(
    tmp_path: Path, text: str | bytes, line: int, words: list[str]
) -> None:
    path = table(tmp_path, text)
    error = refused(path, *words)
    assert (error.where, error.line) == (path, line)


def test_images_that_are_not_there_are_listed(tmp_path: Path) -> None:
    rows = [
        "img/0.png,cat",
        "img/1.png,dog",
        "img/9.png,dog",
        "img,cat",
        "img/1.png,dog",
        "img/0.png/x,cat",
    ]
    lay(tmp_path, "img/8.png", content=b"")
    data = load(
        table(
            tmp_path, "path,label\n" + "\n".join([*rows, "img/8.png,cat", f"{'y' * 300}.png,cat"])
        )
    )
    assert ids(data) == ["img/0.png", "img/1.png"]
    reasons = skipped(data)
    assert len(reasons) == 6
    assert "no such file" in reasons["img/9.png"]
    assert "folder" in reasons["img"]
    assert reasons["img/1.png"] == "line 6 repeats line 3"
    assert "Not a directory" in reasons["img/0.png/x"]
    assert "0 bytes" in reasons["img/8.png"]
    assert reasons["y" * 300 + ".png"]
    refused(
        table(tmp_path, "path,label\nimg/7.png,cat\n"),
        "none that can be used",
        "img/7.png: there is no such file",
    )
    refused(table(tmp_path, "path,label\n"), "images are expected, found none")
    refused(table(tmp_path, "path,label\nimg/0.png,cat\n"), "found one ('cat')")


def test_which_table_of_a_folder(tmp_path: Path) -> None:
    good = "path,label\nimg/0.png,cat\nimg/1.png,dog\n"
    table(tmp_path, "thing,label\nimg/7.png,cat\n")
    refused(tmp_path, "list.csv:1", "column for the path")
    table(tmp_path, good)
    assert len(load(tmp_path)) == 2
    table(tmp_path, good, "other.tsv")
    refused(tmp_path, "one table is expected, or one for each split", "list.csv, other.tsv")
    assert len(load(tmp_path / "other.tsv")) == 2


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.text(alphabet='path,label\n"\r;\t.\\/ 0imgé\0', max_size=120) | st.binary(max_size=80)
)
def test_any_table_is_data_or_one_error(tmp_path: Path, body: str | bytes) -> None:
    text = body.encode() if isinstance(body, str) else body
    path = table(tmp_path, b"path,label\n" + text)
    try:
        data = load(path)
    except FoveateError:
        return
    assert len(data) >= 2
