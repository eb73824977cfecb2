"""Lesson 3: A filter slides over the image

A small window of weights slides over the image and computes the same sum at every position.
"""

import marimo

app = marimo.App(app_title="A filter slides over the image", css_file="style.css")

with app.setup:
    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from matplotlib.patches import Rectangle

    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        digit_classifier,
        load_digits,
        to_tensor,
        train_steps,
    )
    from foveate.models import convolution
    from foveate.models.backbone import count_parameters
    from foveate.models.backbones import cnn


@app.cell(hide_code=True)
def _():
    mo.md("""
    # A filter slides over the image

    An image is a grid of numbers. Where in it is an edge? A stroke? A corner? You don't need a
    thousand weights to detect one. Nine are enough, if you use the same nine at every position.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Slide, multiply, add

    Lay a window of 3 × 3 weights, the **filter** or **kernel**, on the image. Multiply each weight
    by the pixel below it, and add the products: the sum is one pixel of the output. Move the
    window by one pixel, and do it again. The output is called a **feature map**.

    Move the window with the slider. Blue is above zero, orange below.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i>[<i>i</i>, <i>j</i>] = Σ<sub><i>k</i>,<i>l</i></sub> "
        "<i>w</i>[<i>k</i>, <i>l</i>] · <i>x</i>[<i>i</i>+<i>k</i>, <i>j</i>+<i>l</i>]",
        "y[i, j] = (w * x[i : i + 3, j : j + 3]).sum()",
    )
    return


@app.cell
def _():
    images, labels = load_digits()
    X = images[labels == 4][1] / 255.0  # (8, 8)
    FILTERS = {
        "left–right edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,  # Sobel
        "top–bottom edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
        "blur": np.ones((3, 3)) / 9,
    }

    def convolve(x, w):
        """Convolve an (H, W) image with a (K, K) filter: (H-K+1, W-K+1)."""
        size = len(w)
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size))
        return (windows * w).sum((2, 3))

    position = show.slider(range(36), 14)
    filter_name = mo.ui.radio(list(FILTERS), value="left–right edges")
    return FILTERS, X, images, filter_name, labels, position, convolve


@app.cell
def _(FILTERS, X, filter_name, position, convolve):
    def draw_convolution(position, filter_name):
        i, j = divmod(position, 6)
        w, feature_map = FILTERS[filter_name], convolve(X, FILTERS[filter_name])
        so_far = np.where(np.arange(36).reshape(6, 6) <= position, feature_map, 0)

        def draw(figure):
            image_axis, window, output = figure.subplots(1, 3, width_ratios=(8, 5, 8))
            show.signed_map(image_axis, X)
            image_axis.add_patch(box(j, i, 3))
            show.hide_axes(image_axis, "image x")
            show.signed_map(window, w, limit=0.7)
            for row, column in np.ndindex(3, 3):
                window.text(
                    column + 0.5,
                    row + 0.5,
                    f"{w[row, column]:.2g}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                )
            show.hide_axes(window, "filter w")
            show.signed_map(output, so_far)
            output.add_patch(box(j, i, 1))
            show.hide_axes(output, f"y[{i}, {j}] = {feature_map[i, j]:.2f}")

        alt = f"The window at row {i}, column {j} on a handwritten 4 gives {feature_map[i, j]:.2f}"
        return show.figure(draw, alt, (5.2, 2.1))

    def box(left, top, size):
        return Rectangle((left, top), size, size, fill=False, ec=show.INK, lw=2)

    show.InteractiveFigure(draw_convolution, {"window position": position, "filter": filter_name})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The edge filter subtracts the left side from the right side. In a flat region the result is
    zero. Where ink begins the result is large, and where ink ends it is negative. The same nine
    numbers do this at every position: the weights are **shared**.

    Does a deep learning library compute the same? Give torch the same images and filters.
    """)
    return


