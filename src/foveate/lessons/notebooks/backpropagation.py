"""Lesson 6: Who is to blame?

The prediction is wrong. Backpropagation finds every weight's share of the error in one backward
pass.
"""

import marimo

app = marimo.App(app_title="Who is to blame?", css_file="style.css")

with app.setup:
    from time import process_time

    import marimo as mo
    import numpy as np
    import torch
    from torch import nn

    from foveate.lessons import drawings as show
    from foveate.lessons.training import points_network, squared_error, train_steps
    from foveate.models.backbone import count_parameters
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Who is to blame?

    A network predicts 1. The target is 2. Seven weights contributed to the error. Which of them
    should change, in which direction, and by how much?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Nudge a weight and measure

    The direct way to find out: change one weight by a little, *ε*, run the network again, and see
    how the loss changed. The change of the loss, divided by the nudge, approximates the
    **gradient** of that weight: the slope of the loss at its present value.

    Make the nudge smaller, and the orange line through the two points turns into the tangent.
    """)
    return


@app.cell
def _():
    X, TARGET = 2.0, 2.0
    START = {"w₁": 0.5, "b₁": 0.5, "w₂": -0.25, "b₂": 1.0, "v₁": 1.0, "v₂": -2.0, "c": 0.5}

    def forward(w, x=X):
        """Every value from the input to the loss."""
        z1, z2 = w["w₁"] * x + w["b₁"], w["w₂"] * x + w["b₂"]
        h1, h2 = max(0.0, z1), max(0.0, z2)
        y = w["v₁"] * h1 + w["v₂"] * h2 + w["c"]
        return {"x": x, "z₁": z1, "z₂": z2, "h₁": h1, "h₂": h2, "y": y, "L": (y - TARGET) ** 2}

    def backward(w, at):
        """The gradient of the loss with respect to every value and weight, by the chain rule."""
        g = {"L": 1.0}
        g["y"] = g["L"] * 2 * (at["y"] - TARGET)
        g["v₁"], g["v₂"], g["c"] = g["y"] * at["h₁"], g["y"] * at["h₂"], g["y"]
        g["h₁"], g["h₂"] = g["y"] * w["v₁"], g["y"] * w["v₂"]
        g["z₁"], g["z₂"] = g["h₁"] * (at["z₁"] > 0), g["h₂"] * (at["z₂"] > 0)
        g["w₁"], g["b₁"], g["w₂"], g["b₂"] = g["z₁"] * at["x"], g["z₁"], g["z₂"] * at["x"], g["z₂"]
        g["x"] = g["z₁"] * w["w₁"] + g["z₂"] * w["w₂"]
        return g

    def nudged_slope(w, name, epsilon):
        """The change of the loss per change of that weight."""
        return (forward(w | {name: w[name] + epsilon})["L"] - forward(w)["L"]) / epsilon

    def number(value):
        return f"{value:g}".replace("-", "−")

    epsilon = show.slider([0.4, 0.3, 0.2, 0.1, 0.05, 0.01], 0.4)
    weight = mo.ui.radio(["v₁", "w₁", "w₂"], value="v₁", inline=True)
    return START, TARGET, X, backward, epsilon, forward, nudged_slope, number, weight


@app.cell
def _(START, backward, epsilon, forward, nudged_slope, number, weight):
    def draw_slope(epsilon, weight):
        here, loss, estimate = (
            START[weight],
            forward(START)["L"],
            nudged_slope(START, weight, epsilon),
        )
        exact = backward(START, forward(START))[weight]
        grid = np.linspace(here - 0.5, here + 0.5, 101)

        def draw(figure):
            axis = figure.subplots()
            axis.plot(
                grid,
                [forward(START | {weight: value})["L"] for value in grid],
                color=show.MODEL,
                lw=2.6,
            )
            axis.axline((here, loss), slope=estimate, color=show.OTHER, lw=1.6)
            axis.plot(
                [here, here + epsilon],
                [loss, loss + estimate * epsilon],
                "o",
                color=show.OTHER,
                ms=8,
            )
            axis.set(
                xlim=(here - 0.5, here + 0.5),
                ylim=(-0.3, 5),
                xlabel=f"weight {weight}",
                yticks=[0, 1, 2, 3, 4],
            )
            axis.set_title(
                f"nudge {epsilon:g}: estimated slope {number(round(estimate, 2))}", weight="bold"
            )

        alt = (
            f"The loss against weight {weight}; "
            f"a nudge of {epsilon} gives a slope of {estimate:.2f}"
        )
        return show.figure(draw, alt, (4.6, 3.0)) + show.caption(
            '<span class="model">The loss</span> and '
            '<span class="other">the estimated slope</span>. '
            f"The exact slope is {number(exact)}."
        )

    show.InteractiveFigure(draw_slope, {"nudge ε": epsilon, "weight": weight})
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "∂<i>L</i>/∂<i>w</i> ≈ ( <i>L</i>(<i>w</i> + <i>ε</i>) − <i>L</i>(<i>w</i>) ) / <i>ε</i>",
        "(forward(w + nudge) - forward(w)) / epsilon",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    That works, but each weight needs its own forward pass. For seven weights that is fine. For
    seven million weights, one training step would need seven million forward passes. There is a
    better way, and it takes only one idea.

    ## The error travels backward

    Think of gears: one wheel turns the next, which turns a third. If the second turns 3 times as
    fast as the first, and the third twice as fast as the second, then the third turns 2 · 3 times
    as fast as the first. Rates along a chain **multiply**. That is the **chain rule**.

    So walk forward once, and store every value. Then walk back from the loss. At each node,
    multiply the gradient that arrives by the **local derivative**: how much *this* node's output
    changes with *its* input. Move the slider, or press play.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "∂<i>L</i>/∂<i>h</i> = ∂<i>L</i>/∂<i>y</i> · ∂<i>y</i>/∂<i>h</i>"
        "<br>gradient here = gradient that arrives · local derivative",
        show.source_line(loop.steps, ".backward()"),
    )
    return


@app.cell
def _(START, TARGET, backward, forward, number):
    AT = forward(START)
    GRADIENT = backward(START, AT)

    def bracketed(value):
        """Put a negative factor of a product in brackets."""
        return f"({number(value)})" if value < 0 else number(value)

    v, g, w = AT, GRADIENT, START

    def product(*factors):
        return " · ".join(bracketed(factor) for factor in factors)

    # Per frame: the active node, the values and gradients that appear, and the explanation.
    FRAMES = [
        (
            "x",
            ["x"],
            [],
            f"The input is <i>x</i> = {number(v['x'])}. The target is {number(TARGET)}.",
        ),
        (
            *("z₁", ["z₁"], []),
            f"z₁ = w₁ · x + b₁ = {product(w['w₁'], v['x'])} + {bracketed(w['b₁'])} = "
            f"<b>{number(v['z₁'])}</b>",
        ),
        (
            *("z₂", ["z₂"], []),
            f"z₂ = w₂ · x + b₂ = {product(w['w₂'], v['x'])} + {bracketed(w['b₂'])} = "
            f"<b>{number(v['z₂'])}</b>",
        ),
        ("h₁", ["h₁"], [], f"h₁ = max(0, z₁) = <b>{number(v['h₁'])}</b>"),
        ("h₂", ["h₂"], [], f"h₂ = max(0, z₂) = <b>{number(v['h₂'])}</b>"),
        (
            *("y", ["y"], []),
            f"y = v₁ · h₁ + v₂ · h₂ + c = {bracketed(v['h₁'])} − 2 · {bracketed(v['h₂'])} + "
            f"{bracketed(w['c'])} = <b>{number(v['y'])}</b>",
        ),
        (
            "L",
            ["L"],
            [],
            f"L = (y − {number(TARGET)})² = <b>{number(v['L'])}</b>. This is the loss.",
        ),
        (
            *("y", [], ["y"]),
            f"Now back. The derivative of the square is 2 · (y − {number(TARGET)}). "
            "It is negative: a larger y would lower the loss.",
        ),
        (
            *("v₁", [], ["v₁"]),
            f"v₁ is multiplied by h₁, so h₁ is its local derivative: {product(g['y'], v['h₁'])}",
        ),
        ("v₂", [], ["v₂"], f"v₂ is multiplied by h₂: {product(g['y'], v['h₂'])}"),
        ("c", [], ["c"], "c is only added. A sum passes the gradient on unchanged."),
        ("h₁", [], ["h₁"], f"h₁ is multiplied by v₁: {product(g['y'], w['v₁'])}"),
        (
            *("h₂", [], ["h₂"]),
            f"h₂ is multiplied by v₂: {product(g['y'], w['v₂'])}. "
            "The sign changes: a smaller h₂ would lower the loss.",
        ),
        (
            *("z₁", [], ["z₁"]),
            "max(0, z₁) passed its input on, so its local derivative is 1. "
            "If z₁ were below zero, it would be 0, and the gradient would stop here.",
        ),
        ("z₂", [], ["z₂"], "The same holds for z₂."),
        (
            *("w₁", [], ["w₁", "b₁"]),
            f"w₁ is multiplied by x: {product(g['z₁'], v['x'])}. b₁ is only added.",
        ),
        (
            *("w₂", [], ["w₂", "b₂"]),
            f"w₂ is multiplied by x: {product(g['z₂'], v['x'])}. "
            "Now every weight has its gradient.",
        ),
        (
            *("x", [], ["x"]),
            "Two paths lead to x, and their gradients add up: "
            f"{product(g['z₁'], w['w₁'])} + {product(g['z₂'], w['w₂'])}",
        ),
    ]
    frame = show.slider(range(len(FRAMES)), 0)
    return AT, GRADIENT, FRAMES, frame


@app.cell
def _(AT, GRADIENT, FRAMES, START, frame, number):
    POSITIONS = {
        "x": (2.3, 0.0),
        "z₁": (1.0, 1.0),
        "z₂": (3.6, 1.0),
        "h₁": (1.0, 2.0),
        "h₂": (3.6, 2.0),
        "y": (2.3, 3.0),
        "L": (2.3, 4.0),
    }
    EDGES = [
        ("x", "z₁"),
        ("x", "z₂"),
        ("z₁", "h₁"),
        ("z₂", "h₂"),
        ("h₁", "y"),
        ("h₂", "y"),
        ("y", "L"),
    ]
    LABELS = {
        "w₁": (1.3, 0.36, "right"),
        "w₂": (3.3, 0.36, "left"),
        "b₁": (0.55, 0.98, "right"),
        "b₂": (4.05, 0.98, "left"),
        "v₁": (1.2, 2.58, "right"),
        "v₂": (3.4, 2.58, "left"),
        "c": (1.85, 3.02, "right"),
    }
    BOLD = {"va": "center", "fontsize": 11.5, "weight": "bold", "zorder": 3}
    WEIGHT_EDGES = {"v₁": ("h₁", "y"), "v₂": ("h₂", "y"), "w₁": ("x", "z₁"), "w₂": ("x", "z₂")}

    def graph(figure, frame):
        axis = figure.subplots()
        active, _, new_gradients, _ = FRAMES[frame]
        with_value = {name for earlier in FRAMES[: frame + 1] for name in earlier[1]}
        with_gradient = {name for earlier in FRAMES[: frame + 1] for name in earlier[2]}
        is_backward = bool(new_gradients)
        for start, end in EDGES:
            is_active = (
                end == active
                if not is_backward
                else start == active or WEIGHT_EDGES.get(active) == (start, end)
            )
            colour = (show.OTHER if is_backward else show.MODEL) if is_active else show.LINE
            (x0, y0), (x1, y1) = POSITIONS[start], POSITIONS[end]
            axis.plot([x0, x1], [y0, y1], color=colour, lw=3.2 if is_active else 1.6, zorder=1)
        for name, (x, y) in POSITIONS.items():
            is_active = name == active
            edge = (
                (show.OTHER if is_backward else show.MODEL)
                if is_active
                else (show.MUTED if name in with_value else show.LINE)
            )
            axis.plot(
                x, y, "o", ms=41, mfc=show.LINE, mec=edge, mew=2.6 if is_active else 1.2, zorder=2
            )
            axis.text(
                x,
                y - 0.11,
                name,
                ha="center",
                va="center",
                fontsize=10.5,
                color=show.MUTED,
                zorder=3,
            )
            if name in with_value:
                axis.text(x, y + 0.14, number(AT[name]), ha="center", color=show.MODEL, **BOLD)
            if name in with_gradient:
                side, align = (-1, "right") if name in ("z₂", "h₂") else (1, "left")
                value = number(GRADIENT[name])
                axis.text(x + 0.4 * side, y + 0.05, value, ha=align, color=show.OTHER, **BOLD)
        for name, (x, y, align) in LABELS.items():
            axis.text(
                x,
                y,
                f"{name} = {number(START[name])}",
                ha=align,
                va="center",
                fontsize=10.5,
                color=show.INK,
            )
            if name in with_gradient:
                value = number(GRADIENT[name])
                axis.text(x, y + 0.22, value, ha=align, color=show.OTHER, **BOLD)
        axis.set(xlim=(-0.35, 4.95), ylim=(4.4, -0.4))
        axis.axis("off")

    def draw_walk(frame):
        direction = "forward" if frame <= 6 else "backward"
        alt = f"Step {frame}, {direction}, at node {FRAMES[frame][0]}"
        colour = "model" if direction == "forward" else "other"
        text = f'<span class="{colour}">{direction}</span>: {FRAMES[frame][3]}'
        return f'<div style="min-height: 56px">{show.caption(text)}</div>' + show.figure(
            lambda figure: graph(figure, frame), alt, (4.7, 4.9)
        )

    show.InteractiveFigure(draw_walk, {"step of the walk": frame})
    return (graph,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    Two rules are enough. **Along a path, derivatives multiply. Where paths meet, gradients add.**
    No weight was nudged. Is the result correct? Compare three ways to compute it: our walk by
    hand, nudging, and torch's own `backward()` on the same network, foveate's `mlp:2`.
    """)
    return


