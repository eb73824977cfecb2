"""report.html while a run is trained: there after the first validation, and gone at the end."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

import foveate as fv
from foveate.errors import Interrupted, StorageError
from foveate.experiment import live_report, pipeline
from foveate.metrics.best_weights import LOSS
from foveate.progress import NullReporter
from foveate.report.live_chart import draw_lines
from foveate.report.page import write_html
from foveate.settings import Settings
from helpers.command_line import hurry


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    hurry(monkeypatch)


RELOAD = re.compile(r'<meta http-equiv="refresh" content="\d+">')


class Spied(NullReporter):
    """Reads the page after each step, and stops the run at one of them."""

    def __init__(self, path: Path, stop: int | None = None):
        self.path, self.stop = path, stop
        self.pages: dict[int, str] = {}
        self.lines: list[str] = []

    def info(self, text: str, /) -> None:
        self.lines.append(text)

    def training(self, *asked):
        spy = self
        inner = NullReporter.training(self, *asked)

        class Steps:
            def __enter__(self):
                inner.__enter__()

                def on_step(progress, _loss):
                    if spy.path.exists():
                        spy.pages[progress.step] = spy.path.read_text()
                    if progress.step == spy.stop:
                        raise KeyboardInterrupt

                return on_step

            def __exit__(self, *error):
                return inner.__exit__(*error)

        return Steps()


def test_the_page_is_there_after_the_first_validation_and_the_report_in_the_end(
    colours, tmp_path, monkeypatch
):
    monkeypatch.setattr(live_report, "MAX_SHARE", 1e9)  # a page after each validation
    out = tmp_path / "run"
    spy = Spied(out / "report.html")
    fv.train(colours, model="tiny_cnn", epochs=3, out=out, reporter=spy, size=16)
    assert spy.pages
    for page in spy.pages.values():
        assert RELOAD.search(page)
        assert "Training goes on" in page
        assert "This is not the result" in page
        assert "100% of the training" not in page
    assert f"until the report is there: {out / 'report.html'}" in "\n".join(spy.lines)
    final = (out / "report.html").read_text()
    assert not RELOAD.search(final)
    assert "Training goes on" not in final


def test_a_run_that_is_stopped_says_so_and_reloads_no_more(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(live_report, "MAX_SHARE", 1e9)
    out = tmp_path / "run"
    per_epoch = 2
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        fv.train(
            colours, model="tiny_cnn", epochs=6, out=out, size=16, batch_size=16,
            reporter=Spied(out / "report.html", 2 * per_epoch + 1),
        )  # fmt: skip
    page = (out / "report.html").read_text()
    assert "Training was stopped before its end" in page
    assert f"foveate train --resume {out}" in page
    assert not RELOAD.search(page)
    fv.resume(out)
    assert "Training was stopped" not in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("step", "end", "raised"),
    [
        ("evaluate", lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
        ("evaluate", lambda: signal.raise_signal(signal.SIGTERM), SystemExit),
        ("write_report", lambda: signal.raise_signal(signal.SIGTERM), SystemExit),
        ("evaluate", lambda: 1 // 0, ZeroDivisionError),
    ],
)
def test_whatever_ends_a_run_after_its_training_leaves_no_page_that_reloads(
    colours, tmp_path, monkeypatch, step, end, raised
):
    out, pages = tmp_path / "run", []

    def ended(*_):
        pages.append((out / "report.html").read_text())
        end()

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, step, ended)
        with pytest.raises(raised):
            fv.train(colours, model="tiny_cnn", epochs=1, out=out, size=16)
    assert RELOAD.search(pages[0])
    page = (out / "report.html").read_text()
    assert "stopped before its report was written" in page
    assert not RELOAD.search(page)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    fv.resume(out)
    assert "stopped" not in (out / "report.html").read_text()


def test_the_page_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    """Between two pages lie 50 times as many seconds as one takes."""
    now, written = [0.0], []

    def slow(*_):
        now[0] += 0.1
        written.append(now[0])

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live_report, "write_html", slow)

    class Progress:
        step, total = 1, 100
        rows = [  # noqa: RUF012
            {"step": 1, "epoch": 1.0, "train_loss": 1.0, "valid_loss": 1.0, "train_accuracy": 0.5,
             "valid_accuracy": 0.5, "lr": 0.1, "seconds": 1.0}
        ]  # fmt: skip

    run = fv.Run(tmp_path, Settings.of(data="colours", model="tiny_cnn"))
    live = live_report.LiveReport(run, "colours", "accuracy", LOSS, NullReporter())
    now[0] = 100.0
    for _ in range(2000):
        live.validated(Progress())
        now[0] += 0.01
    assert 3 <= len(written) <= 5
    assert sum(0.1 for _ in written) <= 0.03 * 20 + 0.1


def test_an_unwritable_page_does_not_stop_the_training(colours, tmp_path, monkeypatch):
    def full(page, path):
        if page.reload_seconds:
            raise StorageError("the disk is full", where=path, cure="Free some space.")
        write_html(page, path)

    monkeypatch.setattr(live_report, "write_html", full)
    run = fv.train(
        colours, model="tiny_cnn", epochs=1, out=tmp_path / "run", size=16, reporter=NullReporter()
    )
    assert run.report_path.exists()


def test_a_curve_is_drawn_where_its_values_are():
    svg = draw_lines("Loss <b>", [1, 2, 3], {"valid": [4, float("nan"), 2], "train": [3, 3, 3]},
                     percent=False)  # fmt: skip
    valid, train = (
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'points="([^"]*)"', svg)
    )
    assert len(valid) == 2
    assert valid[0][0] == train[0][0] < valid[1][0] == train[2][0]
    assert valid[0][1] < train[0][1] < valid[1][1]  # 4 lies above 3, and 3 above 2
    assert train[0][1] == pytest.approx((valid[0][1] + valid[1][1]) / 2, abs=0.1)
    assert "Loss &lt;b&gt;" in svg
    draw_lines("one", [1], {"valid": [float("nan")]}, percent=True)
