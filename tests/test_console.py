"""Progress is a table with a header and a bar that only rises, in time where time is the limit."""

from __future__ import annotations

import io
import re
import sys
import types
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from foveate import console
from foveate.console.epochs import TrainingLog, clock
from foveate.console.notebook import NotebookReporter
from foveate.console.terminal import TerminalReporter
from foveate.progress import NullReporter
from foveate.training.time_budget import UNKNOWN_TOTAL, TimeBudget, unknown

PER_EPOCH = 10


@dataclass
class Progress:
    step: int = 0
    total: int = 300
    seconds: float = 0.0
    rows: list = field(default_factory=list)
    best_step: int = -1
    epoch_metric: float | None = 0.5


def run(progress: Progress, on_step, seconds_per_step: float = 0.5):
    """Train, with a validation after each epoch; yields after each step."""
    while progress.step < progress.total:
        progress.step += 1
        progress.seconds += seconds_per_step
        if progress.step % PER_EPOCH == 0 or progress.step == progress.total:
            loss = 2.0 / progress.step if progress.step < 200 else 1.0
            progress.best_step = progress.step if progress.step < 200 else progress.best_step
            progress.rows.append(
                {
                    "step": progress.step, "epoch": round(progress.step / PER_EPOCH, 3),
                    "train_loss": 1.5, "valid_loss": loss, "train_map50": float("nan"),
                    "valid_map50": 0.25, "seconds": progress.seconds,
                }
            )  # fmt: skip
        on_step(progress, 1.25)
        yield


def lines_of(total: int, budget: float | None = None) -> list[str]:
    lines: list[str] = []
    log = TrainingLog(PER_EPOCH, "map50", budget)
    for _ in run(Progress(total=total), lambda progress, _: lines.extend(log.lines(progress))):
        pass
    return lines


def test_a_header_names_the_metric_of_the_headline():
    header, first, *_ = lines_of(30)
    assert header.split("  ")[0] == "epoch (of 3)"
    assert "valid mAP50" in header
    assert re.fullmatch(r" +1 +0:05 +1\.5000 +– +0\.2000 +25\.0%  best so far", first)
    for title, cell in zip(
        re.finditer(r"\S(?:.*?\S)?(?=  |$)", header), re.finditer(r"\S+", first), strict=False
    ):
        assert title.end() == cell.end()  # aligned below its title


@pytest.mark.parametrize("total", [10, 35, 300, 4787])
def test_few_lines_and_the_last_one_always(total):
    header, *lines = lines_of(total)
    assert f"(of {total / PER_EPOCH:.4g})" in header
    assert 1 <= len(lines) <= 21
    assert lines[-1].split()[0] == f"{total / PER_EPOCH:.4g}"


@pytest.mark.parametrize("budget", [0.5, 15.0, 240.0])
def test_where_time_is_the_limit_time_is_the_unit(budget):
    header, *lines = lines_of(int(budget / 0.5), budget)
    assert header.startswith("epoch  time (of ")
    assert clock(budget) in header
    assert " of " not in "".join(lines)
    assert len(lines) <= 21
    assert lines[-1].split()[1] == clock(budget)


def test_a_time_budget_never_goes_backward_nor_promises_nonsense():
    """The number of steps is unknown at first and estimated anew all the time."""
    budget, segments, shares, texts = TimeBudget(60.0, 0, 0.0, PER_EPOCH), unknown(), [], []
    progress, log = Progress(total=UNKNOWN_TOTAL), TrainingLog(PER_EPOCH, "map50", 60.0)
    while progress.step < progress.total:
        progress.step += 1
        progress.seconds += 0.2 if progress.step % 40 < 20 else 1.1
        segments = budget.update(segments, progress.step, progress.seconds)
        progress.total = segments[-1][2]
        shares.append(log.fraction(progress))
        texts.append(log.status(progress, 1.0))
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert all(re.search(r"(0:\d\d|1:00) left$", text) for text in texts)


@pytest.mark.parametrize("budget", [0.0, -3.0])
def test_a_budget_that_is_spent_before_training(budget):
    log, progress = TrainingLog(PER_EPOCH, "map50", budget), Progress(total=4)
    for _ in run(progress, lambda progress, _: None):
        assert log.fraction(progress) == 1
        assert log.status(progress, 1.0).endswith("0:00 left")
    assert len(list(log.lines(progress))) == 2


def test_no_time_left_before_a_speed_is_known(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("foveate.console.epochs.time.monotonic", lambda: now[0])
    log, progress = TrainingLog(PER_EPOCH, "map50", None), Progress(step=1, total=101)
    assert "left" not in log.status(progress, 1.0)
    now[0], progress.step = 1.0, 2
    assert "left" not in log.status(progress, 1.0)
    now[0], progress.step = 10.0, 11
    assert log.status(progress, 1.0) == "loss 1.000  mAP50 50.0%  1 steps/s  1:30 left"


def test_a_file_gets_plain_lines():
    file = io.StringIO()
    reporter = TerminalReporter(Console(file=file, width=80, soft_wrap=True, highlight=False))
    with reporter.bar("reading images", 3) as bar:
        bar(1)
    with reporter.training(PER_EPOCH, "map50", None) as on_step:
        for _ in run(Progress(total=30), on_step):
            pass
    text = file.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["epoch", "1", "2", "3"]


class Shell:
    kernel = object()


@pytest.fixture
def notebook(monkeypatch):
    """A kernel of Jupyter, and what it displays."""
    shown: list[str] = []

    def update(data, raw):
        assert raw
        shown.append(data["text/html"])

    def display(data, raw, display_id):
        assert display_id
        update(data, raw)
        return types.SimpleNamespace(update=update)

    package = types.ModuleType("IPython")
    package.get_ipython = Shell
    package.display = types.ModuleType("IPython.display")
    package.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", package.display)
    monkeypatch.setattr("foveate.console.notebook._SECONDS", 0.0)
    return shown


def test_a_notebook_gets_lines_and_a_bar_that_goes(notebook, capsys):
    reporter = console.choose_reporter(None, progress=True)
    assert isinstance(reporter, NotebookReporter)
    with reporter.bar("<b>reading", 4) as bar:
        bar(2)
    with reporter.training(PER_EPOCH, "map50", 15.0) as on_step:
        for _ in run(Progress(total=30), on_step):
            pass
    reporter.warning("look\x1b[2J")
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("epoch  time (of 0:15)")
    assert "! look\\x1b[2J" in out
    assert '<progress max="1" value="0.5000"></progress> &lt;b&gt;reading  2 of 4' in notebook
    assert notebook[-1] == ""
    values = [float(one) for one in re.findall(r'value="([\d.]+)"', " ".join(notebook[3:]))]
    assert values == sorted(values)


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    assert type(console.choose_reporter(None, progress=False)) is NullReporter
    own = NullReporter()
    assert console.choose_reporter(own, progress=True) is own
    console.choose_reporter(None, progress=True).info("a line")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a line\n")  # what a script prints stays its own


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (5.4, "0:05"), (65, "1:05"), (3599.6, "1:00:00")]
)
def test_seconds_as_a_clock_shows_them(seconds, text):
    assert clock(seconds) == text
