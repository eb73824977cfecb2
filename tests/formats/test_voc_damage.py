"""Damaged or forged VOC files give data or one error that names the place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate import formats
from foveate.errors import DataError
from foveate.formats import voc
from helpers.voc_files import lay, make_object, refused, usual, xml

# --- damaged and forged files


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
        (
            xml("\n", make_object(box=("abc", 1, 2, 3))),
            5,
            ["<xmin> is expected to be a number", "'abc'"],
        ),
        (xml(make_object(box=(1, 1, "", 3))), 4, ["<xmax>"]),
        (xml(make_object(box=(1, "nan", 2, 3))), 4, ["<ymin>", "'nan'"]),
        (xml(make_object(box=(1, 1, 2, "-inf"))), 4, ["<ymax>"]),
        (xml(make_object(box=(1, 1, 2, 1e12))), 4, ["<ymax>"]),
        (xml(make_object(box=(1, 1, 2, "1_0"))), 4, ["<ymax>", "'1_0'"]),
        (xml(make_object(box=(1, 1, "<b>2</b>", 3))), 4, ["<xmax>"]),
        (xml(make_object(box=("1</xmin><xmin>2", 1, 2, 3))), 4, ["<xmin> is expected once"]),
        (xml(make_object(name=" ")), 3, ["the name of a class"]),
        (xml(make_object(more="<name>dog</name>")), 3, ["<name> is expected once"]),
        (xml(make_object(more="<difficult>maybe</difficult>")), 3, ["<difficult>", "'maybe'"]),
        (
            xml(make_object(), "<object>\n<name>x</name></object>"),
            6,
            ["to have <bndbox> with <xmin>"],
        ),
        (xml("<object><bndbox/></object>"), 2, ["to have <name>"]),
        (
            xml("<object><name>x</name><polygon><pt><x>1</x></pt></polygon></object>"),
            2,
            ["only a <polygon>", "not Pascal VOC's", "as COCO"],
        ),
        (
            xml("<object><name>x</name><robndbox><cx>1</cx></robndbox></object>"),
            2,
            ["only a <robndbox>"],
        ),
        (
            b"<annotation>\n<filename>\xc3\x28</filename>",
            2,
            ["XML is expected", "save it as UTF-8"],
        ),
        (xml(make_object(), size="<width>x</width>"), 1, ["<width>"]),
        (
            xml(make_object(), size="<width>-4</width><height>9</height>"),
            1,
            ["whole number of pixels", "-4"],
        ),
        (
            xml(make_object(), size="<width>4.5</width><height>9</height>"),
            1,
            ["whole number of pixels"],
        ),
        ("<annotation>" + "<a>\n" * 100 + "</a>" * 100 + "</annotation>", 16, ["16 levels"]),
        ("<a>" * 2_000_000, 1, ["got <a>"]),
    ],
)
def test_wrong_values_are_named_by_file_and_line(
    tmp_path: Path, page: str | bytes, line: int, words: list[str]
) -> None:
    error = refused(usual(tmp_path, a=page, b=xml(make_object())), *words)
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
    page = f"<?xml version='1.0'?>\n{doctype}\n" + xml(make_object(name="&l9;"))
    start = time.process_time()
    error = refused(usual(tmp_path, a=page), "without a DOCTYPE", "Remove")
    assert time.process_time() - start < 1
    assert (error.where, error.line) == (tmp_path / "Annotations" / "a.xml", 2)


def test_other_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual(tmp_path, a=xml(make_object()))
    os.mkfifo(tmp_path / "Annotations" / "pipe.xml")
    refused(tmp_path, "pipe.xml", "this is a folder or a device")
    assert voc.sniff(tmp_path)
    (tmp_path / "Annotations" / "pipe.xml").unlink()
    (tmp_path / "Annotations" / "gone.xml").symlink_to(tmp_path / "nowhere")
    refused(tmp_path, "gone.xml", "cannot be read")
    (tmp_path / "Annotations" / "gone.xml").unlink()
    monkeypatch.setattr("foveate.formats.voc.xml._MAX_BYTES", 50)
    refused(tmp_path, "a.xml", "at most 50 bytes")


def test_declared_encodings_are_read(tmp_path: Path) -> None:
    for encoding, name in (
        ("utf-8", "é"),
        ("utf-16", "é"),
        ("latin-1", "é"),
        ("windows-1251", "кот"),
        ("GB2312", "猫"),
        ("gbk", "猫"),
        ("Shift_JIS", "猫"),
        ("euc-kr", "고양이"),
    ):
        page = f'<?xml version="1.0" encoding="{encoding}"?>' + xml(make_object(name))
        usual(tmp_path, a=page.encode(encoding))
        data = formats.read(tmp_path)
        assert (data.format, data.classes) == ("voc", (name,))


def test_fractions_are_no_pixels(tmp_path: Path) -> None:
    boxes = [(0.1, 0.2, 0.5, 0.75), (0, 0, 1, 1)]
    usual(tmp_path, a=xml(), b=xml(*[make_object(box=box) for box in boxes]))
    error = refused(tmp_path, "corners in pixels", "from 0 to 1", "Multiply")
    assert (error.where, error.line) == (tmp_path / "Annotations" / "b.xml", 3)
    usual(tmp_path, a=xml(make_object(box=(0, 0, 1, 1))), b=xml())
    assert len(formats.read(tmp_path)) == 2


def test_empty_datasets_are_refused(tmp_path: Path) -> None:
    refused(lay(tmp_path / "x", {"a.txt": "x"}), "found none", "Annotations/*.xml")
    refused(
        lay(tmp_path / "y", {"Annotations/a.xml": xml(make_object())}),
        "1 skipped; Annotations/a.xml: its image 'a'",
    )
    refused(
        usual(tmp_path / "z", a=xml()),
        "an <object> in at least one file is expected",
        "classes.txt",
    )
    refused(lay(tmp_path, {"file.xml": xml(make_object())}) / "file.xml", "this is a file")


# --- fuzzing

GOOD = xml(
    make_object("cat", (1, 2, 30, 20), "<difficult>1</difficult>"),
    make_object("dog"),
    filename="a.png",
)
PIECES = [
    *(
        "<object>",
        "</object>",
        "<bndbox>",
        "</bndbox>",
        "<xmin>",
        "</xmin>",
        "<name/>",
        "<size>",
        "</annotation>",
    ),
    *(
        "0",
        "-1",
        "1e400",
        "nan",
        "abc",
        "&lt;",
        "&x;",
        "&#0;",
        "<![CDATA[1]]>",
        "<!-- -->",
        "<?x?>",
        "\n",
        "é",
        "\0",
        "]]>",
    ),
    *(
        "<!DOCTYPE a>",
        "<filename>../x.png</filename>",
        "<difficult>2</difficult>",
        "<part><name>x</name></part>",
        "",
    ),
    *(
        "<?xml version='1.0' encoding='utf-16'?>",
        "<?xml version='1.0' encoding='idna'?>",
        "a\ud800",
        "\ufeff",
    ),
]


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(GOOD)),
            st.integers(0, 30),
            st.sampled_from(PIECES) | st.text(max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_edit_is_data_or_one_error(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    page = GOOD
    for start, length, piece in edits:
        page = page[:start] + piece + page[start + length :]
    usual(tmp_path, a="", b=xml(make_object("owl")))
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
    assert all(np.isfinite(sample.target.corners).all() for sample in data)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lists=st.lists(
        st.lists(
            st.sampled_from(["a", "b", "c", "a.png", "", "a 1", "b -1", "\0", "x" * 300, "é"]),
            max_size=4,
        ),
        min_size=2,
        max_size=2,
    )
)
def test_any_lists_are_splits_or_one_error(tmp_path: Path, lists: list[list[str]]) -> None:
    usual(tmp_path, a=xml(make_object()), b=xml(make_object()))
    for word, lines in zip(("train", "test"), lists, strict=True):
        lay(tmp_path, {f"ImageSets/Main/{word}.txt": "\n".join(lines)})
    try:
        data = formats.read(tmp_path, "voc")
    except DataError:
        assert {line[0] for line in lists[0] if line} & {line[0] for line in lists[1] if line}
        return
    assert len(data) == 2
