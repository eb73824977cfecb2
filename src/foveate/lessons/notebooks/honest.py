"""Lesson 9: Four ways to fool yourself

A leak, no baseline, a tuned test part, other data: what each adds to a figure, and what stops it.
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
    from foveate.data.split.assign import split
    from foveate.experiment import pipeline
    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        Heard,
        answers,
        as_input,
        bundle,
        cross_entropy,
        digits,
        learn,
        seeing,
    )
    from foveate.metrics.intervals import bootstrap, resampled


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Four ways to fool yourself

    "My network is 95% right." Is it? Nobody in this lesson lies. Each of the four makes one honest mistake, and each gets a
    figure that is too good.

    We make the mistakes on purpose, measure what they add, and watch what foveate says to them.
    """)
    return


@app.cell
def _():
    images, labels = digits()
    TRUTH = torch.from_numpy(labels)
    NAMES = [str(digit) for digit in range(10)]

    def trained(rows, *, count, width=64, seed=0):
        """A small MLP that learnt these rows of the digits."""
        net = seeing(f"mlp:{width}", images[rows], seed)
        for _ in learn(
            net,
            cross_entropy,
            as_input(images[rows]),
            TRUTH[rows],
            count=count,
            lr=1e-2,
            batch=32,
            seed=seed,
        ):
            pass
        return net

    def known(net, pictures, classes):
        """(N,) whether each picture is named right."""
        return answers(net, as_input(pictures)).argmax(1).numpy() == classes

    def told_and_true(axis, told, true, first="told", second="true"):
        """Two bars that belong together: the figure one would report, and what holds on fresh pictures."""
        axis.barh([0, 1], [told, true], color=[show.OTHER, show.MODEL], height=0.62)
        for place, (share, word) in enumerate(((told, first), (true, second))):
            axis.text(
                share - 0.02,
                place,
                f"{word} {share:.0%}",
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

    return NAMES, TRUTH, images, known, labels, told_and_true, trained


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1. The leak

    Fifty digits to learn, a hundred to be tested on. But the two folders were filled from one phone, and some pictures are in both:
    the test ones a bit darker, as another program saved them. The network has *seen the answers*.

    Drag the slider: that share of the test part are copies (orange).
    """)
    return


@app.cell
def _():
    leaked = show.slider([0, 10, 20, 30, 40, 50], 30)
    return (leaked,)


@app.cell
def _(images, known, labels, trained):
    LEARNT = np.concatenate([np.flatnonzero(labels == digit)[:5] for digit in range(10)])
    FRESH = np.setdiff1d(np.arange(len(labels)), LEARNT)
    COPIES = np.rint(0.85 * images[LEARNT]).astype(np.uint8)  # the same pictures, a little darker
    pupil = trained(LEARNT, count=60)
    FRESH_RIGHT = known(pupil, images[FRESH], labels[FRESH])
    COPY_RIGHT = known(pupil, COPIES, labels[LEARNT])

    def with_copies(percent, draws=200):
        """What 100 test pictures say in the mean over many draws of them, when so many are copies."""
        rng = np.random.default_rng(0)
        fresh = [rng.choice(FRESH_RIGHT, 100 - percent, replace=False).sum() for _ in range(draws)]
        copied = [rng.choice(COPY_RIGHT, percent, replace=False).sum() for _ in range(draws)]
        return float(np.mean(fresh) + np.mean(copied)) / 100

    return COPIES, COPY_RIGHT, FRESH, FRESH_RIGHT, LEARNT, with_copies


@app.cell
def _(COPIES, FRESH, FRESH_RIGHT, images, leaked, told_and_true, with_copies):
    def test_part(percent):
        shown = np.concatenate([images[FRESH[: 100 - percent]], COPIES[:percent]]) / 255.0
        order = np.random.default_rng(1).permutation(100)
        paper, ink = np.array([252, 252, 251.0]), np.array([27, 31, 36.0])
        grounds = np.where(
            np.arange(100)[:, None] < 100 - percent, paper, np.array([246, 190, 130.0])
        )
        coloured = grounds[:, None, None] + shown[..., None] * (ink - grounds[:, None, None])
        sheet = coloured[order].reshape(10, 10, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(80, 80, 3)
        told, true = with_copies(percent), float(FRESH_RIGHT.mean())

        def paint(figure):
            axis = figure.subplots()
            told_and_true(axis, told, true)
            axis.set_title(
                f"the leak adds {100 * (told - true):.0f} points"
                if percent
                else "no leak: told is true"
            )

        words = f"With {percent}% copies the test part tells {told:.0%}; on fresh pictures {true:.0%} are right"
        return show.beside(
            show.pixels(
                sheet.round().astype(np.uint8), f"100 test digits, {percent} of them copies", 240
            ),
            show.image(paint, words, (3.4, 2.1)),
        )

    show.Moving(test_part, {"copies in the test part, %": leaked})
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "told = (1 − <i>s</i>) · true + <i>s</i> · <i>memory</i>",
        show.line_of(audit, "duplicates.find(")
        + "\n\n"
        + show.line_of(split, "if leaks and not allow_leak", lines=2),
    )
    return


@app.cell
def _(COPIES, FRESH, LEARNT, images, labels):
    rows_of = [LEARNT, FRESH[:50], FRESH[50:110]]
    PLANTED = 40
    leaky = bundle(
        np.concatenate([*(images[rows] for rows in rows_of), COPIES[:PLANTED]]),
        np.concatenate([*(labels[rows] for rows in rows_of), labels[LEARNT[:PLANTED]]]),
        parts=["train"] * 50 + ["valid"] * 50 + ["test"] * (60 + PLANTED),
    )
    with tempfile.TemporaryDirectory() as _folder:
        try:
            fv.train(leaky, out=Path(_folder) / "run", model="mlp:64")
            refused = ""
        except fv.FoveateError as error:
            refused = str(error)
    seen = decoding.survey(leaky)
    FOUND = sum(
        finding.check == LEAK
        for finding in audit(seen.dataset, seen.hashes, seen.image_stats).findings
    )
    show.show(show.said("foveate train digits", refused))
    return FOUND, PLANTED, refused


@app.cell
def _(COPY_RIGHT, FOUND, FRESH_RIGHT, PLANTED, refused, with_copies):
    LEAK_TOLD, LEAK_TRUE = with_copies(50), float(FRESH_RIGHT.mean())
    assert LEAK_TOLD > LEAK_TRUE + 0.04, "copies in the test part make the figure better than it is"
    assert COPY_RIGHT.mean() > 0.95, "what was learnt is remembered, also a little darker"
    assert "so a score would partly be memory" in refused, (
        "foveate refuses to train on such a split"
    )
    assert PLANTED * 0.9 <= FOUND <= PLANTED, "nearly every planted copy is found, and nothing else"
    show.headline(
        "Copies in the test part flatter. foveate finds them, though none is the same to the byte, and does not begin.",
        f"with half of the test part copied {LEAK_TOLD:.0%} instead of {LEAK_TRUE:.0%}; {FOUND} of {PLANTED} planted copies found.",
    )
    return LEAK_TOLD, LEAK_TRUE


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 2. No baseline

    A factory photographs 600 parts. 570 are fine, 30 are flawed. (Here: any digit is fine, an 8 is flawed.) A network is trained
    and is right on 95%. Champagne?
    """)
    return


