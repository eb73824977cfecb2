"""Lesson 3: A filter looks at the picture

A small window slides over the picture and asks the same question everywhere.
"""

import marimo

app = marimo.App(app_title="A filter looks at the picture", css_file="style.css")

with app.setup:
    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from matplotlib.patches import Rectangle

    from foveate.lessons import drawings as show
    from foveate.lessons.training import as_input, cross_entropy, digits, learn, right, seeing
    from foveate.models import convolution
    from foveate.models.backbone import parameters
    from foveate.models.backbones import cnn


@app.cell(hide_code=True)
def _():
    mo.md("""
    # A filter looks at the picture

    A picture is a grid of numbers. Where in it is an edge? A stroke? A corner?
    You don't need a thousand weights to ask. Nine will do, if you ask the same question everywhere.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Slide, multiply, add

    Lay a window of 3 × 3 weights, the **filter**, on the picture. Multiply each weight by the pixel below it and add up: that is one
    pixel of the output. Move on by one, and do it again. The output is called a **feature map**.

    Move the window with the slider. Blue is above zero, orange below.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i>[<i>i</i>, <i>j</i>] = Σ<sub><i>k</i>,<i>l</i></sub> <i>w</i>[<i>k</i>, <i>l</i>] · <i>x</i>[<i>i</i>+<i>k</i>, <i>j</i>+<i>l</i>]",
        "y[i, j] = (w * x[i : i + 3, j : j + 3]).sum()",
    )
    return


@app.cell
def _():
    images, labels = digits()
    X = images[labels == 4][1] / 255.0  # (8, 8)
    FILTERS = {
        "left–right edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,  # Sobel
        "top–bottom edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
        "blur": np.ones((3, 3)) / 9,
    }

    def slid(x, w):
        """The feature map, window by window: (H, W) and (K, K) -> (H-K+1, W-K+1)."""
        size = len(w)
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size))
        return (windows * w).sum((2, 3))

    place = show.slider(range(36), 14)
    kind = mo.ui.radio(list(FILTERS), value="left–right edges")
    return FILTERS, X, images, kind, labels, place, slid


@app.cell
def _(FILTERS, X, kind, place, slid):
    def at_work(place, kind):
        i, j = divmod(place, 6)
        w, found = FILTERS[kind], slid(X, FILTERS[kind])
        so_far = np.where(np.arange(36).reshape(6, 6) <= place, found, 0)

        def paint(figure):
            picture, window, output = figure.subplots(1, 3, width_ratios=(8, 5, 8))
            show.signed(picture, X)
            picture.add_patch(box(j, i, 3))
            show.bare(picture, "picture x")
            show.signed(window, w, most=0.7)
            for row, column in np.ndindex(3, 3):
                window.text(
                    column + 0.5,
                    row + 0.5,
                    f"{w[row, column]:.2g}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                )
            show.bare(window, "filter w")
            show.signed(output, so_far)
            output.add_patch(box(j, i, 1))
            show.bare(output, f"y[{i}, {j}] = {found[i, j]:.2f}")

        words = f"The window at row {i}, column {j} of a handwritten 4 gives {found[i, j]:.2f}"
        return show.image(paint, words, (5.2, 2.1))

    def box(left, top, size):
        return Rectangle((left, top), size, size, fill=False, ec=show.INK, lw=2)

    show.Moving(at_work, {"place of the window": place, "filter": kind})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The edge filter takes the right side minus the left. On even ground that is nothing; where ink begins it is large, where
    ink ends it is below zero. The same nine numbers do that at every place. They are **shared**.

    Is this really what a deep learning library computes? Give torch the same pictures and filters.
    """)
    return


@app.cell
def _(FILTERS, images, slid):
    worst = 0.0
    for w in FILTERS.values():
        for x in images[:20] / 255.0:
            theirs = F.conv2d(torch.from_numpy(x)[None, None], torch.from_numpy(w)[None, None])[
                0, 0
            ].numpy()
            worst = max(worst, float(np.abs(theirs - slid(x, w)).max()))
    assert worst < 1e-12, "sliding, multiplying and adding is torch's conv2d"
    show.headline(
        "That is all: slide, multiply, add. It is what <code>torch.nn.functional.conv2d</code> computes.",
        f"on 20 digits and {len(FILTERS)} filters the largest difference is {worst:.0e}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Stride and padding

    **Stride** is how far the window moves each time: with 2 it skips every other place, and the output has half the size.
    **Padding** is a frame of zeros around the picture, so that the window can be centred on its border, too.
    Dots show where the middle of the window comes to rest.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>o</i> = ⌊(<i>n</i> + 2<i>p</i> − <i>k</i>) / <i>s</i>⌋ + 1",
        show.line_of(convolution, "layer = nn.Conv2d"),
    )
    return


