"""One folder per class: what is read, skipped with a reason, and refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from foveate.datasets.load import load
from foveate.errors import BadImage
from helpers.load_files import PICTURE, ids, lay, names, refused, skipped


def test_a_folder_per_class(tmp_path: Path) -> None:
    data = load(
        lay(
            tmp_path / "pets",
            "dog/2.PNG",
            "dog/1.png",
            "cat/deep/er/3.png",
            "cat/4.jpeg",
            "Owl/5.webp",
        )
    )
    assert ids(data) == ["Owl/5.webp", "cat/4.jpeg", "cat/deep/er/3.png", "dog/1.png", "dog/2.PNG"]
    assert data.classes == ("Owl", "cat", "dog")
    assert names(data) == ["Owl", "cat", "cat", "dog", "dog"]
    assert (data.name, data.task, data.origin) == ("pets", "classification", tmp_path / "pets")
    assert {sample.split for sample in data} == {None}
    assert data.hflip_safe is None
    assert skipped(data) == {}
    assert data[3].source.read().shape == (3, 4, 1)
    assert load(data.origin) == data


@pytest.mark.parametrize(
    "words",
    [("train", "valid", "test"), ("Training", "val", "TESTING"), ("train", "Validation", "test")],
)
def test_splits_above_the_classes(tmp_path: Path, words: tuple[str, str, str]) -> None:
    train, valid, test = words
    lay(tmp_path, f"{train}/a/1.png", f"{train}/b/2.png", f"{valid}/a/3.png", f"{test}/c/4.png")
    data = load(tmp_path)
    assert data.classes == ("a", "b", "c")
    assert {sample.id: sample.split for sample in data} == {
        f"{train}/a/1.png": "train",
        f"{train}/b/2.png": "train",
        f"{valid}/a/3.png": "valid",
        f"{test}/c/4.png": "test",
    }


def test_a_split_alone_and_two_words_for_one(tmp_path: Path) -> None:
    assert {
        sample.split for sample in load(lay(tmp_path / "one", "train/a/1.png", "train/b/2.png"))
    } == {"train"}
    both = load(lay(tmp_path / "two", "val/a/1.png", "valid/b/1.png"))
    assert {sample.split for sample in both} == {"valid"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = load(lay(tmp_path, "car/1.png", "train/steam/2.png", "train/3.png"))
    assert data.classes == ("car", "train")
    assert len(data) == 3


def test_splits_beside_classes_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "test/b/2.png", "extra/3.png")
    refused(tmp_path, "split folders or class folders", "test, train; extra")


def test_what_lies_in_no_class_is_listed(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "train/a/1.png",
        "train/b/2.png",
        "train/stray.png",
        "test/9.png",
        "above.png",
        "README.md",
    )
    assert skipped(load(tmp_path)) == dict.fromkeys(
        ["above.png", "train/stray.png", "test/9.png"], "it lies in no class folder"
    )


def test_what_cannot_be_an_image_is_listed_with_its_reason(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "a/1.png",
        "b/2.png",
        "a/.DS_Store",
        "a/Thumbs.db",
        "b/.hidden/3.png",
        "__MACOSX/a/4.png",
    )
    lay(tmp_path, "a/notes.txt", "a/noending")
    lay(tmp_path, "b/empty.png", content=b"")
    (tmp_path / "void").mkdir()
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "loop.png").symlink_to(tmp_path / "a" / "loop.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    data = load(tmp_path)
    assert ids(data) == ["a/1.png", "b/2.png"]
    assert data.classes == ("a", "b")
    reasons = skipped(data)
    assert set(reasons) == {
        *("a/notes.txt", "a/noending", "a/gone.png", "a/loop.png"),
        *("b/empty.png", "b/pipe.png", "void/"),
    }
    assert "suffix" in reasons["a/notes.txt"]
    assert "suffix" in reasons["a/noending"]
    assert "0 bytes" in reasons["b/empty.png"]
    assert "leads to no file" in reasons["a/gone.png"]
    assert "links" in reasons["a/loop.png"]
    assert "device" in reasons["b/pipe.png"]
    assert "has no images" in reasons["void/"]


def test_a_broken_image_is_found_when_it_is_decoded(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "3.png").write_bytes(PICTURE[:40])
    with pytest.raises(BadImage, match=r"b/3\.png"):
        load(tmp_path)[2].source.read()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    lay(tmp_path / "set", "a/1.png", "b/2.png")
    lay(tmp_path / "elsewhere", "3.png", "4.png")
    (tmp_path / "set" / "a" / "linked.png").symlink_to(tmp_path / "elsewhere" / "3.png")
    (tmp_path / "set" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "self").symlink_to(tmp_path / "set" / "a")
    (tmp_path / "set" / "b" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "b" / "top").symlink_to("/")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set" / "a")
    data = load(tmp_path / "set")
    assert ids(data) == ["a/1.png", "a/linked.png", "a/more/3.png", "a/more/4.png", "b/2.png"]
    assert set(skipped(data)) == {"a/self/", "a/more/back/", "b/up/", "b/top/"}
    assert set(skipped(data).values()) == {"a link to a folder that is read already"}


def test_odd_names(tmp_path: Path) -> None:
    odd = [
        "-x/-rf.png",
        "a b/c d.png",
        "ünï/日本.png",
        "q\"'/new\nline.png",
        "a.png/b.png",
        "%s/{0}.png",
    ]
    data = load(lay(tmp_path, *odd))
    assert sorted(ids(data)) == sorted(odd)
    assert set(names(data)) == {name.split("/")[0] for name in odd}
    for sample in data:
        assert sample.source.read().shape == (3, 4, 1)


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png", os.fsdecode(b"a/\xff.png"), os.fsdecode(b"\xfe/3.png"))
    data = load(tmp_path)
    assert ids(data) == ["a/1.png", "b/2.png"]
    assert set(skipped(data)) == {"a/\\udcff.png", "\\udcfe/"}
    lay(tmp_path / "other", os.fsdecode(b"\xfe/x.txt"), os.fsdecode(b"x.\xfe"))
    refused(tmp_path / "other", "\\udcfe").message.encode()  # so it can be printed
    for reason in skipped(data).values():
        assert "UTF-8" in reason


def test_too_few_classes(tmp_path: Path) -> None:
    lay(tmp_path, "cat/1.png", "cat/2.png")
    refused(tmp_path, "two classes or more are expected, found one ('cat')")
    lay(tmp_path, "dog/1.txt")
    refused(tmp_path, "found one ('cat')")
    lay(tmp_path / "cat", "1.png", "2.png", content=b"")
    refused(
        tmp_path, "found none that can be used", "cat/1.png: the file is empty", format="folder"
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    lay(tmp_path, "x.csv")
    refused(tmp_path / "x.csv", "this is a file", format="folder")
    refused(tmp_path / "x.csv", "this is a file", format="idx")


def test_the_order_of_classes_may_be_given(tmp_path: Path) -> None:
    lay(tmp_path, "one/1.png", "two/2.png")
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfzero\r\none\r\ntwo\r\n")
    data = load(tmp_path)
    assert data.classes == ("zero", "one", "two")
    assert names(data) == ["one", "two"]
    for text, line, problem in (
        ("one\n", None, "'two' is missing"),
        ("one\n\ntwo\n", 2, "an empty line"),
        ("one\ntwo\none\n", 3, "'one' a second time"),
        ("\udcff", None, "UTF-8"),
    ):
        (tmp_path / "classes.txt").write_text(text, errors="surrogateescape")
        error = refused(tmp_path, problem)
        assert (error.where, error.line) == (tmp_path / "classes.txt", line)


def test_ten_thousand_names_are_read_in_no_time(tmp_path: Path) -> None:
    """Hard links of one file keep the test light; reading does not open files."""
    lay(tmp_path, "source.png")
    for group in range(20):
        (tmp_path / "set" / f"{group:02d}").mkdir(parents=True)
        for number in range(500):
            os.link(tmp_path / "source.png", tmp_path / "set" / f"{group:02d}" / f"{number}.png")
    start = time.process_time()
    assert len(load(tmp_path / "set")) == 10_000
    assert (
        time.process_time() - start < 2
    )  # a sixth of this here: room for slow disks and busy machines


@pytest.mark.parametrize("line", ["{stem}.png", "{stem}", "{stem}.png 3", "./{stem}.png 0"])
def test_lists_beside_the_class_folders_give_the_splits(tmp_path: Path, line: str) -> None:
    stems = [f"{name}/{number}" for name in ("a", "b") for number in range(3)]
    lay(tmp_path, *(f"{stem}.png" for stem in stems))
    for split, chosen in (("train", stems[:2] + stems[3:5]), ("val", stems[2:3])):
        text = "".join(f"{line.format(stem=stem)}\n" for stem in chosen)
        (tmp_path / f"{split}.txt").write_text(text)
    data = load(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "a/0.png": "train", "a/1.png": "train", "a/2.png": "valid",
        "b/0.png": "train", "b/1.png": "train", "b/2.png": None,
    }  # fmt: skip
    assert data.notes == (
        "the splits are those of the lists of images beside the class folders; 1 image in none of "
        "them",
    )


def test_texts_beside_the_class_folders_are_no_lists(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "test.txt").write_text("This is a test.\nNothing more.\n")
    data = load(tmp_path)
    assert [sample.split for sample in data] == [None, None]
    assert data.notes == ()
