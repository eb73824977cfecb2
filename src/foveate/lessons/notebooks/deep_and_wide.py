"""Lesson 2: Deep, wide, and enough examples

At equal weights: a few wide layers, or many narrow ones? And how many examples do they need?
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
        answers,
        as_input,
        cross_entropy,
        digits,
        learn,
        network,
        right,
        seeing,
    )
    from foveate.models.backbone import parameters
    from foveate.models.backbones import mlp


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Deep, wide, and enough examples

    You may spend a thousand weights. Put them all into one wide layer? Or stack several narrow ones?
    And however you spend them: how many examples must the network see before you can believe it?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The same weights, stacked

    Two spirals, wound around each other. Seven networks learn to tell them apart, all with about a thousand weights:
    from one layer of 200 neurons to twelve layers of 9. Same loop, same steps, same points. Only the shape differs.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "weights ≈ <i>d</i><sub>in</sub><i>n</i> + (<i>L</i> − 1)<i>n</i><sup>2</sup> + <i>n</i><i>d</i><sub>out</sub>",
        show.line_of(mlp.MLP, "for inputs, outputs in pairwise", 2),
    )
    return


@app.cell
def _():
    TURNS, BUDGET, DEPTHS = 3.0, 1000, [1, 2, 3, 4, 5, 6, 12]

    def spirals(count, seed):
        """(count, 2, 1, 1) points on two spirals, with a little noise, and (count,) which."""
        rng = np.random.default_rng(seed)
        which = np.arange(count) % 2
        radius = np.sqrt(rng.uniform(0.02, 1, count))
        angle = 2 * np.pi * TURNS * radius + np.pi * which
        places = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + rng.normal(
            0, 0.02, (count, 2)
        )
        return torch.from_numpy(places.astype(np.float32))[:, :, None, None], torch.from_numpy(
            which
        )

    def shaped(depth):
        """The network of that many equal hidden layers whose number of weights comes nearest to the budget."""

        def stack(n):
            return network("mlp:" + "-".join([str(n)] * depth), 2, 2)

        above = bisect(range(260), BUDGET, lo=2, key=lambda n: parameters(stack(n)))
        return min(stack(above - 1), stack(above), key=lambda net: abs(parameters(net) - BUDGET))

    def width(net):
        return next(
            layer for layer in net.modules() if isinstance(layer, torch.nn.Linear)
        ).out_features

    SEEN, UNSEEN = spirals(500, 0), spirals(1000, 1)
    SIDE = 56
    LINE = np.linspace(-1.1, 1.1, SIDE, dtype=np.float32)
    MESH = torch.from_numpy(np.stack(np.meshgrid(LINE, LINE), -1).reshape(-1, 2, 1, 1))
    return BUDGET, DEPTHS, MESH, SEEN, SIDE, UNSEEN, shaped, width


@app.cell
def _(DEPTHS, MESH, SEEN, SIDE, UNSEEN, shaped, width):
    STACKS = {}
    for _depth in DEPTHS:
        _net = shaped(_depth)
        for _ in learn(_net, cross_entropy, *SEEN, count=300, lr=0.02):
            pass
        STACKS[_depth] = {
            "width": width(_net),
            "weights": parameters(_net),
            "train": 1 - right(_net, *SEEN),
            "valid": 1 - right(_net, *UNSEEN),
            "plane": answers(_net, MESH).softmax(1)[:, 1].numpy().reshape(SIDE, SIDE),
        }
    depth = show.slider(DEPTHS, 1)
    return STACKS, depth


@app.cell
def _(SEEN, STACKS, depth):
    def stacked(depth):
        one = STACKS[depth]

        def paint(figure):
            axis = figure.subplots()
            show.regions(axis, one["plane"], (-1.1, 1.1, -1.1, 1.1))
            show.points(axis, SEEN[0][:, :, 0, 0].numpy(), SEEN[1].numpy(), 12)
            show.bare(
                axis,
                f"{depth} × {one['width']} neurons, {one['weights']:,} weights: {one['valid']:.1%} wrong",
            )

        return show.image(
            paint,
            f"Two spirals as {depth} layers of {one['width']} neurons tell them apart",
            (4.2, 4.2),
        )

    show.Moving(stacked, {"hidden layers": depth})
    return


@app.cell
def _(DEPTHS, STACKS):
    def by_depth(figure):
        axis = figure.subplots()
        for part, colour, style in (("train", show.OTHER, (0, (4, 2))), ("valid", show.MODEL, "-")):
            axis.plot([STACKS[d][part] for d in DEPTHS], "o", ls=style, color=colour, ms=5)
        labels = [f"{d}×{STACKS[d]['width']}" for d in DEPTHS]
        axis.set(
            xticks=range(len(DEPTHS)), xticklabels=labels, ylim=(0, None), xlabel="layers × neurons"
        )
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("points that are wrong")

    told = ", ".join(f"{d} layers {STACKS[d]['valid']:.1%}" for d in DEPTHS)
    show.show(
        show.image(
            by_depth, f"Share of wrong points by depth at equal weights: {told}", (4.6, 2.7)
        ),
        show.caption(
            '<span class="model">Points it never saw</span>, and <span class="other">points it learnt from</span>.'
        ),
    )
    return


@app.cell
def _(BUDGET, DEPTHS, STACKS):
    wide, best = STACKS[1], min((STACKS[d] for d in DEPTHS), key=lambda one: one["valid"])
    assert all(abs(STACKS[d]["weights"] - BUDGET) < 0.06 * BUDGET for d in DEPTHS), (
        "all have the same weights, nearly"
    )
    assert wide["valid"] > 0.15, "one wide layer does not finish the spirals"
    assert best["valid"] < 0.6 * wide["valid"], "stacked, the same weights make far fewer mistakes"
    deepest = STACKS[DEPTHS[-1]]
    assert deepest["train"] > best["train"] + 0.1, (
        "the deepest and narrowest learns worse, even what it was shown"
    )
    show.headline(
        "At equal weights several layers beat one, up to a point.",
        f"one layer of {wide['width']} has {wide['valid']:.0%} of new points wrong, the best stack {best['valid']:.0%}, "
        f"twelve layers {deepest['valid']:.0%} (one start each).",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Each layer folds the plane, and the next folds what is folded: with each layer the number of pieces can multiply, where a wider layer only
    adds some. Telgarsky (2016) built functions that a deep network draws with few neurons and a shallow one only with exponentially many.

    But look at the right end of the curve. A deep, narrow stack *can* say more, and is harder to *train*: gradients pass through more layers.
    Normalisation and shortcuts, in the lesson on architectures, were invented for that.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## More function needs more examples

    Now the other half. Digits, a network with one hidden layer, and two things to choose: how many **neurons** it has, and how many
    **examples** it learns from. The colour tells how many digits are wrong: on the left those that it learnt from, on the right 597 new ones.
    """)
    return


