"""Metrics of images that were made from words, against sums over pairs written out, and against
what can't fool them."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.metrics.generation import METRICS, Scorer


def per_image_stats(rng, count: int, words: int = 3, **given):
    told = np.stack([np.full(count, 9), rng.integers(1, 1 + words, count)], 1)
    real = rng.normal(size=(count, 5)) + 3 * told[:, 1:]
    columns = {
        "prompts": told,
        "read": told,
        "read_real": told,
        "features": real,
        "real_features": real,
        "distance": rng.random(count),
        "real_distance": rng.random(count),
        "half": rng.integers(0, 2, count),
    }
    return {**columns, **given}


def likeness(made, real, told):
    """Pair by pair."""
    energy, apart = [], []
    for i in range(len(told)):
        for j in range(len(told)):
            if i == j:
                continue
            apart.append(np.linalg.norm(real[i] - real[j]))
            if told[i, 1] == told[j, 1]:  # the first word is in all captions and says nothing
                within = np.linalg.norm(made[i] - made[j]) + np.linalg.norm(real[i] - real[j])
                energy.append(2 * np.linalg.norm(made[i] - real[j]) - within)
    return 1 / (1 + np.mean(energy) / np.mean(apart))


@pytest.mark.parametrize("seed", range(3))
def test_likeness_is_the_mean_over_pairs(seed):
    rng = np.random.default_rng(seed)
    given = per_image_stats(rng, 20)
    given["features"] = given["real_features"] + rng.normal(size=(20, 5))
    expected = likeness(given["features"], given["real_features"], given["prompts"])
    assert Scorer(given).metrics()["likeness"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_no_likeness_exceeds_one(seed):
    rng = np.random.default_rng(seed)
    given = per_image_stats(rng, 12)
    found = Scorer(given).metrics()
    assert found["likeness"] <= 1
    assert found["real_likeness"] <= 1
    assert found["image_likeness"] <= 1


def test_likeness_falls_with_the_distance_whatever_else_is_far():
    rng = np.random.default_rng(6)
    given = per_image_stats(rng, 100)
    found = [
        Scorer({**given, "features": given["real_features"] + far}).metrics()["likeness"]
        for far in (0, 1, 3, 10, 100)
    ]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.05
    noise = {**given, "features": 1000 * rng.normal(size=(100, 5))}
    assert Scorer(noise).metrics()["likeness"] < 0.05


def test_real_images_are_perfect():
    metrics = Scorer(per_image_stats(np.random.default_rng(0), 60)).metrics()
    assert metrics["likeness"] == pytest.approx(1, abs=1e-12)
    assert metrics["image_likeness"] == pytest.approx(1, abs=1e-12)
    assert metrics["diversity"] == pytest.approx(1)
    assert (
        metrics["prompt_accuracy"]
        == metrics["word_accuracy"]
        == metrics["real_accuracy"]
        == pytest.approx(1)
    )
    assert metrics["real_likeness"] == pytest.approx(1, abs=0.1)


def test_fine_images_of_something_else_are_seen_through():
    """The very same images, dealt out to other words: alone they are perfect, with their words they
    are not."""
    rng = np.random.default_rng(1)
    given = per_image_stats(rng, 200)
    order = rng.permutation(200)
    given["features"], given["read"] = given["real_features"][order], given["prompts"][order]
    metrics = Scorer(given).metrics()
    assert metrics["image_likeness"] == pytest.approx(1, abs=0.02)
    assert metrics["likeness"] < 0.8
    assert metrics["prompt_accuracy"] < 0.5


def test_one_image_for_each_word_is_seen_through():
    given = per_image_stats(np.random.default_rng(2), 200)
    means = {k: given["real_features"][given["prompts"][:, 1] == k].mean(0) for k in (1, 2, 3)}
    given["features"] = np.stack([means[k] for k in given["prompts"][:, 1]])
    metrics = Scorer(given).metrics()
    assert metrics["prompt_accuracy"] == 1
    assert metrics["diversity"] == pytest.approx(0, abs=1e-9)
    assert metrics["likeness"] < 0.9


def test_copies_are_told():
    rng = np.random.default_rng(3)
    given = per_image_stats(rng, 100)
    assert Scorer({**given, "distance": np.zeros(100)}).metrics()["copies"] == 1
    assert Scorer({**given, "distance": given["real_distance"]}).metrics()[
        "copies"
    ] == pytest.approx(0.01)


def test_a_choice_of_rows_is_those_rows_with_their_weights():
    rng = np.random.default_rng(4)
    given = per_image_stats(rng, 30)
    given["features"] = given["real_features"] + 1
    scorer = Scorer(given)
    assert scorer.metrics(np.arange(30)) == pytest.approx(scorer.metrics(), nan_ok=True)
    once = rng.permutation(30)[:20]
    alone = Scorer({name: column[once] for name, column in given.items()})
    for name in ("prompt_accuracy", "copies", "diversity"):
        assert scorer.metrics(once)[name] == pytest.approx(alone.metrics()[name])
    twice = scorer.metrics(
        np.repeat(once, 2)
    )  # an image is never compared with itself, however often it is drawn
    assert twice == pytest.approx(scorer.metrics(once))


def test_captions_that_share_no_word_are_compared_all_the_same():
    rng = np.random.default_rng(3)
    given = per_image_stats(rng, 4)
    given["prompts"] = np.stack([np.full(4, 9), np.arange(1, 5)], 1)
    assert Scorer(given).metrics()["likeness"] == 1
    apart = {**given, "features": given["real_features"] + 30}
    assert 0 < Scorer(apart).metrics()["likeness"] < 0.5


@pytest.mark.parametrize("count", [0, 1, 2])
def test_none_one_and_two_images(count):
    metrics = Scorer(per_image_stats(np.random.default_rng(5), count)).metrics()
    assert set(metrics) == set(METRICS)
    assert all(np.isfinite(value) or np.isnan(value) for value in metrics.values())
    assert np.isnan(metrics["likeness"]) or count == 2
