"""Lesson 4: The same object elsewhere

Shift a digit by three pixels: one network no longer recognises it, the other still does.
"""

import marimo

app = marimo.App(app_title="The same object elsewhere", css_file="style.css")

with app.setup:
    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn

    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        digit_classifier,
        load_digits,
        net_outputs,
        to_tensor,
        train_steps,
    )
    from foveate.models.backbone import count_parameters
    from foveate.models.backbones import mlp, tiny_cnn


@app.cell(hide_code=True)
def _():
    mo.md("""
    # The same object elsewhere

    A 7 is a 7, wherever it stands on the page. To you. Is it for a network that has only seen
    digits in the centre?

    Two networks learn the same 1,200 digits, all in the centre of a canvas of 16 × 16 pixels. Then
    we take a digit that neither has seen, and shift it by *v* pixels.
    """)
    return


@app.cell
def _():
    images, labels = load_digits()
    TARGET = torch.from_numpy(labels)
    TRAIN, VALID = slice(0, 1200), slice(1200, 1500)

    def shifted(images, v):
        """Centre (N, 8, 8) images on a (N, 16, 16) canvas, then shift them right by v pixels."""
        canvas = np.zeros((len(images), 16, 16), np.uint8)
        canvas[:, 4:12, 4 + v : 12 + v] = images
        return canvas

    def trained(name, count, lr):
        net = digit_classifier(name, shifted(images[TRAIN], 0))
        centred = to_tensor(shifted(images[TRAIN], 0))
        for _ in train_steps(
            net, cross_entropy, centred, TARGET[TRAIN], count=count, lr=lr, batch_size=64
        ):
            pass
        return net

    NETS = {"MLP": trained("mlp:512-512", 100, 2e-3), "CNN": trained("tiny_cnn", 40, 5e-3)}
    SHIFTS = list(range(-4, 5))
    return NETS, SHIFTS, TARGET, VALID, images, labels, shifted


@app.cell
def _(SHIFTS, VALID, labels):
    EXAMPLES = {
        str(digit): int(np.flatnonzero(labels[VALID] == digit)[0]) + VALID.start
        for digit in (3, 4, 7, 0)
    }
    v = show.slider(SHIFTS, 3)
    digit = mo.ui.radio(list(EXAMPLES), value="3", inline=True)
    return EXAMPLES, digit, v


@app.cell
def _(NETS, SHIFTS, EXAMPLES, images, shifted):
    PROBABILITIES = {
        (name, digit): net_outputs(
            net, to_tensor(np.concatenate([shifted(images[index : index + 1], v) for v in SHIFTS]))
        )
        .softmax(1)
        .numpy()
        for name, net in NETS.items()
        for digit, index in EXAMPLES.items()
    }  # (9, 10) each: one row per shift
    return (PROBABILITIES,)


