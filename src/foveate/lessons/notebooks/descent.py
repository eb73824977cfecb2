"""Lesson 7: Downhill, one step at a time

Long steps diverge, short ones never arrive: learning rate, momentum, Adam and schedules on one map.
"""

import marimo

app = marimo.App(app_title="Downhill, one step at a time", css_file="style.css")

with app.setup:
    from itertools import count as count_epochs

    import marimo as mo
    import numpy as np
    import torch
    from torch import nn

    from foveate.errors import Diverged
    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        cross_entropy,
        digit_classifier,
        load_digits,
        to_tensor,
        train_steps,
    )
    from foveate.training import loop, lr_finder, optim, schedule


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Downhill, one step at a time

    You stand on a hillside in thick fog and want to reach the bottom of the valley. All you can
    feel is the slope under your feet. So you take a step downhill, feel again, and take another.
    Every network learns in this way.

    One question decides everything: **how long should a step be?**
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Too short, too long, just right

    The height is the loss, and the position is the weight. The step is the slope times the
    **learning rate** *η*: on steep ground you go far, on flat ground hardly at all. Move *η* and
    watch twelve steps. Where do they begin to diverge?
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
    class Position(nn.Module):
        """A network without inputs; its weights are the current position."""

        def __init__(self, start):
            super().__init__()
            self.at = nn.Parameter(torch.tensor(start, dtype=torch.float32))

        def forward(self):
            return self.at

    def descend(loss_at, start, name, lr, count, schedule_name="constant", noise=0.0):
        """Run foveate's loop and optimizer; the positions are (up to count + 1, *start's shape).

        name: one of foveate's optimizers, or "plain", sgd without momentum
        noise: standard deviation of the noise that is added to each gradient
        """
        net, factor = Position(start), schedule.schedule(schedule_name)
        optimizer = optim.optimizer(
            "sgd" if name == "plain" else name, net, lr=lr, weight_decay=0.0
        )
        if name == "plain":
            for group in optimizer.param_groups:
                group.update(momentum=0.0, nesterov=False)
        gradient_noise = (
            np.random.default_rng(0).normal(0, noise, (count, *np.shape(start))).astype(np.float32)
        )
        batches = (((), torch.from_numpy(noise_vector)) for noise_vector in gradient_noise)

        def loss(at, noise_vector):
            return {"total": loss_at(at) + (noise_vector * at).sum()}

        path = [net.at.detach().numpy().copy()]
        for _ in loop.steps(
            net, loss, batches, optimizer, lambda step: factor((step + 0.5) / count)
        ):
            path.append(net.at.detach().numpy().copy())
            if np.abs(path[-1]).max() > 1e6:
                break  # it diverged, and would soon overflow
        return np.stack(path)

    eta = show.slider([0.03, 0.1, 0.3, 0.6, 1.0, 1.4, 1.8, 1.95, 2.05, 2.2], 0.3)
    return eta, descend


@app.cell
def _(eta, descend):
    def bowl(at):
        """A loss of curvature 1."""
        return 0.5 * at.square().sum()

    def draw_steps(eta):
        path = descend(bowl, [-1.0], "plain", eta, 12)[:, 0]
        distance = abs(path)
        if distance[-1] > 1:
            outcome = "diverges"
        elif distance[-1] > 0.3:
            outcome = "crawls" if eta < 1 else "keeps oscillating"
        else:
            outcome = "converges"

        def draw(figure):
            axis = figure.subplots()
            grid = np.linspace(-2.2, 2.2, 121)
            axis.plot(grid, grid**2 / 2, color=show.MODEL, lw=2.6)
            visible = path[distance < 2.3]
            axis.plot(visible, visible**2 / 2, "o-", color=show.OTHER, ms=7, lw=1.3, alpha=0.9)
            axis.plot(path[0], path[0] ** 2 / 2, "o", color=show.INK, ms=10)
            axis.set(xlim=(-2.2, 2.2), ylim=(-0.12, 2.4), xlabel="weight w", yticks=[])
            axis.set_title(f"η = {eta:g}: {outcome}", weight="bold")

        return show.figure(
            draw, f"Twelve steps with a learning rate of {eta} in a bowl: it {outcome}", (4.6, 2.8)
        )

    show.InteractiveFigure(draw_steps, {"learning rate η": eta})
    return (bowl,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    There is a sharp limit. In a bowl of **curvature** *k*, each step multiplies the distance to
    the bottom by 1 − *ηk*. As soon as that factor is below −1, every step lands farther out than
    the last. Twice the curvature allows half the rate.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "it converges only if &nbsp;<i>η</i> &lt; 2 / <i>k</i>",
        "w = w - eta * k * w   # = (1 - eta * k) * w",
    )
    return


