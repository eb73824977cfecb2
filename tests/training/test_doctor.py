"""The doctor reads recorded runs of which it is known what they show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.annotations import Label
from foveate.training.doctor import LabelEvidence, diagnose

# Written by benchmarks/curves.py, which says how each run was made and labelled.
RECORDED = json.loads(Path(__file__).with_name("learning_curves.json").read_text())
LABELLED = [run for run in RECORDED if run["label"] is not None]
# Share of right verdicts. The rules were chosen on the runs of the first half.
LEAST = {"tuned": 0.9, "held out": 0.8}


def verdicts(run):
    """The names of the doctor's verdicts on a recorded run."""
    curves = {
        name: [np.nan if value is None else value for value in values]
        for name, values in run["curves"].items()
    }
    metric = next(name[6:] for name in curves if name.startswith("valid_") and name[6:] != "loss")
    evidence = run["label_evidence"]
    found = diagnose(
        [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)],
        metric=metric,
        floor=run["floor"],
        fitted=run["fitted"],
        valid_images=run["how"]["images"]["valid"],
        check_labels=lambda: None if evidence is None else LabelEvidence(**evidence),
    )
    return [verdict.name for verdict in found]


@pytest.mark.parametrize("half", LEAST)
def test_most_recorded_runs_get_the_verdict_that_they_deserve(half):
    runs = [run for run in LABELLED if run["half"] == half]
    wrong = [
        f"{run['name']}: {run['label']}, not {found}"
        for run in runs
        if (found := verdicts(run)[0]) != run["label"]
    ]
    assert len(runs) >= 30
    assert len(wrong) <= (1 - LEAST[half]) * len(runs), wrong


def test_the_runs_show_every_verdict():
    assert {run["label"] for run in LABELLED} == {
        "healthy",
        "overfitting",
        "underfitting",
        "still improving",
        "learning rate too high",
        "learning rate too low",
        "label noise likely",
    }
    assert len(LABELLED) >= 60


def test_label_noise_is_never_claimed_of_clean_labels():
    assert not [
        run["name"]
        for run in RECORDED
        if run["how"]["noise"] == 0 and "label noise likely" in verdicts(run)
    ]


def test_too_short_to_judge_is_the_exception():
    short = [run for run in LABELLED if verdicts(run)[0] == "too short to judge"]
    assert len(short) <= 0.05 * len(LABELLED)


# --- the cases that a rule must not get wrong


def rows(train, valid, train_metric=None, valid_metric=None):
    count = len(train)
    train_metric = train_metric or [0.5] * count
    valid_metric = valid_metric or [0.5] * count
    return [
        {
            "step": i + 1,
            "epoch": i + 1.0,
            "train_loss": train[i],
            "valid_loss": valid[i],
            "train_accuracy": train_metric[i],
            "valid_accuracy": valid_metric[i],
            "lr": 0.1,
        }
        for i in range(count)
    ]


def names(*curves, **options):
    return [verdict.name for verdict in diagnose(rows(*curves), metric="accuracy", **options)]


FLAT = (
    [2.0, 1.2, 0.9, 0.7, 0.55, 0.45, 0.42, 0.41],
    [2.1, 1.6, 1.3, 1.2, 1.16, 1.15, 1.14, 1.14],
    [0.3, 0.6, 0.8, 0.9, 0.97, 1.0, 1.0, 1.0],
)


@pytest.mark.parametrize("last", [0.61, 0.77])
def test_a_large_flat_gap_is_overfitting_and_not_label_noise(last):
    valid = [last - 0.3, last - 0.1, last - 0.04, last - 0.02, last - 0.01, last, last, last]
    assert names(*FLAT, valid, fitted=1.0, valid_images=200) == ["overfitting"]


def test_label_noise_needs_out_of_fold_evidence():
    valid = [0.3, 0.5, 0.57, 0.59, 0.6, 0.61, 0.61, 0.61]
    hard = LabelEvidence(images=500, mistakes=200, suspects=40)
    wrong = LabelEvidence(images=500, mistakes=200, suspects=100)
    assert names(*FLAT, valid, check_labels=lambda: hard) == ["overfitting"]
    assert names(*FLAT, valid, check_labels=lambda: wrong) == ["label noise likely", "overfitting"]