@app.cell
def _():
    kernel, stride, padding = (
        show.slider([1, 3, 5], 3),
        show.slider([1, 2, 3], 2),
        show.slider([0, 1, 2], 1),
    )
    return kernel, padding, stride


@app.cell
def _(X, kernel, padding, stride):
    def outputs(n, k, s, p):
        """How many places the window has along n pixels."""
        return (n + 2 * p - k) // s + 1

    def rests(k, s, p):
        n = outputs(8, k, s, p)

        def paint(figure):
            axis = figure.subplots()
            show.signed(axis, np.pad(X, p) * 0.6)
            at = np.arange(n) * s + k / 2
            axis.plot(*(grid.ravel() for grid in np.meshgrid(at, at)), "o", color=show.INK, ms=5)
            axis.plot([0, k, k, 0, 0], [0, 0, k, k, 0], color=show.INK, lw=2, clip_on=False)
            if p:
                axis.plot(
                    [p, 8 + p, 8 + p, p, p],
                    [p, p, 8 + p, 8 + p, p],
                    color=show.MUTED,
                    lw=1.2,
                    ls=(0, (4, 2)),
                )
            show.bare(axis, f"8 × 8 in, {n} × {n} out")

        return show.image(
            paint,
            f"A window of {k} at stride {s} with padding {p} gives {n} x {n} values",
            (3.1, 3.2),
        )

    show.Moving(rests, {"kernel k": kernel, "stride s": stride, "padding p": padding})
    return (outputs,)


@app.cell
def _(outputs):
    tried = [
        (n, k, s, p) for n in (8, 9, 28) for k in (1, 3, 5) for s in (1, 2, 3) for p in (0, 1, 2)
    ]
    for n, k, s, p in tried:
        real = F.conv2d(
            torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k), stride=s, padding=p
        ).shape[-1]
        assert real == outputs(n, k, s, p), "the formula tells the size that torch gives"
    show.headline(
        "The formula tells the size of every output.", f"{len(tried)} settings agree with torch."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Pooling keeps what matters

    **Max-pooling** takes the largest of each 2 × 2 values. Three quarters are thrown away. What is kept: *there is an edge about
    here*. What is lost: exactly where. So a picture that moves by a pixel changes the pooled map less.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>z</i>[<i>i</i>, <i>j</i>] = max of <i>y</i>[2<i>i</i>…2<i>i</i>+1, 2<i>j</i>…2<i>j</i>+1]",
        "z = F.max_pool2d(y, 2)",
    )
    return


@app.cell
def _():
    shift = show.slider([0, 1, 2, 3], 1)
    return (shift,)


@app.cell
def _(FILTERS, images, shift, slid):
    def edges(x):
        """(8, 8), moved to the right by none to some pixels, within 8 x 14 -> its rising edges, (8, 12)."""
        return np.maximum(slid(np.pad(x, ((1, 1), (0, 0))), FILTERS["left–right edges"]), 0)

    def moved(x, pixels):
        return np.pad(x, ((0, 0), (2 + pixels, 4 - pixels)))

    def pooled(y):
        return F.max_pool2d(torch.from_numpy(y)[None, None], 2)[0, 0].numpy()

    def change(y, z):
        """How much of what is there is elsewhere afterwards."""
        return float(np.abs(y - z).sum() / (np.abs(y).sum() + np.abs(z).sum()))

    def before_and_after(shift):
        x = images[3] / 255.0
        here, there = edges(moved(x, 0)), edges(moved(x, shift))

        def paint(figure):
            axes = figure.subplots(2, 1)
            show.signed(axes[0], there)
            show.bare(axes[0], f"edges: {change(here, there):.0%} changed")
            show.signed(axes[1], pooled(there))
            show.bare(axes[1], f"pooled: {change(pooled(here), pooled(there)):.0%} changed")

        return show.image(
            paint, f"Edges of a digit moved by {shift} pixels, and the same pooled", (3.2, 4.6)
        )

    show.Moving(before_and_after, {"pixels to the right": shift})
    return change, edges, moved, pooled