@app.cell
def _(GRADIENT, START, TARGET, X, backward, forward, nudged_slope):
    ORDER = ["w₁", "w₂", "b₁", "b₂", "v₁", "v₂", "c"]  # the order of the network's parameters
    INPUT, TARGET_TENSOR = torch.full((1, 1, 1, 1), X), torch.full((1, 1), TARGET)

    def as_net(w):
        """Build foveate's mlp:2 with these weights."""
        net = points_network("mlp:2", inputs=1, outputs=1)
        nn.utils.vector_to_parameters(
            torch.tensor([float(w[name]) for name in ORDER]), net.parameters()
        )
        return net

    def by_torch(w):
        """The gradient of each weight from torch."""
        net = as_net(w)
        squared_error(net(INPUT), TARGET_TENSOR)["total"].backward()
        grads = nn.utils.parameters_to_vector([one.grad for one in net.parameters()])
        return dict(zip(ORDER, grads.tolist(), strict=True))

    rng = np.random.default_rng(0)
    weight_sets = [START] + [dict(zip(ORDER, rng.normal(0, 1, 7), strict=True)) for _ in range(50)]
    to_torch, to_nudges, closed = 0.0, 0.0, 0
    for _w in weight_sets:
        at, from_torch = forward(_w), by_torch(_w)
        by_hand = backward(_w, at)
        closed += (at["h₁"] == 0) + (at["h₂"] == 0)
        to_torch = max(
            to_torch,
            *(abs(by_hand[name] - from_torch[name]) / (1 + abs(by_hand[name])) for name in ORDER),
        )
        to_nudges = max(
            to_nudges,
            *(abs(by_hand[n] - nudged_slope(_w, n, 1e-6)) / (1 + abs(by_hand[n])) for n in ORDER),
        )
    assert GRADIENT["x"] == -2, "two paths lead to the input, and their gradients add up"
    assert to_torch < 1e-4, "the walk by hand gives torch's gradients"
    assert to_nudges < 1e-3, "it agrees with nudging"
    assert closed > 0, "some of the neurons are closed"
    show.claim(
        "One backward pass computes the gradient of every weight.",
        f"for {len(weight_sets)} networks of 7 weights, the largest relative difference from torch "
        f"is {to_torch:.0e}, from nudging {to_nudges:.0e}.",
    )
    return INPUT, ORDER, TARGET_TENSOR, as_net


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## ReLU stops the gradient

    The activation function `max(0, z)` is a gate. Below zero it is closed: no value passes
    forward, and no gradient passes backward. Change the input and watch a neuron go silent. Its
    weights learn nothing from that example.
    """)
    return


@app.cell
def _():
    x = show.slider([-2, -1, 0, 1, 2, 3, 4, 5], 5)
    return (x,)


@app.cell
def _(START, backward, forward, number, x):
    NEURONS = {"neuron 1": ["w₁", "b₁", "v₁"], "neuron 2": ["w₂", "b₂", "v₂"]}

    def draw_gates(x):
        at = forward(START, x)
        gradient = backward(START, at)

        def draw(figure):
            for axis, (neuron, names), z in zip(
                figure.subplots(1, 2, sharey=True), NEURONS.items(), ("z₁", "z₂"), strict=True
            ):
                sizes = [gradient[name] for name in names]
                axis.bar(names, sizes, color=show.OTHER, width=0.62)
                for place, size in enumerate(sizes):
                    axis.text(
                        place,
                        size,
                        number(round(size, 2) + 0.0),
                        ha="center",
                        va="bottom" if size >= 0 else "top",
                        fontsize=10.5,
                    )
                axis.axhline(0, color=show.MUTED, lw=1)
                axis.set(ylim=(-44, 24), yticks=[])
                axis.grid(visible=False)
                axis.tick_params(labelsize=11)
                is_open = at[z] > 0
                axis.set_title(
                    f"{neuron}: {z} = {number(round(at[z], 2))}\n"
                    + ("open" if is_open else "closed: no gradient"),
                    weight="bold" if not is_open else "normal",
                )

        alt = "; ".join(
            f"{neuron}: " + ", ".join(f"{name} {gradient[name]:g}" for name in names)
            for neuron, names in NEURONS.items()
        )
        return show.figure(draw, f"Gradients at input {x}. {alt}", (4.6, 2.7)) + show.caption(
            'The <span class="other">gradient</span> of each weight of the two hidden neurons.'
        )

    show.InteractiveFigure(draw_gates, {"input x": x})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Now change the weights

    The gradient points uphill. So every weight takes a small step in the opposite direction, all
    at once. The **learning rate** *η* sets how small. Try it: a small step helps. A large one
    overshoots.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>w</i> ← <i>w</i> − <i>η</i> · ∂<i>L</i>/∂<i>w</i>",
        show.source_line(loop.steps, "optimizer.step()"),
    )
    return


@app.cell
def _():
    RATES = [0, 0.005, 0.01, 0.015, 0.018, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    eta = show.slider(RATES, 0.01)
    return (eta,)


@app.cell
def _(GRADIENT, START, eta, forward):
    def after_step(eta):
        """The values of the network after one step with this learning rate."""
        return forward({name: value - eta * GRADIENT[name] for name, value in START.items()})

    def draw_step(eta):
        at = after_step(eta)
        grid = np.linspace(0, 0.08, 161)

        def draw(figure):
            axis = figure.subplots()
            axis.plot(grid, [after_step(one)["L"] for one in grid], color=show.MODEL, lw=2.6)
            axis.plot(eta, at["L"], "o", color=show.OTHER, ms=11)
            axis.axhline(after_step(0)["L"], color=show.MUTED, lw=1, ls=":")
            axis.set(
                xlabel="learning rate η", ylim=(-0.15, None), xticks=[0, 0.02, 0.04, 0.06, 0.08]
            )
            axis.set_title(
                f"after one step: loss {at['L']:.2f}, prediction {at['y']:.2f}", weight="bold"
            )

        alt = (
            f"After one step with rate {eta} the loss is {at['L']:.2f}, "
            f"the prediction {at['y']:.2f}"
        )
        return show.figure(draw, alt, (4.6, 2.7)) + show.caption(
            "The dotted line is the loss before the step. The prediction was 1; the target is 2."
        )

    show.InteractiveFigure(draw_step, {"learning rate η": eta})
    return (after_step,)


@app.cell
def _(INPUT, START, TARGET_TENSOR, after_step, as_net):
    net = as_net(START)
    step = next(
        iter(
            train_steps(
                net,
                squared_error,
                INPUT,
                TARGET_TENSOR,
                count=1,
                lr=0.001,
                optimizer_name="sgd",
                schedule_name="constant",
            )
        )
    )
    with torch.no_grad():
        loss_after = squared_error(net(INPUT), TARGET_TENSOR)["total"].item()
    assert loss_after < step.losses["total"].item(), "one step of foveate's loop lowers the loss"
    assert after_step(0.01)["L"] < 0.5 * after_step(0)["L"], "a step of the right size halves it"
    assert after_step(0.08)["L"] > after_step(0)["L"], "too large a step raises it"
    show.claim(
        "One small step against the gradient lowers the loss. Too large a step does not.",
        f"foveate's loop lowers it from {step.losses['total'].item():.2f} to {loss_after:.2f}; "
        f"by hand it goes to {after_step(0.01)['L']:.2f} with η = 0.01, "
        f"to {after_step(0.08)['L']:.2f} with 0.08.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Why this changed everything

    Nudging needs a forward pass for each weight. Backpropagation needs one backward pass for all
    of them. The chart shows the cost for three of foveate's networks, in forward passes: the
    taller the orange bar, the longer you wait for *one* training step.
    """)
    return


