"""Lesson 1: One neuron, then a network

What one neuron can learn, what it never can, and what a second layer changes.
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
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        net_outputs,
        points_network,
        squared_error,
        train_steps,
    )
    from foveate.models.backbone import count_parameters
    from foveate.models.backbones import mlp
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # One neuron, then a network

    A neuron multiplies, adds, and compares the sum with zero. That is all it does. Which problems
    can one neuron solve? And what does it take to solve the others?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A neuron is a line

    A neuron takes two numbers. It multiplies each by a **weight** and adds a **bias**. If the sum
    is above zero, it predicts class 1; otherwise it predicts class 0. So a straight line divides
    the plane in two: the **decision boundary**. The weights turn the line, and the bias shifts it.

    Here are three classic problems: AND (both inputs are 1), OR (at least one is), XOR (exactly
    one is). Find a line that solves AND. Then OR. Then XOR.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i> = [ <i>w</i><sub>1</sub><i>x</i><sub>1</sub> + "
        "<i>w</i><sub>2</sub><i>x</i><sub>2</sub> + <i>b</i> &gt; 0 ]",
        "neuron = nn.Linear(2, 1)\ny = neuron(x) > 0",
    )
    return


@app.cell
def _():
    CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    PROBLEMS = {
        "AND": np.array([0, 0, 0, 1]),
        "OR": np.array([0, 1, 1, 1]),
        "XOR": np.array([0, 1, 1, 0]),
    }

    def neuron(w1, w2, b):
        """A linear layer of torch with weights set by hand."""
        layer = nn.Linear(2, 1)
        layer.load_state_dict(
            {
                "weight": torch.tensor([[w1, w2]], dtype=torch.float32),
                "bias": torch.tensor([float(b)]),
            }
        )
        return layer

    AXIS = np.linspace(-0.5, 1.5, 24, dtype=np.float32)
    PLANE = torch.from_numpy(np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2))

    def draw_puzzles(w1, w2, b):
        net = neuron(w1, w2, b)
        probabilities = net_outputs(net, PLANE).sigmoid().numpy().reshape(24, 24)
        predicted = (net_outputs(net, torch.from_numpy(CORNERS))[:, 0] > 0).numpy()
        correct = {name: int((predicted == target).sum()) for name, target in PROBLEMS.items()}

        def draw(figure):
            for axis, (name, target) in zip(figure.subplots(1, 3), PROBLEMS.items(), strict=True):
                show.decision_regions(axis, probabilities, (-0.5, 1.5, -0.5, 1.5))
                show.points(axis, CORNERS, target, 70)
                axis.set(xticks=[0, 1], yticks=[0, 1], aspect="equal")
                axis.grid(visible=False)
                axis.set_title(
                    f"{name}: {correct[name]} of 4" + (" ✓" if correct[name] == 4 else "")
                )

        alt = ", ".join(f"{name}: {count} of 4 corners correct" for name, count in correct.items())
        return show.figure(draw, alt, (5.2, 1.9)) + show.caption(
            '<span class="model">Blue circles</span> belong to class 1, '
            '<span class="other">orange squares</span> to class 0.'
        )

    w1 = show.slider([-2, -1, 0, 1, 2], 1)
    w2 = show.slider([-2, -1, 0, 1, 2], -1)
    b = show.slider([-3, -1, 0, 1, 3], 0)
    return CORNERS, PROBLEMS, b, draw_puzzles, w1, w2


@app.cell
def _(b, draw_puzzles, w1, w2):
    show.InteractiveFigure(draw_puzzles, {"weight w₁": w1, "weight w₂": w2, "bias b": b})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    AND and OR have many solutions. XOR has none: its classes lie on opposite corners, and no
    straight line separates them. Minsky and Papert proved this in 1969. You need not take their
    word for it: let us try a great many lines.
    """)
    return


@app.cell
def _(CORNERS, PROBLEMS):
    grid = np.linspace(-3, 3, 25, dtype=np.float32)
    lines = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(
        -1, 3
    )  # w1, w2, b of 15,625 neurons
    all_lines = nn.Linear(2, len(lines))
    all_lines.load_state_dict(
        {"weight": torch.from_numpy(lines[:, :2]), "bias": torch.from_numpy(lines[:, 2])}
    )
    predicted = (net_outputs(all_lines, torch.from_numpy(CORNERS)) > 0).numpy()  # (4, 15625)
    best = {
        name: int((predicted == target[:, None]).sum(0).max()) for name, target in PROBLEMS.items()
    }
    assert best["AND"] == 4, "one neuron can compute AND"
    assert best["OR"] == 4, "one neuron can compute OR"
    assert best["XOR"] == 3, "no neuron computes XOR; the best has three of four corners correct"
    show.claim(
        "One neuron can compute AND or OR. It cannot compute XOR.",
        f"of {len(lines):,} neurons, the best has {best['AND']} of 4 corners correct for AND, "
        f"{best['OR']} for OR and {best['XOR']} for XOR.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A neuron learns its weights from examples

    Rosenblatt's perceptron (1958) learnt its weights: predict, compute the error, change each
    weight a little so that the error shrinks, repeat. Every network today is trained by such a
    loop. These are the lines of the loop in foveate:
    """)
    return


@app.cell(hide_code=True)
def _():
    loop_lines = [
        ("predict", "output = net("),
        ("compute the loss", "losses = loss("),
        ("compute each weight's gradient", ".backward()"),
        ("change each weight a little", "optimizer.step()"),
    ]
    show.html(
        '<div class="formula"><div class="math">'
        + "<br>".join(step_name for step_name, _ in loop_lines)
        + "</div><pre><code>"
        + "\n".join(show.source_line(loop.steps, code).split("  #")[0] for _, code in loop_lines)
        + "</code></pre></div>"
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Drag the slider. On the left one neuron learns, on the right a small network with two inputs,
    two **hidden layers** of four neurons each, and two outputs: 2-4-4-2. Both see the same points.
    """)
    return