@app.cell
def _(FILTERS, images, convolve):
    largest_difference = 0.0
    for w in FILTERS.values():
        for x in images[:20] / 255.0:
            torch_output = F.conv2d(
                torch.from_numpy(x)[None, None], torch.from_numpy(w)[None, None]
            )[0, 0].numpy()
            largest_difference = max(
                largest_difference, float(np.abs(torch_output - convolve(x, w)).max())
            )
    assert largest_difference < 1e-12, "sliding, multiplying and adding equals torch's conv2d"
    show.claim(
        "Slide, multiply, add: <code>torch.nn.functional.conv2d</code> computes the same.",
        f"on 20 digits and {len(FILTERS)} filters they differ by at most {largest_difference:.0e}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Stride and padding

    The **stride** is how far the window moves at each step. With a stride of 2 it skips every
    other position, and the output has half the size. **Padding** is a frame of zeros around the
    image, so that the window can be centred on the border, too. The dots mark the centre of the
    window at each position.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>o</i> = ⌊(<i>n</i> + 2<i>p</i> − <i>k</i>) / <i>s</i>⌋ + 1",
        show.source_line(convolution, "layer = nn.Conv2d"),
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
    def output_size(n, k, s, p):
        """How many positions the window has along n pixels."""
        return (n + 2 * p - k) // s + 1

    def draw_positions(k, s, p):
        n = output_size(8, k, s, p)

        def draw(figure):
            axis = figure.subplots()
            show.signed_map(axis, np.pad(X, p) * 0.6)
            centres = np.arange(n) * s + k / 2
            axis.plot(
                *(grid.ravel() for grid in np.meshgrid(centres, centres)), "o", color=show.INK, ms=5
            )
            axis.plot([0, k, k, 0, 0], [0, 0, k, k, 0], color=show.INK, lw=2, clip_on=False)
            if p:
                axis.plot(
                    [p, 8 + p, 8 + p, p, p],
                    [p, p, 8 + p, 8 + p, p],
                    color=show.MUTED,
                    lw=1.2,
                    ls=(0, (4, 2)),
                )
            show.hide_axes(axis, f"8 × 8 in, {n} × {n} out")

        return show.figure(
            draw,
            f"A kernel of {k} with stride {s} and padding {p} gives {n} x {n} values",
            (3.1, 3.2),
        )

    show.InteractiveFigure(
        draw_positions, {"kernel k": kernel, "stride s": stride, "padding p": padding}
    )
    return (output_size,)


@app.cell
def _(output_size):
    settings = [
        (n, k, s, p) for n in (8, 9, 28) for k in (1, 3, 5) for s in (1, 2, 3) for p in (0, 1, 2)
    ]
    for n, k, s, p in settings:
        torch_size = F.conv2d(
            torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k), stride=s, padding=p
        ).shape[-1]
        assert torch_size == output_size(n, k, s, p), "the formula gives the size of torch's output"
    show.claim(
        "The formula gives the size of every output.", f"{len(settings)} settings agree with torch."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Pooling keeps the strongest response

    **Max-pooling** takes the largest value of each 2 × 2 block and drops the other three. The
    output still says that *there is an edge about here*. It no longer says exactly where. So when
    the image shifts by a pixel, the pooled map changes less.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>z</i>[<i>i</i>, <i>j</i>] = max of "
        "<i>y</i>[2<i>i</i>…2<i>i</i>+1, 2<i>j</i>…2<i>j</i>+1]",
        "z = F.max_pool2d(y, 2)",
    )
    return


@app.cell
def _():
    shift = show.slider([0, 1, 2, 3], 1)
    return (shift,)


@app.cell
def _(FILTERS, images, shift, convolve):
    def edges(x):
        """The rising edges of an (8, 14) image: (8, 12)."""
        return np.maximum(convolve(np.pad(x, ((1, 1), (0, 0))), FILTERS["left–right edges"]), 0)

    def shifted(x, pixels):
        return np.pad(x, ((0, 0), (2 + pixels, 4 - pixels)))

    def pooled(y):
        return F.max_pool2d(torch.from_numpy(y)[None, None], 2)[0, 0].numpy()

    def relative_change(y, z):
        """The share of two maps' total that differs, from 0 to 1."""
        return float(np.abs(y - z).sum() / (np.abs(y).sum() + np.abs(z).sum()))

    def draw_shift(shift):
        x = images[3] / 255.0
        reference, edge_map = edges(shifted(x, 0)), edges(shifted(x, shift))

        def draw(figure):
            axes = figure.subplots(2, 1)
            show.signed_map(axes[0], edge_map)
            show.hide_axes(axes[0], f"edges: {relative_change(reference, edge_map):.0%} changed")
            show.signed_map(axes[1], pooled(edge_map))
            show.hide_axes(
                axes[1],
                f"pooled: {relative_change(pooled(reference), pooled(edge_map)):.0%} changed",
            )

        return show.figure(
            draw,
            f"The edges of a digit shifted by {shift} pixels, before and after pooling",
            (3.2, 4.6),
        )

    show.InteractiveFigure(draw_shift, {"pixels to the right": shift})
    return relative_change, edges, shifted, pooled