@app.cell
def _():
    WIDTHS, COUNTS = [2, 8, 32, 128], [20, 60, 200, 600, 1200]
    images, labels = digits()
    truth, inputs = torch.from_numpy(labels), as_input(images)
    TRAIN, VALID = np.zeros((4, 5)), np.zeros((4, 5))
    for _row, _neurons in enumerate(WIDTHS):
        for _column, _count in enumerate(COUNTS):
            _some = slice(0, _count)
            _net = seeing(f"mlp:{_neurons}", images[_some])
            for _ in learn(
                _net,
                cross_entropy,
                inputs[_some],
                truth[_some],
                count=150,
                lr=0.01,
                batch=min(_count, 64),
            ):
                pass
            TRAIN[_row, _column] = 1 - right(_net, inputs[_some], truth[_some])
            VALID[_row, _column] = 1 - right(_net, inputs[1200:], truth[1200:])
    neurons, examples = show.slider(WIDTHS, 128), show.slider(COUNTS, 20)
    return COUNTS, TRAIN, VALID, WIDTHS, examples, neurons


@app.cell
def _(COUNTS, TRAIN, VALID, WIDTHS, examples, neurons):
    def grid(axis, errors, title, chosen):
        show.heat(axis, errors)
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
            Rectangle(chosen[::-1], 1, 1, fill=False, ec=show.INK, lw=2.5, clip_on=False, zorder=4)
        )

    def grids(neurons, examples):
        at = WIDTHS.index(neurons), COUNTS.index(examples)
        seen, unseen = TRAIN[at], VALID[at]

        def one(errors, title):
            return show.image(
                lambda figure: grid(figure.subplots(), errors, title, at),
                f"{title} over neurons and examples",
                (3.2, 2.7),
            )

        return show.beside(
            one(TRAIN, "learnt digits wrong, %"), one(VALID, "new digits wrong, %")
        ) + show.caption(
            f"{neurons} neurons, {examples} examples: {seen:.0%} wrong of those it learnt, <b>{unseen:.0%}</b> of new ones. "
            + (
                "It knows them by heart."
                if unseen - seen > 0.1
                else "What it learnt holds."
                if unseen < 0.1
                else "It is too small."
            )
        )

    show.Moving(grids, {"neurons": neurons, "examples": examples})
    return


