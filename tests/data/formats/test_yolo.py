"""Sets in YOLO's manner as people have them: where files lie, what a line says, what tells the names, what is refused."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import refusing, skipped

from foveate.annotations import Boxes, Instances, Polygon, RunLengths
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import yolo
from foveate.errors import DataError
from foveate.ops import rle


def picture(ending: str = "png", orientation: int = 1) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.new("L", (40, 20)).save(buffer, ending, exif=exif)
    return buffer.getvalue()


PICTURE = picture()
NAMES = "names: [cat, dog]\n"
LINE = "1 0.5 0.5 0.25 0.5\n"
LINE_BOX = (15.0, 5.0, 25.0, 15.0)


def lay(root: Path, files: dict[str, str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, text: str | bytes = LINE, description: str | bytes = NAMES) -> Path:
    """One picture with this text file, described so."""
    return lay(root, {"images/a.png": PICTURE, "labels/a.txt": text, "data.yaml": description})


def parted(root: Path, **description: str) -> Path:
    """A picture a part, as images/train/a.png, with data.yaml as given."""
    for part, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        lay(root, {f"images/{part}/{stem}.png": PICTURE, f"labels/{part}/{stem}.txt": LINE})
    return lay(root, {"data.yaml": NAMES + "".join(f"{key}: {value}\n" for key, value in description.items())})


def parts(data: Dataset[Any]) -> dict[str, str | None]:
    return {sample.id: sample.part for sample in data}


refused = refusing("yolo")


# --- what a line says -----------------------------------------------------------------------------


def test_boxes(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, LINE + "\r\n  0 0 0 1e-1\t.2\r\n" + "1.0 0.5 0.5 1 1"))
    assert (data.task, data.classes, data.name, data.origin) == ("detection", ("cat", "dog"), tmp_path.name, tmp_path)
    truth = data[0].truth
    assert truth.corners.tolist() == [[15, 5, 25, 15], [-2, -2, 2, 2], [0, 0, 40, 20]]
    assert truth.classes.tolist() == [1, 0, 1]
    assert truth.size == (20, 40)
    assert (data.notes, data.skipped) == ((), ())


def test_outlines(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, "1 0 0 0.5 0 0.25 0.5\n" + LINE))
    assert data.task == "instance"
    triangle, none = data[0].truth.shapes
    assert triangle.outlines[0].tolist() == [[0, 0], [20, 0], [10, 10]]
    assert none is None
    assert data[0].truth.boxes.corners.tolist() == [[0, 0, 20, 10], list(LINE_BOX)]
    assert data.notes == ("1 of 2 things have a box only, no outline",)
    lay(tmp_path, {"images/b.png": PICTURE, "labels/b.txt": LINE, "images/c.png": PICTURE})
    assert all(isinstance(sample.truth, Instances) for sample in formats.read(tmp_path))


@pytest.mark.parametrize(("orientation", "box"), [(1, [15, 5, 25, 15]), (6, [7.5, 10, 12.5, 30])])
def test_places_are_shares_of_the_picture_as_it_is_shown(tmp_path: Path, orientation: int, box: list[float]) -> None:
    lay(usual(tmp_path), {"images/b.jpg": picture("jpeg", orientation), "labels/b.txt": LINE})
    sample = formats.read(tmp_path)[1]
    assert sample.truth.corners.tolist() == [box]
    assert sample.truth.size == sample.source.read().shape[:2]


def test_wrong_places_are_kept_for_the_audit(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, "0 0.5 0.5 2 2\n0 0.5 0.5 -0.5 0.1\n0 -3 0.5 0 0\n"))
    assert data[0].truth.corners.tolist() == [[-20, -10, 60, 30], [30, 9, 10, 11], [-120, 10, -120, 10]]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("2 0.5 0.5 0.1 0.1", 1, ["a class from 0 to 1 is expected, got 2", "data.yaml"]),
        (LINE + "\n-1 0.5 0.5 0.1 0.1", 3, ["got -1"]),
        ("0.5 0.5 0.5 0.1 0.1", 1, ["whole number, got 0.5"]),
        ("cat 0.5 0.5 0.1 0.1", 1, ["numbers are expected", "'cat 0.5"]),
        (LINE + "0 0.5 nan 0.1 0.1", 2, ["numbers are expected"]),
        (LINE + "0 0.5 inf 0.1 0.1", 2, ["numbers are expected"]),
        (LINE + "0 0.5 1e10 0.1 0.1", 2, ["numbers are expected"]),
        ("0 0.5 0_1 0.1 0.1", 1, ["numbers are expected"]),
        ("0,0.5,0.5,0.1,0.1", 1, ["numbers are expected"]),
        ("0 0.5 0.5 0.1", 1, ["class cx cy w h", "got 4 numbers"]),
        ("0 0.5 0.5 0.1 0.1 0.9", 1, ["a sixth", "confidence", "predictions"]),
        ("0 0 0 1 0 1 1 0.9", 1, ["x3 y3", "got 8 numbers"]),
        (LINE * 2 + "0 320 240 100 50\n0 100 90 12 40\n0 9 9 9 9\n", 3, ["these are pixels", "Divide"]),
        (LINE.encode() + b"\xff", 2, ["UTF-8"]),
        (LINE.encode("utf-16"), 1, ["UTF-8"]),
        (PICTURE, 1, ["UTF-8"]),
    ],
)
def test_wrong_lines_are_named_by_file_and_line(tmp_path: Path, text: str | bytes, line: int, words: list[str]) -> None:
    error = refused(usual(tmp_path, text), *words)
    assert (error.where, error.line) == (tmp_path / "labels" / "a.txt", line)


# --- which pictures, in which part ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("images/{part}/{stem}.png labels/{part}/{stem}.txt", {"data.yaml": NAMES}),
        ("images/{part}/deep/{stem}.png labels/{part}/deep/{stem}.txt", {"classes.txt": "cat\ndog\n"}),
        ("{part}/images/{stem}.png {part}/labels/{stem}.txt", {"obj.names": " cat \r\ndog\r\n\r\n"}),
        ("{part}/{stem}.png {part}/{stem}.txt", {"{part}/_darknet.labels": "cat\ndog\n"}),
        ("images/{part}/{stem}.png labels/{part}/{stem}.txt", {"labels/classes.txt": "cat\ndog\n"}),
    ],
)
def test_folders_may_say_the_part(tmp_path: Path, layout: str, names: dict[str, str | bytes]) -> None:
    for part, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        image, text = layout.format(part=part, stem=stem).split()
        lay(tmp_path, {image: PICTURE, text: LINE, **{key.format(part=part): value for key, value in names.items()}})
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: sample.part for sample in data} == {"a": "train", "b": "valid", "c": "test"}
    assert all(sample.truth.corners.tolist() == [list(LINE_BOX)] for sample in data)
    assert (data.classes, data.skipped, data.notes) == (("cat", "dog"), (), ())


def test_no_parts(tmp_path: Path) -> None:
    for root, files in (
        ("two folders", {"images/a.png": PICTURE, "labels/a.txt": LINE}),
        ("side by side", {"a.png": PICTURE, "a.txt": LINE, "LICENSE": "x"}),
        ("below", {"images/some/a.png": PICTURE, "labels/some/a.txt": LINE}),
    ):
        data = formats.read(lay(tmp_path / root, {**files, "classes.txt": "cat\ndog\n"}))
        assert set(parts(data).values()) == {None}
        assert [len(sample.truth) for sample in data] == [1] * len(data)
        assert data.skipped == ()


@pytest.mark.parametrize(
    "description",
    [
        {"train": "images/train", "val": "images/val", "test": "images/test"},
        {"path": ".", "train": "./images/train/", "valid": "[images/val]", "test": "images/test"},
        {"path": "images", "train": "train", "val": "val", "test": "test"},
        {"train": "{root}/images/train", "val": "{root}/images/val", "test": "images\\test"},
        {"path": "{root}", "train": "images/train", "val": "images/val", "test": "images/test"},
    ],
)
def test_the_description_says_the_parts(tmp_path: Path, description: dict[str, str]) -> None:
    root = parted(tmp_path / "set", **{key: value.format(root=tmp_path / "set") for key, value in description.items()})
    expected = {"images/train/a.png": "train", "images/val/b.png": "valid", "images/test/c.png": "test"}
    for path in (root, root / "data.yaml"):
        data = formats.read(path)
        assert parts(data) == expected
        assert (data.name, data.origin, data.skipped, data.notes) == ("set", path, (), ())


@pytest.mark.parametrize("base", ["../datasets/set", "/content/set", "C:/data", "nowhere"])
def test_a_path_of_another_machine(tmp_path: Path, base: str) -> None:
    data = formats.read(parted(tmp_path, path=base, train="images/train", val="images/val", test="images/test"))
    assert len(data) == 3
    assert len(data.notes) == 3
    assert "'images/train' for train; images/train/ beside it was taken" in data.notes[0]


def test_roboflow_writes_from_a_folder_that_is_not_there(tmp_path: Path) -> None:
    lay(tmp_path, {"train/images/a.png": PICTURE, "train/labels/a.txt": LINE})
    lay(tmp_path, {"data.yaml": NAMES + "train: ../train/images\nval: ../valid/images\ntest:\n"})
    data = formats.read(tmp_path)
    assert parts(data) == {"train/images/a.png": "train"}
    assert skipped(data) == {"../valid/images": "named for val by data.yaml, but it is not there"}


def test_lists_of_pictures(tmp_path: Path) -> None:
    root = parted(tmp_path / "set", train="train.txt", val="[lists/val.txt, images/test]")
    lay(
        root,
        {
            "train.txt": f"./images/train/a.png\n\n{root}/images/train/a.png\nimages/train/gone.png\nimages/train/x.heic\n",
            "lists/val.txt": "../images/val/b.png\r\n",
            "images/val/extra.png": PICTURE,
        },
    )
    data = formats.read(root)
    assert parts(data) == {"images/train/a.png": "train", "images/val/b.png": "valid", "images/test/c.png": "valid"}
    assert skipped(data) == {
        "images/train/gone.png": "there is no such file (train.txt, line 4)",
        "images/train/x.heic": "the ending is not that of a picture",
        "images/val/extra.png": "data.yaml names no part that it is in",
    }


def test_a_picture_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    error = refused(
        parted(tmp_path, train="images", val="images/val"), "images/val/b.png", "in train and in valid", "leak"
    )
    assert (error.where, error.line) == (tmp_path / "data.yaml", 3)
    lay(parted(tmp_path, train="images/train", val="val.txt"), {"val.txt": "images/val/b.png\nimages/train/a.png\n"})
    error = refused(tmp_path, "leak")
    assert (error.where, error.line) == (tmp_path / "val.txt", 2)


@pytest.mark.parametrize("key", ["train", "val"])
@pytest.mark.parametrize("written", ["../secret", "../../x/images", "/etc", "images/../../secret", "C:\\x"])
def test_paths_that_leave_the_data_are_refused(tmp_path: Path, key: str, written: str) -> None:
    lay(tmp_path, {"secret/images/a.png": PICTURE, "secret/labels/a.txt": LINE})
    description = {"train": "images/train", "val": "images/val", "test": "images/test", key: written}
    parted(tmp_path / "set", **description)
    error = refused(tmp_path / "set", "expected")
    assert error.where == tmp_path / "set" / "data.yaml"
    assert error.line == (2 if key == "train" else 3)
    lay(
        parted(tmp_path / "set", train="images/train", val="v.txt"),
        {"set/v.txt": f"images/val/b.png\n{written}/a.png\n"},
    )
    lay(tmp_path / "set", {"v.txt": f"images/val/b.png\n{written}/a.png\n"})
    error = refused(tmp_path / "set", "within the data's folder")
    assert (error.where, error.line) == (tmp_path / "set" / "v.txt", 2)


def test_what_has_no_partner(tmp_path: Path) -> None:
    lay(
        usual(tmp_path),
        {
            "images/empty.png": PICTURE,
            "labels/empty.txt": "",
            "images/bare.png": PICTURE,
            "images/damaged.png": PICTURE[:20],
            "labels/damaged.txt": LINE,
            "images/nothing.png": b"",
            "labels/nothing.txt": LINE,
            "images/x.heic": "x",
            "labels/alone.txt": "anything",
            "labels/deep/er/alone.txt": LINE,
            "labels/classes.txt": "cat\ndog\n",
            "labels/.hidden/x.txt": LINE,
        },
    )
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: len(sample.truth) for sample in data} == {"a": 1, "bare": 0, "empty": 0}
    assert data.notes == ("1 pictures have no text file, so nothing is in them (such as images/bare.png)",)
    reasons = skipped(data)
    assert reasons.pop("images/damaged.png").startswith("the picture is damaged") or "none or is damaged" in str(
        data.skipped
    )
    assert reasons == {
        "images/nothing.png": "the file is empty (0 bytes)",
        "images/x.heic": "the ending is not that of a picture",
        "labels/alone.txt": "no picture is called like this text file",
        "labels/deep/er/alone.txt": "no picture is called like this text file",
    }


def test_the_last_folder_called_images_has_a_twin_called_labels(tmp_path: Path) -> None:
    files = {"images/x/images/a.png": PICTURE, "images/x/labels/a.txt": LINE, "labels/x/images/a.txt": "wrong"}
    data = formats.read(lay(tmp_path, {**files, "data.yaml": NAMES + "train: images\n"}))
    assert len(data[0].truth) == 1


def test_links_in_circles_and_pipes(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "images" / "self").symlink_to(tmp_path / "images")
    (tmp_path / "labels" / "self").symlink_to(tmp_path / "labels")
    assert list(parts(formats.read(tmp_path))) == ["images/a.png"]
    os.mkfifo(tmp_path / "labels" / "pipe.txt")
    lay(tmp_path, {"images/pipe.png": PICTURE})
    refused(tmp_path, "pipe.txt", "a folder or a device")
    (tmp_path / "data.yaml").unlink()
    os.mkfifo(tmp_path / "data.yaml")
    assert yolo.sniff(tmp_path)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    refused(lay(tmp_path / "a", {"data.yaml": NAMES}), "pictures are expected, found none")
    refused(
        lay(tmp_path / "b", {"data.yaml": NAMES, "images/a.png": b""}), "1 skipped; images/a.png: the file is empty"
    )
    refused(lay(tmp_path / "c", {"data.yaml": NAMES, "images/a.png": PICTURE}), "a text file", "such as labels/a.txt")
    refused(lay(tmp_path / "d", {"x.csv": "x"}) / "x.csv", "this is another file")
    damaged = {"data.yaml": NAMES, "images/a.png": PICTURE[:9], "labels/a.txt": LINE}
    refused(lay(tmp_path / "e", damaged), "found none that can be used (1 skipped; images/a.png: ")


# --- the names of the classes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "names"),
    [
        ("names: [cat, dog]\nnc: 2\n", ("cat", "dog")),
        ("names:\n  0: cat\n  1: dog\n", ("cat", "dog")),
        ("names: {1: a b, 0: 'no'}\n", ("no", "a b")),
        ("\ufeffnames: ['0', 'é: #']\n# a remark\ndownload: |\n  rm -rf /\n", ("0", "é: #")),
    ],
)
def test_names(tmp_path: Path, description: str, names: tuple[str, ...]) -> None:
    assert formats.read(usual(tmp_path, description=description), "yolo").classes == names


@pytest.mark.parametrize(
    ("description", "line", "words"),
    [
        ("", 1, ["keys and values"]),
        ("- names\n", 1, ["keys and values"]),
        ("nc: 2\n", None, ["names of the classes are expected", "names: [cat, dog]"]),
        ("nc: 2\nnames:\n", None, ["names of the classes are expected"]),
        ("nc: 2\nnames: cat\n", 2, ["a list of class names"]),
        ("names: []\n", 1, ["a list of class names"]),
        ("names: [cat, yes]\n", 1, ["text is expected", "got True", "quotation marks"]),
        ("names: [cat, 1]\n", 1, ["got 1"]),
        ("names: [cat, 2001-01-01]\n", 1, ["got datetime.date"]),
        ("names: [cat, [dog]]\n", 1, ["got ['dog']"]),
        ("names: [cat, '']\n", 1, ["got ''"]),
        ("names: [cat, cat]\n", 1, ["names that differ", "'cat' a second time"]),
        ("names: {0: cat, 2: dog}\n", 1, ["from 0 to 1"]),
        ("names: {1: cat, 2: dog}\n", 1, ["from 0 to 1"]),
        ("names: {a: cat, 1: dog}\n", 1, ["from 0 to 1"]),
        ("names: {true: cat, 0: dog}\n", 1, ["from 0 to 1"]),
        ("names:\n  0: cat\n  0: dog\n", 3, ["a key is expected once", "'0'"]),
        ("names: [a, b]\nnames: [b, a]\n", 2, ["a key is expected once", "'names'"]),
        ("nc: 3\nnames: [cat, dog]\n", 1, ["nc is expected to be 2", "got 3"]),
        ("names: [cat, dog]\nnc: true\n", 2, ["got True"]),
        ("names: [cat, dog]\nkpt_shape: [17, 3]\n", 2, ["key points"]),
        ("names: [cat, dog\ntrain: x\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\n\tx: 1\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\n--- \na: 1\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\nx: 2001-99-99\n", None, ["a value in it cannot be read"]),
        ("names: !!python/object/apply:os.system ['touch /tmp/x']\n", 1, ["YAML is expected"]),
        ("names: [cat, dog]\n? [a]\n: 1\n", 2, ["YAML is expected", "unhashable"]),
        ("names: &a [cat, dog]\n", 1, ["without anchors"]),
        ("names: [cat, dog]\nb: *a\n", 2, ["without anchors"]),
        ("names: [cat, dog]\nx: " + "[" * 2000 + "]" * 2000, 2, ["at most 10 deep"]),
        ("names: [cat, dog]\n\0", 2, ["YAML is expected"]),
        (b"names: [cat, dog]\n# \xff\n", 2, ["UTF-8"]),
        (b"#" * 500_001, None, ["at most 500,000 bytes"]),
        ('names: [cat, dog]\nval: "a\\0"\n', 2, ["the path of a picture is expected"]),
        ("names: [cat, dog]\ntrain: 5\n", 2, ["a folder of pictures or a list", "got 5"]),
        ("names: [cat, dog]\ntrain: [images, {}]\n", 2, ["a folder of pictures or a list"]),
        ("names: [cat, dog]\ntrain: imgaes\n", 2, ["'imgaes' is expected below", "not there"]),
        ("names: [cat, dog]\ntrain: images/a.png\n", 2, ["a folder or a .txt file"]),
        ("names: [cat, dog]\npath: [x]\ntrain: images\n", 2, ["a folder is expected for path"]),
    ],
)  # fmt: skip
def test_descriptions_that_cannot_be_understood(
    tmp_path: Path, description: str | bytes, line: int | None, words: list[str]
) -> None:
    error = refused(usual(tmp_path, description=description), *words)
    assert (error.where, error.line) == (tmp_path / "data.yaml", line)


def test_a_billion_laughs_cost_nothing(tmp_path: Path) -> None:
    laughs = "a0: &a0 [ha]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))
    start = time.perf_counter()
    refused(usual(tmp_path, description=laughs + NAMES), "without anchors", "data.yaml:1")
    assert time.perf_counter() - start < 1


def test_names_that_nothing_tells(tmp_path: Path) -> None:
    root = lay(tmp_path / "a", {"images/a.png": PICTURE, "labels/a.txt": LINE})
    error = refused(root, "nothing tells them", "data.yaml", "names: [cat, dog]")
    assert error.where == root
    lay(root, {"labels/classes.txt": "cat\ndog\n"})
    assert formats.read(root).classes == ("cat", "dog")
    for text, line, problem in (("cat\n\ndog\n", 2, "an empty line"), ("a\nb\na\n", 3, "'a' a second time")):
        error = refused(lay(root, {"labels/classes.txt": text}), problem)
        assert (error.where, error.line) == (root / "labels" / "classes.txt", line)


def test_names_that_disagree(tmp_path: Path) -> None:
    lay(usual(tmp_path), {"classes.txt": "dog\ncat\n"})
    error = refused(tmp_path, "the same order as in data.yaml", "wrong labels")
    assert error.where == tmp_path / "classes.txt"


def test_which_description(tmp_path: Path) -> None:
    usual(tmp_path, description=NAMES)
    (tmp_path / "data.yaml").rename(tmp_path / "coco8.yaml")
    lay(tmp_path, {"other.yml": "epochs: 3\n"})
    assert formats.read(tmp_path).classes == ("cat", "dog")
    lay(tmp_path, {"pets.yaml": "names: [dog, cat]\n"})
    assert yolo.sniff(tmp_path)
    refused(tmp_path, "one YAML file of class names is expected, found coco8.yaml and pets.yaml")
    assert formats.read(tmp_path / "pets.yaml").classes == ("dog", "cat")
    assert not yolo.sniff(tmp_path / "other.yml")


# --- told apart from other formats ----------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        {"images/train/a.png": PICTURE, "labels/train/a.txt": LINE},
        {"train/images/a.png": PICTURE, "train/labels/a.txt": LINE, "README.roboflow.txt": "x"},
        {"images/a.png": PICTURE, "labels/a.txt": LINE},
        {"a.png": PICTURE, "a.txt": LINE, "obj.names": "cat\n"},
        {"train/a.png": PICTURE, "train/a.txt": LINE, "train/_darknet.labels": "cat\n"},
        {"data.yaml": NAMES, "somewhere/images/a.png": PICTURE, "somewhere/labels/a.txt": ""},
    ],
)
def test_it_alone_knows_its_layouts(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    lay(tmp_path, files)
    assert [name for name, format in formats.all().items() if format.sniff(tmp_path)] == ["yolo"]


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.png": PICTURE, "labels/a.png": PICTURE},
        {"a.png": PICTURE, "a.txt": "a red 3"},
        {"images/a.png": PICTURE, "labels/a.txt": "Car 0.00 0 -1.57 614 181 727 284"},
        {"a.png": PICTURE, "poses.txt": "1 0 0 0 0 1 0 0"},
        {"cat/a.png": PICTURE, "dog/b.png": PICTURE, "classes.txt": "cat\ndog\n", "config.yaml": "epochs: 3\n"},
        {"images/a.png": PICTURE, "labels/a.txt": ""},
        {"notes.yaml": "x: 1\n"},
    ],
)
def test_it_does_not_claim_others(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert not yolo.sniff(lay(tmp_path, files))


# --- writing --------------------------------------------------------------------------------------


def made(truth: Boxes | Instances, classes: tuple[str, ...] = ("cat",), **given: Any) -> Dataset[Any]:
    source = ArraySource(np.zeros((1, 20, 40, 1), np.uint8), 0)
    task = "instance" if isinstance(truth, Instances) else "detection"
    return Dataset("made", task, classes, [Sample("a", source, truth, **given)])


def boxes(*corners: tuple[float, ...], **given: Any) -> Boxes:
    return Boxes(np.array(corners, float).reshape(-1, 4), np.zeros(len(corners), int), **given)


TRIANGLE = np.array([(1.0, 2), (9, 2), (4, 11)])
RUNS = RunLengths(rle.encode(np.eye(20, 40, dtype=bool)), (20, 40))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (made(boxes((1, 2, 3, 4)), group="g"), "1 samples with a group (such as 'a')"),
        (made(boxes((1, 2, 3, 4), crowd=np.array([True]))), "with a crowd"),
        (made(boxes((1, 2, 3, 4), difficult=np.array([True]))), "with a difficult box"),
        (made(boxes((1, 2, 3, 4), scores=np.array([0.5]))), "with scores"),
        (made(boxes((100, 100, 900, 900))), "mostly outside their picture"),
        (made(boxes((1, 2, 3, 2e9))), "beyond 1,000,000,000"),
        (made(boxes((1, 2, 3, 4)), classes=("",)), "the class name ''"),
        (made(boxes((1, 2, 3, 4)), classes=("a", "a")), "two classes of the name 'a'"),
        (made(boxes((1, 2, 3, 4)), classes=("cat", "x" * 500_001)), "class names of more than 500,000 bytes"),
        (made(Instances(boxes((0, 0, 20, 20)), [RUNS])), "with a mask of pixels"),
        (made(Instances(boxes((1, 2, 9, 11)), [Polygon((TRIANGLE, TRIANGLE))])), "an outline of several pieces"),
        (made(Instances(boxes((1, 2, 9, 12)), [Polygon((TRIANGLE,))])), "a box that is not the bounds of its outline"),
        (made(Instances(boxes((1, 2, 9, 12)), [None])), "none has a shape"),
    ],
)
def test_what_cannot_be_held_is_named(tmp_path: Path, dataset: Dataset[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        yolo.write(dataset, tmp_path / "copy")
    assert words in str(caught.value)
    assert "cannot hold" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_parts_for_some_are_refused(tmp_path: Path) -> None:
    one = made(boxes((1, 2, 3, 4)))
    two = replace(one, samples=[one[0], replace(one[0], id="b", part="train")])
    with pytest.raises(DataError, match=r"1 samples without a part beside others with one \(such as 'a'\)"):
        yolo.write(two, tmp_path / "copy")


def test_what_is_written(tmp_path: Path) -> None:
    one = made(boxes((10, 5, 30, 15)), classes=("no", "0", " ü: #", "x\ny", "a" * 200 + " b"), part="valid")
    empty = replace(one[0], id="images/train/b.jpg", part="train", truth=boxes())
    yolo.write(replace(one, samples=[one[0], empty]), tmp_path / "copy")
    found = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert found == {
        "data.yaml",
        *(f"images/{x}.png" for x in ("val/a", "train/b")),
        "labels/val/a.txt",
        "labels/train/b.txt",
    }
    assert (tmp_path / "copy" / "labels" / "val" / "a.txt").read_text() == "0 0.5 0.5 0.5 0.5\n"
    description = yaml.safe_load((tmp_path / "copy" / "data.yaml").read_text())
    assert description == {"train": "images/train", "val": "images/val", "nc": 5, "names": dict(enumerate(one.classes))}
    assert formats.read(tmp_path / "copy").classes == one.classes


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corners=st.lists(st.tuples(*[st.floats(-10, 45)] * 4), min_size=1, max_size=5), number=st.integers(0, 10**9))
def test_places_come_back(tmp_path: Path, corners: list[tuple[float, ...]], number: int) -> None:
    dataset = made(boxes(*corners))
    if not any((box[0] + box[2]) / 2 > 40 for box in corners):
        dataset = made(boxes(*corners, (1, 1, 2, 2), (1, 1, 2, 2)))
    path = tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}"
    try:
        yolo.write(dataset, path)
    except DataError as error:
        refusal = error.message
    else:
        refusal = ""
    if refusal:
        assert "would be read as pixels" in refusal
        return
    back = formats.read(path)[0].truth
    assert np.abs(back.corners - dataset[0].truth.corners).max() < 1e-9


# --- any text is data or one error ----------------------------------------------------------------


def check_survives(root: Path) -> None:
    try:
        data = formats.read(root, "yolo")
    except DataError as error:
        blamed = str(error.where)
    else:
        blamed = str(root)
        assert len(data) > 0
        assert all(isinstance(name, str) for name in data.classes)
        for sample in data:
            assert all(k < len(data.classes) for k in sample.truth.present())
    assert str(root) in blamed
    assert yolo.sniff(root) in (True, False)


NUMBERS = st.sampled_from(
    ["0", "1", "-1", "0.5", "1e999", "nan", "x", "1_0", "٣", "0x1", "", "9" * 400, "1e-400", "\0"]
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.lists(NUMBERS, max_size=12).map(" ".join), max_size=4).map("\n".join) | st.binary(max_size=60))
def test_any_lines_are_things_or_one_error(tmp_path: Path, text: str | bytes) -> None:
    usual(tmp_path, text)
    check_survives(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.binary(max_size=3) | st.text(max_size=8)
    | st.sampled_from(["images", "labels", "../images", "data.yaml", "/", "", "images/a.png", "cat", "list.txt"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 3) | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(["names", "nc", "train", "val", "test", "path", "validation", "kpt_shape", "download"])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(KEYS, VALUES, max_size=5), good=st.booleans())
def test_any_description_is_data_or_one_error(tmp_path: Path, values: dict[str, Any], good: bool) -> None:
    description = {"names": ["cat", "dog"], **values} if good else values
    usual(tmp_path, description=yaml.safe_dump(description))
    check_survives(tmp_path)


GOOD = "path: .\ntrain: images\nval:\ntest: [images/x]\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
PIECES = st.sampled_from(
    [
        "&a ",
        "*a",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "\n",
        "!!binary x",
        "0x",
        "0b_",
        "1:99",
        "<<: ",
        "|",
        "'",
        "%",
        "\t",
        "\ud800",
        "\x85",
    ]
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 9), PIECES | st.text(max_size=4)), max_size=4)
)
def test_any_edit_of_a_description_is_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    usual(tmp_path, description=text.encode(errors="surrogatepass"))
    check_survives(tmp_path)
