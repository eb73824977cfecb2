"""Lesson 2: Deep, wide, and enough examples

A few wide layers or many narrow ones, with the same number of weights? And with how many examples?
"""

import marimo

app = marimo.App(app_title="Deep, wide, and enough examples", css_file="style.css")

with app.setup:
    from bisect import bisect

    import marimo as mo
    import numpy as np
    import torch
    from matplotlib.patches import Rectangle

    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        digit_classifier,
        load_digits,
        net_outputs,
        points_network,
        to_tensor,
        train_steps,
    )
    from foveate.models.backbone import count_parameters
    from foveate.models.backbones import mlp


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Deep, wide, and enough examples

    You may spend a thousand weights. Do you put them all into one wide layer, or stack several
    narrow ones? And whatever you choose: how many examples must the network see before you can
    trust it?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The same number of weights, stacked

    Two spirals wind around each other. Seven networks learn to separate them, each with about a
    thousand weights: from one layer of 200 neurons to twelve layers of 9. The loop, the number of
    steps and the points are the same. Only the shape of the network differs.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "weights ≈ <i>d</i><sub>in</sub><i>n</i> + (<i>L</i> − 1)<i>n</i><sup>2</sup> + "
        "<i>n</i><i>d</i><sub>out</sub>",
        show.source_line(mlp.MLP, "for inputs, outputs in pairwise", 2),
    )
    return


@app.cell
def _():
    TURNS, BUDGET, DEPTHS = 3.0, 1000, [1, 2, 3, 4, 5, 6, 12]

    def spirals(count, seed):
        """(count, 2, 1, 1) points on two spirals with a little noise, and their (count,) labels."""
        rng = np.random.default_rng(seed)
        label = np.arange(count) % 2
        radius = np.sqrt(rng.uniform(0.02, 1, count))
        angle = 2 * np.pi * TURNS * radius + np.pi * label
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + rng.normal(
            0, 0.02, (count, 2)
        )
        return torch.from_numpy(points.astype(np.float32))[:, :, None, None], torch.from_numpy(
            label
        )

    def build(depth):
        """The network of this many equal hidden layers with a size closest to the budget."""

        def with_width(n):
            return points_network("mlp:" + "-".join([str(n)] * depth), 2, 2)

        upper = bisect(range(260), BUDGET, lo=2, key=lambda n: count_parameters(with_width(n)))
        return min(
            with_width(upper - 1),
            with_width(upper),
            key=lambda net: abs(count_parameters(net) - BUDGET),
        )

    def width(net):
        return next(
            layer for layer in net.modules() if isinstance(layer, torch.nn.Linear)
        ).out_features

    TRAIN_POINTS, VALID_POINTS = spirals(500, 0), spirals(1000, 1)
    SIDE = 56
    LINE = np.linspace(-1.1, 1.1, SIDE, dtype=np.float32)
    MESH = torch.from_numpy(np.stack(np.meshgrid(LINE, LINE), -1).reshape(-1, 2, 1, 1))
    return BUDGET, DEPTHS, MESH, TRAIN_POINTS, SIDE, VALID_POINTS, build, width


@app.cell
def _(DEPTHS, MESH, TRAIN_POINTS, SIDE, VALID_POINTS, build, width):
    RESULTS = {}
    for _depth in DEPTHS:
        _net = build(_depth)
        for _ in train_steps(_net, cross_entropy, *TRAIN_POINTS, count=300, lr=0.02):
            pass
        RESULTS[_depth] = {
            "width": width(_net),
            "weights": count_parameters(_net),
            "train": 1 - accuracy_score(_net, *TRAIN_POINTS),
            "valid": 1 - accuracy_score(_net, *VALID_POINTS),
            "plane": net_outputs(_net, MESH).softmax(1)[:, 1].numpy().reshape(SIDE, SIDE),
        }
    depth = show.slider(DEPTHS, 1)
    return RESULTS, depth


@app.cell
def _(TRAIN_POINTS, RESULTS, depth):
    def draw_regions(depth):
        result = RESULTS[depth]

        def draw(figure):
            axis = figure.subplots()
            show.decision_regions(axis, result["plane"], (-1.1, 1.1, -1.1, 1.1))
            show.points(axis, TRAIN_POINTS[0][:, :, 0, 0].numpy(), TRAIN_POINTS[1].numpy(), 12)
            show.hide_axes(
                axis,
                f"{depth} × {result['width']} neurons, {result['weights']:,} weights: "
                f"{result['valid']:.1%} error",
            )

        return show.figure(
            draw,
            f"Two spirals, separated by {depth} layers of {result['width']} neurons",
            (4.2, 4.2),
        )

    show.InteractiveFigure(draw_regions, {"hidden layers": depth})
    return


