"""Hostile run folders: whatever a run's files hold, a command succeeds or says what is damaged."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
from pathlib import Path
from typing import Any

from compare_files import describe, tree
from lab import Lab, check_polite, require
from materials import TRAINING, set_up
from mutate import HOSTILE_TEXT, HUGE, bytes_of, draw, json_of, replace_file
from runner import Attack

WRITTEN = (
    "report.html", "results.json", "predictions_test.csv", "test_ledger.json", ".lock",
    ".unfinished.yaml", ".owner.json",
)  # fmt: skip
LIKELY_TEMPORARY = ("{}.tmp", "{}.part", "{}.partial", ".{}.tmp", "{}~", "tmp-{}", ".{}.swp")


def commands(run_names: tuple[str, str]) -> list[tuple[object, ...]]:
    """What reads a run."""
    run, other = run_names
    return [
        ("report", run),
        ("report", run),
        ("test", run),
        ("test", run),
        ("predict", run, "images"),
        ("compare", run, other),
        ("train", "--resume", run),
    ]


def records(lab: Lab, number: int) -> None:
    """Damage one or two records of a finished run."""
    task = list(TRAINING)[number % len(TRAINING)]
    run = set_up(lab, task, draw(lab.rng, ("trained", "tested")))
    thesis = _thesis(lab)
    _images(lab)
    _other(lab, task)
    before = tree(thesis.parent)
    files = sorted(path for path in run.iterdir() if path.is_file())
    for _ in range(int(lab.rng.integers(1, 3))):
        path = draw(lab.rng, files)
        if path.is_file() and not path.is_symlink():
            _damage(lab, path, thesis)
    words = draw(lab.rng, commands(("run", "other")))
    result = lab.run(*words, seconds=30.0)
    check_polite(result)
    require(tree(thesis.parent) == before, f"the user's file changed: {result}")


def _damage(lab: Lab, path: Path, thesis: Path) -> None:
    rng, data = lab.rng, path.read_bytes()
    if rng.random() < 0.2:
        lab.note(replace_file(rng, path, thesis))
        return
    if path.suffix == ".json" and rng.random() < 0.7:
        way, changed = json_of(rng, data)
    elif path.suffix == ".csv" and rng.random() < 0.7:
        way, changed = _csv_cell(lab, data)
    elif path.suffix == ".safetensors" and rng.random() < 0.7:
        way, changed = _header(lab, data)
    else:
        way, changed = bytes_of(rng, data)
    path.write_bytes(changed)
    lab.note(f"{path.name}: {way}")


def _csv_cell(lab: Lab, data: bytes) -> tuple[str, bytes]:
    """Replace one cell, or remove it, or put it twice."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    row = draw(lab.rng, rows)
    column = int(lab.rng.integers(len(row)))
    value = draw(lab.rng, HUGE if lab.rng.random() < 0.5 else HOSTILE_TEXT)
    way = draw(lab.rng, ("replace", "replace", "replace", "remove", "add"))
    if way == "remove":
        del row[column]
    elif way == "add":
        row.insert(column, value)
    else:
        row[column] = value
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"{way} a cell by {value!r:.40}", text.getvalue().encode("utf-8", "surrogatepass")


def _header(lab: Lab, data: bytes) -> tuple[str, bytes]:
    """Change one value of what the header of weights says of them."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if lab.rng.random() < 0.2 or not metadata:
        announced = draw(lab.rng, (2**62, 10**9, len(data), 0, 1))
        return f"the header has {announced} bytes", struct.pack("<Q", announced) + data[8:]
    key = draw(lab.rng, sorted(metadata))
    way, changed = json_of(lab.rng, metadata[key].encode())
    metadata[key] = changed.decode("utf-8", "replace")
    text = json.dumps(header).encode()
    return f"header: {way}", struct.pack("<Q", len(text)) + text + data[8 + length :]


def links(lab: Lab, number: int) -> None:
    """Links to a user's file at every name that foveate writes or might write."""
    run = set_up(lab, "classification", draw(lab.rng, ("trained", "tested")))
    thesis = _thesis(lab)
    _images(lab)
    _other(lab, "classification")
    names = [path.name for path in run.iterdir()]
    hard = bool(number % 2)
    for name in names:
        for pattern in LIKELY_TEMPORARY:
            _put(run / pattern.format(name), thesis, hard)
    targets = [name for name in WRITTEN if lab.rng.random() < 0.3]
    for name in targets:
        (run / name).unlink(missing_ok=True)
        _put(run / name, thesis, hard)
    lab.note(f"{'hard' if hard else 'symbolic'} links at likely temporary names and {targets}")
    before = tree(thesis.parent)
    words = draw(lab.rng, commands(("run", "other")))
    result = lab.run(*words, seconds=30.0)
    check_polite(result)
    require(tree(thesis.parent) == before, f"the user's file changed: {result}")


def _put(path: Path, target: Path, hard: bool) -> None:
    if path.exists() or path.is_symlink():
        return
    os.link(target, path) if hard else path.symlink_to(target)