@app.cell
def _(images, labels):
    chosen = np.concatenate([np.flatnonzero(labels != 8)[:570], np.flatnonzero(labels == 8)[:30]])
    parts = bundle(images[chosen], labels[chosen] == 8, name="parts", classes=("fine", "flawed"))
    with tempfile.TemporaryDirectory() as _folder:
        hurried = fv.train(parts, out=Path(_folder) / "run", model="mlp:16", epochs=2)
        first, heard = hurried.test(), Heard()
        again = pipeline.test(hurried, reporter=heard)
        OPENED, REFUSAL = len(hurried.ledger.entries), heard.lines[-1]
        record = hurried.results
    RESULTS = {
        name: rival["accuracy"]["value"] for name, rival in record["baseline"]["valid"].items()
    }
    RESULTS = {"our network": record["valid"]["accuracy"]["value"], **RESULTS}
    LIFT = record["lift"]["valid"]["accuracy"]

    def beside_baselines(figure):
        axis = figure.subplots()
        colours = [show.MODEL, *[show.LINE] * (len(RESULTS) - 1)]
        axis.barh(list(RESULTS), list(RESULTS.values()), color=colours, height=0.66)
        for place, share in enumerate(RESULTS.values()):
            inside = "#ffffff" if place == 0 else show.INK
            axis.text(
                share - 0.02,
                place,
                f"{share:.0%}",
                ha="right",
                va="center",
                color=inside,
                weight="bold",
            )
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), xticks=[])
        axis.grid(visible=False)
        axis.set_title("right on the validation part")

    words = ", ".join(f"{name} {share:.0%}" for name, share in RESULTS.items())
    show.show(
        show.image(beside_baselines, words, (4.8, 2.6)),
        show.caption(
            "<strong>Majority class</strong> has not looked at a single picture. It says <i>fine</i>, always."
        ),
    )
    return LIFT, OPENED, REFUSAL, RESULTS, again, first, record


