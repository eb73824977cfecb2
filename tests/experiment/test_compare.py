"""A comparison at a terminal: narrow, and with differences of percentages in points."""

from __future__ import annotations

from foveate.experiment.compare import ComparedRun, Comparison


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
    assert table[0][5] == "+2.1 points over logistic regression"
