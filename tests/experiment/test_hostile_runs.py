"""Run folders that are damaged or malicious: one error that names the file, and soon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import foveate as fv
from foveate.errors import FoveateError
from foveate.training import checkpoint
from helpers import hostile
from helpers.command_line import refused as cli_refused
from helpers.hostile import refused

pytestmark = pytest.mark.usefixtures("one_thread")

RECORDS = {
    "config.yaml": ("report", "predict", "compare", "resume", "test"),
    "data.json": ("report", "compare", "test"),
    "split.csv": ("test",),
    "curves.csv": ("report",),
    "results.json": ("report", "compare", "test"),
    "predictions_valid.csv": ("report",),
    "best.safetensors": ("predict", "report", "test"),
}
"""The records of a finished run, and some of what reads each of them."""


@pytest.mark.parametrize("damage", hostile.FILES)
@pytest.mark.parametrize("record", RECORDS)
def test_a_damaged_file_is_one_error_with_its_name(record, damage, trained, use, tmp_path):
    for operation in RECORDS[record]:
        copy = shutil.copytree(trained.path, tmp_path / operation)
        hostile.FILES[damage](copy / record)
        error = refused(use, copy, operation)
        gone = damage in ("dangling link", "link to itself")
        if error is None:  # the record is not needed, or may be missing
            assert operation == "report" or gone or record == "curves.csv"
            continue
        assert gone or record in str(error), error
        assert error.remedy
        if not gone:
            assert "damaged" in str(error) or "expected" in str(error), error


def small(record: str, path: Path) -> Any:
    """A record without what only repeats its kind."""
    value = json.loads((path / record).read_text())
    if record == "results.json":
        best = value["best_baseline"]
        value["baseline"]["valid"] = {best: value["baseline"]["valid"][best]}
        for metrics in (value["valid"], value["lift"]["valid"], value["baseline"]["valid"][best]):
            for name in [*metrics][1:]:
                del metrics[name]
    return value


@pytest.mark.parametrize("record", ["data.json", "results.json"])
def test_any_wrong_value_in_a_json_record_is_one_error(record, trained, use, tmp_path):
    """Each value is taken away, replaced by one of another type, and made too large or deep."""
    path = shutil.copytree(trained.path, tmp_path / "run")
    count = {"refused": 0, "taken": 0}
    for name, content in hostile.json_variants(small(record, path)):
        (path / record).write_bytes(content)
        error = refused(use, path, "compare")
        count["taken" if error is None else "refused"] += 1
        if error is not None:
            text = str(error)
            assert (record in text and "damaged" in text) or "interrupted" in text, (name, error)
    assert count["refused"] > 4 * count["taken"], count


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["report", "test"])
def test_any_wrong_setting_is_one_error(operation, trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    for _, content in hostile.json_variants(yaml.safe_load((path / "config.yaml").read_text())):
        (path / "config.yaml").write_bytes(content)  # JSON is YAML
        refused(use, path, operation)


def test_any_wrong_value_in_a_ledger_is_one_error(trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    fv.test(path)
    ledger = path / "test_ledger.json"
    entries = json.loads(ledger.read_text())
    (entry,) = entries["entries"]
    for part in ("metrics", "lift"):
        entry["result"][part] = {"accuracy": entry["result"][part]["accuracy"]}
    entry["result"]["baseline"] = {"majority class": entry["result"]["metrics"]}
    count = {"refused": 0, "taken": 0}
    for name, content in hostile.json_variants(entries):
        ledger.write_bytes(content)
        with hostile.within():
            message = error_of(lambda: fv.Run.open(path).ledger.entries)
        count["taken" if message is None else "refused"] += 1
        assert message is None or ("damaged" in message and "ledger" in message), name
    assert count["refused"] > 4 * count["taken"], count
    for damage in hostile.FILES.values():
        damage(ledger)
        error = refused(use, path, "test")
        assert error is None or "test_ledger.json" in str(error)
        shutil.rmtree(ledger) if ledger.is_dir() else ledger.unlink()
        ledger.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("record", ["data.json", "results.json"])
def test_what_a_record_may_hold_makes_a_report(record, trained, use, tmp_path):
    """The same, but read by all that the report shows."""
    path = shutil.copytree(trained.path, tmp_path / "run")
    for _, content in hostile.json_variants(small(record, path)):
        (path / record).write_bytes(content)
        refused(use, path, "report")


def test_any_wrong_value_in_the_header_of_weights_is_one_error(trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    weights = path / "best.safetensors"
    header, data = hostile.read_weights(weights)
    count = {"refused": 0, "taken": 0}
    for name, content in hostile.json_variants(json.loads(header["__metadata__"]["foveate"])):
        header["__metadata__"]["foveate"] = content.decode()
        hostile.write_weights(weights, header, data)
        error = refused(use, path, "predict")
        count["taken" if error is None else "refused"] += 1
        if error is not None:
            assert "best.safetensors" in str(error), (name, error)
    assert count["refused"] > 4 * count["taken"], count


HUGE: dict[str, dict[str, Any]] = {
    "ten million classes": {"classes": [str(k) for k in range(2_000_000)]},
    "a million classes": {"classes": [str(k) for k in range(1_000_000)]},
    "ten million channels": {"channels": 10**7},
    "a thousand channels": {"channels": 1000},
    "ten million pixels a side": {"size": 10**7},
    "16384 pixels a side": {"size": 16384, "model": "mlp"},
    "a wide layer": {"model": "mlp:10000000"},
    "wide layers": {"model": "mlp:" + ",".join(["30000"] * 30)},
    "many layers": {"model": "mlp:" + ",".join(["8"] * 100_000)},
    "another net": {"model": "resnet152", "size": 16384},
    "a large net": {"model": "vgg19", "size": 224},
    "no such net": {"model": "x" * 1_000_000},
    "a net of a folder": {"model": "hf:/dev"},
    "ten million layers": {
        "model": 'hf:{"model_type":"vit","num_hidden_layers":10000000,"image_size":16}'
    },
    "wide attention": {"model": 'hf:{"model_type":"dinov2","hidden_size":10000000}'},
    "large patches": {"model": 'hf:{"model_type":"vit","image_size":1000000,"patch_size":1}'},
}


@pytest.mark.parametrize("name", HUGE)
def test_a_header_that_announces_a_huge_net_is_refused_at_once(name, trained, tmp_path):
    """In a process of its own, with little memory: neither is taken up."""
    weights = shutil.copytree(trained.path, tmp_path / "run") / "best.safetensors"
    hostile.change_record(weights, lambda record: record.update(HUGE[name]))
    run = fv.Run.open(weights.parent)
    with (
        hostile.memory_limit(1_000_000_000),
        hostile.within(10),
        pytest.raises(FoveateError, match=r"best\.safetensors"),
    ):
        run.load()


OPTIONS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": float("nan")},
    {"temperature": [1]},
    {"class_weights": [1.0]},
    {"class_weights": "abc"},
    {"hflip": "perhaps"},
    {"more": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_that_the_task_does_not_take_are_refused(options, trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    hostile.change_record(
        path / "best.safetensors", lambda record: record["options"].update(options)
    )
    assert "best.safetensors" in str(refused(use, path, "predict"))


HEADERS: dict[str, bytes] = {
    "longer than the file": (2**40).to_bytes(8, "little") + b"{}",
    "of 2**64 bytes": b"\xff" * 8 + b"{}",
    "no object": (2).to_bytes(8, "little") + b"[]",
    "deep": (2 * hostile.DEPTH).to_bytes(8, "little") + b"[" * hostile.DEPTH + b"]" * hostile.DEPTH,
    "seven bytes": b"\x01" * 7,
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_none_is_damaged(name, trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    (path / "best.safetensors").write_bytes(HEADERS[name])
    assert "damaged" in str(refused(use, path, "predict"))


def with_first(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Change the entry of the first tensor."""

    def apply(header: dict[str, Any]) -> None:
        change(next(entry for name, entry in header.items() if name != "__metadata__"))

    return apply