@app.cell
def _(descend):
    remaining = {"0.01": [], "0.95": [], "1.05": []}
    for k in (0.5, 1.0, 4.0, 40.0):
        for fraction, distances in remaining.items():
            _path = descend(
                lambda at, k=k: 0.5 * k * at.square().sum(),
                [-1.0],
                "plain",
                float(fraction) * 2 / k,
                100,
            )
            distances.append(abs(float(_path[-1, 0])))
            if fraction == "0.01":
                covered = 1 - abs(float(_path[12, 0]))
                assert covered < 0.3, (
                    "a hundredth of the limit covers little of the distance in 12 steps"
                )
    assert max(remaining["0.95"]) < 1e-3, "just below 2 / curvature it converges"
    assert min(remaining["1.05"]) > 1e3, "just above 2 / curvature it diverges"
    show.claim(
        "The curvature <i>k</i> limits the learning rate to 2 / <i>k</i>.",
        f"5% below the limit {max(remaining['0.95']):.0e} of the distance remains "
        "after 100 steps at each of four curvatures, 5% above it "
        f"{min(remaining['1.05']):,.0f} times the distance; "
        f"a hundredth of the limit covers {covered:.0%} in 12 steps.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The narrow valley

    Real losses are not round bowls. They curve sharply in one direction and gently in another,
    like a long narrow valley. The steep walls allow only short steps. The flat floor would need
    long ones. One learning rate has to serve both.

    Two ideas help. **Momentum** (Polyak, 1964) is a heavy ball: it remembers its direction, so
    swings from wall to wall cancel and steps along the floor add up. **Adam** (Kingma and Ba,
    2015) gives each weight its own step length, scaled by how large its gradients usually are.
    Every method starts at the black dot and takes 60 steps.
    """)
    return


@app.cell
def _():
    RATES = [0.0003, 0.001, 0.003, 0.006, 0.01, 0.014, 0.019, 0.021, 0.1, 0.3]
    NAMES = {"plain": "plain", "momentum": "sgd", "Adam": "adam"}
    rate = show.slider(RATES, 0.019)
    method = mo.ui.radio(NAMES, value="plain", inline=True)
    return NAMES, RATES, rate, method


@app.cell
def _(NAMES, RATES, descend):
    ANGLE = np.deg2rad(25)
    AXES = torch.tensor(
        [[np.cos(ANGLE), np.sin(ANGLE)], [-np.sin(ANGLE), np.cos(ANGLE)]], dtype=torch.float32
    )
    CURVATURES = torch.tensor([1.0, 100.0])  # along the floor, and up the walls
    START = (torch.tensor([-4.0, 0.55]) @ AXES).tolist()
    START_DISTANCE = float(np.hypot(*START))

    def valley(at):
        """The loss at (..., 2) positions."""
        return 0.5 * ((at @ AXES.T).square() * CURVATURES).sum()

    PATHS = {
        (name, lr): descend(valley, START, name, lr, 60) for name in NAMES.values() for lr in RATES
    }
    REMAINING = {
        key: float(np.linalg.norm(path[-1])) / START_DISTANCE for key, path in PATHS.items()
    }
    return AXES, CURVATURES, START_DISTANCE, START, REMAINING, PATHS, valley


@app.cell
def _(AXES, CURVATURES, REMAINING, PATHS, rate, method):
    def draw_contours(axis, window=(-4.6, 1.6, -3.0, 1.5)):
        across, up = np.meshgrid(np.linspace(*window[:2], 90), np.linspace(*window[2:], 90))
        locations = torch.tensor(np.stack([across, up], -1), dtype=torch.float32)
        heights = 0.5 * ((locations @ AXES.T).square() * CURVATURES).sum(-1).numpy()
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
        show.hide_axes(axis)

    def draw_path(axis, path, size=4.5, width=1.6):
        outside = np.flatnonzero(np.abs(path).max(1) > 12)
        visible = path[: outside[0] + 1] if len(outside) else path
        axis.plot(*visible.T, "o-", color=show.OTHER, ms=size, lw=width, clip_on=True, zorder=4)
        axis.plot(*path[0], "o", color=show.INK, ms=10, zorder=6)

    def draw_route(rate, method):
        path, remaining = PATHS[method, rate], REMAINING[method, rate]
        outcome = (
            "it diverged"
            if remaining > 1.5
            else f"{remaining:.0%} of the distance remains"
            if remaining >= 0.005
            else "it has arrived"
        )

        def draw(figure):
            axis = figure.subplots()
            draw_contours(axis)
            draw_path(axis, path)
            axis.set_title(f"after 60 steps {outcome}", weight="bold")

        return show.figure(
            draw,
            f"The path of {method} with a rate of {rate} down a narrow valley: {outcome}",
            (4.6, 3.4),
        )

    show.InteractiveFigure(draw_route, {"learning rate η": rate, "method": method})
    return draw_contours, draw_path


@app.cell(hide_code=True)
def _():
    show.formula(
        "momentum: &nbsp;<i>v</i> ← 0.9 <i>v</i> + <i>g</i><br>"
        "<i>w</i> ← <i>w</i> − <i>η</i> <i>v</i><br>"
        "Adam: &nbsp;<i>w</i> ← <i>w</i> − <i>η</i> · mean(<i>g</i>) / √mean(<i>g</i>²)",
        show.source_line(optim.optimizer, "torch.optim.SGD(matrices + vectors")
        + "\n"
        + show.source_line(optim.optimizer, "torch.optim.Adam if"),
    )
    return


@app.cell
def _(REMAINING, NAMES, RATES):
    best = {label: min((REMAINING[name, lr], lr) for lr in RATES) for label, name in NAMES.items()}
    limit = 2 / 100
    assert REMAINING["plain", 0.021] > 1.5 > 1 > REMAINING["plain", 0.019], (
        "the steep walls set the limit, 2 / 100"
    )
    assert REMAINING["plain", 0.001] > 0.9, (
        "too low a rate covers less than a tenth of the distance"
    )
    assert best["momentum"][0] < 0.5 * best["plain"][0], "momentum gets farther than plain descent"
    assert best["Adam"][0] < 0.5 * best["plain"][0], "so does Adam"
    show.claim(
        "In a narrow valley, momentum and Adam get farther.",
        "distance that remains after 60 steps with the best of these rates: "
        + ", ".join(
            f"{label} {remaining:.1%} (η = {lr:g})" for label, (remaining, lr) in best.items()
        )
        + f". Above {limit:g} plain descent diverges.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Noisy gradients

    The true gradient is a mean over all training images. That is too expensive for each step, so a
    few images, a **batch**, must do. Their gradient is right on average and wrong each time. That
    is the *stochastic* in stochastic gradient descent.

    With steps of constant length you soon come near the bottom, and then wander around it for
    ever. Robbins and Monro showed in 1951 what helps: make the steps smaller as you go. A rule for
    that is a **schedule**.
    """)
    return