@app.cell(hide_code=True)
def _():
    mo.md("""
    The network has found the same trick. It never found a flaw. So foveate never tells a figure alone: next to it stand the simplest
    things that could work, and the **lift**, the figure minus the best of them, with its interval.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "lift = figure − best baseline",
        show.line_of(pipeline._judge, 'results["lift"][part] = ').replace(", ", ",\n    "),
    )
    return


@app.cell
def _(LIFT, RESULTS, record):
    mine, lazy = RESULTS["our network"], RESULTS["majority class"]
    balanced = record["valid"]["balanced_accuracy"]["value"]
    assert mine > 0.9, "the figure alone sounds good"
    assert abs(mine - lazy) < 0.02, "but it is what one gets without looking"
    assert balanced < 0.6, "half of the classes are found: one of two"
    assert LIFT["value"] <= 0.02, "beside the best baseline there is no gain"
    show.headline(
        "A figure means nothing until something simple stands beside it.",
        f"{mine:.0%} right, {lazy:.0%} without looking; balanced over the two classes {balanced:.0%}; lift over "
        f"{record['best_baseline']} {100 * LIFT['value']:+.0f} points (95% interval {100 * LIFT['low']:+.0f} to {100 * LIFT['high']:+.0f}).",
    )
    return balanced, lazy, mine


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 3. Tuned on the test part

    Two dozen networks that differ in nothing but chance, all trained on the same hundred digits. Somebody tries some of them on a test part of
    60 pictures, and reports the best one. What could be wrong with choosing the best?

    Drag the slider: so many are tried. Up is what the 60 pictures tell, to the right is what holds on 1,600 others.
    """)
    return


@app.cell
def _(images, known, labels, trained):
    TRIED = 24
    RIGHT = np.stack(
        [
            known(trained(np.arange(100), count=16, seed=k), images[100:], labels[100:])
            for k in range(TRIED)
        ]
    )

    def test_of(draw):
        """Rows of 60 pictures and of the others."""
        order = np.random.default_rng(draw).permutation(RIGHT.shape[1])
        return order[:60], order[60:]

    def best_of(k, draw=0):
        """What the best of the first k of the networks, in an order by chance, is told to be, and is."""
        small, rest = test_of(draw)
        nets = np.random.default_rng(1000 + draw).permutation(TRIED)[:k]
        scores = RIGHT[nets][:, small].mean(1)
        best = nets[scores.argmax()]
        return float(scores.max()), float(RIGHT[best][rest].mean()), nets

    COUNTS = [1, 2, 4, 8, 16, 24]
    GAPS = {k: np.mean([np.subtract(*best_of(k, draw)[:2]) for draw in range(200)]) for k in COUNTS}
    tries = show.slider(COUNTS, 8)
    return COUNTS, GAPS, RIGHT, TRIED, best_of, test_of, tries


