"""Lesson 9: Four ways to fool yourself

A leak, no baseline, a tuned test split, other data: what each adds to a result, and what prevents
it.
"""

import marimo

app = marimo.App(app_title="Four ways to fool yourself", css_file="style.css")

with app.setup:
    import tempfile
    from pathlib import Path

    import marimo as mo
    import numpy as np
    import torch

    import foveate as fv
    from foveate.audit import LEAK, audit
    from foveate.data.cache import decoding
    from foveate.data.split.assign import assign_splits
    from foveate.experiment import evaluate, test_split
    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        RecordingReporter,
        cross_entropy,
        digit_classifier,
        load_digits,
        make_dataset,
        net_outputs,
        to_tensor,
        train_steps,
    )
    from foveate.metrics.intervals import bootstrap
    from foveate.metrics.resampling import resample


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Four ways to fool yourself

    "My network has an accuracy of 95%." Does it? Nobody in this lesson lies. Each section makes
    one honest mistake, and each mistake makes the result look too good.

    We make the mistakes on purpose, measure how much they add, and see how foveate responds.
    """)
    return


@app.cell
def _():
    images, labels = load_digits()
    TARGET = torch.from_numpy(labels)
    NAMES = [str(digit) for digit in range(10)]

    def train_mlp(indices, *, count, width=64, seed=0):
        """Train a small MLP on these digits."""
        net = digit_classifier(f"mlp:{width}", images[indices], seed)
        for _ in train_steps(
            net,
            cross_entropy,
            to_tensor(images[indices]),
            TARGET[indices],
            count=count,
            lr=1e-2,
            batch_size=32,
            seed=seed,
        ):
            pass
        return net

    def is_correct(net, test_images, classes):
        """(N,) whether each image is classified correctly."""
        return net_outputs(net, to_tensor(test_images)).argmax(1).numpy() == classes

    def draw_reported_and_actual(
        axis, reported, actual, first_label="reported", second_label="actual"
    ):
        """Draw two bars: the accuracy one would report, and the accuracy on new images."""
        axis.barh([0, 1], [reported, actual], color=[show.OTHER, show.MODEL], height=0.62)
        for y_position, (value, label) in enumerate(
            ((reported, first_label), (actual, second_label))
        ):
            axis.text(
                value - 0.02,
                y_position,
                f"{label} {value:.0%}",
                ha="right",
                va="center",
                color="#ffffff",
                weight="bold",
            )
        axis.set(
            xlim=(0, 1),
            ylim=(1.6, -0.6),
            xticks=[0, 0.5, 1],
            xticklabels=["0%", "50%", "100%"],
            yticks=[],
        )
        axis.grid(visible=False)

    return NAMES, TARGET, images, is_correct, labels, draw_reported_and_actual, train_mlp


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1. The leak

    Fifty digits to learn from, a hundred to test on. But both folders were filled from the same
    phone, and some images are in both. The copies in the test folder are a bit darker, because
    another program saved them. The network has *seen the test images*.

    Drag the slider: it sets the share of copies in the test split (orange).
    """)
    return


@app.cell
def _():
    leaked = show.slider([0, 10, 20, 30, 40, 50], 30)
    return (leaked,)


@app.cell
def _(images, is_correct, labels, train_mlp):
    TRAIN_INDICES = np.concatenate([np.flatnonzero(labels == digit)[:5] for digit in range(10)])
    NEW_INDICES = np.setdiff1d(np.arange(len(labels)), TRAIN_INDICES)
    # The same images, a little darker.
    COPIES = np.rint(0.85 * images[TRAIN_INDICES]).astype(np.uint8)
    leaky_net = train_mlp(TRAIN_INDICES, count=60)
    CORRECT_ON_NEW = is_correct(leaky_net, images[NEW_INDICES], labels[NEW_INDICES])
    CORRECT_ON_COPIES = is_correct(leaky_net, COPIES, labels[TRAIN_INDICES])

    def reported_accuracy(percent, repeats=200):
        """The mean accuracy on 100 test images with this share of copies, over many draws."""
        rng = np.random.default_rng(0)
        new = [
            rng.choice(CORRECT_ON_NEW, 100 - percent, replace=False).sum() for _ in range(repeats)
        ]
        copied = [
            rng.choice(CORRECT_ON_COPIES, percent, replace=False).sum() for _ in range(repeats)
        ]
        return float(np.mean(new) + np.mean(copied)) / 100

    return COPIES, CORRECT_ON_COPIES, NEW_INDICES, CORRECT_ON_NEW, TRAIN_INDICES, reported_accuracy


