import math

import numpy as np
import pytest
from scipy import stats

from foveate.metrics import intervals, resampling
from foveate.metrics.calibration import calibration_interval
from foveate.metrics.classification import ClassificationMetric
from foveate.metrics.intervals import proportion, score_interval
from foveate.metrics.resampling import Spread, number_groups, resample


def drawn(x, **options):
    def mean(rows):
        some = x if rows is None else x[rows]
        some = some[~np.isnan(some)]
        return {"mean": float(some.mean()) if len(some) else float("nan")}

    return resample(len(x), mean, **options)


def bootstrap(x, ranges=None, **options):
    return intervals.bootstrap(drawn(x, **options), ranges=ranges)["mean"]


def grouped(rng, groups, size, spread=1.5):
    """(N,) whether each image is right, which depends on its group; and the group of each."""
    ease = np.repeat(rng.normal(1.0, spread, groups), size)
    return rng.random(groups * size) < 1 / (1 + np.exp(-ease)), np.repeat(np.arange(groups), size)


def covering(repeats, once):
    """A share, and whether a coverage of 95% would give it in all but one of 1,000 tests."""
    count = sum(bool(once(np.random.default_rng(seed))) for seed in range(repeats))
    low, high = stats.binom.ppf([0.0005, 0.9995], repeats, [0.93, 0.985])
    return low <= count <= high, count / repeats


@pytest.mark.parametrize(("n", "rate"), [(30, 0.8), (100, 0.9), (200, 0.97)])
def test_the_interval_of_an_accuracy_covers_it(n, rate):
    def once(rng):
        metric = proportion(rng.random(n) < rate, np.arange(n))
        return metric.low <= rate <= metric.high

    passed, share = covering(400, once)
    assert passed, share


@pytest.mark.parametrize(("groups", "size"), [(5, 20), (10, 10), (30, 10)])
def test_the_interval_of_an_accuracy_covers_it_where_images_belong_together(groups, size):
    true = grouped(np.random.default_rng(0), 20_000, 10)[0].mean()

    def once(rng):
        metric = proportion(*grouped(rng, groups, size))
        return metric.low <= true <= metric.high

    passed, share = covering(300, once)
    assert passed, share


@pytest.mark.parametrize(("groups", "size"), [(30, 1), (5, 10), (30, 5)])
def test_a_resampled_interval_covers_a_mean(groups, size):
    def once(rng):
        of_group = np.repeat(rng.normal(0, 0.1, groups), size)
        x = (0.6 + of_group + rng.normal(0, 0.1, groups * size)).clip(0, 1)
        clusters = np.repeat(np.arange(groups), size)
        metric = bootstrap(x, clusters=clusters, resamples=60)
        return metric.low <= 0.6 <= metric.high

    passed, share = covering(200, once)
    assert passed, share


@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize("overconfidence", [0.0, 0.15])
def test_the_interval_of_a_calibration_error_covers_it(n, overconfidence):
    def once(rng):
        confidence = rng.uniform(0.6, 1.0, n)
        right = rng.random(n) < confidence - overconfidence
        columns = {"target": right.astype(int), "predicted": np.ones(n, int)}
        low, high = calibration_interval({**columns, "confidence": confidence}, np.arange(n))
        return low <= overconfidence <= high

    count = sum(once(np.random.default_rng(seed)) for seed in range(300))
    assert count >= stats.binom.ppf(0.0005, 300, 0.93)
    if overconfidence:  # at the end of the range an interval covers more often
        assert count <= stats.binom.ppf(0.9995, 300, 0.985)


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize("differing", [0.02, 0.2])
def test_a_lift_is_covered_also_where_almost_nothing_differs(n, differing):
    def once(rng):
        better = rng.random(n) < differing
        both = rng.random(n) < 0.8
        model, baseline = (both | better).astype(float), (both & ~better).astype(float)
        gain = intervals.lift(drawn(model, resamples=80), drawn(baseline, resamples=80))["mean"]
        assert gain.low < gain.value < gain.high
        return gain.low <= differing <= gain.high

    count = sum(once(np.random.default_rng(seed)) for seed in range(200))
    assert count >= stats.binom.ppf(0.0005, 200, 0.93), count / 200


def test_the_spread_is_that_of_scipys_bootstrap():
    x = np.random.default_rng(1).beta(2, 3, size=150)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=4000, rng=2).standard_error
    ours = bootstrap(x, resamples=4000)
    t = stats.t.ppf(0.975, 149)
    assert ours.high - ours.low == pytest.approx(2 * t * theirs, rel=0.05)


