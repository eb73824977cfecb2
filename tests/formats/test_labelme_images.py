"""Images of LabelMe files: paths, splits, and embedded images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate import formats
from foveate.errors import BadImage
from helpers.format_reading import skipped
from helpers.labelme_files import (
    HEIGHT,
    IMAGE,
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

# --- images and splits


def test_folders_give_the_split(tmp_path: Path) -> None:
    for folder in ("train", "Val/deep", "test/images"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": IMAGE})
    data = read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "train/a.png": "train",
        "Val/deep/a.png": "valid",
        "test/images/a.png": "test",
    }
    assert (data.skipped, data.notes) == ((), ())


def test_no_folder_is_a_split_unless_all_are(tmp_path: Path) -> None:
    for folder in ("train", "harbour", "test"):
        lay(tmp_path, {f"{folder}/a.json": page(shape()), f"{folder}/a.png": IMAGE})
    data = read(tmp_path)
    assert [(sample.id, sample.split) for sample in data] == [
        ("harbour/a.png", None),
        ("test/a.png", None),
        ("train/a.png", None),
    ]
    assert data.notes == (
        "the folder test/ is not read as a split, since 1 image of the 3 lie in no folder of a "
        "split",
    )
    for folder in ("one", "two"):
        lay(tmp_path / "others", {f"{folder}/a.json": page(shape()), f"{folder}/a.png": IMAGE})
    assert (len(read(tmp_path / "others")), read(tmp_path / "others").notes) == (2, ())


@pytest.mark.parametrize(
    "path",
    ["../images/a.png", "..\\images\\a.png", "./../images//a.png", "../json/../images/a.png"],
)
def test_images_may_lie_in_another_folder(tmp_path: Path, path: str) -> None:
    data = read(lay(tmp_path, {"json/a.json": page(shape(), path=path), "images/a.png": IMAGE}))
    assert [sample.id for sample in data] == ["images/a.png"]
    assert data.skipped == ()


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "..\\secret.png",
        "/etc/x.png",
        "C:\\x.png",
        "x/../../secret.png",
        "",
        None,
        ...,
        "renamed.jpg",
    ],
)
def test_an_image_that_is_not_where_it_is_written_is_the_one_beside_the_file(
    tmp_path: Path, path: object
) -> None:
    """Nothing outside the dataset is read, whatever a file says."""
    lay(tmp_path, {"secret.png": png(9)})
    data = read(usual(tmp_path / "set", page(shape(), path=path, imageData=packed(png(7)))))
    assert [sample.id for sample in data] == ["a.png"]
    assert int(data[0].source.read().max()) == 0
    assert data.notes == (
        "1 image found by the name of the JSON file, since there is none of its imagePath (such as "
        "a.png for a.json)",
    )
    (tmp_path / "set" / "a.png").rename(tmp_path / "set" / "b.png")
    data = read(tmp_path / "set")
    assert [int(sample.source.read().max()) for sample in data] == [7]


@pytest.mark.parametrize("path", [".", "a\0", "\ud800", 5])
def test_texts_that_cannot_be_paths_are_refused(tmp_path: Path, path: object) -> None:
    error = refused(usual(tmp_path / "set", page(shape(), path=path)), " is expected")
    assert error.where == tmp_path / "set" / "a.json"


@pytest.mark.parametrize(
    ("path", "image"),
    [
        ("..\\images\\a.png", "a.png"),
        ("/home/x/photos/a.png", "photos/a.png"),
        ("C:\\x\\a.png", "deep/er/a.png"),
        ("file:///x/my%20a.png", "my a.png"),
        ("A.PNG", "other/a.png"),
    ],
)
def test_images_that_were_moved_are_found_and_noted(tmp_path: Path, path: str, image: str) -> None:
    data = read(lay(tmp_path, {"json/q.json": page(shape(), path=path), image: IMAGE}))
    assert [sample.id for sample in data] == [image]
    (note,) = [note for note in data.notes if note.startswith("1 image ")]
    assert f"read as {image}" in note
    assert data.skipped == ()


def test_two_images_of_one_name_are_not_guessed(tmp_path: Path) -> None:
    lay(usual(tmp_path, page(shape())), {"one/b.png": IMAGE, "two/b.png": IMAGE})
    lay(tmp_path, {"q.json": page(shape(), path="/x/b.png")})
    assert [sample.id for sample in read(tmp_path)] == ["a.png"]
    reason = skipped(read(tmp_path))["x/b.png"]
    assert reason == "there is no such file, and several have its name: one/b.png and two/b.png"


def test_folders_may_be_anywhere_in_the_paths(tmp_path: Path) -> None:
    for split, stem in (("train", "a"), ("dev", "b")):
        path = f"../../images/{split}/{stem}.png"
        lay(tmp_path / "both", {f"labels/{split}/{stem}.json": page(shape(), path=path)})
        lay(tmp_path / "both", {f"images/{split}/{stem}.png": IMAGE})
        path = f"../../images/{stem}.png"
        lay(tmp_path / "flat", {f"labels/{split}/{stem}.json": page(shape(), path=path)})
        lay(tmp_path / "flat", {f"images/{stem}.png": IMAGE})
    for root in ("both", "flat"):
        data = read(tmp_path / root)
        assert {Path(sample.id).stem: sample.split for sample in data} == {
            "a": "train",
            "b": "valid",
        }
        assert (data.notes, data.skipped) == ((), ())


def test_links_are_followed_and_folders_read_once(tmp_path: Path) -> None:
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


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, page(shape())),
        {
            "alone.png": IMAGE,
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
    lay(tmp_path, {f"{odd}.json": "", f"{odd}.png": IMAGE})
    data = read(tmp_path)
    assert [sample.id for sample in data] == ["a.png"]
    assert data.classes == ("cat",)
    assert skipped(data) == {
        "alone.png": "it has no JSON file",
        "gone.png": "there is no such file",
        "empty.png": "the file is empty (0 bytes)",
        "x" * 300: "the file cannot be opened (File name too long)",
        "other.json": "another JSON file: it has no shapes",
        "list.json": "another JSON file: it has no shapes",
        "notes.txt": "it is neither an image nor a JSON file",
        "sub/classes.txt": "it is neither an image nor a JSON file",
        "\\udcff.json": "the name is not valid UTF-8",
        "\\udcff.png": "the name is not valid UTF-8",
    }


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(box(), path="./a.png")})
    error = refused(tmp_path, "one JSON file per image is expected, 'a.png' has a.json too")
    assert error.where == tmp_path / "b.json"


def test_groups_and_times_are_read(tmp_path: Path) -> None:
    lay(
        usual(tmp_path, page(shape(), group="p 1", time=9)),
        {"b.json": page(shape(), path="b.png"), "b.png": IMAGE},
    )
    assert [(sample.group, sample.time) for sample in read(tmp_path)] == [
        ("p 1", "9"),
        (None, None),
    ]


# --- embedded images


def test_an_embedded_image_replaces_a_missing_one(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "a.json": page(shape(), imageData=packed(png(9))),
            "a.png": IMAGE,
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
    assert data.notes == ("missing images, read from their JSON file: 2",)
    assert data.skipped == ()
    assert data[1].source.examine()[0].shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("first", ["a", "z"])
def test_an_image_of_the_same_name_elsewhere_is_not_taken_for_the_embedded_one(
    tmp_path: Path, first: str
) -> None:
    lay(tmp_path, {f"{first}/1.json": page(shape(), path="1.png", imageData=packed(png(5)))})
    lay(tmp_path, {"m/1.json": page(box(), path="1.png"), "m/1.png": png(9)})
    data = read(tmp_path)
    assert {sample.id: int(sample.source.read().max()) for sample in data} == {
        f"{first}/1.png": 5,
        "m/1.png": 9,
    }
    assert "missing images, read from their JSON file: 1" in data.notes


@pytest.mark.parametrize(
    "inner",
    ["", "!!!", "é", "AAA", packed(b"no image"), packed(IMAGE[:40]), packed(IMAGE)[:-40]],
)
def test_an_invalid_embedded_image_is_a_bad_image(tmp_path: Path, inner: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=inner)}))
    with pytest.raises(BadImage) as caught:
        data[0].source.read()
    assert caught.value.where == tmp_path / "a.json"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"imageData": null}', '{"imageData": 5}', "{", ""]
)
def test_a_file_that_changed_is_a_bad_image(tmp_path: Path, content: str) -> None:
    data = read(lay(tmp_path, {"a.json": page(shape(), imageData=packed(IMAGE))}))
    lay(tmp_path, {"a.json": content})
    with pytest.raises(BadImage, match="an image in base64 is expected as imageData"):
        data[0].source.read()
    (tmp_path / "a.json").unlink()
    with pytest.raises(BadImage, match="there is no such file"):
        data[0].source.read()


@pytest.mark.parametrize("inner", [None, 5, [], ...])
def test_missing_images_are_skipped(tmp_path: Path, inner: object) -> None:
    lay(usual(tmp_path, page(shape())), {"b.json": page(shape(), path="b.png", imageData=inner)})
    assert skipped(read(tmp_path)) == {"b.png": "there is no such file"}
