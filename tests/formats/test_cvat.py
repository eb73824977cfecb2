"""CVAT's XML for images and for video: what is read, asked about and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate import formats
from foveate.data.dataset import Dataset
from helpers.damage import FUZZ, read_or_refused
from helpers.format_reading import boxes, named, refusing, skipped

WIDTH, HEIGHT = 20, 10
refused = refusing("cvat")


def images(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (WIDTH, HEIGHT)).save(root / name)
    return root


def image(content: str = "", name: str = "a.png", more: str = "") -> str:
    return f'  <image id="0" name="{name}" width="20" height="10" {more}>\n{content}\n  </image>\n'


def folder(root: Path, *parts: str, file: str = "annotations.xml") -> Path:
    images(root, "images/a.png", "images/b.png")
    meta = """<meta><task><name>clip</name><size>4</size><start_frame>0</start_frame>
    <stop_frame>3</stop_frame><labels><label><name>dog</name></label><label><name>cat</name></label>
    </labels><original_size><width>20</width><height>10</height></original_size></task></meta>"""
    text = f"<annotations>\n  <version>1.1</version>\n{meta}\n{''.join(parts)}</annotations>\n"
    (root / file).write_text('<?xml version="1.0" encoding="utf-8"?>\n' + text, encoding="utf-8")
    return root


BOX = '<box label="cat" occluded="0" xtl="1.5" ytl="2" xbr="9" ybr="8" z_order="0"/>'
TRIANGLE = '<polygon label="dog" points="1.0,1.0;9.0,1.0;1.0,9.0"/>'


def only(data: Dataset) -> object:
    return next(sample.target for sample in data if len(sample.target))


def test_boxes(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, image(BOX), image(name="b.png")))
    assert (data.format, data.task, data.classes) == ("cvat", "detection", ("dog", "cat"))
    assert boxes(data) == {"images/a.png": [[1.5, 2, 9, 8]], "images/b.png": []}
    assert named(data)["images/a.png"] == ["cat"]
    assert data[0].target.size == (HEIGHT, WIDTH)
    assert formats.read(tmp_path / "annotations.xml").classes == data.classes


@pytest.mark.parametrize("encoding", ["gb2312", "utf-16", "latin-1"])
def test_declared_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    name = "é" if encoding == "latin-1" else "猫"
    file = folder(tmp_path, image(BOX.replace("cat", name))) / "annotations.xml"
    text = file.read_text(encoding="utf-8").replace('encoding="utf-8"', f'encoding="{encoding}"')
    file.write_bytes(text.replace("<name>cat<", f"<name>{name}<").encode(encoding))
    assert formats.read(tmp_path, "cvat").classes == ("dog", name)


def test_polygons_and_boxes_are_instances(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, image(TRIANGLE + BOX), image(name="b.png")))
    assert data.task == "instance"
    assert boxes(data)["images/a.png"] == [[1, 1, 9, 9], [1.5, 2, 9, 8]]
    shapes = only(data).shapes
    assert shapes[0].outlines[0].tolist() == [[1, 1], [9, 1], [1, 9]]
    assert shapes[1] is None


def test_a_turned_box(tmp_path: Path) -> None:
    """A quarter turn swaps width and height about the centre; an eighth makes a diamond."""
    box = '<box label="cat" xtl="6" ytl="4" xbr="14" ybr="6" rotation="90"/>'
    data = formats.read(folder(tmp_path, image(box)))
    assert data.task == "detection"
    assert np.allclose(boxes(data)["images/a.png"], [[9, 1, 11, 9]])
    box = '<box label="cat" xtl="8" ytl="3" xbr="12" ybr="7" rotation="45"/>'
    data = formats.read(folder(tmp_path, image(box)))
    reach = 2 * 2**0.5
    assert np.allclose(
        boxes(data)["images/a.png"], [[10 - reach, 5 - reach, 10 + reach, 5 + reach]]
    )
    assert any("1 turned rectangle read as the upright boxes" in note for note in data.notes)
    data = formats.read(tmp_path, task="instance")
    assert data.task == "instance"
    assert np.allclose(only(data).shapes[0].outlines[0][0], [10, 5 - reach])


@pytest.mark.parametrize("degrees", ["0", "180"])
def test_swapped_corners_stay_as_written_and_a_half_turn_swaps_none(
    tmp_path: Path, degrees: str
) -> None:
    box = f'<box label="cat" xtl="14" ytl="6" xbr="6" ybr="4" rotation="{degrees}"/>'
    data = formats.read(folder(tmp_path, image(box)))
    expected = [14, 6, 6, 4] if degrees == "0" else [6, 4, 14, 6]
    assert np.allclose(boxes(data)["images/a.png"], [expected])


def test_a_mask(tmp_path: Path) -> None:
    """Runs along the rows of its rectangle, background first."""
    mask = '<mask label="cat" rle="1, 2, 0, 1, 2" left="3" top="4" width="3" height="2"/>'
    data = formats.read(folder(tmp_path, image(mask)))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[4, 4:6] = True
    expected[5, 3] = True
    assert (only(data).shapes[0].mask((HEIGHT, WIDTH)) == expected).all()
    assert boxes(data)["images/a.png"] == [[3, 4, 6, 6]]


def test_an_ellipse(tmp_path: Path) -> None:
    shape = '<ellipse label="cat" cx="10" cy="5" rx="8" ry="4"/>'
    data = formats.read(folder(tmp_path, image(shape)))
    assert np.allclose(boxes(data)["images/a.png"], [[2, 1, 18, 9]])
    area = only(data).shapes[0].mask((HEIGHT, WIDTH)).sum()
    assert area == pytest.approx(np.pi * 8 * 4, rel=0.05)


def test_polygons_of_a_group_are_one_object(tmp_path: Path) -> None:
    one = '<polygon label="dog" points="1,1;4,1;1,4" group_id="7"/>'
    two = '<polygon label="dog" points="9,1;12,1;9,4" group_id="7"/>'
    other = '<polygon label="cat" points="9,5;12,5;9,8" group_id="7"/>'
    data = formats.read(folder(tmp_path, image(one + two + other)))
    assert [len(shape.outlines) for shape in only(data).shapes] == [2, 1]
    assert any("joined" in note for note in data.notes)


def test_what_no_task_takes_is_counted(tmp_path: Path) -> None:
    others = '<points label="cat" points="1,1"/><polyline label="cat" points="1,1;2,2"/>'
    data = formats.read(folder(tmp_path, image(BOX + others)))
    assert "shapes of type points, left out: 1" in data.notes
    assert "shapes of type polyline, left out: 1" in data.notes


# --- tags, tasks, splits


def test_tags_are_labels(tmp_path: Path) -> None:
    one, two = image('<tag label="cat"/>'), image('<tag label="dog"/>', "b.png")
    data = formats.read(folder(tmp_path, one, two))
    assert (data.task, data.classes) == ("classification", ("cat", "dog"))
    assert [sample.target.index for sample in data] == [0, 1]


def test_tags_and_objects_are_asked_about(tmp_path: Path) -> None:
    one, two = image('<tag label="good"/>' + BOX), image('<tag label="bad"/>', "b.png")
    path = folder(tmp_path, one, two)
    refused(path, "--task detection: 1 object", "--task classification: 2 images with a label")
    assert formats.read(path, task="classification").classes == ("bad", "good")
    assert formats.read(path, task="detection").classes == ("dog", "cat")


def test_several_tags_are_asked_about(tmp_path: Path) -> None:
    path = folder(tmp_path, image('<tag label="cat"/><tag label="dog"/>'))
    error = refused(path, "one label an image is expected, got cat, dog on images/a.png")
    assert error.line == 7


def test_subsets_are_splits(tmp_path: Path) -> None:
    one, two = image(BOX, more='subset="Train"'), image(BOX, "b.png", 'subset="Validation"')
    assert [s.split for s in formats.read(folder(tmp_path, one, two))] == ["train", "valid"]
    one = image(BOX, more='subset="default"')
    assert formats.read(folder(tmp_path, one))[0].split is None
    one = image(BOX, more='subset="mine"')
    notes = formats.read(folder(tmp_path, one)).notes
    assert any("the subset 'mine', which names no split" in note for note in notes)


def test_a_file_for_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder(tmp_path / split, image(BOX))
    data = formats.read(tmp_path)
    assert {sample.id: sample.split for sample in data} == {
        "train/images/a.png": "train",
        "test/images/a.png": "test",
    }


def test_missing_images_are_listed(tmp_path: Path) -> None:
    data = formats.read(folder(tmp_path, image(BOX), image(BOX, "z.png")))
    assert "no such file" in skipped(data)["z.png"]
    refused(folder(tmp_path, image(BOX, "z.png")), "images are expected, found none")


# --- video


def track(*frames: str, label: str = "cat") -> str:
    return f'  <track id="0" label="{label}">\n' + "\n".join(frames) + "\n  </track>\n"


def frame(number: int, left: float, *, outside: int = 0, key: int = 1) -> str:
    return (
        f'<box frame="{number}" keyframe="{key}" outside="{outside}" xtl="{left}" ytl="1" '
        f'xbr="{left + 4}" ybr="5"/>'
    )


def video(root: Path, *tracks: str, pattern: str = "images/frame_%06d.png") -> Path:
    folder(root, *tracks)
    (root / "images/a.png").unlink()
    (root / "images/b.png").unlink()
    return images(root, *(pattern % number for number in range(4)))


def lefts(data: Dataset) -> list[list[float]]:
    return [[corners[0] for corners in one] for one in boxes(data).values()]


def test_a_track_in_each_frame(tmp_path: Path) -> None:
    one = track(frame(0, 1), frame(1, 2, key=0), frame(2, 3, outside=1))
    two = track(frame(1, 9), frame(2, 10, key=0), frame(3, 11, key=0), label="dog")
    data = formats.read(video(tmp_path, one, two))
    assert lefts(data) == [[1], [2, 9], [10], [11]]
    assert next(sample.id for sample in data) == "images/frame_000000.png"
    assert data.classes == ("dog", "cat")
    assert data.task == "detection"
    assert {sample.group for sample in data} == {None}
    assert [sample.time for sample in data] == [f"{number:09d}" for number in range(4)]
    assert any("frames of one video (clip)" in note for note in data.notes)


def test_key_frames_are_interpolated(tmp_path: Path) -> None:
    data = formats.read(video(tmp_path, track(frame(0, 1), frame(2, 5))))
    assert lefts(data) == [[1], [3], [5], [5]]
    assert any("2 boxes between key frames" in note for note in data.notes)
    data = formats.read(video(tmp_path, track(frame(0, 1), frame(3, 7, outside=1))))
    assert lefts(data) == [[1], [1], [1], []]
    shapes = [f'<polygon frame="{n}" outside="0" points="1,1;5,1;1,5"/>' for n in (0, 2)]
    refused(video(tmp_path, track(*shapes)), "a shape for each frame is expected", "frame 1")


def test_frames_by_their_order(tmp_path: Path) -> None:
    data = formats.read(
        video(tmp_path, track(frame(0, 1), frame(1, 2)), pattern="images/xa.png%d.png")
    )
    assert lefts(data)[:2] == [[1], [2]]
    for file in (tmp_path / "images").iterdir():
        file.rename(file.with_name("abcd"[int(file.stem[-1])] + ".png"))
    data = formats.read(tmp_path)
    assert [sample.id for sample in data][:2] == ["images/a.png", "images/b.png"]
    assert lefts(data) == [[1], [2], [], []]
    assert any("in the order of their names" in note for note in data.notes)
    (tmp_path / "images/d.png").unlink()
    refused(tmp_path, "images with the numbers of the frames are expected")


def test_a_video_without_frames_is_asked_about(tmp_path: Path) -> None:
    path = video(tmp_path, track(frame(0, 1)))
    for file in (path / "images").iterdir():
        file.unlink()
    refused(path, "the frames of the video are expected as images", "ffmpeg -i")


def test_two_videos_are_two_groups(tmp_path: Path) -> None:
    for name in ("one", "two"):
        video(tmp_path / name, track(frame(0, 1), frame(1, 2)))
        text = (tmp_path / name / "annotations.xml").read_text()
        (tmp_path / name / "annotations.xml").write_text(text.replace("clip", name))
    data = formats.read(tmp_path)
    assert {sample.id.split("/")[0]: sample.group for sample in data} == {
        "one": "one",
        "two": "two",
    }
    assert len(data) == 8


# --- what is refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('<box label="cat" xtl="x" ytl="2" xbr="9" ybr="8"/>', ["a number is expected as xtl"]),
        ('<box label="cat" xtl="1e99" ytl="2" xbr="9" ybr="8"/>', ["a number is expected as xtl"]),
        ('<box label="cat" ytl="2" xbr="9" ybr="8"/>', ["as xtl of <box>, got 'nothing'"]),
        ('<box xtl="1" ytl="2" xbr="9" ybr="8"/>', ["a label is expected for <box>"]),
        ('<polygon label="cat" points="1,2;3"/>', ["points x,y;x,y are expected"]),
        ('<polygon label="cat" points="1,2;3,nan;4,4"/>', ["points x,y;x,y are expected"]),
        (
            '<mask label="cat" rle="1,2" left="0" top="0" width="2" height="2"/>',
            ["run lengths that sum to 2 x 2"],
        ),
        (
            '<mask label="cat" rle="1,3" left="19" top="0" width="2" height="2"/>',
            ["a mask within its image is expected", "in 20 x 10 pixels"],
        ),
        (
            '<mask label="cat" rle="a" left="0" top="0" width="2" height="2"/>',
            ["run lengths that sum"],
        ),
    ],
)
def test_shapes_that_cannot_be_understood(tmp_path: Path, content: str, words: list[str]) -> None:
    error = refused(folder(tmp_path, image(content)), *words)
    assert (error.where, error.line) == (tmp_path / "annotations.xml", 8)


def test_other_files_are_refused(tmp_path: Path) -> None:
    tmp_path = tmp_path / "data"
    refused(images(tmp_path.with_name("x"), "a.png"), "an XML file of CVAT is expected, found none")
    refused(folder(tmp_path, image()), "annotations.xml", "annotations are expected")
    refused(folder(tmp_path, image(BOX), image(BOX)), ":10", "each image is expected once")
    text = (tmp_path / "annotations.xml").read_text()
    (tmp_path / "annotations.xml").write_text(text[:-20])
    refused(tmp_path, "XML is expected")
    entity = text.replace("<annotations>", '<!DOCTYPE a [<!ENTITY x "y">]><annotations>')
    (tmp_path / "annotations.xml").write_text(entity)
    refused(tmp_path, "without a DOCTYPE")
    deep = text.replace("<task>", "<task>" + "<a>" * 20 + "</a>" * 20)
    (tmp_path / "annotations.xml").write_text(deep)
    refused(tmp_path, "at most 16 levels")


@FUZZ
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.integers(0, 20),
            st.sampled_from([b"", b"<", b">", b'"', b"-1", b"1e9", b"nan", b",", b"\xff", b"0"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_damage_is_data_or_one_error(
    tmp_path: Path, edits: list[tuple[int, int, bytes]]
) -> None:
    mask = '<mask label="cat" rle="1,2,0,1,2" left="3" top="4" width="3" height="2"/>'
    folder(tmp_path, image(BOX + TRIANGLE + mask), track(frame(0, 1), frame(2, 5)))
    data = (tmp_path / "annotations.xml").read_bytes()
    for start, length, piece in edits:
        data = data[:start] + piece + data[start + length :]
    (tmp_path / "annotations.xml").write_bytes(data)
    read_or_refused(tmp_path, "cvat")