def test_an_accuracy_of_single_images_has_the_exact_interval():
    exact = stats.binomtest(37, 40).proportion_ci(0.95, method="exact")
    metric = proportion(np.arange(40) < 37, np.arange(40))
    assert (metric.low, metric.high) == pytest.approx((exact.low, exact.high))


def test_the_score_interval_of_a_proportion_is_wilsons():
    wilson = stats.binomtest(37, 40).proportion_ci(0.95, method="wilson")
    spread = Spread(math.sqrt(37 / 40 * 3 / 40 / 40), 1e9)
    ends = score_interval(37 / 40, spread, 40, (0.0, 1.0))
    assert ends == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    endless = score_interval(0.037, Spread(0.01, 1e9), 40, (0.0, math.inf))
    assert score_interval(0.037, Spread(0.01, 1e9), 40, (0.0, 1e6)) == pytest.approx(endless)


@pytest.mark.parametrize("n", [1, 5, 270])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_and_all_wrong_are_not_certain(n, value):
    for metric in (
        bootstrap(np.full(n, value), resamples=50),
        proportion(np.full(n, value > 0), np.arange(n)),
        proportion(np.full(2 * n, value > 0), np.repeat(np.arange(n), 2)),
    ):
        assert metric.low <= value <= metric.high
        assert metric.high - metric.low > 1.5 / (n + 2)
        assert metric.rough == (n < intervals.MIN_GROUPS)


def test_images_that_are_all_alike_are_not_certain():
    for value in (0.3, 1 / 3):
        metric = bootstrap(np.full(30, value), resamples=50)
        assert metric.low < value - 0.1 < value + 0.1 < metric.high


def test_nothing_has_no_metric():
    metric = bootstrap(np.zeros(0))
    assert metric.n == 0
    assert np.isnan([metric.value, metric.low, metric.high]).all()
    gain = intervals.lift(drawn(np.zeros(0)), drawn(np.zeros(0)))["mean"]
    assert np.isnan([gain.value, gain.low, gain.high]).all()


@pytest.mark.parametrize("clusters", [None, np.zeros(4, int)])
def test_one_image_or_one_group_gives_the_whole_range(clusters):
    x = np.full(1 if clusters is None else 4, 0.3)
    metric = bootstrap(x, clusters=clusters, resamples=20)
    assert (metric.low, metric.high, metric.groups, metric.rough) == (0.0, 1.0, 1, True)
    endless = bootstrap(x, ranges={"mean": (0.0, math.inf)}, clusters=clusters, resamples=20)
    assert np.isnan([endless.low, endless.high]).all()
    one = drawn(x, clusters=clusters, resamples=20)
    gain = intervals.lift(one, one)["mean"]
    assert (gain.low, gain.value, gain.high, gain.rough) == (-1.0, 0.0, 1.0, True)


def test_intervals_contain_their_value_and_stay_in_range():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, within = int(rng.integers(2, 40)), ((0.0, 1.0), (1.0, 6.0), (0.0, math.inf))[seed % 3]
        x = within[0] + rng.beta(0.2, 0.3, n) * min(5.0, within[1] - within[0])
        x[rng.random(n) < 0.2] = np.nan
        metric = bootstrap(
            x, ranges={"mean": within}, clusters=rng.integers(0, 6, n), resamples=30, seed=seed
        )
        if np.isnan([metric.value, metric.low]).any():
            continue
        assert within[0] <= metric.low <= metric.value <= metric.high <= within[1]


def test_groups_of_one_image_give_what_images_give():
    x = np.random.default_rng(0).random(30)
    alone = bootstrap(x, resamples=100)
    for clusters in (
        np.arange(30),
        np.arange(30)[::-1] * 7,
        np.random.default_rng(1).permutation(30),
    ):
        assert bootstrap(x, clusters=clusters, resamples=100) == alone
    assert number_groups(4, np.array([9, 2, 9, 5])).tolist() == [0, 1, 0, 2]


def test_copies_of_images_add_nothing():
    x = np.random.default_rng(0).random(40)
    once = bootstrap(x, resamples=400)
    copied = bootstrap(np.repeat(x, 3), clusters=np.repeat(np.arange(40), 3), resamples=400)
    assert (copied.n, copied.groups) == (120, 40)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert copied.high - copied.low > 1.5 * (lambda m: m.high - m.low)(bootstrap(np.repeat(x, 3)))


