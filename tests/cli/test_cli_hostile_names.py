"""Names from strangers' files reach the terminal as text: no sequence runs, no line is faked."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
import warnings

import numpy as np
import pytest
from PIL import Image

from foveate.cli import main
from foveate.errors import FoveateError
from foveate.wording import escape_controls
from helpers.command_line import run_cli

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028\r\b\nerror: faked [red]:dog: <script>x</script>"
)
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
RICH = re.compile(r"\x1b\[(\d+(;\d+)*m|\?25[lh]|\d*[KA]|0?m)|\r")  # colours, bars
OUTCOMES = {0, 1, 2}


def check(text: str) -> None:
    found = CONTROLS.search(text)
    assert found is None, text[max(0, found.start() - 80) : found.end() + 20]
    assert not re.search(r"^\W*error: faked", text, re.M)
    assert "🐕" not in text


def hostile_folder(root, name=HOSTILE, each=8):
    """Two classes, one file that is no image; the names of all are hostile."""
    name = name.replace("/", "∕")
    rng = np.random.default_rng(0)
    for shade, kind in ((60, f"a{name}"), (190, f"b{name}")):
        (root / kind).mkdir(parents=True)
        for number in range(each):
            pixels = np.clip(rng.normal(shade, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{number}{name}.png")
    (root / f"a{name}" / f"broken{name}.png").write_bytes(b"no image")
    return root


def hostile_coco(root):
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(1, 9):
        file = f"{number}{HOSTILE.replace('/', '')}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(root / "images" / file)
        images.append({"id": number, "file_name": file, "width": 32, "height": 32})
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [20, 20, 40, 9]})
    content = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 1, "name": f"cell{HOSTILE}"}, {"id": 2, "name": f"cell {HOSTILE}"}],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def hostile_captions(root):
    root.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(8):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(root / f"{number}.png")
        text = "" if number == 1 else f"a dog{HOSTILE}{number}"
        lines.append(json.dumps({"file_name": f"{number}.png", "text": text, "group": HOSTILE}))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return root


def test_escapes_are_visible_and_text_of_all_scripts_stays():
    assert escape_controls("a\x1b[2J\nb\u202e\x9b\udce4") == r"a\x1b[2J\nb\u202e\x9b\udce4"
    for text in ("plain /path-1.png", "Käfer 日本語\u3000ふ", "👩\u200d🔬", "می\u200cخواهم", "→ ×"):
        assert escape_controls(text) == text


def test_each_part_of_an_error_is_one_line():
    error = FoveateError(HOSTILE, where=HOSTILE, details=[HOSTILE, HOSTILE], remedy=HOSTILE)
    check(str(error))
    assert len(str(error).splitlines()) == 4
    assert error.message == HOSTILE  # programs get it as it is


@pytest.mark.parametrize("make", [hostile_folder, hostile_coco, hostile_captions])
def test_commands_on_data_print_no_control_character(make, tmp_path, monkeypatch):
    data = make(tmp_path / f"data{HOSTILE.replace('/', '')}")
    monkeypatch.chdir(tmp_path)
    shown = ""
    csv = ("--format", "csv") if make is hostile_folder else ("--format", "webdataset")
    for words in (
        ("audit", data, "--html", "a.html", "--json", "a.json"),
        ("audit", data, "--fix", f"copy{HOSTILE.replace('/', '')}"),
        ("split", data, "--out", f"split{HOSTILE.replace('/', '')}.csv"),
        ("convert", data, "converted", *csv),
        ("convert", data, "boxes", "--format", "yolo"),
        ("convert", data, data / "inside", *csv),
        ("audit", data / "nowhere"),
        ("split", data, "--out", "s.csv", "--group-by", HOSTILE),
        ("predict", data, data),
        ("train", data, "--task", HOSTILE, "--out", tmp_path / HOSTILE.replace("/", "")),
        ("compare", data, data),
    ):
        code, out, err = run_cli(*words)
        assert code in OUTCOMES
        assert "Traceback" not in err, err
        check(out)
        check(err)
        shown += out + err
    assert r"\x1b[2J" in shown
    page = (tmp_path / "a.html").read_text()
    assert "<script>x" not in page
    assert json.loads((tmp_path / "a.json").read_text())["foveate"] == "audit"


def test_usage_errors_warnings_and_tracebacks_are_escaped(monkeypatch):
    for words in ((HOSTILE,), ("audit", "a", f"--{HOSTILE}"), ("audit", "a", HOSTILE)):
        code, out, err = run_cli(*words)
        assert code == 2
        check(out)
        check(err)

    def bug(*_, **__):
        sys.stderr.write(warnings.formatwarning(HOSTILE, UserWarning, HOSTILE, 1))
        raise KeyError(HOSTILE)

    monkeypatch.setattr(main, "app", bug)
    code, out, err = run_cli("audit", "a")
    assert code == 1
    assert "UserWarning" in err
    assert "Traceback" in err
    check(err)


def in_a_terminal(*words: object) -> tuple[int, str]:
    """Exit code and output of a command whose output is a terminal."""
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST  # line ends as they were written
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "foveate", *map(str, words)],
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"},
    )
    os.close(slave)
    output = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(master, 65536):
            output += part
    os.close(master)
    return process.wait(), output.decode()


@pytest.mark.slow
@pytest.mark.parametrize("run", [in_a_terminal, run_cli])
def test_a_whole_run_on_hostile_names_prints_no_control_character(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = HOSTILE.replace("/", "")
    data, out = hostile_folder(tmp_path / "data", each=20), f"run{name}"
    images = [path for path in data.rglob("*.png") if "broken" not in path.name]
    commands = {
        ("train", data, "--out", out, "--epochs", 1, "--allow-skipped"): 0,
        ("predict", out, data, "--json", "p.json", "--draw", f"drawn{name}"): 0,
        ("label", data, "--with", out, "--out", f"labels{name}"): 0,
        ("compare", out, out): 0,
        ("report", out): 0,
        ("train", data, "--out", out): 2,
        ("test", out): 0,
        ("predict", out, images[0], "--json", f"missing{name}/p.json"): 2,
        ("audit", data, "--deep"): 0,
        ("cache",): 0,
    }
    if run is in_a_terminal:  # a process each, so only those that print most
        commands = dict(list(commands.items())[:4])
    for words, expected in commands.items():
        code, *outputs = run(*words)
        assert code == expected, (words, outputs)
        for text in outputs:
            assert "Traceback" not in text, text
            check(RICH.sub("", text) if run is in_a_terminal else text)
        if words[0] in ("predict", "label", "report"):
            assert r"\x1b[2J" in "".join(outputs)
    if run is run_cli:
        assert "<script>x" not in (tmp_path / out / "report.html").read_text()
