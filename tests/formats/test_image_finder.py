"""The names in annotation files: where the image is found, and where none is taken."""

from __future__ import annotations

import os
import time
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import splits_of_paths


def lay(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    return root


def find(root: Path, written: str, folder: str = "") -> tuple[str, str | None]:
    finder = ImageFinder(root)
    id = finder.find(written, folder=root / folder, where=root / "labels.json", line=3)
    return id, finder.problem(id)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("images/my cat.jpg", None),
        ("./images//my cat.jpg", None),
        ("images\\my cat.jpg", None),
        ("../{root}/images/my cat.jpg", None),
        ("{top}/images/my cat.jpg", None),  # a full path that is still right
        ("images/my%20cat.jpg", "as a URL"),
        ("file://{top}/images/my%20cat.jpg", "as a URL"),
        (" images/my cat.jpg ", "blanks"),
        ("/data/local-files/?d=images%2Fmy%20cat.jpg", "as a URL"),
        ("data/local-files/?d=set%5Cmy%20cat.jpg", "the end of it"),
        ("https://host.org/some/images/my%20cat.jpg?token=a/b#top", "the end of it"),
        ("s3://bucket/images/my cat.jpg", "the end of it"),
        ("/home/somebody/set/images/my cat.jpg", "the end of it"),
        ("C:\\Users\\Some Body\\images\\my cat.jpg", "the end of it"),
        ("\\\\server\\share\\my cat.jpg", "the end of it"),
        ("../../elsewhere/my cat.jpg", "the end of it"),
        ("images\\1/my cat.jpg", "the end of it"),
        ("my cat.jpg", None),
        ("set/images/my cat.jpg", "the end of it"),
        ("My Cat.JPG", "another way"),
        ("/data/upload/3/0a1b2c3d-my cat.jpg", "Label Studio"),
        ("my cat", "without a suffix"),
    ],
)
def test_an_image_is_found_however_its_name_is_written(
    tmp_path: Path, written: str, kind: str | None
) -> None:
    root = lay(tmp_path / "set", "images/my cat.jpg", "images/2.jpg")
    written = written.format(root=root.name, top=root)
    finder = ImageFinder(root)
    for _ in range(2):
        id = finder.find(written, folder=root, where=root / "x.json")
        assert (id, finder.problem(id)) == ("images/my cat.jpg", None)
    notes = finder.notes()
    assert len(notes) == (kind is not None)
    if kind:
        assert notes[0].startswith("2 images ")
        assert kind in notes[0]
        assert f"(such as {written!r}, read as images/my cat.jpg)" in notes[0]


def test_names_without_folders_are_noted_if_the_images_lie_in_several(tmp_path: Path) -> None:
    finder = ImageFinder(lay(tmp_path, "one/1.jpg", "one/2.jpg", "two/3.jpg"))
    for written, notes in (("1.jpg", 0), ("2.jpg", 0), ("3.jpg", 1)):
        finder.find(written, where=tmp_path / "x.json")
        assert len(finder.notes()) == notes
    assert finder.notes() == [
        "3 images written without a folder, found by the name (such as '1.jpg', read as one/1.jpg)"
    ]


def test_a_name_with_backslashes_or_quoting_is_taken_as_it_is_if_it_is_there(
    tmp_path: Path,
) -> None:
    lay(tmp_path, "a\\b.jpg", "a/b.jpg", "x%20y.jpg", "x y.jpg", "q?d=1.jpg", "1.jpg")
    for name in ("a\\b.jpg", "x%20y.jpg", "q?d=1.jpg"):
        assert find(tmp_path, name) == (name, None)