@app.cell
def _(COUNTS, TRAIN, VALID):
    assert TRAIN[3, 0] == 0.0, "a large network knows 20 examples by heart"
    assert VALID[3, 0] > 0.3, "and fails on new ones"
    assert VALID[3, 4] < 0.1, "the same network, with all the examples, does not"
    assert VALID[0, 4] > 0.5, "two neurons are too few, however many examples there are"
    assert all(b < a + 0.03 for a, b in zip(VALID[3], VALID[3][1:], strict=False)), (
        "more examples, fewer mistakes"
    )
    show.headline(
        "A large network needs many examples; a tiny one has no use for them.",
        f"128 neurons: {VALID[3, 0]:.0%} of new digits wrong after {COUNTS[0]} examples, {VALID[3, 4]:.0%} after {COUNTS[4]:,}; "
        f"2 neurons: {VALID[0, 0]:.0%} and {VALID[0, 4]:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The top left of the left grid is the trap: *nothing wrong* on what it learnt says nothing at all. Only the right grid counts, and that is why
    foveate keeps a **validation part** which is never learnt from, and shows both curves.

    Two ways to fail: too small a function (**underfitting**, both grids are dark), too few examples for it (**overfitting**, only the right one is).
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - Depth multiplies, width adds: at equal weights, several layers beat one. Very deep and narrow is hard to train.
    - A larger function needs more examples. With enough of them it wins.
    - An error on learnt examples is no evidence. Look at examples that it never saw.

    Telgarsky, "Benefits of depth in neural networks", 2016. Montúfar, Pascanu, Cho and Bengio, "On the number of linear regions of deep neural networks", 2014.
    Zhang et al., "Understanding deep learning requires rethinking generalization", 2017, for networks that know by heart.
    Lang and Witbrock, "Learning to tell two spirals apart", 1988.
    """)
    return


@app.cell(hide_code=True)
def _(SEEN, STACKS):
    def on_the_index(figure):
        for axis, layers in zip(figure.subplots(1, 2), (1, 5), strict=True):
            show.regions(axis, STACKS[layers]["plane"], (-1.1, 1.1, -1.1, 1.1))
            show.points(axis, SEEN[0][:, :, 0, 0].numpy()[:250], SEEN[1].numpy()[:250], 9)
            show.bare(axis)

    poster = show.image(
        on_the_index, "Two spirals, told apart by a shallow and by a deeper network", (4.8, 2.5)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
