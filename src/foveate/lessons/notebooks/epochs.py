"""Lesson 8: Stop before it learns by heart

The training loss keeps falling, but new images are classified worse. How to see it, and when to
stop.
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
        accuracy_score,
        cross_entropy,
        digit_classifier,
        load_digits,
        net_outputs,
        to_tensor,
        train_steps,
    )
    from foveate.training import doctor, fit


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Stop before it learns by heart

    A pupil gets 200 exercises with solutions. Three in ten of the solutions are misprinted. At
    first the pupil learns how to do the exercises. Later, bored, the pupil memorises the
    solutions, misprints and all.

    A network does just that. Can one see the moment when it turns?
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Epochs

    In one **epoch** the network sees every training example once. One epoch is not enough, so
    training repeats them, each time in a new order.

    Here are 200 digits. We gave 60 of them a wrong label on purpose. The network has 85,000
    weights, far too many for 200 digits. After each epoch we evaluate it on 400 other digits that
    it never trains on: the **validation split**.
    """)
    return


@app.cell
def _():
    images, labels = load_digits()
    TRAIN, VALID = slice(0, 200), slice(200, 600)
    rng = np.random.default_rng(0)
    MISLABELLED = np.sort(rng.choice(200, 60, replace=False))
    train_labels = labels[TRAIN].copy()
    # Adding 1 to 9 never gives the correct label.
    train_labels[MISLABELLED] = (train_labels[MISLABELLED] + rng.integers(1, 10, 60)) % 10
    TRAIN_INPUTS, TRAIN_TARGET = to_tensor(images[TRAIN]), torch.from_numpy(train_labels)
    VALID_INPUTS, VALID_TARGET = to_tensor(images[VALID]), torch.from_numpy(labels[VALID])
    EPOCHS, PER_EPOCH = 40, 10
    net = digit_classifier("mlp:256-256", images[TRAIN])

    def loss_of(outputs, target):
        return float(F.cross_entropy(outputs, target))

    # Per epoch: a row as in curves.csv, and the predictions for the mislabelled digits.
    CURVES, PREDICTIONS = [], []
    for step in train_steps(
        net,
        cross_entropy,
        TRAIN_INPUTS,
        TRAIN_TARGET,
        count=EPOCHS * PER_EPOCH,
        lr=1e-3,
        batch_size=20,
        schedule_name="constant",
    ):
        if (step.number + 1) % PER_EPOCH == 0:
            outputs, valid_outputs = net_outputs(net, TRAIN_INPUTS), net_outputs(net, VALID_INPUTS)
            CURVES.append(
                {
                    "step": step.number + 1,
                    "epoch": (step.number + 1) / PER_EPOCH,
                    "train_loss": loss_of(outputs, TRAIN_TARGET),
                    "valid_loss": loss_of(valid_outputs, VALID_TARGET),
                    "train_accuracy": float((outputs.argmax(1) == TRAIN_TARGET).float().mean()),
                    "valid_accuracy": float(
                        (valid_outputs.argmax(1) == VALID_TARGET).float().mean()
                    ),
                    "lr": step.lr,
                }
            )
            PREDICTIONS.append(outputs.argmax(1).numpy()[MISLABELLED])
            net.train()
    BEST_EPOCH = int(np.argmin([row["valid_loss"] for row in CURVES]))
    # The share of mislabelled digits with a prediction of the wrong or the correct label.
    MEMORISED = [
        float((predicted == train_labels[MISLABELLED]).mean()) for predicted in PREDICTIONS
    ]
    CORRECTED = [float((predicted == labels[MISLABELLED]).mean()) for predicted in PREDICTIONS]
    epoch = show.slider(range(1, EPOCHS + 1), 12)
    return (
        BEST_EPOCH,
        EPOCHS,
        MEMORISED,
        CURVES,
        PREDICTIONS,
        CORRECTED,
        MISLABELLED,
        epoch,
        train_labels,
        images,
        labels,
    )


@app.cell(hide_code=True)
def _():
    mo.md("""
    Move the slider, or press play. Below the curves are six of the digits with a wrong label, and
    the network's predictions.
    """)
    return