def _many(header: dict[str, Any]) -> None:
    header |= {
        f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        for number in range(60_000)
    }


TENSORS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "huge shape": with_first(lambda one: one.update(shape=[10**9, 10**9])),
    "negative shape": with_first(lambda one: one.update(shape=[-1, -3])),
    "text as shape": with_first(lambda one: one.update(shape="3")),
    "overlap": with_first(lambda one: one.update(data_offsets=[8, 16])),
    "beyond the end": with_first(lambda one: one.update(data_offsets=[0, 2**62])),
    "unknown type": with_first(lambda one: one.update(dtype="F31")),
    "another type": with_first(lambda one: one.update(dtype="F64")),
    "no type": with_first(lambda one: one.pop("dtype")),
    "a list as type": with_first(lambda one: one.update(dtype=["F32"])),
    "tensors without a number": _many,
    "metadata that are no texts": lambda header: header["__metadata__"].update(more=[1]),
    "no metadata": lambda header: header.pop("__metadata__"),
    "a record of a thousand levels": lambda header: header["__metadata__"].update(
        foveate='{"format": 2, "a": ' + "[" * 1000 + "]" * 1000 + "}"
    ),
    "a record with nan": lambda header: header["__metadata__"].update(foveate="NaN"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_the_file_are_refused(name, trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    header, data = hostile.read_weights(path / "best.safetensors")
    TENSORS[name](header)
    hostile.write_weights(path / "best.safetensors", header, data)
    error = refused(use, path, "predict")
    assert error is not None
    assert "best.safetensors" in str(error)


@pytest.mark.parametrize("name", ["mean", "std", "body.0.stages.0.0.0.weight"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0])
def test_weights_that_are_no_numbers_are_refused(name, number, trained, use, tmp_path):
    """Such weights would give a class all the same."""
    path = shutil.copytree(trained.path, tmp_path / "run")
    tensors, record = checkpoint.read(path / "best.safetensors")
    tensors[name] = torch.full_like(tensors[name], number)
    del record["format"]
    checkpoint.write(path / "best.safetensors", tensors, record)
    error = refused(use, path, "predict")
    assert (error is None) == (number == 0 and name != "std")


# --- tables


def error_of(function: Callable[[], Any]) -> str | None:
    try:
        function()
    except FoveateError as error:
        return str(error)
    return None


CELLS = ["", "x", "nan", "inf", "-1", "1e400", "9" * 5000, "[", "[[1]]", "null", '{"a": 1}',
         "1000000000000", "0.5", "[" * 100_000]  # fmt: skip


@pytest.mark.parametrize("record", ["curves.csv", "predictions_valid.csv"])
def test_a_wrong_cell_is_one_error_with_its_line(record, trained, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    run = fv.Run.open(path)
    lines = (path / record).read_text().splitlines()
    columns = lines[0].split(",")
    read = (
        (lambda: run.curves) if record == "curves.csv" else partial(run.read_predictions, "valid")
    )
    refusals = 0
    for column, name in enumerate(columns):
        for cell in CELLS:
            cells = lines[2].split(",")
            cells[column] = f'"{cell.replace(chr(34), chr(34) * 2)}"'
            (path / record).write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
            with hostile.within():
                message = error_of(read)
            refusals += message is not None
            assert message is None or f"{record}:3: this file is damaged" in message, (name, cell)
    assert refusals > 5 * len(
        [name for name in columns if name not in ("id", "target", "prediction")]
    )


@pytest.mark.parametrize("record", ["curves.csv", "predictions_valid.csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0]],
        lambda lines: lines[1:],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, "1"],
        lambda lines: [*lines, lines[-1] + ",1,2"],
        lambda lines: [lines[0] + ",step,id", *(f"{line},1,1" for line in lines[1:])],
        lambda lines: [line.partition(",")[2] for line in lines],
        lambda lines: [line.rpartition(",")[0] for line in lines],
        lambda lines: [*lines[:2], lines[2] + "\0", *lines[3:]],
        lambda lines: [*lines, '"open'],
    ],
)
def test_a_table_of_another_form_is_one_error(record, change, trained, use, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    lines = (path / record).read_text().splitlines()
    (path / record).write_text("\n".join(change(lines)) + "\n")
    error = refused(use, path, "report")
    assert error is not None
    assert record in str(error)


# --- settings


@pytest.mark.parametrize(
    "text",
    [
        "x: &a [1]\ny: *a",
        "&a [*a]",
        "a: !!python/object/apply:os.system [x]",
        "size: 2001-99-99",
        "size: " + "9" * 5000,
        "format: 2\n1: 2",
        "format: 2\ntask: 7",
        "format: 2\nmodel: [" * 50,
        "format: two",
        "format: .nan",
        "%YAML 9.9\n---\nformat: 2",
        "format: 2\nseed: .inf",
        "format: 2\nfractions: [[[[[[1]]]]]]",
        "\x00",
    ],
    ids=lambda text: text[:20],
)
def test_a_config_that_is_none_is_damaged(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with hostile.within(5), pytest.raises(FoveateError, match=r"config\.yaml.*damaged"):
        fv.Run.open(tmp_path)


def test_the_command_says_damaged_and_exits_with_2(trained, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "run")
    (path / "results.json").write_text("[")
    assert "results.json: this file is damaged" in cli_refused("report", path)