@app.cell
def _():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    POINTS = (np.repeat(centres, 30, 0) + rng.normal(0, 0.11, (120, 2))).astype(np.float32)
    LABELS = np.repeat([0, 1, 1, 0], 30)  # XOR
    INPUTS, TARGET = torch.from_numpy(POINTS)[:, :, None, None], torch.from_numpy(LABELS)
    SIDE = 48
    EXTENT = (-0.45, 1.45, -0.45, 1.45)
    MESH = np.stack(
        np.meshgrid(*[np.linspace(-0.45, 1.45, SIDE, dtype=np.float32)] * 2), -1
    ).reshape(-1, 2, 1, 1)
    STEPS = [0, 5, 10, 20, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300]

    def training_history(net):
        """Train the network; at each of STEPS record its probabilities, accuracy and loss."""
        history = []
        for step in train_steps(
            net, cross_entropy, INPUTS, TARGET, count=301, lr=0.03, schedule_name="constant"
        ):
            if step.number in STEPS:
                probabilities = (
                    net_outputs(net, torch.from_numpy(MESH))
                    .softmax(1)[:, 1]
                    .numpy()
                    .reshape(SIDE, SIDE)
                )
                history.append(
                    (
                        probabilities,
                        accuracy_score(net, INPUTS, TARGET),
                        step.losses["total"].item(),
                    )
                )
                net.train()
        return history

    torch.manual_seed(0)
    one_neuron = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    small_network = points_network("mlp:4-4", inputs=2, outputs=2, seed=3)
    HISTORY = {
        "one neuron": training_history(one_neuron),
        "2-4-4-2": training_history(small_network),
    }
    return POINTS, EXTENT, LABELS, HISTORY, STEPS, one_neuron, small_network


@app.cell
def _(STEPS):
    step = show.slider(STEPS, 60)
    return (step,)


@app.cell
def _(POINTS, EXTENT, LABELS, HISTORY, STEPS, step):
    def draw_training(step):
        def panel(name):
            probabilities, accuracy, loss = HISTORY[name][STEPS.index(step)]

            def draw(figure):
                axis = figure.subplots()
                show.decision_regions(axis, probabilities, EXTENT)
                show.points(axis, POINTS, LABELS)
                show.hide_axes(axis, f"{name}: {accuracy:.0%} correct, loss {loss:.2f}")

            return show.figure(
                draw, f"{name} after {step} steps: {accuracy:.0%} of the points correct", (3.2, 3.0)
            )

        return show.side_by_side(*(panel(name) for name in HISTORY))

    show.InteractiveFigure(draw_training, {"steps of training": step})
    return