def test_labels_are_checked_only_where_wrong_ones_would_explain_the_curves():
    def refuse():
        raise AssertionError("the labels were checked")

    good = [0.5, 0.8, 0.9, 0.95, 0.96, 0.96, 0.97, 0.97]
    assert names(*FLAT[:2], good, good, fitted=0.98, check_labels=refuse) == ["healthy"]


def test_a_gap_within_the_noise_of_few_validation_images_is_no_overfitting():
    valid = [0.5, 0.7, 0.8, 0.85, 0.85, 0.85, 0.85, 0.85]
    assert names(*FLAT, valid, fitted=0.97, valid_images=1000) == ["overfitting"]
    assert names(*FLAT, valid, fitted=0.97, valid_images=20) == ["healthy"]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 50.0])
def test_verdicts_do_not_depend_on_the_scale_of_the_loss(scale):
    for run in LABELLED:
        curves = run["curves"]
        scaled = {
            name: [value if value is None else value * scale for value in curves[name]]
            for name in ("train_loss", "valid_loss")
        }
        floor = run["floor"] * scale
        assert verdicts({**run, "floor": floor, "curves": {**curves, **scaled}}) == verdicts(run)


def test_a_fine_tuned_model_whose_tiny_loss_rises_has_no_learning_rate_that_is_too_high():
    train = [0.0177, 0.02, 0.031, 0.03, 0.036, 0.037]
    metric = [0.995, 0.994, 0.99, 0.991, 0.99, 0.989]
    assert names(train, [0.05, 0.06, 0.05, 0.05, 0.06, 0.06], metric, [0.98] * 6) == ["healthy"]


def test_a_loss_that_is_not_finite_does_not_crash():
    nan = float("nan")
    assert names([2.0, 3.0, nan, nan], [2.0, 3.0, nan, nan]) == ["learning rate too high"]
    assert names([nan], [nan], [nan], [nan]) == ["learning rate too high"]


def test_a_metric_without_a_top_is_not_called_underfitting():
    train, metric = [2.0, 1.2, 1.08, 1.05, 1.04, 1.04], [0.1, 0.25, 0.29, 0.3, 0.3, 0.3]
    assert names(train, train, metric, metric) == ["underfitting"]
    assert names(train, train, metric, metric, perfect=False) == ["healthy"]


def test_a_detector_whose_loss_falls_before_any_box_is_right_has_no_rate_that_is_too_high():
    train = [9.0, 7.0, 5.5, 4.4, 3.7, 3.2]
    assert "learning rate too high" not in names(train, train, [0.0] * 6, [0.0] * 6)


def test_two_epochs_of_a_poor_model_are_too_short_to_judge():
    assert names([2.0, 1.9], [2.0, 1.95]) == ["too short to judge"]


def test_every_verdict_says_what_to_do_with_a_setting_or_a_command():
    for run in LABELLED:
        for found in diagnose(
            rows(run["curves"]["train_loss"], run["curves"]["valid_loss"]), metric="accuracy"
        ):
            assert len(found.text) > 20
            assert "--" in found.advice or "foveate " in found.advice


# --- from the run to the verdict


def digits(count=None, noise=0.0):
    data = fv.load("digits")
    samples = list(data.samples)[:count]
    rng = np.random.default_rng(0)
    for i in np.flatnonzero(rng.random(len(samples)) < noise):
        wrong = (samples[i].target.index + rng.integers(1, 10)) % 10
        samples[i] = replace(samples[i], target=Label(int(wrong)))
    return replace(data, samples=samples)


@pytest.mark.slow  # trains, and cross-validates a probe
@pytest.mark.parametrize(
    ("noise", "settings", "wanted"),
    [
        (0.3, {"epochs": 15}, ["label noise likely"]),
        (0.0, {"model": "mlp:2", "epochs": 20, "lr": 0.02}, ["underfitting"]),
    ],
)
def test_a_run_is_diagnosed_by_evidence_of_its_own(noise, settings, wanted, tmp_path):
    run = fv.train(digits(600, noise), out=tmp_path / "run", **{"model": "mlp", **settings})
    assert 0 < run.results["fitted"]["accuracy"] < 1
    assert [found["name"] for found in run.results["verdicts"]] == wanted