@app.cell
def _(relative_change, edges, images, shifted, pooled):
    pairs = [(edges(shifted(x, 0)), edges(shifted(x, 1))) for x in images[:200] / 255.0]
    edge_change = float(np.mean([relative_change(y, z) for y, z in pairs]))
    pooled_change = float(np.mean([relative_change(pooled(y), pooled(z)) for y, z in pairs]))
    assert pooled_change < 0.8 * edge_change, (
        "the pooled map changes less when the image shifts by a pixel"
    )
    show.claim(
        "A pooled map changes less under a small shift.",
        f"shifted by one pixel, the edge maps of 200 digits change by {edge_change:.0%}, "
        f"the pooled maps by {pooled_change:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A network learns its filters

    A **convolutional network** learns its filters as a neuron learns its weights (LeCun et al.,
    1998). Here is foveate's `cnn`, trained on the digits for a second. Its first layer has 32
    filters. Choose one and see what it responds to.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "image → 32 maps → 64 maps → pool → class",
        show.source_line(cnn.CNN, "nn.Conv2d(channels, 32"),
    )
    return


@app.cell
def _(images, labels):
    train, valid = slice(0, 1200), slice(1200, None)
    target = torch.from_numpy(labels)
    net = digit_classifier("cnn", images[train])
    for _step in train_steps(
        net,
        cross_entropy,
        to_tensor(images[train]),
        target[train],
        count=120,
        lr=2e-3,
        batch_size=64,
    ):
        pass
    accuracy = accuracy_score(net, to_tensor(images[valid]), target[valid])
    first_layer = next(layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d))
    LEARNT_FILTERS = first_layer.weight.detach()[:, 0].numpy()  # (32, 3, 3)
    with torch.no_grad():
        MAPS = first_layer(net.normalise(to_tensor(images[:4]))).relu().numpy()  # (4, 32, 6, 6)
    filter_number = show.slider(range(1, 33), 1)
    return LEARNT_FILTERS, MAPS, accuracy, first_layer, net, filter_number


@app.cell
def _(LEARNT_FILTERS, MAPS, images, filter_number):
    def draw_filter(filter_number):
        def draw(figure):
            axes = figure.subplots(2, 5, width_ratios=(1, 1, 1, 1, 1))
            show.signed_map(
                axes[1, 0],
                LEARNT_FILTERS[filter_number - 1],
                limit=float(np.abs(LEARNT_FILTERS).max()),
            )
            show.hide_axes(axes[1, 0], f"filter {filter_number}")
            axes[0, 0].axis("off")
            for column in range(4):
                show.signed_map(axes[0, column + 1], images[column] / 255.0)
                show.signed_map(
                    axes[1, column + 1],
                    MAPS[column, filter_number - 1],
                    limit=float(MAPS.max()) / 2,
                )
                show.hide_axes(axes[0, column + 1])
                show.hide_axes(axes[1, column + 1])

        return show.figure(
            draw, f"Learnt filter {filter_number} and its feature maps of four digits", (5.2, 2.3)
        )

    show.InteractiveFigure(draw_filter, {"filter": filter_number})
    return


@app.cell
def _(accuracy, first_layer, net):
    assert accuracy > 0.9, "the learnt filters distinguish digits"
    assert count_parameters(first_layer) == 32 * (3 * 3 + 1), (
        "a filter has nine weights and a bias, however large the image"
    )
    show.claim(
        "Filters learnt in a second distinguish digits.",
        f"{accuracy:.1%} accuracy on 597 digits that the network never saw; "
        f"the first layer has {count_parameters(first_layer)} "
        f"of its {count_parameters(net):,} weights.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A convolution slides one small filter over the whole image: multiply, add, move on.

    - Stride and padding set the size of the output. Pooling makes it less sensitive to small
      shifts.

    - Filters are weights. They are learnt, and every position shares them. The next lesson shows
      what that buys.

    Fukushima, "Neocognitron", 1980. LeCun, Bottou, Bengio and Haffner, "Gradient-based learning
    applied to document recognition", 1998. Dumoulin and Visin, "A guide to convolution arithmetic
    for deep learning", 2016. The edge filter is Sobel's, 1968.
    """)
    return


@app.cell(hide_code=True)
def _(FILTERS, X, convolve):
    def draw_poster(figure):
        for axis, values in zip(
            figure.subplots(1, 3),
            (X, FILTERS["left–right edges"], convolve(X, FILTERS["left–right edges"])),
            strict=True,
        ):
            show.signed_map(axis, values)
            show.hide_axes(axis)

    poster = show.figure(
        draw_poster, "A digit, a filter, and the edges that it detects", (4.8, 1.9)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
