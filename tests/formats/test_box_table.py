"""Tables of boxes, one row an object, as the tools that people use write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate import formats
from foveate.annotations import Boxes
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import box_table
from helpers.damage import FUZZ, read_or_refused
from helpers.format_reading import boxes, named, refusing, skipped

WIDTH, HEIGHT = 40, 30
refused = refusing("csv-boxes")


def images(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (WIDTH, HEIGHT)).save(root / name)
    return root


def folder(root: Path, *lines: str, name: str = "boxes.csv") -> Path:
    images(root, *(f"images/{stem}.png" for stem in "abc"))
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


A, B, C = "images/a.png", "images/b.png", "images/c.png"
EXPECTED = {A: [[1, 2, 11, 22], [20, 5, 40, 30]], B: [[3, 3, 9, 9]]}
CLASSES = {A: ["cat", "dog"], B: ["cat"]}
FRACTIONS = [
    "a,cat,0.025,0.275,0.06666666667,0.7333333333",
    "a,dog,0.5,1,0.16666666667,1",
    "b,cat,0.075,0.225,0.1,0.3",
]


@pytest.mark.parametrize(
    "lines",
    [
        # TensorFlow Object Detection API; also Roboflow
        [
            "filename,width,height,class,xmin,ymin,xmax,ymax",
            "a.png,40,30,cat,1,2,11,22",
            "a.png,40,30,dog,20,5,40,30",
            "b.png,40,30,cat,3,3,9,9",
        ],
        # keras-retinanet
        ["images/a.png,1,2,11,22,cat", "images/a.png,20,5,40,30,dog", "images/b.png,3,3,9,9,cat"],
        # DeepForest
        [
            "image_path,xmin,ymin,xmax,ymax,label",
            "a.png,1,2,11,22,cat",
            "a.png,20,5,40,30,dog",
            "b.png,3,3,9,9,cat",
        ],
        # Open Images
        ["ImageID,LabelName,XMin,XMax,YMin,YMax", *FRACTIONS],
        # x, y, w, h
        [
            "image_id,class,x,y,w,h",
            "a,cat,1,2,10,20",
            "a,dog,20,5,20,25",
            "b,cat,3,3,6,6",
        ],
        [
            "image,label,bbox_x,bbox_y,bbox_width,bbox_height,image_width,image_height",
            "a.png,cat,1,2,10,20,40,30",
            "a.png,dog,20,5,20,25,40,30",
            "b.png,cat,3,3,6,6,40,30",
        ],
        [
            "file;name;x_center;y_center;width;height",
            "a.png;cat;6;12;10;20",
            "a.png;dog;30;17.5;20;25",
            "b.png;cat;6;6;6;6",
        ],
        # a list in one field
        [
            "image_id,width,height,bbox,label",
            'a,40,30,"[1.0, 2.0, 10.0, 20.0]",cat',
            'a,40,30,"[20, 5, 20, 25]",dog',
            'b,40,30,"[3, 3, 6, 6]",cat',
        ],
        [
            "image,bbox,label",
            'a.png,"(1, 2, 11, 22)",cat',
            "a.png,20 5 40 30,dog",
            "b.png,[3 3 9 9],cat",
        ],
        [
            "image,bbox_xyxy,label",
            'a.png,"[1, 2, 11, 22]",cat',
            'a.png,"[20, 5, 40, 30]",dog',
            'b.png,"[3, 3, 9, 9]",cat',
        ],
        # the German Traffic Sign Benchmark
        [
            "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;Label",
            "a.png;40;30;1;2;11;22;cat",
            "a.png;40;30;20;5;40;30;dog",
            "b.png;40;30;3;3;9;9;cat",
        ],
        # with a row number, and a number of each annotation
        [
            ",id,image_id,left,top,right,bottom,class_id,class_name",
            "0,7,a,1,2,11,22,0,cat",
            "1,8,a,20,5,40,30,1,dog",
            "2,9,b,3,3,9,9,0,cat",
        ],
    ],
)
def test_tables_of_every_tool_give_the_same_boxes(tmp_path: Path, lines: Sequence[str]) -> None:
    data = formats.read(folder(tmp_path, *lines))
    assert (data.format, data.task, data.classes) == ("csv-boxes", "detection", ("cat", "dog"))
    assert set(boxes(data)) == {A, B}
    for id, expected in EXPECTED.items():
        assert np.allclose(boxes(data)[id], expected, atol=1e-6)
    assert named(data) == CLASSES
    assert any("1 image without a row, left out (such as images/c.png)" in n for n in data.notes)
    assert formats.read(tmp_path / "boxes.csv").classes == data.classes


# --- images without objects


@pytest.mark.parametrize(
    "lines",
    [
        ["images/a.png,1,2,11,22,cat", "images/b.png,,,,,"],
        ["image_path,xmin,ymin,xmax,ymax,label", "a.png,1,2,11,22,cat", "b.png,0,0,0,0,cat"],
        ["image,xmin,ymin,xmax,ymax,class", "a.png,1,2,11,22,cat", "b.png,nan,NaN,,,nan"],
        ["image,bbox_xywh,class", '"a.png","[1, 2, 10, 20]",cat', "b.png,,"],
        ["patientId,x,y,width,height,Target", "a,1,2,10,20,cat", "b,,,,,0"],
    ],
)
def test_images_without_objects(tmp_path: Path, lines: Sequence[str]) -> None:
    data = formats.read(folder(tmp_path, *lines), task="detection")
    assert boxes(data) == {A: [[1, 2, 11, 22]], B: []}
    assert data.classes == ("cat",)


def test_a_table_without_a_class_has_one(tmp_path: Path) -> None:
    """As in the data of the Global Wheat Detection challenge, where `source` tells the place."""
    data = formats.read(
        folder(
            tmp_path,
            "image_id,width,height,bbox,source",
            'a,40,30,"[1, 2, 10, 20]",farm',
            'a,40,30,"[20, 5, 20, 25]",farm',
            'b,40,30,"[3, 3, 6, 6]",lab',
            'b,40,30,"[30, 3, 6, 6]",lab',
        )
    )
    assert data.classes == ("object",)
    assert any("has no column for the class" in note for note in data.notes)
    assert any("not read: source" in note for note in data.notes)


def test_a_column_that_may_be_the_class_is_asked_about(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        "image,xmin,ymin,xmax,ymax,fruit",
        "a.png,1,2,11,22,apple",
        "a.png,20,5,40,30,pear",
        "b.png,3,3,9,9,apple",
        "c.png,3,3,9,9,apple",
    )
    refused(path, "a column for the class is expected", "If 'fruit' is the class, name it 'class'")


# --- pixels or fractions, corners or sizes


def test_open_images_with_names_and_groups(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf",
        "a,xclick,/m/01,1,0.025,0.275,0.1,0.7,0,1",
        "a,xclick,/m/02,1,0.5,1,0.2,1,0,0",
        name="train-annotations-bbox.csv",
    )
    (path / "class-descriptions-boxable.csv").write_text("/m/01,Tree\n/m/02,Bird\n/m/03,Fish\n")
    data = formats.read(path)
    assert data.classes == ("Tree", "Bird")
    assert data[0].target.crowd.tolist() == [True, False]
    assert np.allclose(data[0].target.corners[0], [1, 3, 11, 21])
    assert any("fractions of the image's width and height" in note for note in data.notes)
    assert "the ids of the classes are named by class-descriptions-boxable.csv" in data.notes
    assert not any("other tables" in note for note in data.notes)


def test_fractions_of_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    path = folder(tmp_path, "ImageID,LabelName,XMin,XMax,YMin,YMax", *FRACTIONS)
    (path / A).write_bytes(b"no image")
    data = formats.read(path)
    assert "its size, by which its boxes are to be multiplied" in skipped(data)[A]
    assert set(boxes(data)) == {B}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["image,xmin,ymin,xmax,ymax,class", "a.png,0,0,1,1,cat"],
            ["boxes.csv:2", "all their numbers are 0 or 1"],
        ),
        (
            [
                "image,xmin,ymin,xmax,ymax,class",
                "a.png,0.1,0.1,0.5,0.5,cat",
                "a.png,0.1,0.2,0.5,0.5,cat",
                "b.png,10,10,20,20,cat",
            ],
            [
                "boxes.csv:4",
                "in fractions of the image are expected, as most",
                "got 10, 10, 20, 20",
            ],
        ),
        (
            ["image,bbox,class", 'a.png,"[1, 2, 11, 22]",cat', 'b.png,"[3, 3, 9, 9]",cat'],
            [
                "boxes.csv:2",
                "it is unclear what their numbers are",
                "left, top, right and bottom: 0%",
                "left, top, width and height: 0%",
                "bbox_xyxy",
                "bbox_xywh",
            ],
        ),
        (
            ["image,x,y,w,h,class", *["a.png,35,15,10,10,cat"] * 3],
            ["it is unclear what their numbers are", "x_center,y_center,w,h"],
        ),
    ],
)
def test_numbers_with_two_meanings_are_asked_about(
    tmp_path: Path, lines: list[str], words: list[str]
) -> None:
    refused(folder(tmp_path, *lines), *words)


def test_a_list_is_decided_by_whether_the_boxes_fit(tmp_path: Path) -> None:
    corners = ['a.png,"[1, 2, 11, 22]",cat', 'b.png,"[20, 20, 39, 29]",cat']
    data = formats.read(folder(tmp_path, "image,bbox,class", *corners))
    assert boxes(data) == {A: [[1, 2, 11, 22]], B: [[20, 20, 39, 29]]}
    assert any("read as left, top, right and bottom" in note for note in data.notes)
    sizes = ['a.png,"[1, 2, 10, 20]",cat', 'b.png,"[20, 20, 5, 9]",cat']
    data = formats.read(folder(tmp_path, "image,bbox,class", *sizes))
    assert boxes(data) == {A: [[1, 2, 11, 22]], B: [[20, 20, 25, 29]]}
    assert any("read as left, top, width and height" in note for note in data.notes)


# --- splits


def test_a_table_for_each_split(tmp_path: Path) -> None:
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    folder(tmp_path, header, "a.png,40,30,cat,1,2,11,22", name="train_labels.csv")
    folder(tmp_path, header, "b.png,40,30,dog,1,2,11,22", name="test_labels.csv")
    data = formats.read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {A: "train", B: "test"}
    folder(tmp_path, header, "b.png,40,30,dog,1,2,11,22", name="more.csv")
    refused(tmp_path, "one table is expected, or one for each split")
    (tmp_path / "more.csv").unlink()
    folder(tmp_path, header, "a.png,40,30,dog,1,2,11,22", name="test_labels.csv")
    refused(tmp_path, "one split is expected", "'test'", "'train'")


def test_tables_in_the_folders_of_splits(tmp_path: Path) -> None:
    """As Roboflow exports boxes."""
    for split in ("train", "valid", "test"):
        images(tmp_path, f"{split}/a.png")
        (tmp_path / split / "_annotations.csv").write_text(
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,30,cat,1,2,11,22\n"
        )
    data = formats.read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        f"{split}/a.png": split for split in ("train", "valid", "test")
    }


@pytest.mark.parametrize(
    "lines",
    [
        ["path,xmin,ymin,xmax,ymax,class,split", f"{A},1,2,9,9,x,train", f"{B},1,2,9,9,x,dev"],
        ["path,xmin,ymin,xmax,ymax,class,fold", f"{A},1,2,9,9,x,train", f"{B},1,2,9,9,x,val"],
        ["path,xmin,ymin,xmax,ymax,class", "/x/train/a.png,1,2,9,9,c", "/x/val/b.png,1,2,9,9,c"],
    ],
)
def test_splits_in_columns_and_paths(tmp_path: Path, lines: Sequence[str]) -> None:
    data = formats.read(folder(tmp_path, *lines))
    assert [sample.split for sample in data] == ["train", "valid"]


# --- what is refused


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,x,9,cat"], [":2", "four numbers", "1, 2, x"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,,9,cat"], [":2", "four numbers"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,inf,9,cat"], ["four numbers"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,1_0,9,cat"], ["four numbers"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,9e99,9,cat"], ["four numbers"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,9,9,"], [":2", "a class is expected"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,9,9,nan"], ["a class is expected"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},1,2,9,9"], [":2", "6 fields", "got 5"]),
        (["path,xmin,ymin,xmax,ymax,class", ",1,2,9,9,x"], [":2", "the path of an image"]),
        (["path,xmin,ymin,xmax,ymax,class", f"{A},,,,,"], ["boxes are expected, found none"]),
        (["path,xmin,ymin,xmax,ymax,class", "no.png,1,2,9,9,x"], ["found none that can be used"]),
        (
            ["path,xmin,ymin,xmax,ymax,class,score", f"{A},1,2,9,9,x,0.7"],
            [":2", "a score of '0.7' makes this a prediction"],
        ),
        (
            ["path,xmin,ymin,xmax,ymax,class,iscrowd", f"{A},1,2,9,9,x,2"],
            ["0 or 1 is expected as iscrowd"],
        ),
        (
            ["path,xmin,ymin,xmax,ymax,width,height,class", f"{A},1,2,9,9,x,2,cat"],
            ["whole numbers of pixels are expected as the image's size"],
        ),
        (
            ["path,xmin,ymin,xmax,ymax,class,label", f"{A},1,2,9,9,x,y", f"{A},1,2,9,9,x,z"],
            ["one column is expected for the class, found class, label"],
        ),
        (
            ["path,xmin,ymin,xmax,ymax,class,group", f"{A},1,2,9,9,x,p", f"{A},1,2,9,9,x,q"],
            [":3", "one group is expected", "'p' on line 2", "'q'"],
        ),
        (["who,xmin,ymin,xmax,ymax,class", "x,1,2,9,9,x"], ["a column for the path of the image"]),
    ],
)
def test_rows_that_cannot_be_understood(tmp_path: Path, lines: list[str], words: list[str]) -> None:
    refused(folder(tmp_path, *lines), "boxes.csv", *words)


def test_other_data_is_refused(tmp_path: Path) -> None:
    refused(images(tmp_path, "a.png"), "a table of boxes is expected, found none")


# --- writing


@pytest.mark.parametrize(
    ("corners", "name", "problem"),
    [
        ((0, 0, 0, 0), "cat", "with a box of zeros"),
        ((0, 0, 1, 1), "cat", "boxes within the first pixel"),
        ((1, 1, 5, 5), "2.0", "the class name '2.0'"),
        ((1, 1, 5, 5), "nan", "the class name 'nan'"),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(
    tmp_path: Path, corners: tuple[float, ...], name: str, problem: str
) -> None:
    target = Boxes(np.array([corners], float), np.array([0]), size=(8, 8))
    source = ArraySource(np.zeros((1, 8, 8, 1), np.uint8), 0)
    data = Dataset("d", "detection", (name,), [Sample("a", source, target)])
    with pytest.raises(DataError, match="cannot store this data") as caught:
        box_table.write(data, tmp_path / "copy")
    assert problem in str(caught.value)


def test_the_columns_are_those_of_tensorflow(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path / "in", f"{A},1,2,11,22,cat", f"{B},,,,,"))
    box_table.write(data, tmp_path / "out")
    assert (tmp_path / "out" / "boxes.csv").read_text().splitlines() == [
        '"filename","width","height","class","xmin","ymin","xmax","ymax"',
        '"images/a.png",40,30,"cat",1.0,2.0,11.0,22.0',
        '"images/b.png",40,30,"","","","",""',
    ]


# --- fuzzing


@FUZZ
@given(
    body=st.lists(
        st.lists(
            st.sampled_from(
                ["a.png", "b", "1", "0.5", "", "cat", "nan", '"', "-3", "1e9", "[1,2,3,4]"]
            ),
            min_size=1,
            max_size=8,
        ).map(",".join),
        max_size=6,
    ).map("\n".join)
    | st.text(alphabet='a.png,1"\r;\t/ x\0', max_size=80),
    header=st.sampled_from(
        [
            "path,xmin,ymin,xmax,ymax,class\n",
            "image,bbox,class\n",
            "image_id,x,y,w,h\n",
            "filename,width,height,class,xmin,ymin,xmax,ymax\n",
            "",
        ]
    ),
)
def test_any_table_is_data_or_one_error(tmp_path: Path, header: str, body: str) -> None:
    folder(tmp_path)
    (tmp_path / "boxes.csv").write_bytes((header + body).encode())
    data = read_or_refused(tmp_path, "csv-boxes")
    assert data is None or len(data) >= 1
