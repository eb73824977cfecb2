"""Lesson 7: Downhill, one step at a time

Steps too long fly off, steps too short never arrive: learning rate, momentum, Adam and schedules on one map.
"""

import marimo

app = marimo.App(app_title="Downhill, one step at a time", css_file="style.css")

with app.setup:
    from itertools import count as every

    import marimo as mo
    import numpy as np
    import torch
    from torch import nn

    from foveate.errors import Diverged
    from foveate.lessons import drawings as show
    from foveate.lessons.training import as_input, cross_entropy, digits, learn, seeing
    from foveate.training import loop, lr_finder, optim, schedule


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Downhill, one step at a time

    You stand on a hillside in thick fog and want to reach the bottom of the valley. All you can feel is the slope under your feet.
    So you take a step downhill, feel again, and take another. That is how every network learns.

    One question remains, and it decides everything: **how long should a step be?**
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Too short, too long, just right

    The height is the loss, the place is the weight. The step is the slope times the **learning rate** *η*: on steep ground
    you go far, on flat ground hardly at all. Move *η* and watch twelve steps. Where do they begin to fly off?
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
    class Place(nn.Module):
        """A net without inputs: its only weights are where we stand."""

        def __init__(self, start):
            super().__init__()
            self.at = nn.Parameter(torch.tensor(start, dtype=torch.float32))

        def forward(self):
            return self.at

    def walked(height, start, name, lr, count, rates="constant", noise=0.0):
        """Every place on the way, by foveate's own loop and optimizer: (up to count + 1, *start's shape).

        name: of foveate's optimizers, or "plain": sgd without its momentum; noise: of the slope that is felt
        """
        net, factor = Place(start), schedule.schedule(rates)
        chosen = optim.optimizer("sgd" if name == "plain" else name, net, lr=lr, weight_decay=0.0)
        if name == "plain":
            for group in chosen.param_groups:
                group.update(momentum=0.0, nesterov=False)
        felt = (
            np.random.default_rng(0).normal(0, noise, (count, *np.shape(start))).astype(np.float32)
        )
        batches = (((), torch.from_numpy(wrong)) for wrong in felt)

        def loss(at, wrong):
            return {"total": height(at) + (wrong * at).sum()}

        path = [net.at.detach().numpy().copy()]
        for _ in loop.steps(net, loss, batches, chosen, lambda step: factor((step + 0.5) / count)):
            path.append(net.at.detach().numpy().copy())
            if np.abs(path[-1]).max() > 1e6:
                break  # it flew off, and soon would be no number
        return np.stack(path)

    eta = show.slider([0.03, 0.1, 0.3, 0.6, 1.0, 1.4, 1.8, 1.95, 2.05, 2.2], 0.3)
    return eta, walked


@app.cell
def _(eta, walked):
    def bowl(at):
        """Of curvature 1."""
        return 0.5 * at.square().sum()

    def hops(eta):
        path = walked(bowl, [-1.0], "plain", eta, 12)[:, 0]
        size = abs(path)
        if size[-1] > 1:
            says = "flies off"
        elif size[-1] > 0.3:
            says = "crawls" if eta < 1 else "swings on and on"
        else:
            says = "arrives"

        def paint(figure):
            axis = figure.subplots()
            along = np.linspace(-2.2, 2.2, 121)
            axis.plot(along, along**2 / 2, color=show.MODEL, lw=2.6)
            seen = path[size < 2.3]
            axis.plot(seen, seen**2 / 2, "o-", color=show.OTHER, ms=7, lw=1.3, alpha=0.9)
            axis.plot(path[0], path[0] ** 2 / 2, "o", color=show.INK, ms=10)
            axis.set(xlim=(-2.2, 2.2), ylim=(-0.12, 2.4), xlabel="weight w", yticks=[])
            axis.set_title(f"η = {eta:g}: {says}", weight="bold")

        return show.image(
            paint, f"Twelve steps with a rate of {eta} in a bowl: it {says}", (4.6, 2.8)
        )

    show.Moving(hops, {"learning rate η": eta})
    return (bowl,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    There is a sharp edge. In a bowl of **curvature** *k* each step multiplies the distance to the bottom by 1 − *ηk*. As soon as
    that number is below −1, every step lands farther out than the last. Twice the curvature, half the rate.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "it arrives only if &nbsp;<i>η</i> &lt; 2 / <i>k</i>",
        "w = w - eta * k * w   # = (1 - eta * k) * w",
    )
    return


