"""Lesson 1: One neuron, then a network

What one neuron can decide, what it never can, and what a second layer changes.
"""

import marimo

app = marimo.App(app_title="One neuron, then a network", css_file="style.css")

with app.setup:
    from functools import cache
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    import torch
    from torch import nn

    from foveate.lessons import drawings as show
    from foveate.lessons.training import answers, cross_entropy, learn, network, right, squared
    from foveate.models.backbone import parameters
    from foveate.models.backbones import mlp
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # One neuron, then a network

    A neuron multiplies, adds, and says yes or no. That is all it does.
    What can be decided that way? And what does it take to decide the rest?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A neuron is a line

    Two numbers come in. Each is multiplied by its **weight**; the **bias** is added. Above zero the answer is *yes*, below it is *no*.
    So the plane is cut in two by a straight line, the **decision boundary**. The weights turn it, the bias shifts it.

    Here are the three oldest puzzles: AND (both), OR (at least one), XOR (exactly one).
    Find a line that solves AND. Then OR. Then XOR.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i> = [ <i>w</i><sub>1</sub><i>x</i><sub>1</sub> + <i>w</i><sub>2</sub><i>x</i><sub>2</sub> + <i>b</i> &gt; 0 ]",
        "neuron = nn.Linear(2, 1)\nyes = neuron(x) > 0",
    )
    return


@app.cell
def _():
    CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    PUZZLES = {
        "AND": np.array([0, 0, 0, 1]),
        "OR": np.array([0, 1, 1, 1]),
        "XOR": np.array([0, 1, 1, 0]),
    }

    def neuron(w1, w2, b):
        """torch's own linear layer, its weights set by hand."""
        one = nn.Linear(2, 1)
        one.load_state_dict(
            {
                "weight": torch.tensor([[w1, w2]], dtype=torch.float32),
                "bias": torch.tensor([float(b)]),
            }
        )
        return one

    AXIS = np.linspace(-0.5, 1.5, 24, dtype=np.float32)
    PLANE = torch.from_numpy(np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2))

    def three_puzzles(w1, w2, b):
        one = neuron(w1, w2, b)
        shares = answers(one, PLANE).sigmoid().numpy().reshape(24, 24)
        said = (answers(one, torch.from_numpy(CORNERS))[:, 0] > 0).numpy()
        solved = {name: int((said == truth).sum()) for name, truth in PUZZLES.items()}

        def paint(figure):
            for axis, (name, truth) in zip(figure.subplots(1, 3), PUZZLES.items(), strict=True):
                show.regions(axis, shares, (-0.5, 1.5, -0.5, 1.5))
                show.points(axis, CORNERS, truth, 70)
                axis.set(xticks=[0, 1], yticks=[0, 1], aspect="equal")
                axis.grid(visible=False)
                axis.set_title(f"{name}: {solved[name]} of 4" + (" ✓" if solved[name] == 4 else ""))

        words = ", ".join(f"{name}: {count} of 4 corners right" for name, count in solved.items())
        return show.image(paint, words, (5.2, 1.9)) + show.caption(
            '<span class="model">Blue circles</span> should get a yes, <span class="other">orange squares</span> a no.'
        )

    w1 = show.slider([-2, -1, 0, 1, 2], 1)
    w2 = show.slider([-2, -1, 0, 1, 2], -1)
    b = show.slider([-3, -1, 0, 1, 3], 0)
    return CORNERS, PUZZLES, b, three_puzzles, w1, w2


@app.cell
def _(b, three_puzzles, w1, w2):
    show.Moving(three_puzzles, {"weight w₁": w1, "weight w₂": w2, "bias b": b})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Two of the three can be solved in many ways. XOR in none: its corners lie crosswise, and no straight line parts them.
    Minsky and Papert proved it in 1969. Rather than believe it, try every line.
    """)
    return


@app.cell
def _(CORNERS, PUZZLES):
    grid = np.linspace(-3, 3, 25, dtype=np.float32)
    lines = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(
        -1, 3
    )  # w1, w2, b of 15,625 neurons
    every = nn.Linear(2, len(lines))
    every.load_state_dict(
        {"weight": torch.from_numpy(lines[:, :2]), "bias": torch.from_numpy(lines[:, 2])}
    )
    yes = (answers(every, torch.from_numpy(CORNERS)) > 0).numpy()  # (4, 15625)
    best = {name: int((yes == truth[:, None]).sum(0).max()) for name, truth in PUZZLES.items()}
    assert best["AND"] == 4, "one neuron can be AND"
    assert best["OR"] == 4, "one neuron can be OR"
    assert best["XOR"] == 3, "no neuron is XOR: three corners of four are the best"
    show.headline(
        "One neuron can be AND or OR. It cannot be XOR.",
        f"of {len(lines):,} neurons the best has {best['AND']}, {best['OR']} and {best['XOR']} corners of 4 right.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Nobody sets weights by hand

    Rosenblatt's perceptron (1958) learnt its weights from examples: answer, see how wrong it was, change each weight a little so that
    it is less wrong, repeat. It is the loop that trains every net today. These are its lines in foveate:
    """)
    return


