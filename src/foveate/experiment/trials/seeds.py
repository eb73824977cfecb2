"""The same training with several seeds, on the same split: how far chance moves the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

from foveate import atomic_io, tasks
from foveate.console import choose_reporter
from foveate.data.dataset import Dataset
from foveate.experiment import pipeline, trackers
from foveate.experiment.data_place import place_of, whole_paths
from foveate.experiment.run import Run
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.setting_keywords import SettingKeywords
from foveate.experiment.trials.folder import (
    MAX_SEEDS,
    TrialsFolder,
    check_count,
    check_same_data,
    is_finished,
    shared_choices,
)
from foveate.experiment.trials.spread import seed_text, seeds_panel, spread_of, values_of
from foveate.metrics.names import display_name, interval, title_name
from foveate.progress import Reporter
from foveate.report.page import write_html
from foveate.report.panels import Bar, Bars, Code, Page
from foveate.settings import Settings
from foveate.tasks.task import Task
from foveate.wording import percent

RESULT = "seeds.json"


@dataclass
class SeedSpread:
    """Runs of the same settings with several seeds.

    Attributes:
        path: Their folder.
        results: The contents of seeds.json: each seed's validation metrics, and their spread.
    """

    path: Path
    results: dict[str, Any] = field(repr=False)

    @property
    def runs(self) -> list[Run]:
        """The runs, their test splits still locked."""
        return [Run.open(self.path / one["run"]) for one in self.results["by_seed"]]

    @property
    def report_path(self) -> Path:
        """report.html."""
        return self.path / "report.html"


def train_seeds(
    data: str | Path | Dataset[Any],
    *,
    seeds: int = 3,
    out: str | Path | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Unpack[SettingKeywords],
) -> SeedSpread:
    """Train with several seeds on the same split, to see the spread of the validation metrics.

    The same command goes on where it was interrupted; given several times at once, the processes
    share the seeds. The test split stays locked.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        seeds: How many: `seed`, `seed` + 1, ...
        out: A new folder; by default runs/DATA-MODEL-seeds-N.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings`.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Cancelled: Ctrl-C or SIGTERM; the same command goes on.
    """
    reporter = choose_reporter(reporter, progress=progress)
    check_count("seeds", seeds, 2, MAX_SEEDS, "a spread needs two")
    values = whole_paths({**settings, "data": place_of(data)})
    dataset, resolved = pipeline.define(data, settings, download)
    trackers.refuse(resolved)
    asked = {
        "kind": "training with several seeds",
        "seeds": seeds,
        "settings": Settings.of(**values).model_dump(mode="json"),
    }
    path = Path(out) if out is not None else None
    stem = f"{dataset.name}-{resolved.model}-seeds"
    folder = TrialsFolder.taken(path, stem, asked, RESULT)
    first = resolved.seed
    seed_of = {f"seed-{seed}": seed for seed in range(first, first + seeds)}
    own = {name: value for name, value in values.items() if name != "data"}

    def finished() -> list[RunFolder]:
        paths = [folder.path / name for name in seed_of]
        return [RunFolder.open(path) for path in paths if is_finished(path)]

    def work(name: str) -> None:
        reporter.info(f"seed {seed_of[name]}")
        seeded = {"seed": seed_of[name], "split_seed": first}
        settings = {**own, **seeded, **shared_choices(finished(), own, resolved.model)}
        pipeline.train(data, out=folder.path / name, reporter=reporter, **settings)
        check_same_data(finished())

    with folder.at_work():
        folder.fill([*seed_of], lambda name: is_finished(folder.path / name), work, reporter)
        with folder.locked():
            if not folder.result.exists():
                _write_result(folder, seed_of, asked)
    return SeedSpread(folder.path, atomic_io.read_json(folder.result))


def _write_result(
    folder: TrialsFolder, seed_of: Mapping[str, int], asked: Mapping[str, Any]
) -> None:
    runs = [RunFolder.open(folder.path / name) for name in seed_of]
    check_same_data(runs)
    results = [run.results for run in runs]
    of_seed = [values_of(one["valid"]) for one in results]
    record = {
        "foveate": "seeds",
        "version": version("foveate"),
        "task": results[0]["task"],
        "model": results[0]["model"],
        "primary": results[0]["primary"],
        "asked": dict(asked),
        "valid": results[0]["valid"],
        "by_seed": [
            {"seed": seed, "run": name, "metrics": metrics}
            for (name, seed), metrics in zip(seed_of.items(), of_seed, strict=True)
        ],
        "seed_spread": spread_of(of_seed),
    }
    task = tasks.find(record["task"])(runs[0].data["classes"])
    _write_report(folder.path, record, runs, results, task)
    atomic_io.write_json(folder.result, record)


def _headline(record: Mapping[str, Any]) -> str:
    metric = record["primary"]
    return f"Validation {display_name(metric)} over seeds: {seed_text(record, metric)}."


def _context(record: Mapping[str, Any]) -> str:
    total = record["valid"][record["primary"]]
    return f"Over images, the {interval(total)}."


def conclusion(record: Mapping[str, Any], folder: Path) -> list[str]:
    """The lines that a command prints at its end."""
    return ["", _headline(record), _context(record), "", f"report  {folder / 'report.html'}"]


def _write_report(
    folder: Path,
    record: Mapping[str, Any],
    runs: Sequence[RunFolder],
    results: Sequence[Mapping[str, Any]],
    task: Task[Any],
) -> None:
    metric, name = record["primary"], runs[0].data["name"]
    bars = []
    for run, result in zip(runs, results, strict=True):
        one = result["valid"][metric]
        label = percent(one["value"])
        bars.append(Bar(run.path.name, one["value"], one["low"], one["high"], label, True))
    page = Page(
        title=f"{name} · seeds · foveate",
        subtitle=f"{name} · {record['model']} · {len(runs)} seeds",
        headline=_headline(record),
        verdict="Each seed is a run of its own. The test split is still locked.",
        tone="plain",
        context=_context(record),
        panels=[
            Bars(
                "Each seed",
                f"{title_name(metric)} on the validation split, with 95% confidence intervals "
                "over its images. All seeds have the same split.",
                bars,
            ),
            *seeds_panel(record, record["valid"], task, "The same split, trained with other seeds"),
            Code(
                "How to go on",
                "To open the test split of one seed, once. Choose it before you see results: the "
                "best of several seeds is optimistic.",
                f"foveate test {runs[0].path}",
            ),
        ],
        kind="seeds",
    )
    write_html(page, folder / "report.html")