@app.cell
def _(walked):
    left = {"0.01": [], "0.95": [], "1.05": []}
    for k in (0.5, 1.0, 4.0, 40.0):
        for share, found in left.items():
            _path = walked(
                lambda at, k=k: 0.5 * k * at.square().sum(),
                [-1.0],
                "plain",
                float(share) * 2 / k,
                100,
            )
            found.append(abs(float(_path[-1, 0])))
            if share == "0.01":
                covered = 1 - abs(float(_path[12, 0]))
                assert covered < 0.3, (
                    "a hundredth of the limit covers little of the way in 12 steps"
                )
    assert max(left["0.95"]) < 1e-3, "just below 2 / curvature it arrives"
    assert min(left["1.05"]) > 1e3, "just above 2 / curvature it flies off"
    show.headline(
        "The longest step that arrives is set by the curvature: 2 / <i>k</i>.",
        f"four curvatures: 5% below the limit {max(left['0.95']):.0e} of the way is left after 100 steps, "
        f"5% above it {min(left['1.05']):,.0f} times the way; a hundredth of the limit covers {covered:.0%} in 12 steps.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The narrow valley

    Real losses are not bowls. They curve sharply one way and gently another, like a long narrow valley. The steep walls allow short steps
    only. The flat floor would need long ones. One rate has to serve both.

    Two ideas help. **Momentum** (Polyak, 1964) is a heavy ball: it remembers its way, so swings from wall to wall cancel and
    steps along the floor add up. **Adam** (Kingma and Ba, 2015) gives each weight a step length of its own, by how large its slopes
    usually are. All three start at the black dot and take 60 steps.
    """)
    return


@app.cell
def _():
    RATES = [0.0003, 0.001, 0.003, 0.006, 0.01, 0.014, 0.019, 0.021, 0.1, 0.3]
    NAMES = {"plain": "plain", "momentum": "sgd", "Adam": "adam"}
    rate = show.slider(RATES, 0.019)
    which = mo.ui.radio(NAMES, value="plain", inline=True)
    return NAMES, RATES, rate, which


@app.cell
def _(NAMES, RATES, walked):
    TURN = np.deg2rad(25)
    AXES = torch.tensor(
        [[np.cos(TURN), np.sin(TURN)], [-np.sin(TURN), np.cos(TURN)]], dtype=torch.float32
    )
    CURVATURES = torch.tensor([1.0, 100.0])  # along the floor, and up the walls
    FROM = (torch.tensor([-4.0, 0.55]) @ AXES).tolist()
    FAR = float(np.hypot(*FROM))

    def valley(at):
        """(..., 2) -> the height there."""
        return 0.5 * ((at @ AXES.T).square() * CURVATURES).sum()

    PATHS = {
        (name, lr): walked(valley, FROM, name, lr, 60) for name in NAMES.values() for lr in RATES
    }
    LEFT = {key: float(np.linalg.norm(path[-1])) / FAR for key, path in PATHS.items()}
    return AXES, CURVATURES, FAR, FROM, LEFT, PATHS, valley


@app.cell
def _(AXES, CURVATURES, LEFT, PATHS, rate, which):
    def terrain(axis, window=(-4.6, 1.6, -3.0, 1.5)):
        across, up = np.meshgrid(np.linspace(*window[:2], 90), np.linspace(*window[2:], 90))
        places = torch.tensor(np.stack([across, up], -1), dtype=torch.float32)
        heights = 0.5 * ((places @ AXES.T).square() * CURVATURES).sum(-1).numpy()
        axis.contour(
            across,
            up,
            heights,
            levels=[0.3, 2, 8, 20, 50, 100, 200],
            colors=[show.MUTED],
            linewidths=0.8,
        )
        axis.plot(0, 0, "*", color=show.MODEL, ms=17, zorder=5)
        axis.set(xlim=window[:2], ylim=window[2:])
        show.bare(axis)

    def trail(axis, path, size=4.5, width=1.6):
        near = np.flatnonzero(np.abs(path).max(1) > 12)
        seen = path[: near[0] + 1] if len(near) else path
        axis.plot(*seen.T, "o-", color=show.OTHER, ms=size, lw=width, clip_on=True, zorder=4)
        axis.plot(*path[0], "o", color=show.INK, ms=10, zorder=6)

    def route(rate, which):
        path, rest = PATHS[which, rate], LEFT[which, rate]
        says = (
            "it flew off"
            if rest > 1.5
            else f"{rest:.0%} of the way is left"
            if rest >= 0.005
            else "it is there"
        )

        def paint(figure):
            axis = figure.subplots()
            terrain(axis)
            trail(axis, path)
            axis.set_title(f"after 60 steps {says}", weight="bold")

        return show.image(
            paint,
            f"The way of {which} with a rate of {rate} down a narrow valley: {says}",
            (4.6, 3.4),
        )

    show.Moving(route, {"learning rate η": rate, "method": which})
    return terrain, trail


@app.cell(hide_code=True)
def _():
    show.formula(
        "momentum: &nbsp;<i>v</i> ← 0.9 <i>v</i> + <i>g</i><br><i>w</i> ← <i>w</i> − <i>η</i> <i>v</i><br>"
        "Adam: &nbsp;<i>w</i> ← <i>w</i> − <i>η</i> · mean(<i>g</i>) / √mean(<i>g</i>²)",
        show.line_of(optim.optimizer, "torch.optim.SGD(groups")
        + "\n"
        + show.line_of(optim.optimizer, "torch.optim.Adam if"),
    )
    return


@app.cell
def _(LEFT, NAMES, RATES):
    best = {told: min((LEFT[name, lr], lr) for lr in RATES) for told, name in NAMES.items()}
    limit = 2 / 100
    assert LEFT["plain", 0.021] > 1.5 > 1 > LEFT["plain", 0.019], (
        "the steep walls set the limit, 2 / 100"
    )
    assert LEFT["plain", 0.001] > 0.9, "too low a rate covers less than a tenth of the way"
    assert best["momentum"][0] < 0.5 * best["plain"][0], "momentum gets farther than plain descent"
    assert best["Adam"][0] < 0.5 * best["plain"][0], "so does Adam"
    show.headline(
        "In a narrow valley, momentum and Adam get farther.",
        "each with the best of these rates has left, after 60 steps: "
        + ", ".join(
            f"{told} {rest:.1%} of the way (η = {lr:g})" for told, (rest, lr) in best.items()
        )
        + f". Above {limit:g} the plain steps fly off.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The ground shakes

    The true slope is a mean over all pictures. Nobody can afford that at each step, so a few pictures, a **batch**, must do. Their slope
    is right on average and wrong each time. That is the *stochastic* in stochastic gradient descent.

    With steps of one length you come near the bottom soon, and then stagger about it for ever. Robbins and Monro showed in 1951 what
    helps: make the steps smaller as you go. A rule for that is a **schedule**.
    """)
    return


