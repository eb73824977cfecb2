"""Lesson 6: Who is to blame?

The answer is wrong. Backpropagation tells every weight its share of the blame, in one walk backward.
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
    from foveate.lessons.training import learn, network, squared
    from foveate.models.backbone import parameters
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Who is to blame?

    A network answers 1. It should have said 2. Seven weights took part.
    Which of them should change, which way, and how much?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Nudge it and see

    The honest way to find out: change one weight by a little, *ε*, ask again, and see how the loss changed. How much it changes
    for each bit of nudge is the **gradient** of that weight: the slope of the hill on which it stands.

    Make the nudge smaller, and the orange line through the two points becomes the slope itself.
    """)
    return


@app.cell
def _():
    X, TRUTH = 2.0, 2.0
    START = {"w₁": 0.5, "b₁": 0.5, "w₂": -0.25, "b₂": 1.0, "v₁": 1.0, "v₂": -2.0, "c": 0.5}

    def forward(w, x=X):
        """Every value on the way from the input to the loss."""
        z1, z2 = w["w₁"] * x + w["b₁"], w["w₂"] * x + w["b₂"]
        h1, h2 = max(0.0, z1), max(0.0, z2)
        y = w["v₁"] * h1 + w["v₂"] * h2 + w["c"]
        return {"x": x, "z₁": z1, "z₂": z2, "h₁": h1, "h₂": h2, "y": y, "L": (y - TRUTH) ** 2}

    def backward(w, at):
        """The gradient of the loss at every value and every weight, by the chain rule, from the loss back to the input."""
        g = {"L": 1.0}
        g["y"] = g["L"] * 2 * (at["y"] - TRUTH)
        g["v₁"], g["v₂"], g["c"] = g["y"] * at["h₁"], g["y"] * at["h₂"], g["y"]
        g["h₁"], g["h₂"] = g["y"] * w["v₁"], g["y"] * w["v₂"]
        g["z₁"], g["z₂"] = g["h₁"] * (at["z₁"] > 0), g["h₂"] * (at["z₂"] > 0)
        g["w₁"], g["b₁"], g["w₂"], g["b₂"] = g["z₁"] * at["x"], g["z₁"], g["z₂"] * at["x"], g["z₂"]
        g["x"] = g["z₁"] * w["w₁"] + g["z₂"] * w["w₂"]
        return g

    def nudged(w, name, epsilon):
        """How fast the loss changes when that weight does."""
        return (forward(w | {name: w[name] + epsilon})["L"] - forward(w)["L"]) / epsilon

    def told(value):
        return f"{value:g}".replace("-", "−")

    epsilon = show.slider([0.4, 0.3, 0.2, 0.1, 0.05, 0.01], 0.4)
    weight = mo.ui.radio(["v₁", "w₁", "w₂"], value="v₁", inline=True)
    return START, TRUTH, X, backward, epsilon, forward, nudged, told, weight


@app.cell
def _(START, backward, epsilon, forward, nudged, told, weight):
    def slope(epsilon, weight):
        here, loss, found = START[weight], forward(START)["L"], nudged(START, weight, epsilon)
        true = backward(START, forward(START))[weight]
        along = np.linspace(here - 0.5, here + 0.5, 101)

        def paint(figure):
            axis = figure.subplots()
            axis.plot(
                along,
                [forward(START | {weight: value})["L"] for value in along],
                color=show.MODEL,
                lw=2.6,
            )
            axis.axline((here, loss), slope=found, color=show.OTHER, lw=1.6)
            axis.plot(
                [here, here + epsilon], [loss, loss + found * epsilon], "o", color=show.OTHER, ms=8
            )
            axis.set(
                xlim=(here - 0.5, here + 0.5),
                ylim=(-0.3, 5),
                xlabel=f"weight {weight}",
                yticks=[0, 1, 2, 3, 4],
            )
            axis.set_title(
                f"nudged by {epsilon:g}, the slope is {told(round(found, 2))}", weight="bold"
            )

        words = (
            f"The loss against weight {weight}; a nudge of {epsilon} tells a slope of {found:.2f}"
        )
        return show.image(paint, words, (4.6, 3.0)) + show.caption(
            f'<span class="model">The loss</span>, and <span class="other">what the nudge tells</span>. The true slope is {told(true)}.'
        )

    show.Moving(slope, {"nudge ε": epsilon, "weight": weight})
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
    That works, but each weight needs a question of its own. With seven weights, fine. With seven million, one step of training
    would ask the network seven million times. There is a better way, and it is only one idea.

    ## Blame travels backward

    Think of a chain: a wheel turns a wheel turns a wheel. If the second turns 3 times as fast as the first, and the third twice as
    fast as the second, then the third turns 2 · 3 times as fast as the first. Rates along a chain **multiply**. That is the **chain rule**.

    So walk forward once and write down every value. Then walk back from the loss. At each node, multiply the blame that
    arrives by the **local factor**: how much *this* node's output changes with *its* input. Move the slider, or press play.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "∂<i>L</i>/∂<i>h</i> = ∂<i>L</i>/∂<i>y</i> · ∂<i>y</i>/∂<i>h</i>"
        "<br>blame here = blame that arrives · local factor",
        show.line_of(loop.steps, ".backward()"),
    )
    return