@app.cell
def _():
    schedule_choice = mo.ui.radio(list(schedule.SCHEDULES), value="constant", inline=True)
    peak = show.slider([0.05, 0.1, 0.2, 0.4, 0.8], 0.4)
    return peak, schedule_choice


@app.cell
def _(bowl, peak, schedule_choice, descend):
    WALKERS = np.tile(
        np.array([-3.0, 1.2], np.float32), (100, 1)
    )  # a hundred walkers at once; the first one is drawn
    WALKS = {
        (lr, schedule_name): descend(
            bowl, WALKERS.tolist(), "plain", lr, 80, schedule_name, noise=1.0
        )
        for lr in (0.05, 0.1, 0.2, 0.4, 0.8)
        for schedule_name in schedule.SCHEDULES
    }
    FINAL_DISTANCE = {
        key: float(np.linalg.norm(path[-1], axis=1).mean()) for key, path in WALKS.items()
    }

    def draw_walk(peak, schedule_choice):
        path = WALKS[peak, schedule_choice][:, 0]

        def draw(figure):
            factors, axis = figure.subplots(1, 2, width_ratios=(1, 1.9))
            progress = np.linspace(0.001, 0.999, 120)
            factors.plot(
                progress,
                [
                    peak * schedule.SCHEDULES[schedule_choice](fraction_done)
                    for fraction_done in progress
                ],
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
            show.hide_axes(axis, f"mean distance {FINAL_DISTANCE[peak, schedule_choice]:.2f}")

        alt = (
            f"80 noisy steps with the {schedule_choice} schedule at a peak rate of {peak} end "
            f"{FINAL_DISTANCE[peak, schedule_choice]:.2f} away from the bottom on average"
        )
        return show.figure(draw, alt, (5.0, 2.6)) + show.caption(
            "The ring marks the end of the last step. The mean distance is over 100 walks."
        )

    show.InteractiveFigure(draw_walk, {"peak rate": peak, "schedule": schedule_choice})
    return (FINAL_DISTANCE,)


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>η</i>(<i>p</i>) = <i>η</i><sub>peak</sub> · (1 + cos π<i>p</i>) / 2"
        "<br>after a short warm-up",
        show.source_line(schedule.cosine, "return 0.5"),
    )
    return