@app.cell
def _():
    plan = mo.ui.radio(list(schedule.SCHEDULES), value="constant", inline=True)
    peak = show.slider([0.05, 0.1, 0.2, 0.4, 0.8], 0.4)
    return peak, plan


@app.cell
def _(bowl, peak, plan, walked):
    START = np.tile(
        np.array([-3.0, 1.2], np.float32), (100, 1)
    )  # a hundred walkers at once; the first is drawn
    NOISY = {
        (lr, rates): walked(bowl, START.tolist(), "plain", lr, 80, rates, noise=1.0)
        for lr in (0.05, 0.1, 0.2, 0.4, 0.8)
        for rates in schedule.SCHEDULES
    }
    AWAY = {key: float(np.linalg.norm(path[-1], axis=1).mean()) for key, path in NOISY.items()}

    def staggered(peak, plan):
        path = NOISY[peak, plan][:, 0]

        def paint(figure):
            factors, axis = figure.subplots(1, 2, width_ratios=(1, 1.9))
            progress = np.linspace(0.001, 0.999, 120)
            factors.plot(
                progress,
                [peak * schedule.SCHEDULES[plan](one) for one in progress],
                color=show.MODEL,
                lw=2.4,
            )
            factors.set(ylim=(0, 0.85), xticks=[0, 1], xticklabels=["start", "end"])
            factors.set_title("learning rate")
            angle = np.linspace(0, 2 * np.pi, 80)
            for radius in (0.4, 1, 2, 3):
                axis.plot(radius * np.cos(angle), radius * np.sin(angle), color=show.MUTED, lw=0.8)
            axis.plot(*path.T, "o-", color=show.OTHER, ms=3.5, lw=1, alpha=0.8)
            axis.plot(*path[0], "o", color=show.INK, ms=9)
            axis.plot(0, 0, "*", color=show.MODEL, ms=15, zorder=5)
            axis.plot(*path[-1], "o", mfc="none", mec=show.INK, mew=2.2, ms=12, zorder=6)
            axis.set(xlim=(-3.4, 2), ylim=(-2.2, 2.2), aspect="equal")
            show.bare(axis, f"on average {AWAY[peak, plan]:.2f} away")

        words = f"80 noisy steps with the {plan} schedule at a peak of {peak} end {AWAY[peak, plan]:.2f} away on average"
        return show.image(paint, words, (5.0, 2.6)) + show.caption(
            "The ring is where the last step ended. The mean is over 100 walks."
        )

    show.Moving(staggered, {"peak rate": peak, "schedule": plan})
    return (AWAY,)


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>η</i>(<i>p</i>) = <i>η</i><sub>peak</sub> · (1 + cos π<i>p</i>) / 2<br>after a short warm-up",
        show.line_of(schedule.cosine, "return 0.5"),
    )
    return