def test_names_are_relative_to_the_folder_that_the_format_gives(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.jpg", "valid/1.jpg", "valid/2.jpg", "labels/1.txt")
    assert find(tmp_path, "1.jpg", "valid") == ("valid/1.jpg", None)
    assert find(tmp_path, "../train/1.jpg", "valid") == ("train/1.jpg", None)
    assert find(tmp_path, "/x/1.jpg", "valid") == ("valid/1.jpg", None)
    assert find(tmp_path, "valid/2.jpg", "labels") == ("valid/2.jpg", None)


def test_several_images_of_a_name_are_not_found(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.jpg", "b/1.jpg", "b/2.jpg", "c/b/3.jpg", "d/3.jpg")
    for written in ("/home/x/1.jpg", "1.jpg", "1"):
        id, problem = find(tmp_path, written)
        assert problem == "there is no such file, and several have its name: a/1.jpg and b/1.jpg"
        assert not (tmp_path / id).exists()
    assert find(tmp_path, "/home/x/b/1.jpg") == ("b/1.jpg", None)  # the longest end
    assert find(tmp_path, "/home/x/b/3.jpg")[1] is not None  # b/ is there, and has none
    assert find(tmp_path, "/home/c/b/3.jpg") == ("c/b/3.jpg", None)


def test_capitals_count_where_they_tell_images_apart(tmp_path: Path) -> None:
    lay(tmp_path, "x/a.jpg", "x/A.jpg", "x/é.jpg", "x/B.JPG")
    assert find(tmp_path, "a.jpg") == ("x/a.jpg", None)
    assert find(tmp_path, "/y/A.jpg") == ("x/A.jpg", None)
    assert find(tmp_path, "x/b.jpg") == ("x/B.JPG", None)
    assert "several" in str(find(tmp_path, "A.JPG")[1])
    assert find(tmp_path, "e\u0301.jpg") == ("x/é.jpg", None)


def test_a_missing_image_is_not_taken_from_another_folder(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.jpg", "test/2.jpg", "cat/3.jpg", "dog/4.jpg", "5.png")
    for written, folder in [
        ("test/1.jpg", ""),
        ("1.jpg", "test"),  # the same name in another split
        ("/home/x/test/1.jpg", ""),
        ("cat/4.jpg", ""),  # cat/ is there, and has none
        ("/home/x/cat/4.jpg", ""),
    ]:
        id, problem = find(tmp_path, written, folder)
        assert problem
        assert problem.startswith("there is no such file (")
        assert problem.endswith(".jpg has its name, but lies in another folder)")
        assert not (tmp_path / id).exists()
    lay(tmp_path, "one/6.jpg", "two/7.jpg", "labels/6.json")
    assert find(tmp_path, "7.jpg", "one") == (
        "one/7.jpg",
        "there is no such file (two/7.jpg has its name, but lies in another folder)",
    )
    assert find(tmp_path, "7.jpg", "labels") == ("two/7.jpg", None)
    assert find(tmp_path, "5.jpg") == (
        "5.jpg",
        "there is no such file (5.png has another suffix)",
    )


def test_two_paths_are_not_read_as_one_image(tmp_path: Path) -> None:
    """Images of two folders were copied into one, where the second replaced the first."""
    finder = ImageFinder(lay(tmp_path, "1.jpg"))
    where = tmp_path / "labels.json"
    assert finder.find("/home/a/1.jpg", where=where) == "1.jpg"
    assert finder.find("C:/set/home/a/1.jpg", where=where) == "1.jpg"
    with pytest.raises(
        DataError, match=r"'/home/a/1.jpg' and '/home/b/1.jpg'.*only 1.jpg"
    ) as error:
        finder.find("/home/b/1.jpg", where=where, line=7)
    assert (error.value.where, error.value.line) == (where, 7)
    finder = ImageFinder(tmp_path)
    assert finder.find("0a1b2c3d-1.jpg", where=where) == "1.jpg"
    with pytest.raises(DataError, match=r"only 1\.jpg has their name"):
        finder.find("ffffffff-1.jpg", where=where)  # two uploads of this name


def test_what_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "folder.jpg/x", "metadata.csv")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    assert find(tmp_path, "empty.jpg")[1] == "the file is empty (0 bytes)"
    assert find(tmp_path, "link.jpg")[1] == "the link leads to no file"
    assert find(tmp_path, "folder.jpg")[1] == "a file is expected, this is a folder or a device"
    assert "Not a directory" in str(find(tmp_path, "metadata.csv/x")[1])
    assert "too long" in str(find(tmp_path, "x" * 300 + ".jpg")[1])
    finder = ImageFinder(tmp_path)
    finder.find("/home/gone.jpg", where=tmp_path)
    text = str(finder.none_usable([], tmp_path / "x.json"))
    assert "written: '/home/gone.jpg'" in text
    assert "1 image lies, such as images/a.jpg" in text
    finder = ImageFinder(tmp_path / "folder.jpg")
    finder.find("gone.jpg", where=tmp_path)
    assert "lie no images" in str(finder.none_usable([], tmp_path))


@pytest.mark.parametrize(
    "written", ["", " ", ".", "../..", "a\0b", "\ud800.jpg", "data:image/png;base64,AAAA"]
)
def test_what_is_no_path_is_refused_with_its_line(tmp_path: Path, written: str) -> None:
    with pytest.raises(DataError, match="the path of an image is expected") as error:
        find(tmp_path, written)
    assert error.value.line == 3


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    lay(tmp_path, "secret.jpg", "set-2/a.jpg", "set/b.jpg")
    root = tmp_path / "set"
    for written in (
        f"{tmp_path}/secret.jpg", "../secret.jpg", f"file://{tmp_path}/secret.jpg",
        "..%2Fsecret.jpg", "?d=..%2Fsecret.jpg", "../set-2/a.jpg", f"{tmp_path}/set-2/a.jpg",
        "sub/../../secret.jpg", "..\\secret.jpg",
    ):  # fmt: skip
        id, problem = find(root, written)
        assert problem == "there is no such file"
        assert os.path.normpath(root / id).startswith(f"{root}/")
        assert not (root / id).exists()


_NAMES = st.sampled_from(
    ["a", "b.jpg", "A", "..", ".", "", "train", "test", "c%2Fb.jpg", "C:", "é"]
)
_PATHS = st.builds(
    "".join,
    st.lists(st.one_of(_NAMES, st.sampled_from(["/", "\\", "%2F", "?d=", "#", "//", "file://"]))),
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=1500)
@given(written=st.one_of(_PATHS, st.text()), folder=st.sampled_from(["", "a", "train"]))
def test_any_name_stays_within_the_folder(tmp_path: Path, written: str, folder: str) -> None:
    root = tmp_path / "set"
    if not root.exists():
        lay(tmp_path, "b.jpg", "a/b.jpg", "test/b.jpg", "set/train/b.jpg", "set/a/test/x.jpg")
        lay(root, "a/A/b.jpg")
    try:
        id, problem = find(root, written, folder)
    except DataError:
        return
    assert os.path.normpath(root / id).startswith(f"{root}/")
    assert (problem is None) == os.path.isfile(root / id)  # noqa: PTH113  Path's raises


@pytest.mark.slow
def test_many_images_are_found_quickly(tmp_path: Path) -> None:
    names = [f"{number:06d}.jpg" for number in range(20_000)]
    lay(tmp_path, *(f"images/{name}" for name in names))
    for prefix in ("", "D:\\set\\images\\"):
        finder, start = ImageFinder(tmp_path), time.process_time()
        for name in names:
            id = finder.find(prefix + name, folder=tmp_path / "images", where=tmp_path)
            assert id == f"images/{name}"
        assert time.process_time() - start < 12


def test_splits_stand_in_the_paths_of_all_images_or_of_none() -> None:
    assert splits_of_paths([]) == ([], [])
    assert splits_of_paths(["train.jpg", "a test/1.jpg"]) == ([None, None], [])
    splits, notes = splits_of_paths(
        ["images/train/1.jpg", "images/dev/1.jpg", "images/train/2.jpg"]
    )
    assert splits == ["train", "valid", "train"]
    assert notes == [
        "the splits are those of the folders in the paths: train/ (2), dev/ (1)",
    ]
    assert splits_of_paths(["a/test/1.jpg", "b/test/2.jpg"]) == (
        [None, None],
        ["all images lie in test/, which is not read as a split, since none is train"],
    )
    splits, notes = splits_of_paths(["train/1.jpg", "more/1.jpg", "2.jpg"])
    assert splits == [None] * 3
    assert notes == [
        "the folder train/ is not read as a split, since 2 images of the 3 lie in no folder of a "
        "split"
    ]


@pytest.mark.parametrize("written", ["1.jpg", "x/1.jpg", "1"])
def test_the_split_decides_between_images_of_one_name(tmp_path: Path, written: str) -> None:
    lay(tmp_path, *(f"{folder}/1.jpg" for folder in ("train", "set/val2017", "test", "old")))
    finder = ImageFinder(tmp_path)
    table = tmp_path / "labels.csv"
    for split, id in (("train", "train/1.jpg"), ("valid", "set/val2017/1.jpg")):
        assert finder.find(written, split=split, where=table) == id
    (note,) = finder.notes()
    assert "2 images written without the folder of a split, found in that of the split" in note
    lost = finder.find(written, where=table)
    assert "several have its name" in str(finder.problem(lost))


def test_the_split_does_not_decide_between_images_of_one_split(tmp_path: Path) -> None:
    lay(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg")
    finder = ImageFinder(tmp_path)
    for split in ("train", "valid"):
        id = finder.find("1.jpg", split=split, where=tmp_path / "labels.csv")
        assert "several have its name" in str(finder.problem(id))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("labels.csv", "{id}.png,{word},{split}"),
        ("boxes.csv", "{id}.png,{word},1,2,9,10,{split}"),
        ("captions.csv", "{id}.png,a {word} sits,{split}"),
        ("metadata.jsonl", '{{"file_name": "{id}.png", "label": "{word}", "split": "{split}"}}'),
    ],
)
def test_tables_whose_splits_have_images_of_the_same_names(
    tmp_path: Path, name: str, line: str
) -> None:
    headers = {
        "labels.csv": "file,label,split\n",
        "boxes.csv": "file,class,xmin,ymin,xmax,ymax,split\n",
        "captions.csv": "file,caption,split\n",
    }
    lines = []
    for split in ("train", "test"):
        for id, word in enumerate(("cat", "dog", "cat")):
            (tmp_path / split).mkdir(exist_ok=True)
            PIL.Image.new("L", (20, 20)).save(tmp_path / split / f"{id}.png")
            lines.append(line.format(id=id, word=word, split=split))
    (tmp_path / name).write_text(headers.get(name, "") + "\n".join(lines))
    data = formats.read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        f"{split}/{id}.png": split for split in ("train", "test") for id in range(3)
    }
    assert any("found in that of the split of the row" in note for note in data.notes)
