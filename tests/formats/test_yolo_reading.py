"""What the numbers in YOLO lines mean: keypoints, oriented boxes, boxes by their corners."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Boxes, Instances, Polygon
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats import yolo
from helpers.yolo_files import IMAGE, NAMES, lay, refused, usual

HEIGHT, WIDTH = 20, 40
POSE = "1 0.5 0.5 0.25 0.5 "


def text(*numbers: float) -> str:
    return " ".join(f"{number:.6f}" for number in numbers)


def rectangle(cx: float, cy: float, w: float, h: float, angle: float) -> list[float]:
    """Return the corners of a rotated rectangle, in pixels, as fractions of the image."""
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)]
    return [
        value
        for x, y in corners
        for value in ((cx + x * cos - y * sin) / WIDTH, (cy + x * sin + y * cos) / HEIGHT)
    ]


# --- keypoints


@pytest.mark.parametrize(
    ("shape", "points"),
    [
        ("[1, 3]", "0.5 0.5 2"),
        ("[2, 3]", "0.5 0.5 2 0 0 0"),
        ("[2, 2]", "0.5 0.5 0.45 0.6"),
        ("[1, 2]", "0.9 0.9"),
    ],
)
def test_kpt_shape_tells_keypoints(tmp_path: Path, shape: str, points: str) -> None:
    lines = f"{POSE}{points}\n0 0.5 0.5 1 1\n"
    data = formats.read(usual(tmp_path, lines, NAMES + f"kpt_shape: {shape}\nflip_idx: [0]\n"))
    assert data.task == "detection"
    assert data[0].target.corners.tolist() == [[15, 5, 25, 15], [0, 0, 40, 20]]
    assert data.notes == (
        "1 object with keypoints read as boxes, as kpt_shape in data.yaml says; the keypoints are "
        "not read",
    )


def test_lines_that_differ_from_kpt_shape_are_refused(tmp_path: Path) -> None:
    description = NAMES + "kpt_shape: [2, 3]\n"
    error = refused(
        usual(tmp_path, POSE + "0.5 0.5 2 0.5 0.5 1\n" + POSE + "0.5 0.5 2\n", description),
        "a class and 10 numbers",
        "got 7 numbers",
    )
    assert (error.where, error.line) == (tmp_path / "labels" / "a.txt", 2)


@pytest.mark.parametrize(
    "points", ["0.5 0.5 2", "0.5 0.5 2 0.45 0.4 1 0 0 0", "0.4 0.5 1 0.6 0.6 2"]
)
def test_flags_tell_keypoints(tmp_path: Path, points: str) -> None:
    """An odd number of numbers is no polygon; an even one is none in line after line."""
    data = formats.read(usual(tmp_path, (POSE + points + "\n") * 3))
    assert data[0].target.corners.tolist() == [[15, 5, 25, 15]] * 3
    (note,) = data.notes
    assert "3 objects with keypoints read as boxes, as all 3 have a box and" in note
    assert "a flag 0, 1 or 2" in note


def test_points_in_their_boxes_tell_keypoints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(20):
        centre, size = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.5, 2)
        points = centre + size * rng.uniform(-0.5, 0.5, (5, 2))
        lines.append("0 " + text(*centre, *size, *points.ravel()))
    data = formats.read(usual(tmp_path, "\n".join(lines)))
    assert data.task == "detection"
    assert "as all 20 have a box and 5 keypoints inside it" in data.notes[0]


def test_few_lines_that_can_be_either_are_asked_about(tmp_path: Path) -> None:
    line = POSE + "0.5 0.5 0.45 0.6 0.55 0.4\n"
    error = refused(
        usual(tmp_path, line),
        "a polygon of 5 corners, or a box with 3 keypoints",
        "--task instance",
        "task: segment",
        "kpt_shape: [3, 2]",
    )
    assert formats.read(tmp_path, task="instance").task == "instance"
    assert formats.read(tmp_path, task="detection").task == "detection"
    assert (error.where, error.line) == (tmp_path / "labels" / "a.txt", 1)
    assert formats.read(usual(tmp_path, line, NAMES + "task: segment\n")).task == "instance"
    read = formats.read(usual(tmp_path, line, NAMES + "kpt_shape: [3, 2]\n"))
    assert read.task == "detection"


def test_polygons_of_equal_length_stay_polygons(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(30):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
        around = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.05, 0.2)
        lines.append("0 " + text(*(rng.uniform(0.2, 0.8, 2) + around).ravel()))
    data = formats.read(usual(tmp_path, "\n".join(lines)))
    assert (data.task, data.notes) == ("instance", ())


@pytest.mark.parametrize("corners", [3, 4, 5])
def test_small_polygons_in_the_middle_stay_polygons(tmp_path: Path, corners: int) -> None:
    """Number plates: all have four corners, and each fits the rule for a box with its points."""
    rng = np.random.default_rng(3)
    lines = []
    for _ in range(30):
        angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 1, corners)
        around = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.02, 0.06)
        lines.append("0 " + text(*(rng.uniform(0.4, 0.6, 2) + around).ravel()))
    data = formats.read(usual(tmp_path, "\n".join(lines)))
    assert (data.task, data.notes) == ("instance", ())


@pytest.mark.parametrize("points", [4, 17])
def test_keypoints_of_large_objects_are_told_by_crossing_sides_or_asked(
    tmp_path: Path, points: int
) -> None:
    """A portrait's box is half the image, so that its size lies between the keypoints."""
    rng = np.random.default_rng(4)
    lines = []
    for _ in range(30):
        centre, size = rng.uniform(0.48, 0.52, 2), rng.uniform(0.5, 0.8, 2)
        found = centre + size * rng.uniform(-0.5, 0.5, (points, 2))
        lines.append("0 " + text(*centre, *size, *found.ravel()))
    data = formats.read(usual(tmp_path, "\n".join(lines)))
    assert data.task == "detection"
    assert f"a box and {points} keypoints" in data.notes[0]