@app.cell
def _(
    COPIES, NEW_INDICES, CORRECT_ON_NEW, images, leaked, draw_reported_and_actual, reported_accuracy
):
    def draw_leak(percent):
        test_pixels = (
            np.concatenate([images[NEW_INDICES[: 100 - percent]], COPIES[:percent]]) / 255.0
        )
        order = np.random.default_rng(1).permutation(100)
        paper, ink = np.array([252, 252, 251.0]), np.array([27, 31, 36.0])
        backgrounds = np.where(
            np.arange(100)[:, None] < 100 - percent, paper, np.array([246, 190, 130.0])
        )
        coloured = backgrounds[:, None, None] + test_pixels[..., None] * (
            ink - backgrounds[:, None, None]
        )
        sheet = coloured[order].reshape(10, 10, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(80, 80, 3)
        reported, actual = reported_accuracy(percent), float(CORRECT_ON_NEW.mean())

        def draw(figure):
            axis = figure.subplots()
            draw_reported_and_actual(axis, reported, actual)
            axis.set_title(
                f"the leak adds {100 * (reported - actual):.0f} points"
                if percent
                else "no leak: the report is correct"
            )

        alt = f"Accuracy with {percent}% copies {reported:.0%}, on new images {actual:.0%}"
        return show.side_by_side(
            show.pixel_image(
                sheet.round().astype(np.uint8), f"100 test digits, {percent} of them copies", 240
            ),
            show.figure(draw, alt, (3.4, 2.1)),
        )

    show.InteractiveFigure(draw_leak, {"copies in the test split, %": leaked})
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "reported = (1 − <i>s</i>) · actual + <i>s</i> · <i>memorised</i>",
        show.source_line(audit, "duplicates.find(")
        + "\n\n"
        + show.source_line(assign_splits, "if leaks and not allow_leak", count=2),
    )
    return


@app.cell
def _(COPIES, NEW_INDICES, TRAIN_INDICES, images, labels):
    split_indices = [TRAIN_INDICES, NEW_INDICES[:50], NEW_INDICES[50:110]]
    PLANTED = 40
    leaky = make_dataset(
        np.concatenate([*(images[indices] for indices in split_indices), COPIES[:PLANTED]]),
        np.concatenate(
            [*(labels[indices] for indices in split_indices), labels[TRAIN_INDICES[:PLANTED]]]
        ),
        splits=["train"] * 50 + ["valid"] * 50 + ["test"] * (60 + PLANTED),
    )
    with tempfile.TemporaryDirectory() as _folder:
        try:
            fv.train(leaky, out=Path(_folder) / "run", model="mlp:64")
            refusal = ""
        except fv.FoveateError as error:
            refusal = str(error)
    surveyed = decoding.survey(leaky)
    LEAKS_FOUND = sum(
        finding.check == LEAK
        for finding in audit(surveyed.dataset, surveyed.hashes, surveyed.image_stats).findings
    )
    show.html(show.terminal("foveate train digits", refusal))
    return LEAKS_FOUND, PLANTED, refusal


