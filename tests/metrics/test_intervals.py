import numpy as np
import pytest
from scipy import stats

from foveate.metrics import intervals


def drawn(x, **options):
    def mean(rows):
        some = x if rows is None else x[rows]
        return {"mean": float(some.mean()) if len(some) else float("nan")}

    return intervals.resample(len(x), mean, **options)


def bootstrap(x, **options):
    return intervals.bootstrap(drawn(x, **options))["mean"]


@pytest.mark.slow
def test_the_interval_covers_the_target_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for run in range(300):
        metric = bootstrap((rng.random(200) < 0.9).astype(float), resamples=300, seed=run)
        covered += metric.low <= 0.9 <= metric.high
    assert 0.91 <= covered / 300 <= 0.98


def test_it_agrees_with_scipys_bootstrap():
    x = np.random.default_rng(1).exponential(size=150)
    ours = bootstrap(x, resamples=4000)
    theirs = stats.bootstrap(
        (x,), np.mean, method="percentile", n_resamples=4000, rng=2
    ).confidence_interval
    assert ours.value == pytest.approx(x.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


@pytest.mark.parametrize("n", [1, 5, 270])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_and_all_wrong_are_not_certain(n, value):
    metric = bootstrap(np.full(n, value), resamples=50)
    exact = stats.binomtest(round(n * value), n).proportion_ci(0.95, method="exact")
    assert metric.low == pytest.approx(exact.low)
    assert metric.high == pytest.approx(exact.high)


def test_nothing_has_no_metric():
    metric = bootstrap(np.zeros(0))
    assert metric.n == 0
    assert np.isnan([metric.value, metric.low, metric.high]).all()


def test_a_paired_lift_is_more_confident_than_its_parts():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    model, baseline = (hard < 0.85).astype(float), (hard < 0.80).astype(float)
    gain = intervals.lift(drawn(model), drawn(baseline))["mean"]
    alone = bootstrap(model)
    assert gain.value == pytest.approx(model.mean() - baseline.mean())
    assert gain.low > 0
    assert gain.high - gain.low < 0.7 * (alone.high - alone.low)


def test_same_seed_same_interval():
    x = np.random.default_rng(0).random(50)
    assert bootstrap(x, seed=3) == bootstrap(x, seed=3)
    assert bootstrap(x, seed=3) != bootstrap(x, seed=4)


def test_draws_without_a_metric_are_left_out_of_its_interval():
    x = np.array([np.nan] * 30 + [0.5] * 2)

    def mean(rows):
        some = (x if rows is None else x[rows])[~np.isnan(x if rows is None else x[rows])]
        return {"mean": float(some.mean()) if len(some) else float("nan")}

    metric = intervals.bootstrap(intervals.resample(len(x), mean))["mean"]
    assert (metric.value, metric.low, metric.high) == (0.5, 0.5, 0.5)


def test_different_images_cannot_be_paired():
    with pytest.raises(ValueError, match="same images"):
        intervals.lift(drawn(np.zeros(3)), drawn(np.zeros(4)))
