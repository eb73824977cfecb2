"""Hostile names: of files, classes, folders and captions, through every command."""

from __future__ import annotations

import csv
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

from lab import CONTROL, Lab, Result, check_polite, require
from materials import set_up
from runner import Attack

MARK = "PWN"
NAMES = (
    f"\x1b]0;{MARK}\x07", f"\x1b[31m{MARK}\x1b[2J", f"\x9b31m{MARK}", f"{MARK}\r\x1b[A",
    f"\u202e{MARK}", f"\u2066{MARK}\u200f", f"=HYPERLINK({MARK})", f"+{MARK}", f"-{MARK}",
    f"@{MARK}", f"\t={MARK}", f"\r={MARK}", f" ={MARK}", f"＝{MARK}", f"<script>{MARK}",
    f"<img src=x onerror={MARK}>", f"\"'><svg onload={MARK}>", f"{MARK}\n={MARK}", f"[red]{MARK}",
    f"{{{{{MARK}}}}}", MARK * 60, f"\udcff\udcfe{MARK}", f"'{MARK}", f'"{MARK}', f"{MARK},a",
    f"{MARK}\\ud800", f"%s{MARK}", f"-rf {MARK}", MARK + "\u0301" * 100, f"#{MARK}",
    f"{MARK}?a=1#b", f"*{MARK}", f"&lt;{MARK}", f"javascript:{MARK}", f"| {MARK}",
    f"{MARK}\x7f\x08\x08", f"\u2028{MARK}",
)  # fmt: skip
SEQUENCES = re.compile("\x1b\\[[0-9;?]*[mhlKAG]")
"""What rich itself sends: colours, cursor, erased lines."""


def named(lab: Lab, count: int) -> list[str]:
    """So many names, each once."""
    order = lab.rng.permutation(len(NAMES))
    return [NAMES[int(i)] for i in order[:count]]


def as_file(name: str) -> str:
    """The name as a file can have it."""
    return name.replace("/", "_").replace("\0", "")[:200]


def folders(lab: Lab) -> Path:
    """A folder per class; names of classes, files and of the folder itself are hostile."""
    classes = named(lab, 3)
    data = lab.folder / as_file(lab.choice(NAMES) if lab.rng.random() < 0.4 else "data")
    sources = sorted(lab.materials.data("classification").iterdir())
    for source, name in zip(sources, classes, strict=True):
        (data / as_file(name)).mkdir(parents=True)
        for number, path in enumerate(sorted(source.iterdir())):
            file = as_file(f"{number}{lab.choice(NAMES)}"[:180])
            if lab.rng.random() < 0.3:
                file = as_file(f"{lab.choice(NAMES)}{number}"[:180])
            (data / as_file(name) / f"{file}.png").write_bytes(path.read_bytes())
        # one that cannot be read, so that its name is in a message
        broken = data / as_file(name) / f"{as_file(lab.choice(NAMES))}-broken.png"
        broken.write_bytes(b"no image")
    lab.note(f"classes {classes!r:.300}, folder {data.name!r}")
    return data


def coco(lab: Lab) -> Path:
    """COCO with hostile names of classes and files, and a broken image."""
    data = lab.copy(lab.materials.data("detection"), "data")
    path = data / "annotations.json"
    record = json.loads(path.read_text())
    for category, name in zip(record["categories"], named(lab, 2), strict=True):
        category["name"] = name.encode("utf-8", "replace").decode()
    for number, image in enumerate(record["images"]):
        if lab.rng.random() < 0.5:
            name = as_file(f"{number}{lab.choice(NAMES)}")[:180].encode("utf-8", "replace").decode()
            (data / "images" / image["file_name"]).rename(data / "images" / f"{name}.png")
            image["file_name"] = f"{name}.png"
    path.write_text(json.dumps(record))
    (data / "images" / f"{as_file(lab.choice(NAMES))}-unlabelled.png").write_bytes(b"no image")
    return data


def names(lab: Lab, number: int) -> None:
    """Through every command, one data after the other."""
    terminal = bool(number % 2)
    data = folders(lab) if number % 3 else coco(lab)
    out = "run" if lab.rng.random() < 0.5 else as_file(f"run{lab.choice(NAMES)}")[:100]
    train = ("train", data, "--out", out, "--epochs", "0.5", "--batch-size", "8", "--size", "32",
             "--allow-errors", "--allow-skipped", "--allow-leak")  # fmt: skip
    steps: list[tuple[object, ...]] = [
        ("audit", data, "--html", "a.html", "--json", "a.json", "--fix", "fixed"),
        train,
        ("test", out),
        ("report", out),
        ("predict", out, data, "--json", "p.json", "--draw", "drawn"),
        ("label", data, "--with", out, "--out", "labelled"),
        ("split", data, "--out", "split.csv", "--allow-leak"),
        ("convert", data, "converted", "--format", lab.choice(("csv", "folder", "yolo", "voc"))),
        ("cache",),
        ("compare", out, out),
    ]
    skip = lab.rng.random(len(steps)) < 0.3
    for words, left_out in zip(steps, skip, strict=True):
        if left_out and words is not train:
            continue
        result = lab.run(*words, terminal=terminal)
        check_terminal(result, terminal)
        check_files(lab)
        if words is train and result.code:
            return