@app.cell
def _(CORRECT_ON_COPIES, LEAKS_FOUND, CORRECT_ON_NEW, PLANTED, refusal, reported_accuracy):
    LEAK_REPORTED, LEAK_ACTUAL = reported_accuracy(50), float(CORRECT_ON_NEW.mean())
    assert LEAK_REPORTED > LEAK_ACTUAL + 0.04, "copies in the test split inflate the accuracy"
    assert CORRECT_ON_COPIES.mean() > 0.95, (
        "the network recognises its training images, even a little darker"
    )
    assert "memory" in refusal or "leak" in refusal, "foveate refuses to train on such a split"
    assert PLANTED * 0.9 <= LEAKS_FOUND <= PLANTED, (
        "nearly every planted copy is found, and nothing else"
    )
    show.claim(
        "Copies in the test split inflate the result. foveate finds them, though no copy is "
        "byte-identical, and refuses to train.",
        f"with copies in half of the test split {LEAK_REPORTED:.0%} instead of {LEAK_ACTUAL:.0%}; "
        f"{LEAKS_FOUND} of {PLANTED} planted copies found.",
    )
    return LEAK_REPORTED, LEAK_ACTUAL


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 2. No baseline

    A factory photographs 600 parts. 570 are fine, 30 are flawed. (In our data a flawed part is an
    8, and any other digit is fine.) A network is trained, and its accuracy is 95%. Time for
    champagne?
    """)
    return


@app.cell
def _(images, labels):
    factory_indices = np.concatenate(
        [np.flatnonzero(labels != 8)[:570], np.flatnonzero(labels == 8)[:30]]
    )
    factory = make_dataset(
        images[factory_indices],
        labels[factory_indices] == 8,
        name="parts",
        classes=("fine", "flawed"),
    )
    with tempfile.TemporaryDirectory() as _folder:
        factory_run = fv.train(factory, out=Path(_folder) / "run", model="mlp:16", epochs=2)
        first_result, recorder = factory_run.test(), RecordingReporter()
        second_result = test_split.test(factory_run, reporter=recorder)
        LEDGER_ENTRIES, LEDGER_MESSAGE = len(factory_run.ledger.entries), recorder.lines[-1]
        record = factory_run.results
    RESULTS = {
        name: metrics["accuracy"]["value"] for name, metrics in record["baseline"]["valid"].items()
    }
    RESULTS = {"our network": record["valid"]["accuracy"]["value"], **RESULTS}
    LIFT = record["lift"]["valid"]["accuracy"]

    def draw_baselines(figure):
        axis = figure.subplots()
        colours = [show.MODEL, *[show.LINE] * (len(RESULTS) - 1)]
        axis.barh(list(RESULTS), list(RESULTS.values()), color=colours, height=0.66)
        for y_position, value in enumerate(RESULTS.values()):
            inside = "#ffffff" if y_position == 0 else show.INK
            axis.text(
                value - 0.02,
                y_position,
                f"{value:.0%}",
                ha="right",
                va="center",
                color=inside,
                weight="bold",
            )
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), xticks=[])
        axis.grid(visible=False)
        axis.set_title("accuracy on the validation split")

    alt = ", ".join(f"{name} {value:.0%}" for name, value in RESULTS.items())
    show.html(
        show.figure(draw_baselines, alt, (4.8, 2.6)),
        show.caption(
            "<strong>Majority class</strong> has not looked at a single image. "
            "It always predicts <i>fine</i>."
        ),
    )
    return LIFT, LEDGER_ENTRIES, LEDGER_MESSAGE, RESULTS, second_result, first_result, record


@app.cell(hide_code=True)
def _():
    mo.md("""
    The network has found the same trick: it never detects a flaw. So foveate never reports a
    metric alone. Beside it stand the simplest methods that could work, the baselines, and the
    **lift**: the metric minus the best baseline, with a confidence interval.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "lift = metric − best baseline",
        show.source_line(evaluate, '["lift"][').replace(", ", ",\n    "),
    )
    return