def test_few_images_that_decide_make_an_interval_rough():
    x = np.zeros(200)
    x[:2] = 1.0
    assert bootstrap(x).rough
    assert not bootstrap(np.random.default_rng(0).random(200)).rough


def test_a_log_loss_without_mistakes_is_rough():
    target = np.zeros(200, int)
    for mistakes, groups, rough in ((4, 200, True), (5, 200, False), (5, 4, True)):
        predicted = np.where(np.arange(200) < mistakes, 1, 0)
        columns = {"target": target, "predicted": predicted}
        clusters = np.arange(200) % groups
        assert ("log_loss" in ClassificationMetric(2).rough(columns, clusters)) == rough
    named = intervals.bootstrap(drawn(np.random.default_rng(0).random(90)), rough={"mean"})
    assert named["mean"].rough


def test_a_paired_lift_is_more_confident_than_its_parts():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    model, baseline = (hard < 0.85).astype(float), (hard < 0.80).astype(float)
    gain = intervals.lift(drawn(model), drawn(baseline))["mean"]
    alone = bootstrap(model)
    assert gain.value == pytest.approx(model.mean() - baseline.mean())
    assert gain.low > 0
    assert gain.high - gain.low < 0.7 * (alone.high - alone.low)


@pytest.mark.parametrize("width", [1, 70_000, 333_333, 10**7])
def test_draws_do_not_depend_on_how_many_are_held_at_once(width):
    class Wide(resampling.BatchScorer):
        images = 7

        def of_times(self, times):
            return {"mean": times @ np.arange(7) / (6 * times.sum(1))}

    scorer = Wide()
    plain = resample(7, scorer, resamples=25)
    scorer.width = width
    wide = resample(7, scorer, resamples=25)
    assert np.array_equal(plain.resampled["mean"], wide.resampled["mean"])
    rows = resample(7, lambda rows: scorer.metrics(rows), resamples=25)
    assert np.array_equal(plain.resampled["mean"], rows.resampled["mean"])
    assert intervals.bootstrap(plain) == intervals.bootstrap(wide)


def test_same_seed_same_interval():
    x = np.random.default_rng(0).random(50)
    assert bootstrap(x, seed=3) == bootstrap(x, seed=3)
    assert bootstrap(x, seed=3) != bootstrap(x, seed=4)


def test_draws_without_a_metric_are_left_out_of_its_interval():
    x = np.array([np.nan] * 30 + [0.4, 0.6])
    metric = bootstrap(x)
    assert metric.low < metric.value == 0.5 < metric.high


def test_different_images_cannot_be_paired():
    with pytest.raises(ValueError, match="same images"):
        intervals.lift(drawn(np.zeros(3)), drawn(np.zeros(4)))
    with pytest.raises(ValueError, match="a group for each of 3 images"):
        drawn(np.zeros(3), clusters=np.zeros(2, int))


@pytest.mark.parametrize("n", [0, 1, 2, 30])
@pytest.mark.parametrize("right", [True, False])
def test_the_calibration_error_lies_in_its_interval(n, right):
    columns = {
        "target": np.zeros(n, int),
        "predicted": np.full(n, 0 if right else 1),
        "confidence": np.full(n, 0.9),
        "likelihood": np.full(n, 0.9 if right else 0.1),
    }
    metric = ClassificationMetric(2)
    values = intervals.bootstrap(
        resample(n, metric.scorer(columns), resamples=20), ranges=metric.ranges
    ) | metric.exact_values(columns)
    error = values["calibration_error"]
    if n < 2:  # no bin has two images
        assert np.isnan(error.value)
    else:
        assert error.value == pytest.approx(0.1 if right else 0.9)
        assert 0 <= error.low <= error.value <= error.high <= 1
        assert error.high - error.low > 0.03


def test_a_lift_of_calibration_knows_what_chance_does():
    def columns(confidence):
        n = len(confidence)
        return {
            "target": np.zeros(n, int),
            "predicted": np.zeros(n, int),
            "confidence": confidence,
            "likelihood": confidence,
        }

    model, baseline = columns(np.full(40, 0.99)), columns(np.full(40, 0.97))
    gain = ClassificationMetric(2).exact_lifts(model, baseline)["calibration_error"]
    assert gain.value == pytest.approx(-0.02)
    assert gain.low < -0.04 < 0.01 < gain.high  # all are right, of only 40
    nothing = columns(np.zeros(0))
    assert ClassificationMetric(2).exact_lifts(nothing, nothing) == {}