@app.cell
def _(AWAY):
    for falling in ("cosine", "one-cycle"):
        assert AWAY[0.4, falling] < 0.7 * AWAY[0.4, "constant"], (
            "a rate that falls ends nearer to the bottom"
        )
    assert AWAY[0.8, "constant"] > AWAY[0.2, "constant"], (
        "the longer the steps, the wider they stagger"
    )
    show.headline(
        "With noisy slopes, steps that shrink end closer to the bottom.",
        "at a peak of 0.4, mean distance after 80 steps: "
        + ", ".join(f"{name} {AWAY[0.4, name]:.2f}" for name in schedule.SCHEDULES)
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Find the rate without guessing

    Nobody knows the curvature of a real network. Leslie Smith's **range test** (2017) asks the network itself: train a copy for 100 steps while the
    rate grows from far too small to far too large. The loss falls, then blows up. With
    `--lr find` foveate takes a tenth of the rate at the lowest point.

    Left, the test on a small network that reads digits. Right, a fresh network trained for 60 steps with *your* rate.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>η</i> = <i>η</i><sub>lowest</sub> / 10",
        show.line_of(lr_finder.find_lr, "return Found(")
        .split(", rates")[0]
        .replace("return Found(", "suggestion = "),
    )
    return


@app.cell
def _():
    images, labels = digits()
    INPUTS, TRUTH = as_input(images[:1000]), torch.from_numpy(labels[:1000])

    def batches():
        for epoch in every():
            order = torch.randperm(1000, generator=torch.Generator().manual_seed(epoch))
            for rows in order.split(50):
                yield (INPUTS[rows],), TRUTH[rows]

    FOUND = lr_finder.find_lr(
        seeing("mlp:64", images),
        cross_entropy,
        batches,
        lambda net, lr: optim.optimizer("sgd", net, lr=lr, weight_decay=0.0),
    )

    def trained(lr):
        """The loss of each of 60 steps, as long as it is a number."""
        losses = []
        try:
            for step in learn(
                seeing("mlp:64", images),
                cross_entropy,
                INPUTS,
                TRUTH,
                count=60,
                lr=lr,
                batch=50,
                name="sgd",
                rates="constant",
            ):
                losses.append(step.losses["total"].item())
        except Diverged:
            pass
        return losses

    TRIED = [0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    RUNS = {lr: trained(lr) for lr in [*TRIED, FOUND.suggestion]}
    yours = show.slider(TRIED, 0.001)
    return FOUND, RUNS, yours


@app.cell
def _(FOUND, RUNS, yours):
    def range_test(axis, lw=2.4):
        axis.plot(FOUND.rates, FOUND.losses, color=show.MODEL, lw=lw)
        axis.set_xscale("log")
        axis.set(ylim=(0, 4), xticks=[1e-4, 1e-2, 1], xticklabels=["10⁻⁴", "10⁻²", "1"])
        axis.minorticks_off()

    def tested(yours):
        run = np.array(RUNS[yours])
        end = float(run[-10:].mean())

        def paint(figure):
            test, curve = figure.subplots(1, 2, sharey=True)
            range_test(test)
            test.axvline(yours, color=show.OTHER, lw=2)
            test.axvline(FOUND.suggestion, color=show.MODEL, lw=1.2, ls=":")
            test.set(xlabel="learning rate", title="range test: loss")
            curve.plot(run, color=show.OTHER, lw=2)
            curve.set(xlabel="step", xlim=(0, 60))
            curve.set_title(
                f"at the end {end:.2f}" if end < 100 else "far above the picture", weight="bold"
            )

        words = f"The range test suggests {FOUND.suggestion}; 60 steps with {yours} end at a loss of {end:.2f}"
        return show.image(paint, words, (4.9, 2.6)) + show.caption(
            f'<span class="other">Your rate</span>, and <span class="model">the range test</span>; dotted: what it suggests, {FOUND.suggestion:g}.'
        )

    show.Moving(tested, {"your rate": yours})
    return (range_test,)


@app.cell
def _(FOUND, RUNS):
    ends = {lr: float(np.mean(run[-10:])) for lr, run in RUNS.items()}
    assert 0.001 < FOUND.suggestion < 1, (
        "the range test suggests a rate between crawling and flying off"
    )
    assert ends[FOUND.suggestion] < 0.5 * ends[0.001], (
        "with it the loss falls much faster than with too low a rate"
    )
    assert ends[FOUND.suggestion] < 0.5 * ends[10], "with too high a rate it does not fall"
    show.headline(
        "The range test finds a rate that works.",
        f"60 steps with the suggested {FOUND.suggestion:g} end at a loss of {ends[FOUND.suggestion]:.2f}, with 0.001 at {ends[0.001]:.2f}, with 10 at {ends[10]:.3g}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - The learning rate has a sharp limit, set by the steepest curve of the ground. Far below it you crawl.
    - Momentum and Adam make one rate serve steep walls and flat floors.
    - Slopes from a few pictures are noisy, so steps shrink toward the end. If you don't know the rate, `--lr find` does.

    Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847. Robbins and Monro, "A stochastic
    approximation method", 1951. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964 (foveate's `sgd` has the
    variant of Nesterov, 1983). Kingma and Ba, "Adam", 2015. Smith, "Cyclical learning rates for training neural networks", 2017.
    """)
    return


@app.cell(hide_code=True)
def _(PATHS, terrain, trail):
    def on_the_index(figure):
        axis = figure.subplots()
        terrain(axis, (-4.4, 1.2, -2.8, 1.0))
        trail(axis, PATHS["plain", 0.019], size=6, width=2.2)

    poster = show.image(
        on_the_index, "Steps that swing from wall to wall down a narrow valley", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