@app.cell
def _(LIFT, RESULTS, record):
    network_accuracy, majority_accuracy = RESULTS["our network"], RESULTS["majority class"]
    balanced = record["valid"]["balanced_accuracy"]["value"]
    assert network_accuracy > 0.9, "the accuracy alone sounds good"
    assert abs(network_accuracy - majority_accuracy) < 0.02, (
        "but one gets the same without looking at an image"
    )
    assert balanced < 0.6, "only one of the two classes is recognised"
    assert LIFT["value"] <= 0.02, "there is no gain over the best baseline"
    show.claim(
        "A metric means nothing without a baseline beside it.",
        f"accuracy {network_accuracy:.0%}, majority class {majority_accuracy:.0%}, "
        f"balanced accuracy {balanced:.0%}; lift over {record['best_baseline']} "
        f"{100 * LIFT['value']:+.0f} points "
        f"(95% interval {100 * LIFT['low']:+.0f} to {100 * LIFT['high']:+.0f}).",
    )
    return balanced, majority_accuracy, network_accuracy


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 3. Tuned on the test split

    Two dozen networks differ only in their random seed. All were trained on the same hundred
    digits. Somebody tries several of them on a test split of 60 images, and reports the best
    score. What could be wrong with choosing the best?

    Drag the slider: it sets how many networks are tried. The vertical axis is the accuracy on the
    60 test images, the horizontal axis the accuracy on 1,600 others.
    """)
    return


@app.cell
def _(images, is_correct, labels, train_mlp):
    N_NETWORKS = 24
    CORRECT = np.stack(
        [
            is_correct(train_mlp(np.arange(100), count=16, seed=k), images[100:], labels[100:])
            for k in range(N_NETWORKS)
        ]
    )

    def draw_test_split(draw):
        """Indices of 60 random test images, and of the others."""
        order = np.random.default_rng(draw).permutation(CORRECT.shape[1])
        return order[:60], order[60:]

    def best_of(k, draw=0):
        """The reported and actual accuracy of the best of k random networks."""
        test_indices, other_indices = draw_test_split(draw)
        nets = np.random.default_rng(1000 + draw).permutation(N_NETWORKS)[:k]
        scores = CORRECT[nets][:, test_indices].mean(1)
        best = nets[scores.argmax()]
        return float(scores.max()), float(CORRECT[best][other_indices].mean()), nets

    COUNTS = [1, 2, 4, 8, 16, 24]
    OPTIMISM = {
        k: np.mean([np.subtract(*best_of(k, draw)[:2]) for draw in range(200)]) for k in COUNTS
    }
    tries = show.slider(COUNTS, 8)
    return COUNTS, OPTIMISM, CORRECT, N_NETWORKS, best_of, draw_test_split, tries


@app.cell
def _(COUNTS, OPTIMISM, CORRECT, best_of, draw_test_split, tries):
    test_rows, other_rows = draw_test_split(0)
    TEST_ACCURACY, NEW_ACCURACY = CORRECT[:, test_rows].mean(1), CORRECT[:, other_rows].mean(1)

    def draw_best(k):
        reported, actual, nets = best_of(k)

        def draw_scatter(figure):
            axis = figure.subplots()
            low, high = (
                min(TEST_ACCURACY.min(), NEW_ACCURACY.min()) - 0.02,
                max(TEST_ACCURACY.max(), NEW_ACCURACY.max()) + 0.02,
            )
            axis.plot([low, high], [low, high], color=show.MUTED, lw=1.2, ls=(0, (4, 3)))
            axis.plot(NEW_ACCURACY, TEST_ACCURACY, "o", color=show.LINE, ms=5)
            axis.plot(NEW_ACCURACY[nets], TEST_ACCURACY[nets], "o", color=show.MODEL, ms=6)
            axis.plot(actual, reported, "o", color="none", mec=show.OTHER, mew=2.5, ms=13)
            axis.set(
                xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="accuracy on new images"
            )
            for item in (axis.xaxis, axis.yaxis):
                item.set_major_formatter(lambda value, _: f"{value:.0%}")
                item.set_major_locator(locator())
            axis.set_title(f"best of {k}: reported {reported:.0%}, actual {actual:.0%}")

        def draw_optimism(figure):
            axis = figure.subplots()
            axis.plot(COUNTS, [100 * OPTIMISM[n] for n in COUNTS], color=show.LINE, lw=2)
            axis.plot(COUNTS, [100 * OPTIMISM[n] for n in COUNTS], "o", color=show.MUTED, ms=5)
            axis.plot(k, 100 * OPTIMISM[k], "o", color=show.OTHER, ms=11)
            axis.set(ylim=(-1, None), xlabel="networks tried")
            axis.set_title(f"mean over 200 test splits: {100 * OPTIMISM[k]:+.1f} points")

        alt = f"The best of {k}: reported {reported:.0%}, actual {actual:.0%}"
        return show.side_by_side(
            show.figure(draw_scatter, alt, (3.3, 3.3)),
            show.figure(draw_optimism, f"Optimism: {100 * OPTIMISM[k]:.1f} points", (3.3, 3.3)),
        )

    def locator():
        from matplotlib.ticker import MaxNLocator

        return MaxNLocator(4)

    show.InteractiveFigure(draw_best, {"networks tried on the test split": tries})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The network at the top of a list is good *and lucky*, and the luck does not repeat. Trying
    settings is fine on the **validation split**: that is its purpose. The test split is opened
    once, at the end, and foveate records that in a ledger. Ask again, and you get the same result
    again.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "mean of max(<i>k</i> scores) ≥ max(<i>k</i> means)",
        show.source_line(test_split, "run.ledger.find(", count=3),
    )
    return


@app.cell
def _(LEDGER_MESSAGE):
    show.html(
        show.terminal(
            "foveate test runs/parts\nfoveate test runs/parts   # a second time", LEDGER_MESSAGE
        )
    )
    return


@app.cell
def _(OPTIMISM, LEDGER_ENTRIES, N_NETWORKS, second_result, best_of, first_result):
    TUNED_REPORTED, TUNED_ACTUAL = np.mean(
        [best_of(N_NETWORKS, draw)[:2] for draw in range(200)], axis=0
    )
    assert abs(OPTIMISM[1]) < 0.012, "one network, tried once, is reported as it is"
    assert OPTIMISM[N_NETWORKS] > 0.015, "the best of many is reported better than it is"
    assert OPTIMISM[N_NETWORKS] > OPTIMISM[2] > OPTIMISM[1] - 0.005, (
        "the more are tried, the larger the optimism"
    )
    assert LEDGER_ENTRIES == 1, "the test split was opened once"
    assert second_result == first_result, "asked again, the ledger returns the first result"
    show.claim(
        "The more you try on a test split, the less its score means. "
        "The ledger has one entry, however often you ask.",
        f"over 200 test splits the best of {N_NETWORKS} has a mean reported accuracy of "
        f"{TUNED_REPORTED:.1%} and an actual one of {TUNED_ACTUAL:.1%}; "
        f"for a single network the difference is {100 * OPTIMISM[1]:+.1f} points.",
    )
    return TUNED_REPORTED, TUNED_ACTUAL


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 4. Different data in use

    Some people write leaning to the left, others to the right. All our images come from the first
    group. The split is fair, there are no copies, and we test once. And yet:
    """)
    return


