"""Folders, tables and IDX files as people have them: what is read, what is skipped and why, what is refused
and how.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.data import formats
from foveate.data.dataset import Dataset
from foveate.data.load import load
from foveate.errors import BadPicture, DataError, FoveateError, SettingError


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (4, 3), shade).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()


def lay(root: Path, *files: str, content: bytes = PICTURE) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
    return root


def ids(dataset: Dataset) -> list[str]:
    return [sample.id for sample in dataset]


def names(dataset: Dataset) -> list[str]:
    return [dataset.classes[sample.truth.index] for sample in dataset]


def skipped(dataset: Dataset) -> dict[str, str]:
    return {one.id: one.reason for one in dataset.skipped}


def refused(path: Path | str, *words: str, format: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, format=format)
    for word in words:
        assert word in str(caught.value)
    return caught.value


# --- what to load ---------------------------------------------------------------------------------


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
    (tmp_path / "empty").mkdir()
    for data, found in (
        (tmp_path / "empty", "an empty folder"),
        (lay(tmp_path / "hidden", ".DS_Store", "__MACOSX/a/1.png"), "an empty folder"),
        (
            lay(tmp_path / "flat", "1.png", "2.png", "3.jpg", "x"),
            "2 of .png, 1 of .jpg, 1 of no ending; folders: none",
        ),
        (lay(tmp_path / "bare", "a/x.txt", "b/x.txt"), "folders: a/, b/"),
        (lay(tmp_path / "kaggle", "train/1.png", "test/2.png"), "folders: test/, train/"),
        (lay(tmp_path / "yolo", "images/train/1.png", "labels/train/1.txt"), "folders: images/, labels/"),
        (lay(tmp_path, "one.png") / "one.png", "a single file (one.png)"),
        (lay(tmp_path, "set.tar.gz") / "set.tar.gz", "unpack it"),
    ):
        error = refused(data, "no known format fits", found, "cat/1.jpg", "path,label", "idx3-ubyte")
        assert error.where == data


def test_what_looks_like_several_formats(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "list.csv").write_text("path,label\na/1.png,x\nb/2.png,y\n")
    refused(tmp_path, "several formats: folder and csv", "--format")
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
        with pytest.raises(DataError, match=r"cannot be written .*denied"):
            formats.find("csv").write(data, tmp_path / "shut" / "new")
    finally:
        os.seteuid(me)
        (tmp_path / "shut").chmod(0o700)


# --- a folder per class ---------------------------------------------------------------------------


def test_a_folder_per_class(tmp_path: Path) -> None:
    data = load(lay(tmp_path / "pets", "dog/2.PNG", "dog/1.png", "cat/deep/er/3.png", "cat/4.jpeg", "Owl/5.webp"))
    assert ids(data) == ["Owl/5.webp", "cat/4.jpeg", "cat/deep/er/3.png", "dog/1.png", "dog/2.PNG"]
    assert data.classes == ("Owl", "cat", "dog")
    assert names(data) == ["Owl", "cat", "cat", "dog", "dog"]
    assert (data.name, data.task, data.origin) == ("pets", "classification", tmp_path / "pets")
    assert {sample.part for sample in data} == {None}
    assert data.symmetric is None
    assert skipped(data) == {}
    assert data[3].source.read().shape == (3, 4, 1)
    assert load(data.origin) == data


@pytest.mark.parametrize(
    "words", [("train", "valid", "test"), ("Training", "val", "TESTING"), ("train", "Validation", "test")]
)
def test_parts_above_the_classes(tmp_path: Path, words: tuple[str, str, str]) -> None:
    train, valid, test = words
    lay(tmp_path, f"{train}/a/1.png", f"{train}/b/2.png", f"{valid}/a/3.png", f"{test}/c/4.png")
    data = load(tmp_path)
    assert data.classes == ("a", "b", "c")
    assert {sample.id: sample.part for sample in data} == {
        f"{train}/a/1.png": "train",
        f"{train}/b/2.png": "train",
        f"{valid}/a/3.png": "valid",
        f"{test}/c/4.png": "test",
    }


def test_a_part_alone_and_two_words_for_one(tmp_path: Path) -> None:
    assert {sample.part for sample in load(lay(tmp_path / "one", "train/a/1.png", "train/b/2.png"))} == {"train"}
    both = load(lay(tmp_path / "two", "val/a/1.png", "valid/b/1.png"))
    assert {sample.part for sample in both} == {"valid"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = load(lay(tmp_path, "car/1.png", "train/steam/2.png", "train/3.png"))
    assert data.classes == ("car", "train")
    assert len(data) == 3


def test_parts_beside_classes_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "test/b/2.png", "extra/3.png")
    refused(tmp_path, "parts or classes", "test, train; extra")


def test_what_lies_in_no_class_is_listed(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "train/b/2.png", "train/stray.png", "test/9.png", "above.png", "README.md")
    assert skipped(load(tmp_path)) == dict.fromkeys(
        ["above.png", "train/stray.png", "test/9.png"], "lies in no class folder"
    )


def test_what_cannot_be_a_picture_is_listed_with_its_reason(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png", "a/.DS_Store", "a/Thumbs.db", "b/.hidden/3.png", "__MACOSX/a/4.png")
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
    assert "ending" in reasons["a/notes.txt"]
    assert "ending" in reasons["a/noending"]
    assert "0 bytes" in reasons["b/empty.png"]
    assert "not there" in reasons["a/gone.png"]
    assert "links" in reasons["a/loop.png"]
    assert "device" in reasons["b/pipe.png"]
    assert "without pictures" in reasons["void/"]


def test_a_broken_picture_is_found_when_it_is_decoded(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "3.png").write_bytes(PICTURE[:40])
    with pytest.raises(BadPicture, match=r"b/3\.png"):
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
    odd = ["-x/-rf.png", "a b/c d.png", "ünï/日本.png", "q\"'/new\nline.png", "a.png/b.png", "%s/{0}.png"]
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
    refused(tmp_path, "found none that can be used", "cat/1.png: the file is empty", format="folder")


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
    """One file under many names (hard links) keeps the test light; reading does not look into files."""
    lay(tmp_path, "source.png")
    for group in range(20):
        (tmp_path / "set" / f"{group:02d}").mkdir(parents=True)
        for number in range(500):
            os.link(tmp_path / "source.png", tmp_path / "set" / f"{group:02d}" / f"{number}.png")
    start = time.perf_counter()
    assert len(load(tmp_path / "set")) == 10_000
    assert time.perf_counter() - start < 2  # a sixth of this here: room for slow disks and busy machines


# --- tables ---------------------------------------------------------------------------------------


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
    assert [sample.part for sample in data] == ["train", "valid", None]
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


def test_paths_from_the_root(tmp_path: Path) -> None:
    lay(tmp_path / "far", "a.png", "b.png")
    path = table(tmp_path / "near", f"path,label\n{tmp_path}/far/a.png,x\n{tmp_path}/far/b.png,y\n")
    assert ids(load(path)) == [f"{tmp_path}/far/a.png", f"{tmp_path}/far/b.png"]
    assert load(path)[0].source.read().shape == (3, 4, 1)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, ["column for the path", "the header has nothing", "filename"]),
        ("img/0.png,cat\n", 1, ["column for the path", "img/0.png, cat"]),
        ("path,kind\nimg/0.png,cat\n", 1, ["column for the label", "path, kind"]),
        ("path,file,label\n", 1, ["one column is expected for the path", "path, file"]),
        ("path,label\nimg/0.png,cat\nimg/1.png\n", 3, ["2 fields", "got 1"]),
        ("path,label\nimg/0.png,cat,dog\n", 2, ["2 fields", "got 3"]),
        ("path,label\nimg/0.png,cat\nimg/1.png,\n", 3, ["a label is expected"]),
        ("path,label\nimg/0.png,cat\n,dog\n", 3, ["a path is expected"]),
        ("path,label,split\nimg/0.png,cat,dev\n", 2, ["as the split", "'dev'", "train, training, valid"]),
        ("path,label\nimg/0.png,cat\nimg/1.png,dog\nimg/0.png,dog\n", 4, ["'cat' on line 2", "'dog' here"]),
        ("path,label,set\nimg/0.png,cat,train\nimg/./0.png,cat,test\n", 3, ["one part", "'train' on line 2"]),
        ("path,label\n../secret.png,cat\n", 2, ["leaves it", "../secret.png"]),
        ("path,label\nimg/../../x.png,cat\n", 2, ["leaves it"]),
        ("path,label\nimg\\..\\..\\x.png,cat\n", 2, ["leaves it"]),
        ('path,label\nimg/0.png,cat\n"img/1.png,dog\nimg/2.png,dog\n', 4, ["quotation mark"]),
        ("path,label\nimg/0.png," + "x" * 200_000 + "\n", 2, ["field larger"]),
        (b"path,label\nimg/0.png,cat\nimg/1.png,d\0g\n", 3, ["a byte of value 0"]),
        (b"path,label\nimg/0.png,cat\nimg/1.png,caf\xe9\n", 3, ["UTF-8"]),
        ("path,label\nimg/0.png,cat\n".encode("utf-16"), 1, ["UTF-8"]),
        (PICTURE, 1, ["UTF-8"]),
    ],
)
def test_rows_that_cannot_be_understood(tmp_path: Path, text: str | bytes, line: int, words: list[str]) -> None:
    path = table(tmp_path, text)
    error = refused(path, *words)
    assert (error.where, error.line) == (path, line)


def test_pictures_that_are_not_there_are_listed(tmp_path: Path) -> None:
    rows = ["img/0.png,cat", "img/1.png,dog", "img/9.png,dog", "img,cat", "img/1.png,dog", "img/0.png/x,cat"]
    lay(tmp_path, "img/8.png", content=b"")
    data = load(table(tmp_path, "path,label\n" + "\n".join([*rows, "img/8.png,cat", f"{'y' * 300}.png,cat"])))
    assert ids(data) == ["img/0.png", "img/1.png"]
    reasons = skipped(data)
    assert len(reasons) == 6
    assert "no such file" in reasons["img/9.png"]
    assert "folder" in reasons["img"]
    assert reasons["img/1.png"] == "line 6 repeats line 3"
    assert "Not a directory" in reasons["img/0.png/x"]
    assert "0 bytes" in reasons["img/8.png"]
    assert "too long" in reasons["y" * 300 + ".png"]
    refused(
        table(tmp_path, "path,label\nimg/7.png,cat\n"),
        "none that can be used",
        "img/7.png: there is no such file",
    )
    refused(table(tmp_path, "path,label\n"), "pictures are expected, found none")
    refused(table(tmp_path, "path,label\nimg/0.png,cat\n"), "found one ('cat')")


def test_which_table_of_a_folder(tmp_path: Path) -> None:
    good = "path,label\nimg/0.png,cat\nimg/1.png,dog\n"
    table(tmp_path, "picture,label\nimg/0.png,cat\n")
    refused(tmp_path, "list.csv:1", "column for the path")
    table(tmp_path, good)
    assert len(load(tmp_path)) == 2
    table(tmp_path, good, "other.tsv")
    refused(tmp_path, "no known format fits")
    refused(tmp_path, "one CSV file is expected in the folder, found 2", format="csv")
    assert len(load(tmp_path / "other.tsv")) == 2


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.text(alphabet='path,label\n"\r;\t.\\/ 0imgé\0', max_size=120) | st.binary(max_size=80))
def test_any_table_is_data_or_one_error(tmp_path: Path, body: str | bytes) -> None:
    text = body.encode() if isinstance(body, str) else body
    path = table(tmp_path, b"path,label\n" + text)
    try:
        data = load(path)
    except FoveateError:
        return
    assert len(data) >= 2


# --- IDX ------------------------------------------------------------------------------------------


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    """Made by hand from the format's description, apart from the writer."""
    return struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([0, 1, 3, 1, 0, 1], np.uint8)