@app.cell
def _(change, edges, images, moved, pooled):
    pairs = [(edges(moved(x, 0)), edges(moved(x, 1))) for x in images[:200] / 255.0]
    plain = float(np.mean([change(y, z) for y, z in pairs]))
    less = float(np.mean([change(pooled(y), pooled(z)) for y, z in pairs]))
    assert less < 0.8 * plain, "the pooled map changes less when the picture moves by a pixel"
    show.headline(
        "A pooled map minds a small shift less.",
        f"moved by one pixel, edges of 200 digits change by {plain:.0%}, pooled by {less:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Nobody sets filters by hand

    A **convolutional network** learns its filters as a neuron learns its weights (LeCun et al., 1998). Here is foveate's `cnn`, trained on the
    digits for a second: its first layer has 32 filters. Choose one and see what it looks for.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "picture → 32 maps → 64 maps → pool → class",
        show.line_of(cnn.CNN, "nn.Conv2d(channels, 32"),
    )
    return


@app.cell
def _(images, labels):
    train, valid = slice(0, 1200), slice(1200, None)
    truth = torch.from_numpy(labels)
    net = seeing("cnn", images[train])
    for _step in learn(
        net, cross_entropy, as_input(images[train]), truth[train], count=120, lr=2e-3, batch=64
    ):
        pass
    accuracy = right(net, as_input(images[valid]), truth[valid])
    first = next(layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d))
    LEARNT = first.weight.detach()[:, 0].numpy()  # (32, 3, 3)
    with torch.no_grad():
        MAPS = first(net.normalised(as_input(images[:4]))).relu().numpy()  # (4, 32, 6, 6)
    which = show.slider(range(1, 33), 1)
    return LEARNT, MAPS, accuracy, first, net, which


@app.cell
def _(LEARNT, MAPS, images, which):
    def learnt(which):
        def paint(figure):
            axes = figure.subplots(2, 5, width_ratios=(1, 1, 1, 1, 1))
            show.signed(axes[1, 0], LEARNT[which - 1], most=float(np.abs(LEARNT).max()))
            show.bare(axes[1, 0], f"filter {which}")
            axes[0, 0].axis("off")
            for column in range(4):
                show.signed(axes[0, column + 1], images[column] / 255.0)
                show.signed(
                    axes[1, column + 1], MAPS[column, which - 1], most=float(MAPS.max()) / 2
                )
                show.bare(axes[0, column + 1])
                show.bare(axes[1, column + 1])

        return show.image(
            paint, f"Learnt filter {which}, and where it answers in four digits", (5.2, 2.3)
        )

    show.Moving(learnt, {"filter": which})
    return


@app.cell
def _(accuracy, first, net):
    assert accuracy > 0.9, "the learnt filters tell digits apart"
    assert parameters(first) == 32 * (3 * 3 + 1), (
        "a filter has nine weights and a bias, however large the picture"
    )
    show.headline(
        "Filters that were learnt in a second tell digits apart.",
        f"{accuracy:.1%} of 597 digits that the net never saw are right; the first layer has {parameters(first)} of its {parameters(net):,} weights.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A convolution slides one small filter over the whole picture: multiply, add, move on.
    - Stride and padding decide how large the output is, pooling forgives small shifts.
    - Filters are weights. They are learnt, and shared by all places. What that buys is the next lesson.

    Fukushima, "Neocognitron", 1980. LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016. The edge filter is Sobel's, 1968.
    """)
    return


@app.cell(hide_code=True)
def _(FILTERS, X, slid):
    def on_the_index(figure):
        for axis, values in zip(
            figure.subplots(1, 3),
            (X, FILTERS["left–right edges"], slid(X, FILTERS["left–right edges"])),
            strict=True,
        ):
            show.signed(axis, values)
            show.bare(axis)

    poster = show.image(on_the_index, "A digit, a filter, and the edges that it finds", (4.8, 1.9))
    return (poster,)


if __name__ == "__main__":
    app.run()
