"""Pictures of LabelMe files as people have them: which is meant, in which part, and those within the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate import formats
from foveate.errors import BadImage
from helpers.format_reading import skipped
from helpers.labelme_files import (
    HEIGHT,
    PICTURE,
    WIDTH,
    box,
    lay,
    packed,
    page,
    png,
    read,
    refused,
    shape,
    usual,
)

# --- which pictures, in which part


def test_folders_may_say_the_part(tmp_path: Path) -> None:
    for folder in ("train", "Val/deep", "test/images"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "train/a.png": "train",
        "Val/deep/a.png": "valid",
        "test/images/a.png": "test",
    }
    assert (data.skipped, data.notes) == ((), ())


def test_where_not_all_folders_are_parts_none_is(tmp_path: Path) -> None:
    for folder in ("train", "harbour", "test"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    data = read(tmp_path)
    assert [(sample.id, sample.split) for sample in data] == [
        ("harbour/a.png", None),
        ("test/a.png", None),
        ("train/a.png", None),
    ]
    assert data.notes == (
        "not taken for parts, as not all folders are some: test, train (beside harbour)",
    )
    for folder in ("one", "two"):
        lay(tmp_path / "others", {f"{folder}/a.json": page(shape()), f"{folder}/a.png": PICTURE})
    assert (len(read(tmp_path / "others")), read(tmp_path / "others").notes) == (2, ())


@pytest.mark.parametrize(
    "path",
    ["../images/a.png", "..\\images\\a.png", "./../images//a.png", "../json/../images/a.png"],
)
def test_pictures_in_a_folder_beside(tmp_path: Path, path: str) -> None:
    data = read(lay(tmp_path, {"json/a.json": page(shape(), path=path), "images/a.png": PICTURE}))
    assert [sample.id for sample in data] == ["images/a.png"]
    assert data.skipped == ()


@pytest.mark.parametrize(
    "path", ["../secret.png", "..\\secret.png", "/etc/x.png", "C:\\x.png", "x/../../secret.png", "", ".", "a\0", "\ud800", None, 5]
)  # fmt: skip
def test_what_is_no_path_within_the_data_is_refused(tmp_path: Path, path: object) -> None:
    lay(tmp_path, {"secret.png": PICTURE})
    error = refused(usual(tmp_path / "set", page(shape(), path=path)), " is expected")
    assert error.where == tmp_path / "set" / "a.json"


def test_a_link_is_followed_and_a_folder_read_once(tmp_path: Path) -> None:
    usual(tmp_path / "set" / "in", page(shape()))
    usual(tmp_path / "elsewhere", page(shape()))
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "up").symlink_to(tmp_path)
    (tmp_path / "set" / "same").symlink_to(tmp_path / "set" / "in")
    data = formats.read(tmp_path / "set", "labelme")
    assert [sample.id for sample in data] == ["in/a.png", "link/a.png"]
    assert skipped(data) == dict.fromkeys(
        ("circle/", "up/", "same/"), "a link to a folder that is read already"
    )


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, page(shape())),
        {
            "alone.png": PICTURE,
            "gone.json": page(shape(label="ghost"), path="gone.png"),
            "empty.json": page(shape(), path="empty.png"),
            "empty.png": b"",
            "long.json": page(shape(), path="x" * 300),
            "other.json": {"images": []},
            "list.json": "[1, 2]",
            "notes.txt": "x",
            ".hidden.json": "x",
            "sub/classes.txt": "x",
        },
    )
    odd = os.fsdecode(b"\xff")
    lay(tmp_path, {f"{odd}.json": "", f"{odd}.png": PICTURE})
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["a.png"]
    assert data.classes == ("cat",)
    assert skipped(data) == {
        "alone.png": "no JSON file says what is in it",
        "gone.png": "there is no such file",
        "empty.png": "the file is empty (0 bytes)",
        "x" * 300: "the file cannot be opened (File name too long)",
        "other.json": "JSON of another kind: it has no shapes",
        "list.json": "JSON of another kind: it has no shapes",
        "notes.txt": "neither a picture nor a JSON file",
        "sub/classes.txt": "neither a picture nor a JSON file",
        "\\udcff.json": "the name is expected to be valid UTF-8, this one is not",
        "\\udcff.png": "the name is expected to be valid UTF-8, this one is not",
    }


def test_two_files_of_one_picture_are_refused(tmp_path: Path) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(box(), path="./a.png")})
    error = refused(tmp_path, "one file a picture is expected, 'a.png' has a.json too")
    assert error.where == tmp_path / "b.json"


def test_groups_and_times(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, page(shape(), group="p 1", time=9)),
        {"b.json": page(shape(), path="b.png"), "b.png": PICTURE},
    )
    assert [(sample.group, sample.time) for sample in read(tmp_path)] == [
        ("p 1", "9"),
        (None, None),
    ]


# --- the picture within the file


def test_the_picture_within_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "a.json": page(shape(), imageData=packed(png(9))),
            "a.png": PICTURE,
            "b.json": page(shape(), path="photos\\b.png", imageData=packed(png(7))),
            "c.json": page(shape(), path="c.png", imageData=packed(png(5))),
            "c.png": b"",
        },
    )
    data = read(tmp_path)
    assert {sample.id: int(sample.source.read().max()) for sample in data} == {
        "a.png": 0,
        "photos/b.png": 7,
        "c.png": 5,
    }
    assert data.notes == ("pictures that are not there and are taken from their JSON file: 2",)
    assert data.skipped == ()
    assert data[1].source.examine()[0].shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    "inner",
    ["", "!!!", "é", "AAA", packed(b"no picture"), packed(PICTURE[:40]), packed(PICTURE)[:-40]],
)
def test_what_is_no_picture_within_is_a_bad_picture(tmp_path: Path, inner: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=inner)}))
    with pytest.raises(BadImage) as caught:
        data[0].source.read()
    assert caught.value.where == tmp_path / "a.json"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"imageData": null}', '{"imageData": 5}', "{", ""]
)
def test_a_file_that_was_changed_since_is_a_bad_picture(tmp_path: Path, content: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=packed(PICTURE))}))
    lay(tmp_path, {"a.json": content})
    with pytest.raises(BadImage, match="a picture in base64 is expected as imageData"):
        data[0].source.read()
    (tmp_path / "a.json").unlink()
    with pytest.raises(BadImage, match="there is no such file"):
        data[0].source.read()


@pytest.mark.parametrize("inner", [None, 5, [], ...])
def test_what_is_neither_there_nor_within_is_skipped(tmp_path: Path, inner: object) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(shape(), path="b.png", imageData=inner)})
    assert skipped(read(tmp_path)) == {"b.png": "there is no such file"}
