"""Loading a dataset, a path or a name; and errors if no format fits, or several do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate import formats
from foveate.datasets.load import load
from foveate.errors import RunError, SettingError
from helpers.load_files import lay, refused


def test_a_dataset_is_returned_as_it_is(tmp_path: Path) -> None:
    data = load(lay(tmp_path, "a/1.png", "b/2.png"))
    assert load(data) is data


def test_a_path_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "set", "a/1.png", "b/2.png")
    monkeypatch.chdir(tmp_path / "set" / "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("..", "../../set", str(tmp_path / "set"), "~/set", tmp_path / "set/"):
        data = load(path)
        assert (data.name, data.origin) == ("set", tmp_path / "set")
    monkeypatch.chdir(tmp_path / "set")
    assert load(".").name == "set"


def test_what_is_not_there(tmp_path: Path) -> None:
    lay(tmp_path / "flowers", "a/1.png", "b/2.png")
    refused(tmp_path / "flower", "flower", "no such path", "'flowers'", "digits")
    refused(tmp_path / "FLOWRES", "'flowers'")
    refused("digit", "did you mean 'digits'")
    refused("~nobody-is-called-so/x", "no such path")
    refused("", "got nothing")
    refused(" ", "got nothing")
    refused(tmp_path / "a\0b", "no such path")
    refused(tmp_path / ("x" * 300))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "a link that leads nowhere")


def test_what_is_no_data(tmp_path: Path) -> None:
    for data, found in (
        (
            lay(tmp_path / "flat", "1.png", "2.png", "3.jpg", "x"),
            ["2 .png, 1 .jpg, 1 without a suffix; folders: none", "folder: images", "1.png"],
        ),
        (lay(tmp_path / "bare", "a/x.txt", "b/x.txt"), ["folders: a/, b/"]),
        (
            lay(tmp_path / "kaggle", "train/1.png", "test/2.png"),
            ["folders: test/, train/", "folder: images are found, such as test/2.png"],
        ),
        (lay(tmp_path, "one.png") / "one.png", ["a single file (one.png)"]),
        (lay(tmp_path, "set.tar.gz") / "set.tar.gz", ["Unpack set.tar.gz and give its folder"]),
        (lay(tmp_path / "packed", "README.md", "set.zip"), ["Unpack set.zip"]),
    ):
        error = refused(data, "no known format fits", *found)
        assert error.where == data
        assert len(str(error).splitlines()) <= 5


def test_an_empty_folder(tmp_path: Path) -> None:
    for inside in ("empty", "folders/cat", "folders/dog/.git"):
        (tmp_path / inside).mkdir(parents=True)
    for data, found in (
        (tmp_path / "empty", "an empty folder"),
        (lay(tmp_path / "hidden", ".DS_Store", "__MACOSX/a/1.png"), "an empty folder"),
        (tmp_path / "folders", "no file in it or in its folders (cat/, dog/)"),
    ):
        error = refused(data, f"images with labels are expected, found {found}", "foveate formats")
        assert error.where == data
        assert len(str(error).splitlines()) == 2


def test_folders_of_images_and_annotations_are_no_classes(tmp_path: Path) -> None:
    lay(tmp_path, "images/1.png", "pictures_2/2.png")
    refused(tmp_path, "images/ and pictures_2/ are named like folders of images or annotations")
    refused(tmp_path, "found images/ and pictures_2/", format="folder")


def test_what_looks_like_several_formats(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "list.csv").write_text("path,label\na/1.png,x\nb/2.png,y\n")
    data = load(tmp_path)
    assert (data.format, data.classes) == ("csv", ("x", "y"))  # folders are the weakest evidence
    assert "--format folder" in data.notes[0]
    assert load(tmp_path, format="folder").classes == ("a", "b")
    assert load(tmp_path, task="classification").format == "csv"
    assert load(tmp_path, format="csv").classes == ("x", "y")
    assert load(tmp_path, format="folder").classes == ("a", "b")
    with pytest.raises(SettingError, match="did you mean 'csv'"):
        load(tmp_path, format="cvs")


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    lay(Path(odd), "a/1.png", "b/2.png")
    refused(odd, "valid UTF-8")


def test_permission_denied(tmp_path: Path) -> None:
    lay(tmp_path / "shut" / "set", "a/1.png", "b/2.png")
    data = load(tmp_path / "shut" / "set")
    (tmp_path / "shut").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # the superuser may read everything, so be nobody for a while
    try:
        refused(tmp_path / "shut", "ermission denied", format="folder")
        refused(tmp_path / "shut" / "set", "ermission denied")
        with pytest.raises(RunError, match=r"cannot be used .*denied"):
            formats.find_writer("csv").write(data, tmp_path / "shut" / "new")
    finally:
        os.seteuid(me)
        (tmp_path / "shut").chmod(0o700)


def test_a_task_that_the_data_cannot_serve_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    for data in (tmp_path, "digits"):
        assert load(data, task="classification").task == "classification"
        assert load(data, task="text_to_image").task == "classification"  # it can serve that
        for task in ("detection", "classificatoin"):
            with pytest.raises(SettingError, match=f"not '{task}'"):
                load(data, task=task)