@app.cell
def _(DEPTHS, RESULTS):
    def draw_errors(figure):
        axis = figure.subplots()
        for split, colour, style in (
            ("train", show.OTHER, (0, (4, 2))),
            ("valid", show.MODEL, "-"),
        ):
            axis.plot([RESULTS[d][split] for d in DEPTHS], "o", ls=style, color=colour, ms=5)
        labels = [f"{d}×{RESULTS[d]['width']}" for d in DEPTHS]
        axis.set(
            xticks=range(len(DEPTHS)), xticklabels=labels, ylim=(0, None), xlabel="layers × neurons"
        )
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("error rate")

    alt = ", ".join(f"{d} layers {RESULTS[d]['valid']:.1%}" for d in DEPTHS)
    show.html(
        show.figure(
            draw_errors, f"Error rate by depth with equal numbers of weights: {alt}", (4.6, 2.7)
        ),
        show.caption(
            '<span class="model">New points</span> and <span class="other">training points</span>.'
        ),
    )
    return


@app.cell
def _(BUDGET, DEPTHS, RESULTS):
    shallow, best = (
        RESULTS[1],
        min((RESULTS[d] for d in DEPTHS), key=lambda result: result["valid"]),
    )
    assert all(abs(RESULTS[d]["weights"] - BUDGET) < 0.06 * BUDGET for d in DEPTHS), (
        "all have nearly the same number of weights"
    )
    assert shallow["valid"] > 0.15, "one wide layer does not separate the spirals"
    assert best["valid"] < 0.6 * shallow["valid"], (
        "the same number of weights in several layers makes far fewer errors"
    )
    deepest = RESULTS[DEPTHS[-1]]
    assert deepest["train"] > best["train"] + 0.1, (
        "the deepest and narrowest has a higher error, even on its training points"
    )
    show.claim(
        "With the same number of weights, several layers beat one, up to a point.",
        f"error on new points: {shallow['valid']:.0%} for one layer of {shallow['width']}, "
        f"{best['valid']:.0%} for the best depth, {deepest['valid']:.0%} for twelve layers "
        "(one random start each).",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Each layer folds the plane, and the next layer folds the result. So every layer can multiply
    the number of pieces, while more width only adds pieces. Telgarsky (2016) constructed functions
    that a deep network represents with few neurons and a shallow one only with exponentially many.

    But look at the right end of the curve. A deep, narrow network *can* represent more, but it is
    harder to *train*, because gradients pass through more layers. Normalisation and shortcuts, in
    the lesson on architectures, were invented for this problem.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A larger network needs more examples

    Now the other half of the question. A network with one hidden layer learns digits, and you
    choose two numbers: how many **neurons** it has, and how many **examples** it learns from. The
    colour is the error rate: on the left for the training digits, on the right for 597 new ones.
    """)
    return


@app.cell
def _():
    WIDTHS, COUNTS = [2, 8, 32, 128], [20, 60, 200, 600, 1200]
    images, labels = load_digits()
    target, inputs = torch.from_numpy(labels), to_tensor(images)
    TRAIN, VALID = np.zeros((4, 5)), np.zeros((4, 5))
    for _row, _neurons in enumerate(WIDTHS):
        for _column, _count in enumerate(COUNTS):
            _subset = slice(0, _count)
            _net = digit_classifier(f"mlp:{_neurons}", images[_subset])
            for _ in train_steps(
                _net,
                cross_entropy,
                inputs[_subset],
                target[_subset],
                count=150,
                lr=0.01,
                batch_size=min(_count, 64),
            ):
                pass
            TRAIN[_row, _column] = 1 - accuracy_score(_net, inputs[_subset], target[_subset])
            VALID[_row, _column] = 1 - accuracy_score(_net, inputs[1200:], target[1200:])
    neurons, examples = show.slider(WIDTHS, 128), show.slider(COUNTS, 20)
    return COUNTS, TRAIN, VALID, WIDTHS, examples, neurons


@app.cell
def _(COUNTS, TRAIN, VALID, WIDTHS, examples, neurons):
    def draw_grid(axis, errors, title, selected):
        show.heatmap(axis, errors)
        for row, column in np.ndindex(errors.shape):
            axis.text(
                column + 0.5,
                row + 0.5,
                f"{100 * errors[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=9.5,
            )
        axis.set(
            xticks=np.arange(5) + 0.5,
            xticklabels=COUNTS,
            yticks=np.arange(4) + 0.5,
            yticklabels=WIDTHS,
        )
        axis.set(xlabel="examples", ylabel="neurons", title=title)
        axis.add_patch(
            Rectangle(
                selected[::-1], 1, 1, fill=False, ec=show.INK, lw=2.5, clip_on=False, zorder=4
            )
        )

    def draw_grids(neurons, examples):
        cell = WIDTHS.index(neurons), COUNTS.index(examples)
        train_error, valid_error = TRAIN[cell], VALID[cell]

        def result(errors, title):
            return show.figure(
                lambda figure: draw_grid(figure.subplots(), errors, title, cell),
                f"{title}, by neurons and examples",
                (3.2, 2.7),
            )

        return show.side_by_side(
            result(TRAIN, "training error, %"), result(VALID, "error on new digits, %")
        ) + show.caption(
            f"{neurons} neurons, {examples} examples: {train_error:.0%} training error, "
            f"<b>{valid_error:.0%}</b> error on new digits. "
            + (
                "It has learnt its examples by heart."
                if valid_error - train_error > 0.1
                else "It generalises."
                if valid_error < 0.1
                else "It is too small, or has too few examples."
            )
        )

    show.InteractiveFigure(draw_grids, {"neurons": neurons, "examples": examples})
    return


@app.cell
def _(COUNTS, TRAIN, VALID):
    assert TRAIN[3, 0] == 0.0, "a large network learns 20 examples by heart"
    assert VALID[3, 0] > 0.3, "and fails on new digits"
    assert VALID[3, 4] < 0.1, "the same network with all the examples does not"
    assert VALID[0, 4] > 0.5, "two neurons are too few, however many examples there are"
    assert all(b < a + 0.03 for a, b in zip(VALID[3], VALID[3][1:], strict=False)), (
        "more examples, fewer errors"
    )
    show.claim(
        "A large network needs many examples; a tiny one cannot use them.",
        f"128 neurons: {VALID[3, 0]:.0%} error on new digits with {COUNTS[0]} examples, "
        f"{VALID[3, 4]:.0%} with {COUNTS[4]:,}; "
        f"2 neurons: {VALID[0, 0]:.0%} and {VALID[0, 4]:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The top left of the left grid is the trap: *zero training error*, which says nothing about new
    digits. Only the right grid counts. That is why foveate holds out a **validation split** that
    it never trains on, and draws both curves.

    A network can fail in two ways. It can be too small for the task (**underfitting**: both grids
    are dark). Or it can have too few examples for its size (**overfitting**: only the right grid
    is dark).
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - Depth multiplies, width adds: with the same number of weights, several layers beat one. Very
      deep and narrow networks are hard to train.

    - A larger network needs more examples. With enough of them it beats a small one.

    - A low training error is no evidence. Look at the error on examples that the network never
      saw.

    Telgarsky, "Benefits of depth in neural networks", 2016. Montúfar, Pascanu, Cho and Bengio, "On
    the number of linear regions of deep neural networks", 2014. Zhang et al., "Understanding deep
    learning requires rethinking generalization", 2017, for networks that learn their examples by
    heart. Lang and Witbrock, "Learning to tell two spirals apart", 1988.
    """)
    return


@app.cell(hide_code=True)
def _(TRAIN_POINTS, RESULTS):
    def draw_poster(figure):
        for axis, layers in zip(figure.subplots(1, 2), (1, 5), strict=True):
            show.decision_regions(axis, RESULTS[layers]["plane"], (-1.1, 1.1, -1.1, 1.1))
            show.points(
                axis, TRAIN_POINTS[0][:, :, 0, 0].numpy()[:250], TRAIN_POINTS[1].numpy()[:250], 9
            )
            show.hide_axes(axis)

    poster = show.figure(
        draw_poster, "Two spirals, separated by a shallow and by a deeper network", (4.8, 2.5)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
