"""The laws that every format obeys. They run over all that is registered, so a new file is tested as it is
dropped in.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.annotations import IGNORE, KINDS, Boxes, Captions, Instances, Label, Mask, Polygon, RunLengths
from foveate.data import formats
from foveate.data.dataset import PARTS, ArraySource, Dataset, Image, Sample
from foveate.data.pictures import FileSource
from foveate.errors import BadPicture, DataError
from foveate.ops import rle

EVERY = pytest.mark.parametrize("format", formats.all().values(), ids=formats.all())


def labelled(
    shapes: list[tuple[int, ...]], classes: tuple[str, ...] = ("cat", "dog", "owl"), parts: bool = True
) -> Dataset[Label]:
    rng = np.random.default_rng(len(shapes))
    samples = [
        Sample(
            f"s/{index:03d}",
            ArraySource(rng.integers(0, 256, (1, *shape), np.uint8), 0),
            Label(index % len(classes)),
            None,
            PARTS[index % 3] if parts else None,
        )
        for index, shape in enumerate(shapes)
    ]
    return Dataset("example", "classification", classes, samples)


def with_samples(dataset: Dataset[Label], **changes: list[object]) -> Dataset[Label]:
    samples = [
        replace(sample, **{name: values[index] for name, values in changes.items()})
        for index, sample in enumerate(dataset)
    ]
    return replace(dataset, samples=samples)


def from_files(folder: Path) -> Dataset[Label]:
    """Pictures that lie on disk, in kinds that decoding changes: a palette, EXIF, JPEG, and a name to be
    wary of.
    """
    rng = np.random.default_rng(5)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    samples = []
    for index, name in enumerate(["-a b.png", "ä/x.jpg", "../up.gif", "/root.PNG", "X.png", "x.png"]):
        file = folder / f"{index}{Path(name).suffix}"
        picture = PIL.Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8))
        (picture.quantize(5) if file.suffix == ".gif" else picture).save(file, exif=exif)
        samples.append(Sample(name, FileSource(file), Label(index % 2), None, None))
    return Dataset("files", "classification", ("no", "yes"), samples, origin=folder)


def annotated(task: str, truths: list[object], classes: tuple[str, ...], **given: object) -> Dataset[Any]:
    """Colour pictures of 24 x 16 pixels with these truths, in no part."""
    rng = np.random.default_rng(len(truths))
    pixels = rng.integers(0, 256, (len(truths), *BOXED), np.uint8)
    samples = [Sample(f"s/{i:03d}", ArraySource(pixels, i), truth) for i, truth in enumerate(truths)]
    return Dataset("example", task, classes, samples, **given)


def boxes(*corners: tuple[float, ...], classes: list[int] | None = None, **given: object) -> Boxes:
    return Boxes(
        np.array(corners, float).reshape(-1, 4), np.array(classes or [0] * len(corners), int), size=BOXED[:2], **given
    )


def outlined(*outlines: list[tuple[float, float]], classes: list[int] | None = None) -> Instances:
    shapes = [Polygon((np.array(outline, float),)) for outline in outlines]
    return Instances(boxes(*[shape.bounds() for shape in shapes], classes=classes), shapes)


def painted(*corners: tuple[int, int, int, int], classes: list[int] | None = None) -> Instances:
    shapes = []
    for left, top, right, bottom in corners:
        mask = np.zeros(BOXED[:2], bool)
        mask[top:bottom, left:right] = True
        mask[top, left] = False  # no box, so that it has a shape of its own
        shapes.append(RunLengths(rle.encode(mask), BOXED[:2]))
    return Instances(boxes(*[shape.bounds() for shape in shapes], classes=classes), shapes)


def grid(*values: int) -> Mask:
    rng = np.random.default_rng(len(values))
    return Mask.of(np.array(values)[rng.integers(0, len(values), BOXED[:2])])


GREY, COLOUR, BOXED = (5, 4, 1), (5, 4, 3), (16, 24, 3)
TRIANGLE, SQUARE = [(1.0, 2.0), (9.5, 2.0), (4.25, 11.0)], [(12.0, 3.0), (20.0, 3.0), (20.0, 9.0), (12.0, 9.0)]
EXAMPLES: dict[str, Dataset[Any]] = {
    "grey, parts": labelled([GREY] * 9),
    "colour, parts": labelled([COLOUR] * 9),
    "no parts": labelled([GREY] * 6, parts=False),
    "parts for some": with_samples(labelled([GREY] * 6), part=["train", None] * 3),
    "sizes differ": labelled([GREY, COLOUR, (9, 2, 3), (1, 1, 1)] * 3),
    "groups": with_samples(labelled([GREY] * 6), group=["a", "b", " c ", None, "a", "é,\n"]),
    "times": with_samples(labelled([GREY] * 6), time=["2026-03-31T10:00", "9", " c ", None, "a", "é,\n"]),
    "classes out of order": labelled([GREY] * 6, classes=("zebra", "Ass", "ant")),
    "a class without samples": replace(labelled([GREY] * 6), classes=("cat", "dog", "owl", "unicorn")),
    "odd class names": labelled([GREY] * 6, classes=(" a", "-b", 'ü \'n; "q",')),
    "classes named like parts": labelled([GREY] * 6, classes=("test", "train", "other"), parts=False),
    "a class named like a path": labelled([GREY] * 6, classes=("a/b", "..", "c")),
    "a class of two lines": labelled([GREY] * 6, classes=("a", "b\nc", "d")),
    "ids that clash": with_samples(
        labelled([GREY] * 6, parts=False), id=["a/b.png", "A/B.png", "a/b", "../a/b", "/a/b", "a/./b.jpg"]
    ),
    "ids like hidden files": with_samples(
        labelled([GREY] * 6), id=[".hidden", "__MACOSX/x", "Thumbs.db", "..", "...", "x\0y"]
    ),
    "many bands": labelled([(4, 4, 6)] * 6),
    # --- boxes
    "boxes": annotated("detection", [boxes((1, 2, 9, 11), (3, 4, 20, 15)), boxes((5, 5, 8, 8))], ("cell",)),
    "boxes of many classes": annotated(
        "detection", [boxes((1, 2, 9, 11), (3, 4, 20, 15), classes=[2, 0]), boxes((5, 5, 8, 8))], ("zebra", "a b", "é")
    ),
    "boxes at fractions of pixels": annotated("detection", [boxes((1.25, 2.5, 9.125, 11.75)), boxes()], ("cell",)),
    "pictures without boxes": annotated("detection", [boxes(), boxes((1, 2, 3, 4)), boxes()], ("cell",)),
    "boxes in parts": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4 + i)) for i in range(6)], ("cell",)), part=[*PARTS, *PARTS]
    ),
    "boxes in groups": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4)), boxes((2, 2, 3, 4))], ("cell",)), group=["a", "b"]
    ),
    "boxes in time": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4)), boxes((2, 2, 3, 4))], ("cell",)), time=["1", None]
    ),
    "crowds": annotated(
        "detection", [boxes((1, 2, 9, 11), (3, 4, 20, 15), crowd=np.array([True, False])), boxes()], ("cell",)
    ),
    "difficult boxes": annotated(
        "detection", [boxes((1, 2, 9, 11), (3, 4, 20, 15), difficult=np.array([False, True])), boxes()], ("cell",)
    ),
    "boxes beyond the picture": annotated("detection", [boxes((-2, 2, 9, 11), (3, -4, 30, 40)), boxes()], ("cell",)),
    "boxes turned inside out": annotated("detection", [boxes((9, 11, 1, 2)), boxes()], ("cell",)),
    "boxes of a class nobody has": annotated("detection", [boxes((1, 2, 9, 11)), boxes()], ("cell", "unicorn")),
    # --- things
    "outlines": annotated("instance", [outlined(TRIANGLE, SQUARE), outlined(SQUARE)], ("cell",)),
    "outlines of many classes": annotated(
        "instance", [outlined(TRIANGLE, SQUARE, classes=[1, 0]), outlined(SQUARE, classes=[1])], ("zebra", "ant")
    ),
    "outlines of several pieces": annotated(
        "instance",
        [
            Instances(boxes((1, 2, 20, 11)), [Polygon((np.array(TRIANGLE), np.array(SQUARE)))]),
            Instances(boxes(), []),
        ],
        ("cell",),
    ),
    "things with boxes of their own": annotated(
        "instance", [Instances(boxes((0, 0, 12, 12)), [Polygon((np.array(TRIANGLE),))])] * 2, ("cell",)
    ),
    "things without outlines": annotated(
        "instance", [Instances(boxes((1, 2, 20, 11), (2, 2, 9, 9)), [None, Polygon((np.array(TRIANGLE),))])], ("cell",)
    ),
    "masks of things": annotated(
        "instance", [painted((1, 2, 9, 11), (12, 2, 20, 8)), painted((3, 3, 7, 7))], ("cell",)
    ),
    "masks that overlap": annotated("instance", [painted((1, 2, 9, 11), (4, 2, 20, 8)), painted()], ("cell",)),
    "masks of many classes": annotated(
        "instance", [painted((1, 2, 9, 11), (12, 2, 20, 8), classes=[1, 0]), painted((3, 3, 7, 7))], ("b", "a")
    ),
    "things in parts": with_samples(
        annotated("instance", [painted((1, 2, 9, 11 - i)) for i in range(6)], ("cell",)), part=[*PARTS, *PARTS]
    ),
    "things in time": with_samples(annotated("instance", [painted((1, 2, 9, 11))] * 2, ("cell",)), time=["1", None]),
    # --- every pixel
    "pixels": annotated("semantic", [grid(0, 1), grid(0, 1, 0)], ("ground", "cell")),
    "pixels to ignore": annotated("semantic", [grid(0, 1, 2, IGNORE), grid(0, 2)], ("a", "c", "b")),
    "pixels of one class": annotated("semantic", [grid(0), grid(1)], ("ground", "cell")),
    "pixels with colours": annotated(
        "semantic", [grid(0, 1, 2), grid(2)], ("a", "c", "b"), colours=((0, 0, 0), (255, 0, 10), (7, 7, 7))
    ),
    "pixels of a class nobody has": annotated("semantic", [grid(0, 1), grid(1)], ("ground", "cell", "unicorn")),
    "pixels of 300 classes": annotated("semantic", [grid(*range(300)), grid(299)], tuple(f"c{i}" for i in range(300))),
    "pixels in parts": with_samples(annotated("semantic", [grid(0, 1)] * 6, ("ground", "cell")), part=[*PARTS, *PARTS]),
    # --- words
    "captions": annotated("text_to_image", [Captions(("a red 3",)), Captions(("two cells, one blue",))], ()),
    "several captions a picture": annotated("text_to_image", [Captions(("a 3", "a three")), Captions(("a 4",))], ()),
    "odd captions": annotated("text_to_image", [Captions(('"a", \n é; b\t',)), Captions((" a ",))], ()),
    "captions in time": with_samples(
        annotated("text_to_image", [Captions((f"a {i}",)) for i in range(2)], ()), time=["1", None]
    ),
    "captions in parts": with_samples(
        annotated("text_to_image", [Captions((f"a {i}",)) for i in range(6)], ()), part=[*PARTS, *PARTS]
    ),
}


def can_hold(format: formats.Format, dataset: Dataset[Any], folder: Path) -> bool:
    """Whether a format takes these data. Leaves nothing behind."""
    try:
        format.write(dataset, folder)
    except DataError:
        return False
    shutil.rmtree(folder)
    return True


def common(format: formats.Format, folder: Path) -> Dataset[Any]:
    """The first example that a format can hold."""
    for dataset in EXAMPLES.values():
        if can_hold(format, dataset, folder):
            return dataset
    raise AssertionError(f"no example fits the format {format.NAME}")


def told(truth: Any, dataset: Dataset[Any]) -> Hashable:
    """All that a truth says, in names and numbers; places to a ten-thousandth of a pixel."""
    names = dataset.classes
    match truth:
        case Label():
            return names[truth.index]
        case Boxes():
            rows = zip(truth.corners.round(4) + 0.0, truth.classes, truth.crowd, truth.difficult, strict=True)
            return tuple(sorted((*map(float, box), names[k], bool(c), bool(d)) for box, k, c, d in rows))
        case Instances():
            each = [
                (told(truth.boxes[row : row + 1], dataset), outline(truth.shapes[row])) for row in range(len(truth))
            ]
            return tuple(sorted(each, key=repr))
        case Mask():
            values = truth.pixels.read()
            return (values.shape, tuple("" if v == IGNORE else names[v] for v in values.ravel().tolist()))
        case Captions():
            return truth.texts
    raise AssertionError(f"no truth: {truth!r}")


def outline(shape: Any) -> Hashable:
    if isinstance(shape, Polygon):
        return tuple(tuple((o.round(4) + 0.0).ravel().tolist()) for o in shape.outlines)
    return None if shape is None else shape.mask(BOXED[:2]).tobytes()


def content(dataset: Dataset[Any]) -> Counter[tuple[object, ...]]:
    """All there is, but for the ids and the order, which a format may choose."""
    return Counter(
        (
            told(sample.truth, dataset),
            sample.part,
            sample.group,
            sample.time,
            (image := sample.source.read()).shape,
            image.tobytes(),
        )
        for sample in dataset
        if sample.truth is not None
    )


@pytest.fixture
def held(format: formats.Format, tmp_path_factory: pytest.TempPathFactory) -> Dataset[Any]:
    """An example that the format can hold."""
    return common(format, tmp_path_factory.mktemp("tried") / "in")


def tree(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "folder"
        for file in sorted(folder.rglob("*"))
    }


@EVERY
@pytest.mark.parametrize("example", [*EXAMPLES, "files"])
def test_read_gives_back_what_was_written_or_nothing_is_written(
    format: formats.Format, example: str, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    dataset = EXAMPLES[example] if example in EXAMPLES else from_files(tmp_path / "source")
    before = tree(tmp_path / "source")
    refusal = None
    try:
        format.write(dataset, tmp_path / "copy")
    except DataError as error:
        refusal = error.message
    if refusal:
        assert f"the format {format.NAME!r} cannot hold this data: " in refusal
        assert sorted(file.name for file in tmp_path.iterdir()) == ["source"]
    else:
        copy = formats.read(tmp_path / "copy")  # sniffed: what a format writes, it alone recognises
        assert copy.task == dataset.task
        assert copy.classes == dataset.classes
        assert copy.colours == dataset.colours or dataset.colours is None
        assert copy.skipped == ()
        assert content(copy) == content(dataset)
        assert len({sample.id for sample in copy}) == len(dataset)
        assert copy.origin == tmp_path / "copy"
        assert content(formats.read(tmp_path / "copy", format.NAME)) == content(dataset)
    assert tree(tmp_path / "source") == before


def test_every_example_can_be_held_by_some_format(tmp_path: Path) -> None:
    for number, (example, dataset) in enumerate(EXAMPLES.items()):
        holders = []
        for format in formats.all().values():
            try:
                format.write(dataset, tmp_path / str(number) / format.NAME)
                holders.append(format.NAME)
            except DataError:
                continue
        assert holders, example


@EVERY
def test_a_written_copy_is_the_same_each_time(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    for name in ("one", "two"):
        format.write(held, tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    one, again = formats.read(tmp_path / "one"), formats.read(tmp_path / "one")
    assert [sample.id for sample in one] == [sample.id for sample in again]


@EVERY
def test_converting_twice_loses_nothing(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    for other in formats.all().values():
        format.write(held, tmp_path / other.NAME / "first")
        first = formats.read(tmp_path / other.NAME / "first")
        if other is format or can_hold(other, first, tmp_path / other.NAME / "tried"):
            other.write(first, tmp_path / other.NAME / "second")
            assert content(formats.read(tmp_path / other.NAME / "second")) == content(held)


@EVERY
def test_nothing_that_exists_is_written_over(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    for name in ("full", "file", "link"):
        with pytest.raises(DataError, match="there already"):
            format.write(held, tmp_path / name)
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    format.write(held, tmp_path / "empty")
    assert len(formats.read(tmp_path / "empty")) == len(held)


@EVERY
def test_nothing_is_written_into_the_data_itself(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    format.write(held, tmp_path / "data")
    before = tree(tmp_path)
    with pytest.raises(DataError, match="outside the data"):
        format.write(formats.read(tmp_path / "data"), tmp_path / "data" / "copy")
    assert tree(tmp_path) == before


@dataclass(frozen=True)
class Torn:
    """A picture that can be read some times, and then no more, as on a failing disk."""

    times: list[None]

    def read(self) -> Image:
        if not self.times:
            raise BadPicture("the disk is gone")
        self.times.pop()
        return np.zeros(GREY, np.uint8)


@EVERY
def test_a_write_that_fails_leaves_nothing(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    for times in range(4):
        torn = replace(held.samples[-1], source=Torn([None] * times))
        try:
            format.write(replace(held, samples=[*held.samples[:-1], torn]), tmp_path / "copy")
        except BadPicture:
            assert list(tmp_path.iterdir()) == []
        else:
            shutil.rmtree(tmp_path / "copy")


@EVERY
def test_what_has_no_class_is_not_written(format: formats.Format, held: Dataset[Any], tmp_path: Path) -> None:
    unknown = replace(held, samples=[replace(held[0], truth=None), *held.samples[1:]])
    for bad in (unknown, replace(held, task="of another kind")):
        with pytest.raises(DataError, match="cannot hold"):
            format.write(bad, tmp_path / "copy")


# --- whatever is there, there is one clear error at most ------------------------------------------


def check_survives(format: formats.Format, path: Path) -> None:
    """Reading gives data, whose pictures are readable or bad, or one error that names something below the
    path.
    """
    assert format.sniff(path) in (True, False)
    blamed = None
    try:
        dataset = formats.read(path, format.NAME)
    except DataError as error:
        blamed = str(error.where)
    if blamed is not None:
        assert str(path) in blamed
        return
    assert len({sample.id for sample in dataset}) == len(dataset) > 0
    for sample in dataset:
        assert isinstance(sample.truth, KINDS[dataset.task])
        try:
            assert all(0 <= k < len(dataset.classes) for k in sample.truth.present())
            assert sample.source.read().dtype == np.uint8
        except BadPicture:
            continue


@EVERY
def test_sniffing_never_raises(format: formats.Format, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "circle").symlink_to(tmp_path / "deep")
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 9)
    for name in ("loop", "empty", "deep", "garbage", "missing", "garbage/below"):
        assert format.sniff(tmp_path / name) is False
    check_survives(format, tmp_path / "empty")
    check_survives(format, tmp_path / "deep")
    check_survives(format, tmp_path / "garbage")
    with pytest.raises(DataError, match="no such path"):
        formats.read(tmp_path / "missing", format.NAME)


@EVERY
def test_every_file_may_be_missing_empty_foreign_or_cut(
    format: formats.Format, held: Dataset[Any], tmp_path: Path
) -> None:
    format.write(held, tmp_path / "good")
    for file in [file.relative_to(tmp_path / "good") for file in (tmp_path / "good").rglob("*") if file.is_file()]:
        if (tmp_path / "good" / file).is_dir():
            continue
        data = (tmp_path / "good" / file).read_bytes()
        for damaged in (
            None,
            b"",
            data[:3],
            data[: len(data) // 2],
            data[:-1],
            data + b"x",
            b"\0" * 99,
            b'"\xff',
        ):
            shutil.copytree(tmp_path / "good", tmp_path / "bad")
            (tmp_path / "bad" / file).unlink()
            if damaged is not None:
                (tmp_path / "bad" / file).write_bytes(damaged)
            check_survives(format, tmp_path / "bad")
            shutil.rmtree(tmp_path / "bad")


@EVERY
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 99),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), max_size=5),
)
def test_any_damage_is_survived(
    format: formats.Format, held: Dataset[Any], tmp_path: Path, which: int, flips: list[tuple[float, bytes]]
) -> None:
    good = tmp_path / "good"
    if not good.exists():
        format.write(held, good)
    files = sorted(file for file in good.rglob("*") if file.is_file())
    file = files[which % len(files)]
    data = bytearray(original := file.read_bytes())
    for place, value in flips:
        start = int(place**2 * len(data))
        data[start : start + len(value)] = value
    file.write_bytes(data)
    check_survives(format, good)
    file.write_bytes(original)


def test_formats_are_named_and_told_apart() -> None:
    assert set(formats.all()) >= {"folder", "csv", "idx"}
    for name, format in formats.all().items():
        assert name == format.NAME
        assert format.SUMMARY
        assert set(format.TASKS) <= KINDS.keys()