@app.cell
def _(START, TRUTH, backward, forward, told):
    AT = forward(START)
    BLAME = backward(START, AT)

    def told_in(value):
        """In a product, what is below zero stands in brackets."""
        return f"({told(value)})" if value < 0 else told(value)

    a, g, n = told_in, BLAME, START
    # Each frame: the node at work, which values and which gradients it adds to the picture, and its sum in words.
    FRAMES = [
        ("x", ["x"], [], f"An input <i>x</i> = {told(AT['x'])} comes in. The answer should be {told(TRUTH)}."),
        ("z₁", ["z₁"], [], f"z₁ = w₁ · x + b₁ = {a(n['w₁'])} · {a(AT['x'])} + {a(n['b₁'])} = <b>{told(AT['z₁'])}</b>"),
        ("z₂", ["z₂"], [], f"z₂ = w₂ · x + b₂ = {a(n['w₂'])} · {a(AT['x'])} + {a(n['b₂'])} = <b>{told(AT['z₂'])}</b>"),
        ("h₁", ["h₁"], [], f"h₁ = max(0, z₁) = <b>{told(AT['h₁'])}</b>"),
        ("h₂", ["h₂"], [], f"h₂ = max(0, z₂) = <b>{told(AT['h₂'])}</b>"),
        ("y", ["y"], [], f"y = v₁ · h₁ + v₂ · h₂ + c = {a(AT['h₁'])} − 2 · {a(AT['h₂'])} + {a(n['c'])} = <b>{told(AT['y'])}</b>"),
        ("L", ["L"], [], f"L = (y − {told(TRUTH)})² = <b>{told(AT['L'])}</b>. That is how wrong the answer is."),
        ("y", [], ["y"], f"Now back. The square's factor is 2 · (y − {told(TRUTH)}): a larger y would lower the loss."),
        ("v₁", [], ["v₁"], f"v₁ was multiplied by h₁, so that is its factor: {a(g['y'])} · {a(AT['h₁'])}"),
        ("v₂", [], ["v₂"], f"v₂ was multiplied by h₂: {a(g['y'])} · {a(AT['h₂'])}"),
        ("c", [], ["c"], "c was only added. A sum hands the blame on as it is."),
        ("h₁", [], ["h₁"], f"h₁ was multiplied by v₁: {a(g['y'])} · {a(n['v₁'])}"),
        ("h₂", [], ["h₂"], f"h₂ was multiplied by v₂: {a(g['y'])} · {a(n['v₂'])}. The sign turns: less h₂ would help."),
        ("z₁", [], ["z₁"], "max(0, z₁) let its input through, so its factor is 1. Had z₁ been below zero: 0, and no blame at all."),
        ("z₂", [], ["z₂"], "The same here."),
        ("w₁", [], ["w₁", "b₁"], f"w₁ was multiplied by x: {a(g['z₁'])} · {a(AT['x'])}. And b₁ was only added."),
        ("w₂", [], ["w₂", "b₂"], f"w₂ was multiplied by x: {a(g['z₂'])} · {a(AT['x'])}. Every weight now knows its share."),
        ("x", [], ["x"], f"Two paths lead to x. Their blame adds up: {a(g['z₁'])} · {a(n['w₁'])} + {a(g['z₂'])} · {a(n['w₂'])}"),
    ]  # fmt: skip
    moment = show.slider(range(len(FRAMES)), 0)
    return AT, BLAME, FRAMES, moment