@app.cell
def _(EPOCHS, CURVES, PREDICTIONS, MISLABELLED, epoch, train_labels, images, labels):
    TRAIN_LOSS, VALID_LOSS = (
        [row[f"{split}_loss"] for row in CURVES] for split in ("train", "valid")
    )
    EXAMPLES = list(range(6))

    def plot_curves(axis, until=EPOCHS, width=2.4):
        epochs = np.arange(1, until + 1)
        axis.plot(epochs, TRAIN_LOSS[:until], color=show.OTHER, lw=width)
        axis.plot(epochs, VALID_LOSS[:until], color=show.MODEL, lw=width)
        best = int(np.argmin(VALID_LOSS[:until]))
        axis.plot(best + 1, VALID_LOSS[best], "o", ms=13, mfc="none", mec=show.MODEL, mew=2.2)
        axis.set(xlim=(0, EPOCHS + 1), ylim=(0, 1.08 * max(TRAIN_LOSS + VALID_LOSS)))

    def draw_epoch(epoch):
        diagnosis = doctor.diagnose(CURVES[:epoch], metric="accuracy")[0]
        predicted = PREDICTIONS[epoch - 1]

        def draw(figure):
            grid = figure.add_gridspec(2, 6, height_ratios=(2.5, 1))
            axis = figure.add_subplot(grid[0, :])
            plot_curves(axis, epoch)
            axis.set_xlabel("epoch")
            axis.set_title(
                f"epoch {epoch}: training loss {TRAIN_LOSS[epoch - 1]:.2f}, "
                f"validation loss {VALID_LOSS[epoch - 1]:.2f}",
                weight="bold",
            )
            for place, row in enumerate(EXAMPLES):
                axis = figure.add_subplot(grid[1, place])
                shades = np.zeros((8, 8, 4))
                shades[..., 3] = images[MISLABELLED[row]] / 255
                shades[..., :3] = [int(show.INK[i : i + 2], 16) / 255 for i in (1, 3, 5)]
                axis.pcolormesh(shades, edgecolors="none")
                axis.set(xlim=(0, 8), ylim=(8, 0), aspect="equal")
                show.hide_axes(axis)
                for spine in axis.spines.values():
                    spine.set_visible(False)
                memorised = predicted[row] == train_labels[MISLABELLED[row]]
                axis.set_title(
                    f"“{train_labels[MISLABELLED[row]]}”", color=show.MUTED, loc="center", pad=3
                )
                mark = "✓" if predicted[row] == labels[MISLABELLED[row]] else ""
                axis.set_xlabel(
                    f"{predicted[row]} {mark}",
                    color=show.OTHER if memorised else show.INK,
                    fontsize=12,
                    weight="bold",
                    labelpad=2,
                )

        alt = (
            f"Epoch {epoch}: training loss {TRAIN_LOSS[epoch - 1]:.2f}, "
            f"validation loss {VALID_LOSS[epoch - 1]:.2f}"
        )
        return (
            show.figure(draw, alt, (4.7, 4.2))
            + show.caption(
                '<span class="other">Training</span> and '
                '<span class="model">validation</span> loss; the ring marks the lowest validation '
                "loss so far. Above each digit is its wrong label, below it the network's "
                "prediction: ✓ marks the correct digit, "
                '<span class="other">orange</span> a label learnt by heart.'
            )
            + f'<p class="caption" style="min-height: 7em">foveate\'s doctor at epoch {epoch}: '
            + f"<b>{diagnosis.name}</b>. {diagnosis.text}</p>"
        )

    show.InteractiveFigure(draw_epoch, {"epoch": epoch})
    return TRAIN_LOSS, VALID_LOSS, plot_curves


@app.cell(hide_code=True)
def _():
    mo.md("""
    At first both losses fall: what the network learns from the 200 digits holds for all digits.
    Then the curves part. The training loss goes to zero. The validation loss rises. From there on
    the network memorises these 200 labels instead of learning about digits. That is
    **overfitting**.
    """)
    return