def split_edited(lab: Lab, number: int) -> None:
    """The split is edited after training: no result must come from training images."""
    del number
    state = draw(lab.rng, ("trained", "tested"))
    run = set_up(lab, "classification", state)
    path = run / "split.csv"
    rows = list(csv.reader(io.StringIO(path.read_text())))
    header, body = rows[0], rows[1:]
    column = header.index("split")
    way = draw(lab.rng, ("swap", "move", "remove", "repeat", "rename", "all"))
    train = [row for row in body if row[column] == "train"]
    test = [row for row in body if row[column] == "test"]
    if way == "swap":
        draw(lab.rng, train)[column], draw(lab.rng, test)[column] = "test", "train"
    elif way == "move":
        draw(lab.rng, train)[column] = "test"
    elif way == "remove":
        body.remove(draw(lab.rng, test))
    elif way == "repeat":
        body.append(list(draw(lab.rng, test)))
    elif way == "rename":
        one, other = draw(lab.rng, train), draw(lab.rng, test)
        one[0], other[0] = other[0], one[0]
    else:
        for row in train:
            row[column] = "test"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *body])
    path.write_text(text.getvalue())
    lab.note(f"split.csv: {way}")
    words = draw(lab.rng, (("test", "run"), ("train", "--resume", "run")))
    before = describe(run / "results.json")
    result = lab.run(*words)
    check_polite(result)
    if result.code == 0:
        unchanged = describe(run / "results.json") == before
        told = "split" in result.out + result.err and "changed" in result.out + result.err
        require(unchanged and (told or state == "tested"), f"an edited split is trusted: {result}")
    else:
        require("split.csv" in result.err, f"the error does not name split.csv: {result}")
    require(describe(run / "results.json") == before, "results were written from an edited split")


def bombs(lab: Lab, number: int) -> None:
    """Weights and configurations that announce huge nets, depths and sizes."""
    run = set_up(lab, "classification", "trained")
    _images(lab)
    _other(lab, "classification")
    models = (
        "mlp:" + "-".join(["8"] * 10**5), "mlp:10000000-10000000", "yolo:xxxxxxxxxx",
        "unet:16x3000", "hf:/dev/zero", "timm:vit_huge_patch14_224",
        "mlp:" + "9" * 10**4, "resnet152",
    )  # fmt: skip
    options: tuple[dict[str, Any], ...] = (
        *({"model": model} for model in models),
        {"size": 10**9}, {"size": 16384}, {"channels": 10**7}, {"classes": ["a"] * 10**6},
        {"classes": ["a" * 10**7]}, {"options": {"a": [[[]]] * 10**5}},
        {"format": 10**30},
    )  # fmt: skip
    change = options[number % len(options)]
    name = draw(lab.rng, ("best.safetensors", "last.safetensors", "config.yaml"))
    path = run / name
    if name == "config.yaml":
        lines = path.read_text().splitlines()
        key, value = next(iter(change.items()))
        kept = [line for line in lines if not line.startswith(f"{key}:")]
        path.write_text("\n".join([*kept, f"{key}: {json.dumps(value)}"]) + "\n")
    else:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        record = {**json.loads(header["__metadata__"]["foveate"]), **change}
        header["__metadata__"]["foveate"] = json.dumps(record)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    lab.note(f"{name}: {str(change)[:80]}")
    check_polite(lab.run(*draw(lab.rng, commands(("run", "other"))), seconds=30.0))


def _thesis(lab: Lab) -> Path:
    thesis = lab.folder / "user" / "thesis"
    thesis.parent.mkdir()
    thesis.write_text("the user's thesis\n")
    return thesis


def _images(lab: Lab) -> None:
    source = lab.materials.data("classification") / "red"
    (lab.folder / "images").mkdir()
    for path in sorted(source.iterdir())[:3]:
        lab.copy(path, f"images/{path.name}")


def _other(lab: Lab, task: str) -> None:
    lab.copy(lab.materials.run(task, "trained") / "run", "other")


_ERROR = "an answer or one error that names the file, within 10 s of processor time and 1 GB"

ATTACKS = [
    Attack(
        "records-damaged",
        f"damaged records of a run: {_ERROR}",
        "any value of any record replaced, removed, added; bytes flipped, cut, repeated; pipes, "
        "links, devices and 20 GB in a record's place; then report, test, predict, compare, resume",
        records,
        weight=4,
    ),
    Attack(
        "records-links",
        "nothing is written through a link: a user's file that a run links to stays",
        "symbolic and hard links to it at the names of records and at likely temporary names",
        links,
    ),
    Attack(
        "records-split",
        "a split that was edited after training is refused, and no result comes from it",
        "rows swapped, moved, removed, repeated or renamed in split.csv; then test and resume",
        split_edited,
    ),
    Attack(
        "records-bombs",
        f"weights and settings that announce huge nets: {_ERROR}",
        "10^5 layers, 10^7 channels, 10^6 classes, images of 10^9 px and the like",
        bombs,
        most=300,
    ),
]