def mnist(folder: Path, zipped: bool = False, infix: str = "-", **changed: bytes) -> Path:
    """Six pictures to learn from and two to test with. changed: the content of single files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "train_images": ("train-images", "idx3", idx(IMAGES)),
        "train_labels": ("train-labels", "idx1", idx(LABELS)),
        "test_images": ("t10k-images", "idx3", idx(IMAGES[:2])),
        "test_labels": ("t10k-labels", "idx1", idx(LABELS[:2])),
    }
    for key, (name, rank, data) in files.items():
        data = changed.get(key, data)
        file = folder / f"{name}{infix}{rank}-ubyte{'.gz' if zipped else ''}"
        file.write_bytes(gzip.compress(data) if zipped and key not in changed else data)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("infix", ["-", "."])
def test_idx(tmp_path: Path, zipped: bool, infix: str) -> None:
    data = load(mnist(tmp_path / "m", zipped, infix))
    assert data.classes == ("0", "1", "2", "3")
    assert ids(data)[::5] == ["train/00000", "train/00005"]
    assert ids(data)[6:] == ["test/00000", "test/00001"]
    assert [sample.truth.index for sample in data] == [*LABELS, *LABELS[:2]]
    assert [sample.part for sample in data] == ["train"] * 6 + ["test"] * 2
    for sample, image in zip(data, [*IMAGES, *IMAGES[:2]], strict=True):
        assert np.array_equal(sample.source.read(), image[..., None])
    assert data[0].source.rows is data[5].source.rows  # one array, not many
    assert data.origin == tmp_path / "m"
    assert ids(load(data.origin)) == ids(data)


def test_idx_in_colour_and_with_names(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    (tmp_path / "train-images-idx4-ubyte").write_bytes(idx(colour))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:2]))
    (tmp_path / "classes.txt").write_text("T-shirt/top\nTrouser\nBag\n")
    data = load(tmp_path)
    assert data.classes == ("T-shirt/top", "Trouser", "Bag")
    assert np.array_equal(data[1].source.read(), colour[1])
    (tmp_path / "classes.txt").write_text("T-shirt/top\n")
    assert "label 1" in refused(tmp_path, "got 1").message


def test_an_unpacked_file_is_taken_before_its_packed_twin(tmp_path: Path) -> None:
    mnist(mnist(tmp_path), zipped=True, train_images=b"not even gzip")
    assert len(load(tmp_path)) == 8


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"train_images": b""}, "train-images", ["00000803", "nothing"]),
        ({"train_images": idx(IMAGES)[:9]}, "train-images", ["within its header"]),
        ({"train_images": idx(IMAGES)[:-1]}, "train-images", ["120 values are expected"]),
        ({"train_images": idx(IMAGES) + b"x"}, "train-images", ["120 values are expected", "got more"]),
        ({"train_images": idx(LABELS)}, "train-images", ["00000803", "got 00000801"]),
        ({"train_images": idx(IMAGES.astype(">f4"), 13)}, "train-images", ["got 00000d03"]),
        ({"test_labels": PICTURE}, "t10k-labels", ["00000801", "got 89504e47"]),
        ({"test_labels": idx(LABELS)}, "t10k-labels", ["6 labels and 2 pictures"]),
        ({"train_images": idx(IMAGES[:, :0])}, "train-images", ["with an area"]),
        ({"train_images": struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 9)}, "train-images", ["too short"]),
    ],
)
def test_idx_files_that_lie(
    tmp_path: Path, zipped: bool, changed: dict[str, bytes], name: str, words: list[str]
) -> None:
    packed = {key: gzip.compress(data) if zipped else data for key, data in changed.items()}
    mnist(tmp_path, zipped, **packed)
    error = refused(tmp_path, *words)
    assert name in Path(str(error.where)).name


def test_two_files_for_one(tmp_path: Path) -> None:
    mnist(mnist(tmp_path), infix=".")
    refused(tmp_path, "one file is expected, found t10k-images-idx3-ubyte and t10k-images.idx3-ubyte")


def test_gzip_that_lies(tmp_path: Path) -> None:
    good = gzip.compress(idx(IMAGES))
    flipped = bytes([*good[:-8], good[-8] ^ 1, *good[-7:]])
    for damaged, words in ((good[:-20], "cut short"), (b"\0" * 30, "damaged"), (flipped, "damaged")):
        mnist(tmp_path, zipped=True, train_images=damaged)
        refused(tmp_path, words, "train-images")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """100 MB of zeros behind a header that announces 120 values: nothing is read beyond those."""
    bomb = gzip.compress(idx(IMAGES) + bytes(100_000_000), compresslevel=1)
    mnist(tmp_path, zipped=True, train_images=bomb)
    tracemalloc.start()
    refused(tmp_path, "got more")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_idx_files_come_in_pairs(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "t10k-labels-idx1-ubyte is expected beside t10k-images-idx3-ubyte")
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert len(load(tmp_path)) == 6
    mnist(tmp_path, train_labels=idx(LABELS * 0), test_labels=idx(LABELS[:2] * 0))
    refused(tmp_path, "two classes or more")
    mnist(tmp_path, **{key: idx(IMAGES[:0]) for key in ("train_images", "test_images")})
    refused(tmp_path, "6 labels and 0 pictures")
    refused(lay(tmp_path / "x", "a/1.png"), "found none", format="idx")


def test_seventy_thousand_pictures_in_about_a_second(tmp_path: Path) -> None:
    zeros = np.zeros((60_000, 28, 28), np.uint8)
    labels = (np.arange(60_000) % 10).astype(np.uint8)
    mnist(
        tmp_path,
        zipped=True,
        train_images=gzip.compress(idx(zeros), 1),
        train_labels=gzip.compress(idx(labels), 1),
    )
    start = time.perf_counter()
    assert len(load(tmp_path)) == 60_002
    assert time.perf_counter() - start < 2


def test_formats_know_their_files(tmp_path: Path) -> None:
    found = [name for name, format in formats.all().items() if format.sniff(mnist(tmp_path))]
    assert found == ["idx"]
