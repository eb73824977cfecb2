"""Lesson 8: Stop before it learns by heart

The training loss falls and falls, but new pictures are judged worse. How to see it, and when to stop.
"""

import marimo

app = marimo.App(app_title="Stop before it learns by heart", css_file="style.css")

with app.setup:
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn

    from foveate.lessons import drawings as show
    from foveate.lessons import training as learning
    from foveate.lessons.training import (
        answers,
        as_input,
        cross_entropy,
        digits,
        learn,
        right,
        seeing,
    )
    from foveate.training import doctor, fit


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Stop before it learns by heart

    A pupil gets 200 exercises with solutions. Three in ten of the solutions are misprinted. At first the pupil learns how to do the
    exercises. Later, bored, the pupil learns the solutions, misprints and all.

    A network does just that. Can one see the moment when it turns?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Epochs

    To show the network every example once is an **epoch**. One is not enough, so it sees them again and again, each time in a new order.

    Here are 200 digits. To 60 of them we gave a wrong label on purpose. The network has 85,000 weights, far too many for 200 digits.
    After each epoch we ask it about 400 other digits that it never trains on: the **validation part**.
    """)
    return


@app.cell
def _():
    images, labels = digits()
    TRAIN, VALID = slice(0, 200), slice(200, 600)
    rng = np.random.default_rng(0)
    WRONG = np.sort(rng.choice(200, 60, replace=False))
    given = labels[TRAIN].copy()
    given[WRONG] = (given[WRONG] + rng.integers(1, 10, 60)) % 10  # never the true one
    INPUT, GIVEN = as_input(images[TRAIN]), torch.from_numpy(given)
    UNSEEN, TRUTH = as_input(images[VALID]), torch.from_numpy(labels[VALID])
    EPOCHS, PER_EPOCH = 40, 10
    net = seeing("mlp:256-256", images[TRAIN])

    def loss_of(said, target):
        return float(F.cross_entropy(said, target))

    ROWS, SAID = (
        [],
        [],
    )  # one an epoch: a row as in curves.csv, and the net's answers on the wrongly labelled
    for step in learn(
        net,
        cross_entropy,
        INPUT,
        GIVEN,
        count=EPOCHS * PER_EPOCH,
        lr=1e-3,
        batch=20,
        rates="constant",
    ):
        if (step.number + 1) % PER_EPOCH == 0:
            said, unseen = answers(net, INPUT), answers(net, UNSEEN)
            ROWS.append(
                {
                    "step": step.number + 1,
                    "epoch": (step.number + 1) / PER_EPOCH,
                    "train_loss": loss_of(said, GIVEN),
                    "valid_loss": loss_of(unseen, TRUTH),
                    "train_accuracy": float((said.argmax(1) == GIVEN).float().mean()),
                    "valid_accuracy": float((unseen.argmax(1) == TRUTH).float().mean()),
                    "lr": step.lr,
                }
            )
            SAID.append(said.argmax(1).numpy()[WRONG])
            net.train()
    BEST = int(np.argmin([row["valid_loss"] for row in ROWS]))
    HEART = [float((said == given[WRONG]).mean()) for said in SAID]  # repeats the wrong label
    SENSE = [float((said == labels[WRONG]).mean()) for said in SAID]  # says what it truly is
    epoch = show.slider(range(1, EPOCHS + 1), 12)
    return BEST, EPOCHS, HEART, ROWS, SAID, SENSE, WRONG, epoch, given, images, labels


@app.cell(hide_code=True)
def _():
    mo.md("""
    Move the slider, or press play. Below the curves are six of the digits with a wrong label, and what the network says they are.
    """)
    return


@app.cell
def _(EPOCHS, ROWS, SAID, WRONG, epoch, given, images, labels):
    TRAINED, VALIDATED = ([row[f"{part}_loss"] for row in ROWS] for part in ("train", "valid"))
    SHOWN = list(range(6))

    def curves(axis, until=EPOCHS, width=2.4):
        along = np.arange(1, until + 1)
        axis.plot(along, TRAINED[:until], color=show.OTHER, lw=width)
        axis.plot(along, VALIDATED[:until], color=show.MODEL, lw=width)
        best = int(np.argmin(VALIDATED[:until]))
        axis.plot(best + 1, VALIDATED[best], "o", ms=13, mfc="none", mec=show.MODEL, mew=2.2)
        axis.set(xlim=(0, EPOCHS + 1), ylim=(0, 1.08 * max(TRAINED + VALIDATED)))

    def watched(epoch):
        verdict = doctor.diagnose(ROWS[:epoch], figure="accuracy")[0]
        said = SAID[epoch - 1]

        def paint(figure):
            grid = figure.add_gridspec(2, 6, height_ratios=(2.5, 1))
            axis = figure.add_subplot(grid[0, :])
            curves(axis, epoch)
            axis.set_xlabel("epoch")
            axis.set_title(
                f"epoch {epoch}: training loss {TRAINED[epoch - 1]:.2f}, validation loss {VALIDATED[epoch - 1]:.2f}",
                weight="bold",
            )
            for place, row in enumerate(SHOWN):
                axis = figure.add_subplot(grid[1, place])
                shades = np.zeros((8, 8, 4))
                shades[..., 3] = images[WRONG[row]] / 255
                shades[..., :3] = [int(show.INK[i : i + 2], 16) / 255 for i in (1, 3, 5)]
                axis.pcolormesh(shades, edgecolors="none")
                axis.set(xlim=(0, 8), ylim=(8, 0), aspect="equal")
                show.bare(axis)
                for spine in axis.spines.values():
                    spine.set_visible(False)
                fooled = said[row] == given[WRONG[row]]
                axis.set_title(f"“{given[WRONG[row]]}”", color=show.MUTED, loc="center", pad=3)
                mark = "✓" if said[row] == labels[WRONG[row]] else ""
                axis.set_xlabel(
                    f"{said[row]} {mark}",
                    color=show.OTHER if fooled else show.INK,
                    fontsize=12,
                    weight="bold",
                    labelpad=2,
                )

        words = f"Epoch {epoch}: training loss {TRAINED[epoch - 1]:.2f}, validation loss {VALIDATED[epoch - 1]:.2f}"
        return (
            show.image(paint, words, (4.7, 4.2))
            + show.caption(
                '<span class="other">Training</span> and <span class="model">validation</span> loss; the ring is the lowest so far. '
                "Above each digit its wrong label, below it what the network says: ✓ it saw through, "
                '<span class="other">orange</span> learnt by heart.'
            )
            + f'<p class="caption" style="min-height: 7em">foveate\'s doctor at epoch {epoch}: <b>{verdict.name}</b>. {verdict.words}</p>'
        )

    show.Moving(watched, {"epoch": epoch})
    return TRAINED, VALIDATED, curves


@app.cell(hide_code=True)
def _():
    mo.md("""
    At first both losses fall: what helps with the 200 helps with all digits. Then they part. The training loss goes to nothing. The validation
    loss turns up. From there on the network learns these 200 answers, not digits. That is **overfitting**.
    """)
    return


@app.cell
def _(HEART, SENSE):
    def two_minds(figure):
        axis = figure.subplots()
        along = np.arange(1, len(HEART) + 1)
        axis.plot(along, SENSE, color=show.MODEL, lw=2.6)
        axis.plot(along, HEART, color=show.OTHER, lw=2.6)
        axis.set(ylim=(0, 1.03), xlabel="epoch", xlim=(0, len(HEART) + 1))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("what it says of the 60 digits with a wrong label")

    show.show(
        show.image(
            two_minds, f"At the end {HEART[-1]:.0%} of the wrong labels are repeated", (4.7, 2.6)
        ),
        show.caption(
            '<span class="model">The truth</span>, which nobody told it, and <span class="other">the wrong label</span> that it was told.'
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Keep the best, not the last

    So the last weights are not the ones to keep. Keep those with the lowest *validation* loss: **early stopping**. foveate
    validates as it trains, and puts the best weights into `best.safetensors` each time there are better ones.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "best epoch = argmin<sub><i>e</i></sub> <i>L</i><sub>valid</sub>(<i>e</i>)",
        show.line_of(fit, "if valid_loss < progress.best_loss:", lines=2),
    )
    return


@app.cell
def _(BEST, ROWS, TRAINED, VALIDATED):
    verdicts = doctor.diagnose(ROWS, figure="accuracy")
    assert TRAINED[-1] < 0.3 * TRAINED[BEST], "the training loss goes on falling"
    assert VALIDATED[-1] > 1.2 * VALIDATED[BEST], "while the validation loss rises"
    assert len(ROWS) - BEST > 5, "the best epoch comes before the last"
    assert ROWS[BEST]["valid_accuracy"] > ROWS[-1]["valid_accuracy"], (
        "the best weights are right more often than the last"
    )
    show.headline(
        "The training loss keeps falling while the validation loss rises. The best epoch is not the last.",
        f"epoch {BEST + 1}: losses {TRAINED[BEST]:.2f} and {VALIDATED[BEST]:.2f}, {ROWS[BEST]['valid_accuracy']:.0%} of 400 new digits right; "
        f"epoch {len(ROWS)}: {TRAINED[-1]:.2f} and {VALIDATED[-1]:.2f}, {ROWS[-1]['valid_accuracy']:.0%}.",
    )
    return (verdicts,)


@app.cell
def _(BEST, HEART, SENSE, verdicts):
    assert [verdict.name for verdict in verdicts] == ["overfitting"], (
        "the doctor calls it by its name"
    )
    assert HEART[-1] > 0.9, "in the end it repeats the wrong labels"
    early = int(np.argmax(SENSE))
    assert SENSE[early] > 0.6, "early on it sees through most of them"
    assert early < BEST + 3, "and it does so no later than at its best"
    show.headline(
        "First it learns what digits look like. Only then it learns the misprints.",
        f"of the 60 digits with a wrong label it says the truth of {SENSE[early]:.0%} at epoch {early + 1}, of {SENSE[-1]:.0%} at the end; "
        f"the wrong label it repeats of {HEART[early]:.0%} and {HEART[-1]:.0%}. The doctor says: {verdicts[0].name}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How many at a time?

    An epoch is cut into **batches**. After each batch the weights take one step. With 800 digits and batches of 8 that is 100 steps an epoch,
    with batches of 800 one.

    Few examples at a time give many steps, but each looks at little and wobbles. Move the batch size: the same three epochs, the
    same network.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "steps an epoch = <i>N</i> / <i>B</i><br>wobble of a step ∝ 1 / √<i>B</i>",
        show.line_of(learning._batches, "for rows in order.tensor_split(per_epoch)"),
    )
    return


@app.cell
def _(images, labels):
    SIZES = [8, 20, 50, 100, 200, 400, 800]
    MANY, TRUE = as_input(images[:800]), torch.from_numpy(labels[:800])
    LATER, LATER_TRUE = as_input(images[800:1200]), torch.from_numpy(labels[800:1200])

    def fresh():
        return seeing("mlp:64", images[:800])

    def three_epochs(batch):
        """The loss of each step, and the accuracy afterwards on 400 digits that it never saw."""
        learner, losses = fresh(), []
        for one in learn(
            learner,
            cross_entropy,
            MANY,
            TRUE,
            count=3 * 800 // batch,
            lr=2e-3,
            batch=batch,
            rates="constant",
        ):
            losses.append(one.losses["total"].item())
        return losses, right(learner, LATER, LATER_TRUE)

    def wobble(batch, tries=12):
        """How far the slope that a batch tells is from that of all 800, as a share of its length, at the start."""
        learner = fresh()
        order = np.random.default_rng(0)

        def slope(rows):
            learner.zero_grad()
            cross_entropy(learner(MANY[rows]), TRUE[rows])["total"].backward()
            return nn.utils.parameters_to_vector([weight.grad for weight in learner.parameters()])

        whole = slope(slice(None))
        drawn = [slope(torch.from_numpy(order.integers(0, 800, batch))) for _ in range(tries)]
        return float(
            torch.stack([(one - whole).square().sum() for one in drawn]).mean().sqrt()
            / whole.norm()
        )

    RUNS = {batch: three_epochs(batch) for batch in SIZES}
    WOBBLE = {batch: wobble(batch) for batch in SIZES}
    batch = show.slider(SIZES, 50)
    return RUNS, SIZES, WOBBLE, batch


@app.cell
def _(RUNS, SIZES, WOBBLE, batch):
    def cut(batch):
        losses, accuracy = RUNS[batch]
        steps = len(losses) // 3

        def paint(figure):
            curve, noise = figure.subplots(1, 2, width_ratios=(1.7, 1))
            along = np.arange(1, len(losses) + 1) / steps
            curve.plot(along, losses, "o-" if steps < 20 else "-", ms=5, color=show.MODEL, lw=1.4)
            for end in (1, 2):
                curve.axvline(end, color=show.MUTED, lw=0.8, ls=":")
            curve.set(xlim=(0, 3.1), ylim=(0, 3), xticks=[0, 1, 2, 3], xlabel="epoch")
            curve.set_title(f"loss of {len(losses)} steps", weight="bold")
            noise.plot(SIZES, [WOBBLE[size] for size in SIZES], "-", color=show.MUTED, lw=1.4)
            noise.plot(batch, WOBBLE[batch], "o", color=show.OTHER, ms=11)
            noise.set_xscale("log")
            noise.set(
                xticks=[8, 80, 800],
                xticklabels=["8", "80", "800"],
                ylim=(0, None),
                xlabel="batch size",
            )
            noise.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            noise.minorticks_off()
            noise.set_title("wobble")

        words = f"Batches of {batch}: {steps} steps an epoch, which wobble by {WOBBLE[batch]:.0%}; {accuracy:.0%} right afterwards"
        return show.image(paint, words, (5.0, 2.6)) + show.caption(
            f"{steps} step{'s' * (steps != 1)} an epoch. After three epochs <b>{accuracy:.0%}</b> of 400 new digits are right."
        )

    show.Moving(cut, {"batch size B": batch})
    return


@app.cell
def _(RUNS, SIZES, WOBBLE):
    for few, many in pairwise(SIZES):
        assert len(RUNS[few][0]) > len(RUNS[many][0]), "smaller batches mean more steps an epoch"
        assert WOBBLE[few] > WOBBLE[many], "and noisier ones"
    ratio, wanted = WOBBLE[8] / WOBBLE[200], (200 / 8) ** 0.5
    assert 0.6 < ratio / wanted < 1.6, "the noise falls with the root of the batch size"
    assert RUNS[20][1] > RUNS[800][1] + 0.1, (
        "in three epochs, three large steps get less far than many small ones"
    )
    show.headline(
        "Smaller batches mean more steps an epoch, and noisier ones.",
        f"batches of 8: {len(RUNS[8][0]) // 3} steps, wobble {WOBBLE[8]:.0%}; of 200: {len(RUNS[200][0]) // 3} steps, {WOBBLE[200]:.0%}. "
        f"25 times as many digits wobble {ratio:.1f} times less; √25 = 5.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Wobble is the price, steps are the gain. In three epochs many noisy steps get farther than three exact ones. That is why
    nobody waits for the exact slope.

    ## What you saw

    - The training loss tells how well the answers are remembered. Only the validation loss tells what was understood.
    - The best weights are those with the lowest validation loss. foveate keeps them, and its doctor says when the curves part.
    - Small batches: many wobbly steps. Large ones: few steady steps. The wobble falls only with the root of the size.

    Prechelt, "Early stopping, but when?", in *Neural Networks: Tricks of the Trade*, 1998. Bottou, "Large-scale machine learning with
    stochastic gradient descent", 2010. Zhang et al., "Understanding deep learning requires rethinking generalization", 2017, trained on
    labels by chance, and networks learnt them all. Arpit et al., "A closer look at memorization in deep networks", 2017: simple patterns come first.
    """)
    return


@app.cell(hide_code=True)
def _(BEST, VALIDATED, curves):
    def on_the_index(figure):
        axis = figure.subplots()
        curves(axis, width=3.4)
        axis.axvline(BEST + 1, color=show.MUTED, lw=1.2, ls=":")
        axis.text(
            BEST + 2.2,
            VALIDATED[BEST] * 1.7,
            "stop here",
            fontsize=13,
            weight="bold",
            color=show.MODEL,
        )
        axis.set(xticks=[], yticks=[])

    poster = show.image(
        on_the_index, "Two curves fall together, then part; the lowest point is ringed", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
