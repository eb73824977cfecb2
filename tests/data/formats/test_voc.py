"""Sets in the manner of Pascal VOC as people have them: where boxes begin, which picture is meant, what is refused."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import refusing, skipped

from foveate.annotations import Boxes
from foveate.data import formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.formats import voc
from foveate.errors import DataError


def png() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (40, 30)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()


def thing(name: str = "cat", box: tuple[object, ...] = (1, 1, 10, 20), more: str = "") -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"  <object>\n    <name>{name}</name>{more}\n    <bndbox>{sides}</bndbox>\n  </object>\n"


def xml(*things: str, filename: str | None = None, size: str = "<width>40</width><height>30</height>") -> str:
    named = f"<filename>{filename}</filename>" if filename is not None else ""
    return f"<annotation>{named}<size>{size}</size>\n{''.join(things)}</annotation>\n"


def lay(root: Path, files: dict[str, str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, **pages: str) -> Path:
    """A set with these XML files and a picture for each."""
    for stem, page in pages.items():
        lay(root, {f"Annotations/{stem}.xml": page, f"JPEGImages/{stem}.png": PICTURE})
    return root


def boxes(data: Dataset[Boxes]) -> dict[str, list[tuple[float, ...]]]:
    return {sample.id: [tuple(box) for box in sample.truth.corners.tolist()] for sample in data}


refused = refusing("voc")


# --- what a box is --------------------------------------------------------------------------------


def test_pixels_are_counted_from_1_and_the_last_ones_belong_to_the_box(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, a=xml(thing("dog", (1, 1, 40, 30)), thing("cat", (2.5, 3, 10, 12.25)))))
    assert boxes(data) == {"JPEGImages/a.png": [(0, 0, 40, 30), (1.5, 2, 10, 12.25)]}
    assert data.classes == ("cat", "dog")
    assert data[0].truth.classes.tolist() == [1, 0]
    assert (data.task, data.name, data.origin, data.notes) == ("detection", tmp_path.name, tmp_path, ())
    assert data[0].truth.size == (30, 40)
    assert data[0].source.read().shape == (30, 40, 1)


@pytest.mark.parametrize("first", [(0, 5, 9, 9), (5, 0, 9, 9), (0.5, 2, 9, 9)])
def test_one_box_at_0_shows_that_the_set_counts_from_0(tmp_path: Path, first: tuple[float, ...]) -> None:
    data = formats.read(usual(tmp_path, a=xml(thing(box=(3, 4, 10, 20))), b=xml(thing(box=first))))
    assert boxes(data) == {"JPEGImages/a.png": [(3, 4, 10, 20)], "JPEGImages/b.png": [first]}
    (note,) = data.notes
    assert "counted from 0" in note
    assert "1 begin at 0 (such as in b.xml)" in note


def test_a_box_below_0_shows_nothing(tmp_path: Path) -> None:
    """The tool did not cut boxes off at the edge, so that one at 0 may stick out by a pixel."""
    data = formats.read(usual(tmp_path, a=xml(thing(box=(0, 4, 10, 20))), b=xml(thing(box=(-2, 1, 5, 5)))))
    assert boxes(data)["JPEGImages/a.png"] == [(-1, 3, 10, 20)]
    (note,) = data.notes
    assert "1 boxes begin below 0 (such as in b.xml)" in note
    assert "counted from 1" in note


def test_wrong_boxes_are_kept_for_the_audit(tmp_path: Path) -> None:
    data = formats.read(usual(tmp_path, a=xml(thing(box=(9, 9, 2, 2)), thing(box=(1, 1, 900, 900)))))
    assert boxes(data)["JPEGImages/a.png"] == [(8, 8, 2, 2), (0, 0, 900, 900)]


def test_difficult_is_kept(tmp_path: Path) -> None:
    things = [thing(more=f"<difficult>{value}</difficult>") for value in ("1", "0", " 1 ", "")]
    data = formats.read(usual(tmp_path, a=xml(*things, thing())))
    assert data[0].truth.difficult.tolist() == [True, False, True, False, False]


def test_pictures_without_things_and_sizes_that_nobody_knows(tmp_path: Path) -> None:
    pages = {f"s{i}": xml(size=size) for i, size in enumerate(("", "<width>0</width><height>0</height>", "<width/>"))}
    data = formats.read(usual(tmp_path, a=xml(thing()), **pages))
    assert [len(sample.truth) for sample in data] == [1, 0, 0, 0]
    assert [sample.truth.size for sample in data] == [(30, 40), None, None, None]
    assert formats.read(usual(tmp_path / "b", a="<annotation>" + thing() + "</annotation>"))[0].truth.size is None


def test_what_is_within_a_thing_and_not_read_is_told(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></part>"
    more = f"<pose>Left</pose><truncated>1</truncated>{part}{part}<polygon><x1>1</x1></polygon>"
    data = formats.read(usual(tmp_path, a=xml(thing(more=more))))
    assert boxes(data)["JPEGImages/a.png"] == [(0, 0, 10, 20)]
    assert data.classes == ("cat",)
    assert data.notes == (
        "parts of objects (<part>) are not read; there are 2",
        "outlines (<polygon>) are not read; there are 1",
    )


def test_the_order_of_classes_may_be_given(tmp_path: Path) -> None:
    lay(usual(tmp_path, a=xml(thing("cat"), thing("dog"))), {"classes.txt": "dog\nunicorn\ncat\n"})
    data = formats.read(tmp_path)
    assert data.classes == ("dog", "unicorn", "cat")
    assert data[0].truth.classes.tolist() == [2, 0]
    lay(tmp_path, {"classes.txt": "cat\n"})
    error = refused(tmp_path, "one of the classes in classes.txt", "'dog'")
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 7)


# --- which pictures, in which part ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotations", "pictures"),
    [("Annotations", "JPEGImages"), ("annotations", "images"), ("ANNOTATIONS", "Images"), ("", ""), ("", "images")],
)
def test_layouts(tmp_path: Path, annotations: str, pictures: str) -> None:
    page = xml(thing(), filename="a.png")
    lay(tmp_path / annotations, {"a.xml": page, "README.txt": "x"})
    lay(tmp_path / pictures, {"a.png": PICTURE})
    data = formats.read(tmp_path)
    assert [sample.id for sample in data] == [f"{pictures}/a.png".lstrip("/")]
    assert (data.skipped, data.notes, data[0].part) == ((), (), None)


@pytest.mark.parametrize(
    "layout",
    [
        "{part}/{stem}.xml {part}/{stem}.png",
        "{part}/Annotations/{stem}.xml {part}/JPEGImages/{stem}.png",
        "annotations/{part}/{stem}.xml images/{part}/{stem}.png",
        "annotations/{part}/{stem}.xml images/{stem}.png",
    ],
)
def test_folders_may_say_the_part(tmp_path: Path, layout: str) -> None:
    for part, stem in (("train", "a"), ("val", "b"), ("test", "c")):
        page, picture = layout.format(part=part, stem=stem).split()
        lay(tmp_path, {page: xml(thing()), picture: PICTURE})
    data = formats.read(tmp_path)
    assert {Path(sample.id).stem: sample.part for sample in data} == {"a": "train", "b": "valid", "c": "test"}
    assert data.skipped == ()


def test_lists_say_the_part(tmp_path: Path) -> None:
    usual(tmp_path, **{stem: xml(thing()) for stem in ("a", "b b", "c", "d", "e")})
    lay(
        tmp_path,
        {
            "ImageSets/Main/train.txt": "a  1\r\nb b\r\n\r\na -1\r\n",
            "ImageSets/Main/val.txt": "c.png",
            "ImageSets/Main/trainval.txt": "a\nb b\nc\n",
            "ImageSets/Main/test.txt": "\ufeffd  0\nnobody\n",
            "ImageSets/Main/cat_train.txt": "c  1\nd -1\n",
        },
    )
    data = formats.read(tmp_path)
    assert [sample.part for sample in data] == ["train", "train", "valid", "test", None]
    assert skipped(data) == {
        "nobody": "named by test.txt, line 2, but neither a picture nor an XML file of that name is there"
    }


def test_trainval_alone_is_for_training(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(thing()), b=xml(thing()))
    lay(tmp_path, {"imagesets/main/trainval.txt": "a\n", "imagesets/main/test.txt": "b\n"})
    assert [sample.part for sample in formats.read(tmp_path)] == ["train", "test"]


def test_a_picture_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(thing()), b=xml(thing()))
    lay(tmp_path, {"ImageSets/Main/train.txt": "b\na\n", "ImageSets/Main/val.txt": "\na\n"})
    error = refused(tmp_path, "one part is expected for 'a'", "train.txt (line 2)", "leak")
    assert (error.where, error.line) == (tmp_path / "ImageSets/Main/val.txt", 2)


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    usual(tmp_path, a=xml(thing()))
    lay(
        tmp_path,
        {
            "JPEGImages/alone.png": PICTURE,
            "JPEGImages/notes.heic": "x",
            "JPEGImages/deep/x.png": PICTURE,
            "Annotations/b.xml": xml(thing(), filename="else.jpg"),
            "Annotations/empty.xml": xml(thing()),
            "JPEGImages/empty.png": b"",
            "JPEGImages/.DS_Store": "x",
        },
    )
    assert skipped(formats.read(tmp_path)) == {
        "Annotations/b.xml": "its picture 'else.jpg' is not there",
        "JPEGImages/alone.png": "no XML file is there for it",
        "JPEGImages/notes.heic": "the ending is not that of a picture",
        "JPEGImages/deep/": "a folder among the pictures, which is not read",
        "JPEGImages/empty.png": "the file is empty (0 bytes)",
    }


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    lay(usual(tmp_path, a=xml(thing())), {f"Annotations/{odd}.xml": "", f"JPEGImages/{odd}.png": PICTURE})
    reasons = skipped(formats.read(tmp_path))
    assert set(reasons) == {"Annotations/\\udcff.xml", "JPEGImages/\\udcff.png"}
    assert all("UTF-8" in reason for reason in reasons.values())


def test_the_picture_is_the_one_that_is_named_or_else_the_namesake(tmp_path: Path) -> None:
    pages = {"a": "other.png", "b": "gone.jpg", "c": "c", "d": "copied.png", "copied": "copied.png"}
    for stem, filename in pages.items():
        lay(tmp_path, {f"Annotations/{stem}.xml": xml(thing(), filename=filename)})
    for name in ("other.png", "b.PNG", "c.jpg", "d.png", "copied.png"):
        lay(tmp_path, {f"JPEGImages/{name}": PICTURE})
    data = formats.read(tmp_path)
    assert [sample.id for sample in data] == [
        f"JPEGImages/{n}" for n in sorted(("other.png", "b.PNG", "c.jpg", "d.png", "copied.png"))
    ]
    (note,) = data.notes
    assert note.startswith("3 XML files are not called like the <filename> in them (such as a.xml names 'other.png'")


def test_pictures_that_cannot_be_told_apart(tmp_path: Path) -> None:
    lay(usual(tmp_path / "two", a=xml(thing())), {"JPEGImages/a.jpg": PICTURE})
    assert refused(tmp_path / "two", "found a.jpg and a.png").where == tmp_path / "two/Annotations/a.xml"
    page = xml(thing(), filename="x.png")
    lay(tmp_path / "one", {"a.xml": page, "b.xml": page, "x.png": PICTURE})
    assert refused(tmp_path / "one", "one XML file is expected for x.png, a.xml").where == tmp_path / "one" / "b.xml"
    lay(tmp_path / "same", {"a.xml": page, "a.XML": page, "x.png": PICTURE})
    refused(tmp_path / "same", "one XML file is expected, a.XML is another")
    lay(usual(tmp_path / "twins", a=xml(thing())), {"annotations/a.xml": page})
    refused(tmp_path / "twins", "one folder is expected, found Annotations and annotations")


@pytest.mark.parametrize(
    "filename", ["../../secret.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png", "sub/../../x.png"]
)
def test_a_picture_outside_the_data_is_refused(tmp_path: Path, filename: str) -> None:
    error = refused(usual(tmp_path, a=xml(thing(), filename=filename)), "within the data's folder")
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 1)


# --- files that are damaged, or lie ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "line", "words"),
    [
        ("", 1, ["XML is expected", "no element"]),
        ("<annotation>\n\n<object>", 3, ["XML is expected"]),
        ("<annotation></annotation>x", 1, ["XML is expected"]),
        ("<annotation>&bomb;</annotation>", 1, ["XML is expected", "undefined entity"]),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", 1, ["XML is expected"]),
        ("<?xml version='1.0' encoding='rot13'?><annotation/>", 1, ["XML is expected"]),
        ("\n<annotations/>", 2, ["an <annotation> is expected, got <annotations>"]),
        ("<html><annotation/></html>", 1, ["got <html>"]),
        (xml("\n", thing(box=("abc", 1, 2, 3))), 5, ["<xmin> is expected to be a number", "'abc'"]),
        (xml(thing(box=(1, 1, "", 3))), 4, ["<xmax>"]),
        (xml(thing(box=(1, "nan", 2, 3))), 4, ["<ymin>", "'nan'"]),
        (xml(thing(box=(1, 1, 2, "-inf"))), 4, ["<ymax>"]),
        (xml(thing(box=(1, 1, 2, 1e12))), 4, ["<ymax>"]),
        (xml(thing(box=(1, 1, 2, "1_0"))), 4, ["<ymax>", "'1_0'"]),
        (xml(thing(box=(1, 1, "<b>2</b>", 3))), 4, ["<xmax>"]),
        (xml(thing(box=("1</xmin><xmin>2", 1, 2, 3))), 4, ["<xmin> is expected once"]),
        (xml(thing(name=" ")), 3, ["the name of a class"]),
        (xml(thing(more="<name>dog</name>")), 3, ["<name> is expected once"]),
        (xml(thing(more="<difficult>maybe</difficult>")), 3, ["<difficult>", "'maybe'"]),
        (xml(thing(), "<object>\n<name>x</name></object>"), 6, ["to have <bndbox> with <xmin>"]),
        (xml("<object><bndbox/></object>"), 2, ["to have <name>"]),
        (xml(thing(), size="<width>x</width>"), 1, ["<width>"]),
        (xml(thing(), size="<width>-4</width><height>9</height>"), 1, ["whole number of pixels", "-4"]),
        (xml(thing(), size="<width>4.5</width><height>9</height>"), 1, ["whole number of pixels"]),
        ("<annotation>" + "<a>\n" * 100 + "</a>" * 100 + "</annotation>", 16, ["16 deep"]),
        ("<a>" * 2_000_000, 1, ["got <a>"]),
    ],
)  # fmt: skip
def test_wrong_values_are_named_by_file_and_line(tmp_path: Path, page: str, line: int, words: list[str]) -> None:
    error = refused(usual(tmp_path, a=page, b=xml(thing())), *words)
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", line)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE annotation [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE annotation [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotation [<!ENTITY % p SYSTEM "http://localhost/x"> %p;]>',
        '<!DOCTYPE annotation SYSTEM "file:///etc/passwd">',
        "<!DOCTYPE annotation>",
    ],
)
def test_entities_are_refused(tmp_path: Path, doctype: str) -> None:
    page = f"<?xml version='1.0'?>\n{doctype}\n" + xml(thing(name="&l9;"))
    start = time.perf_counter()
    error = refused(usual(tmp_path, a=page), "without a DOCTYPE", "Remove")
    assert time.perf_counter() - start < 1
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 2)


def test_files_that_are_none_or_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual(tmp_path, a=xml(thing()))
    os.mkfifo(tmp_path / "Annotations" / "pipe.xml")
    refused(tmp_path, "pipe.xml", "this is a folder or a device")
    assert voc.sniff(tmp_path)
    (tmp_path / "Annotations" / "pipe.xml").unlink()
    (tmp_path / "Annotations" / "gone.xml").symlink_to(tmp_path / "nowhere")
    refused(tmp_path, "gone.xml", "cannot be read")
    (tmp_path / "Annotations" / "gone.xml").unlink()
    monkeypatch.setattr("foveate.data.formats._voc_xml._MOST_BYTES", 50)
    refused(tmp_path, "a.xml", "at most 50 bytes")


def test_encodings_that_xml_declares(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16", "latin-1"):
        page = f"<?xml version='1.0' encoding='{encoding}'?>" + xml(thing("é"))
        usual(tmp_path, a="")
        (tmp_path / "Annotations" / "a.xml").write_bytes(page.encode(encoding))
        assert formats.read(tmp_path, "voc").classes == ("é",)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    refused(lay(tmp_path / "x", {"a.txt": "x"}), "found none", "Annotations/*.xml")
    refused(lay(tmp_path / "y", {"Annotations/a.xml": xml(thing())}), "1 skipped; Annotations/a.xml: its picture 'a'")
    refused(usual(tmp_path / "z", a=xml()), "an <object> in some file is expected", "classes.txt")
    refused(lay(tmp_path, {"file.xml": xml(thing())}) / "file.xml", "this is a file")


def test_only_annotations_are_recognised(tmp_path: Path) -> None:
    assert voc.sniff(usual(tmp_path / "a", a="damaged", b=xml(thing())))
    assert not voc.sniff(
        lay(tmp_path / "b", {"Annotations/a.xml": "<annotations></annotations>", "images/a.png": PICTURE})
    )
    assert not voc.sniff(lay(tmp_path / "c", {"Annotations/a.json": "{}", "images/a.png": PICTURE}))
    for root in (
        usual(tmp_path / "d", a=xml(thing())),
        lay(tmp_path / "e", {"train/a.xml": xml(thing()), "train/a.png": PICTURE}),
    ):
        assert [name for name, format in formats.all().items() if format.sniff(root)] == ["voc"]


# --- writing --------------------------------------------------------------------------------------


def made(
    corners: list[tuple[float, ...]], classes: tuple[str, ...] = ("cat",), id: str = "a", **given: object
) -> Dataset[Boxes]:
    truth = Boxes(np.array(corners, float), np.zeros(len(corners), int), **given)
    return Dataset(
        "made", "detection", classes, [Sample(id, ArraySource(np.zeros((1, 30, 40, 1), np.uint8), 0), truth)]
    )


def test_what_is_written_counts_from_1(tmp_path: Path) -> None:
    voc.write(made([(0, 0, 40, 30), (0.1, 2, 3, 4.5)]), tmp_path / "copy")
    text = (tmp_path / "copy" / "Annotations" / "a.xml").read_text()
    assert "<xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>30</ymax>" in text
    assert "<xmin>1.1</xmin><ymin>3</ymin><xmax>3</xmax><ymax>4.5</ymax>" in text
    assert "<width>40</width><height>30</height>" in text


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (made([(-1, 2, 9, 9)]), ["1 samples with a box that begins left of or above its picture (such as 'a')"]),
        (made([(1, -0.5, 9, 9)]), ["left of or above"]),
        (made([(1, 2, 9, 9)], crowd=np.array([True])), ["1 samples with a crowd"]),
        (made([(1, 2, 9, 2e9)]), ["beyond 1,000,000,000"]),
        (made([(1, 2, 9, 9)], scores=np.array([0.5])), ["with scores"]),
        (made([(1, 2, 9, 9)], classes=(" cat", "a\0b")), ["class name ' cat'", "class name 'a\\x00b'"]),
        (made([(1, 2, 9, 9)], classes=("b", "a\nc")), ["class name 'a\\nc'"]),
    ],
)
def test_what_cannot_be_held_is_named(tmp_path: Path, dataset: Dataset[Boxes], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        voc.write(dataset, tmp_path / "copy")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_odd_names_come_back(tmp_path: Path) -> None:
    ids = [
        "train\nx",
        " a ",
        "a 1",
        "a",
        "<&>",
        "x\u2028y",
        "\ud800",
        "JPEGImages/a.png",
        "A.png",
        "ü" * 150,
        "b .png",
        "train",
    ]
    one = made([(1, 2, 3, 4)], classes=('<b> & "c" ü',))
    samples = [replace(one[0], id=id, part=("train", "valid", None)[i % 3]) for i, id in enumerate(ids)]
    with pytest.raises(DataError, match="not UTF-8"):
        voc.write(replace(one, samples=samples), tmp_path / "no")
    samples = [sample for sample in samples if sample.id != "\ud800"]
    voc.write(replace(one, samples=samples), tmp_path / "copy")
    copy = formats.read(tmp_path / "copy")
    assert copy.classes == one.classes
    assert (copy.notes, copy.skipped) == ((), ())
    assert sorted(str(sample.part) for sample in copy) == sorted(str(sample.part) for sample in samples)


def test_thousands_of_files_are_read_in_seconds(tmp_path: Path) -> None:
    page = xml(*[thing()] * 13)
    for number in range(1000):
        usual(tmp_path, **{f"{number:04}": page})
    start = time.perf_counter()
    assert sum(len(sample.truth) for sample in formats.read(tmp_path, "voc")) == 13_000
    assert time.perf_counter() - start < 3  # a sixth of this here: room for busy machines


# --- any text is data or one error ----------------------------------------------------------------

GOOD = xml(thing("cat", (1, 2, 30, 20), "<difficult>1</difficult>"), thing("dog"), filename="a.png")
PIECES = [
    *("<object>", "</object>", "<bndbox>", "</bndbox>", "<xmin>", "</xmin>", "<name/>", "<size>", "</annotation>"),
    *("0", "-1", "1e400", "nan", "abc", "&lt;", "&x;", "&#0;", "<![CDATA[1]]>", "<!-- -->", "<?x?>", "\n", "é", "\0", "]]>"),
    *("<!DOCTYPE a>", "<filename>../x.png</filename>", "<difficult>2</difficult>", "<part><name>x</name></part>", ""),
    *("<?xml version='1.0' encoding='utf-16'?>", "<?xml version='1.0' encoding='idna'?>", "a\ud800", "\ufeff"),
]  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 30), st.sampled_from(PIECES) | st.text(max_size=5)),
        min_size=1,
        max_size=4,
    )
)
def test_any_edit_is_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    page = GOOD
    for start, length, piece in edits:
        page = page[:start] + piece + page[start + length :]
    usual(tmp_path, a="", b=xml(thing("owl")))
    (tmp_path / "Annotations" / "a.xml").write_bytes(page.encode(errors="surrogatepass"))
    try:
        data = formats.read(tmp_path, "voc")
    except DataError as error:
        blamed = str(error.where)
    else:
        blamed = None
    if blamed is not None:
        assert str(tmp_path) in blamed
        return
    assert len(data) == 2
    assert all(np.isfinite(sample.truth.corners).all() for sample in data)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lists=st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "a.png", "", "a 1", "b -1", "\0", "x" * 300, "é"]), max_size=4),
        min_size=2,
        max_size=2,
    )
)
def test_any_lists_are_parts_or_one_error(tmp_path: Path, lists: list[list[str]]) -> None:
    usual(tmp_path, a=xml(thing()), b=xml(thing()))
    for word, lines in zip(("train", "test"), lists, strict=True):
        lay(tmp_path, {f"ImageSets/Main/{word}.txt": "\n".join(lines)})
    try:
        data = formats.read(tmp_path, "voc")
    except DataError:
        assert {line[0] for line in lists[0] if line} & {line[0] for line in lists[1] if line}
        return
    assert len(data) == 2
