"""Captions as people bring them: above or inside split folders, without a header, COCO's, texts."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest

from foveate import formats
from foveate.annotations import Captions
from foveate.data.dataset import Dataset
from helpers.format_reading import refusing, skipped

refused = refusing("captions")


def lay(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (4, 3)).save(root / file, "PNG")
    return root


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def texts(data: Dataset[Captions]) -> dict[str, tuple[str, ...]]:
    assert (data.format, data.task) == ("captions", "text_to_image")
    return {sample.id: sample.target.texts for sample in data}


# --- several captions a row


@pytest.mark.parametrize("heading", ["caption_{}", "Caption {}", "text{}"])
def test_a_column_for_each_caption(tmp_path: Path, heading: str) -> None:
    lay(tmp_path, "1.jpg", "2.jpg")
    header = ",".join(heading.format(number) for number in (1, 2, 3))
    rows = "1.jpg,a cat,a grey cat,on a sofa\n2.jpg,a dog,,runs\n"
    write(tmp_path / "captions.csv", f"image,{header}\n{rows}")
    data = formats.read(tmp_path)
    assert texts(data) == {
        "1.jpg": ("a cat", "a grey cat", "on a sofa"),
        "2.jpg": ("a dog", "runs"),
    }
    (note,) = data.notes
    assert note.endswith("of captions.csv are read as captions of the same image")


def test_a_key_for_each_caption(tmp_path: Path) -> None:
    lay(tmp_path, "1.jpg")
    record = {"file_name": "1.jpg", "caption_1": "a cat", "caption_2": "a grey cat"}
    write(tmp_path / "metadata.jsonl", json.dumps(record))
    assert texts(formats.read(tmp_path)) == {"1.jpg": ("a cat", "a grey cat")}


def test_numbered_columns_beside_a_caption_are_none(tmp_path: Path) -> None:
    lay(tmp_path, "1.jpg")
    write(tmp_path / "captions.csv", "image,caption,text_1,text_2\n1.jpg,a cat,x,y\n")
    assert texts(formats.read(tmp_path)) == {"1.jpg": ("a cat",)}


# --- splits


def flickr(root: Path) -> Path:
    lay(root, "Flicker8k_Dataset/1.jpg", "Flicker8k_Dataset/2.jpg", "Flicker8k_Dataset/3.jpg")
    write(
        root / "Flickr8k.token.txt",
        "".join(f"{n}.jpg#{k}\tA dog {k} .\n" for n in "123" for k in "01"),
    )
    write(root / "Flickr_8k.trainImages.txt", "1.jpg\n2.jpg\n")
    (root / "test_notes.txt").write_bytes(b"caf\xe9")
    return root


def test_lists_of_images_give_the_splits(tmp_path: Path) -> None:
    root = flickr(tmp_path)
    write(root / "Flickr_8k.testImages.txt", "3.jpg\n9.jpg\n\n4.jpg\n")  # most are elsewhere
    data = formats.read(root)
    assert [sample.split for sample in data] == ["train", "train", None]
    assert data.notes[-1].endswith(
        "Flickr_8k.trainImages.txt is train; 1 of 3 images are in none of them"
    )
    write(root / "Flickr_8k.testImages.txt", "3.jpg\n")
    assert [sample.split for sample in formats.read(root)] == ["train", "train", "test"]


def test_an_image_in_the_lists_of_two_splits_is_refused(tmp_path: Path) -> None:
    root = flickr(tmp_path)
    write(root / "Flickr_8k.devImages.txt", "3.jpg\n2.jpg\n")
    refused(root, "one split is expected for '2.jpg', Flickr_8k.devImages.txt says valid")


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "captions.txt", "list.csv"])
@pytest.mark.parametrize("folders", [("train", "test"), ("train2017", "test_images")])
def test_a_table_above_the_folders_of_the_splits(
    tmp_path: Path, name: str, folders: tuple[str, str]
) -> None:
    names = [f"{folders[0]}/0.png", f"{folders[0]}/1.png", f"{folders[1]}/0.png"]
    rows = [{"file_name": one, "text": f"a {number}"} for number, one in enumerate(names)]
    lines = [json.dumps(row) for row in rows]
    if not name.endswith("jsonl"):
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    write(lay(tmp_path, *names) / name, "\n".join(lines))
    data = formats.read(tmp_path)
    assert texts(data) == {one: (f"a {number}",) for number, one in enumerate(names)}
    assert [sample.split for sample in data] == ["train", "train", "test"]
    assert data.notes == (
        f"the splits are those of the folders in the paths: {folders[0]}/ (2), {folders[1]}/ (1)",
    )


def test_words_of_splits_in_the_names_of_images_mean_nothing(tmp_path: Path) -> None:
    names = ["photo of a train.png", "photo of test tubes.png", "train.png", "valid.png"]
    rows = "".join(f"{name},a text\n" for name in names)
    write(lay(tmp_path, *names) / "metadata.csv", "file_name,text\n" + rows)
    data = formats.read(tmp_path)
    assert list(texts(data)) == names
    assert {sample.split for sample in data} == {None}
    assert data.notes == ()


@pytest.mark.parametrize("words", [("train", "val"), ("captions_train", "captions_dev")])
def test_a_table_for_each_split_beside_the_images(tmp_path: Path, words: tuple[str, str]) -> None:
    lay(tmp_path, "0.png", "1.png")
    for number, word in enumerate(words):
        write(tmp_path / f"{word}.csv", f"image,caption\n{number}.png,a\n")
    data = formats.read(tmp_path)
    assert {s.id: s.split for s in data} == {"0.png": "train", "1.png": "valid"}


def test_a_table_in_a_folder_of_its_own(tmp_path: Path) -> None:
    lay(tmp_path, "images/0.png", "images/1.png")
    write(tmp_path / "annotations" / "captions.csv", "image,caption\n0.png,a\n1.png,b\n")
    assert texts(formats.read(tmp_path)) == {"images/0.png": ("a",), "images/1.png": ("b",)}


# --- names of images


def test_full_paths_and_names_without_a_suffix_are_found(tmp_path: Path) -> None:
    lay(tmp_path, "images/0.png", "images/1.png", "images/2.png")
    rows = "/home/x/set/images/0.png,a\nC:\\set\\1.png,b\n2,c\nimages/3.png,d\n"
    write(tmp_path / "captions.csv", "image,caption\n" + rows)
    data = formats.read(tmp_path)
    assert texts(data) == {
        "images/0.png": ("a",),
        "images/1.png": ("b",),
        "images/2.png": ("c",),
    }
    assert skipped(data) == {"images/3.png": "there is no such file"}
    assert len(data.notes) == 2


def test_two_images_of_one_name_are_not_taken(tmp_path: Path) -> None:
    lay(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    write(tmp_path / "captions.csv", "image,caption\n/x/0.png,a\n/x/1.png,b\n")
    data = formats.read(tmp_path, "captions")
    assert list(texts(data)) == ["b/1.png"]
    (reason,) = skipped(data).values()
    assert reason.endswith("several have its name: a/0.png and b/0.png")


# --- Flickr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.txt", "image,caption\n0.png,A red bus .\n0.png,\"A bus, red .\"\n"),
        ("captions.txt", "0.png\tA red bus .\n0.png\tA bus, red .\n"),
        ("captions.txt", "0.png,A red bus .\n0.png,A bus, red .\n"),
        ("Flickr8k.token.txt", "0.png#0\tA red bus .\n0.png#1\tA bus, red .\n"),
        ("results.csv", "image_name| comment_number| comment\n"
         "0.png| 0| A red bus .\n0.png| 1| A bus, red .\n"),
    ],
)  # fmt: skip
def test_flickr_tables_are_read(tmp_path: Path, name: str, text: str) -> None:
    file = write(lay(tmp_path, "Images/0.png") / name, text)
    for path in (tmp_path, file):
        data = formats.read(path)
        assert texts(data) == {"Images/0.png": ("A red bus .", "A bus, red .")}


def test_a_line_without_a_text_is_refused(tmp_path: Path) -> None:
    file = write(lay(tmp_path, "0.png") / "captions.txt", "0.png\tA bus\n0.png\n")
    error = refused(tmp_path, "the name of an image, a tab and a text are expected")
    assert (error.where, error.line) == (file, 2)


# --- JSON


@pytest.mark.parametrize(
    "content",
    [
        [{"image": "0.png", "caption": "a"}, {"image": "1.png", "caption": ["b", "c"]}],
        [{"file_name": "x/0.png", "text": "a", "split": "train"},
         {"file_name": "x/1.png", "text": ["b", "c"], "split": "test"}],
        {"0.png": "a", "/home/x/1.png": ["b", "c"]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["captions.json", "any.json"])
def test_json_of_records_or_of_texts_is_read(tmp_path: Path, content: object, name: str) -> None:
    file = write(lay(tmp_path, "x/0.png", "x/1.png") / name, json.dumps(content, indent=1))
    for path in (tmp_path, file):
        assert texts(formats.read(path)) == {"x/0.png": ("a",), "x/1.png": ("b", "c")}


@pytest.mark.parametrize(
    "content",
    [[], [5], [{"image": "0.png"}], {"0.png": 5}, {"0.png": {"a": 1}}, {"a": "b"}, 5, [[1]],
     [{"image": "0.png", "caption": "a", "annotation_id": 1, "lead_time": 2.0}]],
)  # fmt: skip
def test_other_json_is_no_table_of_captions(tmp_path: Path, content: object) -> None:
    write(lay(tmp_path, "0.png") / "captions.json", json.dumps(content))
    assert not formats.find("captions").sniff(tmp_path)
    assert not formats.find("captions").sniff(tmp_path / "captions.json")
    refused(tmp_path, "a table of captions is expected, found none")


def test_a_wrong_record_in_json_is_refused(tmp_path: Path) -> None:
    write(lay(tmp_path, "0.png") / "x.json", '[{"image": "0.png", "caption": "a"}, 5]')
    refused(tmp_path, "a list of objects is expected, entry 2 is 5")
    write(tmp_path / "x.json", '{"0.png": "a", "1.png": 5}')
    refused(tmp_path, "a text or a list of texts is expected, got 5")


# --- COCO


def coco(split: str) -> str:
    images = [{"id": number, "file_name": f"{number}.png"} for number in (3, 1)]
    captions = [
        {"id": id, "image_id": image, "caption": f"{split} {id}"}
        for id, image in enumerate((1, 3, 1))
    ]
    return json.dumps({"images": images, "annotations": captions, "info": {}})


def test_coco_captions_are_read(tmp_path: Path) -> None:
    for word, folder in (("train", "train2017"), ("val", "val2017")):
        lay(tmp_path, f"{folder}/1.png", f"{folder}/3.png")
        write(tmp_path / "annotations" / f"captions_{word}2017.json", coco(word))
    data = formats.read(tmp_path)
    assert texts(data) == {
        "train2017/3.png": ("train 1",),
        "train2017/1.png": ("train 0", "train 2"),
        "val2017/3.png": ("val 1",),
        "val2017/1.png": ("val 0", "val 2"),
    }
    assert [sample.split for sample in data] == ["train", "train", "valid", "valid"]
    assert data.notes == ()
    alone = lay(tmp_path / "alone", "1.png", "3.png")
    assert len(formats.read(write(alone / "x.json", coco("x")))) == 2
    wrong = json.loads(coco("x"))
    wrong["annotations"][0]["image_id"] = 9
    refused(write(alone / "x.json", json.dumps(wrong)), "the image_id of a listed image")
    wrong["annotations"][0]["caption"] = 9
    refused(write(alone / "x.json", json.dumps(wrong)), "a text is expected as caption")


def test_objects_beside_captions_come_first_and_are_noted(tmp_path: Path) -> None:
    lay(tmp_path, "train2017/1.png", "train2017/3.png")
    write(tmp_path / "annotations" / "captions_train2017.json", coco("train"))
    content = json.loads(coco("x"))
    content["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}]
    content["categories"] = [{"id": 1, "name": "cat"}]
    write(tmp_path / "annotations" / "instances_train2017.json", json.dumps(content))
    data = formats.read(tmp_path)
    assert data.format == "coco"
    assert "not read: annotations/captions_train2017.json" in data.notes[0]
    data = formats.read(tmp_path / "annotations" / "captions_train2017.json")
    assert list(texts(data)) == ["train2017/3.png", "train2017/1.png"]


# --- a text for each image


def test_a_text_beside_each_image_is_its_caption(tmp_path: Path) -> None:
    lay(tmp_path, *(f"10_cat/{number}.png" for number in range(4)), "5_dog/0.png")
    write(tmp_path / "5_dog" / "0.txt", "a dog")
    write(tmp_path / "10_cat" / "0.txt", "a cat, sitting\n")
    write(tmp_path / "10_cat" / "1.txt", "a cat\r\n\r\nit sleeps")
    write(tmp_path / "10_cat" / "2.caption", "")
    data = formats.read(tmp_path)
    assert texts(data) == {
        "10_cat/0.png": ("a cat, sitting",),
        "10_cat/1.png": ("a cat", "it sleeps"),
        "10_cat/2.png": ("",),
        "5_dog/0.png": ("a dog",),
    }
    assert skipped(data) == {"10_cat/3.png": "there is no text file of the same name"}
    assert "1 text of several lines" in data.notes[0]


def test_texts_of_numbers_are_no_captions(tmp_path: Path) -> None:
    lay(tmp_path, "0.png", "1.png")
    write(tmp_path / "0.txt", "0 0.5 0.5 0.1 0.1\n")
    write(tmp_path / "1.txt", "")
    assert not formats.find("captions").sniff(tmp_path)
    write(tmp_path / "1.txt", "a cat")
    assert not formats.find("captions").sniff(tmp_path)
    (tmp_path / "0.txt").unlink()
    assert not formats.find("captions").sniff(tmp_path)  # a note beside one of two images


# --- questions


def test_what_a_table_lacks_is_named(tmp_path: Path) -> None:
    write(lay(tmp_path, "0.png") / "metadata.jsonl", '{"file_name": "0.png", "colour": "red"}\n')
    module = formats.find("captions")
    assert module.missing(tmp_path) == (
        "metadata.jsonl has file_name, colour, but no column text or caption"
    )
    assert module.missing(lay(tmp_path / "none", "x.png")) is None


def test_several_texts_are_asked_about(tmp_path: Path) -> None:
    row = '{"file_name": "0.png", "text": "a", "caption": "b"}\n'
    write(lay(tmp_path, "0.png") / "metadata.jsonl", row)
    refused(tmp_path, "one key is expected for the text, found text, caption")
    assert formats.find("captions").sniff(tmp_path)
