"""Class names of YOLO datasets, and descriptions that are refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from foveate import formats
from foveate.formats import yolo
from helpers.yolo_files import IMAGE, LINE, NAMES, lay, refused, usual


@pytest.mark.parametrize(
    ("description", "names"),
    [
        ("names: [cat, dog]\nnc: 2\n", ("cat", "dog")),
        ("names:\n  0: cat\n  1: dog\n", ("cat", "dog")),
        ("names: {1: a b, 0: 'no'}\n", ("no", "a b")),
        ("\ufeffnames: ['0', 'é: #']\n# a remark\ndownload: |\n  rm -rf /\n", ("0", "é: #")),
        ("names: {'1': dog, '0': cat}\n", ("cat", "dog")),
        ("names: data/coco.names\n", ("cow", "hen")),
    ],
)
def test_class_names_are_read(tmp_path: Path, description: str, names: tuple[str, ...]) -> None:
    lay(tmp_path, {"coco.names": "cow\nhen\n"} if "coco.names" in description else {})
    data = formats.read(usual(tmp_path, description=description), "yolo")
    assert (data.classes, data.notes) == (names, ())


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[yes, no]", ("yes", "no")),
        ("{1: off, 0: 007}", ("007", "off")),
        ("[2001-01-01, 1_000]", ("2001-01-01", "1_000")),
        ("\n  0: 1.50\n  1: 12:30", ("1.50", "12:30")),
    ],
)
def test_names_that_yaml_reads_as_something_else_are_texts(
    tmp_path: Path, written: str, names: tuple[str, ...]
) -> None:
    """YAML makes True of yes and 7 of 007; a class name is a text."""
    data = formats.read(usual(tmp_path, description=f"names: {written}\n"))
    assert data.classes == names
    (note,) = data.notes
    assert note.startswith("2 class names in data.yaml read as the text that is written")


@pytest.mark.parametrize("name", ["names.txt", "labels.txt", "voc.names", "predefined_classes.txt"])
def test_other_files_of_names_are_read_where_the_usual_are_absent(
    tmp_path: Path, name: str
) -> None:
    lay(tmp_path, {"images/a.png": IMAGE, "labels/a.txt": LINE, name: "cat\ndog\n"})
    data = formats.read(tmp_path)
    assert data.classes == ("cat", "dog")
    assert (data.notes, data.skipped) == ((f"class names are read from {name}",), ())
    lay(tmp_path, {"classes.txt": "hen\ncow\n"})
    assert formats.read(tmp_path).classes == ("hen", "cow")
    (tmp_path / "classes.txt").unlink()
    lay(tmp_path, {"my.names": "dog\ncat\n"})
    refused(tmp_path, "the same class names in the same order")


@pytest.mark.parametrize(
    ("description", "line", "words"),
    [
        ("", 1, ["keys and values"]),
        ("- names\n", 1, ["keys and values"]),
        ("nc: 2\n", None, ["names of the classes are expected", "names: [cat, dog]"]),
        ("nc: 2\nnames:\n", None, ["names of the classes are expected"]),
        ("nc: 2\nnames: cat\n", 2, ["a list of class names"]),
        ("names: []\n", 1, ["a list of class names"]),
        ("names: [cat, ~]\n", 1, ["text is expected", "got None", "quotation marks"]),
        ("names: data/none.names\n", 1, ["a file of names", "got 'data/none.names'"]),
        ("names: [cat, [dog]]\n", 1, ["got ['dog']"]),
        ("names: [cat, '']\n", 1, ["got ''"]),
        ("names: [cat, cat]\n", 1, ["each name is expected once", "'cat' a second time"]),
        ("names: {0: cat, 2: dog}\n", 1, ["from 0 to 1"]),
        ("names: {1: cat, 2: dog}\n", 1, ["from 0 to 1"]),
        ("names: {a: cat, 1: dog}\n", 1, ["from 0 to 1"]),
        ("names: {true: cat, 0: dog}\n", 1, ["from 0 to 1"]),
        ("names:\n  0: cat\n  0: dog\n", 3, ["each key is expected once", "'0'"]),
        ("names: [a, b]\nnames: [b, a]\n", 2, ["each key is expected once", "'names'"]),
        ("nc: 3\nnames: [cat, dog]\n", 1, ["nc is expected to be 2", "got 3"]),
        ("names: [cat, dog]\nnc: true\n", 2, ["got True"]),
        ("names: [cat, dog]\nkpt_shape: [17]\n", 2, ["kpt_shape: [17, 3]", "got [17]"]),
        ("names: [cat, dog]\nkpt_shape: [17, 4]\n", 2, ["got [17, 4]"]),
        ("names: [cat, dog]\nkpt_shape: 17\n", 2, ["got 17"]),
        ("names: [cat, dog\ntrain: x\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\n\tx: 1\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\n--- \na: 1\n", 2, ["YAML is expected"]),
        ("names: [cat, dog]\nx: 2001-99-99\n", None, ["a value in it cannot be read"]),
        ("names: !!python/object/apply:os.system ['touch /tmp/x']\n", 1, ["YAML is expected"]),
        ("names: [cat, dog]\n? [a]\n: 1\n", 2, ["YAML is expected", "unhashable"]),
        ("names: &a [cat, dog]\n", 1, ["without anchors"]),
        ("names: [cat, dog]\nb: *a\n", 2, ["without anchors"]),
        ("names: [cat, dog]\nx: " + "[" * 2000 + "]" * 2000, 2, ["at most 10 levels"]),
        ("names: [cat, dog]\n\0", 2, ["YAML is expected"]),
        (b"names: [cat, dog]\n# \xff\n", 2, ["UTF-8"]),
        (b"#" * 500_001, None, ["at most 500,000 bytes"]),
        ('names: [cat, dog]\nval: "a\\0"\n', 2, ["the path of an image is expected"]),
        ("names: [cat, dog]\ntrain: 5\n", 2, ["a folder of images or a list of images", "got 5"]),
        ("names: [cat, dog]\ntrain: [images, {}]\n", 2, ["a folder of images or a list of images"]),
        ("names: [cat, dog]\ntrain: imgaes\n", 2, ["'imgaes' is expected below", "does not exist"]),
        ("names: [cat, dog]\ntrain: images/a.png\n", 2, ["a folder or a .txt file"]),
        ("names: [cat, dog]\npath: [x]\ntrain: images\n", 2, ["a folder is expected for path"]),
    ],
)
def test_bad_descriptions_are_refused_with_their_line(
    tmp_path: Path, description: str | bytes, line: int | None, words: list[str]
) -> None:
    error = refused(usual(tmp_path, description=description), *words)
    assert (error.where, error.line) == (tmp_path / "data.yaml", line)


def test_a_billion_laughs_are_refused_at_once(tmp_path: Path) -> None:
    laughs = "a0: &a0 [ha]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
    )
    start = time.process_time()
    refused(usual(tmp_path, description=laughs + NAMES), "without anchors", "data.yaml:1")
    assert time.process_time() - start < 1


def test_missing_names_are_an_error(tmp_path: Path) -> None:
    root = lay(tmp_path / "a", {"images/a.png": IMAGE, "labels/a.txt": LINE})
    error = refused(root, "found none", "data.yaml", "names: [cat, dog]")
    assert error.where == root
    lay(root, {"labels/classes.txt": "cat\ndog\n"})
    assert formats.read(root).classes == ("cat", "dog")
    for text, line, problem in (
        ("cat\n\ndog\n", 2, "an empty line"),
        ("a\nb\na\n", 3, "'a' a second time"),
    ):
        error = refused(lay(root, {"labels/classes.txt": text}), problem)
        assert (error.where, error.line) == (root / "labels" / "classes.txt", line)


def test_names_that_disagree_are_refused(tmp_path: Path) -> None:
    lay(usual(tmp_path), {"classes.txt": "dog\ncat\n"})
    error = refused(tmp_path, "the same order as in data.yaml", "wrong labels")
    assert error.where == tmp_path / "classes.txt"


def test_ambiguous_descriptions_are_refused(tmp_path: Path) -> None:
    usual(tmp_path, description=NAMES)
    (tmp_path / "data.yaml").rename(tmp_path / "coco8.yaml")
    lay(tmp_path, {"other.yml": "epochs: 3\n"})
    assert formats.read(tmp_path).classes == ("cat", "dog")
    lay(tmp_path, {"pets.yaml": "names: [dog, cat]\n"})
    assert yolo.sniff(tmp_path)
    refused(tmp_path, "one YAML file of class names is expected, found coco8.yaml and pets.yaml")
    assert formats.read(tmp_path / "pets.yaml").classes == ("dog", "cat")
    assert not yolo.sniff(tmp_path / "other.yml")
