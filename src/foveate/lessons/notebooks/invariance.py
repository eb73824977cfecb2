"""Lesson 4: The same thing elsewhere

Move a digit by three pixels: one network no longer knows it, the other doesn't mind.
"""

import marimo

app = marimo.App(app_title="The same thing elsewhere", css_file="style.css")

with app.setup:
    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn

    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        answers,
        as_input,
        cross_entropy,
        digits,
        learn,
        right,
        seeing,
    )
    from foveate.models.backbone import parameters
    from foveate.models.backbones import mlp, tiny_cnn


@app.cell(hide_code=True)
def _():
    mo.md("""
    # The same thing elsewhere

    A 7 is a 7, wherever it stands on the page. To you. To a network that was only shown digits in the middle?

    Two networks learn the same 1,200 digits, all of them in the middle of a canvas of 16 × 16 pixels. Then we move a digit that
    neither has seen by *v* pixels.
    """)
    return


@app.cell
def _():
    images, labels = digits()
    TRUTH = torch.from_numpy(labels)
    TRAIN, VALID = slice(0, 1200), slice(1200, 1500)

    def placed(images, v):
        """(N, 8, 8) in the middle of (N, 16, 16), moved to the right by v pixels, -4 to 4."""
        canvas = np.zeros((len(images), 16, 16), np.uint8)
        canvas[:, 4:12, 4 + v : 12 + v] = images
        return canvas

    def trained(name, count, lr):
        net = seeing(name, placed(images[TRAIN], 0))
        centred = as_input(placed(images[TRAIN], 0))
        for _ in learn(net, cross_entropy, centred, TRUTH[TRAIN], count=count, lr=lr, batch=64):
            pass
        return net

    NETS = {"MLP": trained("mlp:512-512", 100, 2e-3), "CNN": trained("tiny_cnn", 40, 5e-3)}
    SHIFTS = list(range(-4, 5))
    return NETS, SHIFTS, TRUTH, VALID, images, labels, placed


@app.cell
def _(SHIFTS, VALID, labels):
    SHOWN = {
        str(digit): int(np.flatnonzero(labels[VALID] == digit)[0]) + VALID.start
        for digit in (3, 4, 7, 0)
    }
    v = show.slider(SHIFTS, 3)
    digit = mo.ui.radio(list(SHOWN), value="3", inline=True)
    return SHOWN, digit, v


@app.cell
def _(NETS, SHIFTS, SHOWN, images, placed):
    SAID = {
        (name, digit): answers(
            net, as_input(np.concatenate([placed(images[row : row + 1], v) for v in SHIFTS]))
        )
        .softmax(1)
        .numpy()
        for name, net in NETS.items()
        for digit, row in SHOWN.items()
    }  # (9, 10) each: a row a shift
    return (SAID,)


@app.cell
def _(SAID, SHIFTS, SHOWN, digit, images, placed, v):
    def asked(v, digit):
        canvas = placed(images[SHOWN[digit]][None], v)[0]

        def paint(figure):
            picture, *charts = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
            show.ink(picture, canvas)
            show.bare(picture, f"moved by {v}")
            for axis, name in zip(charts, ("MLP", "CNN"), strict=True):
                said = SAID[name, digit][SHIFTS.index(v)]
                good = said.argmax() == int(digit)
                axis.barh(
                    range(10),
                    said,
                    color=[show.MODEL if k == int(digit) else show.OTHER for k in range(10)],
                )
                axis.set(xlim=(0, 1), ylim=(9.6, -0.6), yticks=range(10), xticks=[])
                axis.grid(visible=False)
                axis.set_title(f"{name}: {said.argmax()} {'✓' if good else '✗'}")

        told = ", ".join(
            f"{name} says {SAID[name, digit][SHIFTS.index(v)].argmax()}" for name in ("MLP", "CNN")
        )
        return show.image(
            paint, f"A {digit} moved by {v} pixels: {told}", (5.2, 2.3)
        ) + show.caption(
            'How sure each network is of each digit: <span class="model">the right one</span>, <span class="other">the others</span>.'
        )

    show.Moving(asked, {"shift v": v, "digit": digit})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## All digits, all shifts

    One digit could be luck. Here are 300 at each shift.
    """)
    return


@app.cell
def _(NETS, SHIFTS, TRUTH, VALID, images, placed):
    CURVES = {
        name: [right(net, as_input(placed(images[VALID], v)), TRUTH[VALID]) for v in SHIFTS]
        for name, net in NETS.items()
    }

    def against_shift(figure):
        axis = figure.subplots()
        for name, colour in (("CNN", show.MODEL), ("MLP", show.OTHER)):
            axis.plot(SHIFTS, CURVES[name], "o-", color=colour, ms=5)
            axis.text(4.2, CURVES[name][-1], name, color=colour, va="center", weight="bold")
        axis.axhline(0.1, color=show.MUTED, lw=1, ls=":")
        axis.text(0, 0.03, "by chance", ha="center", color=show.MUTED, fontsize=9)
        axis.set(ylim=(0, 1.03), xticks=SHIFTS, xlabel="shift v in pixels")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("digits that are right")

    told = "; ".join(
        f"{name}: " + ", ".join(f"{share:.0%}" for share in shares)
        for name, shares in CURVES.items()
    )
    show.show(show.image(against_shift, f"Accuracy against shift from -4 to 4. {told}", (4.8, 3.0)))
    return (CURVES,)


@app.cell
def _(CURVES):
    middle = {name: shares[4] for name, shares in CURVES.items()}
    far = {name: (shares[0] + shares[-1]) / 2 for name, shares in CURVES.items()}
    assert min(middle.values()) > 0.85, "in the middle both know their digits"
    assert far["MLP"] < 0.5, "moved by four pixels, the MLP is lost"
    assert min(CURVES["CNN"]) > middle["CNN"] - 0.15, "the CNN holds at every shift"
    show.headline(
        "The MLP breaks when the digit moves. The CNN holds.",
        f"in the middle {middle['MLP']:.0%} and {middle['CNN']:.0%} are right, moved by four pixels {far['MLP']:.0%} and {far['CNN']:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Why the MLP breaks

    An MLP has a weight of its own for each pixel. What it learnt about the middle is in the weights of the middle; those at the
    side were always multiplied by nothing, and never learnt. A digit that moves is news.

    ## Why the CNN holds

    It slides the same filters over every place. Move the picture, and the feature map moves with it, otherwise unchanged:
    that is **equivariance**. At the end foveate's `tiny_cnn` takes the strongest answer *anywhere* in the map (global max-pooling), and where it was is
    forgotten: **invariance**.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>w</i> ∗ shift<sub><i>v</i></sub>(<i>x</i>) = shift<sub><i>v</i></sub>(<i>w</i> ∗ <i>x</i>)<br>max over all places forgets <i>v</i>",
        show.line_of(tiny_cnn.TinyCNN, "nn.AdaptiveMaxPool2d(1)"),
    )
    return


@app.cell
def _(SHIFTS, images, placed):
    torch.manual_seed(0)
    layer = nn.Conv2d(
        1, 8, 3, padding=2, bias=False
    )  # padded, so that every window that meets the digit is there
    with torch.no_grad():
        still = layer(as_input(placed(images[:50], 0)).float())  # (50, 8, 18, 18)
        same, strongest = 0.0, 0.0
        for _v in SHIFTS:
            after = layer(as_input(placed(images[:50], _v)).float())
            same = max(same, float((after - torch.roll(still, _v, 3)).abs().max()))
            gap = F.adaptive_max_pool2d(after, 1) - F.adaptive_max_pool2d(still, 1)
            strongest = max(strongest, float(gap.abs().max()))
    assert same < 1e-3, "the map of a moved picture is the moved map"
    assert strongest < 1e-3, "its largest value is the same wherever it is"
    show.headline(
        "Move the picture, and its feature map moves along. The largest value in it stays the same.",
        f"50 digits, 8 filters, 9 shifts: the largest differences are {same:g} and {strongest:g}, of pixels up to 255.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What it costs

    Not having to learn each place by itself saves weights, too. Compare the first layers.
    """)
    return


