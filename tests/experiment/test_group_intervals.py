"""Intervals of a run rest on groups of images, and the report says so."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.experiment.compare import compare
from foveate.experiment.verdict import conclusion
from foveate.metrics.names import interval_basis, rough_mark
from helpers.command_line import hurry

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Thirty patients with four images each."""
    folder, rng = tmp_path_factory.mktemp("groups"), np.random.default_rng(0)
    for patient in range(30):
        target = folder / "data" / ("light" if patient % 2 else "dark")
        target.mkdir(parents=True, exist_ok=True)
        for image in range(4):
            pixels = rng.integers(0, 120, (20, 20, 3)) + 100 * (patient % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(target / f"p{patient:02}_{image}.png")
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return fv.train(folder / "data", out=folder / "run", size=16, epochs=1, group_by=r"(p\d+)_")


def test_results_count_the_groups(run):
    for name, metric in run.results["valid"].items():
        assert metric["n"] == len(run.read_predictions("valid")[0]), name
        assert metric["groups"] == metric["n"] / 4, name
        assert metric["rough"], name
    assert run.results["lift"]["valid"]["accuracy"]["groups"] < 10
    for baseline in run.results["baseline"]["valid"].values():
        assert baseline["accuracy"]["groups"] < 10


def test_report_console_and_comparison_say_what_an_interval_rests_on(run):
    groups = run.results["valid"]["accuracy"]["groups"]
    page, lines = run.report_path.read_text(), "\n".join(conclusion(run, "valid"))
    basis = f"over {groups} groups of images"
    assert f"95% confidence intervals {basis}" in page
    assert "rough interval" in page
    assert "A rough interval rests on few images or groups" in page
    assert "rough 95% confidence interval" in lines
    assert basis in lines
    assert "rough interval" in str(compare([run, run]).table())


def test_results_without_groups_are_shown_as_before():
    record = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    assert interval_basis(record) == rough_mark(record) == ""
    assert interval_basis({**record, "groups": 10, "rough": True}) == ""