@app.cell
def _(HISTORY, one_neuron, small_network):
    single_accuracy, network_accuracy = HISTORY["one neuron"][-1][1], HISTORY["2-4-4-2"][-1][1]
    assert single_accuracy <= 0.75, "one neuron keeps failing at XOR, however long it is trained"
    assert network_accuracy == 1.0, "the 2-4-4-2 network classifies every point correctly"
    show.claim(
        "One line cannot solve XOR. A few neurons, each with a line, can.",
        f"one neuron ({count_parameters(one_neuron)} weights) ends at {single_accuracy:.0%} "
        f"accuracy, 2-4-4-2 ({count_parameters(small_network)} weights) at {network_accuracy:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Look at the boundary: it consists of straight pieces. Each hidden neuron contributes one bend,
    and the next layer combines the bends. The bend comes from the activation function **ReLU**.
    Without it, two layers would amount to a single line again.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>h</i> = max(0, <i>W</i><i>x</i> + <i>b</i>)",
        show.source_line(mlp.MLP, "layers += [nn.Linear"),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Enough neurons approximate any curve

    Take one input, one hidden layer of *n* neurons, and one output. Each neuron adds one bend to
    the curve. With enough neurons the network can approximate any continuous function: Cybenko
    proved it in 1989, and Hornik in 1991 for networks like this one.

    Give the network more neurons. In the live lesson, five heights let you draw your own curve.
    """)
    return


@app.cell
def _():
    GRID = np.linspace(-1, 1, 80, dtype=np.float32)
    KNOTS = np.linspace(-1, 1, 5)

    def curve(heights):
        """A smooth line through the five heights."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(KNOTS, heights)(GRID).astype(np.float32)

    def evenly_initialised(neurons):
        """A 1-n-1 network whose bends start evenly spaced; random ones often miss the curve."""
        net = points_network(f"mlp:{neurons}", inputs=1, outputs=1)
        hidden = next(layer for layer in net.modules() if isinstance(layer, nn.Linear))
        side = torch.tensor([-1.0, 1.0]).repeat(neurons)[:neurons]
        with torch.no_grad():
            hidden.weight.copy_(2 * side[:, None])
            hidden.bias.copy_(-2 * side * torch.linspace(-1, 1, neurons + 2)[1:-1])
        return net

    @cache
    def fit_curve(neurons, heights):
        """The (80,) output of a network trained on the curve, and its root mean squared error."""
        x, y = (
            torch.from_numpy(GRID)[:, None, None, None],
            torch.from_numpy(curve(heights))[:, None],
        )
        net = evenly_initialised(neurons)
        for _ in train_steps(net, squared_error, x, y, count=250, lr=0.1):
            pass
        output = net_outputs(net, x)
        return output[:, 0].numpy(), float((output - y).square().mean().sqrt())

    NEURONS = [1, 2, 4, 8, 16, 32]
    HEIGHTS = (-0.6, 0.8, -0.5, 0.9, 0.2)
    LEVELS = [round(level, 1) for level in np.arange(-1, 1.01, 0.1)]
    neurons = show.slider(NEURONS, 4)
    heights = [show.slider(LEVELS, height) for height in HEIGHTS]
    return GRID, KNOTS, NEURONS, HEIGHTS, curve, fit_curve, heights, neurons


@app.cell
def _(GRID, KNOTS, curve, fit_curve, heights, neurons):
    def draw_fit(neurons, *heights):
        output, error = fit_curve(neurons, heights)

        def draw(figure):
            axis = figure.subplots()
            axis.plot(
                GRID, curve(heights), color=show.OTHER, lw=5, alpha=0.35, solid_capstyle="round"
            )
            axis.plot(KNOTS, heights, "o", color=show.OTHER, ms=6)
            axis.plot(GRID, output, color=show.MODEL, lw=2.2)
            axis.set(ylim=(-1.6, 1.6), xticks=[], yticks=[-1, 0, 1])
            axis.set_title(f"{neurons} neuron{'s' * (neurons > 1)}: average error {error:.3f}")

        alt = f"A curve and its approximation by {neurons} hidden neurons; the error is {error:.3f}"
        return show.figure(draw, alt, (4.6, 2.9)) + show.caption(
            '<span class="other">The target curve</span> and '
            '<span class="model">the network\'s output</span>.'
        )

    names = ["neurons n", *(f"height {number}" for number in range(1, 6))]
    show.InteractiveFigure(
        draw_fit, dict(zip(names, [neurons, *heights], strict=True)), static_controls=1
    )
    return


@app.cell
def _(NEURONS, HEIGHTS, fit_curve):
    errors = [fit_curve(n, HEIGHTS)[1] for n in NEURONS]

    def draw_errors(figure):
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

    show.html(
        show.figure(
            draw_errors,
            "The error falls as neurons are added: " + ", ".join(f"{e:.3f}" for e in errors),
            (4.6, 2.5),
        )
    )
    return (errors,)


@app.cell
def _(NEURONS, errors):
    for fewer, more in pairwise(errors):
        assert more <= 1.1 * fewer + 0.005, "the error does not rise with twice the neurons"
    assert errors[-1] <= 0.05, "32 neurons approximate the curve"
    assert errors[0] >= 4 * errors[-1], "one neuron does not"
    show.claim(
        "The error falls as neurons are added.",
        f"{errors[0]:.3f} with {NEURONS[0]} neuron, {errors[-1]:.3f} with {NEURONS[-1]}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - One neuron is one straight line. It can never solve XOR.

    - A hidden layer combines several lines. A tiny network solves XOR, trained by the same loop.

    - More neurons make more bends, so a network can approximate any curve. That does not mean that
      it *learns* the curve easily, or from few examples. The next lesson is about that.

    Rosenblatt, "The perceptron", Psychological Review, 1958. Minsky and Papert, *Perceptrons*,
    1969. Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
    Nature, 1986. Cybenko, "Approximation by superpositions of a sigmoidal function", 1989. Hornik,
    "Approximation capabilities of multilayer feedforward networks", 1991.
    """)
    return


@app.cell(hide_code=True)
def _(POINTS, EXTENT, LABELS, HISTORY):
    def draw_poster(figure):
        axis = figure.subplots()
        show.decision_regions(axis, HISTORY["2-4-4-2"][-1][0], EXTENT)
        show.points(axis, POINTS, LABELS)
        show.hide_axes(axis)

    poster = show.figure(draw_poster, "Four clusters of points, separated by two lines", (4.4, 2.6))
    return (poster,)


if __name__ == "__main__":
    app.run()
