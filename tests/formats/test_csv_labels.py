"""Tables of labels as people bring them: read right where that is certain, else asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.datasets.load import load
from foveate.errors import DataError
from foveate.formats import table as csv_format
from helpers.load_files import ids, lay, names, refused


def folder(root: Path, text: str | bytes, name: str = "train.csv", images: int = 6) -> Path:
    """Lay out images/0.jpg, images/1.jpg and so on with a table beside the folder."""
    lay(root, *(f"images/{number}.jpg" for number in range(images)))
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def rows(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


CATS = ["images/0.jpg", "images/1.jpg", "images/2.jpg"]


@pytest.mark.parametrize(
    "text",
    [
        rows("path,label", *(f"{name},{label}" for name, label in zip(CATS, "aba", strict=True))),
        rows(
            ",path,label",
            *(
                f"{i},{name},{label}"
                for i, (name, label) in enumerate(zip(CATS, "aba", strict=True))
            ),
        ),
        rows(
            "Unnamed: 0,path,label",
            *(f"{i},{n},{c}" for i, (n, c) in enumerate(zip(CATS, "aba", strict=True))),
        ),
        rows("id_code,diagnosis", "0,a", "1,b", "2,a"),
        rows("image_id,label", "0,a", "1,b", "2,a"),
        rows("filename,label", "0.jpg,a", "1.jpg,b", "2.jpg,a"),
        rows("image name;class name", "0.jpg;a", "1.jpg;b", "2.jpg;a"),
        rows("Datei;Klasse", *(f"{name};{label}" for name, label in zip(CATS, "aba", strict=True))),
        rows("id|label", *(f"{name}|{label}" for name, label in zip(CATS, "aba", strict=True))),
        rows(
            "path,label,,", *(f"{name},{label},," for name, label in zip(CATS, "aba", strict=True))
        ),
        rows("path,label", *(f"{name},{label},," for name, label in zip(CATS, "aba", strict=True))),
        rows("images/0.jpg,a", "images/1.jpg,b", "images/2.jpg,a"),
        rows(
            "sep=;",
            "file;class",
            *(f"{name};{label}" for name, label in zip(CATS, "aba", strict=True)),
        ),
        "\ufeffsep=;\r\nfile;class\r\n"
        + "".join(f"{n};{c}\r\n" for n, c in zip(CATS, "aba", strict=True)),
        rows("image,a,b", "0.jpg,1,0", "1.jpg,0,1", "2.jpg,1,0"),
        rows("filename, a, b", "0.jpg, 1, 0", "1.jpg, 0, 1", "2.jpg, 1, 0"),
        rows("image,a,b,age", "0,1.0,0.0,30", "1,0.0,1.0,41", "2,1.0,0.0,7"),
        rows("image,a,b", "0,True,False", "1,False,True", "2,True,False"),
        rows("path,label", "0.jpg,\"['a']\"", "1.jpg,\"['b']\"", "2.jpg,\"['a']\""),
        rows("path,class_id,class_name", "0.jpg,0,a", "1.jpg,1,b", "2.jpg,0,a"),
        rows("id,filename,label", "7,0.jpg,a", "8,1.jpg,b", "9,2.jpg,a"),
        rows("image_id,filename,label", "0,0.jpg,a", "1,1.jpg,b", "2,2.jpg,a"),
        rows("path,label", r"C:\data\images\0.jpg,a", r"C:\data\images\1.jpg,b", r"images\2.jpg,a"),
    ],
)
def test_tables_of_every_tool_give_the_same_data(tmp_path: Path, text: str) -> None:
    data = load(folder(tmp_path, text))
    assert ids(data) == CATS
    assert names(data) == ["a", "b", "a"]
    assert data.format == "csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = rows("file\tclass", "images/0.jpg\tKätzchen", "images/1.jpg\tété", "images/2.jpg\tGröße")
    data = load(folder(tmp_path, text.encode(encoding)))
    assert data.classes == ("Größe", "Kätzchen", "été")
    assert any("Windows-1252" in note for note in data.notes) == (encoding in ("cp1252", "latin-1"))


@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")]
)
def test_long_tables_in_utf_16_are_recognised(tmp_path: Path, mark: bytes, encoding: str) -> None:
    lines = [f"images/{i % 6}.jpg\tcat{i % 2}\t{'x' * 50}" for i in range(6)]
    text = rows("file\tclass\tnote", *lines) + "\t\t\n" * 40_000
    data = load(folder(tmp_path, mark + text.encode(encoding)))
    assert data.classes == ("cat0", "cat1")


# --- several labels an image

SEVERAL = "one label an image is expected"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            rows("image,label", "0.jpg,cat", "1.jpg,cat dog", "2.jpg,dog", "3.jpg,dog cat"),
            3,
            ["'cat dog', whose spaces", "'cat dog' and 'dog cat' are the same in another order"],
        ),
        (
            rows("image,label", "0.jpg,cat", "1.jpg,cat dog", "2.jpg,dog"),
            3,
            ["each of them is a label of other rows, too (cat, dog)"],
        ),
        (rows("image,label", "0.jpg,cat|dog", "1.jpg,dog|owl", "2.jpg,owl"), 2, ["whose bars"]),
        (rows("image,label", "0.jpg,a;b", "1.jpg,b;c", "2.jpg,a", "3.jpg,c"), 2, ["semicolons"]),
        (rows("image,label", '0.jpg,"a, b"', "1.jpg,b", "2.jpg,a"), 2, ["commas"]),
        (rows("image,label", "0.jpg,\"['a', 'b']\"", "1.jpg,['b']"), 2, ["a list of 2 labels"]),
        (rows("image,label", "0.jpg,[a]", "1.jpg,[]"), 3, ["a list of 0 labels"]),
        (
            rows(
                "image,tags",
                "0.jpg,haze primary",
                "1.jpg,haze primary water",
                "2.jpg,clear primary water",
                "3.jpg,clear primary",
                "4.jpg,haze primary road",
                "5.jpg,clear road water primary",
                "0.jpg,haze",
            ),
            2,
            ["whose spaces separate labels"],
        ),
        (
            rows("Image Index,Finding Labels,Age", "0.jpg,a|b,3", "1.jpg,b|c,4", "2.jpg,a,5"),
            2,
            ["whose bars"],
        ),
        (rows("image,a,b", "0.jpg,1,0", "1.jpg,1,1"), 3, ["a, b in the 2 columns of 0 and 1"]),
        (rows("image,a,b", "0.jpg,1,0", "1.jpg,0,0"), 3, ["none in the 2 columns"]),
        (rows("image,a,b", "0.jpg,1,-1", "1.jpg,1,1"), 3, ["a, b in the 2 columns"]),
    ],
)
def test_several_labels_are_asked_about(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    error = refused(folder(tmp_path, text), SEVERAL, "foveate learns one label an image", *words)
    assert (error.where, error.line) == (tmp_path / "train.csv", line)


@pytest.mark.parametrize(
    "labels",
    [
        ["golden retriever", "labrador retriever", "poodle"],
        ["hot dog", "dog", "pizza"],
        ["red apple", "green apple", "red pear", "green pear"],
        ["New York", "New Haven", "York"],
        ["whale", "blue whale", "killer whale"],
        ["cat, small", "dog"],
        ["a;b", "c"],
        ["and/or", "not"],
    ],
)
def test_names_of_several_words_are_one_class(tmp_path: Path, labels: list[str]) -> None:
    lines = [f'{number}.jpg,"{label}"' for number, label in enumerate(labels)]
    data = load(folder(tmp_path, rows("image,label", *lines)))
    assert names(data) == labels
    assert any("read as one class each" in note for note in data.notes)


def test_two_labels_in_two_rows_are_asked_about(tmp_path: Path) -> None:
    text = rows("image,label", "0.jpg,cat", "1.jpg,dog", "0.jpg,dog")
    refused(folder(tmp_path, text), "one label is expected", "If both are right: foveate learns")


# --- labels that are none


@pytest.mark.parametrize("missing", ["NaN", "nan", "NA", "N/A", "null", "#N/A"])
def test_missing_values_are_asked_about(tmp_path: Path, missing: str) -> None:
    text = rows("path,label", "0.jpg,cat", f"1.jpg,{missing}", "2.jpg,dog", f"3.jpg,{missing}")
    error = refused(folder(tmp_path, text), f"got '{missing}'", "missing value (2 rows have it)")
    assert error.line == 3


def test_none_is_a_class_and_a_note_says_so(tmp_path: Path) -> None:
    data = load(folder(tmp_path, rows("path,label", "0.jpg,None", "1.jpg,tumour")))
    assert data.classes == ("None", "tumour")
    assert any("'none' is read as a class" in note for note in data.notes)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["0.25", "3.5", "0.75"], "'0.25' (3 different numbers in 3 rows)"),
        (["1", "2.5", "2"], "'2.5'"),
        (["1e-3", "1", "2"], "'1e-3'"),
        ([str(100 + number) for number in range(30)], "30 different numbers in 30 rows"),
    ],
)
def test_measurements_are_asked_about(tmp_path: Path, labels: list[str], found: str) -> None:
    lines = [f"{number}.jpg,{label}" for number, label in enumerate(labels)]
    path = folder(tmp_path, rows("image,target", *lines), images=len(labels))
    refused(path, "classes are expected in the column 'target'", found, "no task that predicts a")


def test_a_column_of_measurements_alone_is_asked_about(tmp_path: Path) -> None:
    text = rows("file,age", "0.jpg,20.5", "1.jpg,21.5", "2.jpg,22", "3.jpg,23")
    refused(folder(tmp_path, text), "classes are expected in the column 'age'", "'20.5'")


def test_names_with_a_suffix_go_before_numbers(tmp_path: Path) -> None:
    text = rows("Bild;Art;Alter", "0.jpg;a;0", "1.jpg;b;1", "2.jpg;a;2")
    refused(folder(tmp_path, text), "a column for the label is expected")
    data = load(folder(tmp_path, text.replace("Art", "class")))
    assert ids(data) == CATS


def test_whole_numbers_are_classes(tmp_path: Path) -> None:
    data = load(folder(tmp_path, rows("image,target", "0.jpg,1.0", "1.jpg,0.0", "2.jpg,1.0")))
    assert names(data) == ["1", "0", "1"]
    data = load(
        folder(tmp_path / "many", rows("i,y", *(f"{i},{i * 7}" for i in range(20))), images=20)
    )
    assert len(data.classes) == 20
    assert not any("whole numbers" in note for note in data.notes)


# --- splits


@pytest.mark.parametrize(
    "text",
    [
        rows(
            "path,label,split", "0.jpg,a,TRAIN", "1.jpg,b,train", "2.jpg,a,dev", "3.jpg,b,holdout"
        ),
        rows("path,label,Subset", "0.jpg,a,Train", "1.jpg,b,train", "2.jpg,a,val", "3.jpg,b,Test"),
        rows(
            "path,label,data set", "0.jpg,a,train", "1.jpg,b,train", "2.jpg,a,valid", "3.jpg,b,test"
        ),
        rows("path,label,x", "0.jpg,a,train", "1.jpg,b,train", "2.jpg,a,eval", "3.jpg,b,test"),
        rows(
            "path,label,is_valid,is_test",
            "0.jpg,a,0,0",
            "1.jpg,b,0,0",
            "2.jpg,a,1,0",
            "3.jpg,b,0,1",
        ),
        rows(
            "path,label",
            "train/0.jpg,a",
            "train/1.jpg,b",
            "val/2.jpg,a",
            "test/3.jpg,b",
        ),
        rows(
            "path,label",
            "/d/train/0.jpg,a",
            "/d/train/1.jpg,b",
            "/d/val/2.jpg,a",
            "/d/test/3.jpg,b",
        ),
    ],
)
def test_splits_in_columns_and_in_paths(tmp_path: Path, text: str) -> None:
    data = load(folder(tmp_path, text))
    assert [sample.split for sample in data] == ["train", "train", "valid", "test"]


def test_a_column_with_other_words_is_no_split(tmp_path: Path) -> None:
    text = rows("path,label,dataset", "0.jpg,a,isic", "1.jpg,b,ham", "2.jpg,a,train")
    data = load(folder(tmp_path, text))
    assert {sample.split for sample in data} == {None}
    assert any("not read: dataset" in note for note in data.notes)
    text = rows("path,label,is_valid,is_test", "0.jpg,a,1,1", "1.jpg,b,0,0")
    refused(folder(tmp_path, text), "train.csv:2", "one split is expected, got several")


def test_a_table_for_each_split(tmp_path: Path) -> None:
    folder(tmp_path, rows("path,label", "0.jpg,a", "1.jpg,b"), "train.csv")
    folder(tmp_path, rows("path,label", "2.jpg,a"), "val_labels.csv")
    folder(tmp_path, rows("path,label", "3.jpg,b"), "test.csv")
    folder(tmp_path, rows("id", "4"), "sample_submission.csv")
    data = load(tmp_path)
    splits = {sample.id: sample.split for sample in data}
    assert list(dict(sorted(splits.items())).values()) == ["train", "train", "valid", "test"]
    assert any("sample_submission.csv" in note for note in data.notes)
    folder(tmp_path, rows("path,label,split", "2.jpg,a,train"), "val_labels.csv")
    refused(tmp_path, "val_labels.csv:2", "valid is expected, as the name of the table says")
    folder(tmp_path, rows("path,label", "3.jpg,b"), "more.csv")
    refused(tmp_path, "one table is expected, or one for each split", "more.csv")


def test_a_table_without_labels_is_no_split(tmp_path: Path) -> None:
    folder(tmp_path, rows("id,label", "0,a", "1,b"), "train.csv")
    folder(tmp_path, rows("id", "2", "3"), "test.csv")
    data = load(tmp_path)
    assert ids(data) == ["images/0.jpg", "images/1.jpg"]
    assert {sample.split for sample in data} == {None}
    assert any("not read: test.csv" in note for note in data.notes)


def test_an_example_of_a_submission_is_not_read(tmp_path: Path) -> None:
    folder(tmp_path, rows("id,label", "0,a", "1,b"), "train.csv")
    folder(tmp_path, rows("id,label", "2,a", "3,a"), "sample_submission.csv")
    data = load(tmp_path)
    assert ids(data) == ["images/0.jpg", "images/1.jpg"]
    assert "other tables, not read: sample_submission.csv" in data.notes


def test_tables_in_the_folders_of_splits(tmp_path: Path) -> None:
    """As Roboflow exports labels."""
    for split, label in (("train", "1, 0"), ("valid", "0, 1")):
        lay(tmp_path, f"{split}/a.jpg", f"{split}/b.jpg")
        lines = [f"{name}.jpg, {label}" for name in "ab"]
        (tmp_path / split / "_classes.csv").write_text(rows("filename, cat, dog", *lines))
    data = load(tmp_path)
    assert [(sample.id, sample.split) for sample in data] == [
        ("train/a.jpg", "train"),
        ("train/b.jpg", "train"),
        ("valid/a.jpg", "valid"),
        ("valid/b.jpg", "valid"),
    ]
    assert names(data) == ["cat", "cat", "dog", "dog"]


def test_hugging_face_metadata_with_labels(tmp_path: Path) -> None:
    data = load(
        folder(
            tmp_path,
            rows("file_name,label", *(f"{c},x{i}" for i, c in enumerate(CATS))),
            "metadata.csv",
        )
    )
    assert ids(data) == CATS


# --- what is asked


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows("lesion,image,x,y1,z", "a,0.jpg,b,c,d"), ["column for the label", "'label'"]),
        (rows("id,url", "0,u0", "1,u1", "2,u2", "3,u3"), ["column for the label"]),
        (rows("path,label", "a.jpg,x"), ["images are expected, found none", "a.jpg"]),
        (rows("image,photo,label", "0.jpg,1.jpg,a", "2.jpg,3.jpg,b"), ["one column is expected"]),
    ],
)
def test_unclear_columns_are_asked_about(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(folder(tmp_path, text), *words)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    data = load(folder(tmp_path, rows("path,label,age,sex", "0.jpg,a,3,f", "1.jpg,b,4,m")))
    assert "columns of train.csv, not read: age, sex" in data.notes
    assert any("4 images without a row" in note for note in data.notes)


@pytest.mark.parametrize(
    "classes", [("1.0", "2.0"), ("a", "b", "a b"), ("nan", "b"), ("[a]", "[b]")]
)
def test_names_that_would_be_read_otherwise_are_not_written(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    pixels = np.zeros((len(classes), 4, 4, 1), np.uint8)
    samples = [Sample(f"{i}", ArraySource(pixels, i), Label(i)) for i in range(len(classes))]
    with pytest.raises(DataError, match=r"cannot store this data: .*class names"):
        csv_format.write(Dataset("d", "classification", classes, samples), tmp_path / "copy")


def test_a_table_of_remarks_does_not_replace_class_folders(tmp_path: Path) -> None:
    lay(tmp_path, "cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png")
    remarks = rows("image,remark", "0.png,fine", "1.png,blurred", "2.png,fine")
    (tmp_path / "remarks.csv").write_text(remarks)
    assert load(tmp_path).classes == ("cat", "dog")
    assert load(tmp_path / "remarks.csv").classes == ("blurred", "fine")


def test_many_numbers_are_asked_about_unless_they_are_called_labels(tmp_path: Path) -> None:
    lines = [f"images/{number}.jpg,{20 + number % 11}" for number in range(44)]
    root = folder(tmp_path, rows("path,age", *lines), images=44)
    refused(root, "'age', got numbers such as '20'", "If this column holds the classes, name it")
    for text in (rows("path,label", *lines), rows(*lines)):
        (root / "train.csv").write_text(text)
        assert len(load(root).classes) == 11


def test_a_number_with_and_without_zeros_is_asked_about(tmp_path: Path) -> None:
    root = folder(tmp_path, rows("path,label", "0.jpg,2", "1.jpg,02", "2.jpg,10"))
    error = refused(root, "'02' and '2', which may be the same")
    assert error.line == 3
    folder(tmp_path, rows("path,label", "0.jpg,02", "1.jpg,03", "2.jpg,10"))
    assert load(root).classes == ("02", "03", "10")


def test_a_column_tells_what_is_in_train(tmp_path: Path) -> None:
    root = folder(tmp_path, rows("path,label,is_train", "0.jpg,a,1", "1.jpg,b,1", "2.jpg,a,0"))
    data = load(root)
    assert [sample.split for sample in data] == ["train", "train", "test"]
    assert any("'is_train' tells which images are in train; the other" in x for x in data.notes)


def test_a_name_that_several_images_have_is_no_second_label(tmp_path: Path) -> None:
    lay(tmp_path, "a/0.jpg", "b/0.jpg", "b/1.jpg", "b/2.jpg")
    table = tmp_path / "data.csv"
    table.write_text(rows("path,label", "0.jpg,x", "0.jpg,y", "1.jpg,x", "2.jpg,y"))
    data = load(table)
    assert ids(data) == ["b/1.jpg", "b/2.jpg"]
    assert ["several have its name" in one.reason for one in data.skipped] == [True, True]