@app.cell
def _(COUNTS, GAPS, RIGHT, best_of, test_of, tries):
    small_part, rest_part = test_of(0)
    ON_FEW, ON_MANY = RIGHT[:, small_part].mean(1), RIGHT[:, rest_part].mean(1)

    def winner(k):
        told, true, nets = best_of(k)

        def scattered(figure):
            axis = figure.subplots()
            low, high = (
                min(ON_FEW.min(), ON_MANY.min()) - 0.02,
                max(ON_FEW.max(), ON_MANY.max()) + 0.02,
            )
            axis.plot([low, high], [low, high], color=show.MUTED, lw=1.2, ls=(0, (4, 3)))
            axis.plot(ON_MANY, ON_FEW, "o", color=show.LINE, ms=5)
            axis.plot(ON_MANY[nets], ON_FEW[nets], "o", color=show.MODEL, ms=6)
            axis.plot(true, told, "o", color="none", mec=show.OTHER, mew=2.5, ms=13)
            axis.set(
                xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="right on fresh pictures"
            )
            for one in (axis.xaxis, axis.yaxis):
                one.set_major_formatter(lambda value, _: f"{value:.0%}")
                one.set_major_locator(locator())
            axis.set_title(f"best of {k}: told {told:.0%}, is {true:.0%}")

        def grows(figure):
            axis = figure.subplots()
            axis.plot(COUNTS, [100 * GAPS[n] for n in COUNTS], color=show.LINE, lw=2)
            axis.plot(COUNTS, [100 * GAPS[n] for n in COUNTS], "o", color=show.MUTED, ms=5)
            axis.plot(k, 100 * GAPS[k], "o", color=show.OTHER, ms=11)
            axis.set(ylim=(-1, None), xlabel="networks tried")
            axis.set_title(f"mean of 200 test parts: {100 * GAPS[k]:+.1f} points")

        words = f"The best of {k} is told to be {told:.0%}, and is {true:.0%}"
        return show.beside(
            show.image(scattered, words, (3.3, 3.3)),
            show.image(grows, f"Flattery: {100 * GAPS[k]:.1f} points", (3.3, 3.3)),
        )

    def locator():
        from matplotlib.ticker import MaxNLocator

        return MaxNLocator(4)

    show.Moving(winner, {"networks tried on the test part": tries})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Who is on top of a list is good *and lucky*, and luck does not come along. Trying settings is fine, on the **validation part**: that is what it is there
    for. The test part is opened once, at the end, and foveate keeps a ledger of it. Ask again, and you get the same answer again.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "mean of max(<i>k</i> scores) ≥ max(<i>k</i> means)",
        show.line_of(pipeline.test, "if entry := run.ledger", lines=3),
    )
    return


@app.cell
def _(REFUSAL):
    show.show(
        show.said("foveate test runs/parts\nfoveate test runs/parts   # a second time", REFUSAL)
    )
    return


