"""CSV files of foveate's own: any text survives, no cell is a formula, damage has a line."""

import csv
import os
import stat
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foveate import csv_file
from foveate.errors import RunError

# Everything a str can hold, lone surrogates included; the pieces make the hard cases likely.
PIECES = st.sampled_from(
    ["=", "+", "-", "@", "'", '"', ",", "\n", "\r", "\t", "\0", "\\", "ud800", "\udce4", "\ud800",
     "\udc00", "\\udce4", " ", "\ufeff", "\x1b[2J", "＝", ""]
)  # fmt: skip
ANY_CHARACTER = st.characters(codec=None, categories=None)
TEXT = st.one_of(st.text(ANY_CHARACTER), st.lists(PIECES).map("".join))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
@example([("", "")])
@example([("=1+1", "'=1+1"), ("''", "\\\udce4"), ("\\\\udce4", "\r")])
def test_any_text_survives(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    csv_file.write(path, ["id", "=odd\nheader"], rows)
    read = list(csv_file.read(path, ["id"]))
    assert [tuple(cells.values()) for _, cells in read] == rows
    lines = path.read_bytes().decode().splitlines(keepends=True)  # valid UTF-8
    assert all(1 < line <= len(lines) for line, _ in read)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_a_single_column_survives_and_no_cell_begins_like_a_formula(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    csv_file.write(path, ["id"], [[text] for text in texts])
    assert [cells["id"] for _, cells in csv_file.read(path, ["id"])] == texts
    with path.open(newline="", encoding="utf-8") as file:
        for (cell,) in csv.reader(file):
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))
            assert not cell.startswith(("\t", "\r"))


def test_numbers_stay_numbers_and_plain_text_is_as_it_was(tmp_path):
    path = tmp_path / "a.csv"
    csv_file.write(path, ["id", "n", "x", "none"], [["a b.png", -3, -0.5, None]])
    assert path.read_text() == "id,n,x,none\na b.png,-3,-0.5,\n"


def test_rows_have_the_line_at_which_they_begin(tmp_path):
    path = tmp_path / "a.csv"
    csv_file.write(path, ["id"], [["a\nb\nc"], ["d"]])
    assert [line for line, _ in csv_file.read(path, ["id"])] == [2, 5]


def test_a_long_field_is_read_and_the_limit_of_the_process_is_as_it_was(tmp_path):
    path, long, before = tmp_path / "a.csv", "x" * 300_000, csv.field_size_limit()
    csv_file.write(path, ["id"], [[long]] * 50)

    def read():
        assert all(row["id"] == long for _, row in csv_file.read(path, ["id"]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert csv.field_size_limit() == before


def test_what_a_spreadsheet_saves_is_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfid,split\r\n"a.png",train\r\n\r\n')
    assert list(csv_file.read(tmp_path / "a.csv", ["split"])) == [
        (2, {"id": "a.png", "split": "train"})
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv:1: the columns id, split are expected"),
        (b"id,id,split\n", "a.csv:1: the columns id, split are expected, each once"),
        (b"id\na\n", "a.csv:1: .*got id"),
        (b"id,split\na,train\nb\n", "a.csv:3: 2 cells are expected as in the header, got 1"),
        (b'id,split\na,train\n"b,train\n', "a.csv:3: this file is damaged"),
        (b"id,split\na,\xff\n", "this file is damaged"),
    ],
)
def test_damage_is_told_with_its_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        list(csv_file.read(path, ["id", "split"], remedy="Make it again."))
    assert caught.value.remedy == "Make it again."


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError):
            next(csv_file.read(path, ["id"]))