@app.cell
def _(images, is_correct, labels, train_mlp):
    rows_grid, columns_grid = np.mgrid[:8, :8]

    def lean(image):
        """How far the ink moves sideways per row, by its moments."""
        w = image / image.sum()
        y, x = rows_grid - (w * rows_grid).sum(), columns_grid - (w * columns_grid).sum()
        return (w * x * y).sum() / (w * y * y).sum()

    LEAN = np.array([lean(image.astype(float)) for image in images])
    median_lean = np.array([np.median(LEAN[labels == digit]) for digit in range(10)])
    LEANS_LEFT = median_lean[labels] > LEAN
    GROUP_A, GROUP_B = np.flatnonzero(LEANS_LEFT), np.flatnonzero(~LEANS_LEFT)
    group_net = train_mlp(GROUP_A[:300], count=80)
    ACCURACY_A = float(is_correct(group_net, images[GROUP_A[300:]], labels[GROUP_A[300:]]).mean())
    ACCURACY_B = float(is_correct(group_net, images[GROUP_B], labels[GROUP_B]).mean())

    def digit_row(indices):
        """The digits 0 to 9 side by side, each the one that leans most."""
        best = [
            max(indices[labels[indices] == digit], key=lambda r: abs(LEAN[r] - median_lean[digit]))
            for digit in range(10)
        ]
        return 255 - np.concatenate([np.pad(images[r], 1) for r in best], 1)

    return ACCURACY_B, GROUP_B, GROUP_A, ACCURACY_A, digit_row