@app.cell
def _(AT, BLAME, FRAMES, START, moment, told):
    PLACES = {"x": (2.3, 0.0), "z₁": (1.0, 1.0), "z₂": (3.6, 1.0), "h₁": (1.0, 2.0), "h₂": (3.6, 2.0), "y": (2.3, 3.0), "L": (2.3, 4.0)}  # fmt: skip
    EDGES = [
        ("x", "z₁"),
        ("x", "z₂"),
        ("z₁", "h₁"),
        ("z₂", "h₂"),
        ("h₁", "y"),
        ("h₂", "y"),
        ("y", "L"),
    ]
    LABELS = {"w₁": (1.3, 0.36, "right"), "w₂": (3.3, 0.36, "left"), "b₁": (0.55, 0.98, "right"), "b₂": (4.05, 0.98, "left"), "v₁": (1.2, 2.58, "right"), "v₂": (3.4, 2.58, "left"), "c": (1.85, 3.02, "right")}  # fmt: skip
    STROKES = {"v₁": ("h₁", "y"), "v₂": ("h₂", "y"), "w₁": ("x", "z₁"), "w₂": ("x", "z₂")}

    def graph(figure, moment):
        axis = figure.subplots()
        now, _, fresh, _ = FRAMES[moment]
        known = {name for frame in FRAMES[: moment + 1] for name in frame[1]}
        blamed = {name for frame in FRAMES[: moment + 1] for name in frame[2]}
        back = bool(fresh)
        for start, end in EDGES:
            lit = end == now if not back else start == now or STROKES.get(now) == (start, end)
            colour = (show.OTHER if back else show.MODEL) if lit else show.LINE
            (x0, y0), (x1, y1) = PLACES[start], PLACES[end]
            axis.plot([x0, x1], [y0, y1], color=colour, lw=3.2 if lit else 1.6, zorder=1)
        for name, (x, y) in PLACES.items():
            lit = name == now
            edge = (
                (show.OTHER if back else show.MODEL)
                if lit
                else (show.MUTED if name in known else show.LINE)
            )
            axis.plot(x, y, "o", ms=41, mfc=show.LINE, mec=edge, mew=2.6 if lit else 1.2, zorder=2)
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
            if name in known:
                axis.text(x, y + 0.14, told(AT[name]), ha="center", va="center", fontsize=11.5, weight="bold", color=show.MODEL, zorder=3)  # fmt: skip
            if name in blamed:
                side = -1 if name in ("z₂", "h₂") else 1  # inside the ring
                axis.text(x + 0.4 * side, y + 0.05, told(BLAME[name]), ha="left" if side > 0 else "right", va="center", fontsize=11.5, weight="bold", color=show.OTHER, zorder=3)  # fmt: skip
        for name, (x, y, align) in LABELS.items():
            axis.text(
                x,
                y,
                f"{name} = {told(START[name])}",
                ha=align,
                va="center",
                fontsize=10.5,
                color=show.INK,
            )
            if name in blamed:
                axis.text(x, y + 0.22, told(BLAME[name]), ha=align, va="center", fontsize=11.5, weight="bold", color=show.OTHER)  # fmt: skip
        axis.set(xlim=(-0.35, 4.95), ylim=(4.4, -0.4))
        axis.axis("off")

    def walk(moment):
        way = "forward" if moment <= 6 else "backward"
        words = f"Step {moment}, {way}, at node {FRAMES[moment][0]}"
        text = f'<span class="{"model" if way == "forward" else "other"}">{way}</span>: {FRAMES[moment][3]}'
        return f'<div style="min-height: 56px">{show.caption(text)}</div>' + show.image(
            lambda figure: graph(figure, moment), words, (4.7, 4.9)
        )

    show.Moving(walk, {"moment": moment})
    return (graph,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    Two rules did it all. **Along a path, factors multiply. Where paths meet, they add.** No weight was nudged.
    Is it true? Ask three witnesses: our walk by hand, nudging, and torch's own `backward()` on the same network, foveate's `mlp:2`.
    """)
    return


@app.cell
def _(BLAME, START, TRUTH, X, backward, forward, nudged):
    ORDER = ["w₁", "w₂", "b₁", "b₂", "v₁", "v₂", "c"]  # as the net holds them
    INPUT, WANTED = torch.full((1, 1, 1, 1), X), torch.full((1, 1), TRUTH)

    def as_net(w):
        """foveate's mlp:2 with these weights."""
        net = network("mlp:2", inputs=1, outputs=1)
        nn.utils.vector_to_parameters(
            torch.tensor([float(w[name]) for name in ORDER]), net.parameters()
        )
        return net

    def by_torch(w):
        """The gradient of each weight, from torch's backward."""
        net = as_net(w)
        squared(net(INPUT), WANTED)["total"].backward()
        grads = nn.utils.parameters_to_vector([one.grad for one in net.parameters()])
        return dict(zip(ORDER, grads.tolist(), strict=True))

    rng = np.random.default_rng(0)
    tried = [START] + [dict(zip(ORDER, rng.normal(0, 1, 7), strict=True)) for _ in range(50)]
    to_torch, to_nudges, shut = 0.0, 0.0, 0
    for _w in tried:
        at, theirs = forward(_w), by_torch(_w)
        mine = backward(_w, at)
        shut += (at["h₁"] == 0) + (at["h₂"] == 0)
        to_torch = max(
            to_torch, *(abs(mine[name] - theirs[name]) / (1 + abs(mine[name])) for name in ORDER)
        )
        to_nudges = max(
            to_nudges, *(abs(mine[n] - nudged(_w, n, 1e-6)) / (1 + abs(mine[n])) for n in ORDER)
        )
    assert BLAME["x"] == -2, "two paths lead to the input, and their blame adds up"
    assert to_torch < 1e-4, "walking back by hand gives torch's gradients"
    assert to_nudges < 1e-3, "it gives what nudging tells"
    assert shut > 0, "some of the neurons tried are shut"
    show.headline(
        "One walk backward finds the gradient of every weight.",
        f"{len(tried)} networks of 7 weights, the largest relative difference to torch is {to_torch:.0e}, to nudging {to_nudges:.0e}.",
    )
    return INPUT, ORDER, WANTED, as_net


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A shut gate passes nothing

    Our `max(0, z)` is a gate. Below zero it is shut: nothing goes through forward, and no blame comes through backward.
    Change the input and watch a neuron fall silent. Its weights learn nothing from that example.
    """)
    return


@app.cell
def _():
    x = show.slider([-2, -1, 0, 1, 2, 3, 4, 5], 5)
    return (x,)


@app.cell
def _(START, backward, forward, told, x):
    NEURONS = {"neuron 1": ["w₁", "b₁", "v₁"], "neuron 2": ["w₂", "b₂", "v₂"]}

    def gates(x):
        at = forward(START, x)
        blame = backward(START, at)

        def paint(figure):
            for axis, (neuron, names), z in zip(
                figure.subplots(1, 2, sharey=True), NEURONS.items(), ("z₁", "z₂"), strict=True
            ):
                sizes = [blame[name] for name in names]
                axis.bar(names, sizes, color=show.OTHER, width=0.62)
                for place, size in enumerate(sizes):
                    axis.text(
                        place,
                        size,
                        told(round(size, 2) + 0.0),
                        ha="center",
                        va="bottom" if size >= 0 else "top",
                        fontsize=10.5,
                    )
                axis.axhline(0, color=show.MUTED, lw=1)
                axis.set(ylim=(-44, 24), yticks=[])
                axis.grid(visible=False)
                axis.tick_params(labelsize=11)
                open_ = at[z] > 0
                axis.set_title(
                    f"{neuron}: {z} = {told(round(at[z], 2))}\n{'open' if open_ else 'shut: no blame'}",
                    weight="bold" if not open_ else "normal",
                )

        words = "; ".join(
            f"{neuron}: " + ", ".join(f"{name} {blame[name]:g}" for name in names)
            for neuron, names in NEURONS.items()
        )
        return show.image(paint, f"Gradients at input {x}. {words}", (4.6, 2.7)) + show.caption(
            'The <span class="other">gradient</span> of each weight of the two hidden neurons.'
        )

    show.Moving(gates, {"input x": x})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Now change the weights

    Blame says which way is uphill. So every weight takes a small step the other way, all at once. How small? *η* is the
    **learning rate**. Try it: a small step helps. A large one overshoots.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>w</i> ← <i>w</i> − <i>η</i> · ∂<i>L</i>/∂<i>w</i>",
        show.line_of(loop.steps, "optimizer.step()"),
    )
    return


@app.cell
def _():
    RATES = [0, 0.005, 0.01, 0.015, 0.018, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    eta = show.slider(RATES, 0.01)
    return (eta,)


@app.cell
def _(BLAME, START, eta, forward):
    def after(eta):
        """What the network computes after one step of that size."""
        return forward({name: value - eta * BLAME[name] for name, value in START.items()})

    def stepped(eta):
        at = after(eta)
        along = np.linspace(0, 0.08, 161)

        def paint(figure):
            axis = figure.subplots()
            axis.plot(along, [after(one)["L"] for one in along], color=show.MODEL, lw=2.6)
            axis.plot(eta, at["L"], "o", color=show.OTHER, ms=11)
            axis.axhline(after(0)["L"], color=show.MUTED, lw=1, ls=":")
            axis.set(
                xlabel="learning rate η", ylim=(-0.15, None), xticks=[0, 0.02, 0.04, 0.06, 0.08]
            )
            axis.set_title(
                f"loss after one step: {at['L']:.2f}, answer {at['y']:.2f}", weight="bold"
            )

        words = (
            f"After one step with rate {eta} the loss is {at['L']:.2f} and the answer {at['y']:.2f}"
        )
        return show.image(paint, words, (4.6, 2.7)) + show.caption(
            "The dotted line is the loss before the step. The answer was 1, it should be 2."
        )

    show.Moving(stepped, {"learning rate η": eta})
    return (after,)


@app.cell
def _(INPUT, START, WANTED, after, as_net):
    learnt = as_net(START)
    before = next(
        iter(learn(learnt, squared, INPUT, WANTED, count=1, lr=0.001, name="sgd", rates="constant"))
    )
    with torch.no_grad():
        then = squared(learnt(INPUT), WANTED)["total"].item()
    assert then < before.losses["total"].item(), "one update by foveate's loop lowers the loss"
    assert after(0.01)["L"] < 0.5 * after(0)["L"], "a step of the right size halves it"
    assert after(0.08)["L"] > after(0)["L"], "too large a step makes it worse"
    show.headline(
        "One small step against the gradient lowers the loss. Too large a step does not.",
        f"by foveate's loop, from {before.losses['total'].item():.2f} to {then:.2f}; by hand with η = 0.01 to {after(0.01)['L']:.2f}, with 0.08 to {after(0.08)['L']:.2f}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Why this changed everything

    Nudging asks once for each weight. Walking back asks once, for all of them. Here is how long it takes on foveate's networks,
    in forward passes: the taller the orange bar, the longer you wait for *one* step of training.
    """)
    return