@app.cell
def _():
    def min_seconds(function, repeats=5):
        """The minimum processor time of several runs; other load can only add to it."""
        times = []
        for _ in range(repeats):
            start = process_time()
            function()
            times.append(process_time() - start)
        return min(times)

    COST = {}
    for width in (64, 256, 512):
        _net = points_network(f"mlp:{width}-{width}", inputs=256, outputs=10)
        batch, target = torch.randn(64, 256, 1, 1), torch.randn(64, 10)

        def forward_pass(net=_net, batch=batch):
            with torch.no_grad():
                net(batch)

        def backward_pass(net=_net, batch=batch, target=target):
            squared_error(net(batch), target)["total"].backward()

        forward_pass(), backward_pass()  # the first run of each warms up
        COST[count_parameters(_net)] = min_seconds(backward_pass) / min_seconds(forward_pass)
    return (COST,)


@app.cell
def _(COST):
    def draw_cost(figure):
        axis = figure.subplots()
        at = np.arange(len(COST))
        for shift, sizes, colour in (
            (-0.2, list(COST), show.OTHER),
            (0.2, list(COST.values()), show.MODEL),
        ):
            axis.bar(at + shift, sizes, 0.38, color=colour)
            for place, size in zip(at + shift, sizes, strict=True):
                axis.text(
                    place,
                    size * 1.2,
                    f"{size:,.0f}" if size > 100 else f"{size:.1f}",
                    ha="center",
                    fontsize=10,
                    weight="bold",
                )
        axis.set_yscale("log")
        axis.set(
            ylim=(0.5, 2e7),
            yticks=[],
            xticks=at,
            xticklabels=[f"{count:,}" for count in COST],
            xlabel="weights",
        )
        axis.minorticks_off()
        axis.grid(visible=False)
        axis.set_title("cost of all gradients, in forward passes (logarithmic)")

    show.html(
        show.figure(
            draw_cost,
            "The cost of all gradients in forward passes, by nudging and by backpropagation",
            (4.8, 2.8),
        ),
        show.caption(
            '<span class="other">Nudging</span>: one pass per weight. '
            '<span class="model">Backpropagation</span>: measured.'
        ),
    )
    return