@app.cell
def _(ACCURACY_B, GROUP_B, GROUP_A, ACCURACY_A, digit_row, draw_reported_and_actual):
    def draw_groups(figure):
        axis = figure.subplots()
        draw_reported_and_actual(axis, ACCURACY_A, ACCURACY_B, "our writers:", "others:")
        axis.set_title(f"the same network loses {100 * (ACCURACY_A - ACCURACY_B):.0f} points")

    show.html(
        show.side_by_side(
            show.pixel_image(digit_row(GROUP_A), "Digits of the writers in the training data", 330)
            + show.caption('<span class="other">Our writers</span>, in the training data'),
            show.pixel_image(digit_row(GROUP_B), "Digits of the other writers", 330)
            + show.caption('<span class="model">Other writers</span>, met in use'),
        ).replace('class="row"', 'class="row" style="flex-direction: column; gap: 8px"'),
        show.figure(
            draw_groups,
            f"Accuracy {ACCURACY_A:.0%} for our writers, {ACCURACY_B:.0%} for others",
            (4.4, 2.0),
        ),
    )
    return


@app.cell
def _(GROUP_B, GROUP_A, images, labels):
    both_groups = np.concatenate([GROUP_A[:400], GROUP_B[:200]])
    shifted_data = make_dataset(
        images[both_groups],
        labels[both_groups],
        splits=["train"] * 300 + ["valid"] * 100 + ["test"] * 200,
    )
    shifted_survey = decoding.survey(shifted_data)
    DRIFT = [
        f
        for f in audit(
            shifted_survey.dataset, shifted_survey.hashes, shifted_survey.image_stats
        ).findings
        if "look different" in f.check
    ]
    show.html(
        *(
            show.terminal(
                "foveate audit digits", f"! {finding.check}: {finding.reason}\n  → {finding.remedy}"
            )
            for finding in DRIFT[:1]
        )
    )
    return (DRIFT,)


@app.cell
def _(DRIFT, ACCURACY_B, ACCURACY_A):
    assert ACCURACY_A > ACCURACY_B + 0.05, "the accuracy drops for the other writers"
    assert len(DRIFT) == 1, (
        "the audit reports the test split, and not the valid split, which has the same writers"
    )
    show.claim(
        "A metric holds for images like those of the test split. Put images from later use into "
        "it, and the audit reports how they differ.",
        f"{ACCURACY_A:.0%} accuracy for our writers, {ACCURACY_B:.0%} for the others.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How certain is an honest result?

    A fair test on few images is still a random draw. foveate resamples the test split a thousand
    times with replacement, the **bootstrap**. How far the results spread gives the confidence
    interval, and it stands beside every metric. Drag the slider: the network of section 1 is
    tested on more and more new images.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "interval ≈ metric ± 2 standard deviations<br>over resampled test splits",
        show.source_line(resample, "[score"),
    )
    return


@app.cell
def _():
    SIZES = [20, 50, 100, 200, 500, 1500]
    test_size = show.slider(SIZES, 50)
    return SIZES, test_size