def check_terminal(result: Result, terminal: bool) -> None:
    """Check that nothing hostile reached the terminal."""
    if not terminal:
        check_polite(result, codes=(0, 1, 2), limits=False)
        return
    text = result.out
    require("Traceback" not in text, f"traceback: {result}")
    require(not result.hung and result.code in (0, 1, 2), f"hangs or crashes: {result}")
    rest = SEQUENCES.sub("", text.replace("\r", ""))
    found = CONTROL.search(rest)
    shown = rest[max(0, found.start() - 60) : found.end() + 60] if found else ""
    require(found is None, f"at the terminal: {shown!r}")
    for escape in (f"\x1b[31m{MARK}", "\x1b[2J", f"{MARK}\x1b[A"):
        require(escape not in text, f"at the terminal: {escape!r}")


def check_files(lab: Lab) -> None:
    """Check what was written: CSV without formulas, pages without foreign markup, whole JSON."""
    for root, _, files in os.walk(lab.folder):
        if any(part in root for part in (".process", "/cache", "/data")):
            continue
        for name in files:
            path = Path(root, name)
            if name.endswith(".html"):
                check_page(path)
            elif name.endswith(".csv"):
                check_cells(path)
            elif name.endswith(".json"):
                json.loads(path.read_text("utf-8"))


def check_cells(path: Path) -> None:
    """Check that no cell is a formula to a spreadsheet."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            for cell in row:
                if cell.lstrip()[:1] in tuple("=+-@＝＋－＠") and cell.strip():
                    try:
                        float(cell)
                    except ValueError:
                        require(False, f"{path.name}: the cell {cell!r:.80} is a formula")
                require(cell[:1] not in ("\t", "\r"), f"{path.name}: the cell {cell!r:.80}")


class _Page(HTMLParser):
    """Collects markup that no page of foveate has of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.script = tag == "script"
        for key, value in attrs:
            hostile = key.startswith("on") and MARK in (value or "")
            scheme = key in ("href", "src") and (value or "").lower().startswith("javascript:")
            if hostile or scheme or key.lower().startswith(MARK.lower()):
                self.found.append(f"<{tag} {key}={value}>")

    def handle_endtag(self, tag: str) -> None:
        self.script = self.script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.script and MARK in data:
            self.found.append(f"script: {data:.80}")


def check_page(path: Path) -> None:
    """Check that names are text on a page."""
    page, text = _Page(), path.read_bytes().decode("utf-8")
    page.feed(text)
    require(not page.found, f"{path.name}: {page.found[:3]}")
    require(not any(c in text for c in "\x00\x07\x1b\x9b"), f"{path.name}: control characters")


def foreign_run(lab: Lab, number: int) -> None:
    """A finished run whose classes, ids and figures are renamed to hostile ones."""
    run = set_up(lab, "classification", "tested")
    name = NAMES[number % len(NAMES)].encode("utf-8", "replace").decode()
    for record in ("data.json", "results.json", "split.csv", "predictions_test.csv", "curves.csv"):
        path = run / record
        old = lab.choice(("blue", "nearest neighbour", "accuracy", "000.png", "classification"))
        new = json.dumps(name)[1:-1] if path.suffix == ".json" else name
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    lab.copy(lab.materials.run("classification", "trained") / "run", "other")
    words = lab.choice((("report", "run"), ("test", "run"), ("compare", "run", "other")))
    terminal = bool(lab.rng.integers(2))
    check_terminal(lab.run(*words, terminal=terminal), terminal)
    check_page(run / "report.html")


ATTACKS = [
    Attack(
        "names-data",
        "hostile names of files, classes and folders reach neither terminal, spreadsheet nor page "
        "unescaped",
        f"{len(NAMES)} names (escapes, formulas, markup, bidirectional, not Unicode, long) through "
        "audit, train, test, report, predict, label, split, convert, cache and compare, with and "
        "without a terminal",
        names,
        weight=2,
    ),
    Attack(
        "names-records",
        "hostile names in the records of a foreign run reach neither terminal nor page unescaped",
        "report, test and compare on a run whose records were rewritten",
        foreign_run,
    ),
]