@app.cell
def _(PROBABILITIES, SHIFTS, EXAMPLES, digit, images, shifted, v):
    def draw_predictions(v, digit):
        canvas = shifted(images[EXAMPLES[digit]][None], v)[0]

        def draw(figure):
            image_axis, *charts = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
            show.ink_map(image_axis, canvas)
            show.hide_axes(image_axis, f"shifted by {v}")
            for axis, name in zip(charts, ("MLP", "CNN"), strict=True):
                probabilities = PROBABILITIES[name, digit][SHIFTS.index(v)]
                correct = probabilities.argmax() == int(digit)
                axis.barh(
                    range(10),
                    probabilities,
                    color=[show.MODEL if k == int(digit) else show.OTHER for k in range(10)],
                )
                axis.set(xlim=(0, 1), ylim=(9.6, -0.6), yticks=range(10), xticks=[])
                axis.grid(visible=False)
                axis.set_title(f"{name}: {probabilities.argmax()} {'✓' if correct else '✗'}")

        alt = ", ".join(
            f"{name} predicts {PROBABILITIES[name, digit][SHIFTS.index(v)].argmax()}"
            for name in ("MLP", "CNN")
        )
        return show.figure(
            draw, f"A {digit} shifted by {v} pixels: {alt}", (5.2, 2.3)
        ) + show.caption(
            "Each network's probability of each digit: "
            '<span class="model">the target</span>, <span class="other">the others</span>.'
        )

    show.InteractiveFigure(draw_predictions, {"shift v": v, "digit": digit})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## All digits, all shifts

    One digit could be luck. Here are 300 digits at each shift.
    """)
    return


@app.cell
def _(NETS, SHIFTS, TARGET, VALID, images, shifted):
    ACCURACY = {
        name: [
            accuracy_score(net, to_tensor(shifted(images[VALID], v)), TARGET[VALID]) for v in SHIFTS
        ]
        for name, net in NETS.items()
    }

    def draw_accuracy(figure):
        axis = figure.subplots()
        for name, colour in (("CNN", show.MODEL), ("MLP", show.OTHER)):
            axis.plot(SHIFTS, ACCURACY[name], "o-", color=colour, ms=5)
            axis.text(4.2, ACCURACY[name][-1], name, color=colour, va="center", weight="bold")
        axis.axhline(0.1, color=show.MUTED, lw=1, ls=":")
        axis.text(0, 0.03, "chance level", ha="center", color=show.MUTED, fontsize=9)
        axis.set(ylim=(0, 1.03), xticks=SHIFTS, xlabel="shift v in pixels")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("accuracy")

    alt = "; ".join(
        f"{name}: " + ", ".join(f"{accuracy:.0%}" for accuracy in accuracies)
        for name, accuracies in ACCURACY.items()
    )
    show.html(show.figure(draw_accuracy, f"Accuracy against shift from -4 to 4. {alt}", (4.8, 3.0)))
    return (ACCURACY,)


@app.cell
def _(ACCURACY):
    centred = {name: accuracies[4] for name, accuracies in ACCURACY.items()}
    shifted_by_4 = {
        name: (accuracies[0] + accuracies[-1]) / 2 for name, accuracies in ACCURACY.items()
    }
    assert min(centred.values()) > 0.85, "both recognise centred digits"
    assert shifted_by_4["MLP"] < 0.5, "the MLP fails on digits shifted by four pixels"
    assert min(ACCURACY["CNN"]) > centred["CNN"] - 0.15, "the CNN keeps its accuracy at every shift"
    show.claim(
        "The MLP fails when the digit shifts. The CNN keeps its accuracy.",
        f"the accuracy on centred digits is {centred['MLP']:.0%} for the MLP and "
        f"{centred['CNN']:.0%} for the CNN, on digits shifted by four pixels "
        f"{shifted_by_4['MLP']:.0%} and {shifted_by_4['CNN']:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Why the MLP fails

    An MLP has a separate weight for each pixel. It learns about centred digits, so that knowledge
    is in the weights of the centre. The weights at the side were always multiplied by zero, and
    never learnt. A shifted digit meets untrained weights.

    ## Why the CNN copes

    A CNN slides the same filters over every position. If the image shifts, the feature map shifts
    with it and is otherwise unchanged: that is **equivariance**. At the end, foveate's `tiny_cnn`
    takes the strongest response *anywhere* in the map (global max-pooling). That drops the
    position: **invariance**.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>w</i> ∗ shift<sub><i>v</i></sub>(<i>x</i>) = "
        "shift<sub><i>v</i></sub>(<i>w</i> ∗ <i>x</i>)"
        "<br>the maximum over all positions drops <i>v</i>",
        show.source_line(tiny_cnn.TinyCNN, "nn.AdaptiveMaxPool2d(1)"),
    )
    return


@app.cell
def _(SHIFTS, images, shifted):
    torch.manual_seed(0)
    layer = nn.Conv2d(
        1, 8, 3, padding=2, bias=False
    )  # the padding keeps every window that overlaps the digit
    with torch.no_grad():
        reference = layer(to_tensor(shifted(images[:50], 0)).float())  # (50, 8, 18, 18)
        map_difference, max_difference = 0.0, 0.0
        for _v in SHIFTS:
            moved = layer(to_tensor(shifted(images[:50], _v)).float())
            map_difference = max(
                map_difference, float((moved - torch.roll(reference, _v, 3)).abs().max())
            )
            difference = F.adaptive_max_pool2d(moved, 1) - F.adaptive_max_pool2d(reference, 1)
            max_difference = max(max_difference, float(difference.abs().max()))
    assert map_difference < 1e-3, "the map of a shifted image is the shifted map"
    assert max_difference < 1e-3, "the largest value of the map does not change"
    show.claim(
        "If the image shifts, its feature map shifts too, and its largest value stays the same.",
        f"for 50 digits, 8 filters and 9 shifts the largest differences are {map_difference:g} "
        f"and {max_difference:g}; pixels go up to 255.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Fewer weights

    A network that need not learn each position separately also saves weights. Compare the first
    layers.
    """)
    return