@app.cell
def _(MEMORISED, CORRECTED):
    def draw_predictions(figure):
        axis = figure.subplots()
        epochs = np.arange(1, len(MEMORISED) + 1)
        axis.plot(epochs, CORRECTED, color=show.MODEL, lw=2.6)
        axis.plot(epochs, MEMORISED, color=show.OTHER, lw=2.6)
        axis.set(ylim=(0, 1.03), xlabel="epoch", xlim=(0, len(MEMORISED) + 1))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title("predictions for the 60 mislabelled digits")

    show.html(
        show.figure(
            draw_predictions,
            f"At the end {MEMORISED[-1]:.0%} of the wrong labels are predicted",
            (4.7, 2.6),
        ),
        show.caption(
            '<span class="model">The correct label</span>, which the network never saw, and '
            '<span class="other">the wrong label</span>, which it was trained on.'
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Keep the best weights, not the last

    So the last weights are not the best ones. Keep the weights with the lowest *validation* loss:
    **early stopping**. foveate validates as it trains, and writes the weights to
    `best.safetensors` whenever the validation loss reaches a new low. (Of a detector it
    writes those with the highest mAP50: its loss asks poor boxes for low scores, which is easy.)
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "best epoch = argmin<sub><i>e</i></sub> <i>L</i><sub>valid</sub>(<i>e</i>)",
        show.source_line(fit, "if progress.best_step == progress.step:", count=3),
    )
    return


@app.cell
def _(BEST_EPOCH, CURVES, TRAIN_LOSS, VALID_LOSS):
    diagnoses = doctor.diagnose(CURVES, metric="accuracy")
    assert TRAIN_LOSS[-1] < 0.3 * TRAIN_LOSS[BEST_EPOCH], "the training loss keeps falling"
    assert VALID_LOSS[-1] > 1.2 * VALID_LOSS[BEST_EPOCH], "while the validation loss rises"
    assert len(CURVES) - BEST_EPOCH > 5, "the best epoch comes before the last"
    assert CURVES[BEST_EPOCH]["valid_accuracy"] > CURVES[-1]["valid_accuracy"], (
        "the best weights are more accurate than the last"
    )
    show.claim(
        "The training loss keeps falling while the validation loss rises. "
        "The best epoch is not the last.",
        f"epoch {BEST_EPOCH + 1}: losses {TRAIN_LOSS[BEST_EPOCH]:.2f} and "
        f"{VALID_LOSS[BEST_EPOCH]:.2f}, "
        f"{CURVES[BEST_EPOCH]['valid_accuracy']:.0%} accuracy on 400 new digits; "
        f"epoch {len(CURVES)}: {TRAIN_LOSS[-1]:.2f} and {VALID_LOSS[-1]:.2f}, "
        f"{CURVES[-1]['valid_accuracy']:.0%}.",
    )
    return (diagnoses,)


@app.cell
def _(BEST_EPOCH, MEMORISED, CORRECTED, diagnoses):
    assert [diagnosis.name for diagnosis in diagnoses] == ["overfitting"], (
        "the doctor diagnoses overfitting"
    )
    assert MEMORISED[-1] > 0.9, "in the end it predicts the wrong labels"
    best_corrected = int(np.argmax(CORRECTED))
    assert CORRECTED[best_corrected] > 0.6, "early on it predicts most of the correct labels"
    assert best_corrected < BEST_EPOCH + 3, "and that happens no later than the best epoch"
    show.claim(
        "First it learns what digits look like. Only then does it memorise the wrong labels.",
        f"of 60 mislabelled digits it predicts {CORRECTED[best_corrected]:.0%} correctly at epoch "
        f"{best_corrected + 1} and {CORRECTED[-1]:.0%} at the end; it predicts the wrong label for "
        f"{MEMORISED[best_corrected]:.0%} and {MEMORISED[-1]:.0%}. "
        f"The doctor's diagnosis: {diagnoses[0].name}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How many at a time?

    An epoch is divided into **batches**. After each batch the weights take one step. With 800
    digits, batches of 8 make 100 steps per epoch, and a batch of 800 makes one.

    Small batches give many steps, but each gradient is noisy because it comes from few examples.
    Move the batch size: the network and the three epochs stay the same.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "steps per epoch = <i>N</i> / <i>B</i><br>noise of a step ∝ 1 / √<i>B</i>",
        show.source_line(learning._batches, "for batch in order.tensor_split(per_epoch)"),
    )
    return


@app.cell
def _(images, labels):
    SIZES = [8, 20, 50, 100, 200, 400, 800]
    INPUTS, TARGET = to_tensor(images[:800]), torch.from_numpy(labels[:800])
    NEW_INPUTS, NEW_TARGET = to_tensor(images[800:1200]), torch.from_numpy(labels[800:1200])

    def new_network():
        return digit_classifier("mlp:64", images[:800])

    def three_epochs(batch):
        """The loss of each step, and the accuracy on 400 new digits afterwards."""
        learner, losses = new_network(), []
        for step in train_steps(
            learner,
            cross_entropy,
            INPUTS,
            TARGET,
            count=3 * 800 // batch,
            lr=2e-3,
            batch_size=batch,
            schedule_name="constant",
        ):
            losses.append(step.losses["total"].item())
        return losses, accuracy_score(learner, NEW_INPUTS, NEW_TARGET)

    def gradient_noise(batch, repeats=12):
        """The mean distance of a batch gradient from the full gradient, relative to its norm."""
        learner = new_network()
        rng = np.random.default_rng(0)

        def gradient(indices):
            learner.zero_grad()
            cross_entropy(learner(INPUTS[indices]), TARGET[indices])["total"].backward()
            return nn.utils.parameters_to_vector([weight.grad for weight in learner.parameters()])

        full_gradient = gradient(slice(None))
        batch_gradients = [
            gradient(torch.from_numpy(rng.integers(0, 800, batch))) for _ in range(repeats)
        ]
        return float(
            torch.stack([(each - full_gradient).square().sum() for each in batch_gradients])
            .mean()
            .sqrt()
            / full_gradient.norm()
        )

    RUNS = {batch: three_epochs(batch) for batch in SIZES}
    NOISE = {batch: gradient_noise(batch) for batch in SIZES}
    batch = show.slider(SIZES, 50)
    return RUNS, SIZES, NOISE, batch


@app.cell
def _(RUNS, SIZES, NOISE, batch):
    def draw_batch_size(batch):
        losses, accuracy = RUNS[batch]
        steps = len(losses) // 3

        def draw(figure):
            curve, noise = figure.subplots(1, 2, width_ratios=(1.7, 1))
            epochs = np.arange(1, len(losses) + 1) / steps
            curve.plot(epochs, losses, "o-" if steps < 20 else "-", ms=5, color=show.MODEL, lw=1.4)
            for end in (1, 2):
                curve.axvline(end, color=show.MUTED, lw=0.8, ls=":")
            curve.set(xlim=(0, 3.1), ylim=(0, 3), xticks=[0, 1, 2, 3], xlabel="epoch")
            curve.set_title(f"loss of {len(losses)} steps", weight="bold")
            noise.plot(SIZES, [NOISE[size] for size in SIZES], "-", color=show.MUTED, lw=1.4)
            noise.plot(batch, NOISE[batch], "o", color=show.OTHER, ms=11)
            noise.set_xscale("log")
            noise.set(
                xticks=[8, 80, 800],
                xticklabels=["8", "80", "800"],
                ylim=(0, None),
                xlabel="batch size",
            )
            noise.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            noise.minorticks_off()
            noise.set_title("gradient noise")

        alt = (
            f"Batches of {batch}: {steps} steps per epoch, gradient noise {NOISE[batch]:.0%}, "
            f"final accuracy {accuracy:.0%}"
        )
        return show.figure(draw, alt, (5.0, 2.6)) + show.caption(
            f"{steps} step{'s' * (steps != 1)} per epoch. "
            f"After three epochs the accuracy on 400 new digits is <b>{accuracy:.0%}</b>."
        )

    show.InteractiveFigure(draw_batch_size, {"batch size B": batch})
    return


@app.cell
def _(RUNS, SIZES, NOISE):
    for small, large in pairwise(SIZES):
        assert len(RUNS[small][0]) > len(RUNS[large][0]), (
            "smaller batches mean more steps per epoch"
        )
        assert NOISE[small] > NOISE[large], "and noisier ones"
    ratio, expected = NOISE[8] / NOISE[200], (200 / 8) ** 0.5
    assert 0.6 < ratio / expected < 1.6, "the noise falls with the square root of the batch size"
    assert RUNS[20][1] > RUNS[800][1] + 0.1, (
        "in three epochs, three exact steps get less far than many noisy ones"
    )
    show.claim(
        "Smaller batches mean more steps per epoch, and noisier ones.",
        f"batches of 8: {len(RUNS[8][0]) // 3} steps, noise {NOISE[8]:.0%}; "
        f"of 200: {len(RUNS[200][0]) // 3} steps, {NOISE[200]:.0%}. "
        f"25 times as many digits have {ratio:.1f} times less noise; √25 = 5.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Noise is the price, and more steps are the gain. In three epochs, many noisy steps get farther
    than three exact ones. That is why nobody computes the exact gradient.

    ## What you saw

    - The training loss measures how well the network remembers its examples. Only the validation
      loss measures how well it generalises.

    - The best weights are those with the lowest validation loss. foveate keeps them, and its
      doctor warns when the curves part.

    - Small batches give many noisy steps. Large batches give few steady ones. The noise falls only
      with the square root of the batch size.

    Prechelt, "Early stopping, but when?", in *Neural Networks: Tricks of the Trade*, 1998. Bottou,
    "Large-scale machine learning with stochastic gradient descent", 2010. Zhang et al.,
    "Understanding deep learning requires rethinking generalization", 2017: networks trained on
    random labels learnt them all. Arpit et al., "A closer look at memorization in deep networks",
    2017: simple patterns come first.
    """)
    return


@app.cell(hide_code=True)
def _(BEST_EPOCH, VALID_LOSS, plot_curves):
    def draw_poster(figure):
        axis = figure.subplots()
        plot_curves(axis, width=3.4)
        axis.axvline(BEST_EPOCH + 1, color=show.MUTED, lw=1.2, ls=":")
        axis.text(
            BEST_EPOCH + 2.2,
            VALID_LOSS[BEST_EPOCH] * 1.7,
            "stop here",
            fontsize=13,
            weight="bold",
            color=show.MODEL,
        )
        axis.set(xticks=[], yticks=[])

    poster = show.figure(
        draw_poster,
        "Two loss curves fall together, then part; a ring marks the lowest point",
        (4.4, 2.6),
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
