"""Label Studio's JSON and JSON-MIN: what is read, asked about and refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings

from foveate import formats
from foveate.formats.label_studio import brush
from helpers.damage import FUZZ, other_bytes, other_values, read_or_refused
from helpers.format_reading import boxes, named, refusing, skipped

WIDTH, HEIGHT = 20, 10
Record = dict[str, Any]
refused = refusing("label-studio")


def folder(root: Path, *tasks: Record, text: str | None = None) -> Path:
    for name in ("images/a.png", "images/b.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (WIDTH, HEIGHT)).save(root / name)
    (root / "project-1.json").write_text(text or json.dumps(list(tasks)), encoding="utf-8")
    return root


def result(kind: str, value: Record, **more: Any) -> Record:
    sides = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    tags = {"from_name": "label", "to_name": "image"}
    return {"id": "r1", "type": kind, "value": value, **sides, **tags, **more}


def rectangle(x: float, y: float, w: float, h: float, label: str = "cat", **more: Any) -> Record:
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [label]}
    return result("rectanglelabels", {**value, **more})


def task(*results: Record, image: str = "/data/upload/1/a.png", **more: Any) -> Record:
    annotation = {"id": 7, "completed_by": 1, "was_cancelled": False, "result": list(results)}
    return {"id": 3, "data": {"image": image}, "annotations": [annotation], **more}


A, B = "images/a.png", "images/b.png"
BOX = rectangle(10, 20, 30, 40)


def test_rectangles_are_percents(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, task(BOX), task(image="/data/upload/1/1a2b3c4d-b.png")))
    assert (data.format, data.task, data.classes) == ("label-studio", "detection", ("cat",))
    assert boxes(data) == {A: [[2, 2, 8, 6]], B: []}
    assert data[0].target.size == (HEIGHT, WIDTH)
    assert any("end of it" in note for note in data.notes)
    assert formats.read(tmp_path / "project-1.json").classes == ("cat",)


def test_a_rectangle_turns_about_its_corner(tmp_path: Path) -> None:
    turned = rectangle(50, 20, 20, 10, rotation=90)  # 4 x 1 pixels at (10, 2): down, to the left
    data = formats.read(folder(tmp_path, task(turned)))
    assert np.allclose(boxes(data)[A], [[9, 2, 10, 6]])


def test_a_rectangle_on_its_head_is_a_box_with_ordered_corners(tmp_path: Path) -> None:
    turned = rectangle(50, 50, 20, 10, rotation=180)  # 4 x 1 pixels at (10, 5): up, to the left
    data = formats.read(folder(tmp_path, task(turned)))
    assert data.task == "detection"
    assert np.allclose(boxes(data)[A], [[6, 4, 10, 5]])


def test_polygons_and_ellipses(tmp_path: Path) -> None:
    value = {"points": [[0, 0], [50, 0], [0, 50]], "polygonlabels": ["dog"], "closed": True}
    round_one = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["cat"]}
    tasks = task(result("polygonlabels", value), result("ellipselabels", round_one), BOX)
    data = formats.read(folder(tmp_path, tasks))
    assert (data.task, data.classes) == ("instance", ("cat", "dog"))
    assert np.allclose(boxes(data)[A], [[0, 0, 10, 5], [8, 3, 12, 7], [2, 2, 8, 6]])
    assert data[0].target.shapes[2] is None


def test_labels_apart_from_their_regions(tmp_path: Path) -> None:
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    one = result("rectangle", place)
    two = result("labels", {**place, "labels": ["dog"]})
    data = formats.read(folder(tmp_path, task(one, two)))
    assert (boxes(data)[A], named(data)[A]) == ([[2, 2, 8, 6]], ["dog"])
    data = formats.read(folder(tmp_path, task(one)))
    assert named(data)[A] == ["object"]
    assert "regions without a label, read as 'object': 1" in data.notes


# --- brush masks


def stream(words: str, size: int = HEIGHT * WIDTH * 4) -> list[int]:
    """The header for values of 8 bits and lengths of 4, 8, 12 and 16 bits, then the words."""
    header = f"{size:032b}" + f"{7:05b}" + "".join(f"{bits - 1:04b}" for bits in (4, 8, 12, 16))
    bits = header + words.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def run(length: int, value: int) -> str:
    return f"1 11 {length - 1:016b} {value:08b} "


def literal(*values: int) -> str:
    return f"0 00 {len(values) - 1:04b} " + "".join(f"{value:08b}" for value in values) + " "


def test_brush_masks_from_bits_written_by_hand(tmp_path: Path) -> None:
    """One opaque pixel in row 0, column 2; then all of the last row."""
    bits = run(8, 0) + literal(0, 0, 0, 255) + run((WIDTH * 9 - 3) * 4, 0) + run(WIDTH * 4, 255)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[0, 2] = True
    expected[9] = True
    assert (brush.decode(bytes(stream(bits)), (HEIGHT, WIDTH)) == expected).all()
    value = {"format": "rle", "rle": stream(bits), "brushlabels": ["dog"]}
    data = formats.read(folder(tmp_path, task(result("brushlabels", value))))
    assert data.task == "instance"
    assert (data[0].target.shapes[0].mask((HEIGHT, WIDTH)) == expected).all()


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        (stream(run(800, 255))[:-1], "it is cut short"),
        ([], "it is cut short"),
        (stream(run(801, 255)), "801 values are in it, 800 are announced"),
        (stream(run(4, 255), size=4), "4 values do not make 20 x 10 pixels"),
        ([300], "bytes must be in range"),
        (["a"], "interpreted as an integer"),
        (5, "a mask of 20 x 10 pixels is expected"),
    ],
)
def test_brush_masks_that_cannot_be_understood(tmp_path: Path, rle: Any, words: str) -> None:
    value = {"format": "rle", "rle": rle, "brushlabels": ["dog"]}
    refused(folder(tmp_path, task(result("brushlabels", value))), "task 3", words)


# --- labels and texts of images


def choice(*names: str) -> Record:
    return {"id": "c", "type": "choices", "value": {"choices": list(names)}, "from_name": "c"}


def written(*texts: str) -> Record:
    return {"id": "t", "type": "textarea", "value": {"text": list(texts)}, "from_name": "t"}


def test_choices_are_labels(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, task(choice("x")), task(choice("y"), image="b.png")))
    assert (data.task, data.classes) == ("classification", ("x", "y"))
    assert [sample.id for sample in data] == [A, B]
    refused(folder(tmp_path, task(choice("x", "y"))), "one label an image is expected, got x, y")


def test_texts_are_captions(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, task(written("a cat", "one cat"))))
    assert data.task == "text_to_image"
    assert data[0].target.texts == ("a cat", "one cat")


def test_several_tasks_are_asked_about(tmp_path: Path) -> None:
    one, two = task(choice("x"), BOX), task(choice("y"), written("hm"), image="b.png")
    path = folder(tmp_path, one, two)
    refused(
        path,
        "found those for several",
        "--task detection: 1 object",
        "--task classification: 2 images with a label",
        "--task text_to_image: 1 image with a text",
    )
    assert formats.read(path, task="classification").classes == ("x", "y")
    assert len(formats.read(path, task="detection")) == 2
    assert skipped(formats.read(path, task="text_to_image")) == {A: "it has no text"}


# --- which annotation


def annotated(*annotations: Record) -> Record:
    return {**task(), "annotations": list(annotations)}


def test_cancelled_and_missing_annotations(tmp_path: Path) -> None:
    cancelled = {"result": [rectangle(0, 0, 5, 5)], "was_cancelled": True}
    one = annotated(cancelled, {"result": [BOX]})
    two = {**annotated(), "data": {"image": "b.png"}, "predictions": [{"result": [BOX]}]}
    data = formats.read(folder(tmp_path, one, two))
    assert boxes(data) == {A: [[2, 2, 8, 6]]}
    assert skipped(data) == {B: "nobody annotated it"}
    assert "cancelled annotations, left out: 1" in data.notes
    assert "tasks with predictions only, which are not read: 1" in data.notes


def test_several_annotations(tmp_path: Path) -> None:
    same = {"result": [{**BOX, "id": "other"}]}
    data = formats.read(folder(tmp_path, annotated({"result": [BOX]}, same)))
    assert boxes(data) == {A: [[2, 2, 8, 6]]}
    assert "equal annotations of one task, read once: 1" in data.notes
    other = {"result": [rectangle(0, 0, 5, 5)]}
    refused(
        folder(tmp_path, annotated({"result": [BOX]}, other)),
        "one annotation is expected for task 3, found 2 finished ones that differ",
        "ground truth",
    )
    data = formats.read(folder(tmp_path, annotated({"result": [BOX], "ground_truth": True}, other)))
    assert boxes(data) == {A: [[2, 2, 8, 6]]}


# --- JSON-MIN


def minimal(image: str = "/data/upload/1/a.png", **controls: Any) -> Record:
    more = {"annotator": 1, "annotation_id": 4, "lead_time": 2.5, "id": image}
    return {"image": image, **controls, **more}


def test_json_min(tmp_path: Path) -> None:
    sides = {"original_width": WIDTH, "original_height": HEIGHT}
    label = [{**BOX["value"], **sides}]
    data = formats.read(folder(tmp_path, minimal(label=label), minimal("b.png", label=[])))
    assert (data.format, data.task, boxes(data)) == (
        "label-studio",
        "detection",
        {A: [[2, 2, 8, 6]], B: []},
    )
    data = formats.read(folder(tmp_path, minimal(choice="x"), minimal("b.png", choice="y")))
    assert (data.task, data.classes) == ("classification", ("x", "y"))
    data = formats.read(folder(tmp_path, minimal(caption="a cat"), minimal("b.png", caption="x")))
    assert [sample.target.texts for sample in data] == [("a cat",), ("x",)]
    several = {"choices": ["x", "y"]}
    refused(folder(tmp_path, minimal(choice=several)), "one label an image is expected")
    refused(folder(tmp_path, minimal(answers="x")), "what 'answers' is, JSON-MIN does not say")


# --- what is refused


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([task(rectangle("x", 1, 2, 3))], ["numbers up to 1,000,000,000 are expected as x"]),
        ([task(rectangle(1e99, 1, 2, 3))], ["are expected as x in task 3"]),
        ([task({**BOX, "original_width": None})], ["original_width and original_height"]),
        ([task(result("polygonlabels", {"points": [[1]], "polygonlabels": ["x"]}))], ["points"]),
        ([task(rectangle(1, 1, 2, 3, rectanglelabels=["x", "y"]))], ["one label a region"]),
        ([task(rectangle(1, 1, 2, 3, rectanglelabels=[5]))], ["a text is expected"]),
        ([task({"value": None})], ["results with a value are expected in task 3"]),
        ([{**task(BOX), "data": {}}], ["one image a task is expected in the data of task 3"]),
        ([{**task(BOX), "data": {"x": "a.png", "y": "b.png"}}], ["found x, y"]),
        ([{**task(BOX), "data": None}], ["data is expected in task 3"]),
        ([task(BOX), task(BOX)], ["one task for each image is expected"]),
        ([annotated({"result": None})], ["a list is expected as the result"]),
        ([{**task(BOX), "annotations": {"result": 1}}], ["a list of annotations"]),
        ([task()], ["annotations are expected, found none"]),
        ([task(BOX, image="z.png")], ["images are expected, found none that can be used", "z.png"]),
        ([{**annotated(), "x": {"result": 1}}], ["annotated tasks are expected, found none (1"]),
    ],
)
def test_tasks_that_cannot_be_understood(
    tmp_path: Path, tasks: Sequence[Record], words: list[str]
) -> None:
    assert refused(folder(tmp_path, *tasks), *words).where == tmp_path / "project-1.json"


def test_turned_images_are_left_out(tmp_path: Path) -> None:
    turned = {**BOX, "image_rotation": 90}
    data = formats.read(folder(tmp_path, task(turned), task(BOX, image="b.png")))
    assert "it was turned in Label Studio" in skipped(data)[A]


def test_other_files_are_refused(tmp_path: Path) -> None:
    refused(folder(tmp_path, text="[]"), "a JSON file of Label Studio is expected, found none")
    text = '[{"data": 1, "annotations": 1, "result": 1}, 5]'
    refused(folder(tmp_path, text=text), "a list of tasks is expected")


# --- fuzzing

GOOD = [
    task(BOX, result("brushlabels", {"rle": stream(run(800, 1)), "brushlabels": ["x"]})),
    task(choice("x"), image="b.png"),
]


@FUZZ
@given(text=other_bytes(GOOD))
def test_any_bytes_are_data_or_one_error(tmp_path: Path, text: bytes) -> None:
    folder(tmp_path)
    (tmp_path / "project-1.json").write_bytes(text)
    read_or_refused(tmp_path, "label-studio")


@settings(FUZZ, max_examples=400)
@given(text=other_values([task(BOX), task(image="b.png")]))
def test_any_values_are_data_or_one_error(tmp_path: Path, text: str) -> None:
    read_or_refused(folder(tmp_path, text=text), "label-studio")
