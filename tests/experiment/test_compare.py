"""A comparison at a terminal: narrow, and with differences of percentages in points."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import foveate as fv
from foveate.experiment import compare as compare_module
from foveate.experiment import compare_page
from foveate.experiment.compare import ComparedRun, Comparison
from foveate.settings import Settings
from helpers.command_line import run_cli


def metric(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.0125, "n": 100}


def row(name: str, value: float, *, test: bool) -> ComparedRun:
    return ComparedRun(
        f"runs/{name}", "efficientnet_lite0", 1_234_567, 312.4, metric(value), metric(0.021),
        "logistic regression", metric(0.9) if test else None,
    )  # fmt: skip


def test_a_comparison_fits_80_columns_and_gives_differences_in_points():
    rows = [
        row("flowers-efficientnet_lite0-1", 0.951, test=True),
        row("flowers-resnet18-1", 0.9, test=False),
    ]
    differences = {"lr": ["0.1", "0.02"], "epochs": ["3.0", "5.0"]}
    lines = Comparison("accuracy", rows, [], differences).lines()
    assert max(map(len, lines)) <= 80
    assert lines == [
        "1. runs/flowers-efficientnet_lite0-1",
        "   valid accuracy  95.1% (93.1% to 96.3%)",
        "   test accuracy   90.0% (88.0% to 91.2%)",
        "   lift            +2.1 points (+0.1 to +3.4) over logistic regression",
        "   model           efficientnet_lite0, 1,234,567 parameters, trained in 312 s",
        "2. runs/flowers-resnet18-1",
        "   valid accuracy  90.0% (88.0% to 91.2%)",
        "   test accuracy   locked",
        *lines[3:5],
        "",
        "Settings that differ, in the order of the runs:",
        "  lr      0.1 | 0.02",
        "  epochs  3.0 | 5.0",
    ]
    _, table = Comparison("accuracy", rows, [], {}).table()
    assert table[0][2] == "+2.1 points over logistic regression"


def changed(trained, path: Path, change) -> Path:
    """A copy of a run, whose data.json is changed."""
    shutil.copytree(trained.path, path)
    data = json.loads((path / "data.json").read_text("utf-8"))
    change(data)
    (path / "data.json").write_text(json.dumps(data), "utf-8")
    return path


def of_other_data(data: dict) -> None:
    data["fingerprint"], data["name"] = "0" * 64, "others"


def of_another_split(data: dict) -> None:
    data["split"]["hash"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_other_data, "These runs have different data"),
        (of_another_split, "These runs split their data differently"),
    ],
)
def test_runs_of_different_data_or_splits_are_not_ranked(change, reason, trained, tmp_path):
    runs = [changed(trained, tmp_path / "first", change), trained.path]
    for order in (runs, runs[::-1]):
        comparison = fv.compare(order)
        assert [row.run for row in comparison.rows] == list(map(str, order))
        assert comparison.lines()[:2] == [comparison.not_ranked, ""]
        assert comparison.not_ranked.startswith(f"{reason}. They are not ranked: ")
    code, out, _ = run_cli("compare", *runs, "--html", tmp_path / "page.html")
    assert code == 0
    assert out.startswith(reason)
    assert out.splitlines()[-1] == f"page    {tmp_path / 'page.html'}"
    page = (tmp_path / "page.html").read_text("utf-8")
    assert re.findall(r"<h1>(.*?)</h1>", page) == [f"{reason}."]
    assert "best on the validation split" not in page
    names = "others and colours" if change is of_other_data else "colours"
    assert f"2 runs of {names} compared" in page


def test_runs_of_one_split_are_ranked(trained, tmp_path):
    runs = [trained.path, changed(trained, tmp_path / "again", lambda data: None)]
    comparison = fv.compare(runs)
    assert not comparison.not_ranked
    compare_page.write_page(comparison, tmp_path / "page.html")
    (headline,) = re.findall(r"<h1>(.*?)</h1>", (tmp_path / "page.html").read_text("utf-8"))
    assert headline.startswith(f"{comparison.rows[0].run} is the best on the validation split: ")


def test_what_foveate_records_itself_is_no_setting_that_differs(trained, tmp_path):
    again = changed(trained, tmp_path / "again", lambda data: None)
    settings = Settings.load(again / "config.yaml")
    recorded = {"model_reason": "it is small", "command": "foveate train x", "lr": 0.5}
    settings.model_copy(update=recorded).save(again / "config.yaml")
    assert list(fv.compare([trained.path, again]).differences) == ["lr"]


def test_several_test_results_are_called_optimistic():
    rows = [row("a", 0.9, test=True), row("b", 0.8, test=True)]
    (warning,) = compare_module._warnings(rows)
    assert warning.startswith("Choose by the validation split: ")