@app.cell
def _(CORRECT_ON_NEW, SIZES, test_size):
    def interval(n):
        correct = CORRECT_ON_NEW[:n].astype(float)
        return bootstrap(
            resample(
                n,
                lambda indices: {
                    "right": float(correct.mean() if indices is None else correct[indices].mean())
                },
            )
        )["right"]

    INTERVALS = {n: interval(n) for n in SIZES}

    def draw_intervals(n):
        def draw(figure):
            axis = figure.subplots()
            for y_position, (size, item) in enumerate(INTERVALS.items()):
                colour = show.MODEL if size == n else show.LINE
                axis.plot(
                    [item.low, item.high],
                    [y_position, y_position],
                    color=colour,
                    lw=7,
                    solid_capstyle="round",
                )
                axis.plot(
                    item.value,
                    y_position,
                    "o",
                    color=show.INK if size == n else show.MUTED,
                    ms=5,
                    zorder=3,
                )
            axis.set(
                ylim=(len(SIZES) - 0.4, -0.6),
                yticks=range(len(SIZES)),
                yticklabels=[f"{s:,}" for s in SIZES],
            )
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axis.grid(visible=False, axis="y")
            item = INTERVALS[n]
            axis.set_title(f"{n:,} images: {item.value:.0%} ({item.low:.0%} to {item.high:.0%})")

        return show.figure(
            draw,
            f"With {n} images the interval is {INTERVALS[n].low:.0%} to {INTERVALS[n].high:.0%}",
            (4.8, 2.6),
        )

    show.InteractiveFigure(draw_intervals, {"images in the test split": test_size})
    return (INTERVALS,)


@app.cell
def _(INTERVALS):
    wide, narrow = (INTERVALS[n].high - INTERVALS[n].low for n in (50, 1500))
    assert 3 < wide / narrow < 9, (
        "with thirty times the images the interval is narrower by about the root of thirty"
    )
    show.claim(
        "Thirty times the images make the interval about five times narrower, not thirty times.",
        f"{100 * wide:.0f} points wide on 50 images, {100 * narrow:.1f} on 1,500.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## All four
    """)
    return


@app.cell(hide_code=True)
def _(
    ACCURACY_B,
    LEAK_REPORTED,
    LEAK_ACTUAL,
    ACCURACY_A,
    TUNED_REPORTED,
    TUNED_ACTUAL,
    balanced,
    network_accuracy,
):
    MISTAKES = {
        "leak": (LEAK_REPORTED, LEAK_ACTUAL),
        "no baseline": (network_accuracy, balanced),
        "tuned on test": (TUNED_REPORTED, TUNED_ACTUAL),
        "other data": (ACCURACY_A, ACCURACY_B),
    }

    def draw_all(figure):
        axis = figure.subplots()
        for y_position, (reported, actual) in enumerate(MISTAKES.values()):
            axis.plot(
                [actual, reported],
                [y_position, y_position],
                color=show.LINE,
                lw=5,
                zorder=1,
                solid_capstyle="round",
            )
            axis.plot(reported, y_position, "o", color=show.OTHER, ms=11)
            axis.plot(actual, y_position, "o", color=show.MODEL, ms=11)
        axis.set(ylim=(3.5, -0.5), yticks=range(4), yticklabels=list(MISTAKES), xlim=(0.45, 1))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.grid(visible=False, axis="y")

    poster = show.figure(
        draw_all, "Four mistakes: the reported and the actual accuracy", (4.4, 2.4)
    )
    show.html(
        poster,
        show.caption(
            '<span class="other">The reported accuracy</span> and '
            '<span class="model">the actual accuracy</span>. '
            "(For the missing baseline: the balanced accuracy.)"
        ),
    )
    return (poster,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A good-looking number is cheap: leak some copies, try many models, count the easy class, test
      on familiar data.

    - So the checks should not depend on your memory. foveate refuses leaks, shows baselines and
      intervals beside every metric, and opens the test split once.

    - One thing no program knows: how your images will look tomorrow. Put such images into the test
      split.

    Kaufman, Rosset, Perlich and Stitelman, "Leakage in data mining", 2012. Recht et al., "Do
    ImageNet classifiers generalize to ImageNet?", 2019: they made a new test split for ImageNet,
    and every network did worse on it. Dwork et al., "The reusable holdout", Science, 2015, on test
    splits that are used too often.
    """)
    return


if __name__ == "__main__":
    app.run()