@app.cell(hide_code=True)
def _():
    loop_lines = [
        ("answer", "output = net("),
        ("how wrong", "losses = loss("),
        ("which way to change each weight", ".backward()"),
        ("change it a little", "optimizer.step()"),
    ]
    show.show(
        '<div class="formula"><div class="math">'
        + "<br>".join(words for words, _ in loop_lines)
        + "</div><pre><code>"
        + "\n".join(show.line_of(loop.steps, part).split("  #")[0] for _, part in loop_lines)
        + "</code></pre></div>"
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Drag the slider: the same clouds of points, first for one neuron, then for a small network with two inputs, two **hidden layers** of
    four neurons, and two outputs: 2-4-4-2.
    """)
    return


@app.cell
def _():
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    CLOUDS = (np.repeat(middles, 30, 0) + rng.normal(0, 0.11, (120, 2))).astype(np.float32)
    KINDS = np.repeat([0, 1, 1, 0], 30)  # XOR
    INPUTS, TARGET = torch.from_numpy(CLOUDS)[:, :, None, None], torch.from_numpy(KINDS)
    SIDE = 48
    EXTENT = (-0.45, 1.45, -0.45, 1.45)
    MESH = np.stack(
        np.meshgrid(*[np.linspace(-0.45, 1.45, SIDE, dtype=np.float32)] * 2), -1
    ).reshape(-1, 2, 1, 1)
    STEPS = [0, 5, 10, 20, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300]

    def watched(net):
        """The net while it learns: at each of STEPS its answers over the plane, its accuracy and its loss."""
        seen = []
        for step in learn(net, cross_entropy, INPUTS, TARGET, count=301, lr=0.03, rates="constant"):
            if step.number in STEPS:
                shares = (
                    answers(net, torch.from_numpy(MESH))
                    .softmax(1)[:, 1]
                    .numpy()
                    .reshape(SIDE, SIDE)
                )
                seen.append((shares, right(net, INPUTS, TARGET), step.losses["total"].item()))
                net.train()
        return seen

    torch.manual_seed(0)
    one_neuron = nn.Sequential(
        nn.Flatten(), nn.Linear(2, 2)
    )  # yes and no: the line is where both are equal
    small = network("mlp:4-4", inputs=2, outputs=2, seed=3)
    LEARNT = {"one neuron": watched(one_neuron), "2-4-4-2": watched(small)}
    return CLOUDS, EXTENT, KINDS, LEARNT, STEPS, one_neuron, small


@app.cell
def _(STEPS):
    step = show.slider(STEPS, 60)
    return (step,)


@app.cell
def _(CLOUDS, EXTENT, KINDS, LEARNT, STEPS, step):
    def while_learning(step):
        def draw(name):
            shares, accuracy, loss = LEARNT[name][STEPS.index(step)]

            def paint(figure):
                axis = figure.subplots()
                show.regions(axis, shares, EXTENT)
                show.points(axis, CLOUDS, KINDS)
                show.bare(axis, f"{name}: {accuracy:.0%} right, loss {loss:.2f}")

            return show.image(
                paint, f"{name} after {step} steps: {accuracy:.0%} of the points right", (3.2, 3.0)
            )

        return show.beside(*(draw(name) for name in LEARNT))

    show.Moving(while_learning, {"steps of training": step})
    return


@app.cell
def _(LEARNT, one_neuron, small):
    alone, together = LEARNT["one neuron"][-1][1], LEARNT["2-4-4-2"][-1][1]
    assert alone <= 0.75, "one neuron keeps failing at XOR, however long it learns"
    assert together == 1.0, "the 2-4-4-2 network has every point right"
    show.headline(
        "A line is not enough. A few neurons, each with its own line, are.",
        f"one neuron ({parameters(one_neuron)} weights) ends at {alone:.0%}, 2-4-4-2 ({parameters(small)} weights) at {together:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Look at the boundary: it is made of straight pieces. Each hidden neuron gives one bend, and the next layer puts them together.
    Without the bend, **ReLU**, two layers would be one line again.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>h</i> = max(0, <i>W</i><i>x</i> + <i>b</i>)",
        show.line_of(mlp.MLP, "layers += [nn.Linear"),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Enough neurons draw any curve

    One input, one hidden layer of *n* neurons, one output. Each neuron adds one bend to the curve, so with enough of them it can
    follow anything: Cybenko proved it in 1989, Hornik for nets like this one in 1991.

    Draw your own curve with the five heights. Then give the network more neurons.
    """)
    return