@app.cell
def _():
    def seconds(work, repeats=5):
        """The least processor time of some tries: what else the machine does only adds to it."""
        found = []
        for _ in range(repeats):
            start = process_time()
            work()
            found.append(process_time() - start)
        return min(found)

    COST = {}
    for width in (64, 256, 512):
        wide = network(f"mlp:{width}-{width}", inputs=256, outputs=10)
        batch, target = torch.randn(64, 256, 1, 1), torch.randn(64, 10)

        def ask(wide=wide, batch=batch):
            with torch.no_grad():
                wide(batch)

        def walk_back(wide=wide, batch=batch, target=target):
            squared(wide(batch), target)["total"].backward()

        ask(), walk_back()  # the first of each warms up
        COST[parameters(wide)] = seconds(walk_back) / seconds(ask)
    return (COST,)


@app.cell
def _(COST):
    def compared(figure):
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

    show.show(
        show.image(
            compared,
            "Forward passes that all gradients cost, by nudging and by walking back",
            (4.8, 2.8),
        ),
        show.caption(
            '<span class="other">By nudging</span>: one a weight. <span class="model">Walking back</span>: measured.'
        ),
    )
    return


@app.cell
def _(COST):
    worst = max(COST.values())
    assert worst < 25, "backpropagation costs a few forward passes, however many weights there are"
    assert min(COST) > 100 * worst, "nudging costs one for each weight"
    show.headline(
        "All gradients together cost a few forward passes, however many weights there are.",
        "there and back takes as long as "
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

    - A gradient is how much the loss changes when one weight does. Nudging shows it, but asks once for every weight.
    - The chain rule gives all gradients in one walk back: multiply along a path, add where paths meet.
    - A small step against the gradient lowers the loss. How small it should be is the next lesson.

    Linnainmaa, "The representation of the cumulative rounding error of an algorithm as a Taylor expansion of the local rounding
    errors", master's thesis, Helsinki, 1970, was the first to compute gradients so. Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
    Nature, 1986, taught networks by it.
    """)
    return


@app.cell(hide_code=True)
def _(BLAME):
    def on_the_index(figure):
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
                "lw": 1.5 + 1.3 * abs(BLAME[start]),
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

    poster = show.image(
        on_the_index, "A small network; arrows carry the blame backward", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