def test_odd_lines_among_polygons_are_refused(tmp_path: Path) -> None:
    lines = "0 0.1 0.1 0.2 0.1 0.2 0.3\n" + POSE + "0.5 0.5 2\n"
    error = refused(usual(tmp_path, lines), "got 8 numbers", "kpt_shape: [17, 3]")
    assert (error.where, error.line) == (tmp_path / "labels" / "a.txt", 2)


# --- oriented boxes


def test_oriented_boxes_are_polygons(tmp_path: Path) -> None:
    corners = [rectangle(20, 10, 8, 4, angle) for angle in (0.0, 0.4, 1.2, 2.5)]
    data = formats.read(usual(tmp_path, "\n".join(f"1 {text(*row)}" for row in corners)))
    assert data.task == "instance"
    for shape, row in zip(data[0].target.shapes, corners, strict=True):
        expected = np.array(row).reshape(-1, 2) * (WIDTH, HEIGHT)
        np.testing.assert_allclose(shape.outlines[0], expected, atol=1e-4)
    assert data.notes == (
        "4 objects with four corners each, 4 of them rotated rectangles: these oriented boxes are "
        "read as polygons",
    )


def test_other_quadrilaterals_are_polygons_without_a_note(tmp_path: Path) -> None:
    lines = "0 0.1 0.1 0.9 0.2 0.7 0.8 0.2 0.5\n0 " + text(*rectangle(20, 10, 8, 4, 0.4))
    data = formats.read(usual(tmp_path, lines))
    assert (data.task, data.notes) == ("instance", ())


def test_an_angle_is_asked_about(tmp_path: Path) -> None:
    refused(
        usual(tmp_path, "0 0.5 0.5 0.1 0.2 1.57\n"), "a sixth number", "an angle", "four corners"
    )


# --- boxes in another order


def boxes(order: str, count: int = 12) -> str:
    rng = np.random.default_rng(2)
    lines = []
    for _ in range(count):
        left, top = rng.uniform(0.02, 0.3, 2)
        width, height = rng.uniform(0.35, 0.6, 2)
        first, second = {
            "corners": ((left, top), (left + width, top + height)),
            "left top": ((left, top), (width, height)),
            "centre": ((left + width / 2, top + height / 2), (width, height)),
        }[order]
        lines.append("0 " + text(*first, *second))
    return "\n".join(lines)