@app.cell
def _():
    AT = np.linspace(-1, 1, 80, dtype=np.float32)
    KNOTS = np.linspace(-1, 1, 5)

    def curve(heights):
        """A smooth line through the five heights."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(KNOTS, heights)(AT).astype(np.float32)

    def spread(neurons):
        """A net 1-n-1 whose bends lie evenly over the curve before it learns: by chance alone many would lie beside it."""
        net = network(f"mlp:{neurons}", inputs=1, outputs=1)
        hidden = next(layer for layer in net.modules() if isinstance(layer, nn.Linear))
        side = torch.tensor([-1.0, 1.0]).repeat(neurons)[:neurons]
        with torch.no_grad():
            hidden.weight.copy_(2 * side[:, None])
            hidden.bias.copy_(-2 * side * torch.linspace(-1, 1, neurons + 2)[1:-1])
        return net

    @cache
    def fitted(neurons, heights):
        """(80,) what a net with one hidden layer makes of the curve, and its root mean squared error."""
        x, y = torch.from_numpy(AT)[:, None, None, None], torch.from_numpy(curve(heights))[:, None]
        net = spread(neurons)
        for _ in learn(net, squared, x, y, count=250, lr=0.1):
            pass
        drawn = answers(net, x)
        return drawn[:, 0].numpy(), float((drawn - y).square().mean().sqrt())

    NEURONS = [1, 2, 4, 8, 16, 32]
    WANTED = (-0.6, 0.8, -0.5, 0.9, 0.2)
    LEVELS = [round(level, 1) for level in np.arange(-1, 1.01, 0.1)]
    neurons = show.slider(NEURONS, 4)
    heights = [show.slider(LEVELS, height) for height in WANTED]
    return AT, KNOTS, NEURONS, WANTED, curve, fitted, heights, neurons


@app.cell
def _(AT, KNOTS, curve, fitted, heights, neurons):
    def approximated(neurons, *heights):
        drawn, error = fitted(neurons, heights)

        def paint(figure):
            axis = figure.subplots()
            axis.plot(
                AT, curve(heights), color=show.OTHER, lw=5, alpha=0.35, solid_capstyle="round"
            )
            axis.plot(KNOTS, heights, "o", color=show.OTHER, ms=6)
            axis.plot(AT, drawn, color=show.MODEL, lw=2.2)
            axis.set(ylim=(-1.6, 1.6), xticks=[], yticks=[-1, 0, 1])
            axis.set_title(f"{neurons} neuron{'s' * (neurons > 1)}: off by {error:.3f} on average")

        words = f"A curve, and what a network of {neurons} hidden neurons makes of it; the error is {error:.3f}"
        return show.image(paint, words, (4.6, 2.9)) + show.caption(
            '<span class="other">The curve that is wanted</span>, and <span class="model">the network\'s</span>.'
        )

    names = ["neurons n", *(f"height {number}" for number in range(1, 6))]
    show.Moving(approximated, dict(zip(names, [neurons, *heights], strict=True)), offered=1)
    return


@app.cell
def _(NEURONS, WANTED, fitted):
    errors = [fitted(n, WANTED)[1] for n in NEURONS]

    def falling(figure):
        axis = figure.subplots()
        axis.plot(NEURONS, errors, "o-", color=show.MODEL, ms=5)
        axis.set_xscale("log", base=2)
        axis.set(
            xticks=NEURONS,
            xticklabels=[str(n) for n in NEURONS],
            xlabel="neurons n",
            ylim=(0, None),
        )
        axis.set_title("average error of the curve above")

    show.show(
        show.image(
            falling,
            "The error falls as neurons are added: " + ", ".join(f"{e:.3f}" for e in errors),
            (4.6, 2.5),
        )
    )
    return (errors,)


@app.cell
def _(NEURONS, errors):
    for fewer, more in pairwise(errors):
        assert more <= 1.1 * fewer + 0.005, "with twice the neurons the error does not rise"
    assert errors[-1] <= 0.05, "32 neurons follow the curve"
    assert errors[0] >= 4 * errors[-1], "one neuron does not"
    show.headline(
        "The error falls as neurons are added.",
        f"{errors[0]:.3f} with {NEURONS[0]} neuron, {errors[-1]:.3f} with {NEURONS[-1]}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - One neuron is one straight line. XOR is out of its reach, for ever.
    - A hidden layer puts lines together. A tiny network solves XOR, trained by the same loop.
    - More neurons, more bends: any curve can be followed. That it *can* be followed does not say that it is *learnt* easily, or from
      few examples. That is the next lesson.

    Rosenblatt, "The perceptron", Psychological Review, 1958. Minsky and Papert, *Perceptrons*, 1969. Rumelhart, Hinton and Williams,
    "Learning representations by back-propagating errors", Nature, 1986. Cybenko, "Approximation by superpositions of a sigmoidal
    function", 1989. Hornik, "Approximation capabilities of multilayer feedforward networks", 1991.
    """)
    return


@app.cell(hide_code=True)
def _(CLOUDS, EXTENT, KINDS, LEARNT):
    def on_the_index(figure):
        axis = figure.subplots()
        show.regions(axis, LEARNT["2-4-4-2"][-1][0], EXTENT)
        show.points(axis, CLOUDS, KINDS)
        show.bare(axis)

    poster = show.image(on_the_index, "Four clouds of points that two lines part", (4.4, 2.6))
    return (poster,)


if __name__ == "__main__":
    app.run()