@app.cell
def _(NETS):
    WEIGHTS = {name: count_parameters(net) for name, net in NETS.items()}
    FIRST = {
        name: count_parameters(
            next(layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
        )
        for name, net in NETS.items()
    }
    assert FIRST["CNN"] < FIRST["MLP"] / 100, "shared weights are few"
    assert WEIGHTS["CNN"] < WEIGHTS["MLP"], "the network that copes with shifts is the smaller one"

    def draw_weights(figure):
        axis = figure.subplots()
        bars = [
            (f"{name}, {part}", count[name])
            for part, count in (("first layer", FIRST), ("all", WEIGHTS))
            for name in NETS
        ]
        axis.barh(
            [bar[0] for bar in bars],
            [bar[1] for bar in bars],
            color=[show.OTHER, show.MODEL] * 2,
            height=0.6,
        )
        for y, (_name, count) in enumerate(bars):
            axis.text(count, y, f" {count:,}", va="center", fontsize=9)
        axis.invert_yaxis()
        axis.set(xticks=[], xlim=(0, 1.25 * max(WEIGHTS.values())))
        axis.grid(visible=False)
        axis.set_title("weights")

    alt_weights = (
        f"First layer: MLP {FIRST['MLP']:,}, CNN {FIRST['CNN']:,}. "
        f"All: {WEIGHTS['MLP']:,} and {WEIGHTS['CNN']:,}"
    )
    show.html(show.figure(draw_weights, alt_weights, (4.8, 2.2)))
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "MLP: a weight for each pixel and each neuron<br>"
        "CNN: a weight for each pixel <i>of the filter</i>",
        show.source_line(mlp.MLP, "layers += [nn.Linear")
        + "\n"
        + show.source_line(tiny_cnn.TinyCNN, "convolution(channels, width)"),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - An MLP recognises an object only where it has seen one during training.

    - A convolution treats all positions alike. A shift of the image only shifts its feature map,
      and the maximum over the map ignores the shift.

    - Knowledge that is built in need not be learnt: it takes fewer weights and fewer examples.
      (Rotation, for instance, is not built in. That is what augmentation is for.)

    LeCun et al., "Gradient-based learning applied to document recognition", 1998. Lin, Chen and
    Yan, "Network in network", 2014, for pooling over the whole map. Zhang, "Making convolutional
    networks shift-invariant again", 2019, for why invariance is only approximate in practice.
    """)
    return


@app.cell(hide_code=True)
def _(ACCURACY, SHIFTS):
    def draw_poster(figure):
        axis = figure.subplots()
        axis.plot(SHIFTS, ACCURACY["CNN"], "o-", color=show.MODEL, ms=6, lw=2.5)
        axis.plot(SHIFTS, ACCURACY["MLP"], "o-", color=show.OTHER, ms=6, lw=2.5)
        axis.set(ylim=(0, 1.05), xticks=[], yticks=[])

    poster = show.figure(draw_poster, "One accuracy curve stays high, the other falls", (4.4, 2.4))
    return (poster,)


if __name__ == "__main__":
    app.run()
