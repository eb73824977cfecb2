"""Several seeds on one split: the spread over seeds beside the interval over images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.errors import SettingError
from helpers.command_line import refused, run_cli

WORDS = ("--epochs", 2, "--batch-size", 16, "--model", "tiny_cnn")


def split_of(path: Path) -> dict[str, str]:
    with (path / "split.csv").open(newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_several_seeds_train_on_one_split_which_stays_locked(colours, tmp_path):
    """Slow: two models are trained."""
    out = tmp_path / "seeds"
    code, printed, err = run_cli("train", colours, *WORDS, "--seeds", 2, "--seed", 3, "--out", out)
    assert code == 0, err
    assert "over 2 seeds" in printed
    assert "Spread over seeds" in (out / "report.html").read_text(encoding="utf-8")
    assert split_of(out / "seed-3") == split_of(out / "seed-4")
    message = refused("train", colours, *WORDS, "--seeds", 2, "--seed", 3, "--out", out)
    assert "would be overwritten" in message
    runs = [fv.Run.open(out / name) for name in ("seed-3", "seed-4")]
    values = [run.results["valid"]["log_loss"]["value"] for run in runs]
    assert values[0] != values[1]
    assert all(run.results["test"] is None for run in runs)
    (out / "seeds.json").unlink()  # killed before its end: the same command completes it
    spread = fv.train_seeds(
        colours, seeds=2, seed=3, out=out, epochs=2, batch_size=16, model="tiny_cnn"
    )
    assert spread.results["seed_spread"]["log_loss"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert [run.path.name for run in spread.runs] == ["seed-3", "seed-4"]


def test_one_seed_has_no_spread(colours, tmp_path, trained):
    with pytest.raises(SettingError, match="seeds: a number from 2"):
        fv.train_seeds(colours, seeds=1, out=tmp_path / "seeds")
    assert "seeds: a number from 2" in refused("train", colours, "--seeds", 0)
    assert "goes on with one run" in refused("train", "--resume", trained.path, "--seeds", 2)
