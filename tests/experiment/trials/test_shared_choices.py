"""What foveate chooses for one run of a study, it keeps for all."""

from __future__ import annotations

import pytest

import foveate as fv
from foveate.experiment import choice


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["seeds", "folds"])
def test_all_runs_have_the_model_of_the_first_wherever_they_are_trained(
    colours, tmp_path, monkeypatch, kind
):
    """Machines with other cores, or the size of the first run, could choose another."""
    names = iter(["mlp:4", *["mlp:8"] * 9])
    monkeypatch.setattr(choice, "_choose", lambda *_: (next(names), "of this machine"))
    settings = {"epochs": 1, "batch_size": 16, "out": tmp_path / "runs"}
    if kind == "seeds":
        runs = fv.train_seeds(colours, seeds=2, **settings).runs
    else:
        runs = fv.cross_validate(colours, folds=3, **settings).runs
    assert {run.settings.model for run in runs} == {"mlp:4"}
    assert len(runs) > 1