@app.cell
def _(GAPS, OPENED, TRIED, again, best_of, first):
    TUNED_TOLD, TUNED_TRUE = np.mean([best_of(TRIED, draw)[:2] for draw in range(200)], axis=0)
    assert abs(GAPS[1]) < 0.012, "one network, tried once, is told as it is"
    assert GAPS[TRIED] > 0.015, "the best of many is told better than it is"
    assert GAPS[TRIED] > GAPS[2] > GAPS[1] - 0.005, "the more are tried, the more it flatters"
    assert OPENED == 1, "the test part was opened once"
    assert again == first, "asked again, the ledger tells the first result"
    show.headline(
        "The more you try on a test part, the less it tells. The ledger has one entry, however often you ask.",
        f"in the mean of 200 test parts the best of {TRIED} is told {TUNED_TOLD:.1%}, and is {TUNED_TRUE:.1%}; a single one is off by {100 * GAPS[1]:+.1f} points.",
    )
    return TUNED_TOLD, TUNED_TRUE


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 4. Not what it will meet

    Some people write leaning to the one side, some to the other. All our pictures are from the first kind. Fair split, no copies, tested once. And yet.
    """)
    return


@app.cell
def _(images, known, labels, trained):
    down, across = np.mgrid[:8, :8]

    def lean(image):
        """How far to the side the ink moves for each pixel down, by its moments."""
        w = image / image.sum()
        y, x = down - (w * down).sum(), across - (w * across).sum()
        return (w * x * y).sum() / (w * y * y).sum()

    LEAN = np.array([lean(image.astype(float)) for image in images])
    middle = np.array([np.median(LEAN[labels == digit]) for digit in range(10)])
    LEFT = middle[labels] > LEAN
    OURS, OTHERS = np.flatnonzero(LEFT), np.flatnonzero(~LEFT)
    local = trained(OURS[:300], count=80)
    SAME = float(known(local, images[OURS[300:]], labels[OURS[300:]]).mean())
    ELSEWHERE = float(known(local, images[OTHERS], labels[OTHERS]).mean())

    def row(rows):
        """The digits 0 to 9 of these rows beside one another, each the one that leans most."""
        best = [
            max(rows[labels[rows] == digit], key=lambda r: abs(LEAN[r] - middle[digit]))
            for digit in range(10)
        ]
        return 255 - np.concatenate([np.pad(images[r], 1) for r in best], 1)

    return ELSEWHERE, OTHERS, OURS, SAME, row


@app.cell
def _(ELSEWHERE, OTHERS, OURS, SAME, row, told_and_true):
    def kinds(figure):
        axis = figure.subplots()
        told_and_true(axis, SAME, ELSEWHERE, "our kind:", "the others:")
        axis.set_title(f"the same network: {100 * (SAME - ELSEWHERE):.0f} points less")

    show.show(
        show.beside(
            show.pixels(row(OURS), "Digits of the kind that was learnt", 330)
            + show.caption('<span class="other">Our kind</span>, which was learnt'),
            show.pixels(row(OTHERS), "Digits that lean to the other side", 330)
            + show.caption('<span class="model">The others</span>, which it will meet'),
        ).replace('class="beside"', 'class="beside" style="flex-direction: column; gap: 8px"'),
        show.image(
            kinds, f"Right on our kind {SAME:.0%}, on the others {ELSEWHERE:.0%}", (4.4, 2.0)
        ),
    )
    return


@app.cell
def _(OTHERS, OURS, images, labels):
    both = np.concatenate([OURS[:400], OTHERS[:200]])
    moved_on = bundle(
        images[both], labels[both], parts=["train"] * 300 + ["valid"] * 100 + ["test"] * 200
    )
    looked = decoding.survey(moved_on)
    DRIFT = [
        f
        for f in audit(looked.dataset, looked.hashes, looked.image_stats).findings
        if f.check == "parts look different"
    ]
    show.show(
        *(
            show.said(
                "foveate audit digits", f"! {found.check}: {found.reason}\n  → {found.remedy}"
            )
            for found in DRIFT[:1]
        )
    )
    return (DRIFT,)


@app.cell
def _(DRIFT, ELSEWHERE, SAME):
    assert SAME > ELSEWHERE + 0.05, "what was learnt on one kind holds less on the other"
    assert len(DRIFT) == 1, (
        "the audit tells the two apart, and says so; the valid part, of our kind, it leaves alone"
    )
    show.headline(
        "A figure holds for pictures like those it was measured on. Put some of what you will meet into the test part, and the audit sees the difference.",
        f"{SAME:.0%} on our kind, {ELSEWHERE:.0%} on the others.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## And how sure is an honest figure?

    A fair test on few pictures is still a draw by chance. foveate draws the test part again, a thousand times, with replacement: the middle 95% of
    what comes out is the interval, and it stands beside every figure. Drag: the network of part 1, on more fresh pictures.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "interval = the middle 95% of figures<br>on <i>n</i> pictures, drawn again",
        show.line_of(resampled, "drawn = [score"),
    )
    return


@app.cell
def _():
    SIZES = [20, 50, 100, 200, 500, 1500]
    pictures_in_test = show.slider(SIZES, 50)
    return SIZES, pictures_in_test


@app.cell
def _(FRESH_RIGHT, SIZES, pictures_in_test):
    def interval(n):
        good = FRESH_RIGHT[:n].astype(float)
        return bootstrap(
            resampled(
                n, lambda rows: {"right": float(good.mean() if rows is None else good[rows].mean())}
            )
        )["right"]

    INTERVALS = {n: interval(n) for n in SIZES}

    def how_sure(n):
        def paint(figure):
            axis = figure.subplots()
            for place, (size, one) in enumerate(INTERVALS.items()):
                colour = show.MODEL if size == n else show.LINE
                axis.plot(
                    [one.low, one.high], [place, place], color=colour, lw=7, solid_capstyle="round"
                )
                axis.plot(
                    one.value,
                    place,
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
            one = INTERVALS[n]
            axis.set_title(f"{n:,} pictures: {one.value:.0%} ({one.low:.0%} to {one.high:.0%})")

        return show.image(
            paint,
            f"With {n} pictures the interval is {INTERVALS[n].low:.0%} to {INTERVALS[n].high:.0%}",
            (4.8, 2.6),
        )

    show.Moving(how_sure, {"pictures in the test part": pictures_in_test})
    return (INTERVALS,)


@app.cell
def _(INTERVALS):
    wide, narrow = (INTERVALS[n].high - INTERVALS[n].low for n in (50, 1500))
    assert 3 < wide / narrow < 9, (
        "thirty times the pictures, an interval about the root of thirty narrower"
    )
    show.headline(
        "Thirty times the pictures make the interval about five times narrower, not thirty.",
        f"{100 * wide:.0f} points wide on 50 pictures, {100 * narrow:.1f} on 1,500.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## All four
    """)
    return