@app.cell
def _(NETS):
    WEIGHTS = {name: parameters(net) for name, net in NETS.items()}
    FIRST = {
        name: parameters(
            next(layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
        )
        for name, net in NETS.items()
    }
    assert FIRST["CNN"] < FIRST["MLP"] / 100, "shared weights are few"
    assert WEIGHTS["CNN"] < WEIGHTS["MLP"], "the net that holds is the smaller one"

    def counted(figure):
        axis = figure.subplots()
        rows = [
            (f"{name}, {what}", count[name])
            for what, count in (("first layer", FIRST), ("all", WEIGHTS))
            for name in NETS
        ]
        axis.barh(
            [row[0] for row in rows],
            [row[1] for row in rows],
            color=[show.OTHER, show.MODEL] * 2,
            height=0.6,
        )
        for place, (_name, count) in enumerate(rows):
            axis.text(count, place, f" {count:,}", va="center", fontsize=9)
        axis.invert_yaxis()
        axis.set(xticks=[], xlim=(0, 1.25 * max(WEIGHTS.values())))
        axis.grid(visible=False)
        axis.set_title("weights")

    told_counts = f"First layer: MLP {FIRST['MLP']:,}, CNN {FIRST['CNN']:,}. All: {WEIGHTS['MLP']:,} and {WEIGHTS['CNN']:,}"
    show.show(show.image(counted, told_counts, (4.8, 2.2)))
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "MLP: a weight for each pixel and each neuron<br>CNN: a weight for each pixel <i>of the filter</i>",
        show.line_of(mlp.MLP, "layers += [nn.Linear")
        + "\n"
        + show.line_of(tiny_cnn.TinyCNN, "layers.append(convolution"),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - An MLP knows a thing only where it was shown it.
    - A convolution treats all places alike, so a shift of the picture is only a shift of its map; a maximum over the map forgets even that.
    - Knowledge that is built in need not be learnt: fewer weights, fewer examples. (A turn, for instance, is not
      built in. That is what augmentation is for.)

    LeCun et al., "Gradient-based learning applied to document recognition", 1998. Lin, Chen and Yan, "Network in network", 2014, for pooling over the
    whole map. Zhang, "Making convolutional networks shift-invariant again", 2019, for why real ones hold only nearly.
    """)
    return


@app.cell(hide_code=True)
def _(CURVES, SHIFTS):
    def on_the_index(figure):
        axis = figure.subplots()
        axis.plot(SHIFTS, CURVES["CNN"], "o-", color=show.MODEL, ms=6, lw=2.5)
        axis.plot(SHIFTS, CURVES["MLP"], "o-", color=show.OTHER, ms=6, lw=2.5)
        axis.set(ylim=(0, 1.05), xticks=[], yticks=[])

    poster = show.image(on_the_index, "One curve holds, the other falls", (4.4, 2.4))
    return (poster,)


if __name__ == "__main__":
    app.run()
