"""The doctor reads recorded runs of which it is known what they show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.annotations import Label
from foveate.metrics.best_weights import LOSS
from foveate.training.doctor import LabelEvidence, diagnose

# Written by benchmarks/curves.py, which says how each run was made and labelled.
RECORDED = json.loads(Path(__file__).with_name("learning_curves.json").read_text())
LABELLED = [run for run in RECORDED if run["label"] is not None]
NONE = "no clear verdict"
# Runs of each half, and the share of right verdicts among its verdicts. The rules were chosen on
# the tuned runs.
LEAST = {"tuned": (150, 0.9), "held out": (50, 0.85)}


def diagnosed(run):
    """The doctor's verdicts on a recorded run."""
    curves = {
        name: [np.nan if value is None else value for value in values]
        for name, values in run["curves"].items()
    }
    metric = next(name[6:] for name in curves if name.startswith("valid_") and name[6:] != "loss")
    evidence = run["label_evidence"]
    return diagnose(
        [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)],
        metric=metric,
        floor=run["floor"],
        fitted=run["fitted"],
        valid_images=run["how"]["images"]["valid"],
        perfect=run["perfect"],
        pretrained=run["pretrained"],
        kept_by=run.get("kept_by", LOSS),
        check_labels=lambda: None if evidence is None else LabelEvidence(**evidence),
    )


def verdicts(run):
    return [verdict.name for verdict in diagnosed(run)]


@pytest.mark.parametrize("half", LEAST)
def test_most_recorded_runs_get_the_verdict_that_they_deserve(half):
    runs = [run for run in LABELLED if run["half"] == half]
    found = {run["name"]: verdicts(run)[0] for run in runs}
    wrong = [
        f"{run['name']}: {run['label']}, not {found[run['name']]}"
        for run in runs
        if found[run["name"]] not in (NONE, run["label"])
    ]
    given = [name for name in found.values() if name != NONE]
    count, share = LEAST[half]
    assert len(runs) >= count
    assert len(wrong) <= (1 - share) * len(given), wrong


def test_most_recorded_runs_get_a_verdict():
    given = [run for run in LABELLED if verdicts(run)[0] != NONE]
    assert len(given) >= 0.85 * len(LABELLED)


def test_the_runs_show_every_verdict():
    assert {run["label"] for run in LABELLED} == {
        "healthy",
        "overfitting",
        "underfitting",
        "still improving",
        "learning rate too high",
        "learning rate too low",
        "label noise likely",
        "worse from the start",
    }
    assert len(LABELLED) >= 60


def test_label_noise_is_never_claimed_of_clean_labels():
    assert not [
        run["name"]
        for run in RECORDED
        if run["how"]["noise"] == 0 and "label noise likely" in verdicts(run)
    ]


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


@pytest.mark.parametrize(
    ("minutes", "advice"),
    [(None, "Train longer: --epochs 16."), (2.5, "Train longer: --minutes 5.")],
)
def test_a_run_that_ended_too_early_is_given_more_of_what_it_had(minutes, advice):
    loss = [2.0 - 0.2 * i for i in range(8)]
    metric = [0.1 + 0.08 * i for i in range(8)]
    (found,) = diagnose(rows(loss, loss, metric, metric), metric="accuracy", minutes=minutes)
    assert (found.name, found.advice) == ("still improving", advice)


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
    assert names(*FLAT, valid, fitted=0.97, valid_images=20) == [NONE]
    assert names(*FLAT, valid, fitted=0.92, valid_images=20) == ["healthy"]


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


def test_two_epochs_of_a_poor_model_give_no_verdict():
    assert names([2.0, 1.9], [2.0, 1.95]) == [NONE]


def test_labels_that_are_wrong_or_hard_give_no_verdict_unless_the_model_memorises():
    poor = [0.3, 0.4, 0.45, 0.46, 0.47, 0.47, 0.47, 0.47]
    between = LabelEvidence(images=800, mistakes=430, suspects=180)
    loss = [2.0, 1.5, 1.42, 1.41, 1.4, 1.4, 1.4, 1.4]
    assert names(loss, loss, poor, poor, fitted=0.5, check_labels=lambda: between) == [NONE]
    assert names(*FLAT, poor, check_labels=lambda: between) == ["overfitting"]


GUESS = [0.1, 0.12, 0.1, 0.11, 0.1, 0.1]


def test_a_loss_that_ends_above_its_start_has_a_learning_rate_that_is_too_high():
    train = [2.275, 2.575, 2.33, 2.304, 2.303, 2.302]
    assert names(train, train, GUESS, GUESS) == ["learning rate too high"]


def test_a_validation_loss_that_exploded_has_a_learning_rate_that_is_too_high():
    train, valid = [4.4, 4.8, 5.2, 4.6, 4.0, 3.2], [11820.0, 4998.0, 1158.0, 423.0, 128.0, 23.6]
    (found,) = diagnose(rows(train, valid, [0.1] * 6, [0.0] * 6), metric="accuracy")
    assert found.name == "learning rate too high"
    assert "validation loss was 1.18e+04" in found.text