@app.cell(hide_code=True)
def _(ELSEWHERE, LEAK_TOLD, LEAK_TRUE, SAME, TUNED_TOLD, TUNED_TRUE, balanced, mine):
    FOUR = {
        "leak": (LEAK_TOLD, LEAK_TRUE),
        "no baseline": (mine, balanced),
        "tuned on test": (TUNED_TOLD, TUNED_TRUE),
        "other data": (SAME, ELSEWHERE),
    }

    def all_four(figure):
        axis = figure.subplots()
        for place, (told, true) in enumerate(FOUR.values()):
            axis.plot(
                [true, told],
                [place, place],
                color=show.LINE,
                lw=5,
                zorder=1,
                solid_capstyle="round",
            )
            axis.plot(told, place, "o", color=show.OTHER, ms=11)
            axis.plot(true, place, "o", color=show.MODEL, ms=11)
        axis.set(ylim=(3.5, -0.5), yticks=range(4), yticklabels=list(FOUR), xlim=(0.45, 1))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.grid(visible=False, axis="y")

    poster = show.image(all_four, "Four mistakes: what was told, and what is true", (4.4, 2.4))
    show.show(
        poster,
        show.caption(
            '<span class="other">What was told</span>, and <span class="model">what is true</span>. (Without a baseline: right in the mean of both classes.)'
        ),
    )
    return (poster,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A good figure costs nothing: copy a little, try a little, count what is easy, test at home.
    - So the checks are not yours to remember. Leaks are refused, baselines and intervals stand beside every figure, the test part opens once.
    - One thing no program knows: what your pictures will be like tomorrow. Put them into the test part.

    Kaufman, Rosset, Perlich and Stitelman, "Leakage in data mining", 2012. Recht et al., "Do ImageNet classifiers generalize to ImageNet?", 2019,
    who made a new test part for ImageNet, and found every net worse on it. Dwork et al., "The reusable holdout", Science, 2015, on what happens to a test part that is asked too often.
    """)
    return


if __name__ == "__main__":
    app.run()