@app.cell
def _(FINAL_DISTANCE):
    for falling in ("cosine", "one-cycle"):
        assert FINAL_DISTANCE[0.4, falling] < 0.7 * FINAL_DISTANCE[0.4, "constant"], (
            "a falling rate ends nearer to the bottom"
        )
    assert FINAL_DISTANCE[0.8, "constant"] > FINAL_DISTANCE[0.2, "constant"], (
        "longer steps wander farther from the bottom"
    )
    show.claim(
        "With noisy gradients, shrinking steps end closer to the bottom.",
        "mean distance after 80 steps at a peak rate of 0.4: "
        + ", ".join(f"{name} {FINAL_DISTANCE[0.4, name]:.2f}" for name in schedule.SCHEDULES)
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Find the rate without guessing

    Nobody knows the curvature of a real network. Leslie Smith's **range test** (2017) measures
    instead: train a copy of the network for 100 steps while the rate grows from far too small to
    far too large. The loss falls, then blows up. With `--lr find` foveate takes a tenth of the
    rate at the lowest point.

    On the left is the test for a small network that classifies digits. On the right, a fresh
    network is trained for 60 steps with *your* rate.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>η</i> = <i>η</i><sub>lowest</sub> / 10",
        show.source_line(lr_finder.find_lr, "return LRRange(")
        .split(", rates")[0]
        .replace("return LRRange(", "suggestion = "),
    )
    return