SETTLING = [1.2, 2.8, 36.1, 14.5, 6.4, 4.8, 1.6, 1.2, 1.1, 0.9]


def test_a_validation_loss_that_jumps_while_batch_statistics_settle_is_no_high_rate():
    train = [2.6, 2.1, 1.6, 1.4, 1.2, 1.1, 0.98, 0.9, 0.85, 0.8]
    poor = [0.1, 0.13, 0.17, 0.2, 0.22, 0.24, 0.25, 0.26, 0.27, 0.28]
    assert names(train, SETTLING, poor, poor) == ["underfitting"]
    flat = [2.68, 2.67, 2.66, 2.65, 2.64, 2.63, 2.62, 2.61, 2.6, 2.59]
    assert names(flat, SETTLING, [0.01] * 10, [0.01] * 10) == ["learning rate too low"]


def test_a_loss_that_falls_smoothly_from_a_bad_start_has_no_rate_that_is_too_high():
    train = [2.45, 2.38, 2.32, 2.26, 2.22, 2.19, 2.18, 2.17, 2.16, 2.155, 2.15, 2.15]
    assert names(train, train, [0.1] * 12, [0.1] * 12, floor=0.5) == ["underfitting"]


def test_a_training_loss_that_fell_far_has_no_rate_that_is_too_low():
    train = [1.05, 0.8, 0.7, 0.62, 0.56, 0.5, 0.45, 0.41, 0.38, 0.36, 0.34, 0.33]
    valid = [0.8, 0.79, 0.78, 0.77, 0.76, 0.75, 0.74, 0.73, 0.72, 0.71, 0.7, 0.69]
    metric = [0.4, 0.5, 0.55, 0.6, 0.64, 0.68, 0.7, 0.75, 0.78, 0.8, 0.82, 0.82]
    assert names(train, valid, metric, [0.5] * 12) == ["overfitting"]


def test_a_model_that_memorises_overfits_even_where_the_kept_weights_are_from_before():
    train, valid = [3.1, 3.1, 2.7, 2.0, 1.2, 0.8], [2.08, 2.1, 2.4, 2.38, 2.3, 2.28]
    found = names(train, valid, [0.0, 0.1, 0.4, 0.6, 0.8, 0.8], [0.0, 0.01, 0.04, 0.07, 0.08, 0.08])
    assert found == ["overfitting"]


def test_a_loss_that_stays_where_it_was_gives_no_verdict():
    still = [2.303, 2.304, 2.302, 2.303, 2.302, 2.303]
    assert names(still, still, GUESS, GUESS) == [NONE]
    jumpy = [3.77, 3.73, 3.71, 3.82, 3.6, 2.7]  # few steps, so that one batch moves the mean
    assert names(jumpy, still, GUESS, GUESS) == [NONE]


def test_a_creeping_loss_means_a_low_learning_rate_even_where_few_images_show_a_gap():
    creeping = [2.31, 2.306, 2.302, 2.298, 2.294, 2.29]
    found = names(creeping, creeping, GUESS, [0.06] * 6, fitted=0.145, valid_images=150)
    assert found == ["learning rate too low"]


# --- fine-tuning that only makes a model worse


def fine_tuned(valid, metric, *, before=True, **options):
    """Verdicts on a pretrained model, validated before training or from the first epoch on."""
    train = [0.4, 0.5, 0.45, 0.3, 0.2, 0.1]
    curves = rows(train, valid, [0.8, 0.8, 0.85, 0.9, 0.95, 1.0], metric)
    if before:
        curves[0].update(step=0, epoch=0.0)
    options = {"fitted": 0.88, "valid_images": 200, "pretrained": True, **options}
    return diagnose(curves, metric="accuracy", **options)


RISING, FALLING = [0.5, 0.7, 0.8, 0.9, 1.0, 1.1], [0.85, 0.8, 0.78, 0.76, 0.75, 0.74]


def test_a_fine_tuned_model_that_only_gets_worse_gets_that_verdict():
    (found,) = fine_tuned(RISING, FALLING)
    assert found.name == "worse from the start"
    assert "0.5 before training to 1.1" in found.text
    assert "85.0% to 74.0%" in found.text
    assert "--lr 0.02" in found.advice
    assert "freeze=true" in found.advice


def test_a_validation_loss_that_is_no_longer_a_number_is_worse_too():
    assert fine_tuned([0.5, *[float("nan")] * 5], FALLING)[0].name == "worse from the start"


@pytest.mark.parametrize(
    ("valid", "metric", "options"),
    [
        (RISING, FALLING, {"pretrained": False}),
        (RISING, [0.85, 0.86, 0.86, 0.87, 0.87, 0.87], {}),  # more confident, and more often right
        ([0.5, 0.52, 0.51, 0.52, 0.51, 0.52], FALLING, {}),  # hardly rises
        (RISING, [0.85, 0.84, 0.84, 0.84, 0.83, 0.83], {}),  # the metric hardly falls
        # The first epoch helped.
        ([0.5, 0.4, 0.8, 0.9, 1.0, 1.1], [0.85, 0.86, *FALLING[2:]], {}),
        (RISING, FALLING, {"before": False}),  # what training began with is not known
    ],
)
def test_other_curves_are_not_worse_from_the_start(valid, metric, options):
    assert fine_tuned(valid, metric, **options)[0].name != "worse from the start"