@app.cell
def _(COST):
    worst = max(COST.values())
    assert worst < 25, "backpropagation costs a few forward passes, however many weights there are"
    assert min(COST) > 100 * worst, "nudging costs one forward pass per weight"
    show.claim(
        "All gradients together cost a few forward passes, however many weights there are.",
        "a forward and a backward pass take as long as "
        + ", ".join(
            f"{cost:.1f} forward passes with {count:,} weights" for count, cost in COST.items()
        )
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A gradient is how much the loss changes when one weight changes. Nudging measures it, but
      needs a forward pass for every weight.

    - The chain rule gives all gradients in one walk back: multiply along a path, add where paths
      meet.

    - A small step against the gradient lowers the loss. How small it should be is the next lesson.

    Linnainmaa, "The representation of the cumulative rounding error of an algorithm as a Taylor
    expansion of the local rounding errors", master's thesis, Helsinki, 1970, was the first to
    compute gradients in this way. Rumelhart, Hinton and Williams, "Learning representations by
    back-propagating errors", Nature, 1986, trained networks with it.
    """)
    return


@app.cell(hide_code=True)
def _(GRADIENT):
    def draw_poster(figure):
        axis = figure.subplots()
        at = {
            "x": (0, 0),
            "z₁": (1, 1),
            "z₂": (1, -1),
            "h₁": (2, 1),
            "h₂": (2, -1),
            "y": (3, 0),
            "L": (4, 0),
        }
        for start, end in (
            ("x", "z₁"),
            ("x", "z₂"),
            ("z₁", "h₁"),
            ("z₂", "h₂"),
            ("h₁", "y"),
            ("h₂", "y"),
            ("y", "L"),
        ):
            (x0, y0), (x1, y1) = at[start], at[end]
            arrow = {
                "arrowstyle": "-|>",
                "color": show.OTHER,
                "lw": 1.5 + 1.3 * abs(GRADIENT[start]),
                "mutation_scale": 22,
                "shrinkA": 19,
                "shrinkB": 19,
            }
            axis.annotate("", (x0, y0), (x1, y1), arrowprops=arrow)
        for name, (x, y) in at.items():
            axis.plot(x, y, "o", ms=36, color=show.MODEL, zorder=3)
            axis.text(
                x,
                y,
                name,
                ha="center",
                va="center",
                fontsize=14,
                color="#ffffff",
                weight="bold",
                zorder=4,
            )
        axis.set(xlim=(-0.5, 4.5), ylim=(-1.6, 1.6))
        axis.axis("off")

    poster = show.figure(
        draw_poster, "A small network; arrows carry the gradient backward", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