@app.cell
def _():
    images, labels = load_digits()
    INPUTS, TARGET = to_tensor(images[:1000]), torch.from_numpy(labels[:1000])

    def batches():
        for epoch in count_epochs():
            order = torch.randperm(1000, generator=torch.Generator().manual_seed(epoch))
            for batch in order.split(50):
                yield (INPUTS[batch],), TARGET[batch]

    RANGE_TEST = lr_finder.find_lr(
        digit_classifier("mlp:64", images),
        cross_entropy,
        batches,
        lambda net, lr: optim.optimizer("sgd", net, lr=lr, weight_decay=0.0),
    )

    def train_losses(lr):
        """The loss of each of 60 steps, up to the step where training diverges."""
        losses = []
        try:
            for step in train_steps(
                digit_classifier("mlp:64", images),
                cross_entropy,
                INPUTS,
                TARGET,
                count=60,
                lr=lr,
                batch_size=50,
                optimizer_name="sgd",
                schedule_name="constant",
            ):
                losses.append(step.losses["total"].item())
        except Diverged:
            pass
        return losses

    RATES_TO_TRY = [0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    RUNS = {lr: train_losses(lr) for lr in [*RATES_TO_TRY, RANGE_TEST.suggestion]}
    your_rate = show.slider(RATES_TO_TRY, 0.001)
    return RANGE_TEST, RUNS, your_rate


@app.cell
def _(RANGE_TEST, RUNS, your_rate):
    def plot_range_test(axis, lw=2.4):
        axis.plot(RANGE_TEST.rates, RANGE_TEST.losses, color=show.MODEL, lw=lw)
        axis.set_xscale("log")
        axis.set(ylim=(0, 4), xticks=[1e-4, 1e-2, 1], xticklabels=["10⁻⁴", "10⁻²", "1"])
        axis.minorticks_off()

    def draw_test(your_rate):
        losses = np.array(RUNS[your_rate])
        final_loss = float(losses[-10:].mean())

        def draw(figure):
            test_axis, loss_axis = figure.subplots(1, 2, sharey=True)
            plot_range_test(test_axis)
            test_axis.axvline(your_rate, color=show.OTHER, lw=2)
            test_axis.axvline(RANGE_TEST.suggestion, color=show.MODEL, lw=1.2, ls=":")
            test_axis.set(xlabel="learning rate", title="range test: loss")
            loss_axis.plot(losses, color=show.OTHER, lw=2)
            loss_axis.set(xlabel="step", xlim=(0, 60))
            loss_axis.set_title(
                f"final loss {final_loss:.2f}"
                if final_loss < 100
                else "final loss far off the chart",
                weight="bold",
            )

        alt = (
            f"The range test suggests {RANGE_TEST.suggestion}; "
            f"60 steps with {your_rate} end at a loss of {final_loss:.2f}"
        )
        return show.figure(draw, alt, (4.9, 2.6)) + show.caption(
            '<span class="other">Your rate</span> and <span class="model">the range test</span>; '
            f"the dotted line is the suggested rate, {RANGE_TEST.suggestion:g}."
        )

    show.InteractiveFigure(draw_test, {"your rate": your_rate})
    return (plot_range_test,)


@app.cell
def _(RANGE_TEST, RUNS):
    final_losses = {lr: float(np.mean(losses[-10:])) for lr, losses in RUNS.items()}
    assert 0.001 < RANGE_TEST.suggestion < 1, (
        "the range test suggests a rate between crawling and diverging"
    )
    assert final_losses[RANGE_TEST.suggestion] < 0.5 * final_losses[0.001], (
        "the suggested rate lowers the loss much faster than too low a rate"
    )
    assert final_losses[RANGE_TEST.suggestion] < 0.5 * final_losses[10], (
        "with too high a rate the loss does not fall"
    )
    show.claim(
        "The range test finds a rate that works.",
        f"60 steps with the suggested rate {RANGE_TEST.suggestion:g} end at a loss of "
        f"{final_losses[RANGE_TEST.suggestion]:.2f}, with 0.001 at {final_losses[0.001]:.2f}, "
        f"with 10 at {final_losses[10]:.3g}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - The learning rate has a sharp limit, set by the largest curvature of the loss. Far below it,
      training crawls.

    - Momentum and Adam let one rate serve steep walls and flat floors.

    - Gradients from a few images are noisy, so a schedule shortens the steps toward the end. If
      you don't know the rate, `--lr find` finds one.

    Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847.
    Robbins and Monro, "A stochastic approximation method", 1951. Polyak, "Some methods of speeding
    up the convergence of iteration methods", 1964 (foveate's `sgd` has Nesterov's variant, 1983).
    Kingma and Ba, "Adam", 2015. Smith, "Cyclical learning rates for training neural networks",
    2017.
    """)
    return


@app.cell(hide_code=True)
def _(PATHS, draw_contours, draw_path):
    def draw_poster(figure):
        axis = figure.subplots()
        draw_contours(axis, (-4.4, 1.2, -2.8, 1.0))
        draw_path(axis, PATHS["plain", 0.019], size=6, width=2.2)

    poster = show.figure(
        draw_poster, "Steps that swing from wall to wall down a narrow valley", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