def test_a_model_that_fine_tuning_did_not_improve_gets_no_verdict_on_its_start():
    for valid, said in (
        ([0.5, 0.51, 0.52, 0.52, 0.52, 0.52], "loss was lowest before training, 0.5: the model"),
        (
            [0.5, 0.49, 0.48, 0.48, 0.48, 0.48],
            "fell from 0.5 before training to 0.48, but accuracy",
        ),
    ):
        (found,) = fine_tuned(valid, [0.8, 0.78, 0.77, 0.78, 0.79, 0.79])
        assert found.name == NONE
        assert said in found.text
        assert "the weights that training began with" in found.text


def test_losses_are_those_of_the_table():
    """The rules compare losses above their floor; what is said is what the table shows."""
    floor = 0.4
    risen = [0.5 + floor, 0.7 + floor, 0.8 + floor, 0.9 + floor, 1.0 + floor, 1.1 + floor]
    (found,) = fine_tuned(risen, FALLING, floor=floor)
    assert "from 0.9 before training to 1.5" in found.text


def test_a_training_metric_of_single_images_that_falls_is_no_high_rate():
    train = [3.4, 3.2, 3.4, 3.8, 3.1, 2.3, 2.2, 2.9]
    metric = [0.0, 0.06, 0.02, 0.08, 0.09, 0.0, 0.2, 0.0]
    valid = [2.33, 2.33, 2.33, 2.34, 2.34, 2.35, 2.35, 2.35]
    assert names(train, valid, metric, [0.003] * 8, fitted=0.05) != ["learning rate too high"]


@pytest.mark.parametrize("option", [None, "--model efficientnet_lite0 --size 96"])
def test_pretrained_weights_are_advised_only_where_there_are_some(option):
    valid = [0.3, 0.5, 0.55, 0.6, 0.6, 0.6, 0.6, 0.6]
    (found,) = diagnose(
        rows(*FLAT, valid), metric="accuracy", fitted=1.0, valid_images=200, weights_option=option
    )
    assert found.name == "overfitting"
    assert ("pretrained" in found.advice) == (option is not None)
    assert option is None or option in found.advice


def test_two_validations_are_too_few_for_a_high_learning_rate():
    assert names([2.20, 2.25], [2.20, 2.25], [0.2, 0.25], [0.2, 0.25]) == [NONE]


def test_a_metric_that_never_reaches_one_says_nothing_of_the_learning_rate():
    loss, metric = [0.24 - 0.0003 * i for i in range(6)], [0.76] * 6
    (name,) = names(loss, loss, metric, metric, perfect=False)
    assert name not in ("learning rate too low", "underfitting")


def test_a_model_that_memorises_hard_images_is_not_advised_to_grow():
    train, valid = [0.6, 0.7, 0.8, 0.9, 0.96, 0.98], [0.6] * 6
    found = diagnose(
        rows([2.0, 1.5, 1.0, 0.6, 0.3, 0.2], [1.5, 1.4, 1.4, 1.5, 1.6, 1.7], train, valid),
        metric="accuracy",
        fitted=0.64,
        check_labels=lambda: LabelEvidence(300, 120, 48),
    )
    assert found[0].name in (NONE, "overfitting")
    assert "augment=strong" in found[0].advice


def test_every_verdict_says_what_to_do_with_a_setting_or_a_command():
    for run in LABELLED:
        for found in diagnosed(run):
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


def test_a_model_that_learns_nothing_is_never_healthy():
    """Not even where its metric could not reach 1: the explained variance of noise stays at 0."""
    flat, nothing = [2.0, 1.99, 2.0, 2.01, 2.0, 2.0], [0.0] * 6
    (found,) = diagnose(rows(flat, [2.05] * 6, nothing, nothing), metric="accuracy", perfect=False)
    assert found.name == NONE
    assert "learns nothing" in found.text


def test_training_that_becomes_easier_is_no_improvement():
    """Where mosaics end, the training loss falls; here the validation loss did not."""
    train, valid = [8.2, 7.8, 8.9, 8.2, 7.6, 4.5], [4.56, 4.52, 4.51, 4.51, 4.51, 4.52]
    (found,) = diagnose(rows(train, valid, [0.06] * 6, [0.01] * 6), metric="accuracy", fitted=0.01)
    assert found.name == NONE
    assert "too long, too short, or too few" in found.text


def test_a_validation_loss_far_above_its_lowest_value_shows_steps_that_are_too_long():
    train, valid = [273, 459, 905, 1280, 731, 520, 297, 223], [3.3, 303, 419, 61, 63, 90, 111, 123]
    (found,) = diagnose(rows(train, valid, [0.0] * 8, [0.0] * 8), metric="accuracy", fitted=0.0)
    assert found.name == "learning rate too high"
    assert "from 3.3 to 123" in found.text