@pytest.mark.parametrize("order", ["corners", "left top"])
def test_boxes_in_another_order_are_told_by_where_they_lie(tmp_path: Path, order: str) -> None:
    right = formats.read(usual(tmp_path / "right", boxes("centre")))
    assert right.notes == ()
    if order == "left top":  # some of these widths are smaller than the left edge
        lay(tmp_path, {"labels/b.txt": "0 0.7 0.7 0.25 0.25", "images/b.png": IMAGE})
    data = formats.read(usual(tmp_path, boxes(order)))
    np.testing.assert_allclose(data[0].target.corners, right[0].target.corners, atol=1e-3)
    (note,) = data.notes
    assert "would leave their images as `cx cy w h`, and none does as that" in note


def test_boxes_that_fit_two_other_orders_are_asked_about(tmp_path: Path) -> None:
    lines = "0 0.01 0.01 0.5 0.5\n" * 12
    refused(usual(tmp_path, lines), "`x1 y1 x2 y2` or `left top width height`", "cx cy w h")


@pytest.mark.parametrize("lines", ["0 0.01 0.01 0.5 0.5\n" * 9, "0 0.9 0.9 0.5 0.5\n" * 20])
def test_boxes_without_evidence_are_left_to_the_audit(tmp_path: Path, lines: str) -> None:
    assert formats.read(usual(tmp_path, lines)).notes == ()


def test_corners_of_small_boxes_are_told_by_their_overlaps(tmp_path: Path) -> None:
    """In the middle of an image, no box would leave it."""
    rng = np.random.default_rng(5)
    for number in range(12):
        starts = rng.permutation([(0.36, 0.36), (0.36, 0.55), (0.55, 0.36), (0.55, 0.55)])[:3]
        rows = [(*start, *(start + rng.uniform(0.05, 0.1, 2))) for start in starts]
        lines = "\n".join("0 " + text(*row) for row in rows)
        lay(tmp_path, {f"images/{number}.png": IMAGE, f"labels/{number}.txt": lines})
    data = formats.read(lay(tmp_path, {"data.yaml": NAMES}))
    assert all((np.diff(sample.target.corners[:, [0, 2]]) < 0.11 * WIDTH).all() for sample in data)
    assert data.notes == (
        "boxes are read as `x1 y1 x2 y2`: 36 of 36 pairs of boxes in one image would overlap as "
        "`cx cy w h`, and 0 do as that",
    )


def test_large_boxes_in_the_middle_are_what_yolo_says(tmp_path: Path) -> None:
    """One large object an image: each box has the order of corners, too."""
    rng = np.random.default_rng(6)
    for number in range(20):
        line = "0 " + text(*rng.uniform(0.48, 0.52, 2), *rng.uniform(0.6, 0.9, 2))
        lay(tmp_path, {f"images/{number}.png": IMAGE, f"labels/{number}.txt": line})
    assert formats.read(lay(tmp_path, {"data.yaml": NAMES})).notes == ()


# --- what is written is read again as it was


def dataset(target: Boxes | Instances) -> Dataset[Boxes | Instances]:
    source = ArraySource(np.zeros((1, HEIGHT, WIDTH, 1), np.uint8), 0)
    task = "instance" if isinstance(target, Instances) else "detection"
    return Dataset("made", task, ("cat",), [Sample("a", source, target)])


def test_polygons_that_look_like_keypoints_survive_a_round_trip(tmp_path: Path) -> None:
    outline = np.array([(20.0, 10), (10, 10), (22, 12), (18, 8), (20, 13)])
    polygons = tuple(Polygon((outline,)) for _ in range(4))
    corners = np.array([polygon.bounds() for polygon in polygons])
    made = Instances(Boxes(corners, np.zeros(4, int)), polygons)
    yolo.write(dataset(made), tmp_path / "copy")
    assert "task: segment" in (tmp_path / "copy" / "data.yaml").read_text()
    back = formats.read(tmp_path / "copy")
    np.testing.assert_allclose(back[0].target.shapes[0].outlines[0], outline)


def test_boxes_that_would_be_read_in_another_order_are_not_written(tmp_path: Path) -> None:
    far = np.tile([-9.0, -4, 11, 5], (12, 1))
    with pytest.raises(DataError, match="would be read in another order"):
        yolo.write(dataset(Boxes(far, np.zeros(12, int))), tmp_path / "copy")
